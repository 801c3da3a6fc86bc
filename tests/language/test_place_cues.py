"""Every word of place or room is noticed, as said or as suggested, and words that only look alike are not."""

import pytest

from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS
from spatial_audio_lm.language.parsing import find_phrases, plain
from spatial_audio_lm.language.place_cues import find_cues
from spatial_audio_lm.language.templates import probe_sentences

SUGGESTED = {
    "the dog left": ("direction", ("left",)),
    "at nine o'clock": ("direction", ()),
    "from the north-east": ("direction", ()),
    "all around": ("direction", ()),
    "in the basement": ("elevation", ("down",)),
    "from the ceiling": ("elevation", ("up",)),
    "three metres away": ("distance", ()),
    "in the background": ("distance", ("far",)),
    "in a cathedral": ("size", ("large",)),
    "in a medium-sized room": ("size", ()),
    "a damp room": ("reverberation", ("acoustically dampened",)),
}
SAID = {
    "the chatter echoes": ("reverberation", ("highly reverberant",)),
    "a room that swallows every echo": ("reverberation", ("acoustically dampened",)),
    "in a sprawling, roomy space": ("size", ("large",)),
    "within easy reach": ("distance", ("near",)),
    "from across the long room": ("distance", ("far",)),
    "on the left barks": ("direction", ("left",)),
}
NOTHING = (
    "the engine revs up",
    "it slows down",
    "back and forth",
    "a small dog",
    "a dog barks right away",
    "close the door",
)


@pytest.mark.parametrize(("text", "expected"), SUGGESTED.items())
def test_suggestions_are_noticed_and_say_nothing(text: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert expected in [(cue.attribute, cue.words) for cue in find_cues(text) if not cue.says]


@pytest.mark.parametrize(("text", "expected"), SAID.items())
def test_more_is_said_than_the_parser_believes(text: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert expected in [(cue.attribute, cue.words) for cue in find_cues(text) if cue.says]


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_like_a_place_is_none(text: str) -> None:
    assert find_cues(text) == []


@pytest.mark.parametrize("name", ATTRIBUTE_WORDS)
def test_every_phrase_of_the_parser_is_a_cue(name: str) -> None:
    for word, sentences in probe_sentences(name).items():
        for sentence in sentences:
            phrases = {(phrase.start, phrase.end) for phrase in find_phrases(sentence)}
            cues = [cue for cue in find_cues(sentence) if cue.says]
            assert phrases and phrases <= {(cue.start, cue.end) for cue in cues}
            assert {(cue.attribute, cue.words) for cue in cues} == {(name, (word,))}


def test_cues_stand_where_they_say_and_know_negation() -> None:
    text = "Not on the left,  but far away"
    left, far = find_cues(text)
    assert plain(text)[left.start : left.end] == "on the left" and left.denied
    assert plain(text)[far.start : far.end] == "far away" and not far.denied
