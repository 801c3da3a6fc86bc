"""The loss of masked autoencoders, by its formula."""

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.objectives.masked_reconstruction import masked_reconstruction_loss, normalized_patches


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


MASK = torch.tensor([[True, False, True], [False, True, True]])


@pytest.mark.parametrize("normalize", [True, False])
def test_the_formula(normalize: bool) -> None:
    prediction, target = numbers(2, 3, 8), 3 * numbers(2, 3, 8, seed=1) + 1
    errors = []
    for item, patch in MASK.nonzero().tolist():
        values = target[item, patch].double().numpy()
        if normalize:
            values = (values - values.mean()) / np.sqrt(values.var(ddof=1) + 1e-6)
        errors.append(((prediction[item, patch].double().numpy() - values) ** 2).mean())
    loss = masked_reconstruction_loss(prediction, target, MASK, normalize)
    assert float(loss) == pytest.approx(np.mean(errors), rel=1e-5)


def test_only_hidden_patches_count() -> None:
    prediction, target = numbers(2, 3, 8).requires_grad_(), numbers(2, 3, 8, seed=1)
    masked_reconstruction_loss(prediction, target, MASK).backward()
    assert torch.equal(prediction.grad.abs().sum(-1) > 0, MASK)
    assert masked_reconstruction_loss(normalized_patches(target), target, MASK) < 1e-10


def test_a_patch_of_equal_values_stays_finite_and_precision_is_float32() -> None:
    target = torch.full((2, 3, 8), 7.0)
    assert (normalized_patches(target) == 0).all()
    prediction = numbers(2, 3, 8)
    expected = masked_reconstruction_loss(prediction.bfloat16(), target, MASK)
    with torch.autocast("cpu", torch.bfloat16):
        assert masked_reconstruction_loss(prediction.bfloat16(), target, MASK) == expected
    assert expected.dtype == torch.float32 and expected.isfinite()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prediction": torch.zeros(2, 3, 7)}, r"prediction \(2, 3, 7\)"),
        ({"mask": torch.ones(2, 3)}, "torch.float32"),
        ({"mask": torch.ones(2, 4, dtype=torch.bool)}, r"\(2, 4\)"),
        ({"mask": torch.zeros(2, 3, dtype=torch.bool)}, "hides no patch"),
    ],
)
def test_what_does_not_belong_together_is_refused(changed: dict[str, torch.Tensor], message: str) -> None:
    given = {"prediction": torch.zeros(2, 3, 8), "target": torch.zeros(2, 3, 8), "mask": MASK} | changed
    with pytest.raises(DataError, match=message):
        masked_reconstruction_loss(**given)
