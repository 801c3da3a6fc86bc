"""Probe frozen encoders: how much of a task can a small head read from their scene embeddings?

Any encoder of the package (GRAM, Audio-MAE, SpatialAST, DSpAST, ELSA) and a plain log-mel spectrogram embed labelled
recordings once; heads are trained on the embeddings, fold by fold, as HEAR trains them (Turian et al. 2022; GRAM,
section 4 and appendices D and E). Accuracy, mAP, or the mean angle between directions; s(m) over the tasks where what
the best known model reaches is given.

    python recipes/linear_probe.py --config recipes/configs/linear_probe/tiny.yaml       (no data, seconds)
    python recipes/linear_probe.py --config recipes/configs/linear_probe/base.yaml --encoders '[DIR, log-mel]' \
        --tasks '[{name: esc50, folder: DIR}]'

A folder has a metadata.csv with file_name, class and fold, and for directions azimuth_deg and elevation_deg.
Written to `output_dir`: table.md and results.json (every fold's score, its interval, the head that was chosen).
docs/how-to/linear_probe.md goes through it.
"""

import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from spatial_audio_lm.data.labelled_clips import (
    LabelledRecordings,
    dataset_recordings,
    folder_recordings,
    synthesised_recordings,
    targets_of,
)
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import write_json, write_whole
from spatial_audio_lm.metrics.generalizability import generalizability_score
from spatial_audio_lm.metrics.intervals import Interval, bootstrap_interval
from spatial_audio_lm.pipelines.scene_embeddings import LogMelEmbedder, SceneEmbeddings, SceneEncoder, embed_all
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.training.probe_heads import (
    TASK_KINDS,
    FittedHead,
    ProbeSettings,
    clip_scores,
    fit_head,
    fold_splits,
    grid,
    predict,
    score_of,
)

LOG_MEL = "log-mel"  # the baseline, as an encoder's name
NEW_GRAM = "new-gram"  # a GRAM of `new_gram`'s settings that has learned nothing
SCORES = {"multiclass": "accuracy", "multilabel": "mAP", "direction": "mean angle"}


@dataclass(frozen=True)
class Task:
    """What is asked of the embeddings, and of which recordings."""

    name: str
    kind: str = "multiclass"  # or multilabel, direction
    folder: str | None = None  # with metadata.csv; neither this nor dataset: synthesised sounds
    dataset: str | None = None  # of `datasets`: a folder or a name on the Hub, with a column audio
    split: str = "train"  # of the data set
    format: str | None = None  # of its files, where the number of channels does not tell it
    column: str = "class"  # of the classes, several parted by ";"
    fold_column: str = "fold"
    group_column: str | None = None  # clips with one value are drawn together for the interval; null: each by itself
    folds: list[str] | None = None  # of the recordings to use at all; null: all
    test_folds: list[str] | None = None  # null: every one of them in turn
    pooling: str | None = None  # null: the encoder's usual one; log-mel has no other than its own
    best: float | None = None  # what the best known model reaches, in the table's unit; for s(m)

    def __post_init__(self) -> None:
        if self.kind not in TASK_KINDS:
            raise ConfigError(f"kind of the task {self.name} is {self.kind!r}; expected {', '.join(TASK_KINDS)}")
        if self.folder is not None and self.dataset is not None:
            raise ConfigError(f"the task {self.name} has a folder and a dataset: give one of them")

    @property
    def recordings(self) -> tuple[Any, ...]:
        """What decides which recordings these are."""
        folds = None if self.folds is None else (self.fold_column, *self.folds)
        return self.folder, self.dataset, self.split, self.format, folds


@dataclass(frozen=True)
class Synthesised:
    """Sounds for tasks without data."""

    per_kind: int = 30
    num_kinds: int | None = None  # null: all
    num_folds: int = 3
    sample_rate: int = 32_000


@dataclass(frozen=True)
class Config:
    """Settings of the probe."""

    encoders: list[str] = field(default_factory=lambda: [NEW_GRAM, LOG_MEL])  # packaged names, folders, or these two
    compare_untrained: bool = False  # probe each encoder with new weights too
    tasks: list[Task] = field(default_factory=lambda: [Task("sounds"), Task("directions", "direction", pooling="cls")])
    mono: str = "refuse"  # or duplicate: one channel in all that an encoder hears
    new_gram: dict[str, Any] = field(default_factory=dict)  # settings that differ from GramConfig's
    synthesised: Synthesised = field(default_factory=Synthesised)
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    resamples: int = 1000  # of the test clips, for the intervals
    embedding_batch_size: int = 16
    output_dir: str = "runs/linear_probe"

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if not self.encoders or not names or len(set(names)) < len(names):
            raise ConfigError(f"encoders {self.encoders}, tasks {names}: expected some, and each task's own name")
        if len(set(shown_names(self.encoders))) < len(self.encoders):
            raise ConfigError(f"encoders {self.encoders} end in one name twice: rename a folder")
        if min(self.embedding_batch_size, self.resamples) < 1:
            raise ConfigError(
                f"embedding_batch_size is {self.embedding_batch_size}, resamples {self.resamples}; expected 1 or more"
            )


def shown_names(encoders: Sequence[str]) -> list[str]:
    """Names for the table: of a folder its last part."""
    return [Path(name).name for name in encoders]


def recordings_of(task: Task, config: Config) -> LabelledRecordings:
    """The labelled recordings of a task, of its folds."""
    found = _source(task, config)
    return found if task.folds is None else found.chosen(task.fold_column, task.folds)


def _source(task: Task, config: Config) -> LabelledRecordings:
    if task.folder is not None:
        return folder_recordings(task.folder, task.format)
    if task.dataset is not None:
        return dataset_recordings(task.dataset, task.split, task.format)
    made = config.synthesised
    return synthesised_recordings(
        made.per_kind, made.num_folds, made.sample_rate, FIRST_UNSEEN_SEED + config.probe.seed, made.num_kinds
    )


def build_encoder(name: str, pooling: str | None, config: Config, untrained: bool) -> Any:
    """An encoder by its name in the configuration.

    Raises:
        CheckpointError: no such model, or one without scene embeddings.
        ConfigError: a pooling that it does not have.
    """
    seed = config.probe.seed
    if name == LOG_MEL:
        return LogMelEmbedder()
    if name == NEW_GRAM:
        return SceneEncoder.new("gram", config.new_gram, seed, pooling=pooling, mono=config.mono)
    return SceneEncoder.from_pretrained(name, pooling, config.mono, seed if untrained else None)


def embed(encoder: Any, recordings: LabelledRecordings, config: Config, title: str) -> SceneEmbeddings:
    """The embeddings of all recordings."""

    def sounds() -> Iterator[SpatialAudio]:
        for index in tqdm(range(len(recordings.rows)), desc=title, unit="clip"):
            yield recordings.load(index)

    embedded = embed_all(encoder, sounds(), config.embedding_batch_size)
    if embedded.resampled:
        print(f"{title}: {embedded.resampled} recordings were resampled to {encoder.sampling_rate} Hz")
    return embedded


def probe(embedded: SceneEmbeddings, task: Task, recordings: LabelledRecordings, config: Config) -> dict[str, Any]:
    """Choose the head on the first tested fold, and test every one."""
    targets, classes = targets_of(recordings, task.kind, task.column)
    splits = fold_splits(recordings.column(task.fold_column), task.test_folds)
    vectors = embedded.vectors.clone()

    def fit(fold: str, point: Any) -> FittedHead:
        return fit_head(vectors, targets, task.kind, splits[fold], point, config.probe)

    first = next(iter(splits))
    tried = [fit(first, point) for point in grid(config.probe.grid_points, config.probe.seed)]
    chosen = max(tried, key=lambda fitted: fitted.valid_score)
    sign = -1.0 if task.kind == "direction" else 1.0
    answers = torch.zeros(len(vectors), targets.shape[1] if targets.ndim > 1 else len(classes))
    for fold, split in splits.items():
        fitted = chosen if fold == first else fit(fold, chosen.settings)
        with torch.inference_mode():
            answers[split.test] = predict(fitted.head, vectors[split.test], task.kind)
    tested = {fold: split.test for fold, split in splits.items()}
    scores = {fold: sign * score_of(answers[rows], targets[rows], task.kind) for fold, rows in tested.items()}
    groups = recordings.column(task.group_column) if task.group_column else range(len(vectors))
    interval = interval_of(answers, targets, task.kind, tested, np.asarray(groups), config)
    return {
        "score": float(np.mean(list(scores.values()))),
        "deviation": float(np.std(list(scores.values()))),
        "interval": sorted((sign * interval.low, sign * interval.high)),
        "folds": scores,
        "head": asdict(chosen.settings),
        "validation": sign * chosen.valid_score,
        "dim": vectors.shape[1],
        "clips": len(recordings.rows),
        "classes": len(classes),
        "resampled": embedded.resampled,
    }


def interval_of(
    answers: Tensor, targets: Tensor, kind: str, tested: dict[str, Tensor], groups: NDArray[Any], config: Config
) -> Interval:
    """How much the mean over the folds would move with other test clips of the same kind; heads stay as they are."""
    every = torch.cat(list(tested.values())).numpy()
    fold_of = np.repeat(np.arange(len(tested)), [len(rows) for rows in tested.values()])
    of_clips = None if kind == "multilabel" else clip_scores(answers, targets, kind)

    def fold_score(rows: Tensor) -> float:
        return score_of(answers[rows], targets[rows], kind) if of_clips is None else float(of_clips[rows].mean())

    def mean_score(drawn: NDArray[np.int64]) -> float:
        parts = [every[drawn[fold_of[drawn] == fold]] for fold in range(len(tested))]
        if not all(map(len, parts)):
            return float("nan")  # a fold of which nothing was drawn: left out
        return float(np.mean([fold_score(torch.from_numpy(rows)) for rows in parts]))

    return bootstrap_interval(mean_score, groups[every], config.resamples, config.probe.seed)


def scores_over_tasks(results: dict[str, dict[str, Any]], tasks: Sequence[Task]) -> dict[str, float]:
    """s(m) of every encoder, over the tasks whose best known score is given, above the log-mel baseline."""
    counted = [task for task in tasks if task.best is not None]
    if not counted or LOG_MEL not in results:
        return {}

    def signed(values: dict[str, float]) -> dict[str, float]:
        return {task.name: -values[task.name] if task.kind == "direction" else values[task.name] for task in counted}

    best = signed({task.name: task.best for task in counted if task.best is not None})
    plain = {name: signed({task.name: rows[task.name]["score"] for task in counted}) for name, rows in results.items()}
    return {name: generalizability_score(own, plain[LOG_MEL], best) for name, own in plain.items()}


def table_of(results: dict[str, dict[str, Any]], tasks: Sequence[Task], overall: dict[str, float]) -> str:
    """Encoders by tasks: the mean over the folds, their deviation where there are several, the 95 % interval."""
    header = ["encoder", *(f"{task.name} ({SCORES[task.kind]})" for task in tasks)] + (["s(m)"] if overall else [])
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for name, rows in results.items():
        cells = [name]
        for task in tasks:
            found, form = rows[task.name], "{:.1f}°" if task.kind == "direction" else "{:.3f}"
            several = f" ± {form.format(found['deviation'])}" if len(found["folds"]) > 1 else ""
            ends = " to ".join(map(form.format, found["interval"]))
            cells.append(f"{form.format(found['score'])}{several} ({ends})")
        lines.append("| " + " | ".join(cells + ([f"{overall[name]:.1f}"] if overall else [])) + " |")
    lines += ["", "Mean ± deviation over the folds (95 % interval, by drawing the test clips again)."]
    return "\n".join(lines) + "\n"


def main(config: Config) -> dict[str, dict[str, Any]]:
    """Probe every encoder on every task, print and write the table; returns encoder to task to scores."""
    sources = {task.name: recordings_of(task, config) for task in config.tasks}
    results: dict[str, dict[str, Any]] = {}
    for name, shown in zip(config.encoders, shown_names(config.encoders), strict=True):
        new = (False, True) if config.compare_untrained and name not in (LOG_MEL, NEW_GRAM) else (False,)
        for untrained in new:
            label = f"{shown}, untrained" if untrained else shown
            results[label] = {}
            embedded: dict[tuple[Any, ...], SceneEmbeddings] = {}  # tasks of the same recordings share them
            for task in config.tasks:
                encoder, recordings = build_encoder(name, task.pooling, config, untrained), sources[task.name]
                key = (*task.recordings, encoder.pooling)
                if key not in embedded:
                    embedded[key] = embed(encoder, recordings, config, f"{label}, {task.name}")
                found = probe(embedded[key], task, recordings, config)
                results[label][task.name] = found | {"pooling": encoder.pooling}
    overall = scores_over_tasks(results, config.tasks)
    table = table_of(results, config.tasks, overall)
    output_dir = Path(config.output_dir)
    write_whole(output_dir / "table.md", table.encode())
    content = {
        "results": results,
        "s(m)": overall,
        "tasks": [
            {key: value for key, value in asdict(task).items() if key not in ("folder", "dataset")}
            | {"data": sources[task.name].name}
            for task in config.tasks
        ],
        "probe": asdict(config.probe),
        "synthesised": asdict(config.synthesised),
        "new_gram": config.new_gram,
        "mono": config.mono,
        "resamples": config.resamples,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "torch", "transformers")},
    }
    write_json(output_dir / "results.json", content)
    print(table)
    return results


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
