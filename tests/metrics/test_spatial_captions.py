"""Captions read back: what is right, wrong, missing and invented; and templates, of which everything is right."""

import numpy as np
import pytest

from spatial_audio_lm.errors import ConfigError, DataError, TextError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.sound_names import answer_name
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.metrics.spatial_captions import (
    FACTS,
    CaptionFacts,
    FactCounts,
    fact_counts,
    read_caption,
    spatial_caption_measures,
)

DOG = CaptionFacts(frozenset(["dog barking"]), SpatialAttributes(direction="left", distance="far", size="small"))
RAIN = CaptionFacts(frozenset(["rain"]), SpatialAttributes(direction="back"))


def test_a_caption_is_read_as_a_listener_would() -> None:
    assert read_caption("A barking dog far away on the left in a small room.") == DOG
    assert read_caption("a dog and rain behind me").sounds == {"dog barking", "rain"}
    assert read_caption("nothing").value("sound") is None
    assert read_caption("a whale from the front", ["whale"]).sounds == {"whale"}
    with pytest.raises(TextError):
        read_caption(3)


def test_counts_by_hand() -> None:
    said = [
        read_caption("a dog barking on the left, far away, in a small room"),  # all right
        read_caption("a dog barking on the right in a small room that is very echoey"),  # of DOG
        read_caption("rain near me"),  # of RAIN: no direction, a distance that nobody knows
        read_caption("a dog and rain behind me"),  # of RAIN: a sound too many
    ]
    counts = fact_counts(said, [DOG, DOG, RAIN, RAIN])
    assert counts["sound"] == FactCounts(known=4, right=3, wrong=1, missing=0, unknown=0, invented=0)
    assert counts["direction"] == FactCounts(known=4, right=2, wrong=1, missing=1, unknown=0, invented=0)
    assert counts["distance"] == FactCounts(known=2, right=1, wrong=0, missing=1, unknown=2, invented=1)
    assert counts["size"] == FactCounts(known=2, right=2, wrong=0, missing=0, unknown=2, invented=0)
    assert counts["reverberation"] == FactCounts(known=0, right=0, wrong=0, missing=0, unknown=4, invented=1)
    assert counts["distance"].said == 2 and tuple(counts) == FACTS


def test_measures_by_hand() -> None:
    captions = ["a dog barking on the left, far away, in a small room", "rain on the right", "rain behind me", "hm"]
    measures = {m.key: m for m in spatial_caption_measures(captions, [DOG, RAIN, RAIN, RAIN], resamples=200)}
    assert measures["direction_right"].value == 0.5 and measures["sound_right"].value == 0.75
    assert measures["direction_right"].details["wrong"] == 1 and measures["direction_right"].details["missing"] == 1
    assert measures["distance_right"].items == 1 and measures["distance_invented"].value == 0
    assert measures["distance_invented"].items == 3 and measures["distance_invented"].better == "lower"
    assert measures["spatial_right"].value == pytest.approx((0.5 + 1 + 1) / 3)
    assert measures["all_right"].value == 0.5
    assert "elevation_right" not in measures and measures["elevation_invented"].items == 4
    low, high = measures["direction_right"].interval.low, measures["direction_right"].interval.high
    assert low < 0.5 < high
    assert all(m.to_dict()["value"] is not None for m in measures.values())


def test_what_templates_write_is_right_and_another_scenes_caption_is_not() -> None:
    generator = np.random.default_rng(0)
    captions, true = [], []
    for number in range(360):
        sound = SOUND_CLASSES[number % len(SOUND_CLASSES)].id
        words = {name: generator.choice([*several, None]) for name, several in ATTRIBUTE_WORDS.items()}
        attributes = SpatialAttributes(**{name: None if word is None else str(word) for name, word in words.items()})
        captions.append(write_caption(sound, attributes, generator, "train" if number % 2 else "heldout"))
        true.append(CaptionFacts(frozenset([answer_name(sound)]), attributes))
    measures = spatial_caption_measures(captions, true, groups=[n // 4 for n in range(360)], resamples=50)
    assert [m.value for m in measures] == [1.0 if m.better == "higher" else 0.0 for m in measures]
    shuffled = {m.key: m.beside["own captions shuffled"] for m in measures if m.beside}
    assert shuffled["sound_right"] < 0.1 and shuffled["direction_right"] < 0.35 and shuffled["all_right"] < 0.05
    again = spatial_caption_measures(captions[1:] + captions[:1], true, resamples=50)
    assert next(m.value for m in again if m.key == "sound_right") == 0


def test_what_cannot_be_scored() -> None:
    for captions, true in (([], []), (["rain"], [RAIN, RAIN])):
        with pytest.raises(DataError, match="expected as many, and at least one"):
            spatial_caption_measures(captions, true)
    with pytest.raises(ConfigError, match=r"names is 'rain'; expected a list of names of sounds"):
        spatial_caption_measures(["rain"], [RAIN], "rain")
