"""What a recording answers to a question in words: the words, and what they say as far as the grammar tells."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from spatial_audio_lm.language.answers import AXES, read_distance, read_names, read_side, read_yes_no

_YES_OR_NO_ALONE = re.compile(r"\s*(yes|no)\s*[.!]?\s*", flags=re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class SpokenAnswer:
    """The words of a model about one stretch of a recording, and what they say.

    Words are read by the grammar of `language.answers`. What an answer does not say is None, and so is what it says in
    other words; where it names two sides of one axis, neither is believed.

    Attributes:
        text: The words as the model gave them.
        confidence: The model's own probability of exactly these words, in [0, 1]; how often it is right with so much
            was not measured.
        complete: Whether the answer ended by itself; False: it was cut off at the longest that is allowed.
        yes: True for yes, False for no.
        left_right: "left" or "right".
        front_behind: "front" or "behind".
        above_below: "above" or "below".
        distance_m: Metres.
        sounds: Names of sounds, each as its class is called.
        reason: Why the recording has no direction ("mono: ...", "identical channels: ..."): then yes, sides and
            distance are None, whatever the words say; None if it may have one.
        start_s: Where the stretch begins.
        end_s: Where it ends.
        level_db: Its mean level in decibels below full scale.
    """

    text: str
    confidence: float
    complete: bool
    yes: bool | None = None
    left_right: str | None = None
    front_behind: str | None = None
    above_below: str | None = None
    distance_m: float | None = None
    sounds: tuple[str, ...] | None = None
    reason: str | None = None
    start_s: float
    end_s: float
    level_db: float = -math.inf

    @classmethod
    def read(cls, text: str, names: Collection[str], reason: str | None = None, **about: Any) -> "SpokenAnswer":
        """Reads the words of an answer.

        Args:
            text: The words.
            names: Of the sounds that may be named.
            reason: Why the recording has no direction, if it has none.
            **about: The attributes that are not read.
        """
        answer = cls(text=text, reason=reason, **about)
        answer = replace(answer, sounds=read_names(text, names).names or None)
        if reason is not None:
            return answer
        front_behind, left_right, above_below = (read_side(text, axis) for axis in AXES)
        return replace(
            answer,
            yes=read_yes_no(text),
            left_right=left_right,
            front_behind=front_behind,
            above_below=above_below,
            distance_m=read_distance(text),
        )

    @property
    def answer(self) -> str:
        """The text, but "yes" or "no" where it is one of the two and nothing else, however it is written."""
        alone = _YES_OR_NO_ALONE.fullmatch(self.text)
        return alone[1].lower() if alone else self.text

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        return {
            "answer": self.answer,
            "text": self.text,
            "confidence": round(self.confidence, 4),
            "complete": self.complete,
            "yes": self.yes,
            "left_right": self.left_right,
            "front_behind": self.front_behind,
            "above_below": self.above_below,
            "distance_m": self.distance_m,
            "sounds": None if self.sounds is None else list(self.sounds),
            "reason": self.reason,
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
        }


@dataclass(frozen=True, kw_only=True)
class AnsweredQuestion:
    """The answer of a whole recording to one question.

    Attributes:
        file: Path of the recording, None for an array.
        question: As it was asked.
        best: The answer: of a long recording that of one of its windows.
        windows: The answers of all windows in which there is something to hear, in order of time; one for a recording
            that is heard as a whole.
        resampled_from: Sample rate of the recording where it is not the model's, else None.
        warnings: What is doubtful about the recording.
    """

    file: str | None
    question: str
    best: SpokenAnswer
    windows: tuple[SpokenAnswer, ...]
    resampled_from: int | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        return {
            "file": self.file,
            "question": self.question,
            **self.best.to_dict(),
            "windows": [window.to_dict() for window in self.windows],
            "resampled_from": self.resampled_from,
            "warnings": list(self.warnings),
        }
