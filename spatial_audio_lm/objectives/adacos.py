"""AdaCos: classification by cosines, with a scale that follows the training by itself.

Source: Zhang et al., "AdaCos" (2019), in the form of DSpAST's published code, which differs from the paper in one
point: the true class adds exp(0) = 1 to the sum over classes instead of being left out. The code was followed.
"""

import math

import torch
from torch import Tensor

_SMALLEST = 1e-12


def initial_adacos_scale(num_classes: int) -> float:
    """The scale before training, sqrt(2) ln(classes - 1), and at least 0.5."""
    return max(math.sqrt(2.0) * math.log(max(num_classes - 1, 1)), 0.5)


@torch.no_grad()
def updated_adacos_scale(cosines: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """The scale for the next loss, from the cosines of this batch.

    With z = s cos and m the largest z of the batch, B = mean over items of [sum over the other classes of exp(z - m)
    + exp(-m)], and t the (lower) median of the angles to the true classes: s becomes (m + ln B) / cos(min(pi / 4, t)).

    Args:
        cosines: `(batch, classes)`.
        target: true classes, `(batch,)`.
        scale: the present scale, one number of any shape.

    Returns:
        The new scale, in the shape of the old one.
    """
    scaled = scale.float() * cosines.float()
    largest = scaled.max()
    true = torch.nn.functional.one_hot(target, cosines.shape[1]).bool()
    others = torch.where(true, torch.zeros_like(scaled), scaled)  # exp(0 - m) stands in for the true class
    mean = (others - largest).exp().sum(1).mean()
    angles = cosines.float()[true].clamp(-1.0, 1.0).acos()
    new = (largest + mean.log()) / (angles.median().clamp(max=math.pi / 4).cos() + _SMALLEST)
    return new.clamp(min=_SMALLEST).to(scale.dtype).expand_as(scale).clone()
