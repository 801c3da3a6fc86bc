"""What two ears get wrong: how far off to the side, left for right, front for back.

The differences between the ears tell the lateral angle. All directions on the cone around the axis of the ears share
it; which of them it is, only the ear's colouring tells. One mean angle mixes a precise ear that confuses front and
back with an imprecise one that does not, so each is measured by itself, and the angle once more after every confusion
has been put right.

Every measure is a mean over judgements of single items, NaN where an item is no case of it. The same judgements of
estimates drawn from the true directions give its chance.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.localization import CORRECT_WITHIN_DEG, azimuth_error_deg, direction_error_deg
from spatial_audio_lm.signal.conventions import direction_of, lateral_angle_deg, unit_vector

# Sources nearer to a plane than this are asked neither for their side of it nor for having been mistaken across it.
PLANE_MARGIN_DEG = 15.0
SECTORS = ("front", "front-left", "left", "back-left", "back", "back-right", "right", "front-right")
SECTOR_WIDTH_DEG = 360.0 / len(SECTORS)
# Whole degrees are common in labels and answers, and 20 of them must not be above 20 by the last bit.
_ROUNDING_DEG = 1e-9
_ON_PLANE = 1e-9
_FRONT, _LEFT, _UP = range(3)


@dataclass(frozen=True)
class DirectionJudgements:
    """Estimates judged one by one; every field has the shape of the items, NaN where an item does not count.

    Attributes:
        great_circle_deg: angle between estimate and truth; NaN without an estimate.
        above_20: 1 where that angle is **strictly** above 20 degrees, and where there is no estimate; else 0.
        azimuth_deg: absolute azimuth error, the short way round.
        elevation_deg: absolute elevation error.
        lateral_deg: absolute error of the lateral angle.
        right_side: 1 where the estimate lies on the source's side of the median plane (left or right), else 0, also
            without an estimate or with one exactly in the plane. Only sources at least the margin away from the plane.
        front_back_confused: 1 where the estimate lies on the other side of the frontal plane (the one through both
            ears, straight up), else 0; an estimate exactly in the plane is not confused. Only sources at least the
            margin away from that plane, which keeps them as far from the axis of the ears, and answered ones.
        up_down_confused: likewise for the horizontal plane.
        resolved_deg: great-circle angle where the estimate, or its mirror image at the frontal plane, whichever is
            nearer to the truth, takes the estimate's place. The truth decides: read it beside its chance.
    """

    great_circle_deg: NDArray[np.float64]
    above_20: NDArray[np.float64]
    azimuth_deg: NDArray[np.float64]
    elevation_deg: NDArray[np.float64]
    lateral_deg: NDArray[np.float64]
    right_side: NDArray[np.float64]
    front_back_confused: NDArray[np.float64]
    up_down_confused: NDArray[np.float64]
    resolved_deg: NDArray[np.float64]

    def means(self, items: ArrayLike | None = None) -> dict[str, float]:
        """Mean of each field over the items that count, NaN where none does.

        Args:
            items: indices or booleans that choose items; all where not given.
        """
        return {name: mean_of_judged(values) for name, values in self._chosen(items).items()}

    def counts(self, items: ArrayLike | None = None) -> dict[str, int]:
        """How many items count in each field."""
        return {name: int(np.isfinite(values).sum()) for name, values in self._chosen(items).items()}

    def _chosen(self, items: ArrayLike | None) -> dict[str, NDArray[np.float64]]:
        chosen = ... if items is None else np.asarray(items)
        return {field.name: getattr(self, field.name)[chosen] for field in fields(self)}


def mean_of_judged(values: NDArray[np.float64]) -> float:
    """Mean of what is not NaN; NaN where everything is."""
    counts = np.isfinite(values)
    return float(values[counts].mean()) if counts.any() else float("nan")


def judge_directions(
    predicted: ArrayLike, true: ArrayLike, margin_deg: float = PLANE_MARGIN_DEG
) -> DirectionJudgements:
    """Judge estimated directions.

    Args:
        predicted: `(..., 3)` vectors of any length; one that is zero, NaN or infinite gives no direction.
        true: `(..., 3)` vectors of any length, a shape that broadcasts.
        margin_deg: how far a source must be from a plane to be asked for its side, in degrees of arc, in [0, 90).

    Raises:
        DataError: other shapes, no items, a margin out of range, or a true direction that is not a direction.

    Source:
        Great circle and 20 degrees: the published evaluation of SpatialAST and DSpAST. It counts an angle of exactly
        20 degrees, common between whole degrees, as above or not by the rounding of an arc cosine; here never.
    """
    estimate, truth = np.array(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if estimate.shape[-1:] != (3,) or truth.shape[-1:] != (3,) or 0 in (estimate.size, truth.size):
        raise DataError(
            f"directions have shapes {estimate.shape} and {truth.shape}; expected (..., 3) twice, and at least one "
            "item: turn angles into vectors with signal.conventions.unit_vector"
        )
    try:
        np.broadcast_shapes(estimate.shape, truth.shape)
    except ValueError:
        raise DataError(f"directions have shapes {estimate.shape} and {truth.shape}, which do not fit") from None
    if not 0 <= margin_deg < 90:
        raise DataError(f"margin_deg={margin_deg}; expected within [0, 90)")
    true_length = np.linalg.norm(truth, axis=-1, keepdims=True)
    if not (np.isfinite(true_length) & (true_length > 0)).all():
        raise DataError("a true direction is zero, NaN or infinite; score only items whose direction is known")
    length = np.linalg.norm(estimate, axis=-1, keepdims=True)
    estimate[~(np.isfinite(length) & (length > 0))[..., 0]] = np.nan
    truth, estimate = truth / true_length, estimate / length

    angle = direction_error_deg(estimate, truth)
    mirrored = direction_error_deg(estimate * [-1.0, 1.0, 1.0], truth)
    azimuth, elevation = direction_of(estimate)
    true_azimuth, true_elevation = direction_of(truth)
    answered = np.isfinite(angle)
    least = max(float(np.asarray(unit_vector(margin_deg, 0.0))[_LEFT]) - _ON_PLANE, _ON_PLANE)

    def sides(axis: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which sources are asked, and +1, -1 or 0 for an estimate on the source's side, the other, or neither."""
        offset = np.where(np.abs(estimate[..., axis]) < _ON_PLANE, 0.0, estimate[..., axis])
        return np.abs(truth[..., axis]) >= least, np.sign(offset) * np.sign(truth[..., axis])

    def confused(axis: int) -> NDArray[np.float64]:
        asked, side = sides(axis)
        return np.where(asked & answered, (side < 0).astype(np.float64), np.nan)

    lateral_asked, lateral_side = sides(_LEFT)
    return DirectionJudgements(
        great_circle_deg=angle,
        above_20=(~(angle <= CORRECT_WITHIN_DEG + _ROUNDING_DEG)).astype(np.float64),  # NaN is above
        azimuth_deg=azimuth_error_deg(azimuth, true_azimuth),
        elevation_deg=np.abs(elevation - true_elevation),
        lateral_deg=np.abs(lateral_angle_deg(estimate) - lateral_angle_deg(truth)),
        right_side=np.where(lateral_asked, (lateral_side > 0).astype(np.float64), np.nan),
        front_back_confused=confused(_FRONT),
        up_down_confused=confused(_UP),
        resolved_deg=np.minimum(angle, mirrored),
    )


def chance_of_directions(
    true: ArrayLike,
    items: ArrayLike | None = None,
    margin_deg: float = PLANE_MARGIN_DEG,
    max_pairs: int = 1_000_000,
    seed: int = 0,
) -> dict[str, float]:
    """Expected mean of every judgement when the estimates are the true directions in random order.

    The expectation over all orders is the mean over all pairs of an estimate and a source, an item's own included.
    Tests with too many pairs draw that many of them instead; a mean angle then moves by about 0.05 degrees a seed.

    Args:
        true: `(all items, 3)` true directions; every one of them is an estimate that may be drawn.
        items: indices or booleans of the sources that are asked; all where not given.
        margin_deg: as for `judge_directions`.
        max_pairs: how many pairs are judged at most.
        seed: of the drawing, where pairs are drawn.

    Returns:
        By the names of the fields of `DirectionJudgements`.

    Raises:
        DataError: other shapes, no items, or `max_pairs` below 1.
    """
    pool = np.asarray(true, dtype=np.float64)
    if pool.ndim != 2 or pool.shape[1] != 3 or len(pool) == 0:
        raise DataError(f"directions have shape {pool.shape}; expected (items, 3) and at least one item")
    asked = pool if items is None else pool[np.asarray(items)]
    if len(asked) == 0 or max_pairs < 1:
        raise DataError(f"{len(asked)} sources asked, max_pairs={max_pairs}; expected at least 1 each")
    rows = max(1, 100_000 // len(asked))  # at a time: bounds the memory
    sums = dict.fromkeys((field.name for field in fields(DirectionJudgements)), 0.0)
    counts = dict.fromkeys(sums, 0)

    def add(estimates: NDArray[np.float64]) -> None:
        judged = judge_directions(estimates, asked, margin_deg)
        for name, count in judged.counts().items():
            counts[name] += count
            sums[name] += float(np.nansum(getattr(judged, name)))

    if len(pool) * len(asked) <= max_pairs:
        for start in range(0, len(pool), rows):
            add(pool[start : start + rows, None])
    else:
        generator = np.random.default_rng(seed)
        draws = max(1, max_pairs // len(asked))
        for start in range(0, draws, rows):
            add(pool[generator.integers(len(pool), size=(min(rows, draws - start), len(asked)))])
    return {name: sums[name] / counts[name] if counts[name] else float("nan") for name in sums}


def azimuth_sectors(azimuth_deg: ArrayLike) -> NDArray[np.int64]:
    """Index into `SECTORS` of azimuths, any shape: eight sectors of 45 degrees around 0, 45, 90, ...

    A sector begins 22.5 degrees to the right of its middle and ends short of 22.5 degrees to its left.

    Raises:
        DataError: an azimuth that is not finite.
    """
    azimuth = np.asarray(azimuth_deg, dtype=np.float64)
    if not np.isfinite(azimuth).all():
        raise DataError("an azimuth is NaN or infinite; leave items without a direction out")
    return np.floor(azimuth / SECTOR_WIDTH_DEG + 0.5).astype(np.int64) % len(SECTORS)
