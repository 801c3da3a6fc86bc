"""Why a rewritten caption is not kept: a closed list of reasons."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from spatial_audio_lm.errors import ConfigError

REASONS = MappingProxyType(
    {
        "empty": "there are no words",
        "too long": "far more words than the sound and its place need",
        "not English": "letters of another script, or small words of another language",
        "not one sentence": "several sentences or lines",
        "not stated": "it is asked or supposed, not said",
        "talk left": "the model's talk, markup or quotes are left in it",
        "attribute missing": "an attribute that is given is not said, or said only of something else",
        "attribute wrong": "an attribute that is given is said with another word",
        "attribute invented": "an attribute that is not given is said",
        "attribute moved": "a place is said of one of several sounds only",
        "denied": "something is denied that nobody denied",
        "sound lost": "too little of the sound caption is left",
        "sound invented": "something sounds, or is somewhere, that the sound caption does not have",
        "not alike": "as a sentence it is too far from the facts",
    }
)
"""Every reason, and what it means."""


@dataclass(frozen=True)
class Rejection:
    """One reason against a caption.

    Attributes:
        reason: a key of `REASONS`.
        attribute: the attribute that it is about, or None.
        detail: what was found, in words.

    Raises:
        ConfigError: there is no such reason.
    """

    reason: str
    attribute: str | None
    detail: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ConfigError(f"no reason {self.reason!r}; expected one of {', '.join(REASONS)}")
