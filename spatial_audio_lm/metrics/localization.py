"""How far an estimated direction is from the true one, and whether the estimate knows how sure it is.

Angles follow `spatial_audio_lm.signal.conventions`: degrees, azimuth positive to the left; vectors x front, y left,
z up. An estimate that gives no direction is a row of NaN: it is counted (`answered`), never averaged
in silently.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.signal.conventions import direction_of, great_circle_deg, wrap_azimuth_deg

CORRECT_WITHIN_DEG = 20.0  # the tolerance of DCASE's location-dependent scores and of Spatial-AST's ER20
MEAN_ERROR_OF_CHANCE_DEG = 90.0  # of a uniformly random direction, on the circle as on the sphere


@dataclass(frozen=True)
class LocalizationScores:
    """Errors over the estimates that gave a direction.

    Attributes:
        great_circle_mean_deg: mean angle between the estimated and the true direction.
        great_circle_median_deg: its median.
        azimuth_mae_deg: mean absolute azimuth error, the short way round.
        azimuth_median_deg: its median.
        elevation_mae_deg: mean absolute elevation error.
        within_20_deg: share of **all** items whose great-circle error is at most 20 degrees; an item without a
            direction counts as wrong.
        answered: share of items with a direction.
        count: number of items.
    """

    great_circle_mean_deg: float
    great_circle_median_deg: float
    azimuth_mae_deg: float
    azimuth_median_deg: float
    elevation_mae_deg: float
    within_20_deg: float
    answered: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """Stated confidence against the share that was right, in bins of equal width.

    Attributes:
        expected_error: mean over items of |confidence of the bin - share right in the bin|.
        bias: mean confidence minus share right; positive means too sure.
        confidence: mean confidence of each bin, `(bins,)`, NaN for an empty bin.
        accuracy: share right in each bin, `(bins,)`, NaN for an empty bin.
        counts: items in each bin, `(bins,)`.
    """

    expected_error: float
    bias: float
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]


def azimuth_error_deg(predicted_deg: ArrayLike, true_deg: ArrayLike) -> NDArray[np.float64]:
    """Absolute azimuth error the short way round: 170 against -170 is 20.

    Args:
        predicted_deg: azimuths in degrees, any shape; NaN stays NaN.
        true_deg: azimuths in degrees, a shape that broadcasts.
    """
    predicted, true = np.asarray(predicted_deg, dtype=np.float64), np.asarray(true_deg, dtype=np.float64)
    return np.abs(np.asarray(wrap_azimuth_deg(predicted - true), dtype=np.float64))


def direction_error_deg(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """Great-circle angle between vectors of any length, `(..., 3)` each; NaN rows give NaN."""
    return np.asarray(
        great_circle_deg(np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)), dtype=np.float64
    )


def localization_scores(predicted: ArrayLike, true: ArrayLike) -> LocalizationScores:
    """Scores of one direction per item.

    Args:
        predicted: `(items, 3)` vectors, any length; a row with NaN gives no direction.
        true: `(items, 3)` vectors.

    Raises:
        DataError: other shapes, no items, or a true direction that is not a direction.
    """
    estimate, truth = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if estimate.ndim != 2 or estimate.shape[1] != 3 or estimate.shape != truth.shape:
        raise DataError(
            f"directions have shapes {estimate.shape} and {truth.shape}; expected (items, 3) twice: "
            "turn angles into vectors with signal.conventions.unit_vector"
        )
    if len(truth) == 0:
        raise DataError("no items to score; give at least one estimated and one true direction")
    if not np.isfinite(truth).all() or (np.linalg.norm(truth, axis=1) == 0).any():
        raise DataError("a true direction is zero, NaN or infinite; score only items whose direction is known")
    answered = np.isfinite(estimate).all(axis=1)
    if not answered.any():
        nan = float("nan")
        return LocalizationScores(nan, nan, nan, nan, nan, 0.0, 0.0, len(truth))
    angle = direction_error_deg(estimate[answered], truth[answered])
    predicted_azimuth, predicted_elevation = direction_of(estimate[answered])
    true_azimuth, true_elevation = direction_of(truth[answered])
    azimuth = azimuth_error_deg(predicted_azimuth, true_azimuth)
    elevation = np.abs(np.asarray(predicted_elevation) - np.asarray(true_elevation))
    return LocalizationScores(
        great_circle_mean_deg=float(angle.mean()),
        great_circle_median_deg=float(np.median(angle)),
        azimuth_mae_deg=float(azimuth.mean()),
        azimuth_median_deg=float(np.median(azimuth)),
        elevation_mae_deg=float(elevation.mean()),
        within_20_deg=float((angle <= CORRECT_WITHIN_DEG).sum() / len(truth)),
        answered=float(answered.mean()),
        count=len(truth),
    )


def confidence_calibration(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> Calibration:
    """Whether items said to be right with confidence p are right in a share p of the cases.

    Args:
        confidence: `(items,)` in [0, 1].
        correct: `(items,)` booleans, for directions: error at most 20 degrees.
        bins: number of bins of equal width.

    Raises:
        DataError: shapes differ, nothing given, or a confidence outside [0, 1].

    Source:
        Guo et al. 2017, "On calibration of modern neural networks", eq. 3.
    """
    stated, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    if stated.ndim != 1 or stated.shape != right.shape or len(stated) == 0:
        raise DataError(f"confidence {stated.shape} and correct {right.shape} must be equal, non-empty (items,)")
    if not ((stated >= 0) & (stated <= 1)).all():
        raise DataError(f"confidence runs from {stated.min():.3g} to {stated.max():.3g}; expected within [0, 1]")
    if bins < 1:
        raise DataError(f"bins={bins}; expected at least 1")
    index = np.minimum((stated * bins).astype(np.int64), bins - 1)  # confidence 1.0 belongs to the last bin
    counts = np.bincount(index, minlength=bins)
    filled = np.where(counts > 0, counts, np.nan)
    mean_confidence = np.bincount(index, weights=stated, minlength=bins) / filled
    share_right = np.bincount(index, weights=right, minlength=bins) / filled
    gap = np.nan_to_num(np.abs(mean_confidence - share_right))
    return Calibration(
        expected_error=float((gap * counts).sum() / len(stated)),
        bias=float(stated.mean() - right.mean()),
        confidence=mean_confidence,
        accuracy=share_right,
        counts=counts,
    )
