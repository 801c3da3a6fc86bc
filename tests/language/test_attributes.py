"""ELSA's Table A.T.3 at every bound, in this package's azimuth (positive to the left)."""

import math

import numpy as np
import pytest

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.language.attributes import (
    ATTRIBUTE_WORDS,
    DROP_RATES,
    SpatialAttributes,
    drop_attributes,
    spatial_attributes,
)


@pytest.mark.parametrize(
    ("azimuth_deg", "word"),
    [
        (0.0, "front"),
        (35.0, "front"),
        (35.1, None),
        (54.9, None),
        (55.0, "left"),
        (90.0, "left"),
        (125.0, "left"),
        (125.1, None),
        (144.9, None),
        (145.0, "back"),
        (179.9, "back"),
        (180.0, "back"),
        (-180.0, "back"),
        (-145.0, "back"),
        (-144.9, None),
        (-125.1, None),
        (-125.0, "right"),
        (-90.0, "right"),
        (-55.0, "right"),
        (-54.9, None),
        (-35.1, None),
        (-35.0, "front"),
        (270.0, "right"),
        (-270.0, "left"),
        (360.0, "front"),
    ],
)
def test_direction(azimuth_deg: float, word: str | None) -> None:
    assert spatial_attributes(azimuth_deg=azimuth_deg) == SpatialAttributes(direction=word)


@pytest.mark.parametrize(
    ("name", "value", "attribute", "word"),
    [
        ("elevation_deg", 40.0, "elevation", None),
        ("elevation_deg", 40.1, "elevation", "up"),
        ("elevation_deg", -40.0, "elevation", None),
        ("elevation_deg", -40.1, "elevation", "down"),
        ("distance_m", 0.99, "distance", "near"),
        ("distance_m", 1.0, "distance", None),
        ("distance_m", 2.0, "distance", None),
        ("distance_m", 2.01, "distance", "far"),
        ("floor_area_m2", 49.9, "size", "small"),
        ("floor_area_m2", 50.0, "size", None),
        ("floor_area_m2", 100.0, "size", None),
        ("floor_area_m2", 100.1, "size", "large"),
        ("t30_s", 0.199, "reverberation", "acoustically dampened"),
        ("t30_s", 0.2, "reverberation", None),
        ("t30_s", 1.0, "reverberation", None),
        ("t30_s", 1.001, "reverberation", "highly reverberant"),
    ],
)
def test_other_attributes(name: str, value: float, attribute: str, word: str | None) -> None:
    found = spatial_attributes(**{name: value})
    assert getattr(found, attribute) == word
    assert found == SpatialAttributes(**{attribute: word})


def test_unknown_numbers_give_no_words() -> None:
    assert spatial_attributes() == SpatialAttributes()


@pytest.mark.parametrize(
    "numbers",
    [
        {"azimuth_deg": math.nan},
        {"azimuth_deg": 360.1},
        {"elevation_deg": -90.1},
        {"distance_m": math.inf},
        {"distance_m": -0.1},
        {"t30_s": -1.0},
    ],
)
def test_impossible_numbers_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(DataError, match=next(iter(numbers))):
        spatial_attributes(**numbers)


def test_unknown_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected None or one of 'left'"):
        SpatialAttributes(direction="port")


def test_attributes_drop_at_their_rates() -> None:
    full = SpatialAttributes("left", "up", "near", "small", "highly reverberant")
    generator = np.random.default_rng(0)
    kept = [drop_attributes(full, generator) for _ in range(4000)]
    for name in ATTRIBUTE_WORDS:
        rate = np.mean([getattr(one, name) is None for one in kept])
        assert rate == pytest.approx(DROP_RATES[name], abs=0.03)
    assert drop_attributes(full, generator, {}) == full
    assert drop_attributes(full, generator, dict.fromkeys(ATTRIBUTE_WORDS, 1.0)) == SpatialAttributes()
    with pytest.raises(ConfigError, match="colour"):
        drop_attributes(full, generator, {"colour": 0.5})
