"""Small heads on frozen embeddings, trained as HEAR trains them: how much of a task an embedding already holds.

A few settings, drawn from a grid, are tried on the first split; the best of them on its validation part is used for
all others. Directions are vectors (x front, y left, z up): a tanh stands behind the head, in training and in
prediction alike (the published training of GRAM's code leaves it out, its prediction does not).

Source: HEAR (Turian et al. 2022) and its evaluation kit; GRAM (Yuksel et al. 2025) took both over.
"""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.metrics.detection import mean_average_precision
from spatial_audio_lm.metrics.localization import direction_error_deg

TASK_KINDS = ("multiclass", "multilabel", "direction")
HIDDEN_LAYERS = (1, 2)
LEARNING_RATES = (3.2e-3, 1e-3, 3.2e-4, 1e-4)
INITIALISATIONS = {"xavier_uniform": nn.init.xavier_uniform_, "xavier_normal": nn.init.xavier_normal_}


@dataclass(frozen=True)
class ProbeSettings:
    """How heads are trained; the defaults are HEAR's.

    Args:
        standardize: bring every number of the embeddings to mean 0 and deviation 1 over the training part. HEAR's kit
            does not, and its heads find little in embeddings that are large and hardly differ from clip to clip.
    """

    hidden_size: int = 1024
    dropout: float = 0.1
    batch_size: int = 1024
    max_epochs: int = 500
    validate_every: int = 3  # epochs
    patience: int = 20  # validations without a better score before the end
    grid_points: int = 8  # of the 16 of the grid, drawn by the seed
    standardize: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        numbers = (self.hidden_size, self.max_epochs, self.validate_every, self.patience, self.grid_points)
        if min(numbers) < 1 or self.batch_size < 2 or not 0 <= self.dropout < 1:
            raise ConfigError(f"expected numbers from 1, batch_size from 2 and dropout in [0, 1); got {self}")
        if self.max_epochs < self.validate_every:
            raise ConfigError(
                f"max_epochs is {self.max_epochs}, validate_every {self.validate_every}: it would never be validated"
            )


@dataclass(frozen=True)
class HeadSettings:
    """One point of the grid."""

    hidden_layers: int
    learning_rate: float
    initialisation: str


@dataclass(frozen=True)
class Split:
    """Rows of the embeddings, each `(clips,)` int64."""

    train: Tensor
    valid: Tensor
    test: Tensor


@dataclass(frozen=True)
class FittedHead:
    """A head at its best validation.

    Attributes:
        head: in evaluation mode.
        settings: its point of the grid.
        valid_score: see `score_of`.
        epoch: at which it was best.
    """

    head: "ProbeHead"
    settings: HeadSettings
    valid_score: float
    epoch: int


class ProbeHead(nn.Module):
    """Hidden layers (linear, batch norm, dropout, ReLU), and a linear one.

    What it is given is first moved and scaled by its buffers `mean` and `deviation`, 0 and 1 unless they are set.

    Args:
        in_size: of the embeddings.
        outputs: classes, or 3 for a direction.
        settings: point of the grid.
        hidden_size: of the hidden layers.
        dropout: in them.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, in_size: int, outputs: int, settings: HeadSettings, hidden_size: int, dropout: float):
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_size))
        self.register_buffer("deviation", torch.ones(in_size))
        layers: list[nn.Module] = []
        last = "linear"  # what stands before a layer decides how wide its weights begin
        for _ in range(settings.hidden_layers):
            layers.append(self._linear(in_size, hidden_size, settings, last))
            layers += [nn.BatchNorm1d(hidden_size), nn.Dropout(dropout), nn.ReLU()]
            in_size, last = hidden_size, "relu"
        layers.append(self._linear(in_size, outputs, settings, last))
        self.layers = nn.Sequential(*layers)

    @staticmethod
    def _linear(in_size: int, out_size: int, settings: HeadSettings, before: str) -> nn.Linear:
        layer = nn.Linear(in_size, out_size)
        gain = nn.init.calculate_gain(before)  # type: ignore[arg-type]
        INITIALISATIONS[settings.initialisation](layer.weight, gain=gain)
        return layer

    def forward(self, embeddings: Tensor) -> Tensor:
        """`(clips, in_size)` to `(clips, outputs)`: logits; of a direction before its tanh."""
        answer: Tensor = self.layers((embeddings - self.mean) / self.deviation)
        return answer


def grid(points: int, seed: int) -> list[HeadSettings]:
    """Points of HEAR's grid, without repetition, drawn by the seed; all of them where `points` is as many or more."""
    everything = [HeadSettings(*p) for p in itertools.product(HIDDEN_LAYERS, LEARNING_RATES, INITIALISATIONS)]
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(seed)).tolist()
    return [everything[index] for index in order[:points]]


def fold_splits(folds: Sequence[str], test_folds: Sequence[str] | None = None) -> dict[str, Split]:
    """One split a fold that is tested: the next fold is for validation, the others are for training.

    Args:
        folds: of every clip, `(clips,)`.
        test_folds: which are tested; None: all, in the order of their names.

    Raises:
        DataError: fewer than three folds, or one asked for that there is not.
    """
    names = sorted(set(folds))
    if len(names) < 3:
        raise DataError(f"there are the folds {', '.join(names)}; expected 3 or more: to train, to validate, to test")
    wanted = names if test_folds is None else list(test_folds)
    if unknown := [name for name in wanted if name not in names] or (["none"] if not wanted else []):
        raise DataError(f"test_folds has {', '.join(unknown)}; there are {', '.join(names)}")

    def rows(chosen: set[str]) -> Tensor:
        return torch.tensor([index for index, name in enumerate(folds) if name in chosen])

    splits = {}
    for test in wanted:
        valid = names[(names.index(test) + 1) % len(names)]
        splits[test] = Split(rows(set(names) - {test, valid}), rows({valid}), rows({test}))
    return splits


def predict(head: ProbeHead, embeddings: Tensor, kind: str) -> Tensor:
    """Logits of classes `(clips, classes)`, or vectors towards the sound `(clips, 3)`, each number in (-1, 1)."""
    answer = head(embeddings)
    return torch.tanh(answer) if kind == "direction" else answer


def loss_of(predicted: Tensor, targets: Tensor, kind: str) -> Tensor:
    """What heads learn from: cross-entropy, binary cross-entropy, or the squared error of vectors."""
    if kind == "multiclass":
        return F.cross_entropy(predicted, targets)
    if kind == "multilabel":
        return F.binary_cross_entropy_with_logits(predicted, targets)
    return F.mse_loss(predicted, targets)


def clip_scores(predicted: Tensor, targets: Tensor, kind: str) -> Tensor:
    """What each clip adds to a score that is a mean over clips: 1 where the class is right, or minus the angle in
    degrees, `(clips,)` float64. A mean average precision is none."""
    if kind == "multiclass":
        return (predicted.argmax(1) == targets).double()
    return -torch.from_numpy(direction_error_deg(predicted.cpu().numpy(), targets.cpu().numpy()))


def score_of(predicted: Tensor, targets: Tensor, kind: str) -> float:
    """Accuracy, mean average precision, or the mean angle in degrees with a minus sign: higher is better.

    Args:
        predicted: of `predict`; vectors of any length, only their direction counts.
        targets: `(clips,)` class numbers, `(clips, classes)` 0 or 1, or `(clips, 3)` unit vectors.
        kind: one of `TASK_KINDS`.
    """
    if kind == "multilabel":
        return mean_average_precision(predicted.cpu().numpy(), targets.cpu().numpy()).value
    return float(clip_scores(predicted, targets, kind).mean())


def fit_head(
    embeddings: Tensor, targets: Tensor, kind: str, split: Split, point: HeadSettings, settings: ProbeSettings
) -> FittedHead:
    """Train one head on the training part, and keep it as it was when it did best on the validation part.

    The same seed gives the same head; torch's global random numbers are left as they were.

    Args:
        embeddings: `(clips, dim)`, float32.
        targets: see `score_of`.
        kind: one of `TASK_KINDS`.
        split: rows.
        point: of the grid.
        settings: of the training.

    Raises:
        ConfigError: another kind.
        DataError: embeddings that are not finite or do not go with the targets, or a part of the split is too small.
    """
    outputs = _check(embeddings, targets, kind, split)
    devices = [embeddings.device] if embeddings.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(settings.seed)
        head = ProbeHead(embeddings.shape[1], outputs, point, settings.hidden_size, settings.dropout)
        head.to(embeddings.device)
        if settings.standardize:
            known = embeddings[split.train]
            head.mean.copy_(known.mean(0))
            head.deviation.copy_(known.std(0).clamp(min=1e-8))
        optimizer = torch.optim.Adam(head.parameters(), lr=point.learning_rate)
        best, best_epoch, best_state, waited = float("-inf"), 0, copy.deepcopy(head.state_dict()), 0
        for epoch in range(1, settings.max_epochs + 1):
            head.train()
            for rows in _batches(split.train[torch.randperm(len(split.train))], settings.batch_size):
                optimizer.zero_grad()
                loss_of(predict(head, embeddings[rows], kind), targets[rows], kind).backward()
                optimizer.step()
            if epoch % settings.validate_every:
                continue
            score = evaluate_head(head, embeddings, targets, kind, split.valid)
            waited += 1
            if score > best:
                best, best_epoch, best_state, waited = score, epoch, copy.deepcopy(head.state_dict()), 0
            if waited >= settings.patience:
                break
    if best_epoch == 0:
        raise DataError(
            "no validation gave a score: the validation part has no positive clip, or the training diverged"
        )
    head.load_state_dict(best_state)
    return FittedHead(head.eval(), point, best, best_epoch)


@torch.inference_mode()
def evaluate_head(head: ProbeHead, embeddings: Tensor, targets: Tensor, kind: str, rows: Tensor) -> float:
    """Score of a head on some rows (see `score_of`)."""
    return score_of(predict(head.eval(), embeddings[rows], kind), targets[rows], kind)


def _batches(rows: Tensor, size: int) -> list[Tensor]:
    """Batches of at least two: batch norm has no variance of one."""
    batches = list(rows.split(size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _check(embeddings: Tensor, targets: Tensor, kind: str, split: Split) -> int:
    """Refuses what cannot be learned from; returns how many numbers the head gives."""
    if kind not in TASK_KINDS:
        raise ConfigError(f"the task is {kind!r}; expected one of {', '.join(TASK_KINDS)}")
    if embeddings.ndim != 2 or len(embeddings) != len(targets):
        raise DataError(
            f"embeddings {tuple(embeddings.shape)} and targets {tuple(targets.shape)}; expected (clips, dim) and a row "
            "of targets for each clip"
        )
    if not torch.isfinite(embeddings).all():
        raise DataError("embeddings hold NaN or infinite values: the encoder's weights or inputs are broken")
    if len(split.train) < 2 or len(split.valid) == 0 or len(split.test) == 0:
        raise DataError(
            f"{len(split.train)} clips to train, {len(split.valid)} to validate, {len(split.test)} to test; "
            "expected 2, 1 and 1 or more"
        )
    if kind == "multiclass":
        return int(targets.max()) + 1
    if kind == "direction" and targets.shape[1:] != (3,):
        raise DataError(f"targets of directions have the shape {tuple(targets.shape)}; expected (clips, 3)")
    return targets.shape[1]
