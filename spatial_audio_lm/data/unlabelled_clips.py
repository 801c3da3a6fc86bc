"""Dry clips that nobody has labelled: any folder of sound files, and WebDataset shards of `.npy` arrays.

For noise (WHAM!, which GRAM uses, or any other), and for targets of a pre-training that needs no classes. Opening a
folder lists names and reads headers; a file is read, and hashed for the record, when a scene draws it.
"""

import hashlib
import logging
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spatial_audio_lm.data.clip_headers import read_headers
from spatial_audio_lm.data.folder_listing import files_below
from spatial_audio_lm.data.npy_arrays import finite_float32, npy_from_bytes
from spatial_audio_lm.data.npy_shards import NpyShards
from spatial_audio_lm.errors import DataError, RecordError, SpatialAudioError
from spatial_audio_lm.files import sha256_of_file
from spatial_audio_lm.signal.resampling import require_sample_rate, resample
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.records import Clip

log = logging.getLogger(__name__)

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".caf", ".w64")
CACHE_BYTES = 64 * 1024**2  # a clip that was drawn is soon rendered


class AudioFolder:
    """The sound files of a folder, and of folders in it. Of several channels the first is taken, as GRAM does.

    Args:
        folder: holds them.
        sample_rate: Hz of the samples it gives; files of other rates are resampled.
        skip_unreadable: let the next file stand in for one that cannot be read, so that there are as many clips as
            files; a warning names those whose header did not tell.

    Attributes:
        headers: what they say.

    Raises:
        DataError: no such folder, no sound file in it, or files that cannot be read.
    """

    def __init__(self, folder: str | Path, sample_rate: int, skip_unreadable: bool = False):
        self.folder, self.sample_rate = Path(folder), require_sample_rate(sample_rate)
        self._paths = files_below(self.folder, SUFFIXES, "sound files")
        self.headers, self.skip_unreadable = read_headers(self.folder, self._paths), skip_unreadable
        if not skip_unreadable:
            self.headers.require_readable()
        self._store = ClipStore(folder, sample_rate, first_channel=True, cache_bytes=CACHE_BYTES)
        self._clips: dict[int, Clip] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def clip(self, index: int) -> Clip:
        if index not in self._clips:
            self._clips[index] = self._readable(index) if self.skip_unreadable else self._reference(index)
        return self._clips[index]

    def _reference(self, index: int) -> Clip:
        path = self._paths[index]
        return Clip("file", path.relative_to(self.folder).as_posix(), sha256_of_file(path))

    def _readable(self, index: int) -> Clip:
        """The clip, or the next in the folder's order that can be read: a function of the files alone."""
        for number in range(len(self)):
            place = (index + number) % len(self)
            name = self._paths[place].relative_to(self.folder).as_posix()
            if name in self.headers.unreadable:
                continue
            try:
                clip = self._reference(place)
                self._store.samples(clip)
            except SpatialAudioError as error:
                self.headers.unreadable[name] = str(error)
                log.warning("%s; the next file stands in for it (skip_unreadable)", error)
                continue
            return clip
        raise DataError(f"none of the {len(self)} files of {self.folder} can be read: give sound files")

    def sound_class(self, index: int) -> str | None:
        return None

    def samples(self, clip: Clip) -> NDArray[np.float32]:
        return self._store.samples(clip)


class NpyShardClips:
    """Clips in WebDataset shards, each an array `(time,)`, as GRAM packs its noise.

    Args:
        folder: holds the `.tar` files.
        sample_rate: Hz of the samples it gives.
        stored_rate: Hz of the arrays, which do not say it (the published ones: 32 kHz).

    Raises:
        DataError: no whole shard, or no `.npy` in them.

    Warns:
        FormatWarning: shards that were cut short are left out; says how many.
    """

    def __init__(self, folder: str | Path, sample_rate: int, stored_rate: int):
        self.sample_rate, self.stored_rate = require_sample_rate(sample_rate), require_sample_rate(stored_rate)
        self.shards = NpyShards(Path(folder), "clips")
        self._names = list(self.shards.sizes)
        self._kept: OrderedDict[str, tuple[str, NDArray[np.float32]]] = OrderedDict()
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self._names)

    def clip(self, index: int) -> Clip:
        name = self._names[index]
        return Clip("file", name, self._read(name)[0])

    def sound_class(self, index: int) -> str | None:
        return None

    def samples(self, clip: Clip) -> NDArray[np.float32]:
        digest, samples = self._read(clip.name)
        if digest != clip.sha256:
            raise RecordError(f"{clip.name} is not the array the record was made with (its SHA-256 differs)")
        return samples

    def _read(self, name: str) -> tuple[str, NDArray[np.float32]]:
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        content = self.shards.read(name)
        where = f"{self.shards.folder}: {name}"
        array = npy_from_bytes(content, where)
        if array.ndim != 1 or not array.size:
            raise DataError(f"{where} has the shape {array.shape}; expected (time,): one channel a clip")
        samples = torch.from_numpy(finite_float32(array, where))
        clip = hashlib.sha256(content).hexdigest(), resample(samples, self.stored_rate, self.sample_rate).numpy()
        self._kept[name] = clip
        self._kept_bytes += clip[1].nbytes
        while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1][1].nbytes
        return clip

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": OrderedDict(), "_kept_bytes": 0}
