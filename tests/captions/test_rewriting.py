"""Rewriting a batch: what passes is kept, what does not is tried again and written by rule at last."""

import json
import logging
from collections.abc import Sequence

import pytest

from spatial_audio_lm.captions.checked_rewriting import RewritingSettings, attempt_seed, rewrite_captions
from spatial_audio_lm.captions.engines import MAX_SEED, Completion, Sampling
from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.plain_sentence import plain_sentence
from spatial_audio_lm.captions.prompts import Prompt
from spatial_audio_lm.captions.verification import Verifier
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.language.attributes import SpatialAttributes
from tests.captions.rule_engine import RuleEngine, facts_asked_for

FACTS = [
    CaptionFacts("A dog barks at a passing car.", SpatialAttributes("left", None, "far", "small")),
    CaptionFacts("rain falls on a tin roof", SpatialAttributes(direction="back")),
    CaptionFacts("the purr of a carrera", SpatialAttributes(elevation="down", size="large")),
]
ONCE = RewritingSettings(attempts=1)


class Scripted:
    """Answers what it is told to, attempt by attempt, and remembers what it was asked."""

    forces_schema = True

    def __init__(self, *attempts: Sequence[str | Completion]):
        self.attempts, self.asked = list(attempts), list[tuple[list[Prompt], list[int]]]()

    def complete(self, prompts: Sequence[Prompt], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        self.asked.append((list(prompts), list(seeds)))
        answers = self.attempts[len(self.asked) - 1]
        assert len(answers) == len(prompts)
        return [answer if isinstance(answer, Completion) else Completion(answer) for answer in answers]


def rewrite(engine: object, settings: RewritingSettings, facts: Sequence[CaptionFacts] = FACTS) -> list:
    return rewrite_captions(facts, range(len(facts)), engine, Verifier(), settings, seed=7)


def test_what_passes_is_not_asked_for_again() -> None:
    good = [plain_sentence(facts) for facts in FACTS]
    engine = Scripted(
        [good[0], "A cat meows behind me.", good[2]],
        ["Rain falls on a tin roof on the right."],
        [f"Sure, here it is: '{good[1]}'"],
    )
    results = rewrite(engine, RewritingSettings(attempts=5))
    assert [(r.spatial_caption, r.source, r.attempts) for r in results] == [
        (good[0], "llm", 1), (good[1], "llm", 3), (good[2], "llm", 1)
    ]  # fmt: skip
    assert [len(prompts) for prompts, _ in engine.asked] == [3, 1, 1]
    seeds = [seed for _, given in engine.asked for seed in given]
    assert len(set(seeds)) == 5 and seeds[3] == attempt_seed(7, 1, 2)
    refused = results[1].rejections
    assert [rejected.attempt for rejected in refused] == [1, 2] and refused[0].text == "A cat meows behind me."
    assert {(problem.reason, problem.attribute) for problem in refused[1].reasons} >= {("attribute wrong", "direction")}


def test_after_the_last_attempt_the_rule_writes() -> None:
    bad = ["", "<think>what", Completion("A purring cat named Carrera", finished=False)]
    results = rewrite(Scripted(bad, bad), RewritingSettings(attempts=2))
    for result, facts in zip(results, FACTS, strict=True):
        assert (result.source, result.attempts, len(result.rejections)) == ("template", 2, 2)
        assert result.spatial_caption == plain_sentence(facts)
    assert [r.rejections[0].reasons[0].reason for r in results] == ["empty", "empty", "cut off"]
    assert results[1].rejections[0].text == "<think>what"


def test_the_papers_hallucinations_are_rejected() -> None:
    facts = [
        CaptionFacts("the purr of a carerra", SpatialAttributes(direction="left")),
        CaptionFacts("the sounds of papers turning", SpatialAttributes(elevation="down")),
    ]
    answers = [
        "On the left, the purring cat named Carerra can be heard.",
        "The sound of someone shuffling cards in the basement.",
    ]
    assert [result.source for result in rewrite(Scripted(answers), ONCE, facts)] == ["template", "template"]


def test_slots_are_read_and_compared() -> None:
    def answer(facts: CaptionFacts, **changed: str) -> str:
        return json.dumps(vars(facts.attributes) | {"caption": plain_sentence(facts)} | changed)

    settings = RewritingSettings(prompt="structured", attempts=1)
    engine = Scripted([answer(FACTS[0]), answer(FACTS[1], direction="left"), answer(FACTS[2])[:-5]])
    results = rewrite(engine, settings)
    assert [result.source for result in results] == ["llm", "template", "template"]
    assert [(p.reason, p.attribute) for p in results[1].rejections[0].reasons] == [("slot wrong", "direction")]
    assert [(p.reason, p.attribute) for p in results[2].rejections[0].reasons] == [("not JSON", None)]
    assert all(prompt.schema for prompt in engine.asked[0][0])


def test_every_rejection_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "spatial_audio_lm.captions"):
        rewrite(Scripted(["", plain_sentence(FACTS[1]), "A cat."]), ONCE)
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("caption 0, attempt 1: empty") for line in lines)
    assert any(line.startswith("caption 2, attempt 1: attribute missing elevation") for line in lines)
    assert not any(line.startswith("caption 1") for line in lines)


def test_a_caption_does_not_hang_on_its_neighbours() -> None:
    together = rewrite(RuleEngine(), RewritingSettings(attempts=3))
    for number, facts in enumerate(FACTS):
        alone = rewrite_captions([facts], [number], RuleEngine(), Verifier(), RewritingSettings(attempts=3), 7)
        assert alone == [together[number]]


def test_the_record_is_plain_data() -> None:
    result = rewrite(Scripted(["", "", ""]), ONCE)[0].to_dict()
    assert list(result) == ["caption", "spatial_caption", "attributes", "source", "attempts", "rejections"]
    assert json.loads(json.dumps(result)) == result
    assert result["attributes"]["direction"] == "left" and result["attributes"]["elevation"] is None


def test_seeds_are_what_engines_take_and_differ() -> None:
    seeds = {attempt_seed(seed, number, attempt) for seed in range(3) for number in range(50) for attempt in (1, 2)}
    assert len(seeds) == 300 and min(seeds) >= 0 and max(seeds) <= MAX_SEED


def test_the_rule_engine_reads_its_prompts() -> None:
    engine = Scripted(["", "", ""])
    rewrite(engine, ONCE)
    for prompt, facts in zip(engine.asked[0][0], FACTS, strict=True):
        assert facts_asked_for(prompt.text) == CaptionFacts(facts.caption.rstrip("."), facts.attributes)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="attempts is 0"):
        RewritingSettings(attempts=0)
    with pytest.raises(ConfigError, match="did you mean 'gemma'"):
        RewritingSettings(chat_format="gema")
