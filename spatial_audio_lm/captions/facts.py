"""What a rewritten caption has to say: the sound as it was captioned, and the words of its place and room."""

from __future__ import annotations

from dataclasses import dataclass

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.caption_text import require_caption
from spatial_audio_lm.language.parsing import words_said


@dataclass(frozen=True)
class CaptionFacts:
    """A sound caption and what is known of the sound's place and room.

    Attributes:
        caption: the sound in somebody's words, without the place given here ("a dog barks at a passing car").
        attributes: what is to be said beside it; a field that is None is not to be said.

    Raises:
        TextError: the caption is none: see `require_caption`.
        ConfigError: the attributes are no `SpatialAttributes`.
    """

    caption: str
    attributes: SpatialAttributes

    def __post_init__(self) -> None:
        require_caption(self.caption)
        if not isinstance(self.attributes, SpatialAttributes):
            raise ConfigError(f"attributes are a {type(self.attributes).__name__}; expected SpatialAttributes")

    def contradicted(self) -> dict[str, frozenset[str]]:
        """The given attributes of which the caption itself says another word, or two, with what it says.

        "Rain in a large hall" contradicts a small room: no text could say both and be true.
        """
        own = words_said(self.caption)
        given = {name: getattr(self.attributes, name) for name in ATTRIBUTE_WORDS}
        return {name: words for name, words in own.items() if given[name] and words != {given[name]}}
