"""What naturalistic scenes are made from: dry clips, noises, and sets of room impulse responses, each from anywhere.

Two small protocols, and what the package itself brings for them: the simulator's bank of responses and labelled clips.
Folders of users (`data/rir_sets.py`, `data/house_scene_rirs.py`, `data/unlabelled_clips.py`) are others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.receivers import microphones
from spatial_audio_lm.simulation.records import Clip
from spatial_audio_lm.simulation.rir_bank import RirBank

LOCALIZED_RATE = 0.5  # of scenes whose noise comes from one place (GRAM, section 3)
DIFFUSE_PLACES = (3, 4, 5)  # of the others


@dataclass(frozen=True)
class RirRows:
    """Which responses a scene uses: of a set, the row of its target and those of its noise (one: localized noise)."""

    set_name: str
    target: int
    noise: tuple[int, ...]


@dataclass(frozen=True)
class TargetPlace:
    """Where the target is, house convention; None where the responses do not say."""

    azimuth_deg: float | None = None
    elevation_deg: float | None = None
    distance_m: float | None = None


class RirSource(Protocol):
    """Sets of responses, each of one receiver in one room.

    Attributes:
        name: what a record calls it.
        sha256: changes when the sets change.
        sample_rate: Hz.
        num_channels: of every response: 2 (left, right) or 4 (first-order ambisonics).
    """

    name: str
    sha256: str
    sample_rate: int
    num_channels: int

    def draw(self, generator: np.random.Generator) -> tuple[RirRows, TargetPlace]:
        """Rows for one scene, and where its target is."""
        ...

    def load(self, rows: RirRows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The target's response and the sum of the noise's, each `(channels, taps)`."""
        ...


class ClipSource(Protocol):
    """Dry mono clips by number.

    Attributes:
        sample_rate: Hz of the samples it gives.
    """

    sample_rate: int

    def __len__(self) -> int: ...

    def clip(self, index: int) -> Clip:
        """The reference that a record keeps."""
        ...

    def sound_class(self, index: int) -> str | None:
        """What it sounds like (`language.vocabulary`); None where that is not known."""
        ...

    def samples(self, clip: Clip) -> NDArray[np.float32]:
        """`(time,)` of a reference this source gave."""
        ...


class ListedClips:
    """Clips of a list, such as `data.clip_folders` gives: the sounding parts of files, and synthesised ones.

    Args:
        clips: references.
        sound_classes: of each, in the same order; None where it is not known.
        store: gives their samples.

    Raises:
        ConfigError: no clip, or as many classes as not.
    """

    def __init__(self, clips: Sequence[Clip], sound_classes: Sequence[str | None], store: ClipStore):
        if not clips or len(clips) != len(sound_classes):
            raise ConfigError(f"{len(clips)} clips and {len(sound_classes)} classes: expected one or more, and as many")
        self._clips, self._classes, self._store = tuple(clips), tuple(sound_classes), store
        self.sample_rate = store.sample_rate

    def __len__(self) -> int:
        return len(self._clips)

    def clip(self, index: int) -> Clip:
        return self._clips[index]

    def sound_class(self, index: int) -> str | None:
        return self._classes[index]

    def samples(self, clip: Clip) -> NDArray[np.float32]:
        return self._store.samples(clip)


class BankRirs:
    """The simulator's bank: a room is a set, each of its sources may be the target, and others places of the noise.

    Args:
        bank: ambisonics or binaural, or its folder.
        localized_rate: share of scenes whose noise comes from one place; of the others it comes from 3 to 5, as many
            as the room has.

    Raises:
        ConfigError: too few sources a room, or a rate out of range.
        BankError: a folder without a finished bank.
    """

    def __init__(self, bank: RirBank | str | Path, localized_rate: float = LOCALIZED_RATE):
        bank = bank if isinstance(bank, RirBank) else RirBank(bank)
        others = bank.settings.sources_per_room - 1
        self._diffuse = [places for places in DIFFUSE_PLACES if places <= others]
        if not 0 <= localized_rate <= 1:
            raise ConfigError(f"localized_rate is {localized_rate}; a probability is between 0 and 1")
        if others < 1 or (localized_rate < 1 and not self._diffuse):
            raise ConfigError(
                f"the bank has {others + 1} sources a room: a target and diffuse noise need 4 or more, a target and "
                "localized noise 2 (localized_rate=1): make a bank with more sources_per_room"
            )
        self._bank, self._localized_rate = bank, localized_rate
        self.name, self.sha256 = bank.folder.absolute().name, bank.sha256
        self.sample_rate = bank.settings.sample_rate
        self.num_channels = len(microphones(bank.settings.receiver_format))

    def draw(self, generator: np.random.Generator) -> tuple[RirRows, TargetPlace]:
        per_room = self._bank.settings.sources_per_room
        room = int(generator.integers(self._bank.settings.num_rooms))
        places = 1
        if generator.random() >= self._localized_rate:
            places = self._diffuse[generator.integers(len(self._diffuse))]
        target, *noise = (generator.permutation(per_room)[: 1 + places] + room * per_room).tolist()
        row = self._bank.rows[target]
        return RirRows(f"room {room}", target, tuple(noise)), TargetPlace(
            row.azimuth_deg, row.elevation_deg, row.distance_m
        )

    def load(self, rows: RirRows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._bank.rir(rows.target), summed([self._bank.rir(row) for row in rows.noise])


class NoRirs:
    """No responses, for clean clips alone (`clean_ratio` 1): a rate and a number of channels, and no room.

    Args:
        sample_rate: Hz of the clips.
        num_channels: in which each dry clip is.
    """

    name, sha256 = "none", ""

    def __init__(self, sample_rate: int, num_channels: int):
        self.sample_rate, self.num_channels = sample_rate, num_channels

    def draw(self, generator: np.random.Generator) -> tuple[RirRows, TargetPlace]:
        """Refused: there is nothing to draw."""
        raise ConfigError("a scene with a room was drawn, and there are no responses: give some, or set clean_ratio 1")

    def load(self, rows: RirRows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Refused likewise."""
        raise ConfigError(f"the responses {rows.set_name} are wanted, and there are none: give those of the record")


def summed(responses: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """The sum of responses `(channels, taps)` of any lengths, at that of the longest."""
    total = np.zeros((len(responses[0]), max(response.shape[1] for response in responses)), dtype=np.float32)
    for response in responses:
        total[:, : response.shape[1]] += response
    return total
