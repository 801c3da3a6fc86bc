"""What a feature extractor accepts as audio, brought to one form."""

from os import PathLike
from typing import Any

import numpy as np
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError, SampleRateError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

AudioInput = SpatialAudio | Tensor | np.ndarray | dict[str, Any] | str | PathLike[str]


def spatial_audios(
    audio: AudioInput | list[AudioInput], sampling_rate: int | None = None, format: str | None = None
) -> list[SpatialAudio]:
    """One or many recordings in any accepted form, as `SpatialAudio`.

    Args:
        audio: `SpatialAudio`; an array or tensor `(channels, time)` or `(time,)`; a dictionary with `array`,
            `sampling_rate` and perhaps `format`; a path; or a list of those.
        sampling_rate: rate of bare arrays in Hz.
        format: format of bare arrays and files where the number of channels does not tell it.

    Raises:
        SampleRateError: a bare array without its rate, or a rate given that contradicts the recording's own.
        AudioValueError: something that is not audio, or an empty list.
    """
    items = list(audio) if isinstance(audio, list | tuple) else [audio]
    if not items:
        raise AudioValueError("the list of recordings is empty; give at least one")
    return [_one(item, sampling_rate, format) for item in items]


def _one(item: Any, sampling_rate: int | None, format: str | None) -> SpatialAudio:
    if isinstance(item, SpatialAudio):
        own = item
    elif isinstance(item, str | PathLike):
        own = SpatialAudio.load(item, format=format)
    elif isinstance(item, dict):
        if "array" not in item:
            raise AudioValueError(f"an audio dictionary has the keys {sorted(item)}; expected array and sampling_rate")
        rate = item.get("sampling_rate", sampling_rate)
        own = SpatialAudio.from_array(item["array"], rate, item.get("format", format))
    elif isinstance(item, np.ndarray | Tensor):
        own = SpatialAudio.from_array(item, sampling_rate, format)
    else:
        raise AudioValueError(
            f"audio is a {type(item).__name__}; expected SpatialAudio, an array (channels, time), a dictionary with "
            "array and sampling_rate, a path, or a list of those"
        )
    if sampling_rate is not None and own.sample_rate != sampling_rate:
        raise SampleRateError(
            f"sampling_rate={sampling_rate} was given, but the recording says {own.sample_rate} Hz; leave it out"
        )
    return own
