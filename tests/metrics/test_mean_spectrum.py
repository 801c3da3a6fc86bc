"""The predictor that says in each band the mean of all targets so far."""

import pytest
import torch

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.mean_spectrum import MeanSpectrum

BANDS = torch.tensor([[0, 1], [0, 1], [2, 3]])  # three patches of two values, four bands
HIDDEN = torch.tensor([[True, False, True], [False, True, False]])


def targets(offset: float = 0.0) -> torch.Tensor:
    """Two items whose bands are constant."""
    return torch.tensor([3.0, -1.0, 0.5, 7.0])[BANDS].expand(2, -1, -1) + offset


def test_it_knows_what_is_constant_and_is_half_off_between_two_levels() -> None:
    mean = MeanSpectrum(BANDS)
    assert mean(targets(), HIDDEN) == 0.0
    assert mean(targets(1.0), HIDDEN) == pytest.approx(0.25)
    assert mean.count.tolist() == [8.0, 8.0, 4.0, 4.0]
    assert (mean.total / mean.count).tolist() == [3.5, -0.5, 1.0, 7.5]


def test_only_hidden_patches_are_judged_and_all_are_counted() -> None:
    mean, target = MeanSpectrum(BANDS), targets().clone()
    target[1, 2] += 3.0  # visible, and moves the mean of its bands by half of that
    assert mean(target, HIDDEN) == pytest.approx((0 + 1.5**2 + 0) / 3)


def test_it_resumes_exactly_and_has_nothing_to_train() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 2, 3, 2, generator=generator)
    mean, again = MeanSpectrum(BANDS), MeanSpectrum(BANDS)
    mean(first, HIDDEN)
    again.load_state_dict(mean.state_dict())
    assert torch.equal(mean(second, HIDDEN), again(second, HIDDEN))
    assert set(mean.state_dict()) == {"total", "count"} and not list(mean.parameters())


def test_other_shapes_are_refused() -> None:
    mean = MeanSpectrum(BANDS)
    with pytest.raises(DataError, match=r"target \(2, 2, 2\).*expected \(batch, 3, 2\) and \(batch, 3\)"):
        mean(targets()[:, :2], HIDDEN)
    with pytest.raises(DataError, match=r"mask \(2, 2\)"):
        mean(targets(), HIDDEN[:, :2])


def test_what_is_only_measured_is_not_counted() -> None:
    mean = MeanSpectrum(BANDS)
    with pytest.raises(DataError, match="counted no target yet"):
        mean.eval()(targets(), HIDDEN)
    mean.train()(targets(), HIDDEN)
    assert mean.eval()(targets(2.0), HIDDEN) == 4.0
    assert mean(targets(), HIDDEN) == 0.0 and mean.count.tolist() == [4.0, 4.0, 2.0, 2.0]
