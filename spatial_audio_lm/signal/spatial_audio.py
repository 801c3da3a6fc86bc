"""``SpatialAudio``: a waveform that knows its sample rate and what its channels mean."""

import os
import warnings as python_warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from spatial_audio_lm.errors import (
    LIMITS,
    AudioFileError,
    AudioValueError,
    ChannelError,
    FormatError,
    FormatWarning,
    SampleRateError,
)
from spatial_audio_lm.files import shown_name, write_whole
from spatial_audio_lm.signal.ambisonics import convert_foa, suspected_format
from spatial_audio_lm.signal.resampling import require_sample_rate, resample
from spatial_audio_lm.signal.sound_files import AudioInfo, SoundReader

CHANNELS_OF_FORMAT = {"mono": 1, "binaural": 2, "foa": 4}
_FORMAT_OF_CHANNELS = {channels: name for name, channels in CHANNELS_OF_FORMAT.items()}
# What may be declared at the door, and the ambisonic convention it is in there.
_DECLARABLE = {"mono": None, "binaural": None, "foa": "ambix", "foa_fuma": "fuma", "foa_n3d": "n3d"}
_FULL_NAME = {"fuma": "FuMa (classic B-format, W X Y Z)", "n3d": "N3D (W Y Z X)"}
_CHECKED_SECONDS = 30.0
_PCM_SUFFIXES = {".wav": "WAV", ".flac": "FLAC"}


@dataclass(frozen=True, eq=False)
class SpatialAudio:
    """A recording that knows where its sounds are.

    An instance is always valid: at least two samples, all finite, as many channels as the format has.

    Args:
        waveform: ``(channels, time)``, float32. Formats: ``"mono"``; ``"binaural"`` (left, right); ``"foa"``
            (W, Y, Z, X with SN3D: AmbiX).
        sample_rate: In Hz.
        format: ``"mono"``, ``"binaural"`` or ``"foa"``.
        resampled_from: The rate in Hz before :meth:`resample`.
        path: The file it came from.
        warnings: What was doubtful about the file.

    Raises:
        AudioValueError: Fewer than two samples, NaN or infinity, not floating point.
        ChannelError: The channels do not fit the format.
        SampleRateError: No rate, or one out of range.
    """

    waveform: torch.Tensor
    sample_rate: int
    format: str
    resampled_from: int | None = None
    path: str | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        source = f"{shown_name(self.path)}: " if self.path else ""
        require_sample_rate(self.sample_rate)
        if self.format not in CHANNELS_OF_FORMAT:
            raise FormatError(f"{source}format {self.format!r} is not known; expected mono, binaural or foa")
        if not isinstance(self.waveform, torch.Tensor) or self.waveform.ndim != 2:
            raise ChannelError(
                f"{source}a waveform is a tensor (channels, time); use SpatialAudio.from_array for others"
            )
        if self.waveform.dtype != torch.float32:
            raise AudioValueError(
                f"{source}a waveform is float32, got {self.waveform.dtype}; use SpatialAudio.from_array"
            )
        channels, time = self.waveform.shape
        if channels != CHANNELS_OF_FORMAT[self.format]:
            expected = CHANNELS_OF_FORMAT[self.format]
            raise ChannelError(f"{source}format {self.format!r} has {expected} channels, the waveform has {channels}")
        if time < 2:
            raise AudioValueError(f"{source}{time} samples are no sound; at least 2 are needed")
        # The extremes of a waveform are NaN if any sample is: one pass, where isfinite().all() needs three.
        if not torch.isfinite(torch.stack(self.waveform.aminmax())).all():
            channel, frame = torch.nonzero(~torch.isfinite(self.waveform))[0].tolist()
            value = self.waveform[channel, frame].item()
            raise AudioValueError(
                f"{source}the sample at frame {frame}, channel {channel} is {value}: "
                "not a number that sound can have; repair or drop it before"
            )

    @classmethod
    def load(
        cls,
        path: str | bytes | os.PathLike,
        format: str | None = None,
        start_s: float = 0.0,
        duration_s: float | None = None,
    ) -> "SpatialAudio":
        """Reads a sound file, or a part of one, with all its channels.

        Args:
            path: WAV, FLAC, OGG, AIFF, CAF, W64 or MP3.
            format: ``"mono"``, ``"binaural"``, ``"foa"`` (AmbiX), or ``"foa_fuma"`` / ``"foa_n3d"``, which are
                converted to AmbiX here. Not given: 1 channel is mono, 2 are binaural, 4 are AmbiX, or FuMa if the
                header of a WAV says B-format.
            start_s: Where to begin.
            duration_s: How much to read; up to the end if not given.

        Returns:
            The audio at the file's own rate. What is doubtful (cut off, probably not AmbiX) is in ``warnings`` and is
            given as a :class:`FormatWarning`.

        Raises:
            AudioFileError: Missing, corrupt, unsupported, or too long for the memory.
            ChannelError: 3, 5, ... channels, or not as many as the declared format has.
            AudioValueError: No or one sample, NaN or infinity (with frame and channel), a part outside of the file.
            FormatError: An unknown format.
        """
        with SoundReader(path) as reader:
            info, name = reader.info, reader.name
            declared, notes = _resolve_format(info.channels, format, name, info)
            first, last = _frame_range(info, start_s, duration_s, name)
            if (last - first) * info.channels * 4 > LIMITS.max_decoded_bytes:
                raise AudioFileError(
                    f"{name}: {(last - first) / info.sample_rate / 60:.0f} minutes of {info.channels} channels do not "
                    "fit in memory: read a part (start_s, duration_s) or use SpatialAudio.stream"
                )
            samples = np.empty((info.channels, last - first), dtype=np.float32)
            filled = 0
            for block in reader.blocks(first, last):
                samples[:, filled : filled + len(block)] = block.T
                filled += len(block)
            notes += _note_missing(reader)
        waveform = _to_house(torch.from_numpy(samples[:, :filled]), declared)
        notes += _note_suspicion(waveform, info.sample_rate, declared, name)
        for note in notes:
            python_warnings.warn(FormatWarning(note), stacklevel=2)
        return cls(waveform, info.sample_rate, _house_format(declared), path=os.fsdecode(path), warnings=tuple(notes))

    @classmethod
    def from_array(cls, array: Any, sample_rate: int | None = None, format: str | None = None) -> "SpatialAudio":
        """Takes samples from memory.

        Args:
            array: ``(channels, time)``, or ``(time,)`` for mono; floating point, numpy or torch or nested lists.
            sample_rate: In Hz; needed.
            format: As in :meth:`load`. Nothing is guessed from the content.

        Raises:
            SampleRateError: No rate, or one out of range.
            ChannelError: A shape that is no waveform.
            AudioValueError: Integers, fewer than two samples, NaN or infinity.
        """
        rate = require_sample_rate(sample_rate)
        try:
            tensor = array.detach() if isinstance(array, torch.Tensor) else torch.as_tensor(np.asarray(array))
        except (TypeError, ValueError) as error:
            raise AudioValueError(f"samples of type {type(array).__name__} are no array of numbers: {error}") from error
        if tensor.is_complex():
            raise AudioValueError(
                f"samples of type {tensor.dtype} are no waveform; expected real floating point, -1 to 1: turn a "
                "spectrum back first"
            )
        if not tensor.is_floating_point():
            raise AudioValueError(
                f"samples of type {tensor.dtype} have no known full scale; expected floating point, -1 to 1: "
                "divide 16-bit samples by 32768"
            )
        if tensor.ndim == 1:
            tensor = tensor[None]
        if tensor.ndim != 2:
            raise ChannelError(
                f"an array of shape {tuple(tensor.shape)}; expected (channels, time), or (time,) for mono"
            )
        if tensor.shape[0] not in _FORMAT_OF_CHANNELS and tensor.shape[1] in _FORMAT_OF_CHANNELS:
            raise ChannelError(
                f"an array of shape {tuple(tensor.shape)}; expected (channels, time): transpose it if time comes first"
            )
        declared, _ = _resolve_format(tensor.shape[0], format, "the array", None)
        waveform = _to_house(tensor.to(torch.float32), declared)
        return cls(waveform, rate, _house_format(declared))

    @classmethod
    def stream(
        cls, path: str | bytes | os.PathLike, window_s: float, hop_s: float, format: str | None = None
    ) -> Iterator[tuple[float, "SpatialAudio"]]:
        """Reads a file window by window; the memory needed does not depend on the file's length.

        Windows begin at 0, ``hop_s``, 2 ``hop_s``, ... until one reaches the end; that last one may be shorter.

        Args:
            path: As in :meth:`load`.
            window_s: Length of a window.
            hop_s: From the begin of one window to the next.
            format: As in :meth:`load`.

        Yields:
            ``(start_s, audio)``. Warnings about the file are given once and stand on every window; that the file is
            cut off is known on the last one only (in a WAV: from the first).

        Raises:
            SpatialAudioError: As :meth:`load`.
        """
        if not (window_s > 0 and hop_s > 0):
            raise AudioValueError(f"window and hop must be longer than 0 s; got {window_s} and {hop_s}")
        # The check of the format hears the begin of the file, as load() does; it warns here, and once.
        notes = cls.load(path, format, duration_s=_CHECKED_SECONDS).warnings
        with SoundReader(path) as reader:
            info = reader.info
            declared, _ = _resolve_format(info.channels, format, reader.name, info)
            window, hop = (max(round(seconds * info.sample_rate), 1) for seconds in (window_s, hop_s))
            if window < 2:
                raise AudioValueError(f"a window of {window_s} s holds fewer than 2 samples at {info.sample_rate} Hz")

            def audio(samples: np.ndarray, more: tuple[str, ...]) -> "SpatialAudio":
                waveform = _to_house(torch.from_numpy(np.ascontiguousarray(samples.T)), declared)
                unique = tuple(dict.fromkeys((*notes, *more)))
                return cls(waveform, info.sample_rate, _house_format(declared), path=os.fsdecode(path), warnings=unique)

            start, held_from = 0, 0
            held = np.empty((0, info.channels), dtype=np.float32)
            for block in reader.blocks():
                held = np.concatenate([held, block])
                # Strictly more than a window: the one that ends with the file is left to the code below.
                while held_from + len(held) > start + window:
                    yield start / info.sample_rate, audio(held[start - held_from :][:window], ())
                    start += hop
                    dropped = min(start - held_from, len(held))
                    held, held_from = held[dropped:], held_from + dropped
            rest = held[start - held_from :]
            if len(rest) >= 2:
                missing = [note for note in _note_missing(reader) if note not in notes]
                for note in missing:
                    python_warnings.warn(FormatWarning(note), stacklevel=2)
                yield start / info.sample_rate, audio(rest, tuple(missing))

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.waveform.shape[-1] / self.sample_rate

    @property
    def num_channels(self) -> int:
        """1 (mono), 2 (binaural) or 4 (foa)."""
        return self.waveform.shape[0]

    def __repr__(self) -> str:
        """What it is, without its samples."""
        path = f", path={self.path!r}" if self.path else ""
        return f"SpatialAudio({self.format}, {self.duration_s:.3f} s at {self.sample_rate} Hz{path})"

    def save(self, path: str | os.PathLike, normalize: bool = False) -> None:
        """Writes PCM of 24 bits, whole or not at all, with the same bytes every time.

        Args:
            path: ``.wav`` or ``.flac``.
            normalize: Scales all channels alike to a peak of 0.99 if the peak is above 1.

        Raises:
            AudioValueError: A sample beyond -1..1 would be clipped, and ``normalize`` is off.
            AudioFileError: Another suffix, or the file cannot be written.
        """
        container = _PCM_SUFFIXES.get(Path(path).suffix.lower())
        if container is None:
            raise AudioFileError(f"{shown_name(path)}: sound is written as .wav or .flac")
        waveform, peak = self.waveform.detach().cpu().double(), float(self.waveform.abs().max())
        if peak > 1.0:
            if not normalize:
                raise AudioValueError(
                    f"{shown_name(path)}: the peak is {peak:.3g} and would be clipped at 1: "
                    "scale the waveform, or save with normalize=True"
                )
            waveform = waveform * (0.99 / peak)
        # By our own rounding with the factor 2^23 of reading: libsndfile writes with 2^23 - 1, so that a file which is
        # read and written again would change. The 24 bits stand on top of 32.
        samples = (waveform * 2**23).round().clamp(max=2**23 - 1).to(torch.int32) * 2**8

        def write(temporary: Path) -> None:
            soundfile.write(
                os.fsencode(temporary), samples.T.numpy(), self.sample_rate, subtype="PCM_24", format=container
            )

        try:
            write_whole(path, write)
        except (soundfile.SoundFileError, OSError, RuntimeError) as error:
            raise AudioFileError(f"{shown_name(path)}: cannot be written: {error}") from error

    def resample(self, sample_rate: int) -> "SpatialAudio":
        """The same sound at another rate, all channels alike; ``resampled_from`` remembers the first rate.

        Raises:
            SampleRateError: A rate out of range.
        """
        sample_rate = require_sample_rate(sample_rate)
        if sample_rate == self.sample_rate:
            return self
        return replace(
            self,
            waveform=resample(self.waveform, self.sample_rate, sample_rate),
            sample_rate=sample_rate,
            resampled_from=self.resampled_from or self.sample_rate,
        )

    def crop(self, start_s: float, end_s: float) -> "SpatialAudio":
        """The part from ``start_s`` to ``end_s``, rounded to whole samples.

        Raises:
            AudioValueError: The part is not inside of the recording or holds fewer than two samples.
        """
        first, last = round(start_s * self.sample_rate), round(end_s * self.sample_rate)
        if not 0 <= first < last <= self.waveform.shape[-1]:
            raise AudioValueError(f"the part from {start_s:g} to {end_s:g} s is not inside 0 to {self.duration_s:g} s")
        return replace(self, waveform=self.waveform[:, first:last])

    def require(self, format: str | tuple[str, ...] | None = None, sample_rate: int | None = None) -> "SpatialAudio":
        """Itself, if it is what a receiver needs.

        Args:
            format: The format, or the formats, that will do.
            sample_rate: The rate in Hz that is needed.

        Raises:
            ChannelError: Another format; the message says what to do.
            SampleRateError: Another rate; likewise.
        """
        wanted = (format,) if isinstance(format, str) else format
        if wanted is not None and self.format not in wanted:
            names = " or ".join(f"{name} ({CHANNELS_OF_FORMAT[name]} channels)" for name in wanted)
            way_out = "give a recording of that kind" + (", or keep one channel as mono" if "mono" in wanted else "")
            raise ChannelError(f"audio is {self.format} ({self.num_channels} channels); expected {names}: {way_out}")
        if sample_rate is not None and self.sample_rate != sample_rate:
            raise SampleRateError(
                f"audio has {self.sample_rate} Hz; expected {sample_rate} Hz: bring it there by "
                f"SpatialAudio's resample({sample_rate}); an array becomes one by SpatialAudio.from_array(array, rate)"
            )
        return self


def _resolve_format(channels: int, declared: str | None, name: str, info: AudioInfo | None) -> tuple[str, list[str]]:
    """What to read ``channels`` channels as, and what is doubtful about it."""
    if declared is not None and declared not in _DECLARABLE:
        raise FormatError(f"format {declared!r} is not known; expected one of {', '.join(_DECLARABLE)}")
    if channels not in _FORMAT_OF_CHANNELS:
        raise ChannelError(
            f"{name}: {channels} channels; expected 1 (mono), 2 (binaural) or 4 (first-order ambisonics): "
            "pick the channels that are meant"
        )
    if declared is not None:
        expected = CHANNELS_OF_FORMAT[_house_format(declared)]
        if channels != expected:
            raise ChannelError(f"{name}: {channels} channels, but format {declared!r} has {expected}")
        if info is not None and info.is_b_format and declared != "foa_fuma":
            return declared, [f"{name}: the header says B-format (FuMa); read as {declared!r} as declared"]
        return declared, []
    if channels == 4 and info is not None and info.is_b_format:
        return "foa_fuma", []
    notes = []
    if channels == 4 and info is not None and info.channel_mask:
        notes.append(
            f"{name}: the header assigns the four channels to loudspeakers (mask 0x{info.channel_mask:X}); read as "
            "ambisonics (AmbiX): if that is right, declare it (format='foa', --format foa)"
        )
    return _FORMAT_OF_CHANNELS[channels], notes


def _house_format(declared: str) -> str:
    return "foa" if declared.startswith("foa") else declared


def _to_house(waveform: torch.Tensor, declared: str) -> torch.Tensor:
    convention = _DECLARABLE[declared]
    return waveform if convention is None else convert_foa(waveform, convention, "ambix").contiguous()


def _frame_range(info: AudioInfo, start_s: float, duration_s: float | None, name: str) -> tuple[int, int]:
    if not start_s >= 0 or (duration_s is not None and not duration_s > 0):
        raise AudioValueError(f"{name}: start must be 0 s or later and duration above 0 s; got {start_s}, {duration_s}")
    first = min(round(min(start_s, LIMITS.max_duration_s * 2) * info.sample_rate), info.frames)
    if first >= info.frames:
        raise AudioValueError(f"{name}: begins to be read at {start_s:g} s but ends at {info.duration_s:g} s")
    if duration_s is None or duration_s >= info.duration_s:
        return first, info.frames
    return first, min(first + max(round(duration_s * info.sample_rate), 1), info.frames)


def _note_missing(reader: SoundReader) -> list[str]:
    missing = reader.missing_frames
    if not missing:
        return []
    # A WAV's header is corrected by libsndfile, so that info has what is there; elsewhere it has what was claimed.
    return [f"{reader.name}: {missing} samples that the header claims are missing: the file was cut off"]


def _note_suspicion(waveform: torch.Tensor, sample_rate: int, declared: str, name: str) -> list[str]:
    if declared != "foa":
        return []
    looks_like = suspected_format(waveform[:, : round(_CHECKED_SECONDS * sample_rate)], sample_rate)
    if looks_like is None:
        return []
    other = "n3d" if looks_like == "fuma" else "fuma"
    return [
        f"{name}: read as AmbiX (W Y Z X, SN3D), but W is too soft beside Y, Z and X for that, and directions or "
        f"distances would be wrong: it looks like {_FULL_NAME[looks_like]}, or {_FULL_NAME[other]}; declare which: "
        f"format='foa_{looks_like}' or 'foa_{other}' (--format foa_{looks_like}, --format foa_{other})"
    ]
