"""The questions, put to a listener who knows every answer, to one who knows none, and to one who knows only sounds."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes, spatial_attributes
from spatial_audio_lm.language.everyday import EVERYDAY_WORDS
from spatial_audio_lm.language.parsing import parse_attributes
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.metrics.scene_questions import (
    EmbeddedScenes,
    attribute_measures,
    class_measures,
    localization_measures,
    retrieval_measures,
    sentence_measures,
)
from spatial_audio_lm.signal.conventions import unit_vector

CLASSES = ("dog_bark", "rain", "rooster", "siren")
WORDS = [(name, word) for name, words in ATTRIBUTE_WORDS.items() for word in words]


def _vector(class_id: str | None, attributes: SpatialAttributes) -> np.ndarray:
    """One place for every class and every word; a little everywhere, so that no vector is zero."""
    known = [float(class_id == name) for name in CLASSES]
    return np.array([*known, *(float(getattr(attributes, name) == word) for name, word in WORDS)]) + 1e-3


def _read(sentences: Sequence[str]) -> np.ndarray:
    """What a perfect reader makes of sentences: the class by the longest of its phrases found, the words by parsing."""
    phrases = [
        (phrase.lower().removeprefix("a ").removeprefix("the "), sound.id)
        for sound in SOUND_CLASSES
        if sound.id in CLASSES
        for phrase in (*sound.spoken, *EVERYDAY_WORDS[sound.id])
    ]
    vectors = []
    for sentence in sentences:
        found = [(len(phrase), name) for phrase, name in phrases if phrase in sentence.lower()]
        vectors.append(_vector(max(found)[1] if found else None, parse_attributes(sentence)))
    return np.stack(vectors)


@pytest.fixture(scope="module")
def scenes() -> EmbeddedScenes:
    """240 scenes heard by a listener that knows class, words and direction; intensity is 10 degrees off."""
    generator = np.random.default_rng(0)
    count = 240
    azimuth, elevation = generator.uniform(-180, 180, count), generator.uniform(-60, 60, count)
    distance, area = generator.uniform(0.5, 4, count), generator.uniform(15, 200, count)
    t30 = generator.uniform(0.1, 2, count)
    attributes = tuple(
        spatial_attributes(*(float(value) for value in row))
        for row in zip(azimuth, elevation, distance, area, t30, strict=True)
    )
    sound = tuple(CLASSES[index % len(CLASSES)] for index in range(count))
    return EmbeddedScenes(
        sound_class=sound,
        recording=np.array([f"{name}-{index % 40}" for index, name in enumerate(sound)]),
        room=np.arange(count) // 4,
        attributes=attributes,
        direction=unit_vector(azimuth, elevation),
        distance_m=distance,
        audio_embeds=np.stack([_vector(name, words) for name, words in zip(sound, attributes, strict=True)]),
        estimated_direction=unit_vector(azimuth + 5, elevation),
        confidence=np.full(count, 0.9),
        estimated_distance_m=distance * 1.1,
        intensity_direction=unit_vector(azimuth + 10, np.zeros(count)),
    )


def _by_key(measures: list) -> dict:
    assert len({measure.key for measure in measures}) == len(measures)
    return {measure.key: measure for measure in measures}


def test_who_knows_everything_gets_everything(scenes):
    measures = _by_key(
        class_measures(scenes, _read)
        + attribute_measures(scenes, _read, {"distance": {"neighbour rule": 0.8}})
        + sentence_measures(scenes, _read)
        + retrieval_measures(scenes, _read, seed=0, draws=2, scenes_per_draw=60)
    )
    perfect = {key: measure.value for key, measure in measures.items() if not key.startswith("text_to_audio")}
    assert perfect == dict.fromkeys(perfect, 1.0) and len(perfect) == 2 + len(ATTRIBUTE_WORDS) + 1
    for key in perfect:
        assert measures[key].interval.low == 1.0
    assert measures["text_to_audio_compatible_at_1"].value == 1.0
    assert measures["text_to_audio_recall_at_10"].value > 0.9  # not 1: some scenes share all their words
    assert measures["distance_balanced_accuracy"].beside == {"chance": 0.5, "neighbour rule": 0.8}
    assert measures["direction_balanced_accuracy"].beside["intensity vector"] == 1.0
    assert measures["class_balanced_accuracy"].beside == {"chance": 0.25}
    assert measures["class_and_direction_accuracy"].beside["chance"] == pytest.approx(1 / 16)


def test_only_scenes_with_a_word_are_asked(scenes):
    measures = _by_key(attribute_measures(scenes, _read))
    with_word = sum(words.direction is not None for words in scenes.attributes)
    assert measures["direction_balanced_accuracy"].items == with_word < len(scenes.attributes)
    no_room = replace(scenes, attributes=tuple(replace(words, size=None) for words in scenes.attributes))
    assert "size_balanced_accuracy" not in _by_key(attribute_measures(no_room, _read))


def test_who_knows_nothing_is_at_chance(scenes):
    generator = np.random.default_rng(1)
    deaf = replace(scenes, audio_embeds=generator.normal(size=scenes.audio_embeds.shape))
    measures = _by_key(
        class_measures(deaf, _read) + attribute_measures(deaf, _read) + retrieval_measures(deaf, _read, 0, 5, 100)
    )
    for key, measure in measures.items():
        assert measure.value == pytest.approx(measure.beside["chance"], abs=0.12), key


def test_sound_without_place_gives_half_of_the_sentence(scenes):
    mono = np.stack([_vector(name, SpatialAttributes()) for name in scenes.sound_class])
    (measure,) = sentence_measures(replace(scenes, audio_embeds=mono), _read)
    assert measure.details["class_right"] == 1.0
    assert measure.details["direction_right"] == pytest.approx(0.25, abs=0.1)
    assert measure.value == pytest.approx(0.25, abs=0.1)


def test_localization_beside_the_intensity_vector(scenes):
    measures = _by_key(localization_measures(scenes))
    azimuth = measures["azimuth_mean_absolute_error_deg"]
    assert azimuth.value == pytest.approx(5.0)
    assert azimuth.beside["intensity vector"] == pytest.approx(10.0)
    assert azimuth.beside["chance"] == 90.0
    assert measures["great_circle_mean_error_deg"].value < 5.0  # a degree of azimuth is less up there
    assert measures["direction_within_20_deg"].value == 1.0
    assert measures["direction_within_20_deg"].beside["chance"] == pytest.approx(0.0302, abs=1e-4)
    assert measures["distance_median_log_ratio"].value == pytest.approx(np.log(1.1))
    assert measures["confidence_calibration_error"].value == pytest.approx(0.1)  # says 0.9, is always right
    assert "confidence_calibration_error" not in _by_key(localization_measures(replace(scenes, confidence=None)))


def test_same_seed_same_retrieval(scenes):
    first = retrieval_measures(scenes, _read, seed=3, draws=1, scenes_per_draw=50)
    assert first == retrieval_measures(scenes, _read, seed=3, draws=1, scenes_per_draw=50)
    assert len(retrieval_measures(scenes, _read, seed=3, draws=1, scenes_per_draw=1000)) == 4


def test_fields_of_other_lengths_are_refused(scenes):
    with pytest.raises(DataError, match="one entry a scene"):
        replace(scenes, room=scenes.room[:-1])
