"""What a model that says what sounds, from where, and how far, is measured by: one row a measure.

Every number has its 95 % interval and its chance: what an answer drawn at random from the labels of the whole test
would reach on the same clips. Where one constant answer is a stronger rule than that, it stands beside too. Intervals
draw whole groups (dry clips, rooms), since clips that share one are alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.binaural_localization import (
    PLANE_MARGIN_DEG,
    chance_of_directions,
    judge_directions,
    mean_of_judged,
)
from spatial_audio_lm.metrics.detection import (
    EventRanking,
    average_precision_of_chance,
    event_arrays,
    event_correct,
    guessed_event_accuracy,
    mean_average_precision,
)
from spatial_audio_lm.metrics.distance_error import (
    DISTANCE_BIN_M,
    distance_bins,
    distance_wrong,
    guessed_distance_error_rate,
)
from spatial_audio_lm.metrics.intervals import bootstrap_interval
from spatial_audio_lm.metrics.report import Measure
from spatial_audio_lm.signal.conventions import lateral_angle_deg, unit_vector


@dataclass(frozen=True)
class EventLocalizationAnswers:
    """One source a clip: what is true and what a model answered.

    Attributes:
        azimuth_deg: answered azimuths, house convention, `(items,)`; NaN without a direction.
        elevation_deg: answered elevations, `(items,)`; NaN without a direction.
        true_azimuth_deg: `(items,)`.
        true_elevation_deg: `(items,)`.
        event_scores: logits or probabilities, `(items, classes)`; None if events were not asked.
        events: 1 where the event sounds, else 0, `(items, classes)`; given exactly if `event_scores` is.
        distance_m: answered distances, `(items,)`, NaN without one; None if distances were not asked.
        true_distance_m: `(items,)`; given exactly if `distance_m` is.
        group: label of what is not independent (dry clip, room), `(items,)`; None: every clip by itself.
        conditions: labels to tell apart, by name, e.g. {"head": `(items,)`}.
        class_names: of the events; numbers where not given.
    """

    azimuth_deg: ArrayLike
    elevation_deg: ArrayLike
    true_azimuth_deg: ArrayLike
    true_elevation_deg: ArrayLike
    event_scores: ArrayLike | None = None
    events: ArrayLike | None = None
    distance_m: ArrayLike | None = None
    true_distance_m: ArrayLike | None = None
    group: ArrayLike | None = None
    conditions: Mapping[str, ArrayLike] = field(default_factory=dict)
    class_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        items = np.shape(self.true_azimuth_deg)
        given = {name: getattr(self, name) for name in ("azimuth_deg", "elevation_deg", "true_elevation_deg")}
        given |= {name: getattr(self, name) for name in ("distance_m", "true_distance_m", "group")}
        given |= {f"conditions[{name!r}]": values for name, values in self.conditions.items()}
        shapes = {name: np.shape(values) for name, values in given.items() if values is not None}
        if len(items) != 1 or items[0] == 0 or set(shapes.values()) != {items}:
            raise DataError(f"every array needs one entry an item, as true_azimuth_deg with {items} has; got {shapes}")
        for answer, truth in (("event_scores", "events"), ("distance_m", "true_distance_m")):
            if (getattr(self, answer) is None) != (getattr(self, truth) is None):
                raise DataError(f"{answer} and {truth} belong together: give both or neither")
        if self.event_scores is not None and self.events is not None:
            scores, _ = event_arrays(self.event_scores, self.events)
            if len(scores) != items[0]:
                raise DataError(f"event_scores has {len(scores)} rows; expected {items[0]}, one an item")
            if self.class_names is not None and len(self.class_names) != scores.shape[1]:
                raise DataError(f"{len(self.class_names)} class_names for {scores.shape[1]} columns of event_scores")


def event_localization_measures(
    answers: EventLocalizationAnswers,
    items: ArrayLike | None = None,
    margin_deg: float = PLANE_MARGIN_DEG,
    distance_bin_m: float = DISTANCE_BIN_M,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Measure]:
    """One row a measure, over some of the clips; chance draws from the labels of all.

    Args:
        answers: truth and answers.
        items: booleans `(items,)` that choose clips; all where not given.
        margin_deg: how far a source must be from a plane to be asked for its side.
        distance_bin_m: step of the distance bins of the distance error rate.
        resamples: draws of each interval.
        seed: of the intervals and of the chance of large tests.

    Raises:
        DataError: no item is chosen, or what the measures themselves refuse.
    """
    count = len(np.asarray(answers.true_azimuth_deg))
    mask = np.ones(count, dtype=bool) if items is None else np.asarray(items)
    if mask.shape != (count,) or mask.dtype != bool or not mask.any():
        raise DataError(f"items must be booleans ({count},), at least one of them true; got {mask.dtype} {mask.shape}")
    chosen = np.flatnonzero(mask)
    groups = (np.arange(count) if answers.group is None else np.asarray(answers.group))[chosen]

    def row(
        key: str,
        name: str,
        values: NDArray[np.float64],
        beside: Mapping[str, float],
        unit: Literal["", "°", "m"] = "",
        better: Literal["higher", "lower"] = "lower",
        details: Mapping[str, Any] | None = None,
    ) -> Measure:
        counted = int(np.isfinite(values).sum())
        interval = None
        if counted:
            interval = bootstrap_interval(lambda drawn: mean_of_judged(values[drawn]), groups, resamples, seed)
        mean = mean_of_judged(values)
        return Measure(key, name, mean, unit, better, counted, interval, None, beside, details or {})

    return [
        *_event_rows(answers, chosen, groups, row, resamples, seed),
        *_direction_rows(answers, chosen, row, margin_deg, seed),
        *_distance_rows(answers, chosen, row, distance_bin_m),
    ]


def event_class_measures(answers: EventLocalizationAnswers) -> list[Measure]:
    """Average precision of each event that some clip has, rarest first; `items` counts the clips that have it."""
    if answers.event_scores is None or answers.events is None:
        return []
    result = mean_average_precision(answers.event_scores, answers.events)
    items = len(np.asarray(answers.events))
    names = answers.class_names or [str(index) for index in range(len(result.positives))]
    chance = average_precision_of_chance(result.positives, items)
    return [
        Measure(
            key=f"average_precision.{names[k]}",
            name=names[k],
            value=float(result.per_class[k]),
            items=int(result.positives[k]),
            beside={"chance": float(chance[k]), "prevalence": float(result.positives[k] / items)},
        )
        for k in np.argsort(result.positives, kind="stable")
        if result.positives[k]
    ]


def _event_rows(
    answers: EventLocalizationAnswers,
    chosen: NDArray[np.int64],
    groups: NDArray[Any],
    row: Callable[..., Measure],
    resamples: int,
    seed: int,
) -> list[Measure]:
    if answers.event_scores is None or answers.events is None:
        return []
    scores, everything = event_arrays(answers.event_scores, answers.events)
    scores, events = scores[chosen], everything[chosen]
    result = mean_average_precision(scores, events)
    ranking = EventRanking(scores, events, groups)

    def resampled(drawn: NDArray[np.int64]) -> float:
        counts = np.bincount(drawn, minlength=len(chosen))
        return mean_of_judged(ranking.resampled_average_precisions(counts))

    rows = [
        Measure(
            key="event_mean_average_precision",
            name=f"events, mAP over {result.scored} of {scores.shape[1]}",
            value=result.value,
            items=len(chosen),
            interval=bootstrap_interval(resampled, groups, resamples, seed) if result.scored else None,
            beside={"chance": result.chance, "prevalence": result.prevalence},
            details={"events_scored": result.scored, "events_without_a_clip": result.without_positive},
        )
    ]
    if scores.shape[1] > 1:
        guessed = guessed_event_accuracy(events, everything)
        beside = {"chance": guessed.drawn, "most frequent": guessed.constant}
        name = "event right, clips of one event"
        rows.append(row("event_accuracy", name, event_correct(scores, events), beside, better="higher"))
    return rows


def _direction_rows(
    answers: EventLocalizationAnswers,
    chosen: NDArray[np.int64],
    row: Callable[..., Measure],
    margin_deg: float,
    seed: int,
) -> list[Measure]:
    azimuth, elevation = np.asarray(answers.azimuth_deg, float), np.asarray(answers.elevation_deg, float)
    true_azimuth = np.asarray(answers.true_azimuth_deg, float)
    true_elevation = np.asarray(answers.true_elevation_deg, float)
    true = np.asarray(unit_vector(true_azimuth, true_elevation))
    judged = judge_directions(unit_vector(azimuth[chosen], elevation[chosen]), true[chosen], margin_deg)
    chance = chance_of_directions(true, chosen, margin_deg, seed=seed)
    answered = float(np.isfinite(judged.great_circle_deg).mean())
    lateral = np.asarray(lateral_angle_deg(true))

    def always_median(values: NDArray[np.float64]) -> dict[str, float]:
        return {"always the median": float(np.abs(values[chosen] - np.median(values)).mean())}

    def measure(
        key: str, name: str, of: str, unit: str = "", better: str = "lower", also: Mapping[str, float] | None = None
    ) -> Measure:
        beside = {"chance": chance[of], **(also or {})}
        return row(key, name, getattr(judged, of), beside, unit, better, {"answered": answered})

    away = f"sources ≥ {margin_deg:g}° from the"
    return [
        measure("great_circle_mean_error_deg", "great-circle error, mean", "great_circle_deg", "°"),
        measure("direction_error_above_20_deg", "great-circle error above 20° (ER20)", "above_20"),
        measure(
            "front_back_resolved_mean_error_deg", "great-circle error, front and back resolved", "resolved_deg", "°"
        ),
        measure("azimuth_mean_absolute_error_deg", "azimuth error, mean absolute", "azimuth_deg", "°"),
        measure(
            "elevation_mean_absolute_error_deg",
            "elevation error, mean absolute",
            "elevation_deg",
            "°",
            also=always_median(true_elevation),
        ),
        measure(
            "lateral_mean_absolute_error_deg",
            "lateral angle error, mean absolute",
            "lateral_deg",
            "°",
            also=always_median(lateral),
        ),
        measure("side_accuracy", f"left or right, {away} median plane", "right_side", better="higher"),
        measure("front_back_confusion_rate", f"front–back confusion, {away} frontal plane", "front_back_confused"),
        measure("up_down_confusion_rate", f"up–down confusion, {away} horizontal plane", "up_down_confused"),
    ]


def _distance_rows(
    answers: EventLocalizationAnswers, chosen: NDArray[np.int64], row: Callable[..., Measure], bin_m: float
) -> list[Measure]:
    if answers.distance_m is None or answers.true_distance_m is None:
        return []
    estimate, truth = np.asarray(answers.distance_m, float), np.asarray(answers.true_distance_m, float)
    true_bin = distance_bins(truth, bin_m)
    wrong = distance_wrong(distance_bins(estimate, bin_m)[chosen], true_bin[chosen])
    guessed = guessed_distance_error_rate(true_bin[chosen], true_bin)
    drawn = _mean_difference(truth[chosen], truth)
    constant = float(np.abs(truth[chosen] - np.median(truth)).mean())
    return [
        row(
            "distance_error_rate",
            f"distance off by more than a bin of {bin_m:g} m (DER)",
            wrong,
            {"chance": guessed.drawn, "best constant": guessed.constant},
        ),
        row(
            "distance_mean_absolute_error_m",
            "distance error, mean absolute",
            np.abs(estimate - truth)[chosen],
            {"chance": drawn, "always the median": constant},
            unit="m",
        ),
    ]


def _mean_difference(values: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Mean absolute difference over all pairs, without forming them."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    differences = values * (2 * below - len(others)) + sums[-1] - 2 * sums[below]
    return float(differences.mean() / len(others))
