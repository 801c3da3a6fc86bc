"""Captions read back: what is right, wrong, missing and invented; and templates, of which everything is right."""

import numpy as np
import pytest

from spatial_audio_lm.errors import ConfigError, DataError, TextError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.sound_names import answer_name
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.metrics.spatial_captions import (
    CONTRADICTED,
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


@pytest.mark.parametrize(
    ("caption", "fact"),
    [
        ("left or right siren", "direction"),
        ("a siren from the left or right", "direction"),
        ("a siren passing from left to right", "direction"),
        ("front left siren", "direction"),
        ("a siren, near or far", "distance"),
        ("a siren above or below", "elevation"),
        ("a siren in a small or large room", "size"),
    ],
)
def test_who_says_both_is_wrong_where_one_is_true_and_invents_where_none_is(caption: str, fact: str) -> None:
    said = read_caption(caption)
    assert said.value(fact) == CONTRADICTED and said.contradicted == {fact}
    siren = frozenset(["siren"])
    nothing, one = CaptionFacts(siren), SpatialAttributes(**{fact: ATTRIBUTE_WORDS[fact][0]})
    counts = fact_counts([said, said], [nothing, CaptionFacts(siren, one)])[fact]
    assert counts == FactCounts(known=1, right=0, wrong=1, missing=0, unknown=1, invented=1) and counts.said == 2
    measures = {m.key: m.value for m in spatial_caption_measures([caption], [nothing], resamples=10)}
    assert measures[f"{fact}_invented"] == 1 and measures["all_right"] == 0 and measures["sound_right"] == 1


def test_a_sound_that_is_denied_is_not_said() -> None:
    measures = {m.key: m for m in spatial_caption_measures(["no rain behind me"], [RAIN], resamples=10)}
    assert measures["sound_right"].details["missing"] == 1 and measures["direction_right"].details["missing"] == 1


def test_truths_that_no_caption_could_match_are_refused() -> None:
    for sounds in (["rain"], "rain", {3}):
        with pytest.raises(DataError, match="expected a set of names, such as frozenset"):
            CaptionFacts(sounds)
    assert CaptionFacts({"rain"}) == CaptionFacts(frozenset(["rain"]))
    with pytest.raises(DataError, match="attributes are a dict; expected SpatialAttributes"):
        CaptionFacts(frozenset(["rain"]), {"direction": "left"})
    unknown = CaptionFacts(frozenset(["dog bark"]))
    with pytest.raises(DataError, match=r"scene 1 is 'dog bark', which is not among .* did you mean 'dog barking'\?"):
        spatial_caption_measures(["rain", "a dog barks"], [RAIN, unknown])
    assert spatial_caption_measures(["a dog bark"], [unknown], ["dog bark"], resamples=10)[0].value == 1
    both = read_caption("rain on the left or right")
    with pytest.raises(DataError, match="true of scene 0 contradicts itself in direction"):
        spatial_caption_measures(["rain"], [both])


def test_what_is_no_list_of_one_for_each_scene_is_refused() -> None:
    for captions, true, message in (
        ("rain", [RAIN] * 4, "captions is a str; expected a list"),
        (["rain"], RAIN, "true is a CaptionFacts; expected a list"),
        (["rain"], ["rain behind me"], "true of scene 0 is a str; expected CaptionFacts, which read_caption makes"),
    ):
        with pytest.raises(DataError, match=message):
            spatial_caption_measures(captions, true)
    with pytest.raises(DataError, match="true of scene 0 is a str"):
        fact_counts([RAIN], ["rain"])
    for groups in ([1], "ab"):
        with pytest.raises(DataError, match=r"\d groups? of 2 scenes; expected a list with the group of each"):
            spatial_caption_measures(["rain", "rain"], [RAIN, RAIN], groups=groups)


def test_what_cannot_be_scored() -> None:
    for captions, true in (([], []), (["rain"], [RAIN, RAIN])):
        with pytest.raises(DataError, match="expected as many, and at least one"):
            spatial_caption_measures(captions, true)
    with pytest.raises(ConfigError, match=r"names is 'rain'; expected a list of names of sounds"):
        spatial_caption_measures(["rain"], [RAIN], "rain")
