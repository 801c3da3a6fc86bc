"""Embeddings of recordings of any length, some chunks at a time: hours need no more memory than minutes.

    for start_s, heard in embedded_parts(model, extractor, "day.wav"):
        print(start_s, heard.scene_cls)

A file of another rate: `AudioParts("day.wav", extractor.sampling_rate)` in place of its name.

Rows are the same as those of the whole recording at once, since chunks do not hear each other: a part's first and last
frames are made of the samples beside it too.
"""

from collections.abc import Iterator
from os import PathLike

import torch
from torch import Tensor

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.modeling_gram import GramModel, GramOutput
from spatial_audio_lm.signal.audio_parts import AudioParts
from spatial_audio_lm.signal.spatial_audio import SpatialAudio


def embedded_parts(
    model: GramModel,
    extractor: GramFeatureExtractor,
    recording: AudioParts | SpatialAudio | str | PathLike[str],
    chunks: int = 8,
    mono: str = "refuse",
    format: str | None = None,
) -> Iterator[tuple[float, GramOutput]]:
    """Embeddings of one part of a recording after the other, without gradients.

    Args:
        model: hears it.
        extractor: of the model.
        recording: `SpatialAudio`, or the path of a file, at the model's rate; or `AudioParts`, which brings one there.
        chunks: of a part (2 s each); the last part has one more, or less.
        mono: as `GramFeatureExtractor` takes it.
        format: of a file, where channels alone do not tell it.

    Yields:
        Where a part begins, in seconds, and what the model gives for it alone, a batch of one.

    Raises:
        SpatialAudioError: as `GramFeatureExtractor`, or of a file that is none.
        ConfigError: fewer than one chunk, or no whole number of them.
    """
    if type(chunks) is not int or chunks < 1:
        raise ConfigError(f"chunks is {chunks!r}; expected a whole number of 1 or more")
    walked = recording if isinstance(recording, AudioParts) else AudioParts(recording, format=format)
    hop = extractor.hop_length
    chunk = model.config.num_frames * hop
    beside = -(-extractor.n_fft // (2 * hop)) * hop  # whole frames that cover half a window
    size = chunk * max(chunks, -(-beside // chunk))
    parts = (extractor.channels_of(part, mono) for part in walked.parts(size, spare=max(chunk, beside)))
    for index, (waveform, before, behind) in enumerate(_with_neighbours(parts, beside)):
        maps = extractor.extract(waveform[None])
        # A frame stands at every hop and one at the end, which is the first one of the next part.
        maps = maps[:, :, before // hop : maps.shape[2] - (behind // hop + 1 if behind else 0)]
        with torch.no_grad():
            heard = model(maps.to(model.device))
        yield index * size / extractor.sampling_rate, heard


def _with_neighbours(parts: Iterator[Tensor], beside: int) -> Iterator[tuple[Tensor, int, int]]:
    """Every part `(channels, samples)` with the samples beside it, how many stand before it, and how many behind it."""
    held, before = next(parts), 0
    for following in parts:
        yield torch.cat([held, following[:, :beside]], dim=1), before, beside
        held, before = torch.cat([held[:, -beside:], following], dim=1), beside
    yield held, before, 0
