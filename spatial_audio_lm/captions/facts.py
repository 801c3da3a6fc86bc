"""What a rewritten caption has to say: the sound as it was captioned, and the words of its place and room."""

from __future__ import annotations

from dataclasses import dataclass

from spatial_audio_lm.errors import ConfigError, TextError
from spatial_audio_lm.language.attributes import SpatialAttributes


@dataclass(frozen=True)
class CaptionFacts:
    """A sound caption and what is known of the sound's place and room.

    Attributes:
        caption: the sound in somebody's words, without the place given here ("a dog barks at a passing car").
        attributes: what is to be said beside it; a field that is None is not to be said.

    Raises:
        TextError: the caption is no text, or an empty one.
        ConfigError: the attributes are no `SpatialAttributes`.
    """

    caption: str
    attributes: SpatialAttributes

    def __post_init__(self) -> None:
        if not isinstance(self.caption, str | None):
            shown = f"{self.caption!r:.40} ({type(self.caption).__name__})"
            raise TextError(f"the caption is {shown}; expected what sounds, in words")
        if self.caption is None or not self.caption.strip():
            raise TextError("the caption is empty; expected what sounds, in words")
        if not isinstance(self.attributes, SpatialAttributes):
            raise ConfigError(f"attributes are a {type(self.attributes).__name__}; expected SpatialAttributes")
