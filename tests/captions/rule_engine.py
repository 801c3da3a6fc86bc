"""Language models of a few lines, to see what a job makes of good and bad answers: rules, and a chance of their own."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spatial_audio_lm.captions.engines import Completion, Sampling
from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.plain_sentence import plain_sentence
from spatial_audio_lm.captions.prompts import Prompt
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes

_ASKED = re.compile(r"The sound: (.*?)(?: is coming from (.*?) room)?\. Put this", re.DOTALL)


def facts_asked_for(prompt: str) -> CaptionFacts:
    """Reads ELSA's form back."""
    found = _ASKED.search(prompt)
    assert found is not None, prompt
    said = {
        name: word
        for name, words in ATTRIBUTE_WORDS.items()
        for word in words
        if re.search(rf"\b{word}\b", found[2] or "")
    }
    return CaptionFacts(found[1], SpatialAttributes(**said))


class RuleEngine:
    """Answers ELSA's prompt: rightly, with the first fact lost, with one invented, or with no answer, by the seed."""

    forces_schema = False

    def complete(self, prompts: Sequence[Prompt], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        return [self._one(prompt, random.Random(seed).random()) for prompt, seed in zip(prompts, seeds, strict=True)]

    def _one(self, prompt: Prompt, chance: float) -> Completion:
        facts = facts_asked_for(prompt.text)
        if chance < 0.15:
            said = {name: word for name, word in vars(facts.attributes).items() if word}
            lost = dict.fromkeys(list(said)[:1])
            facts = CaptionFacts(facts.caption, SpatialAttributes(**said | lost))
        elif chance < 0.3:
            opposite = "right" if facts.attributes.direction != "right" else "left"
            facts = CaptionFacts(facts.caption, SpatialAttributes(**vars(facts.attributes) | {"direction": opposite}))
        elif chance < 0.35:
            return Completion("A sentence that never", finished=False)
        return Completion(f'Sure, here is the sentence: "{plain_sentence(facts)}"')


@dataclass(frozen=True)
class RuleEngineChoice:
    """Opens a `RuleEngine`, in any process."""

    name: str = "rules"

    def open(self) -> RuleEngine:
        return RuleEngine()

    def identity(self) -> dict[str, Any]:
        return {"name": self.name}

    def check(self, prompts: list[str], max_tokens: int) -> None:
        for prompt in prompts:
            facts_asked_for(prompt)
