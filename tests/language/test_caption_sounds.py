"""Sounds that a caption names: in their plural too, and not those that it denies."""

import numpy as np
import pytest

from spatial_audio_lm.errors import DataError, TextError
from spatial_audio_lm.language.attributes import SpatialAttributes
from spatial_audio_lm.language.caption_sounds import read_caption_sounds
from spatial_audio_lm.language.sound_names import ANSWER_NAMES
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES

NAMES = tuple(ANSWER_NAMES.values())
SAID = {
    "sirens wail": ["siren"],
    "two dogs barking, and babies cry": ["dog barking", "baby crying"],
    "clocks tick; a dog's bark": ["clock ticking", "dog barking"],
    "no siren on the left": [],
    "not a siren but a bell": ["bell"],
    "there is no sound of a siren or a bell, only rain": ["rain"],
    "neither dogs nor rain": [],
    "I don't hear any sirens": [],
    "a bell without rain": ["bell"],
    "not only a siren but rain": ["siren", "rain"],
    "a machine that never stops while birds sing": ["bird singing"],
    "in a room without echo there is a dog barking": ["dog barking"],
    "a carpet of leaves": [],
}


@pytest.mark.parametrize(("caption", "names"), SAID.items())
def test_names_are_read_as_a_listener_would(caption: str, names: list[str]) -> None:
    assert list(read_caption_sounds(caption, NAMES)) == names


def test_a_name_of_the_list_means_itself_and_the_longest_counts() -> None:
    names = ["glass", "Glasses", "car", "car alarm", "accelerating, revving, vroom"]
    assert read_caption_sounds("glasses and car alarms", names) == ("Glasses", "car alarm")
    assert read_caption_sounds("accelerating, revving, vroom", names) == (names[-1],)
    assert read_caption_sounds("a dog", ["rain"]) == ()


def test_every_spoken_form_of_a_template_is_read() -> None:
    generator = np.random.default_rng(0)
    for number in range(240):
        sound = SOUND_CLASSES[number % len(SOUND_CLASSES)].id
        room = SpatialAttributes(direction="left", reverberation="acoustically dampened")
        text = write_caption(sound, room, generator, "train" if number % 2 else "heldout")
        assert read_caption_sounds(text, NAMES) == (ANSWER_NAMES[sound],), text


def test_what_is_no_text_or_no_list_is_refused() -> None:
    with pytest.raises(TextError, match="NoneType"):
        read_caption_sounds(None, NAMES)  # type: ignore[arg-type]
    for names in ((), ("rain", ""), ("rain", 3)):
        with pytest.raises(DataError, match="one or more texts"):
            read_caption_sounds("rain", names)  # type: ignore[arg-type]
