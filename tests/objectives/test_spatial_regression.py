"""Direction, distance and confidence losses: values by hand, unlabelled items, the von Mises-Fisher distribution."""

import math
from pathlib import Path

import pytest
import torch
from together import run_together
from torch import Tensor

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.objectives.spatial_regression import (
    concentration_nll,
    direction_loss,
    masked_mean,
    regression_loss,
    vmf_probability_within,
)

NAN = float("nan")


def test_direction_loss_of_known_angles():
    pred = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.5], [1.0, 0.0, 0.0]])  # front, left, up, front
    azimuth, elevation = torch.tensor([0.0, 0.0, 30.0, 60.0]), torch.tensor([0.0, 0.0, 90.0, 0.0])
    mask = torch.ones(4, dtype=torch.bool)
    each = [direction_loss(pred[[i]], azimuth[[i]], elevation[[i]], mask[[i]]).item() for i in range(4)]
    assert each == pytest.approx([0.0, 1.0, 0.0, 0.5], abs=1e-6)
    assert direction_loss(pred, azimuth, elevation, mask).item() == pytest.approx(0.375, abs=1e-6)


def test_direction_loss_of_angles_is_the_mean_over_azimuth_and_elevation():
    pred = torch.deg2rad(torch.tensor([[60.0, 0.0], [180.0, 30.0]]))
    azimuth, elevation = torch.tensor([0.0, -180.0]), torch.tensor([0.0, 90.0])
    loss = direction_loss(pred, azimuth, elevation, torch.tensor([True, True]), "angles")
    assert loss.item() == pytest.approx((0.5 + 0.0 + 0.0 + 0.5) / 4, abs=1e-6)


def test_unlabelled_items_change_nothing_and_get_no_gradient():
    pred = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    mask = torch.tensor([True, False, True, False])
    azimuth, elevation = torch.tensor([10.0, NAN, -40.0, NAN]), torch.tensor([0.0, NAN, 20.0, NAN])
    loss = direction_loss(pred, azimuth, elevation, mask)
    loss.backward()
    alone = direction_loss(pred[mask], azimuth[mask], elevation[mask], torch.ones(2, dtype=torch.bool))
    assert loss.item() == pytest.approx(alone.item(), abs=1e-7)
    assert torch.equal(pred.grad[~mask], torch.zeros(2, 3))
    assert pred.grad[mask].abs().min() > 0


def test_a_batch_without_labels_costs_nothing():
    pred = torch.randn(3, 3, requires_grad=True)
    nothing, unlabelled = torch.full((3,), NAN), torch.zeros(3, dtype=torch.bool)
    kappa = torch.rand(3, requires_grad=True)
    loss = direction_loss(pred, nothing, nothing, unlabelled) + regression_loss(pred[:, 0], nothing, unlabelled)
    loss = loss + concentration_nll(kappa, nothing, unlabelled)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(pred.grad, torch.zeros(3, 3))
    assert torch.equal(kappa.grad, torch.zeros(3))


def test_regression_loss_of_known_values():
    pred, target = torch.tensor([1.0, 5.0, 2.0]), torch.tensor([3.0, NAN, 2.5])
    assert regression_loss(pred, target, torch.tensor([True, False, True])).item() == pytest.approx((4.0 + 0.25) / 2)


@pytest.mark.parametrize("kappa", [1e-3, 0.5, 4.0, 60.0, 900.0])
def test_probability_within_is_the_integral_of_the_density(kappa: float):
    theta = torch.linspace(0, math.pi, 360_001, dtype=torch.float64)
    # exp(-nll) is the density on the sphere; a ring at theta has the length 2 pi sin(theta)
    mask = torch.ones(1, dtype=torch.bool)
    at = [concentration_nll(torch.tensor([kappa]), torch.tensor([math.cos(t)]), mask).item() for t in (0.0, 0.1, 0.3)]
    log_normaliser = math.log(2 * math.pi * -math.expm1(-2 * kappa) / kappa)
    expected = [log_normaliser + kappa * (1 - math.cos(t)) for t in (0.0, 0.1, 0.3)]
    assert at == pytest.approx(expected, rel=1e-4, abs=1e-4)
    ring = torch.exp(-log_normaliser - kappa * (1 - torch.cos(theta))) * 2 * math.pi * torch.sin(theta)
    share = torch.cumulative_trapezoid(ring, theta)
    for angle_deg in (2.0, 10.0, 45.0, 90.0, 180.0):
        inside = share[round(angle_deg / 180 * 360_000) - 1].item()
        assert vmf_probability_within(kappa, angle_deg).item() == pytest.approx(inside, abs=2e-5)


def test_probability_within_covers_the_sphere_and_the_uniform_case():
    kappa = torch.tensor([0.0, 1.0, 1e4])
    assert torch.equal(vmf_probability_within(kappa, 180.0), torch.ones(3))
    assert torch.equal(vmf_probability_within(kappa, 0.0), torch.zeros(3))
    # a cap of 60 degrees is a quarter of the sphere
    assert vmf_probability_within(0.0, 60.0).item() == pytest.approx(0.25, abs=1e-4)
    assert vmf_probability_within(torch.tensor([1.0, 2.0]), torch.tensor([[10.0], [20.0]])).shape == (2, 2)


def test_the_fitted_confidence_is_calibrated():
    """The likelihood over drawn errors is least at their concentration, and the promised share falls inside the cap."""
    true_kappa = 25.0
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # inverse of the cap's probability
    cosine = (1 + torch.log(uniform + (1 - uniform) * math.exp(-2 * true_kappa)) / true_kappa).float()
    log_kappa = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_kappa], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        kappa = log_kappa.exp().expand(len(cosine))
        loss = concentration_nll(kappa, cosine, torch.ones(len(cosine), dtype=torch.bool))
        loss.backward()
        return loss

    optimizer.step(closure)
    kappa = log_kappa.exp().item()
    assert kappa == pytest.approx(true_kappa, rel=0.03)
    error_deg = torch.rad2deg(torch.arccos(cosine))
    for angle_deg in (5.0, 10.0, 20.0, 30.0):
        share = (error_deg < angle_deg).float().mean().item()
        assert vmf_probability_within(kappa, angle_deg).item() == pytest.approx(share, abs=0.015)


def test_a_useless_confidence_stays_finite():
    kappa = torch.tensor([0.0, 1e-30, 1e6], requires_grad=True)
    loss = concentration_nll(kappa, torch.tensor([1.0, -1.0, 0.5]), torch.ones(3, dtype=torch.bool))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(kappa.grad).all()
    uniform = concentration_nll(kappa[:1], torch.ones(1), torch.ones(1, dtype=torch.bool))
    assert uniform.item() == pytest.approx(math.log(4 * math.pi), abs=1e-3)


def test_wrong_shapes_and_names_are_refused():
    mask, angle = torch.ones(2, dtype=torch.bool), torch.zeros(2)
    with pytest.raises(ConfigError, match="quaternion"):
        direction_loss(torch.zeros(2, 3), angle, angle, mask, "quaternion")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"vector prediction has shape \(2, 2\), expected \(2, 3\)"):
        direction_loss(torch.zeros(2, 2), angle, angle, mask)
    with pytest.raises(DataError, match=r"torch\.float32"):
        direction_loss(torch.zeros(2, 3), angle, angle, angle)
    with pytest.raises(DataError, match=r"\(2, 1\)"):
        regression_loss(torch.zeros(2, 1), angle, mask)


def one_of_two(rank: int, folder: str) -> None:
    values, mask = torch.tensor([1.0, 5.0, 3.0, 9.0]), torch.tensor([True, True, True, False])
    share = slice(2 * rank, 2 * rank + 2)
    torch.save(masked_mean(values[share], mask[share]), f"{folder}/rank{rank}.pt")


def test_unequal_counts_of_labels_in_two_processes_average_to_the_mean_of_the_batch(tmp_path: Path):
    run_together(one_of_two, str(tmp_path))
    shares = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True).item() for rank in range(2)]
    assert sum(shares) / 2 == pytest.approx((1 + 5 + 3) / 3)
