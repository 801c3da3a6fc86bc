"""What a model with a place for each sound tells of the most probable sounds, in numbers that a language model reads.

Of each sound: which one it is, and of its azimuth, elevation and distance not one answer but how sure the model is that
the sound lies on one side of a border and not on the other: in front or behind, above or below 15 degrees, farther or
nearer than two metres. An answer in words is then the sign of one number, and which of two sounds is nearer the sign of
a difference.
"""

from typing import Any

import torch
from torch import Tensor

from spatial_audio_lm.layers.localization_bins import LocalizationBins
from spatial_audio_lm.signal.conventions import wrap_azimuth_deg

# Upright planes through the head, by the direction that counts as their side: front, front left, left, behind left.
TOWARDS_DEG = (0.0, 45.0, 90.0, 135.0)
ABOVE_DEG = (-30.0, -15.0, 0.0, 15.0, 30.0)
# How loud each is told. A small Q-Former learns first what is largest, and elevation, of which two ears know least,
# it never came to when that was told as softly as it is known.
LOUDNESS = {"name": 3.0, "azimuth": 1.0, "elevation": 3.0, "distance": 0.7}


def told_dim(config: Any) -> int:
    """Numbers told of a sound: one for each that the model knows, and one for each border."""
    return config.num_labels + len(TOWARDS_DEG) + len(ABOVE_DEG) + config.num_distance_bins - 1


def told_sounds(config: Any, event_logits: Tensor, probabilities: dict[str, Tensor]) -> Tensor:
    """Numbers of the `num_told_sounds` most probable sounds, the most probable first.

    Args:
        config: a `DSpASTConfig`.
        event_logits: `(batch, labels)`.
        probabilities: of the bins of "azimuth", "elevation" and "distance", each `(batch, labels, bins)`.

    Returns:
        `(batch, sounds, told_dim(config))`: which sound it is (0 or 1), then for each border the probability of one
        side less that of the other; times `LOUDNESS`, and times the probability that the sound is there: one that is
        not there says little of where it would be.
    """
    names = torch.eye(config.num_labels).to(event_logits).expand(*event_logits.shape, -1)
    parts = {"name": names}
    for head, sides in _sides(config.bins).items():
        parts[head] = probabilities[head] @ sides.to(probabilities[head])
    every = torch.cat([LOUDNESS[part] * values for part, values in parts.items()], dim=-1)
    every = every * event_logits.sigmoid()[..., None]
    first = event_logits.topk(min(config.num_told_sounds, config.num_labels), dim=-1).indices
    return every.gather(1, first[..., None].expand(-1, -1, every.shape[-1]))


def _sides(bins: LocalizationBins) -> dict[str, Tensor]:
    """Of each head a matrix `(bins, borders)`: on which side of a border, +1 or -1, a bin lies; 0 is on it."""
    azimuth = bins.azimuth_deg(torch.arange(bins.num_azimuth_bins).double())
    elevation = bins.elevation_deg(torch.arange(bins.num_elevation_bins).double())
    distance = bins.distance_m(torch.arange(bins.num_distance_bins).double())
    away = wrap_azimuth_deg(azimuth[:, None] - torch.tensor(TOWARDS_DEG)).abs()
    return {
        "azimuth": (90.0 - away).sign(),
        "elevation": (elevation[:, None] - torch.tensor(ABOVE_DEG)).sign(),
        "distance": (distance[:, None] - (distance[1:] + distance[:-1]) / 2).sign(),
    }
