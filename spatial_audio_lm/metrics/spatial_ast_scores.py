"""The four numbers of the SpatialAST and DSpAST papers, from logits and bins as their evaluation takes them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.binaural_localization import judge_directions
from spatial_audio_lm.metrics.detection import MeanAveragePrecision, mean_average_precision
from spatial_audio_lm.metrics.distance_error import distance_wrong
from spatial_audio_lm.signal.conventions import azimuth_from_spatial_ast_deg, unit_vector

_LOWEST_ELEVATION_DEG = -90.0  # of elevation bin 0; bins are whole degrees


@dataclass(frozen=True)
class SpatialAstScores:
    """One row of the papers' tables.

    Attributes:
        mean_average_precision: of the events (mAP), with its chance.
        error_rate_20: share of clips whose great-circle error is strictly above 20 degrees (ER20).
        mean_angular_error_deg: mean great-circle error (MAE).
        distance_error_rate: share of clips whose distance is off by more than one bin (DER).
        angular_error_deg: great-circle error of each clip, `(items,)`.
    """

    mean_average_precision: MeanAveragePrecision
    error_rate_20: float
    mean_angular_error_deg: float
    distance_error_rate: float
    angular_error_deg: NDArray[np.float64]


def spatial_ast_scores(
    event_logits: ArrayLike,
    distance_logits: ArrayLike,
    azimuth_logits: ArrayLike,
    elevation_logits: ArrayLike,
    events: ArrayLike,
    distance_bin: ArrayLike,
    azimuth_bin: ArrayLike,
    elevation_bin: ArrayLike,
    empty_classes: Literal["left_out", "published"] = "published",
) -> SpatialAstScores:
    """Scores over all clips, whether or not their event was found; the answer of a head is its highest logit.

    Args:
        event_logits: `(items, classes)`.
        distance_logits: `(items, distance bins)`.
        azimuth_logits: `(items, 360)`.
        elevation_logits: `(items, 180)`.
        events: `(items, classes)`, 0 or 1.
        distance_bin: `(items,)` true bins.
        azimuth_bin: `(items,)` true bins, degrees from the right over the front.
        elevation_bin: `(items,)` true bins, degrees above -90.
        empty_classes: as for `mean_average_precision`; here the default is the published way.

    Raises:
        DataError: shapes that do not fit, NaN or infinite logits, or another number of angle bins.

    Source:
        wilkinghoff/DSpAST and zszheng147/Spatial-AST, `evaluate()`. The angle between two directions
        is the published one, by an arc tangent instead of an arc cosine, which has no digits near zero.
    """
    logits = {
        name: np.asarray(values, dtype=np.float64)
        for name, values in (
            ("distance", distance_logits),
            ("azimuth", azimuth_logits),
            ("elevation", elevation_logits),
        )
    }
    truth = {
        name: np.asarray(bins)
        for name, bins in (("distance", distance_bin), ("azimuth", azimuth_bin), ("elevation", elevation_bin))
    }
    items = len(np.asarray(events))
    for name, count in (("distance", None), ("azimuth", 360), ("elevation", 180)):
        shape = logits[name].shape
        if len(shape) != 2 or shape[0] != items or (count is not None and shape[1] != count):
            raise DataError(f"{name}_logits has shape {shape}; expected ({items} items, {count or 'bins'})")
        if not np.isfinite(logits[name]).all():
            raise DataError(f"{name}_logits holds NaN or infinite values; check the model's input")
        true = truth[name]
        if true.shape != (items,) or not ((true >= 0) & (true < shape[1])).all():
            raise DataError(f"{name}_bin must be ({items},) bins from 0 to {shape[1] - 1}; got shape {true.shape}")
    answer = {name: values.argmax(axis=1) for name, values in logits.items()}

    def directions(bins: dict[str, NDArray[np.int64]]) -> NDArray[np.float64]:
        azimuth = azimuth_from_spatial_ast_deg(bins["azimuth"].astype(np.float64))
        return np.asarray(unit_vector(azimuth, bins["elevation"] + _LOWEST_ELEVATION_DEG))

    judged = judge_directions(directions(answer), directions(truth))
    return SpatialAstScores(
        mean_average_precision=mean_average_precision(event_logits, events, empty_classes),
        error_rate_20=float(judged.above_20.mean()),
        mean_angular_error_deg=float(judged.great_circle_deg.mean()),
        distance_error_rate=float(distance_wrong(answer["distance"], truth["distance"]).mean()),
        angular_error_deg=judged.great_circle_deg,
    )
