"""Augmentation of cached features: turning and mirroring the scene, hiding parts of it.

Turning a first-order scene about the vertical axis turns every intensity vector alike, so it can be done on the
features, exactly, and the labels turn along; so can mirroring left and right. Both leave elevation, distance and room
untouched. Masks are SpecAugment's (Park et al., 2019), without time warping; the spectral tilt stands for microphones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spatial_audio_lm.data.scene_features import LABELS
from spatial_audio_lm.features.intensity import vector_channels
from spatial_audio_lm.signal.ambisonics import rotation_matrix
from spatial_audio_lm.signal.conventions import wrap_azimuth_deg

AZIMUTH = LABELS.index("azimuth_deg")


@dataclass(frozen=True)
class Augmentation:
    """What is done to a batch; rates are probabilities an item."""

    rotate: bool = True  # by any angle about the vertical axis
    mirror: bool = True  # left and right, half of the time
    num_time_masks: int = 2
    max_time_mask: int = 20  # frames
    max_mel_mask: int = 8  # mel bands of the log-mel spectrogram
    tilt: float = 0.15  # standard deviation of a slope over the mel axis, in feature units from end to end


def augment(
    batch: dict[str, Tensor],
    generators: Sequence[np.random.Generator],
    spatial_channels: Sequence[str],
    settings: Augmentation,
) -> dict[str, Tensor]:
    """Augment a batch in place and return it.

    Args:
        batch: from `SceneFeatures`.
        generators: one an item, so that an item's fate does not depend on its neighbours.
        spatial_channels: names of the feature extractor's channels.
        settings: what to do.
    """
    spatial, mel, labels = batch["spatial_features"], batch["input_features"], batch["labels"]
    draws = np.stack([g.random(8) for g in generators])
    turn_deg = draws[:, 0] * 360 - 180 if settings.rotate else np.zeros(len(draws))
    flip = np.where((draws[:, 1] < 0.5) & settings.mirror, -1.0, 1.0)
    # Mono copied to four channels has the same vector whatever happens: its pretended direction must not move.
    still = ~batch["is_spatial"].numpy()
    turn_deg[still], flip[still] = 0.0, 1.0

    matrices = []
    for angle, sign in zip(turn_deg, flip, strict=True):
        matrices.append(np.asarray(rotation_matrix(yaw_deg=float(angle))) @ np.diag([1.0, sign, 1.0]))
    change = torch.from_numpy(np.stack(matrices)).to(spatial)
    for start in vector_channels(spatial_channels):
        vectors = spatial[:, start : start + 3]
        spatial[:, start : start + 3] = torch.einsum("bij,bjtf->bitf", change, vectors)
    azimuth = labels[:, AZIMUTH].numpy() * flip + turn_deg
    labels[:, AZIMUTH] = torch.from_numpy(wrap_azimuth_deg(azimuth)).to(labels)

    frames, mels = mel.shape[2:]
    ramp = torch.linspace(-0.5, 0.5, mels)
    slopes = torch.from_numpy((draws[:, 2] + draws[:, 3] + draws[:, 4] - 1.5) * 2 * settings.tilt).to(mel)
    mel += slopes[:, None, None, None] * ramp
    for item, generator in enumerate(generators):
        for _ in range(settings.num_time_masks):
            width = int(generator.integers(settings.max_time_mask + 1))
            start = int(generator.integers(frames - width + 1))
            mel[item, :, start : start + width] = 0.0  # level-free features have their mean at zero
        width = int(generator.integers(settings.max_mel_mask + 1))
        start = int(generator.integers(mels - width + 1))
        mel[item, :, :, start : start + width] = 0.0
    return batch
