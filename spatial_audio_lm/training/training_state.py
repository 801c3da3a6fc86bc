"""What a checkpoint of a training holds, and how a training gets it back."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator

from spatial_audio_lm.errors import CheckpointError, ConfigError
from spatial_audio_lm.training.checkpointing import Checkpoints
from spatial_audio_lm.training.config import as_dict, changed_keys
from spatial_audio_lm.training.data_order import EpochSampler
from spatial_audio_lm.training.random_state import random_state, set_random_state
from spatial_audio_lm.training.state_files import like_parameters, read_state, write_state

log = logging.getLogger(__name__)


class Stateful(Protocol):
    """Something that a resumed training must get back."""

    def state_dict(self) -> dict[str, Any]:
        """Numbers, text, tensors, lists and dicts."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take back what `state_dict` gave."""


@dataclass
class Progress:
    """Where a training is; the step function sees it."""

    step: int = 0  # optimizer steps done
    epoch: int = 0
    batch: int = 0  # batches done in this epoch
    time_s: float = 0.0  # of training, over all resumed runs
    means: dict[str, list[float]] = field(default_factory=dict)  # sum and count since the last line of the log
    evaluation: dict[str, float] = field(default_factory=dict)  # the last one


class TrainingState:
    """All that makes a resumed training equal to an uninterrupted one.

    Args:
        checkpoints: where to.
        own: what the loop itself trains, by name; None for what there is not.
        more: what the recipe adds.
        settings: the resolved config; its fields that are not marked `MAY_CHANGE` must be the same on resume.
        sampler: the order of the data, which must be the same too.
        accelerator: the processes; each saves its own random numbers and means.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        own: Mapping[str, Any],
        more: Mapping[str, Stateful],
        settings: Any,
        sampler: EpochSampler,
        accelerator: Accelerator,
    ) -> None:
        taken = {*own, "loop", *(f"process_{index}" for index in range(accelerator.num_processes))} & set(more)
        if taken:
            raise ConfigError(f"the loop saves its own {', '.join(sorted(taken))}: choose another name")
        self.parts: dict[str, Stateful] = {name: part for name, part in own.items() if part is not None} | dict(more)
        self.checkpoints, self.settings, self.accelerator = checkpoints, settings, accelerator
        self.data = {"items": sampler.length, "batch_size": sampler.batch_size, "data_seed": sampler.seed}
        self.data["processes"] = accelerator.num_processes

    def save(self, progress: Progress) -> Path:
        """Write a checkpoint; all processes call it."""
        if self.accelerator.is_main_process:
            self.checkpoints.begin(progress.step)
        self.accelerator.wait_for_everyone()
        folder = self.checkpoints.unfinished(progress.step)
        own = {"random": random_state(), "means": progress.means}  # what differs between processes
        write_state(folder, f"process_{self.accelerator.process_index}", own)
        if self.accelerator.is_main_process:
            for name, part in self.parts.items():
                write_state(folder, name, part.state_dict())
            loop = {"progress": asdict(progress), "settings": as_dict(self.settings), "data": self.data}
            write_state(folder, "loop", loop)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.checkpoints.finish(progress.step)
        return self.checkpoints.path(progress.step)

    def find(self, resume: bool) -> tuple[Path | None, tuple[str, ...]]:
        """The checkpoint to go on from, if any, and what is wrong with newer ones.

        Raises:
            ConfigError: there is one, and the settings do not say to resume.
        """
        newest, skipped = self.checkpoints.newest()
        for reason in skipped:
            log.warning("passed over a damaged checkpoint: %s", reason)
        if newest is not None and not resume:
            raise ConfigError(f"{newest.parent} already holds {newest.name}: set resume, or choose another output_dir")
        return newest, skipped

    def restore(self, path: Path) -> Progress:
        """Load a checkpoint into the parts; all processes call it.

        Raises:
            ConfigError: settings or data have changed since.
            CheckpointError: the checkpoint does not fit.
        """
        loop = read_state(path, "loop")
        changed = changed_keys(self.settings, loop["settings"])
        saved = loop["data"]
        changed += [f"{key}: {saved.get(key)} -> {now}" for key, now in self.data.items() if saved.get(key) != now]
        if changed:
            advice = ""
            if saved.get("items") != self.data["items"]:
                advice = (
                    ". items are those of the data: a folder must not change between stop and resume, so put back "
                    "what was taken out, in place of a file that cannot be read any other under the same name"
                )
            raise ConfigError(
                f"{path.name} was trained with other settings ({'; '.join(changed)}): set them back, or start anew in "
                f"another output_dir{advice}"
            )
        for name, part in self.parts.items():
            state = read_state(path, name)
            try:
                if isinstance(part, torch.optim.Optimizer):
                    state = like_parameters(state, part)
                part.load_state_dict(state)
            except (RuntimeError, ValueError, KeyError, TypeError) as error:
                raise CheckpointError(f"{path.name}: the saved {name} does not fit: {error}") from error
        own = read_state(path, f"process_{self.accelerator.process_index}")
        set_random_state(own["random"])
        return Progress(**{**loop["progress"], "means": own["means"]})
