"""Facts refuse what is no caption and no attributes, where they are made."""

import pytest

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.errors import ConfigError, TextError
from spatial_audio_lm.language.attributes import SpatialAttributes


def test_facts_are_values() -> None:
    near = SpatialAttributes(distance="near")
    assert CaptionFacts("rain", near) == CaptionFacts("rain", near)
    assert len({CaptionFacts("rain", near), CaptionFacts("rain", near), CaptionFacts("rain", SpatialAttributes())}) == 2


@pytest.mark.parametrize(
    ("caption", "said"),
    [("", "empty"), (" \n", "empty"), (7, "int"), (None, "empty"), ("42", "without a word"), ("N/A", "programs write")],
)
def test_only_a_text_with_words_is_a_caption(caption: str, said: str) -> None:
    with pytest.raises(TextError, match=said):
        CaptionFacts(caption, SpatialAttributes())


def test_only_attributes_are_attributes() -> None:
    with pytest.raises(ConfigError, match="dict"):
        CaptionFacts("rain", {"distance": "near"})  # type: ignore[arg-type]
