"""Averaged targets against their formulas, the loss by hand, and the numbers that show a collapse."""

import pytest
import torch
from torch import Tensor

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.objectives.latent_prediction import (
    averaged_targets,
    latent_prediction_loss,
    target_variance,
    variance_between_items,
)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("norm", "dims"), [("joint", (1, 2)), ("per_feature", (1,))])
def test_targets_are_means_of_normalised_layers(norm: str, dims: tuple[int, ...]) -> None:
    states = [3.0 * noise(seed, 2, 7, 5) + seed for seed in range(3)]
    states[0] = states[0] * torch.arange(1, 6)  # features of different spreads: the two norms differ
    expected = torch.zeros(2, 7, 5)
    for state in states:
        centred = state - state.mean(dims, keepdim=True)
        expected += centred / (centred.square().mean(dims, keepdim=True) + 1e-5).sqrt() / 3
    torch.testing.assert_close(averaged_targets(states, norm), expected)


def test_targets_have_no_gradient_and_are_float32() -> None:
    state = noise(0, 2, 7, 5).requires_grad_()
    assert not averaged_targets([state]).requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        targets = averaged_targets([state.bfloat16()])
    assert targets.dtype == torch.float32
    with pytest.raises(ConfigError, match="joint, per_feature"):
        averaged_targets([state], "layer")
    with pytest.raises(ConfigError, match="0 layers"):
        averaged_targets([])


def test_the_loss_by_hand() -> None:
    predictions, targets = noise(1, 2, 3, 4, 5), noise(2, 2, 3, 4, 5)
    mask = noise(3, 2, 3, 4) > 0
    error = sum(
        ((predictions[place] - targets[place]) ** 2).mean() for place in map(tuple, mask.nonzero().tolist())
    ) / int(mask.sum())
    torch.testing.assert_close(latent_prediction_loss(predictions, targets, mask), error)
    predictions[~mask] = torch.nan  # what does not count does not matter
    torch.testing.assert_close(latent_prediction_loss(predictions, targets, mask), error)


@pytest.mark.parametrize(
    ("targets", "mask", "message"),
    [
        (torch.zeros(2, 3, 6), torch.ones(2, 3).bool(), r"targets \(2, 3, 6\)"),
        (torch.zeros(2, 3, 5), torch.ones(2, 4).bool(), r"\(2, 4\)"),
        (torch.zeros(2, 3, 5), torch.ones(2, 3), "torch.float32"),
        (torch.zeros(2, 3, 5), torch.zeros(2, 3).bool(), "nothing to predict"),
    ],
)
def test_shapes_that_do_not_fit(targets: Tensor, mask: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        latent_prediction_loss(torch.zeros(2, 3, 5), targets, mask)


def test_a_collapse_is_seen() -> None:
    healthy = averaged_targets([noise(4, 8, 30, 16)])
    assert target_variance(healthy).item() == pytest.approx(1.0, abs=0.05)
    assert variance_between_items(healthy).item() == pytest.approx(7 / 8, abs=0.05)
    # The same for every token: jointly normalised, its numbers still have variance 1.
    constant = averaged_targets([noise(5, 1, 1, 16).expand(8, 30, 16)])
    assert constant.var(correction=0).item() == pytest.approx(1.0, abs=1e-3)
    assert target_variance(constant) < 1e-10 and variance_between_items(constant) < 1e-10
    # Only the place is told.
    places = averaged_targets([noise(6, 1, 30, 16).expand(8, 30, 16)])
    assert target_variance(places) > 0.8 and variance_between_items(places) < 1e-10
