"""What an encoder of the package hears: which channels, one in all of its own if that is asked for, and how long."""

from dataclasses import replace
from typing import Any

from spatial_audio_lm.errors import ChannelError
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import FORMATS
from spatial_audio_lm.signal.spatial_audio import CHANNELS_OF_FORMAT, SpatialAudio

# Kinds that hear clips of any length, and whose extractor takes `mono` itself: it knows what the same in all channels
# is to the model.
TAKES_MONO = ("gram", "wavjepa")
_SPARE_SAMPLES = 16  # what rounding to whole samples at another rate can add to a window, and more


def format_heard(kind: str, extractor: Any) -> str:
    """The format of the recordings that an encoder hears; ELSA hears mono besides.

    Args:
        kind: `model_type` of the encoder.
        extractor: its feature extractor.
    """
    if kind == "gram":
        return str(extractor.audio_format)
    if kind == "wavjepa":
        return FORMATS[extractor.feature_size]
    return {"audio_mae": "mono", "elsa": "foa"}.get(kind, "binaural")


def extractor_options(kind: str, mono: str) -> dict[str, str]:
    """What the feature extractor is to be told of recordings that `channels_heard` gave."""
    return {"mono": mono} if kind in TAKES_MONO else {}


def channels_heard(recording: SpatialAudio, kind: str, extractor: Any, mono: str) -> SpatialAudio:
    """The recording as the encoder takes it: as it is, or one channel in both ears if `mono` is "duplicate".

    Args:
        recording: at any rate.
        kind: `model_type` of the encoder.
        extractor: its feature extractor.
        mono: of `MONO` (signal/mono_choice.py).

    Raises:
        ChannelError: a format that the encoder does not hear.
    """
    wanted = format_heard(kind, extractor)
    if recording.format == wanted or (kind == "elsa" and recording.format == "mono"):
        return recording
    if recording.format == "mono" and mono == "duplicate":
        if kind in TAKES_MONO:
            return recording
        copies = recording.waveform.expand(CHANNELS_OF_FORMAT[wanted], -1)
        return replace(recording, waveform=copies, format=wanted)
    advice = ""
    if recording.format == "mono":
        advice = ", or say mono='duplicate' (--mono duplicate): one channel in all, without a direction"
    also = " or mono" if kind == "elsa" else ""
    raise ChannelError(
        f"the recording is {recording.format} ({recording.num_channels} channels), this {kind} hears {wanted} "
        f"({CHANNELS_OF_FORMAT[wanted]} channels){also}: give recordings of that kind{advice}"
    )


def longest_s(extractor: Any) -> float | None:
    """The longest recording that is heard as one, in seconds; None: any."""
    samples = getattr(extractor, "max_samples", None)
    return None if samples is None else samples / extractor.sampling_rate


def window_of_long_s(extractor: Any) -> float | None:
    """Length of the windows of a longer recording, at whatever rate it is cut; None: recordings of any length."""
    if not hasattr(extractor, "chunk_samples"):
        return None
    return min(extractor.chunk_samples, extractor.max_samples - _SPARE_SAMPLES) / extractor.sampling_rate
