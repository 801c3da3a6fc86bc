"""Losses of the direction, distance and room-size heads, with masks for items that have no spatial label.

The confidence of a direction is the concentration kappa of a von Mises-Fisher distribution on the sphere,
`p(v) = kappa / (2 pi (e^kappa - e^-kappa)) * e^(kappa * cos(error))`: kappa 0 knows nothing, kappa 100 has a root mean
square error of 8 degrees.

Source: ELSA, section 3.3 (L_dir, L_dist, L_area, weights 1); Mardia and Jupp 2000, section 9.3.2 (von Mises-Fisher).
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.objectives.processes import mean_over_processes
from spatial_audio_lm.signal.conventions import unit_vector

SMALLEST_KAPPA = 1e-4  # below it, log(kappa) runs away while the distribution is uniform to four digits


def masked_mean(values: Tensor, mask: Tensor, gather: bool = True) -> Tensor:
    """Mean over the labelled items; 0 (with a gradient of 0) when there is none.

    Over several processes the sum is divided by the mean count of labelled items, so that the average over processes is
    the mean over the whole batch however the labelled items fell.

    Args:
        values: `(batch,)`, finite also where masked.
        mask: bool `(batch,)`, True = labelled.
        gather: count over all processes.
    """
    weight = mask.to(values.dtype)
    count = mean_over_processes(weight.sum()) if gather else weight.sum()
    return (values * weight).sum() / torch.where(count > 0, count, torch.ones_like(count))


def _labelled(target: Tensor, mask: Tensor) -> Tensor:
    """Targets as float32 with 0 where there is no label: NaN times a mask of 0 would still be NaN."""
    if target.shape != mask.shape or mask.dtype != torch.bool:
        raise DataError(
            f"target {tuple(target.shape)} needs a bool mask of its shape, not {mask.dtype} {tuple(mask.shape)}"
        )
    return torch.where(mask, target.float(), 0.0)


def direction_loss(
    pred: Tensor,
    azimuth_deg: Tensor,
    elevation_deg: Tensor,
    mask: Tensor,
    representation: Literal["vector", "angles"] = "vector",
    gather: bool = True,
) -> Tensor:
    """One minus the cosine between predicted and true direction.

    Args:
        pred: "vector": `(batch, 3)` x front, y left, z up, of any length > 0 (only its direction counts);
            "angles": `(batch, 2)` azimuth and elevation in radians, positive to the left and up.
        azimuth_deg: `(batch,)`, 0 = front, positive = left; anything (NaN too) where masked.
        elevation_deg: `(batch,)`, positive = up.
        mask: bool `(batch,)`, True = the item has a direction.
        representation: "angles" is the mean of 1 - cos(error) of azimuth and elevation apart, as the paper's text
            reads; it counts an azimuth error near the pole as much as one at the horizon, which the vector does not.
        gather: count the labelled items over all processes.

    Returns:
        Scalar in [0, 2].

    Raises:
        ConfigError: unknown representation.
        DataError: shapes that do not belong together.
    """
    size = {"vector": 3, "angles": 2}.get(representation)
    if size is None:
        raise ConfigError(f'direction representation is {representation!r}, expected "vector" or "angles"')
    if pred.shape != (*mask.shape, size):
        raise DataError(f"{representation} prediction has shape {tuple(pred.shape)}, expected {(*mask.shape, size)}")
    azimuth, elevation = _labelled(azimuth_deg, mask), _labelled(elevation_deg, mask)
    with torch.autocast(pred.device.type, enabled=False):
        pred = pred.float()
        if representation == "vector":
            cosine = functional.cosine_similarity(pred, unit_vector(azimuth, elevation), dim=-1)
        else:
            horizontal = unit_vector(azimuth, torch.zeros_like(azimuth))  # (cos, sin, 0) of the azimuth
            vertical = unit_vector(torch.zeros_like(elevation), elevation)  # (cos, 0, sin) of the elevation
            cos, sin = torch.cos(pred), torch.sin(pred)
            cosine = (
                cos[:, 0] * horizontal[:, 0] + sin[:, 0] * horizontal[:, 1]
            )  # cos(a - b) = cos a cos b + sin a sin b
            cosine = (cosine + cos[:, 1] * vertical[:, 0] + sin[:, 1] * vertical[:, 2]) / 2
        return masked_mean(1 - cosine, mask, gather)


def regression_loss(pred: Tensor, target: Tensor, mask: Tensor, gather: bool = True) -> Tensor:
    """Mean squared error over the labelled items, in the units given (metres, or a standardised logarithm).

    Args:
        pred: `(batch,)`.
        target: `(batch,)`; anything (NaN too) where masked.
        mask: bool `(batch,)`, True = labelled.
        gather: count the labelled items over all processes.
    """
    if pred.shape != mask.shape:
        raise DataError(f"prediction {tuple(pred.shape)} and mask {tuple(mask.shape)} must both be (batch,)")
    return masked_mean((pred.float() - _labelled(target, mask)).square(), mask, gather)


def concentration_nll(kappa: Tensor, cos_error: Tensor, mask: Tensor, gather: bool = True) -> Tensor:
    """Negative log-likelihood of the observed direction errors under von Mises-Fisher distributions.

    With `cos_error` detached it trains the confidence only and leaves the direction to `direction_loss`.

    Args:
        kappa: concentration `(batch,)`, > 0.
        cos_error: cosine between predicted and true direction `(batch,)`, in [-1, 1].
        mask: bool `(batch,)`, True = the item has a direction.
        gather: count the labelled items over all processes.

    Returns:
        Scalar, in nats; log(4 pi) = 2.53 for a uniform guess.
    """
    with torch.autocast(kappa.device.type, enabled=False):
        kappa = kappa.float().clamp_min(SMALLEST_KAPPA)
        # -log p, both sides multiplied by e^-kappa: log(2 pi (1 - e^-2kappa) / kappa) + kappa (1 - cos)
        log_normaliser = torch.log(2 * torch.pi * -torch.expm1(-2 * kappa) / kappa)
        return masked_mean(log_normaliser + kappa * (1 - _labelled(cos_error, mask)), mask, gather)


def vmf_probability_within(kappa: Tensor | float, angle_deg: Tensor | float) -> Tensor:
    """Probability that the true direction lies within an angle of the predicted one.

    The integral of the density over the cap: `(1 - e^(-kappa (1 - cos angle))) / (1 - e^(-2 kappa))`; for small kappa
    the share of the sphere's surface that the cap covers.

    Args:
        kappa: concentration, >= 0, any shape.
        angle_deg: half opening of the cap in [0, 180], broadcast against `kappa`.

    Returns:
        Probability in [0, 1], of the broadcast shape.
    """
    kappa = torch.as_tensor(kappa, dtype=torch.get_default_dtype()).clamp_min(SMALLEST_KAPPA)
    angle = torch.as_tensor(angle_deg, dtype=kappa.dtype, device=kappa.device)
    zero = torch.zeros_like(angle)
    # 1 - cos(angle) is half the square of the chord, which keeps its digits for small angles
    chord = unit_vector(angle, zero) - unit_vector(zero, zero)
    return torch.expm1(-kappa * chord.square().sum(-1) / 2) / torch.expm1(-2 * kappa)
