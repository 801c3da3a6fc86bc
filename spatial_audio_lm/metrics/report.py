"""A measured number with what it must be read beside: its interval, the goal, chance, and rules that learn nothing.

One list of measures makes both the table that people read and the `model-index` that the Hub reads from a model card.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from huggingface_hub.repocard_data import EvalResult, eval_results_to_model_index

from spatial_audio_lm.metrics.intervals import Interval


@dataclass(frozen=True)
class Measure:
    """One row of a table.

    Attributes:
        key: name for programs, e.g. "class_balanced_accuracy".
        name: what the table calls it.
        value: the number reached.
        unit: "" for shares, "°" for angles, "m" for metres.
        better: whether more or less is better.
        items: how many clips or sentences were scored.
        interval: how far the number would move on another draw.
        goal: what it should reach, None where nothing is demanded.
        beside: other numbers on the same items: chance, a rule without learning, an oracle.
        details: what else belongs to it (recalls, counts, AUC); only values that JSON can carry.
    """

    key: str
    name: str
    value: float
    unit: Literal["", "°", "m"] = ""
    better: Literal["higher", "lower"] = "higher"
    items: int = 0
    interval: Interval | None = None
    goal: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal

    def text(self, number: float) -> str:
        """A number in this measure's unit: shares with three digits, angles and metres with two."""
        if not math.isfinite(number):
            return "–"
        return f"{number:.3f}" if self.unit == "" else f"{number:.2f}{'' if self.unit == '°' else ' '}{self.unit}"

    def to_dict(self) -> dict[str, Any]:
        """As strict JSON: a value that is not finite becomes None."""
        ends = None if self.interval is None else [_finite(self.interval.low), _finite(self.interval.high)]
        return {
            "key": self.key,
            "name": self.name,
            "value": _finite(self.value),
            "unit": self.unit,
            "better": self.better,
            "items": self.items,
            "interval": ends,
            "interval_level": None if self.interval is None else self.interval.level,
            "goal": self.goal,
            "reached": self.reached,
            "beside": {name: _finite(number) for name, number in self.beside.items()},
            "details": dict(self.details),
        }


def with_goals(measures: Sequence[Measure], goals: Mapping[str, float]) -> list[Measure]:
    """The same measures with the goals that are named for them, by key; a goal for what was not measured is unused."""
    return [replace(measure, goal=goals.get(measure.key, measure.goal)) for measure in measures]


def markdown_table(measures: Sequence[Measure]) -> str:
    """A table in Markdown, aligned so that a terminal shows it well too."""
    header = ("measure", "goal", "reached", "95 % interval", "beside it", "items")
    rows = [header]
    for measure in measures:
        sign = "≥" if measure.better == "higher" else "≤"
        mark = {True: " ✓", False: " ✗", None: ""}[measure.reached]
        ends = measure.interval
        rows.append(
            (
                measure.name.replace("|", "\\|"),
                "" if measure.goal is None else f"{sign} {measure.text(measure.goal)}",
                measure.text(measure.value) + mark,
                "" if ends is None else f"{measure.text(ends.low)} – {measure.text(ends.high)}",
                ", ".join(f"{name} {measure.text(number)}" for name, number in measure.beside.items()),
                str(measure.items),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def model_index(
    measures: Sequence[Measure], model_name: str, task_type: str, dataset_name: str, dataset_type: str, split: str
) -> list[dict[str, Any]]:
    """The `model-index` entry of a model card; measures without a finite value are left out.

    Args:
        measures: the rows.
        model_name: name of the model in the index.
        task_type: the Hub's task, e.g. "zero-shot-audio-classification".
        dataset_name: name of the test set, as people say it.
        dataset_type: its identifier.
        split: which part of it.
    """
    results = [
        EvalResult(
            task_type=task_type,
            dataset_type=dataset_type,
            dataset_name=dataset_name,
            dataset_split=split,
            metric_type=measure.key,
            metric_name=measure.name,
            metric_value=round(measure.value, 5),
        )
        for measure in measures
        if math.isfinite(measure.value)
    ]
    index: list[dict[str, Any]] = eval_results_to_model_index(model_name, results)
    return index


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
