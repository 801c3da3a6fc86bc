"""Dry clips by reference: synthesised ones and files, cut, sped up, and kept while there is room."""

import hashlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spatial_audio_lm.errors import ChannelError, DataError, RecordError, SpatialAudioError
from spatial_audio_lm.files import sha256_of_file
from spatial_audio_lm.signal.resampling import resample
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.records import Clip
from spatial_audio_lm.simulation.sounds import synthesize

PROCEDURAL_DURATION_S = 4.0
CACHE_BYTES = 1024**3  # a thousand clips of five seconds, at five speeds each, at 16 kHz
ACTIVE_RANGE_DB = 45.0  # quieter than this below the loudest 20 ms counts as silence before and after the sound


def procedural_clip(kind: str, seed: int, sample_rate: int, speed: float = 1.0) -> Clip:
    """A reference to a synthesised sound, with the digest of its samples at `sample_rate`."""
    samples = synthesize(kind, seed, sample_rate, PROCEDURAL_DURATION_S).numpy()
    return Clip("procedural", kind, hashlib.sha256(samples.tobytes()).hexdigest(), seed=seed, speed=speed)


def file_clip(folder: str | Path, name: str) -> Clip:
    """A reference to a mono file below `folder`, cut to the part in which something sounds.

    Raises:
        DataError: the file is silent.
        ChannelError: it has more than one channel.
    """
    path = _inside(Path(folder), name)
    audio = _mono(path)
    part = sounding_part(audio.waveform[0].numpy(), audio.sample_rate)
    if part is None:
        raise DataError(f"{path} is silent: a clip needs a sound")
    start, stop = part[0] / audio.sample_rate, part[1] / audio.sample_rate
    return Clip("file", name, sha256_of_file(path), start_s=float(start), duration_s=float(stop - start))


def sounding_part(
    samples: NDArray[np.float32], sample_rate: int, range_db: float = ACTIVE_RANGE_DB
) -> tuple[int, int] | None:
    """First and last sample (exclusive) of the part in which something sounds, by frames of 20 ms.

    Args:
        samples: `(time,)`.
        sample_rate: Hz.
        range_db: what is quieter than this below the loudest frame is silence at the beginning and the end.

    Returns:
        None where all is silent.
    """
    frame = max(1, round(0.02 * sample_rate))
    padded = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    level = 10 * np.log10(np.square(padded, dtype=np.float64).mean(1) + 1e-20)
    if level.max() < -150:
        return None
    active = np.flatnonzero(level > level.max() - range_db)
    return int(active[0]) * frame, min((int(active[-1]) + 1) * frame, len(samples))


class ClipStore:
    """Gives the samples of clips.

    Args:
        folder: what the paths of file clips are relative to; None where only synthesised ones are used.
        sample_rate: Hz of what it gives.
        first_channel: take that of files with several; such files are refused otherwise.
        cache_bytes: of samples that are kept.
    """

    def __init__(
        self,
        folder: str | Path | None,
        sample_rate: int,
        first_channel: bool = False,
        cache_bytes: int = CACHE_BYTES,
    ):
        self.folder = None if folder is None else Path(folder)
        self.sample_rate, self.first_channel, self.cache_bytes = sample_rate, first_channel, cache_bytes
        self._kept: OrderedDict[Clip, NDArray[np.float32]] = OrderedDict()
        self._kept_bytes = 0

    def samples(self, clip: Clip) -> NDArray[np.float32]:
        """The clip as float32 `(time,)`.

        Raises:
            RecordError: the content is not what the reference's digest says, or a file clip is asked without a folder.
        """
        if clip in self._kept:
            self._kept.move_to_end(clip)
            return self._kept[clip]
        samples = self._synthesised(clip) if clip.kind == "procedural" else self._read(clip)
        if clip.speed != 1.0:
            played_at = round(clip.speed * self.sample_rate)
            samples = resample(torch.from_numpy(samples), played_at, self.sample_rate).numpy()
        self._kept[clip] = samples
        self._kept_bytes += samples.nbytes
        while self._kept_bytes > self.cache_bytes:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return samples

    def _synthesised(self, clip: Clip) -> NDArray[np.float32]:
        duration_s = PROCEDURAL_DURATION_S if clip.duration_s is None else clip.duration_s
        samples = synthesize(clip.name, clip.seed, self.sample_rate, duration_s).numpy()
        if hashlib.sha256(samples.tobytes()).hexdigest() != clip.sha256:
            raise RecordError(
                f"the {clip.name} with seed {clip.seed} at {self.sample_rate} Hz is not the one the record was made "
                "with: another sample rate, or another version of the synthesis"
            )
        return samples

    def _read(self, clip: Clip) -> NDArray[np.float32]:
        if self.folder is None:
            raise RecordError(f"{clip.name} is a file: say which folder the clips lie in")
        path = _inside(self.folder, clip.name)
        if sha256_of_file(path) != clip.sha256:
            raise RecordError(f"{path} is not the file the record was made with (its SHA-256 differs)")
        audio = _loaded(path) if self.first_channel else _mono(path)
        samples = self._cut(audio.waveform[0].numpy(), audio.sample_rate, clip)
        return resample(torch.from_numpy(samples), audio.sample_rate, self.sample_rate).numpy()

    @staticmethod
    def _cut(samples: NDArray[np.float32], sample_rate: int, clip: Clip) -> NDArray[np.float32]:
        start = round(clip.start_s * sample_rate)
        stop = None if clip.duration_s is None else start + round(clip.duration_s * sample_rate)
        return np.ascontiguousarray(samples[start:stop])

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_kept": OrderedDict(), "_kept_bytes": 0}


def _loaded(path: Path) -> SpatialAudio:
    """The recording of a file; where it cannot be read, the error has its whole path: folders have folders."""
    try:
        return SpatialAudio.load(path)
    except SpatialAudioError as error:
        raise type(error)(f"{path.parent}: {error}") from error


def _mono(path: Path) -> SpatialAudio:
    audio = _loaded(path)
    if audio.num_channels != 1:
        raise ChannelError(f"{path} has {audio.num_channels} channels; a dry clip has one: choose or mix one first")
    return audio


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:  # a link in the folder may lead where its owner wants
        raise RecordError(f"clip path {name!r} leaves its folder")
    if not path.is_file():
        raise RecordError(f"clip {name!r} is not in {folder}")
    return path
