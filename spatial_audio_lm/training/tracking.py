"""Where the numbers of a training go: always metrics.jsonl, a progress bar on a terminal, and trackers on request.

`metrics.jsonl` holds one JSON object a line: `step`, `epoch`, the means since the last line, `time_s` of training so
far; evaluations are lines with `evaluation`. After a resume it is as if there had been no interruption, but for the
times.
"""

import importlib.util
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from accelerate import Accelerator

from spatial_audio_lm.errors import ConfigError, MissingExtraError
from spatial_audio_lm.files import write_whole
from spatial_audio_lm.training.config import leaves
from spatial_audio_lm.training.training_state import Progress

TRACKERS = ("tensorboard", "trackio")


class MetricsLog:
    """Appends to metrics.jsonl, after dropping the lines of steps that will be done again, and tells the trackers.

    A context; the main process writes, the others do nothing.

    Args:
        path: the file.
        step: of the checkpoint that the training starts from, 0 at the beginning.
        accelerator: from `build_accelerator`; its trackers are told too.
        settings: the config dataclass that the trackers show.
    """

    def __init__(self, path: Path, step: int, accelerator: Accelerator, settings: Any) -> None:
        self._path, self._step, self._accelerator, self._settings = path, step, accelerator, settings
        self._file: BinaryIO | None = None

    def __enter__(self) -> "MetricsLog":
        if self._accelerator.is_main_process:
            lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
            write_whole(self._path, b"".join(line for line in lines if _step_of(line) <= self._step))
            self._file = open(self._path, "ab")
        if self._accelerator.log_with:
            shown = {
                key: value if isinstance(value, int | float | str) else str(value)
                for key, value in leaves(self._settings)
            }
            self._accelerator.init_trackers(self._path.absolute().parent.name, config=shown)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        for tracker in self._accelerator.trackers:
            tracker.finish()

    def write(self, progress: Progress, values: dict[str, Any]) -> None:
        """Append one line; a number that is not finite becomes null."""
        if self._file is not None:
            line = {"step": progress.step, "epoch": progress.epoch, **values, "time_s": round(progress.time_s, 3)}
            self._file.write(json.dumps(_finite(line), ensure_ascii=False, allow_nan=False).encode() + b"\n")
            self._file.flush()
        numbers = {f"evaluation/{name}": value for name, value in values.get("evaluation", {}).items()} or values
        self._accelerator.log(numbers, step=progress.step)

    def sync(self) -> None:
        """Bring the lines to the disk: a checkpoint must not be younger than its log."""
        if self._file is not None:
            os.fsync(self._file.fileno())


def last_metrics(output_dir: str | Path) -> dict[str, dict[str, Any]]:
    """The newest numbers of a training: its last means ("training") and its last evaluation ("held out")."""
    lines = [json.loads(line) for line in (Path(output_dir) / "metrics.jsonl").read_bytes().splitlines()]
    found = {"training": [line for line in lines if "evaluation" not in line]}
    found["held out"] = [line["evaluation"] for line in lines if "evaluation" in line]
    return {name: numbers[-1] for name, numbers in found.items() if numbers}


def add_to_means(means: dict[str, list[float]], scalars: dict[str, float]) -> None:
    """Count one value of each scalar in `{name: [sum, count]}`."""
    for name, value in scalars.items():
        total, count = means.get(name, (0.0, 0))
        means[name] = [total + value, count + 1]


def take_means(means: dict[str, list[float]], accelerator: Accelerator) -> dict[str, float]:
    """Means over steps and processes since the last call; empties `means`."""
    found = {name: total / count for name, (total, count) in means.items()}
    means.clear()
    if accelerator.num_processes > 1:
        values = torch.tensor(list(found.values()), dtype=torch.float64, device=accelerator.device)
        found = dict(zip(found, accelerator.reduce(values, "mean").tolist(), strict=True))
    return found


def build_accelerator(trackers: Sequence[str] = (), output_dir: str | Path = ".", cpu: bool = False) -> Accelerator:
    """Devices and processes of a training, with its trackers; started alone or by `accelerate launch` / `torchrun`.

    Mixed precision is left to the loop, which runs the step under autocast in one place.

    Raises:
        ConfigError: unknown tracker.
        MissingExtraError: a tracker is not installed.
    """
    for name in trackers:
        if name not in TRACKERS:
            raise ConfigError(f"unknown tracker {name!r}: choose from {', '.join(TRACKERS)}")
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(f"Logging to {name}", "train")
    return Accelerator(cpu=cpu, mixed_precision="no", log_with=list(trackers) or None, project_dir=str(output_dir))


def _step_of(line: bytes) -> float:
    """Step of a line; infinite for the torn last line of a killed run, so that it goes."""
    try:
        return json.loads(line)["step"] if line.endswith(b"\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
