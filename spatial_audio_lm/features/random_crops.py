"""Many short crops of a long clip's features: GRAM's in-batch sampling.

A rendered scene of ten seconds is expensive, and a crop of two seconds is what the encoder sees: several crops of each
scene make a batch several times as large for little (GRAM, paper section 3: 16 crops a scene; its appendix tries 4, 8
and 16).
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
    if min(crops_per_clip, crop_frames) < 1:
        raise ConfigError(f"crops_per_clip {crops_per_clip} and crop_frames {crop_frames} must be at least 1")
    if features.ndim != 4:
        raise AudioValueError(f"features {tuple(features.shape)}; expected (batch, channels, frames, mels)")
    frames = features.shape[2]
    if pad_to_frames is not None:
        if frames > pad_to_frames:
            raise AudioValueError(f"features have {frames} frames; padded to {pad_to_frames} they would lose some")
        features = pad(features, (0, 0, 0, pad_to_frames - frames))
        frames = pad_to_frames
    if frames < crop_frames:
        raise AudioValueError(
            f"features have {frames} frames; a crop has {crop_frames}: give longer clips, or a smaller crop_frames"
        )
    number = len(features) * crops_per_clip
    start = torch.randint(frames - crop_frames + 1, (number,), generator=generator)
    clip = torch.arange(len(features)).repeat_interleave(crops_per_clip)
    if shuffle:
        clip = clip[torch.randperm(number, generator=generator)]
    crops = [features[row, :, first : first + crop_frames] for row, first in zip(clip, start.tolist(), strict=True)]
    return torch.stack(crops), clip.to(features.device)
