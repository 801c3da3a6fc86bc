"""What a captioner says of a recording: the words, and what they say of sound, place and room."""

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

from spatial_audio_lm.language.attributes import SpatialAttributes
from spatial_audio_lm.language.caption_sounds import read_caption_sounds
from spatial_audio_lm.language.parsing import parse_attributes


@dataclass(frozen=True, kw_only=True)
class WrittenCaption:
    """The words of a model about one stretch of a recording, and what they say.

    Attributes:
        caption: The words as the model gave them.
        confidence: The model's own probability of a token, in [0, 1]: the geometric mean over those of the caption and
            the one that ends it. It compares stretches, however long their captions are, not captions of other models;
            how often a caption is right with so much was not measured.
        complete: Whether the caption ended by itself; False: it was cut off at the longest that is allowed.
        sounds: Names of sounds that are named, each as its class is called.
        attributes: What is said of place and room in ELSA's words; direction, elevation and distance are None where the
            recording has no direction, whatever the words say.
        reason: Why it has none ("mono: ...", "identical channels: ..."); None if it may have one.
        start_s: Where the stretch begins.
        end_s: Where it ends.
        level_db: Its mean level in decibels below full scale.
    """

    caption: str
    confidence: float
    complete: bool
    sounds: tuple[str, ...] | None = None
    attributes: SpatialAttributes
    reason: str | None = None
    start_s: float
    end_s: float
    level_db: float = -math.inf

    @classmethod
    def read(cls, text: str, names: Collection[str], reason: str | None = None, **about: Any) -> "WrittenCaption":
        """Reads the words of a caption.

        Args:
            text: The words.
            names: Of the sounds that may be named.
            reason: Why the recording has no direction, if it has none.
            **about: The attributes that are not read.
        """
        attributes = parse_attributes(text)
        if reason is not None:
            attributes = replace(attributes, direction=None, elevation=None, distance=None)
        sounds = read_caption_sounds(text, names) or None
        return cls(caption=text, sounds=sounds, attributes=attributes, reason=reason, **about)

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        return {
            "caption": self.caption,
            "confidence": round(self.confidence, 4),
            "complete": self.complete,
            "sounds": None if self.sounds is None else list(self.sounds),
            **asdict(self.attributes),
            "reason": self.reason,
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
        }


@dataclass(frozen=True, kw_only=True)
class CaptionedRecording:
    """The caption of a whole recording.

    Attributes:
        file: Path of the recording, None for an array.
        best: The caption: of a long recording that of one of its windows.
        windows: The captions of all windows in which there is something to hear, in order of time; one for a recording
            that is heard as a whole.
        resampled_from: Sample rate of the recording where it is not the model's, else None.
        warnings: What is doubtful about the recording.
    """

    file: str | None
    best: WrittenCaption
    windows: tuple[WrittenCaption, ...]
    resampled_from: int | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields for strict JSON."""
        return {
            "file": self.file,
            **self.best.to_dict(),
            "windows": [window.to_dict() for window in self.windows],
            "resampled_from": self.resampled_from,
            "warnings": list(self.warnings),
        }
