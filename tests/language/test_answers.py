import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.answers import (
    AXES,
    in_steps,
    read_distance,
    read_names,
    read_side,
    read_sides,
    read_yes_no,
    sides_of,
    write_distance,
    write_names,
    write_place,
    write_yes_no,
)
from spatial_audio_lm.language.sound_names import ANSWER_NAMES
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.signal.conventions import direction_of, vector_from_spatial_ast

NAMES = ("car", "car alarm", "accelerating, revving, vroom", "Dog barking", "rain")


@given(st.floats(-180, 179.9), st.floats(-90, 90), st.floats(0, 100, allow_nan=False))  # azimuth, elevation, distance
def test_what_is_written_is_read_again(azimuth: float, elevation: float, distance: float) -> None:
    text = write_place(azimuth, elevation, distance)
    assert read_sides(text) == sides_of(azimuth, elevation)
    assert read_distance(text) == in_steps(distance)
    assert abs(in_steps(distance) - distance) <= 0.25


def test_sides_follow_the_published_positions():
    # left iff x < 0, front iff z < 0, above iff y > 0 in SpatialSound's axes: x right, y up, z back
    generator = np.random.default_rng(0)
    for offset in generator.normal(size=(200, 3)):
        expected = (
            "left" if offset[0] < 0 else "right",
            "front" if offset[2] < 0 else "behind",
            "above" if offset[1] > 0 else "below",
        )
        assert sides_of(*direction_of(vector_from_spatial_ast(offset))) == expected


def test_on_a_plane_counts_as_the_second_side():
    assert sides_of(0.0, 0.0) == ("right", "front", "below")
    assert sides_of(-180.0, 0.0) == ("right", "behind", "below")
    assert sides_of(90.0, 10.0) == ("left", "behind", "above")


@pytest.mark.parametrize(
    ("metres", "text"), [(2.5, "2.5m"), (2.0, "2m"), (0.25, "0m"), (0.75, "1m"), (1.25, "1m"), (2.26, "2.5m")]
)
def test_distances_are_written_as_published(metres: float, text: str) -> None:
    assert write_distance(metres) == text  # halves go to the even step, as round() does


def test_a_distance_that_is_none_is_refused():
    for metres in (-0.1, float("nan"), float("inf")):
        with pytest.raises(DataError, match="expected a finite number"):
            write_distance(metres)


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("left, front, below; 2.5m", 2.5),
        ("It is about 2.5 metres away.", 2.5),
        ("1 meter", 1.0),
        ("3M", 3.0),
        ("2.5", None),
        ("two metres", None),
        ("2m or 3m", None),
        ("2 or 3 metres", None),
        ("2 to 3.5m", None),
        ("1-2m", None),
        ("a horn, and rain 2m away", 2.0),
        ("-2m", None),
        ("2 mm", None),
        ("1,5m", None),
        ("", None),
    ],
)
def test_distances_are_read(text: str, metres: float | None) -> None:
    assert read_distance(text) == metres


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Yes", True), ("no.", False), ("YES, it is", True), ("yes and no", None), ("not at all", None), ("know", None)],
)
def test_yes_and_no_are_read(text: str, answer: bool | None) -> None:
    assert read_yes_no(text) is answer


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("Left, Behind, Above; 2m", ("left", "behind", "above")),
        ("it is below me, at the back, on the right", ("right", "behind", "below")),
        ("left, right, front, above; 2m", None),
        ("left, above; 2m", None),
        ("leftover, frontal, above", None),
    ],
)
def test_sides_are_read(text: str, sides: tuple[str, str, str] | None) -> None:
    assert read_sides(text) == sides


def test_one_side_is_read_from_its_own_axis():
    assert [read_side("left, front", axis) for axis in AXES] == ["front", "left", None]
    assert read_side("left or right", AXES[1]) is None


def test_names_are_read_as_they_stand_in_the_list():
    read = read_names("accelerating, revving, vroom; dog barking; thunder", NAMES)
    assert read.names == ("accelerating, revving, vroom", "Dog barking") and read.unknown == ("thunder",)
    assert read_names("the sound of a car alarm and rain", NAMES).names == ("car alarm", "rain")
    assert read_names("Rain; rain", NAMES).names == ("rain",)
    assert read_names("carpet", NAMES).names == ()
    assert read_names("", NAMES) == read_names(" ; ", NAMES)
    assert read_names(write_names(NAMES[:3]), NAMES).names == NAMES[:3]


def test_the_vocabulary_is_known_by_its_spoken_forms():
    vocabulary = tuple(ANSWER_NAMES.values())
    for sound in SOUND_CLASSES:
        for form in (*sound.spoken, sound.id.replace("_", " ")):
            found = read_names(f"It is {form}.", vocabulary)
            assert found.names == (ANSWER_NAMES[sound.id],) and not found.unknown, form
    assert read_names("a hound", vocabulary).unknown == ("a hound",)
    # only of names that are in the list, and a name of the list means itself
    assert read_names("a dog", ["rain"]).names == ()
    assert read_names("clapping; a dog", ["clapping", "hands clapping", "dog barking"]).names == (
        "clapping",
        "dog barking",
    )


def test_a_list_of_names_without_one_is_refused():
    for names in ((), ("rain", "")):
        with pytest.raises(DataError, match="one or more texts"):
            read_names("rain", names)


def test_yes_and_no_are_written_as_published():
    assert (write_yes_no(True), write_yes_no(False)) == ("Yes", "No")
