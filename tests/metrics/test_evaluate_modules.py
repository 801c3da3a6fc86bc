"""The modules for `evaluate`: loaded by path without network, and the same numbers as the functions behind them."""

from pathlib import Path

import pytest

import spatial_audio_lm
from spatial_audio_lm.errors import TextError
from spatial_audio_lm.metrics.captioning import SCORES, caption_scores

MODULES = Path(spatial_audio_lm.__file__).parent / "metrics" / "evaluate_modules"
CAPTIONS = ["a dog barking on the left", "rain behind me, far away"]
TRUE = ["A dog barks? No: a dog barking on the left in a small room", "rain in front of me"]


@pytest.fixture(autouse=True)
def without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_MODULES_CACHE", "HF_EVALUATE_CACHE", "HF_METRICS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_EVALUATE_OFFLINE", "1")


@pytest.mark.parametrize("suffix", ["", "/spatial_captions.py"], ids=["folder", "file"])
def test_spatial_captions_by_path(suffix: str) -> None:
    import evaluate

    score = evaluate.load(f"{MODULES / 'spatial_captions'}{suffix}")
    answer = score.compute(predictions=CAPTIONS, references=TRUE)
    assert answer["sound_right"] == 1 and answer["direction_right"] == 0.5 and answer["size_right"] == 0
    assert answer["distance_invented"] == 0.5 and answer["all_right"] == 0
    assert answer["counts"]["direction"] == {
        "known": 2, "right": 1, "wrong": 1, "missing": 0, "unknown": 0, "invented": 0, "said": 2
    }  # fmt: skip
    score.add_batch(predictions=CAPTIONS[:1], references=TRUE[:1])
    score.add(prediction=CAPTIONS[1], reference=TRUE[1])
    assert score.compute() == answer
    named = score.compute(predictions=["a whale"] * 2, references=["a whale", "rain"], names=["whale", "rain"])
    assert named["sound_right"] == 0.5
    with pytest.raises(TextError, match="reference 1 is empty; expected a sentence"):
        score.compute(predictions=CAPTIONS, references=[TRUE[0], " "])


def test_caption_scores_by_path() -> None:
    import evaluate

    score = evaluate.load(str(MODULES / "caption_scores"))
    references = [["a dog barks", "a dog on the left"], ["rain far away"]]
    answer = score.compute(predictions=CAPTIONS, references=references)
    assert answer == {name: s.value for name, s in caption_scores(CAPTIONS, references).items()} and set(answer) == {
        *SCORES
    }
    assert set(score.compute(predictions=CAPTIONS, references=references, scores=["rouge_l"])) == {"rouge_l"}
