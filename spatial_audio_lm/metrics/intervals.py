"""Intervals by resampling: how much a number would move on another draw of the same kind of test.

Scenes that share a dry recording are not independent. Whole groups (recordings, rooms) are drawn, not single scenes;
drawing scenes would give intervals that are too narrow.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_audio_lm.errors import DataError


@dataclass(frozen=True)
class Interval:
    """A percentile interval.

    Attributes:
        low: lower end.
        high: upper end.
        level: share of resamples within, e.g. 0.95.
    """

    low: float
    high: float
    level: float


def bootstrap_interval(
    statistic: Callable[[NDArray[np.int64]], float],
    groups: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap over groups.

    Args:
        statistic: maps item indices `(items,)` (with repetitions) to the number in question; a NaN is left out.
        groups: `(items,)` any labels; items with the same label are drawn together. `numpy.arange(items)` draws items.
        resamples: number of draws.
        seed: same seed, same interval.
        level: share of draws inside the interval.

    Returns:
        The interval; both ends NaN when every draw gave NaN.

    Raises:
        DataError: no items, no resamples, or a level outside (0, 1).

    Source:
        Efron and Tibshirani 1993, chapter 13; groups as in Davison and Hinkley 1997, section 3.8.
    """
    labels = np.asarray(groups)
    if labels.ndim != 1 or len(labels) == 0:
        raise DataError(f"groups have shape {labels.shape}; expected one label for each of at least one item")
    if resamples < 1 or not 0 < level < 1:
        raise DataError(f"resamples={resamples}, level={level}; expected at least 1 and within (0, 1)")
    _, group_of_item = np.unique(labels, return_inverse=True)
    order = np.argsort(group_of_item, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group_of_item))[:-1])
    generator = np.random.default_rng(seed)
    values = np.empty(resamples)
    for draw in range(resamples):
        chosen = generator.integers(len(members), size=len(members))
        values[draw] = statistic(np.concatenate([members[group] for group in chosen]))
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return Interval(float("nan"), float("nan"), level)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)
