"""AdaCos's scale against a plain sum, item by item."""

import math

import pytest
import torch

from spatial_audio_lm.objectives.adacos import initial_adacos_scale, updated_adacos_scale


def by_hand(cosines: list[list[float]], target: list[int], scale: float) -> float:
    """The published rule in plain numbers, without the shift by the largest logit."""
    sums = []
    for row, true in zip(cosines, target, strict=True):
        sums.append(1.0 + sum(math.exp(scale * value) for index, value in enumerate(row) if index != true))
    angles = sorted(math.acos(row[true]) for row, true in zip(cosines, target, strict=True))
    median = angles[(len(angles) - 1) // 2]  # the lower one of two
    return math.log(sum(sums) / len(sums)) / math.cos(min(math.pi / 4, median))


@pytest.mark.parametrize("batch", [1, 4, 5])
@pytest.mark.parametrize("scale", [0.7, 8.0])
def test_the_update_against_plain_sums(batch: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(batch)
    cosines = 2 * torch.rand(batch, 6, generator=generator) - 1
    target = torch.randint(6, (batch,), generator=generator)
    expected = by_hand(cosines.tolist(), target.tolist(), scale)
    new = updated_adacos_scale(cosines, target, torch.tensor([scale]))
    assert new.shape == (1,) and float(new) == pytest.approx(expected, rel=1e-5)


def test_the_median_angle_is_cut_at_45_degrees() -> None:
    near, far = torch.full((1, 3), 0.1), torch.full((1, 3), 0.1)
    near[0, 0], far[0, 0] = math.cos(0.2), -0.9
    target, scale = torch.tensor([0]), torch.tensor([4.0])
    ratio = updated_adacos_scale(far, target, scale) / updated_adacos_scale(near, target, scale)
    assert float(ratio) == pytest.approx(math.cos(0.2) / math.cos(math.pi / 4), rel=1e-5)


def test_large_scales_stay_finite_and_gradients_stay_out() -> None:
    cosines = torch.eye(3).requires_grad_()
    new = updated_adacos_scale(cosines, torch.tensor([0, 1, 2]), torch.tensor([500.0]))
    assert new.isfinite().all() and not new.requires_grad
    assert float(updated_adacos_scale(torch.ones(1, 3), torch.tensor([0]), torch.tensor([500.0]))) > 499


@pytest.mark.parametrize("classes, scale", [(21, 4.2366), (360, 8.3203), (180, 7.3361), (2, 0.5), (1, 0.5)])
def test_the_first_scale(classes: int, scale: float) -> None:
    assert initial_adacos_scale(classes) == pytest.approx(scale, abs=5e-5)
