"""A caption rewritten, checked, tried again with other chance, and written by rule where nothing passed."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from spatial_audio_lm.captions.engines import MAX_SEED, Completion, Engine, Sampling
from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.plain_sentence import plain_sentence
from spatial_audio_lm.captions.prompts import PromptWriter
from spatial_audio_lm.captions.replies import Problem, read_sentence, read_slots
from spatial_audio_lm.captions.verification import Verdict
from spatial_audio_lm.errors import ConfigError

_logger = logging.getLogger(__name__)


class CaptionChecker(Protocol):
    """What says whether texts keep the facts: `verification.Verifier`."""

    def check_all(self, texts: list[str], facts: list[CaptionFacts]) -> list[Verdict]: ...


@dataclass(frozen=True)
class RewritingSettings:
    """How captions are asked for.

    Attributes:
        prompt: "elsa" or "structured", see `prompts`.
        chat_format: of the model, see `chat_formats`.
        attempts: how often a caption is tried, each time with another seed, before it is written by rule.
        sampling: of an answer.
    """

    prompt: str = "elsa"
    chat_format: str = "chatml"
    attempts: int = 4
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        PromptWriter(self.prompt, self.chat_format)
        if self.attempts < 1:
            raise ConfigError(f"attempts is {self.attempts}; expected at least 1")


@dataclass(frozen=True)
class Rejected:
    """An answer that was not taken: which attempt, its caption (the whole answer where it had none), and why."""

    attempt: int
    text: str
    reasons: tuple[Problem, ...]


@dataclass(frozen=True)
class RewrittenCaption:
    """A spatial caption with its history.

    Attributes:
        facts: that it says.
        spatial_caption: the result.
        source: "llm", or "template" where no attempt passed.
        attempts: how many were made.
        rejections: those that did not pass, in their order.
    """

    facts: CaptionFacts
    spatial_caption: str
    source: str
    attempts: int
    rejections: tuple[Rejected, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data: caption, spatial_caption, attributes, source, attempts, rejections."""
        return {
            "caption": self.facts.caption,
            "spatial_caption": self.spatial_caption,
            "attributes": asdict(self.facts.attributes),
            "source": self.source,
            "attempts": self.attempts,
            "rejections": [
                {"attempt": rejected.attempt, "text": rejected.text, "reasons": [asdict(r) for r in rejected.reasons]}
                for rejected in self.rejections
            ],
        }


def rewrite_captions(
    facts: Sequence[CaptionFacts],
    numbers: Sequence[int],
    engine: Engine,
    checker: CaptionChecker,
    settings: RewritingSettings,
    seed: int,
) -> list[RewrittenCaption]:
    """Rewrite a batch of captions.

    Args:
        facts: what each caption has to say.
        numbers: of the captions in their data set: a caption's chance comes of (seed, number, attempt) alone.
        engine: the language model.
        checker: a `Verifier`.
        settings: how they are asked for.
        seed: of the whole data set.

    Returns:
        One result a caption. Every rejection is also logged, at level DEBUG.

    Raises:
        TextError: a caption holds a marker of a chat format.
        ConfigError: a prompt does not fit into the model's context.
    """
    write = PromptWriter(settings.prompt, settings.chat_format)
    prompts = [write(item) for item in facts]
    rejections: list[list[Rejected]] = [[] for _ in facts]
    accepted: dict[int, str] = {}
    for attempt in range(1, settings.attempts + 1):
        waiting = [place for place in range(len(facts)) if place not in accepted]
        if not waiting:
            break
        seeds = [attempt_seed(seed, numbers[place], attempt) for place in waiting]
        answers = engine.complete([prompts[place] for place in waiting], seeds, settings.sampling)
        asked = [facts[place] for place in waiting]
        for place, (text, problems) in zip(
            waiting, judge(answers, asked, checker, settings.prompt == "structured"), strict=True
        ):
            if not problems:
                accepted[place] = text
                continue
            rejections[place].append(Rejected(attempt, text, tuple(problems)))
            for problem in problems:
                _logger.debug(
                    "caption %d, attempt %d: %s %s (%s): %r",
                    numbers[place], attempt, problem.reason, problem.attribute or "", problem.detail, text,
                )  # fmt: skip
    return [
        RewrittenCaption(
            item,
            accepted[place] if place in accepted else plain_sentence(item),
            "llm" if place in accepted else "template",
            len(refused) + (place in accepted),
            tuple(refused),
        )
        for place, (item, refused) in enumerate(zip(facts, rejections, strict=True))
    ]


def judge(
    answers: Sequence[Completion], facts: Sequence[CaptionFacts], checker: CaptionChecker, structured: bool
) -> list[tuple[str, list[Problem]]]:
    """The caption in each answer, and all that is wrong with it.

    Args:
        answers: of the model.
        facts: that it was given.
        checker: judges what is a sentence.
        structured: answers are JSON with slots.
    """
    read: list[tuple[str, list[Problem]]] = []
    for answer, item in zip(answers, facts, strict=True):
        text, problems = read_slots(answer.text, item) if structured else read_sentence(answer.text)
        if not answer.finished:
            problems = [Problem("cut off", detail="the answer had not ended at max_tokens"), *problems]
        read.append((text or " ".join(answer.text.split()), problems))
    sound = [place for place, (_, problems) in enumerate(read) if not problems]
    verdicts = checker.check_all([read[place][0] for place in sound], [facts[place] for place in sound])
    for place, verdict in zip(sound, verdicts, strict=True):
        if not verdict.accepted:
            text = read[place][0]
            read[place] = (text, [Problem(r.reason, r.attribute, r.detail) for r in verdict.reasons])
    return read


def attempt_seed(seed: int, number: int, attempt: int) -> int:
    """The seed of one attempt at one caption, 0 to `MAX_SEED`."""
    return int(np.random.SeedSequence([seed, number, attempt]).generate_state(1)[0]) & MAX_SEED
