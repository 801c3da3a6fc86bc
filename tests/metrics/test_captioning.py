"""Scores of overlap: our tokenizer, aac-metrics behind it, by hand where one can, and what is said without it."""

import sys
from collections import Counter
from math import exp, log

import pytest

from spatial_audio_lm.errors import ConfigError, DataError, MissingExtraError, TextError
from spatial_audio_lm.metrics.caption_tokens import caption_tokens
from spatial_audio_lm.metrics.captioning import NAMES, SCORES, caption_measures, caption_scores, unavailable_scores

CAPTIONS = ["A man is speaking.", "rain falls, far away"]
REFERENCES = [
    ["A man speaks!", "someone speaks", "a man is speaking while a bird is chirping in the background"],
    ["rain is falling hard on a surface", "Rain falls far away"],
]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A dog's bark isn't near-by; it's 2.5 m (far) away...", "a dog 's bark is n't near-by it 's 2.5 m far away"),
        ("They\u2019re \u201cloud\u201d \u2013 the dogs' barks!", "they 're loud the dogs barks"),
        ("We cannot hear 1,000 birds", "we can not hear 1,000 birds"),
        ("", ""),
        (" ?! ", ""),
        ("caf\u00e9 noise", "caf\u00e9 noise"),
    ],
)
def test_words_are_parted_as_the_treebank_does(text: str, tokens: str) -> None:
    assert caption_tokens(text) == tokens.split()


def test_what_is_no_text_has_no_words() -> None:
    with pytest.raises(TextError, match="a caption is a int"):
        caption_tokens(3)


def bleu_by_hand(captions: list[str], references: list[list[str]], longest: int) -> float:
    """Papineni et al. 2002, with the closest reference's length, of a whole set."""
    matched, possible, length, wanted = [0] * longest, [0] * longest, 0, 0
    for caption, several in zip(captions, references, strict=True):
        words = caption_tokens(caption)
        lengths = [len(caption_tokens(text)) for text in several]
        length, wanted = length + len(words), wanted + min(lengths, key=lambda n: (abs(n - len(words)), n))
        for n in range(longest):

            def grams(of: list[str], n: int = n) -> Counter:
                return Counter(tuple(of[i : i + n + 1]) for i in range(len(of) - n))

            most = Counter()
            for text in several:
                most |= grams(caption_tokens(text))
            matched[n] += (grams(words) & most).total()
            possible[n] += grams(words).total()
    precision = exp(sum(log(m / p) for m, p in zip(matched, possible, strict=True)) / longest)
    return precision * min(1.0, exp(1 - wanted / length))


def test_scores_by_hand() -> None:
    scores = caption_scores(CAPTIONS, REFERENCES)
    assert tuple(scores) == SCORES
    for n in range(1, 4):
        assert scores[f"bleu_{n}"].value == pytest.approx(bleu_by_hand(CAPTIONS, REFERENCES, n), rel=1e-5)
    assert scores["bleu_1"].of_caption is None
    # the longest common subsequence: 4 of 4 and 11 words, 4 of 4 and 4
    precision, recall = 1.0, 4 / 11
    by_longest = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
    by_first = (1 + 1.2**2) * 1.0 * (2 / 3) / (2 / 3 + 1.2**2 * 1.0)
    assert scores["rouge_l"].of_caption[1] == pytest.approx(1.0)
    assert min(by_longest, by_first) <= scores["rouge_l"].of_caption[0] <= 1.0
    assert scores["cider_d"].value == pytest.approx(scores["cider_d"].of_caption.mean())


def test_what_agrees_scores_best_and_what_says_nothing_worst() -> None:
    same = {m.key: m for m in caption_measures([r[1] for r in REFERENCES], REFERENCES, resamples=50)}
    other = {m.key: m for m in caption_measures([r[1] for r in REFERENCES[::-1]], REFERENCES, resamples=50)}
    empty = caption_scores(["", "!"], REFERENCES)
    for name in SCORES:
        assert same[name].value > other[name].value >= 0 and empty[name].value < 0.01 and same[name].name == NAMES[name]
    assert same["bleu_1"].value == pytest.approx(1.0) and same["rouge_l"].value == pytest.approx(1.0)
    assert same["cider_d"].interval is not None and same["bleu_4"].interval is None
    upper = caption_scores([c.upper() + " ..." for c in CAPTIONS], REFERENCES)
    assert [s.value for s in upper.values()] == [s.value for s in caption_scores(CAPTIONS, REFERENCES).values()]


def test_scores_that_need_more_say_what_they_lack(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("AAC_METRICS_CACHE_PATH", str(tmp_path))
    monkeypatch.setenv("FENSE_DATA", str(tmp_path / "fense"))
    missing = unavailable_scores()
    assert set(missing) == set(NAMES) - set(SCORES) and "meteor-1.5.jar" in missing["meteor"]
    assert "echecker" in missing["fense"] and all("aac-metrics-download" in text for text in missing.values())
    for name in missing:
        with pytest.raises(ConfigError, match=f"{NAMES[name]} cannot be computed here: it lacks "):
            caption_scores(CAPTIONS, REFERENCES, [name])
    jar = tmp_path / "aac-metrics/meteor/meteor-1.5.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    assert "meteor-1.5.jar" not in unavailable_scores().get("meteor", "")


def test_what_cannot_be_scored() -> None:
    for captions, references, says in (
        (["rain"], [["rain"]], "at least two"),
        (CAPTIONS, REFERENCES[:1], "2 captions and 1 sets"),
        (CAPTIONS, [["rain"], []], "references of caption 1 are"),
        (CAPTIONS, ["rain", "rain"], "expected a list of one or more"),
    ):
        with pytest.raises(DataError, match=says):
            caption_scores(captions, references)
    with pytest.raises(TextError, match="a reference of caption 1 has no word"):
        caption_scores(CAPTIONS, [["rain"], ["..."]])
    with pytest.raises(ConfigError, match="no score is called 'bleu'"):
        caption_scores(CAPTIONS, REFERENCES, ["bleu"])
    with pytest.raises(ConfigError, match=r"scores is 'bleu_1'; expected a list of names, such as \['bleu_1'\]"):
        caption_scores(CAPTIONS, REFERENCES, "bleu_1")


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aac_metrics", None)
    with pytest.raises(MissingExtraError, match=r"scoring captions .*spatial-audio-lm\[eval\]"):
        caption_scores(CAPTIONS, REFERENCES)
