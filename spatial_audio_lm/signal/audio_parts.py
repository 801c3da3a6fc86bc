"""``AudioParts``: a recording that is walked through part by part, so that hours need no more memory than minutes."""

import os
import warnings as python_warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace

import torch

from spatial_audio_lm.errors import AudioValueError, ConfigError, FormatWarning
from spatial_audio_lm.signal.resampling import require_sample_rate, resample_parts
from spatial_audio_lm.signal.sound_files import audio_info
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

_READ_S = 4.0  # of a file at once


class AudioParts:
    """A recording as parts without gaps between them, as often as it is walked through.

    Args:
        source: ``SpatialAudio``, or the path of a file, of which a few seconds are in memory at a time.
        sample_rate: Rate of the parts in Hz; None: the recording's own.
        format: Of a file, as :meth:`SpatialAudio.load` takes it.
        heard: What is made of every part, for example other channels; or refuses it.

    Attributes:
        sample_rate: Rate of the parts in Hz.
        resampled_from: The recording's own rate in Hz, if the parts have another.

    Raises:
        AudioFileError: No such file, or none that can be read.
        AudioValueError: Something that is no recording.
        SampleRateError: A rate out of range.
    """

    def __init__(
        self,
        source: SpatialAudio | str | os.PathLike[str],
        sample_rate: int | None = None,
        format: str | None = None,
        heard: Callable[[SpatialAudio], SpatialAudio] | None = None,
    ):
        if not isinstance(source, SpatialAudio | str | os.PathLike):
            raise AudioValueError(
                f"recording is a {type(source).__name__}; expected SpatialAudio, or the path of a file: an array "
                "becomes one by SpatialAudio.from_array(array, rate)"
            )
        self._source, self._format, self._heard = source, format, heard
        self._own_rate = source.sample_rate if isinstance(source, SpatialAudio) else audio_info(source).sample_rate
        self.sample_rate = self._own_rate if sample_rate is None else require_sample_rate(sample_rate)
        self.resampled_from = None if self.sample_rate == self._own_rate else self._own_rate
        self._samples = 0
        self._read: SpatialAudio  # the last of what was read

    def parts(self, samples: int, spare: int = 1) -> Iterator[SpatialAudio]:
        """The recording from its begin to its end.

        Args:
            samples: Of a part, at `sample_rate`.
            spare: The last part is longer than this: it has up to ``samples + spare`` samples. It is the only part, and
                may be shorter, of a recording that has no more than that.

        Yields:
            What is one behind the other the whole recording.

        Raises:
            ConfigError: Fewer than one sample, or none to spare.
            SpatialAudioError: As :meth:`SpatialAudio.load`, as far as a file was read, or by `heard`.
        """
        if samples < 1 or spare < 1:
            raise ConfigError(f"parts of {samples} samples with {spare} to spare; expected 1 or more of both")
        waiting: list[torch.Tensor] = []
        for waveform in resample_parts(self._waveforms(), self._own_rate, self.sample_rate):
            waiting.append(waveform)
            if sum(piece.shape[1] for piece in waiting) > samples + spare:
                joined = torch.cat(waiting, dim=1)
                while joined.shape[1] > samples + spare:
                    yield self._part(joined[:, :samples])
                    joined = joined[:, samples:]
                waiting = [joined]
        yield self._part(torch.cat(waiting, dim=1))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is doubtful about the file, as far as it was read: behind the last part, all of it."""
        return self._read.warnings if self._samples else ()

    @property
    def duration_s(self) -> float:
        """Seconds that were walked through last: behind the last part, those of the recording."""
        return self._samples / self._own_rate

    def _part(self, waveform: torch.Tensor) -> SpatialAudio:
        resampled_from = self.resampled_from or self._read.resampled_from
        part = replace(self._read, waveform=waveform, sample_rate=self.sample_rate, resampled_from=resampled_from)
        return part if self._heard is None else self._heard(part)

    def _waveforms(self) -> Iterator[torch.Tensor]:
        """``(channels, time)`` at the recording's own rate, some seconds each."""
        walked_before, self._samples = self._samples > 0, 0
        for window in self._windows(walked_before):
            self._read = window
            # Windows have a sample in common, as a last one of a single sample would be none: it counts once.
            waveform = window.waveform[:, 1:] if self._samples else window.waveform
            self._samples += waveform.shape[1]
            yield waveform

    def _windows(self, walked_before: bool) -> Iterator[SpatialAudio]:
        step, rate = round(_READ_S * self._own_rate), self._own_rate
        if isinstance(self._source, SpatialAudio):
            for start in range(0, self._source.waveform.shape[1] - 1, step):
                yield replace(self._source, waveform=self._source.waveform[:, start : start + step + 1])
            return
        windows = SpatialAudio.stream(self._source, (step + 1) / rate, step / rate, self._format)
        while True:
            with python_warnings.catch_warnings() if walked_before else nullcontext():
                if walked_before:  # what is doubtful about the file was said then
                    python_warnings.simplefilter("ignore", FormatWarning)
                found = next(windows, None)
            if found is None:
                return
            yield found[1]
