"""Embeddings of recordings of any length, some windows at a time: hours need no more memory than minutes.

    for start_s, heard in embedded_parts(model, extractor, "day.wav"):
        print(start_s, heard.scene_mean)

A file of another rate: `AudioParts("day.wav", extractor.sampling_rate)` in place of its name.

Frames are the same as those of the whole recording at once, since windows do not hear each other.
"""

import math
from collections.abc import Callable, Iterator
from os import PathLike

import torch
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor, require_sound
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel, WavJEPAOutput
from spatial_audio_lm.signal.audio_parts import AudioParts
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

Parts = Callable[[], Iterator[Tensor]]


def embedded_parts(
    model: WavJEPAModel,
    extractor: WavJEPAFeatureExtractor,
    recording: AudioParts | SpatialAudio | str | PathLike[str],
    windows: int = 8,
    mono: str = "refuse",
    format: str | None = None,
) -> Iterator[tuple[float, WavJEPAOutput]]:
    """Embeddings of one part of a recording after the other, without gradients.

    A file is read twice, for its level and then part by part, and is never in memory as a whole.

    Args:
        model: hears it.
        extractor: of the model.
        recording: `SpatialAudio`, or the path of a file, at the model's rate; or `AudioParts`, which brings one there.
        windows: of a part (2 s each).
        mono: as `WavJEPAFeatureExtractor` takes it.
        format: of a file, where channels alone do not tell it.

    Yields:
        Where a part begins, in seconds, and what the model gives for it alone, a batch of one. A rest of the recording
        that makes no frame is not heard.

    Raises:
        SpatialAudioError: as `WavJEPAFeatureExtractor`, or of a file that is none.
        ConfigError: fewer than one window, or no whole number of them.
    """
    if type(windows) is not int or windows < 1:
        raise ConfigError(f"windows is {windows!r}; expected a whole number of 1 or more")
    walked = recording if isinstance(recording, AudioParts) else AudioParts(recording, format=format)
    size, rate, least = windows * model.config.window_samples, model.config.sampling_rate, model.config.receptive_field
    extractor.require_model(model.config)

    def parts() -> Iterator[Tensor]:
        for part in walked.parts(size, spare=max(1, least - 1)):  # the last one makes a frame
            yield extractor.channels_of(part, mono)

    gain = _gain(parts, extractor, least)
    for index, part in enumerate(parts()):
        values = extractor.normal((part.double() * gain).float())[None].to(model.device)
        with torch.no_grad():
            heard = model(values, windows_at_once=windows)
        yield index * size / rate, heard


def _gain(parts: Parts, extractor: WavJEPAFeatureExtractor, least: int) -> Tensor:
    """What the recording is multiplied with to have its level, float64: float32 has no squares of very soft samples.

    Raises:
        AudioValueError: one number throughout, or shorter than a frame.
    """
    total, lowest, highest = torch.zeros((), dtype=torch.float64), torch.tensor(math.inf), torch.tensor(-math.inf)
    count = samples = 0
    for part in parts():
        total += part.double().square().sum()
        count += part.numel()
        samples += part.shape[1]
        lowest, highest = torch.minimum(lowest, part.min()), torch.maximum(highest, part.max())
    if samples < least:
        raise AudioValueError(
            f"the recording has {samples} samples, which make no frames; WavJEPA needs {least} at least: give a longer "
            "recording"
        )
    require_sound(lowest, highest)
    return extractor.gain(total / count)
