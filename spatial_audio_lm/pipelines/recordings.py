"""Any recording as a sequence of windows, in memory that does not grow with its length.

Questions in words hear a recording of up to ten seconds as one window, and cut a longer one into windows of four
seconds, two apart: about the length that the packaged model was trained on, and short enough to say when something
sounds. Models of other lengths say theirs.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spatial_audio_lm.errors import AudioFileError, AudioValueError, SampleRateError
from spatial_audio_lm.features.audio_inputs import spatial_audios
from spatial_audio_lm.files import shown_name
from spatial_audio_lm.pipelines.answers import file_field
from spatial_audio_lm.pipelines.recording_files import recording_info
from spatial_audio_lm.signal.intensity_direction import no_direction_reason
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

WHOLE_S = 10.0
WINDOW_S = 4.0
HOP_S = 2.0
WITH_RATE = "{'array': ..., 'sampling_rate': ...}"  # how every door takes samples
_NOTHING_TO_HEAR = ("silence", "no pressure")  # how such reasons begin
_DEAD_EAR = 1e-5  # of the other ear's energy (50 dB); the shadow of a head is 20 to 40 dB deep

Recording = SpatialAudio | str | os.PathLike[str] | Mapping[str, Any]


@dataclass(frozen=True)
class Stretch:
    """A window of a recording.

    Attributes:
        start_s: Where it begins.
        audio: Its sound, at the recording's own rate.
        reason: Why it has no direction, None if it may have one.
    """

    start_s: float
    audio: SpatialAudio
    reason: str | None

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.start_s + self.audio.duration_s

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to hear at all."""
        return self.reason is not None and self.reason.startswith(_NOTHING_TO_HEAR)

    def notes(self, sample_rate: int) -> tuple[int | None, tuple[str, ...]]:
        """What is to be said of the recording beside the answer.

        Args:
            sample_rate: Of the model, in Hz.

        Returns:
            The recording's own rate where it is another, else None; and what is doubtful.
        """
        own = self.audio.sample_rate
        return (own if own != sample_rate else None), self.audio.warnings + missing_band(own, sample_rate)


class OpenRecording:
    """A recording whose head is known, and whose windows can be walked through once or more.

    Args:
        source: `SpatialAudio`, a path, or a dictionary with `array` `(channels, time)`, `sampling_rate` and perhaps
            `format`.
        format: Format of a file where the number of channels does not tell it ("foa_fuma", ...).

    Raises:
        SpatialAudioError: What is no recording, with the way out.
    """

    def __init__(self, source: Recording, format: str | None = None):
        self.format = format
        self.audio: SpatialAudio | None = None
        self.path: str | None = None
        recording = given_recording(source)
        if isinstance(recording, SpatialAudio):
            self.audio = recording
            self.path = self.audio.path
            self.duration_s, self.num_channels = self.audio.duration_s, self.audio.num_channels
        else:
            info = recording_info(recording)
            self.path = os.fsdecode(recording)
            self.duration_s, self.num_channels = info.duration_s, info.channels

    @property
    def name(self) -> str:
        """How messages call it."""
        return shown_name(self.path) if self.path else "the recording"

    @property
    def file(self) -> str | None:
        """Path that can be printed and written as JSON; None for an array."""
        return file_field(self.path) if self.path else None

    def stretches(
        self, whole_s: float = WHOLE_S, window_s: float = WINDOW_S, hop_s: float = HOP_S
    ) -> Iterator[Stretch]:
        """The windows in order of time; one at least.

        Args:
            whole_s: A recording of up to so many seconds is one window.
            window_s: Length of the windows of a longer one.
            hop_s: From the begin of one to the next.
        """
        for start_s, audio in self._windows(whole_s, window_s, hop_s):
            reason = no_direction_reason(audio) or _one_ear_reason(audio)
            if audio.format == "mono":  # has no direction whatever it holds; two ears of it are asked for silence
                both = replace(audio, waveform=audio.waveform.expand(2, -1), format="binaural")
                two_ears = no_direction_reason(both)
                reason = two_ears if two_ears is not None and two_ears.startswith(_NOTHING_TO_HEAR) else reason
            yield Stretch(start_s, audio, reason)

    def _windows(self, whole_s: float, window_s: float, hop_s: float) -> Iterator[tuple[float, SpatialAudio]]:
        if self.audio is None:
            assert self.path is not None
            if self.duration_s > whole_s:
                yield from SpatialAudio.stream(self.path, window_s, hop_s, self.format)
            else:
                yield 0.0, SpatialAudio.load(self.path, self.format)
        elif self.duration_s <= whole_s:
            yield 0.0, self.audio
        else:
            number = 0
            while (start_s := number * hop_s) + window_s < self.duration_s:
                yield start_s, self.audio.crop(start_s, start_s + window_s)
                number += 1
            yield start_s, self.audio.crop(start_s, self.duration_s)


def _one_ear_reason(audio: SpatialAudio) -> str | None:
    """Why a window of which one ear is dead has no direction: no head shades an ear so much."""
    if audio.format != "binaural":
        return None
    energy = audio.waveform.double().square().sum(-1)
    if float(energy.min()) >= float(energy.max()) * _DEAD_EAR:
        return None
    side = ("left", "right")[int(energy.argmin())]
    return f"one ear: the {side} channel is silent beside the other"


def missing_band(rate: int, sample_rate: int) -> tuple[str, ...]:
    """The warning of a recording whose rate in Hz is below that of the model, `sample_rate`; none of another."""
    if rate >= sample_rate:
        return ()
    return (
        f"a rate of {rate} Hz holds nothing above {rate / 2:g} Hz, and this model listens up to {sample_rate / 2:g} "
        "Hz: what it goes by there is missing",
    )


def given_recording(audio: Any) -> SpatialAudio | str | os.PathLike[str]:
    """What a door was given as a recording: itself if it is a path or `SpatialAudio`, else as `SpatialAudio`.

    Args:
        audio: Also a dictionary with `array` (or `raw`, as transformers' own pipelines call it), `sampling_rate` and
            perhaps `format`.

    Raises:
        SampleRateError: An array whose rate nobody says.
        SpatialAudioError: What is no recording, with the way out.
    """
    if isinstance(audio, list | tuple):
        raise AudioFileError(f"{len(audio)} recordings were given where one is heard at a time: ask for each")
    if isinstance(audio, SpatialAudio | str | os.PathLike):
        return audio
    if hasattr(audio, "shape"):
        raise SampleRateError(f"an array does not know its rate: give {WITH_RATE}")
    if not isinstance(audio, Mapping):
        return spatial_audios(audio)[0]
    fields = dict(audio)
    if "raw" in fields and "array" not in fields:
        fields["array"] = fields.pop("raw")
    if "array" in fields and fields.get("sampling_rate") is None:
        raise SampleRateError(f"the dictionary has an array and no sampling_rate: give {WITH_RATE}")
    return spatial_audios(fields)[0]


def require_sound(heard: bool, recording: OpenRecording) -> None:
    """Refuses a recording of which no window holds a sound.

    Raises:
        AudioValueError: It is silent from begin to end.
    """
    if not heard:
        raise AudioValueError(
            f"{recording.name}: is silent from begin to end, so that no sentence can fit: check the recording's level"
        )
