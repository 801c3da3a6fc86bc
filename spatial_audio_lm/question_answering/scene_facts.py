"""What a scene's record says that can be asked: where its sounds are, and how two of them stand to each other.

How two sounds lie along an axis can be meant in two ways: further over in metres, or further over as a direction. A
near sound straight on the left and a far one halfway to the left are told apart differently by the two. Such a pair is
not asked about: a side is a fact only where both readings agree, and by more than a margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.errors import ConfigError, RecordError
from spatial_audio_lm.language.answers import AXES, Sides, in_steps, sides_of
from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.simulation.records import SceneRecord


@dataclass(frozen=True)
class PlacedSound:
    """A source of a scene, as questions see it.

    Attributes:
        sound_class: id of the vocabulary.
        azimuth_deg, elevation_deg: of its direction, house convention.
        distance_m: from the listener.
    """

    sound_class: str
    azimuth_deg: float
    elevation_deg: float
    distance_m: float

    @cached_property
    def direction(self) -> NDArray[np.float64]:
        """Its unit vector, x front, y left, z up."""
        return np.asarray(unit_vector(self.azimuth_deg, self.elevation_deg), dtype=np.float64)

    @cached_property
    def sides(self) -> Sides:
        """Left or right, front or behind, above or below."""
        return sides_of(self.azimuth_deg, self.elevation_deg)

    def is_clear(self, margins: Margins) -> bool:
        """Whether it lies to one side of each of the three planes by as much as two sounds that are compared differ."""
        return bool((np.abs(self.direction) >= margins.direction).all())

    @property
    def distance_in_steps(self) -> float:
        """Metres, to the nearest half."""
        return in_steps(self.distance_m)


@dataclass(frozen=True)
class Margins:
    """How far two sounds must be apart before a comparison is asked.

    Args:
        direction: least difference of the unit vectors' components along an axis; 0.2 is twelve degrees off the middle.
        position_m: least difference of the positions along an axis.
        distance_m: least difference of the distances.
        place_m: least difference of distances where a distance alone tells two places apart.
    """

    direction: float = 0.2
    position_m: float = 0.25
    distance_m: float = 0.5
    place_m: float = 1.0

    def __post_init__(self) -> None:
        if min(self.direction, self.position_m, self.distance_m, self.place_m) <= 0:
            raise ConfigError(f"margins must be above 0, got {self}: a comparison without one has no answer")


def placed_sounds(scene: SceneRecord) -> tuple[PlacedSound, ...]:
    """The sources of a scene; noise is no sound that is asked about.

    Raises:
        RecordError: it has none, or is heard in mono, where nothing is anywhere.
    """
    if not scene.sources:
        raise RecordError(f"scene {scene.scene_id} has no source, only noise: there is nothing to ask about")
    if scene.receiver.format == "mono":
        raise RecordError(f"scene {scene.scene_id} is mono, where no sound has a place: render it binaural or as foa")
    return tuple(
        PlacedSound(source.sound_class, source.azimuth_deg, source.elevation_deg, source.distance_m)
        for source in scene.sources
    )


def side_of(first: PlacedSound, second: PlacedSound, axis: int, margins: Margins) -> str | None:
    """On which side of the second sound the first one lies; None where it cannot be said.

    Args:
        first, second: the two sounds.
        axis: number of the axis, into `AXES`.
        margins: what is too close to say.
    """
    turn = float(first.direction[axis] - second.direction[axis])
    shift = float(first.distance_m * first.direction[axis] - second.distance_m * second.direction[axis])
    if min(turn / margins.direction, shift / margins.position_m) >= 1:
        return AXES[axis][0]
    if max(turn / margins.direction, shift / margins.position_m) <= -1:
        return AXES[axis][1]
    return None


def is_closer(first: PlacedSound, second: PlacedSound, margins: Margins) -> bool | None:
    """Whether the first sound is closer to the listener; None where they are about as far away."""
    difference = second.distance_m - first.distance_m
    return difference > 0 if abs(difference) >= margins.distance_m else None


def metres_between(first: PlacedSound, second: PlacedSound) -> float:
    """How far two sounds are from each other."""
    return float(np.linalg.norm(first.distance_m * first.direction - second.distance_m * second.direction))
