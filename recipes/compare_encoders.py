"""Compare evaluated encoders: one table of what they reach, and what DSpAST's branches listen to.

Wilkinghoff and Tan, "DSpAST" (2025), Tables 2 and 3 and Figure 2, in the small. After recipes/dspast_train.py with the
configurations comparison_dspast.yaml and comparison_spatial_ast.yaml, and recipes/evaluate_dspast.py for each run:

    python recipes/compare_encoders.py --runs runs/comparison/evaluated

Each folder below `runs` is an evaluation's output, named SYSTEM-SEED. Printed and written to `output_dir`: table.md
with every run and the mean of each system, and feature_weights.png: the mean weight that each branch of a DSpAST gives
each feature map. For encoders as the ears of BAT (Table 3) the folders are outputs of recipes/evaluate_bat.py, after
recipes/bat_lora.py with `--ear` and each encoder in turn:

    python recipes/compare_encoders.py --runs runs/bat_comparison/evaluated --output_dir runs/bat_comparison
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.files import read_json, write_whole
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.viz.figures import BLUE, FAINT, GREEN, INK, ORANGE, new_figure, save_figure

ENCODERS = {
    "event_mean_average_precision": ("mAP ↑", "{:.3f}"),
    "event_accuracy": ("event right ↑", "{:.3f}"),
    "direction_error_above_20_deg": ("ER20 ↓", "{:.3f}"),
    "great_circle_mean_error_deg": ("MAE ↓", "{:.1f}°"),
    "front_back_confusion_rate": ("front–back ↓", "{:.3f}"),
    "lateral_mean_absolute_error_deg": ("lateral ↓", "{:.1f}°"),
    "distance_error_rate": ("DER ↓", "{:.3f}"),
}
EARS = {
    "A_sounds_named": ("A named ↑", "{:.3f}"),
    "C_sounds_named": ("C named ↑", "{:.3f}"),
    "B_direction_accuracy": ("B direction ↑", "{:.3f}"),
    "D_direction_accuracy": ("D direction ↑", "{:.3f}"),
    "B_distance_error_rate": ("B DER ↓", "{:.3f}"),
    "D_distance_error_rate": ("D DER ↓", "{:.3f}"),
    "E_direction_accuracy": ("E direction ↑", "{:.3f}"),
    "E_distance_accuracy": ("E distance ↑", "{:.3f}"),
}
# Which measures of an evaluation are compared, by the part of its results they stand in.
MEASURES = {"simulated": ENCODERS, "heard": EARS}


@dataclass(frozen=True)
class Config:
    runs: str = "runs/comparison/evaluated"  # folder of outputs of one evaluation's recipe, named SYSTEM-SEED
    output_dir: str = "runs/comparison"


def read_runs(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Results by system and seed.

    Raises:
        DataError: no results there, or a folder that is not named SYSTEM-SEED.
    """
    systems: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(folder.glob("*/results.json")):
        system, dash, seed = path.parent.name.rpartition("-")
        if not dash or not system:
            raise DataError(f"{path.parent.name} is not named SYSTEM-SEED, as in dspast-0")
        systems.setdefault(system, {})[seed] = read_json(path, error=DataError)
    if not systems:
        raise DataError(
            f"{folder} has no folder with a results.json: run recipes/evaluate_dspast.py with --output_dir below it"
        )
    return systems


def compared_part(systems: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The part of the results that is compared, a key of `MEASURES`.

    Raises:
        DataError: results of several evaluations, or of one that is not compared here.
    """
    found = {part for seeds in systems.values() for results in seeds.values() for part in results.get("measures", {})}
    parts = [part for part in MEASURES if part in found]
    if len(parts) != 1:
        raise DataError(
            f"results have {', '.join(sorted(found)) or 'no measures'}; expected those of recipes/evaluate_dspast.py "
            "alone, or of recipes/evaluate_bat.py alone"
        )
    return parts[0]


def table_of(systems: dict[str, dict[str, dict[str, Any]]]) -> str:
    """A Markdown table: every run, and the mean of each system in bold."""
    part = compared_part(systems)
    measures = MEASURES[part]
    lines = ["| encoder | " + " | ".join(title for title, _ in measures.values()) + " |"]
    lines.append("|---|" + "---|" * len(measures))
    for system, seeds in systems.items():
        values = []
        for seed, results in seeds.items():
            reached = {row["key"]: row["value"] for row in results["measures"][part]}
            values.append([reached[key] for key in measures])
            lines.append(f"| {system}, seed {seed} | " + " | ".join(_cells(values[-1], measures)) + " |")
        mean = [f"**{cell}**" for cell in _cells(np.mean(values, axis=0), measures)]
        lines.append(f"| **{system}, mean of {len(values)}** | " + " | ".join(mean) + " |")
    return "\n".join(lines) + "\n"


def _cells(values: Any, measures: dict[str, tuple[str, str]]) -> list[str]:
    return [form.format(value) for value, (_, form) in zip(values, measures.values(), strict=True)]


def draw_weights(systems: dict[str, dict[str, dict[str, Any]]], path: Path) -> bool:
    """Bars of the mean weights of the feature maps, branch by branch; returns whether any system has such weights."""
    found = [
        results["feature_weights"]
        for seeds in systems.values()
        for results in seeds.values()
        if "feature_weights" in results
    ]
    if not found:
        return False
    maps, branches = found[0]["maps"], found[0]["branches"]
    weights = np.mean([entry["mean"] for entry in found], axis=0)
    figure = new_figure(8.0, 4.0)
    axes = figure.add_subplot()
    width = 0.8 / len(branches)
    for number, (branch, colour) in enumerate(zip(branches, (BLUE, ORANGE, GREEN), strict=False)):
        places = np.arange(len(maps)) + (number - (len(branches) - 1) / 2) * width
        axes.bar(places, weights[number], width, color=colour, label=branch)
    axes.set_xticks(np.arange(len(maps)), maps)
    axes.set_ylabel("mean weight of the feature map")
    axes.set_title(f"What the branches of DSpAST listen to (mean of {len(found)} trainings)", color=INK)
    axes.grid(axis="y", color=FAINT)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, title="branch")
    figure.tight_layout()
    save_figure(figure, path)
    return True


def main(config: Config) -> str:
    systems = read_runs(Path(config.runs))
    table = table_of(systems)
    output_dir = Path(config.output_dir)
    write_whole(output_dir / "table.md", table.encode())
    draw_weights(systems, output_dir / "feature_weights.png")
    print(table)
    return table


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
