"""What one setting of a pre-training does to an encoder, in the small: one command, one table.

GRAM (Yuksel, van Gerven and van der Heijden 2025, sections 4 and 5, appendix E): naturalistic scenes or clean clips,
patches of some bands or of all. WavJEPA-Nat (2025): naturalistic scenes or clean clips. At a size that two cores train
in half an hour: every arm trains one small encoder a seed, and its frozen embeddings are probed on the clips as they
are and in simulated rooms that no training met.

    python recipes/pretraining_ablation.py --config recipes/configs/pretraining_ablation/tiny.yaml  (no data, a minute)
    python recipes/pretraining_ablation.py --config recipes/configs/pretraining_ablation/gram_esc10.yaml \
        --clip_folder DIR --heads '[A.sofa, B.npz]'

Everything is made by the other recipes, each step a process of its own with a log below `output_dir`: rooms
(simulate_rirs.py), the labelled scenes (naturalistic_set.py), the encoders, the probes (linear_probe.py). A step whose
output is whole is not made again, so that a killed ablation goes on where it was.
Printed and written to `output_dir`: table.md, and results.json with every number.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from spatial_audio_lm.data.clip_folders import write_metadata
from spatial_audio_lm.data.scene_sources import NOISE_KINDS
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.files import read_json, write_json, write_whole
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.sounds import SOUND_KINDS, synthesize
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.training.tracking import last_metrics

RECIPES = Path(__file__).parent
LOG_MEL = "log-mel"
HELD_OUT = "held out"


@dataclass
class Question:
    """What every encoder is asked: a column of the table."""

    name: str
    of: str = "scenes"  # the labelled scenes, or "clips" as they are
    kind: str = "multiclass"  # or direction: a task of recipes/linear_probe.py
    pooling: str | None = None  # of the encoder; null: its usual one. The baseline has one for all

    def __post_init__(self) -> None:
        if self.of not in ("clips", "scenes"):
            raise ConfigError(f"the question {self.name} is of {self.of!r}; expected clips or scenes")


@dataclass
class Config:
    pretrain: str  # the recipe: gram_pretrain or wavjepa_pretrain
    pretrain_config: str  # its configuration, from the folder recipes/configs on
    arms: dict[str, dict[str, Any]]  # name to dotted options of that recipe
    questions: list[Question]
    untrained: list[str] = field(default_factory=list)  # arms whose encoder is also probed with new weights
    seeds: list[int] = field(default_factory=lambda: [0, 1])
    options: dict[str, Any] = field(default_factory=dict)  # dotted options of all arms
    probe: dict[str, Any] = field(default_factory=dict)  # settings of the heads
    clip_folder: str | None = None  # with metadata.csv; null: synthesised sounds
    train_folds: list[str] = field(default_factory=lambda: ["1", "2", "3"])
    test_fold: str = "4"  # neither its clips nor its rooms are trained on
    synthesised: int = 3  # clips a kind and fold, where there is no clip_folder
    noises: int = 100  # synthesised noises a kind
    heads: list[str] = field(default_factory=lambda: ["sphere"])  # of the listeners: see recipes/simulate_rirs.py
    rooms: dict[str, int] = field(default_factory=lambda: {"train": 300, "test": 80})
    sample_rate: int = 32_000  # of rooms and scenes, in Hz
    duration_s: float = 5.0  # of scenes
    versions: int = 4  # scenes a clip in the labelled set
    num_parallel: int = 2  # steps at a time, one thread each
    output_dir: str = "runs/pretraining_ablation"

    def __post_init__(self) -> None:
        if not self.arms or not self.seeds or len(self.train_folds) < 2 or self.test_fold in self.train_folds:
            raise ConfigError(
                f"arms {list(self.arms)}, seeds {self.seeds}, train_folds {self.train_folds}, test_fold "
                f"{self.test_fold!r}: expected some arms and seeds, two folds or more to train, and another to test"
            )
        if not set(self.untrained) <= set(self.arms):
            raise ConfigError(f"untrained is {self.untrained}; expected some of the arms {list(self.arms)}")
        if set(self.rooms) != {"train", "test"} or min(self.num_parallel, self.versions) < 1:
            raise ConfigError("rooms has the keys train and test; num_parallel and versions are 1 or more")


@dataclass(frozen=True)
class Step:
    """One call of a recipe; `done` is the file that it writes last."""

    recipe: str
    name: str
    done: Path
    options: dict[str, Any]

    def command(self) -> list[str]:
        """Options as they are typed."""
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.options.items()}
        return [part for key, text in texts.items() for part in (f"--{key}", text)]

    def run(self, logs: Path) -> None:
        """Makes what is not there yet.

        Args:
            logs: folder for what the recipe prints.

        Raises:
            DataError: the recipe failed; with the end of its log.
        """
        if self.done.exists():
            return
        logs.mkdir(parents=True, exist_ok=True)
        log = logs / f"{self.recipe}-{self.name}.log"
        command = [sys.executable, str(RECIPES / f"{self.recipe}.py"), *self.command()]
        with log.open("w") as file:
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False)
        if ended.returncode or not self.done.exists():
            raise DataError(f"{self.recipe} ended with {ended.returncode}; {log} ends: {log.read_text()[-500:]}")


def run_all(steps: list[Step], config: Config, title: str) -> None:
    """Several steps, some of them side by side."""
    with ThreadPoolExecutor(config.num_parallel) as pool:
        running = [pool.submit(step.run, Path(config.output_dir) / "logs") for step in steps]
        try:
            for step in tqdm(as_completed(running), total=len(steps), desc=title):
                step.result()
        finally:
            pool.shutdown(cancel_futures=True)  # after a failure nothing new begins


def synthesised_clips(folder: Path, config: Config) -> Path:
    """A clip folder of synthesised sounds, every fold its own."""
    rows = []
    for number, fold in enumerate([*config.train_folds, config.test_fold]):
        for kind in (kind for kind in SOUND_KINDS if kind not in NOISE_KINDS):
            for seed in range(number * config.synthesised, (number + 1) * config.synthesised):
                name = f"audio/{kind}-{seed}.flac"
                samples = synthesize(kind, seed, config.sample_rate)[None]
                SpatialAudio(samples, config.sample_rate, "mono").save(folder / name, normalize=True)
                rows.append({"file_name": name, "class": kind, "fold": fold})
    write_metadata(folder, rows)
    return folder


def preparation(clips: Path, config: Config) -> tuple[list[Step], Step]:
    """The rooms, and the labelled scenes in them."""
    output = Path(config.output_dir)
    rooms = {split: output / f"rooms_{split}" for split in config.rooms}
    banks = [
        Step(
            "simulate_rirs",
            split,
            rooms[split] / "complete.json",
            {
                "config": str(RECIPES / "configs" / "simulate_rirs" / "gram_tiny.yaml"),
                "bank.split": split,
                "bank.num_rooms": number,
                "bank.sample_rate": config.sample_rate,
                "heads": config.heads,
                "num_processes": config.num_parallel,
                "output_dir": str(rooms[split]),
            },
        )
        for split, number in config.rooms.items()
    ]
    parts = [
        {
            "fold": fold,
            "rirs": str(rooms["test" if fold == config.test_fold else "train"]),
            "versions": config.versions,
            "procedural_seeds": config.noises,
        }
        for fold in (*config.train_folds, config.test_fold)
    ]
    scenes = output / "scenes"
    options = {
        "parts": parts,
        "data": str(clips),
        "sample_rate": config.sample_rate,
        "scenes.duration_s": config.duration_s,
        "output_dir": str(scenes),
    }
    return banks, Step("naturalistic_set", "scenes", scenes / "metadata.csv", options)


def pretraining(name: str, seed: int, clips: Path, config: Config) -> Step:
    """One encoder."""
    output = Path(config.output_dir)
    options: dict[str, Any] = {
        "config": str(RECIPES / "configs" / config.pretrain_config),
        "data.clip_folder": str(clips),
        "data.folds": config.train_folds,
        "data.rirs": str(output / "rooms_train"),
        "data.procedural_seeds": config.noises,
        "data.scenes.duration_s": config.duration_s,
        "data.held_out.folds": [config.test_fold],
        "data.held_out.rirs": str(output / "rooms_test"),
        "data.held_out.procedural_seeds": config.noises,
        "data.held_out.num_scenes": 80,
        "data.seed": seed,
        "loop.seed": seed,
        "loop.resume": True,
        "loop.output_dir": str(output / f"{name}-{seed}"),
    }
    done = output / f"{name}-{seed}" / "final" / "preprocessor_config.json"
    return Step(config.pretrain, f"{name}-{seed}", done, options | config.options | config.arms[name])


def probing(name: str, seed: int, clips: Path, config: Config) -> Step:
    """What an encoder's embeddings hold, and those of the same with new weights; or those of the log-mel baseline."""
    output = Path(config.output_dir)
    data = {"clips": str(clips), "scenes": str(output / "scenes")}
    tasks = [
        {
            "name": question.name,
            "kind": question.kind,
            "folder": data[question.of],
            "folds": [*config.train_folds, config.test_fold],
            "test_folds": [config.test_fold],
            "pooling": None if name == LOG_MEL else question.pooling,
        }
        for question in config.questions
    ]
    where = output / "probes" / f"{name}-{seed}"
    options = {
        "encoders": [LOG_MEL if name == LOG_MEL else str(output / f"{name}-{seed}" / "final")],
        "compare_untrained": name in config.untrained,
        "tasks": tasks,
        "mono": "duplicate",  # clean clips in both ears
        "output_dir": str(where),
        "probe.seed": seed,
    }
    probe = {f"probe.{key}": value for key, value in config.probe.items()}
    return Step("linear_probe", f"{name}-{seed}", where / "results.json", options | probe)


def collect(config: Config) -> dict[str, list[dict[str, float]]]:
    """Of every row of the table the numbers of every seed, from what the steps wrote."""
    output = Path(config.output_dir)
    rows: dict[str, list[dict[str, float]]] = {}
    for name in (*config.arms, LOG_MEL):
        for seed in config.seeds:
            probes = read_json(output / "probes" / f"{name}-{seed}" / "results.json", error=DataError)["results"]
            for label, tasks in probes.items():
                row = f"{name}, untrained" if label.endswith(", untrained") else name
                found = {task: content["score"] for task, content in tasks.items()}
                if row in config.arms:
                    found[HELD_OUT] = last_metrics(output / f"{name}-{seed}")["held out"]["ratio"]
                rows.setdefault(row, []).append(found)
    return rows


def table_of(rows: dict[str, list[dict[str, float]]], config: Config) -> str:
    """Markdown: the mean over the seeds, and each of them."""
    forms = {q.name: (" ↓", "{:.1f}°") if q.kind == "direction" else (" ↑", "{:.3f}") for q in config.questions}
    columns = {HELD_OUT: (" ratio ↓", "{:.3f}")} | forms
    lines = ["| encoder | " + " | ".join(name + sign for name, (sign, _) in columns.items()) + " |"]
    lines.append("|---|" + "---|" * len(columns))
    for row, seeds in rows.items():
        cells = [row]
        for name, (_, form) in columns.items():
            values = [found[name] for found in seeds if name in found]
            each = ", ".join(form.format(value) for value in values)
            cells.append(f"**{form.format(np.mean(values))}** ({each})" if values else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(config: Config) -> dict[str, list[dict[str, float]]]:
    """Makes what is missing, then prints and writes the table; returns each row's numbers of every seed."""
    output = Path(config.output_dir)
    clips = Path(config.clip_folder) if config.clip_folder else synthesised_clips(output / "clips", config)
    banks, scenes = preparation(clips, config)
    for bank in banks:  # each of them over several processes
        run_all([bank], config, bank.done.parent.name)
    trainings = [pretraining(name, seed, clips, config) for name in config.arms for seed in config.seeds]
    run_all([scenes, *trainings], config, "scenes and encoders")
    run_all([probing(n, s, clips, config) for n in (*config.arms, LOG_MEL) for s in config.seeds], config, "probes")
    rows = collect(config)
    table = table_of(rows, config)
    write_whole(output / "table.md", table.encode())
    write_json(output / "results.json", rows)
    print(table)
    return rows


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
