"""The report on a model that says what sounds, from where, and how far: overall, by azimuth sector, by condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.metrics.binaural_localization import PLANE_MARGIN_DEG, SECTORS, azimuth_sectors
from spatial_audio_lm.metrics.distance_error import DISTANCE_BIN_M
from spatial_audio_lm.metrics.event_localization_measures import (
    EventLocalizationAnswers,
    event_class_measures,
    event_localization_measures,
)
from spatial_audio_lm.metrics.report import Measure, markdown_table

# Columns of the tables by sector and by condition.
TABLE_KEYS = (
    "great_circle_mean_error_deg",
    "direction_error_above_20_deg",
    "front_back_resolved_mean_error_deg",
    "lateral_mean_absolute_error_deg",
    "side_accuracy",
    "front_back_confusion_rate",
    "event_accuracy",
    "distance_error_rate",
)


@dataclass(frozen=True)
class EventLocalizationReport:
    """All rows.

    Attributes:
        overall: measures over all clips.
        by_sector: measures over the clips of each azimuth sector that occurs.
        by_condition: the same for each label of each condition.
        by_class: average precision of each event that occurs, rarest first; empty if events were not asked.
    """

    overall: list[Measure]
    by_sector: dict[str, list[Measure]]
    by_condition: dict[str, dict[str, list[Measure]]]
    by_class: list[Measure]

    def markdown(self, classes: bool = False) -> str:
        """Tables with headings; that of the single events only on request, as it is long."""
        parts = ["## Overall\n", markdown_table(self.overall)]
        for heading, subsets in {"azimuth sector": self.by_sector, **self.by_condition}.items():
            parts += [f"## By {heading}\n", subsets_table(subsets, heading)]
        if classes and self.by_class:
            parts += ["## By event\n", markdown_table(self.by_class)]
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """As strict JSON."""

        def rows(measures: Sequence[Measure]) -> list[dict[str, Any]]:
            return [measure.to_dict() for measure in measures]

        return {
            "overall": rows(self.overall),
            "by_sector": {name: rows(measures) for name, measures in self.by_sector.items()},
            "by_condition": {
                condition: {name: rows(measures) for name, measures in subsets.items()}
                for condition, subsets in self.by_condition.items()
            },
            "by_class": rows(self.by_class),
        }


def event_localization_report(
    answers: EventLocalizationAnswers,
    margin_deg: float = PLANE_MARGIN_DEG,
    distance_bin_m: float = DISTANCE_BIN_M,
    resamples: int = 1000,
    seed: int = 0,
) -> EventLocalizationReport:
    """Measure everything, overall, by azimuth sector and by every condition.

    Args:
        answers: truth and answers.
        margin_deg: how far a source must be from a plane to be asked for its side.
        distance_bin_m: step of the distance bins of the distance error rate.
        resamples: draws of each interval.
        seed: of the intervals and of the chance of large tests.
    """
    sector = azimuth_sectors(answers.true_azimuth_deg)

    def measures(items: NDArray[np.bool_] | None) -> list[Measure]:
        return event_localization_measures(answers, items, margin_deg, distance_bin_m, resamples, seed)

    by_condition = {}
    for condition, values in answers.conditions.items():
        labels = np.asarray(values)
        by_condition[condition] = {str(label): measures(labels == label) for label in np.unique(labels)}
    return EventLocalizationReport(
        overall=measures(None),
        by_sector={name: measures(sector == k) for k, name in enumerate(SECTORS) if (sector == k).any()},
        by_condition=by_condition,
        by_class=event_class_measures(answers),
    )


def subsets_table(
    subsets: Mapping[str, Sequence[Measure]], heading: str = "clips", keys: Sequence[str] = TABLE_KEYS
) -> str:
    """A Markdown table with a row for each part of the clips and a column for each measure.

    A cell reads "value (low – high) / chance".

    Args:
        subsets: measures by the name of the part.
        heading: what the parts are.
        keys: which measures, in this order; those that were not measured are left out.
    """
    by_key = {name: {measure.key: measure for measure in measures} for name, measures in subsets.items()}
    titles = {key: measure.name for rows in by_key.values() for key, measure in rows.items()}
    shown = [key for key in keys if key in titles]
    rows = [[heading, "clips", *(titles[key] for key in shown)]]
    for name, measures in by_key.items():
        clips = max((measure.items for measure in measures.values()), default=0)
        cells = [_cell(measures[key]) if key in measures else "" for key in shown]
        rows.append([name, str(clips), *cells])
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    note = 'Cells read "value (95 % interval) / chance".\n\n'
    return note + "\n".join(lines) + "\n"


def _cell(measure: Measure) -> str:
    if measure.items == 0:
        return "–"
    ends = (
        ""
        if measure.interval is None
        else f" ({measure.text(measure.interval.low)} – {measure.text(measure.interval.high)})"
    )
    chance = f" / {measure.text(measure.beside['chance'])}" if "chance" in measure.beside else ""
    return measure.text(measure.value) + ends + chance
