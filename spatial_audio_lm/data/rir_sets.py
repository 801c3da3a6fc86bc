"""GRAM's sets of responses, one array a scene: `(1 + places, channels, taps)`, the target's response first.

Rows of noise that are not used hold zeros: one used row is localized noise, three to five are diffuse (the published
sets have five). Float16, 32 or 64; the array does not say its rate: the published ones have 32 kHz and 3 s.

Two layouts: a folder of `.npy` files, and WebDataset shards (`shard-000000.tar`, one house a shard) whose members are
such files. Neither says where the target is.

Nor do they say what four channels are: by its authors' later code, the sets that GRAM was trained on are probably not
AmbiX but in axes of their own (`convert_foa`, "gram"). So the convention must be given, and is turned to AmbiX here.
"""

import hashlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.data.folder_listing import files_below, listing_digest
from spatial_audio_lm.data.npy_arrays import finite_float32, npy_from_bytes, open_npy
from spatial_audio_lm.data.npy_shards import NpyShards
from spatial_audio_lm.data.response_channels import in_ambix, require_convention
from spatial_audio_lm.errors import ChannelError, DataError
from spatial_audio_lm.signal.resampling import require_sample_rate
from spatial_audio_lm.simulation.naturalistic_sources import RirRows, TargetPlace, summed

CACHE_BYTES = 64 * 1024**2  # a set that was drawn is soon rendered


class RirSets(ABC):
    """Sets of responses by name; what both layouts share.

    Args:
        folder: where they lie.
        names: of the sets.
        content_digest: of the names and sizes of what is there (`listing_digest`).
        sample_rate: Hz of the responses, which the arrays do not say.
        num_channels: 2 or 4; None takes that of the first set.
        convention: of four channels: see `signal.ambisonics.convert_foa`. None for two.

    Attributes:
        sha256: of names, sizes and convention. It does not see a file that was changed and kept its size: the published
            sets are too large to be read before every training.
    """

    def __init__(
        self,
        folder: Path,
        names: list[str],
        content_digest: str,
        sample_rate: int,
        num_channels: int | None,
        convention: str | None,
    ):
        self.folder, self.name = folder, folder.absolute().name
        self.sample_rate = require_sample_rate(sample_rate)
        self._names = names
        self._kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._kept_bytes = 0
        self.num_channels = 0
        first = self._responses(names[0])
        self.num_channels = first.shape[1] if num_channels is None else num_channels
        if first.shape[1] != self.num_channels or self.num_channels not in (2, 4):
            raise ChannelError(
                f"{folder}: {names[0]} has {first.shape[1]} channels; expected {num_channels or '2 (binaural) or 4'}"
                f"{'' if num_channels else ' (first-order ambisonics)'}: give the folder of the other kind"
            )
        self.convention = require_convention(convention, self.num_channels, str(folder))
        self.sha256 = hashlib.sha256(f"{content_digest} {convention}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._names)

    @abstractmethod
    def _read(self, name: str) -> NDArray:
        """The array of a set as its file has it."""

    def draw(self, generator: np.random.Generator) -> tuple[RirRows, TargetPlace]:
        name = self._names[generator.integers(len(self._names))]
        responses = self._responses(name)
        used = (1 + np.flatnonzero(responses[1:].any((1, 2)))).tolist()
        if not used or not responses[0].any():
            raise DataError(
                f"{self.folder}: {name}: {'all rows of noise are' if responses[0].any() else 'the first row is'} zero; "
                "expected the target's response, then one or more of noise: leave the set out"
            )
        return RirRows(name, 0, tuple(used)), TargetPlace()

    def load(self, rows: RirRows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        responses = self._responses(rows.set_name)
        if max(rows.target, *rows.noise) >= len(responses) or min(rows.target, *rows.noise) < 0:
            raise DataError(f"{self.folder}: {rows.set_name} has {len(responses)} rows, {rows} are asked for")
        pair = responses[rows.target], summed([responses[row] for row in rows.noise])
        return in_ambix(pair[0], self.convention), in_ambix(pair[1], self.convention)

    def _responses(self, name: str) -> NDArray[np.float32]:
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        array, where = self._read(name), f"{self.folder}: {name}"
        if array.ndim != 3 or array.shape[0] < 2 or not array.size:
            raise DataError(
                f"{where} has the shape {array.shape}; expected (1 + places of noise, channels, taps), the target first"
            )
        if self.num_channels and array.shape[1] != self.num_channels:
            raise ChannelError(
                f"{where} has {array.shape[1]} channels, others here have {self.num_channels}: keep one kind a folder"
            )
        self._kept[name] = responses = finite_float32(array, where)
        self._kept_bytes += responses.nbytes
        while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return responses

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": OrderedDict(), "_kept_bytes": 0}


class RirSetFolder(RirSets):
    """Sets in `.npy` files of a folder, and of folders in it.

    Args:
        folder: holds them.
        sample_rate: Hz of the responses.
        num_channels: 2 or 4; None takes that of the first set.
        convention: of four channels: "ambix", "gram", ... (see `signal.ambisonics.convert_foa`). None for two.

    Raises:
        DataError: no set there, or the first one is none.
        ChannelError: another number of channels.
        FormatError: four channels without a convention.
    """

    def __init__(
        self, folder: str | Path, sample_rate: int, num_channels: int | None = None, convention: str | None = None
    ):
        folder = Path(folder)
        paths = files_below(folder, (".npy",), "sets of responses")
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
        super().__init__(folder, list(sizes), listing_digest(sizes), sample_rate, num_channels, convention)

    def _read(self, name: str) -> NDArray:
        return open_npy(self.folder / name)


class RirSetShards(RirSets):
    """Sets in WebDataset shards.

    Args:
        folder: holds the `.tar` files.
        sample_rate: Hz of the responses.
        num_channels: 2 or 4; None takes that of the first set.
        convention: of four channels: "ambix", "gram", ... (see `signal.ambisonics.convert_foa`). None for two.

    Raises:
        DataError: no whole shard, or no `.npy` in them.
        ChannelError: another number of channels.
        FormatError: four channels without a convention.

    Warns:
        FormatWarning: shards that were cut short are left out; says how many.
    """

    def __init__(
        self, folder: str | Path, sample_rate: int, num_channels: int | None = None, convention: str | None = None
    ):
        self.shards = NpyShards(Path(folder), "sets of responses")
        sizes = self.shards.sizes
        super().__init__(Path(folder), list(sizes), listing_digest(sizes), sample_rate, num_channels, convention)

    def _read(self, name: str) -> NDArray:
        return npy_from_bytes(self.shards.read(name), f"{self.folder}: {name}")
