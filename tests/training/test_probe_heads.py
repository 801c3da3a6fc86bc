"""Heads on frozen embeddings: what they learn, what is the same again, what is refused."""

import math
from dataclasses import replace

import pytest
import torch

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.training.probe_heads import (
    HeadSettings,
    ProbeHead,
    ProbeSettings,
    Split,
    evaluate_head,
    fit_head,
    fold_splits,
    grid,
    loss_of,
    predict,
    score_of,
)

POINT = HeadSettings(1, 3.2e-3, "xavier_uniform")
SMALL = ProbeSettings(hidden_size=64, max_epochs=90, patience=10)
FOLDS = [str(index % 3) for index in range(180)]


def clusters() -> tuple[torch.Tensor, torch.Tensor]:
    """Four well separated kinds of embeddings."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(len(FOLDS)) // 3 % 4
    centres = 4 * torch.randn(4, 10, generator=generator)
    return centres[targets] + torch.randn(len(FOLDS), 10, generator=generator), targets


def test_separable_classes_are_learned() -> None:
    embeddings, targets = clusters()
    split = fold_splits(FOLDS)["0"]
    fitted = fit_head(embeddings, targets, "multiclass", split, POINT, SMALL)
    assert evaluate_head(fitted.head, embeddings, targets, "multiclass", split.test) > 0.95
    assert fitted.valid_score > 0.95 and fitted.epoch % SMALL.validate_every == 0 and not fitted.head.training


def test_standardized_embeddings_are_learned_whatever_their_offset_and_scale() -> None:
    embeddings, targets = clusters()
    split = fold_splits(FOLDS)["0"]
    flat = 100 + 1e-3 * embeddings.double()
    scores = {}
    for standardize in (False, True):
        settings = replace(SMALL, standardize=standardize)
        fitted = fit_head(flat.float(), targets, "multiclass", split, POINT, settings)
        scores[standardize] = evaluate_head(fitted.head, flat.float(), targets, "multiclass", split.test)
    assert scores[True] > 0.95 > scores[False]
    assert torch.allclose(fitted.head.mean, flat[split.train].mean(0).float())  # of the training part alone


def test_labels_that_the_embeddings_do_not_hold_are_not_learned() -> None:
    embeddings, targets = clusters()
    noise = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(1))
    split = fold_splits(FOLDS)["0"]
    fitted = fit_head(noise, targets, "multiclass", split, POINT, SMALL)
    assert evaluate_head(fitted.head, noise, targets, "multiclass", split.test) < 0.5  # chance: 0.25


def test_several_labels_are_learned() -> None:
    embeddings = torch.randn(len(FOLDS), 6, generator=torch.Generator().manual_seed(0))
    targets = (embeddings[:, :3] > 0).float()
    split = fold_splits(FOLDS)["1"]
    fitted = fit_head(embeddings, targets, "multilabel", split, POINT, SMALL)
    assert evaluate_head(fitted.head, embeddings, targets, "multilabel", split.test) > 0.9


def test_a_map_to_directions_is_learned() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(len(FOLDS), 3, generator=generator), dim=1)
    embeddings = directions @ torch.randn(3, 12, generator=generator)
    split = fold_splits(FOLDS)["2"]
    fitted = fit_head(embeddings, directions, "direction", split, POINT, SMALL)
    assert -12 < evaluate_head(fitted.head, embeddings, directions, "direction", split.test) < 0  # chance: -90


def test_tanh_stands_in_training_and_in_prediction() -> None:
    head = ProbeHead(4, 3, POINT, 8, 0.0).eval()
    x, truth = 30 * torch.ones(2, 4), torch.tensor([[1.0, 0.0, 0.0]] * 2)
    answer = predict(head, x, "direction")
    assert torch.equal(answer, torch.tanh(head(x))) and answer.abs().max() <= 1
    assert loss_of(answer, truth, "direction") == (answer - truth).square().mean()
    assert torch.equal(predict(head, x, "multiclass"), head(x))
    assert score_of(5 * truth, truth, "direction") == pytest.approx(0.0)  # lengths do not count
    assert score_of(torch.tensor([[0.0, 0.1, 0.0]] * 2), truth, "direction") == pytest.approx(-90.0)


def test_layers_are_those_of_hear() -> None:
    names = [type(layer).__name__ for layer in ProbeHead(5, 2, HeadSettings(2, 1e-3, "xavier_normal"), 8, 0.1).layers]
    hidden = ["Linear", "BatchNorm1d", "Dropout", "ReLU"]
    assert names == [*hidden, *hidden, "Linear"]
    everything = grid(99, 0)
    assert len(everything) == len(set(everything)) == 16
    assert len(grid(8, 0)) == 8 and grid(8, 0) == grid(8, 0) != grid(8, 1)
    defaults = ProbeSettings()
    assert (defaults.hidden_size, defaults.batch_size, defaults.max_epochs, defaults.patience) == (1024, 1024, 500, 20)


def test_same_seed_same_head_and_global_numbers_untouched() -> None:
    embeddings, targets = clusters()
    split, brief = fold_splits(FOLDS)["0"], ProbeSettings(hidden_size=16, max_epochs=6)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = fit_head(embeddings, targets, "multiclass", split, POINT, brief)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    second = fit_head(embeddings, targets, "multiclass", split, POINT, brief)
    other = fit_head(
        embeddings, targets, "multiclass", split, POINT, ProbeSettings(hidden_size=16, max_epochs=6, seed=1)
    )
    for name, value in first.head.state_dict().items():
        assert torch.equal(value, second.head.state_dict()[name]), name
    assert not torch.equal(*(fitted.head.state_dict()["layers.0.weight"] for fitted in (first, other)))


def test_a_last_batch_of_one_is_no_batch() -> None:
    embeddings, targets = clusters()
    split = Split(torch.arange(33), torch.arange(33, 60), torch.arange(60, 90))
    settings = ProbeSettings(hidden_size=16, batch_size=16, max_epochs=3)
    assert math.isfinite(fit_head(embeddings, targets, "multiclass", split, POINT, settings).valid_score)


def test_folds_are_kept_apart() -> None:
    splits = fold_splits(["b", "a", "c", "a", "d"])
    assert list(splits) == ["a", "b", "c", "d"]
    assert [splits["a"].train.tolist(), splits["a"].valid.tolist(), splits["a"].test.tolist()] == [[2, 4], [0], [1, 3]]
    assert splits["d"].valid.tolist() == [1, 3]
    assert list(fold_splits(["b", "a", "c"], ["c"])) == ["c"]
    with pytest.raises(DataError, match="there are the folds a, b; expected 3 or more"):
        fold_splits(["a", "b", "a"])
    with pytest.raises(DataError, match="test_folds has 7; there are a, b, c"):
        fold_splits(["a", "b", "c"], ["7"])


def test_what_cannot_be_learned_from_is_refused() -> None:
    embeddings, targets = clusters()
    split = fold_splits(FOLDS)["0"]

    def fit(embeddings: torch.Tensor, targets: torch.Tensor, kind: str = "multiclass", split: Split = split) -> None:
        fit_head(embeddings, targets, kind, split, POINT, ProbeSettings(hidden_size=8, max_epochs=3))

    with pytest.raises(ConfigError, match="the task is 'pitch'; expected one of multiclass"):
        fit(embeddings, targets, "pitch")
    with pytest.raises(DataError, match="a row of targets for each clip"):
        fit(embeddings[1:], targets)
    with pytest.raises(DataError, match="embeddings hold NaN"):
        fit(embeddings.where(embeddings < 1, torch.nan), targets)
    with pytest.raises(DataError, match=r"targets of directions have the shape \(180,\)"):
        fit(embeddings, targets, "direction")
    with pytest.raises(DataError, match="0 to validate"):
        fit(embeddings, targets, split=Split(split.train, split.valid[:0], split.test))
    with pytest.raises(DataError, match="no validation gave a score"):
        fit(embeddings, torch.zeros(180, 2), "multilabel")
    with pytest.raises(ConfigError, match="it would never be validated"):
        ProbeSettings(max_epochs=2)
    with pytest.raises(ConfigError, match="batch_size from 2"):
        ProbeSettings(batch_size=1)
