"""Reading people's own wordings: what is said is found, what is denied or only looks alike is not."""

import pytest

from spatial_audio_lm.errors import TextError
from spatial_audio_lm.language.attributes import SpatialAttributes
from spatial_audio_lm.language.parsing import parse_attributes, words_said

SAID = {
    "a dog barking from the left, far away": {"direction": "left", "distance": "far"},
    "rain from behind": {"direction": "back"},
    "Dog barking, left, far away.": {"direction": "left", "distance": "far"},
    "hear a dog barking on my left hand side": {"direction": "left"},
    "right next to me": {"distance": "near"},
    "on the right next to me": {"direction": "right", "distance": "near"},
    "a small dog in a large room": {"size": "large"},
    "in front of the microphone": {"direction": "front"},
    "a bird from up above": {"elevation": "up"},
    "a helicopter flying overhead to the right, in a big dry hall": {
        "direction": "right",
        "elevation": "up",
        "size": "large",
    },
    "sound: left": {"direction": "left"},
    "the sound comes from the far left of a large, echoing room": {
        "direction": "left",
        "distance": "far",
        "size": "large",
        "reverberation": "highly reverberant",
    },
    "a motor from the upper right": {"direction": "right", "elevation": "up"},
    "Emanating from the far end of a highly reverberant room, a motor.": {
        "distance": "far",
        "reverberation": "highly reverberant",
    },
    "In a large room, a sound of a distant voice and chirping is emanating from the right side": {
        "direction": "right",
        "distance": "far",
        "size": "large",
    },
    "the room is small and very reverberant; steps nearby": {
        "distance": "near",
        "size": "small",
        "reverberation": "highly reverberant",
    },
    "a room with no echo where it rains on the left": {
        "direction": "left",
        "reverberation": "acoustically dampened",
    },
    "he left his back door open in front of me": {"direction": "front"},
    "left behind on the left": {"direction": "left"},
    "rain somewhere above in a cavernous, echo-filled room": {
        "elevation": "up",
        "size": "large",
        "reverberation": "highly reverberant",
    },
    "bees from the near upper right": {"direction": "right", "elevation": "up", "distance": "near"},
    "a bell from the distant left, at arm's length": {"direction": "left"},
    "in a snug, soundproofed booth, a few steps away": {
        "distance": "near",
        "size": "small",
        "reverberation": "acoustically dampened",
    },
    "a siren far left": {"direction": "left"},
    "far behind, low to the ground": {"direction": "back", "elevation": "down", "distance": "far"},
}
DENIED = {
    "a dog barking, not from the left": {},
    "it isn't on the left": {},
    "it isn\u2019t on the left": {},
    "not from the left but from the right": {"direction": "right"},
    "not far away": {},
    "neither from the left nor from behind": {},
    "never from above": {},
    "rain rather than wind from above": {},
    "not in a small room": {},
    "not only from the left, also nearby": {"direction": "left", "distance": "near"},
}
NOT_SAID = (
    "",
    "a bag left behind",
    "the dog left",
    "the dog left the room",
    "a car turns right",
    "behind the house",
    "a dog behind a door",
    "all right, close the door",
    "back and forth",
    "the engine speeds up",
    "a small dog barks",
    "In a medium-sized room, people talk",
    "from the left of the car",
    "to the left of a house",
    "in front of the house",
    "above the trees",
    "near a river",
    "far from the city",
    "the right foot",
    "at the right time",
    "on the right track",
    "from the left speaker",
    "walks up the stairs",
    "calm down",
    "so far so good",
    "an echoing voice",
    "a big engine",
    "the car pulls up close",
    "clouds above and below a ridge",
    "up front",
    "a boomy voice",
    "he claps his left or right hand",
    "the front left tyre squeals",
    "a siren goes up and down",
)
CONTRADICTIONS = (
    "a dog on the left and a cat on the right",
    "a dog behind me on the left",
    "from the left to the right",
    "a small room that is large",
    "left or right siren",
    "a siren from the left or the right",
    "A car passes from left to right",
    "a siren on the front left",
    "rain, near or far",
    "a bird above or below",
    "in a small or large room",
    "in a reverberant or dampened room",
)


@pytest.mark.parametrize(("caption", "words"), [*SAID.items(), *DENIED.items()])
def test_what_is_said_is_found_and_what_is_denied_is_not(caption: str, words: dict[str, str]) -> None:
    assert parse_attributes(caption) == SpatialAttributes(**words)


@pytest.mark.parametrize("caption", NOT_SAID)
def test_nothing_is_invented(caption: str) -> None:
    assert parse_attributes(caption) == SpatialAttributes()


@pytest.mark.parametrize("caption", CONTRADICTIONS)
def test_of_two_answers_neither_is_believed(caption: str) -> None:
    assert parse_attributes(caption) == SpatialAttributes()
    assert [len(words) for words in words_said(caption).values()] == [2]


def test_what_is_said_is_told_from_what_contradicts_itself() -> None:
    assert words_said("rain, left or right, far away") == {"direction": {"left", "right"}, "distance": {"far"}}
    assert words_said("rain, not on the left or right") == words_said("rain") == {}


def test_only_text_is_parsed() -> None:
    with pytest.raises(TextError, match="bytes"):
        parse_attributes(b"rain")  # type: ignore[arg-type]
