"""Parametric shoebox rooms over the ranges of ELSA's Table A.T.2.

Two things are kept apart on purpose. Reverberation time is drawn independently of floor area (a small room may be
reverberant, a large one dampened), so that a model cannot read one from the other; and walls differ from each other
and absorb more at high frequencies, as real ones do, so that the decay is neither isotropic nor white.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spatial_audio_lm.signal.conventions import direction_of, unit_vector, wrap_azimuth_deg
from spatial_audio_lm.simulation.receivers import turn_horizontally

SPEED_OF_SOUND = 343.0  # m/s, pyroomacoustics' value
BAND_CENTRES_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0)
WALLS = ("west", "east", "south", "north", "floor", "ceiling")

AREA_RANGE_M2 = (13.3, 277.4)  # ELSA, Table A.T.2
T30_RANGE_S = (0.145, 2.672)  # ELSA, Table A.T.2 (its section 3.2 prints 114.5 ms for the lower end)
DISTANCE_RANGE_M = (0.5, 4.0)  # ELSA, Table A.T.2
ELEVATION_RANGE_DEG = (-47.5, 48.7)  # ELSA, Table A.T.2
HEIGHT_RANGE_M = (2.4, 6.0)
MAX_MEAN_ABSORPTION = 0.8  # beyond it Eyring's decay and a room of walls stop meaning much
WALL_MARGIN_M = 0.25


@dataclass(frozen=True)
class Room:
    """A shoebox: size `(x, y, z)` in metres and energy absorption per wall and octave band, walls in `WALLS` order."""

    size_m: tuple[float, float, float]
    absorption: tuple[tuple[float, ...], ...]
    eyring_t60_s: tuple[float, ...]  # per band, of the mean absorption: the decay of the diffuse tail

    @property
    def floor_area_m2(self) -> float:
        return self.size_m[0] * self.size_m[1]

    @property
    def volume_m3(self) -> float:
        return self.floor_area_m2 * self.size_m[2]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "floor_area_m2": self.floor_area_m2, "volume_m3": self.volume_m3}


@dataclass(frozen=True)
class Placement:
    """Where the receiver and the sources of one room stand; positions in metres from the room's corner."""

    receiver_m: tuple[float, float, float]
    yaw_deg: float
    sources_m: tuple[tuple[float, float, float], ...]
    azimuth_deg: tuple[float, ...]  # as the receiver hears it, house convention
    elevation_deg: tuple[float, ...]
    distance_m: tuple[float, ...]


def wall_areas(size_m: tuple[float, float, float]) -> np.ndarray:
    x, y, z = size_m
    return np.array([y * z, y * z, x * z, x * z, x * y, x * y])


def eyring_t60(size_m: tuple[float, float, float], mean_absorption: np.ndarray | float) -> np.ndarray:
    """Eyring's reverberation time in seconds: 24 ln(10) V / (-c S ln(1 - a))."""
    volume, surface = float(np.prod(size_m)), float(wall_areas(size_m).sum())
    return 24 * np.log(10) * volume / (-SPEED_OF_SOUND * surface * np.log1p(-np.asarray(mean_absorption)))


def eyring_absorption(size_m: tuple[float, float, float], t60_s: np.ndarray | float) -> np.ndarray:
    """The mean absorption that gives a reverberation time: the inverse of `eyring_t60`."""
    volume, surface = float(np.prod(size_m)), float(wall_areas(size_m).sum())
    return -np.expm1(-24 * np.log(10) * volume / (SPEED_OF_SOUND * surface * np.asarray(t60_s)))


def log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def sample_room(generator: np.random.Generator) -> Room:
    """Draw a room: area and mid-band reverberation time log-uniform and independent, height to suit both."""
    area = log_uniform(generator, *AREA_RANGE_M2)
    t60 = log_uniform(generator, *T30_RANGE_S)
    while True:  # the height alone is drawn again where walls could not absorb enough, area and decay stay
        aspect = generator.uniform(1.0, 1.9)
        height = generator.uniform(HEIGHT_RANGE_M[0], min(HEIGHT_RANGE_M[1], 2.6 + 0.035 * area + 0.4))
        x, y = float(np.sqrt(area * aspect)), float(np.sqrt(area / aspect))
        if generator.random() < 0.5:
            x, y = y, x
        size = (x, y, float(height))
        if eyring_absorption(size, t60) <= MAX_MEAN_ABSORPTION:
            break
    # Decay over frequency, relative to mid bands: lows a little longer, highs shorter.
    tilt_low, tilt_high = generator.uniform(0.9, 1.3), generator.uniform(0.55, 1.0)
    shape = np.interp(np.log2(BAND_CENTRES_HZ), np.log2([125, 500, 1000, 4000]), [tilt_low, 1.0, 1.0, tilt_high])
    mean = np.minimum(eyring_absorption(size, t60 * shape), 0.9)
    areas = wall_areas(size)
    spread = np.exp(generator.normal(0.0, 0.5, (6, 1)) + generator.normal(0.0, 0.15, (6, len(BAND_CENTRES_HZ))))
    walls = spread * mean / ((areas[:, None] * spread).sum(0) / areas.sum())
    walls = np.clip(walls, 0.01, 0.97)
    mean = (areas[:, None] * walls).sum(0) / areas.sum()  # what clipping left
    return Room(
        size_m=size,
        absorption=tuple(tuple(float(a) for a in wall) for wall in walls),
        eyring_t60_s=tuple(float(t) for t in eyring_t60(size, mean)),
    )


def sample_distance(generator: np.random.Generator) -> float:
    """Metres; the near (< 1), middle and far (> 2) ranges of ELSA's table are drawn about equally often."""
    low, high = ((0.5, 1.0), (1.0, 2.0), (2.0, 4.0))[generator.choice(3, p=(0.36, 0.24, 0.40))]
    return float(generator.uniform(low, high))


def sample_elevation(generator: np.random.Generator, elevations: str = "captions") -> float:
    """Degrees within `ELEVATION_RANGE_DEG`.

    Args:
        generator: draws.
        elevations: "captions": a good fifth each is "up" (> 40) and "down" (< -40), the rest lies between, so that the
            words of captions are about as frequent; "isotropic": every part of the sphere alike.
    """
    low, high = ELEVATION_RANGE_DEG
    if elevations == "isotropic":
        height = float(generator.uniform(unit_vector(0.0, low)[2], unit_vector(0.0, high)[2]))
        return direction_of([math.sqrt(1 - height**2), 0.0, height])[1]
    ranges = ((low, -40.0), (-40.0, 40.0), (40.0, high))
    return float(generator.uniform(*ranges[generator.choice(3, p=(0.24, 0.52, 0.24))]))


def sample_placement(
    room: Room, generator: np.random.Generator, num_sources: int, elevations: str = "captions"
) -> Placement:
    """Draw a receiver and sources around it; `elevations` as in `sample_elevation`.

    A distance, once drawn, is kept: where the source does not fit into the room, its direction is drawn again, and
    after a while the receiver's place. So distance stays independent of the room; "up" and "down" lean to the near
    side, as rooms make them.
    """
    size = np.asarray(room.size_m)
    distance = [sample_distance(generator) for _ in range(num_sources)]
    yaw = float(generator.uniform(-180, 180))
    while True:
        receiver = generator.uniform(2 * WALL_MARGIN_M, size - 2 * WALL_MARGIN_M)
        found = [_direction_that_fits(room, receiver, yaw, d, generator, elevations) for d in distance]
        if None not in found:
            break
    azimuth, elevation, position = zip(*(f for f in found if f is not None), strict=True)
    return Placement(
        receiver_m=(float(receiver[0]), float(receiver[1]), float(receiver[2])),
        yaw_deg=float(wrap_azimuth_deg(yaw)),
        sources_m=position,
        azimuth_deg=azimuth,
        elevation_deg=elevation,
        distance_m=tuple(distance),
    )


def _direction_that_fits(
    room: Room,
    receiver_m: np.ndarray,
    yaw_deg: float,
    distance_m: float,
    generator: np.random.Generator,
    elevations: str,
) -> tuple[float, float, tuple[float, float, float]] | None:
    """Azimuth and elevation (as the receiver hears them) and the position of a source inside the room, or None."""
    for _ in range(40):
        azimuth, elevation = float(generator.uniform(-180, 180)), sample_elevation(generator, elevations)
        direction = turn_horizontally(np.asarray(unit_vector(azimuth, elevation), dtype=np.float64), yaw_deg)
        position = receiver_m + distance_m * direction
        if (position > WALL_MARGIN_M).all() and (position < np.asarray(room.size_m) - WALL_MARGIN_M).all():
            return azimuth, elevation, (float(position[0]), float(position[1]), float(position[2]))
    return None
