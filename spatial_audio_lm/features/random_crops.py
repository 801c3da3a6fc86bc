"""Many short crops of a long clip, of its features or of its waveform: in-batch sampling of GRAM and WavJEPA.

A rendered scene of ten seconds is expensive, and a crop of two seconds is what the encoder sees: several crops of each
scene make a batch several times as large for little (GRAM, paper section 3: 16 crops a scene, its appendix tries 4, 8
and 16; WavJEPA, paper section 3.2: 8 windows a clip).
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from spatial_audio_lm.errors import AudioValueError, ConfigError

PUBLISHED_FRAMES = 1024  # that the published code pads the 1001 frames of ten seconds to


def random_crops(
    features: Tensor,
    crops_per_clip: int,
    crop_frames: int = 200,
    generator: torch.Generator | None = None,
    pad_to_frames: int | None = None,
    shuffle: bool = True,
) -> tuple[Tensor, Tensor]:
    """Crops at starts drawn uniformly, with replacement, from all clips of a batch.

    The published code first pads the features with zeros to `PUBLISHED_FRAMES` (a zero of a logarithm is no silence,
    but a power of 1), so that a crop can end in up to 23 frames that no clip has. Here every crop lies within the clip,
    unless `pad_to_frames=PUBLISHED_FRAMES` asks for the published way.

    Args:
        features: `(batch, channels, frames, mels)`.
        crops_per_clip: of every clip.
        crop_frames: of a crop; 200 are two seconds of GRAM's frames.
        generator: of the starts and the order, on the CPU, so that they are the same on every device; None is torch's.
        pad_to_frames: None, or see above.
        shuffle: mix the crops of all clips, as published; False keeps those of a clip together.

    Returns:
        `(batch * crops_per_clip, channels, crop_frames, mels)`, and which clip each is of, `(batch * crops_per_clip,)`,
        for labels.

    Raises:
        AudioValueError: a clip shorter than a crop, or longer than it is to be padded to.
        ConfigError: a number below 1.
    """
    if features.ndim != 4:
        raise AudioValueError(f"features {tuple(features.shape)}; expected (batch, channels, frames, mels)")
    frames = features.shape[2]
    if pad_to_frames is not None:
        if frames > pad_to_frames:
            raise AudioValueError(f"features have {frames} frames; padded to {pad_to_frames} they would lose some")
        features = pad(features, (0, 0, 0, pad_to_frames - frames))
    if features.shape[2] < crop_frames:
        raise AudioValueError(
            f"features have {features.shape[2]} frames; a crop has {crop_frames}: give longer clips, or a smaller "
            "crop_frames"
        )
    return _crops(features, crops_per_clip, crop_frames, generator, shuffle)


def random_windows(
    waveform: Tensor,
    windows_per_clip: int,
    window_samples: int,
    generator: torch.Generator | None = None,
    shuffle: bool = True,
) -> tuple[Tensor, Tensor]:
    """Windows at starts drawn uniformly, with replacement, from all clips of a batch.

    Args:
        waveform: `(batch, channels, time)`; all channels are cut at the same samples.
        windows_per_clip: of every clip.
        window_samples: of a window.
        generator: of the starts and the order, on the CPU, so that they are the same on every device; None is torch's.
        shuffle: mix the windows of all clips, as published; False keeps those of a clip together.

    Returns:
        `(batch * windows_per_clip, channels, window_samples)`, and which clip each is of,
        `(batch * windows_per_clip,)`, for labels.

    Raises:
        AudioValueError: a clip shorter than a window.
        ConfigError: a number below 1.
    """
    if waveform.ndim != 3:
        raise AudioValueError(f"waveform {tuple(waveform.shape)}; expected (batch, channels, time)")
    if waveform.shape[2] < window_samples:
        raise AudioValueError(
            f"waveform has {waveform.shape[2]} samples; a window has {window_samples}: give longer clips, or smaller "
            "windows"
        )
    return _crops(waveform, windows_per_clip, window_samples, generator, shuffle)


def _crops(
    clips: Tensor, per_clip: int, length: int, generator: torch.Generator | None, shuffle: bool
) -> tuple[Tensor, Tensor]:
    """Of `(batch, channels, time, ...)`, which is long enough."""
    if min(per_clip, length) < 1:
        raise ConfigError(f"{per_clip} crops of a clip, {length} long: both must be at least 1")
    number = len(clips) * per_clip
    start = torch.randint(clips.shape[2] - length + 1, (number,), generator=generator)
    clip = torch.arange(len(clips)).repeat_interleave(per_clip)
    if shuffle:
        clip = clip[torch.randperm(number, generator=generator)]
    crops = [clips[row, :, first : first + length] for row, first in zip(clip, start.tolist(), strict=True)]
    return torch.stack(crops), clip.to(clips.device)
