"""Predicting what a slowly moving copy of an encoder makes of the parts that the encoder itself did not hear.

Sources: Yuksel et al., "WavJEPA" (2025), section 3; data2vec 2.0 (Baevski et al. 2022), sections 3.3 and 3.4, of which
the averaged targets are.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from spatial_audio_lm.errors import ConfigError, DataError

TARGET_NORMS = ("joint", "per_feature")
_EPS = 1e-5


@torch.no_grad()
def averaged_targets(states: Sequence[Tensor], norm: str = "joint") -> Tensor:
    """The mean of several layers' outputs, each of them normalised; float32.

    Args:
        states: `(batch, tokens, dim)` of each layer.
        norm: what has mean 0 and variance 1 (plus 1e-5) in every item of every layer. "joint": all numbers of an item
            together, as WavJEPA's published code does, whose instance norm is handed a tensor of four dimensions.
            "per_feature": each feature over the tokens, as its paper and data2vec say.

    Returns:
        `(batch, tokens, dim)`, without a gradient.

    Raises:
        ConfigError: an unknown norm, or no layer.
    """
    if norm not in TARGET_NORMS or not states:
        raise ConfigError(f"norm is {norm!r} of {len(states)} layers; expected one of {', '.join(TARGET_NORMS)}")
    with torch.autocast(states[0].device.type, enabled=False):
        total = torch.zeros_like(states[0], dtype=torch.float32)
        for state in states:
            values = state.float()
            if norm == "joint":
                total += F.layer_norm(values, values.shape[1:], eps=_EPS)
            else:
                total += F.instance_norm(values.transpose(1, 2), eps=_EPS).transpose(1, 2)
        return total / len(states)


def latent_prediction_loss(predictions: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over all features of the tokens that were to be predicted, in float32.

    Args:
        predictions: `(..., dim)`.
        targets: the same shape.
        mask: bool `(...)`: True for those that count. A token of several groups counts in each.

    Returns:
        Scalar.

    Raises:
        DataError: shapes that do not belong together, a mask that is not bool or has nothing to predict.
    """
    if predictions.shape != targets.shape or mask.shape != targets.shape[:-1] or mask.dtype != torch.bool:
        raise DataError(
            f"predictions {tuple(predictions.shape)}, targets {tuple(targets.shape)}, mask {mask.dtype} "
            f"{tuple(mask.shape)}; expected two of (..., dim) and torch.bool (...)"
        )
    if not mask.any():
        raise DataError("the mask has no target: there is nothing to predict")
    with torch.autocast(predictions.device.type, enabled=False):
        return (predictions.float() - targets.float())[mask].square().mean()


def target_variance(targets: Tensor) -> Tensor:
    """How far the targets `(batch, tokens, dim)` vary: a feature's variance over all tokens, averaged over features.

    0 if the encoder gives the same for whatever it hears. What is normalised jointly keeps a variance of about 1 over
    tokens and features together even then; this one falls.
    """
    return targets.flatten(0, -2).float().var(0, correction=0).mean()


def variance_between_items(targets: Tensor) -> Tensor:
    """The part of `target_variance` that is not the same in every item: what is heard, without what is only position.

    0 in a batch of one.
    """
    return targets.float().var(0, correction=0).mean()
