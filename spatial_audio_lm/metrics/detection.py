"""Which events sound: average precision, and whether the best-scored event is the right one.

A ranking is only worth what it adds to a random one, and with few positives a random one is not worth the prevalence
but more; both stand beside every average precision. An event without a single positive clip has no average precision:
it is left out and counted, unless the published way is asked for.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.distance_error import GuessedRate


@dataclass(frozen=True)
class MeanAveragePrecision:
    """Average precision of each event and its mean.

    Attributes:
        value: plain mean over the events that were scored.
        per_class: average precision of each event, `(classes,)`, NaN without a positive clip.
        positives: positive clips of each event, `(classes,)`.
        scored: events that the mean is over.
        without_positive: events that no clip has.
        chance: what random scores reach on average.
        prevalence: what one score for all clips reaches: the mean share of positive clips.
    """

    value: float
    per_class: NDArray[np.float64]
    positives: NDArray[np.int64]
    scored: int
    without_positive: int
    chance: float
    prevalence: float


class EventRanking:
    """Clips sorted by the score of each event, once; average precisions follow for any repetition of the clips.

    Args:
        scores: `(items, classes)` logits or probabilities, higher for what sounds.
        events: `(items, classes)`, 1 where the event sounds, else 0.
        groups: `(items,)` labels of what a bootstrap draws together; every clip by itself where not given.

    Raises:
        DataError: shapes differ, nothing given, a score that is not finite, or an event that is neither 0 nor 1.
    """

    def __init__(self, scores: ArrayLike, events: ArrayLike, groups: ArrayLike | None = None):
        values, truth = event_arrays(scores, events)
        self.items, self.classes = values.shape
        self._order = np.argsort(-values.T, axis=1, kind="stable").astype(np.int32)
        ranked = np.take_along_axis(values.T, self._order, axis=1)
        # clips of equal score are one threshold: each sees the precision at the end of its run
        last_of_run = np.ones(ranked.shape, dtype=bool)
        last_of_run[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
        end = np.where(last_of_run, np.arange(self.items), self.items)
        end = np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]
        self._class, rank = np.nonzero(np.take_along_axis(truth.T, self._order, axis=1))
        self._item, self._end = self._order[self._class, rank], end[self._class, rank]
        run = self._class * self.items + self._end
        self._last_hit_of_run = np.searchsorted(run, run, side="right") - 1
        self._first_hit = np.searchsorted(self._class, np.arange(self.classes))[self._class]
        # of each positive's own group: the clips, and the positive ones, that score no lower; itself included
        self._own_seen, self._own_found = np.ones(len(self._item)), np.ones(len(self._item))
        if groups is not None:
            self._count_own_groups(values, truth, np.asarray(groups))

    def average_precisions(self) -> NDArray[np.float64]:
        """Average precision of each event, `(classes,)`; NaN without a positive clip."""
        return self.resampled_average_precisions(np.ones(self.items, dtype=np.int64))

    def resampled_average_precisions(self, counts: ArrayLike) -> NDArray[np.float64]:
        """Average precision of each event on a draw of a bootstrap, `(classes,)`; NaN without a positive clip.

        A positive that is drawn twice would help itself up: its copies stand beside it, all of them right. With few
        positives an event that lifts every draw above the number it is to surround. So each copy counts its own group
        once, and only the others as often as they were drawn.

        Args:
            counts: `(items,)` how often each clip was drawn; the clips of a group alike.
        """
        drawn = np.asarray(counts, dtype=np.float64)
        if drawn.shape != (self.items,):
            raise DataError(f"counts have shape {drawn.shape}; expected one for each of {self.items} items")
        hits = drawn[self._item]
        repeated = np.maximum(hits - 1, 0)
        seen = np.cumsum(drawn[self._order], axis=1)[self._class, self._end] - repeated * self._own_seen
        total = np.concatenate([[0.0], np.cumsum(hits)])
        found = total[self._last_hit_of_run + 1] - total[self._first_hit] - repeated * self._own_found
        precision = np.divide(found, seen, out=np.zeros_like(found), where=hits > 0)
        positives = np.bincount(self._class, weights=hits, minlength=self.classes)
        summed = np.bincount(self._class, weights=hits * precision, minlength=self.classes)
        return np.divide(summed, positives, out=np.full(self.classes, np.nan), where=positives > 0)

    def _count_own_groups(self, values: NDArray[np.float64], truth: NDArray[np.bool_], groups: NDArray[Any]) -> None:
        if groups.shape != (self.items,):
            raise DataError(f"groups have shape {groups.shape}; expected one for each of {self.items} items")
        _, group = np.unique(groups, return_inverse=True)
        members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
        for hit, (item, column) in enumerate(zip(self._item, self._class, strict=True)):
            own = members[group[item]]
            no_lower = values[own, column] >= values[item, column]
            self._own_seen[hit] = no_lower.sum()
            self._own_found[hit] = (no_lower & truth[own, column]).sum()


def event_arrays(scores: ArrayLike, events: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores and events `(items, classes)` as numbers and truth values, once they are found sound.

    Raises:
        DataError: shapes differ, nothing given, a score that is not finite, or an event that is neither 0 nor 1.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(events)
    if values.ndim != 2 or values.size == 0 or values.shape != truth.shape:
        raise DataError(f"scores {values.shape} and events {truth.shape} must be equal, non-empty (items, classes)")
    if not np.isfinite(values).all():
        raise DataError("scores hold NaN or infinite values; check the model's input")
    if not np.isin(truth, (0, 1)).all():
        raise DataError("events hold numbers other than 0 and 1; score clips that were not mixed")
    return values, truth.astype(bool)


def mean_average_precision(
    scores: ArrayLike, events: ArrayLike, empty_classes: Literal["left_out", "published"] = "left_out"
) -> MeanAveragePrecision:
    """Mean over the events of the average precision, as scikit-learn defines it.

    Args:
        scores: `(items, classes)` logits or probabilities.
        events: `(items, classes)`, 0 or 1.
        empty_classes: "left_out" takes the mean over the events that some clip has. "published" counts the others as
            0, which is scikit-learn's answer for them and hence that of the published evaluation; chance and
            prevalence then count them as 0 as well. Use it only to compare with published numbers, and say so.

    Raises:
        DataError: what `EventRanking` refuses, or an unknown `empty_classes`.

    Source:
        zszheng147/Spatial-AST, utils/stat.py, on the raw logits.
    """
    if empty_classes not in ("left_out", "published"):
        raise DataError(f"empty_classes={empty_classes!r}; expected 'left_out' or 'published'")
    _, truth = event_arrays(scores, events)
    per_class = EventRanking(scores, events).average_precisions()
    positives = truth.sum(axis=0)
    kept = positives > 0

    def mean(values: NDArray[np.float64]) -> float:
        if empty_classes == "published":
            return float(np.where(kept, values, 0.0).mean())
        return float(values[kept].mean()) if kept.any() else float("nan")

    return MeanAveragePrecision(
        value=mean(per_class),
        per_class=per_class,
        positives=positives,
        scored=int(kept.sum()) if empty_classes == "left_out" else len(kept),
        without_positive=int((~kept).sum()),
        chance=mean(average_precision_of_chance(positives, len(truth))),
        prevalence=mean(positives / len(truth)),
    )


def average_precision_of_chance(positives: ArrayLike, items: int) -> NDArray[np.float64]:
    """Expected average precision of clips in random order; NaN without a positive clip.

    With P positives among N clips, place k holds one with probability P/N, and then each of the k - 1 before it does
    with (P - 1)/(N - 1). The mean over the places gives H/N + (1 - H/N)(P - 1)/(N - 1), H the sum of 1/k up to N. One
    positive among 1,000 clips: 0.0075, not 0.001.

    Args:
        positives: positive clips of each event, any shape.
        items: number of clips.
    """
    count = np.asarray(positives, dtype=np.float64)
    harmonic = float((1 / np.arange(1, items + 1)).sum()) / items
    chance = harmonic + (1 - harmonic) * (count - 1) / max(1, items - 1)
    return np.where(count > 0, chance, np.nan)


def event_correct(scores: ArrayLike, events: ArrayLike) -> NDArray[np.float64]:
    """Whether the event with the highest score is the right one, `(items,)`: 1, 0, or NaN for clips that do not count.

    Only clips of exactly one event count. A tie at the top is wrong: a model that scores all alike knows nothing.
    """
    values, truth = event_arrays(scores, events)
    if values.shape[1] < 2:
        raise DataError("one class only: there is nothing to choose from")
    right = np.where(truth, values, -np.inf).max(axis=1) > np.where(truth, -np.inf, values).max(axis=1)
    return np.where(truth.sum(axis=1) == 1, right.astype(np.float64), np.nan)


def guessed_event_accuracy(events: ArrayLike, pool: ArrayLike | None = None) -> GuessedRate:
    """Accuracy of naming an event without listening, over the clips of exactly one event.

    Args:
        events: `(items, classes)`, 0 or 1: the clips that are asked about.
        pool: `(others, classes)`: the labels that the guesses come from; those of `events` where not given.

    Returns:
        Rates where higher is better; NaN where no clip has exactly one event.
    """
    shares = []
    for labels in (events, events if pool is None else pool):
        truth = np.asarray(labels, dtype=bool)
        single = truth[truth.sum(axis=1) == 1]
        if len(single) == 0:
            return GuessedRate(float("nan"), float("nan"))
        shares.append(single.mean(axis=0))
    asked, known = shares
    return GuessedRate(drawn=float(asked @ known), constant=float(asked[known.argmax()]))
