"""Captions: every combination is sound English by rule, says what is stated and nothing else, and is reproducible."""

import itertools
import re
import time

import numpy as np
import pytest

from spatial_audio_lm.errors import ConfigError, TextError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes, spatial_attributes
from spatial_audio_lm.language.parsing import parse_attributes
from spatial_audio_lm.language.shapes import GENERIC_SHAPES, HELDOUT_SHAPES, TRAIN_SHAPES
from spatial_audio_lm.language.templates import probe_sentences, training_words, write_caption
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES

COMBINATIONS = [
    SpatialAttributes(*words) for words in itertools.product(*[(None, *words) for words in ATTRIBUTE_WORDS.values()])
]
SOUNDS = [sound.id for sound in SOUND_CLASSES] + [None] * 6
BAD_ENGLISH = re.compile(
    r"  | ,|,,|, ?$|: ?$|^[,: ]|[{}\[\]]|\b(\w+) \1\b|\ba [aeio]\w+|\ban [^aeio ]\w+|\bsound of (?:a|some) sound\b"
    r"|\bsound of something\b|\( |\(\)|\bin in\b|\bfrom from\b|\bis \w*(?:waves|footsteps|steps|ticks)\b|\bthe a\b"
)


def patterns(lines: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in lines.split("\n") if line]


def many_captions(forms: str, rounds: int) -> list[tuple[str, SpatialAttributes]]:
    generator = np.random.default_rng(7)
    return [
        (write_caption(SOUNDS[generator.integers(len(SOUNDS))], attributes, generator, forms), attributes)
        for _ in range(rounds)
        for attributes in COMBINATIONS
    ]


def test_there_are_enough_shapes_and_training_never_shows_a_held_out_one() -> None:
    train, heldout = set(patterns(TRAIN_SHAPES)), set(patterns(HELDOUT_SHAPES))
    assert len(train) >= 40
    assert len(heldout) >= 8
    assert len(train) == len(patterns(TRAIN_SHAPES)), "a shape is listed twice"

    def words(pattern: str) -> str:
        return " ".join(re.findall(r"[a-z]+", re.sub(r"{\w+}", "", pattern)))

    seen = {words(pattern) for pattern in train | set(patterns(GENERIC_SHAPES))}
    for pattern in heldout:
        assert words(pattern) not in seen, pattern


@pytest.mark.parametrize("forms", ["train", "heldout"])
def test_round_trip_through_the_parser(forms: str) -> None:
    for caption, attributes in many_captions(forms, rounds=15):
        assert parse_attributes(caption) == attributes, caption


@pytest.mark.parametrize("forms", ["train", "heldout"])
def test_captions_are_clean_english(forms: str) -> None:
    for caption, _ in many_captions(forms, rounds=15):
        fault = BAD_ENGLISH.search(re.sub(r"^\w", lambda first: first[0].lower(), caption))
        assert not fault, f"{caption!r}: {fault[0]!r}"
        assert caption.isascii()
        assert len(caption) < 220


def test_captions_vary() -> None:
    generator = np.random.default_rng(0)
    left_far = SpatialAttributes(direction="left", distance="far")
    captions = {write_caption("dog_bark", left_far, generator) for _ in range(2000)}
    assert len(captions) > 1000
    for attributes in COMBINATIONS[:: len(COMBINATIONS) // 40]:
        assert len({write_caption("rain", attributes, generator).lower() for _ in range(200)}) >= 40


def test_natural_queries_are_among_the_training_captions() -> None:
    generator = np.random.default_rng(0)

    def written(sound: str | None, **words: str) -> set[str]:
        attributes = SpatialAttributes(**words)
        return {write_caption(sound, attributes, generator).lower() for _ in range(6000)}

    barking = written("dog_bark", direction="left", distance="far")
    assert "a dog barking from the left, far away" in barking
    assert "dog barking, left, far away" in barking
    left = written("dog_bark", direction="left")
    assert {"a dog on the left", "hear a dog barking on my left hand side", "a dog barking from the left"} <= left
    assert {"rain from behind", "rain, behind"} <= written("rain", direction="back")
    assert {"dog", "a dog barking", "the sound of a dog barking"} <= written("dog_bark")
    assert {"from behind", "a sound coming from behind"} <= written(None, direction="back")


def test_the_generator_decides_and_advances_alike() -> None:
    attributes = spatial_attributes(azimuth_deg=90, distance_m=3, floor_area_m2=20)
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    assert write_caption("rain", attributes, first) == write_caption("rain", attributes, second)
    write_caption("rain", attributes, first)
    write_caption(None, SpatialAttributes(), second, "heldout")
    assert first.random() == second.random()


def test_any_noun_phrase_can_sound() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        assert "two dogs quarrelling" in write_caption(
            "two  dogs quarrelling.", SpatialAttributes(direction="left"), generator
        ).replace("Two", "two")
    with pytest.raises(TextError, match="empty"):
        write_caption(" ", SpatialAttributes(), generator)
    with pytest.raises(ConfigError, match="'heldout'"):
        write_caption("rain", SpatialAttributes(), generator, "test")


def test_training_words_cover_training_captions() -> None:
    words = training_words()
    for caption, _ in many_captions("train", rounds=10):
        assert set(re.findall(r"[a-z']+", caption.lower())) <= words, caption


@pytest.mark.parametrize("attribute", ATTRIBUTE_WORDS)
def test_probes_say_their_word_in_elsas_form(attribute: str) -> None:
    probes = probe_sentences(attribute)
    assert tuple(probes) == ATTRIBUTE_WORDS[attribute]
    for word, sentences in probes.items():
        assert sentences[0].startswith("A sound coming from ")
        assert word in sentences[0]
        for sentence in sentences:
            assert parse_attributes(sentence) == SpatialAttributes(**{attribute: word}), sentence


def test_probes_are_worded_as_in_the_paper() -> None:
    assert probe_sentences("direction")["left"][0] == "A sound coming from the left"
    assert probe_sentences("distance")["near"][0] == "A sound coming from near"
    assert probe_sentences("elevation")["up"][0] == "A sound coming from up"
    assert probe_sentences("size")["small"][0] == "A sound coming from a small room"
    dampened = probe_sentences("reverberation")["acoustically dampened"][0]
    assert dampened == "A sound coming from an acoustically dampened room"
    with pytest.raises(ConfigError, match="direction, elevation"):
        probe_sentences("colour")


def test_captions_are_fast() -> None:
    generator = np.random.default_rng(0)
    full = SpatialAttributes("left", "up", "near", "small", "highly reverberant")
    best = min(_seconds(lambda: write_caption("rain", full, generator), 1000) for _ in range(5))
    assert 1000 / best > 20_000


def _seconds(action, count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        action()
    return time.perf_counter() - begin
