"""What a feature extractor with a longest clip does with a longer recording: nothing without being told."""

from torch import Tensor

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

LONG_AUDIO = ("refuse", "first", "chunks")


def require_long_audio(long_audio: str) -> None:
    """Refuses a choice that there is not.

    Raises:
        ConfigError: not one of `LONG_AUDIO`.
    """
    if long_audio not in LONG_AUDIO:
        raise ConfigError(f"long_audio is {long_audio!r}; expected one of {', '.join(LONG_AUDIO)}")


def clips_of(
    recording: SpatialAudio, longest: int, chunk: int, long_audio: str, first: int | None = None
) -> list[tuple[int, Tensor]]:
    """The clips to hear of a recording, each with its first sample.

    Args:
        recording: of any length.
        longest: samples that are heard as one.
        chunk: samples of a clip that is cut out of a longer recording.
        long_audio: "refuse"; "first": the beginning alone; "chunks": all of it in clips of `chunk`, the last one ending
            with the recording.
        first: samples of the beginning; `chunk` if not given.

    Returns:
        Pairs of a sample and a waveform `(channels, time)`.

    Raises:
        AudioValueError: a longer recording and "refuse".
    """
    waveform, rate = recording.waveform, recording.sample_rate
    time, first = waveform.shape[-1], first or chunk
    if time <= longest:
        return [(0, waveform)]
    if long_audio == "refuse":
        raise AudioValueError(
            f"the recording lasts {recording.duration_s:.2f} s ({time} samples), more than the {longest / rate:.2f} s "
            f"({longest} samples) that are heard at once: crop it, or say long_audio='first' (its first "
            f"{round(first / rate, 2):g} s) or 'chunks' (all of it, in rows of {chunk / rate:g} s)"
        )
    if long_audio == "first":
        return [(0, waveform[:, :first])]
    return [(start, waveform[:, start : start + chunk]) for start in [*range(0, time - chunk, chunk), time - chunk]]
