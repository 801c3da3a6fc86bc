"""How much of distance and room size is in the sound at all: a neighbour rule that knows the room's true acoustics.

Once level is normalised, what is left of distance is the balance of direct and reverberant sound and how it decays.
The rule looks up, among training rooms, those with the most similar true direct-to-reverberant ratio, clarity and
decay time, and answers with their mean. A listener who must estimate those from a recording can hardly do better
**by these cues alone**, so its score stands beside the model's wherever near and far, or small and large, are asked
for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.zero_shot import balanced_accuracy

NEIGHBOURS = 40


@dataclass(frozen=True)
class OracleScores:
    """What the rule reaches on the test rooms.

    Attributes:
        balanced_accuracy: mean recall of the two words, over items that have a word.
        auc: area under the ROC curve of the predicted value.
        mean_squared_error: of the logarithm of the target, over all items.
        variance: of the logarithm of the target, the error of always answering its mean.
        predicted: the rule's value for each test item, in the target's own unit, `(items,)`.
    """

    balanced_accuracy: float
    auc: float
    mean_squared_error: float
    variance: float
    predicted: NDArray[np.float64]


def room_features(drr_db: ArrayLike, c50_db: ArrayLike, t30_s: ArrayLike) -> NDArray[np.float64]:
    """What the rule knows of each impulse response: `(items, 3)` of DRR in dB, C50 in dB and log T30."""
    columns = [np.asarray(drr_db, dtype=np.float64), np.asarray(c50_db, dtype=np.float64)]
    time = np.asarray(t30_s, dtype=np.float64)
    if (time <= 0).any():
        raise DataError("a reverberation time is not positive; leave out rooms without reverberation")
    return np.stack([*columns, np.log(time)], axis=-1)


def _rule(items: int) -> Pipeline:
    # standardised: decibels and log-seconds have no common unit
    return make_pipeline(StandardScaler(), KNeighborsRegressor(n_neighbors=min(NEIGHBOURS, items)))


def _best_threshold(value: NDArray[np.float64], is_high: NDArray[np.bool_]) -> float:
    """The cut with the highest balanced accuracy; the middle of the cuts that tie."""
    order = np.argsort(value)
    sorted_value, high = value[order], is_high[order]
    below_low = np.cumsum(~high) / max(1, (~high).sum())  # recall of the low word when cutting after this item
    above_high = 1 - np.cumsum(high) / max(1, high.sum())
    gain = below_low + above_high
    best = np.flatnonzero(gain == gain.max())
    cut = best[len(best) // 2]
    return float(sorted_value[cut : cut + 2].mean())


def neighbour_rule_scores(
    train_features: ArrayLike,
    train_target: ArrayLike,
    test_features: ArrayLike,
    test_target: ArrayLike,
    train_labels: Sequence[str | None],
    test_labels: Sequence[str | None],
    words: tuple[str, str],
) -> OracleScores:
    """Scores of the 40-nearest-neighbour rule on two words of one quantity.

    The cut between the words is the one that serves best on the training rooms, each predicted by the others: the rule
    gets every help, so that it is a bar and not a straw man.

    Args:
        train_features: `(train items, features)` from `room_features`, of rooms that are not in the test.
        train_target: `(train items,)` positive, e.g. distance in metres or floor area in square metres.
        test_features: `(test items, features)`.
        test_target: `(test items,)`.
        train_labels: the word of each training item, None where the target lies between the words.
        test_labels: the same for the test items.
        words: the word of low targets and that of high ones, e.g. ("near", "far").

    Raises:
        DataError: lengths differ, a target is not positive, or one of the two words does not occur.
    """
    known, unseen = np.asarray(train_features, dtype=np.float64), np.asarray(test_features, dtype=np.float64)
    target, truth = np.asarray(train_target, dtype=np.float64), np.asarray(test_target, dtype=np.float64)
    if known.ndim != 2 or unseen.ndim != 2 or known.shape[1] != unseen.shape[1]:
        raise DataError(f"features have shapes {known.shape} and {unseen.shape}; expected (items, features) twice")
    if target.shape != known.shape[:1] or truth.shape != unseen.shape[:1] or len(target) < 2:
        raise DataError(f"targets {target.shape} and {truth.shape} do not fit features {known.shape}, {unseen.shape}")
    if (target <= 0).any() or (truth <= 0).any():
        raise DataError("a target is not positive; the rule works on logarithms")
    if len(train_labels) != len(target) or len(test_labels) != len(truth):
        raise DataError(f"{len(train_labels)} and {len(test_labels)} labels for {len(target)} and {len(truth)} targets")
    low, high = (np.array([label == word for label in train_labels]) for word in words)
    test_low, test_high = (np.array([label == word for label in test_labels]) for word in words)
    for name, first, second in (("training", low, high), ("test", test_low, test_high)):
        if not first.any() or not second.any():
            raise DataError(f"of the {name} items {first.sum()} are {words[0]} and {second.sum()} {words[1]}")

    log_target = np.log(target)
    folds = KFold(n_splits=min(5, len(target)), shuffle=True, random_state=0)
    held_out = cross_val_predict(_rule(len(target) - -(-len(target) // folds.n_splits)), known, log_target, cv=folds)
    threshold = _best_threshold(held_out[low | high], high[low | high])

    predicted = _rule(len(target)).fit(known, log_target).predict(unseen)
    named = test_low | test_high
    return OracleScores(
        balanced_accuracy=balanced_accuracy(test_high[named], predicted[named] > threshold, 2),
        auc=float(roc_auc_score(test_high[named], predicted[named])),
        mean_squared_error=float(((predicted - np.log(truth)) ** 2).mean()),
        variance=float(np.log(truth).var()),
        predicted=np.exp(predicted),
    )
