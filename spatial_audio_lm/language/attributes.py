"""From numbers to words: ELSA's mapping of spatial attributes to descriptors.

Source: ELSA (arXiv 2409.11369), appendix A.2, Table A.T.3, with its misprints read as follows: the "back" row
"[-145, +45]" is every azimuth at least 145 degrees off the front, and the elevation descriptor printed as a Greek
letter is "up". Between the stated bounds (for example azimuths of 35 to 55 degrees) there is no word. The table's
azimuth is positive to the right; this package's is positive to the left and is converted once, here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.signal.conventions import azimuth_to_elsa_deg

ATTRIBUTE_WORDS: dict[str, tuple[str, ...]] = {
    "direction": ("left", "right", "front", "back"),
    "elevation": ("up", "down"),
    "distance": ("near", "far"),
    "size": ("small", "large"),
    "reverberation": ("highly reverberant", "acoustically dampened"),
}
"""The words of each attribute, in the order that class indices follow."""

DROP_RATES: Mapping[str, float] = MappingProxyType(
    {"direction": 0.2, "elevation": 0.3, "distance": 0.3, "size": 0.4, "reverberation": 0.4}
)
"""How often a training caption leaves an attribute out although it is known."""

_MOST_DEG = {"azimuth_deg": 360, "elevation_deg": 90}


@dataclass(frozen=True)
class SpatialAttributes:
    """What is said about a sound's place and room; None where nothing is said.

    Raises:
        ConfigError: A word is not among `ATTRIBUTE_WORDS` of its attribute.
    """

    direction: str | None = None
    elevation: str | None = None
    distance: str | None = None
    size: str | None = None
    reverberation: str | None = None

    def __post_init__(self) -> None:
        for name, words in ATTRIBUTE_WORDS.items():
            word = getattr(self, name)
            if word is not None and word not in words:
                raise ConfigError(f"{name} is {word!r}; expected None or one of {', '.join(map(repr, words))}")


def spatial_attributes(
    azimuth_deg: float | None = None,
    elevation_deg: float | None = None,
    distance_m: float | None = None,
    floor_area_m2: float | None = None,
    t30_s: float | None = None,
) -> SpatialAttributes:
    """Put numbers into ELSA's words.

    Args:
        azimuth_deg: Azimuth in degrees, 0 front, positive left. None where unknown, as for all others.
        elevation_deg: Elevation in degrees, positive up.
        distance_m: Distance from the listener in metres.
        floor_area_m2: Floor area of the room in square metres.
        t30_s: Full-band reverberation time in seconds.

    Returns:
        The words; None for an unknown number and for one in a gap of the table.

    Raises:
        DataError: A number is not finite, a distance, area or time is negative, an azimuth more than a full turn, or
            an elevation beyond straight up or down.

    Source:
        ELSA (arXiv 2409.11369), Table A.T.3.
    """
    numbers = {
        "azimuth_deg": azimuth_deg,
        "elevation_deg": elevation_deg,
        "distance_m": distance_m,
        "floor_area_m2": floor_area_m2,
        "t30_s": t30_s,
    }
    for name, number in numbers.items():
        if number is None:
            continue
        if not math.isfinite(number):
            raise DataError(f"{name} is {number}; expected a finite number, or nothing where it is unknown")
        if number < 0 and name in ("distance_m", "floor_area_m2", "t30_s"):
            raise DataError(f"{name} is {number}; expected a number of at least 0, or nothing where it is unknown")
        if abs(number) > _MOST_DEG.get(name, math.inf):
            raise DataError(f"{name} is {number}; expected -{_MOST_DEG[name]} to {_MOST_DEG[name]} degrees")
    return SpatialAttributes(
        direction=None if azimuth_deg is None else _direction(float(azimuth_deg)),
        elevation=_outside(elevation_deg, -40.0, 40.0, "down", "up"),
        distance=_outside(distance_m, 1.0, 2.0, "near", "far"),
        size=_outside(floor_area_m2, 50.0, 100.0, "small", "large"),
        reverberation=_outside(t30_s, 0.2, 1.0, "acoustically dampened", "highly reverberant"),
    )


def drop_attributes(
    attributes: SpatialAttributes, generator: np.random.Generator, rates: Mapping[str, float] = DROP_RATES
) -> SpatialAttributes:
    """Leave out each attribute with its own probability, so that captions of every length are learned.

    Args:
        attributes: What is known.
        generator: Source of chance; one draw per attribute, whether stated or not.
        rates: Probability of leaving out, by attribute name; a name that is missing is always kept.

    Returns:
        The attributes that remain.

    Raises:
        ConfigError: `rates` names an attribute that does not exist.
    """
    unknown = set(rates) - set(ATTRIBUTE_WORDS)
    if unknown:
        raise ConfigError(f"no attribute {sorted(unknown)[0]!r}; expected some of {', '.join(ATTRIBUTE_WORDS)}")
    draws = generator.random(len(ATTRIBUTE_WORDS))
    dropped: dict[str, str | None] = {
        name: None for name, draw in zip(ATTRIBUTE_WORDS, draws, strict=True) if draw < rates.get(name, 0.0)
    }
    return replace(attributes, **dropped)


def _direction(azimuth_deg: float) -> str | None:
    azimuth = azimuth_to_elsa_deg(azimuth_deg)
    if -125.0 <= azimuth <= -55.0:
        return "left"
    if 55.0 <= azimuth <= 125.0:
        return "right"
    if abs(azimuth) <= 35.0:
        return "front"
    return "back" if abs(azimuth) >= 145.0 else None


def _outside(value: float | None, low: float, high: float, below: str, above: str) -> str | None:
    """The word for a value strictly outside [low, high]; ELSA's bounds on both sides are strict."""
    if value is None or low <= value <= high:
        return None
    return below if value < low else above
