"""How often an estimated distance lies in the wrong bin, and how often a guess would.

The distance error rate (DER) of the SpatialAST and DSpAST papers: bins of half a metre, a neighbouring bin is right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_audio_lm.errors import DataError

DISTANCE_BIN_M = 0.5  # of SpatialAST and DSpAST
TOLERANCE_BINS = 1  # neighbouring bins count as right, as published


@dataclass(frozen=True)
class GuessedRate:
    """What a rate is without listening.

    Attributes:
        drawn: answers drawn at random from the labels of the test.
        constant: always the one answer that serves best.
    """

    drawn: float
    constant: float


def distance_bins(distance_m: ArrayLike, bin_m: float = DISTANCE_BIN_M) -> NDArray[np.float64]:
    """Bins of distances in metres, any shape, halves to the even bin as published; NaN stays NaN."""
    if not bin_m > 0:
        raise DataError(f"bin_m={bin_m}; expected above 0")
    return np.rint(np.asarray(distance_m, dtype=np.float64) / bin_m)


def distance_wrong(
    predicted_bin: ArrayLike, true_bin: ArrayLike, tolerance_bins: int = TOLERANCE_BINS
) -> NDArray[np.float64]:
    """1 where the bins lie further apart than tolerated, else 0, `(items,)`; an estimate of NaN is wrong.

    Its mean is the distance error rate (DER) of the SpatialAST and DSpAST papers, 1 - share within one bin.

    Args:
        predicted_bin: `(items,)`.
        true_bin: `(items,)`.
        tolerance_bins: how far off still counts as right.

    Raises:
        DataError: shapes differ, nothing given, or a true bin that is not finite.
    """
    estimate, truth = np.asarray(predicted_bin, dtype=np.float64), np.asarray(true_bin, dtype=np.float64)
    if truth.ndim != 1 or len(truth) == 0 or estimate.shape != truth.shape:
        raise DataError(f"bins have shapes {estimate.shape} and {truth.shape}; expected equal, non-empty (items,)")
    if not np.isfinite(truth).all():
        raise DataError("a true distance is NaN or infinite; score only items whose distance is known")
    return (~(np.abs(estimate - truth) <= tolerance_bins)).astype(np.float64)  # NaN is wrong


def guessed_distance_error_rate(
    true_bin: ArrayLike, pool: ArrayLike | None = None, tolerance_bins: int = TOLERANCE_BINS
) -> GuessedRate:
    """Distance error rate without listening.

    Args:
        true_bin: `(items,)` bins that are asked about.
        pool: `(others,)` bins that the guesses come from; `true_bin` where not given.
        tolerance_bins: how far off still counts as right.

    Returns:
        Rates where lower is better. The constant is the bin that serves best on the pool, the nearest on a tie.
    """
    asked = np.asarray(true_bin, dtype=np.int64)
    known = asked if pool is None else np.asarray(pool, dtype=np.int64)
    guesses = np.arange(known.min(), known.max() + 1)
    share = np.array([(known == guess).mean() for guess in guesses])
    wrong_on_pool = np.array([distance_wrong(np.full(len(known), g), known, tolerance_bins).mean() for g in guesses])
    wrong = np.array([distance_wrong(np.full(len(asked), g), asked, tolerance_bins).mean() for g in guesses])
    return GuessedRate(drawn=float(share @ wrong), constant=float(wrong[wrong_on_pool.argmin()]))
