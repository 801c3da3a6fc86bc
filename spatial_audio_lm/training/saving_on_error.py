"""An error in a step costs nothing of what was trained: the state from before the step is saved."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import torch
from torch import nn

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.training.random_state import random_state, set_random_state
from spatial_audio_lm.training.training_state import Progress, Stateful, TrainingState


class Diverged(DataError):
    """The training itself has gone wrong: what it has become is not worth the place of the last good checkpoint."""


class SavingOnError:
    """Watches steps up to the optimizer's, which change no weight, only random numbers, buffers and counts.

    Args:
        training: saves.
        model: whose buffers move in a forward pass (those of BatchNorm).
        more: of the recipe, which may move too.
    """

    def __init__(self, training: TrainingState, model: nn.Module, more: Mapping[str, Stateful]) -> None:
        self.training, self.more = training, more
        saved = set(model.state_dict())
        self.buffers = [value for name, value in model.named_buffers() if name in saved]

    @contextmanager
    def watch(self, progress: Progress, last: Path | None) -> Iterator[None]:
        """Save what was before, if anything in here fails, and say in the error where.

        Not where that is saved already, nor with several processes (the others may wait for this one's gradient), nor
        what has `Diverged`.

        Args:
            progress: put back to where it was.
            last: checkpoint.
        """
        position, random = copy.deepcopy(progress), random_state()
        buffers = [value.clone() for value in self.buffers]
        more = {name: copy.deepcopy(part.state_dict()) for name, part in self.more.items()}
        try:
            yield
        except Diverged:
            raise
        except Exception as error:
            alone = self.training.accelerator.num_processes == 1
            if alone and progress.step and last != self.training.checkpoints.path(progress.step):
                for entry in fields(position):
                    setattr(progress, entry.name, getattr(position, entry.name))
                with torch.no_grad():
                    for value, before in zip(self.buffers, buffers, strict=True):
                        value.copy_(before)
                for name, part in self.more.items():
                    part.load_state_dict(more[name])
                set_random_state(random)
                try:
                    last = self.training.save(progress)
                except OSError as failure:
                    _add(error, f"step {progress.step} could not be saved either: {failure}")
            _add(error, _where(last))
            raise


def _where(last: Path | None) -> str:
    if last is None:
        return "There is no checkpoint to go on from"
    return f"Once that is mended, loop.resume goes on from {last}"


def _add(error: Exception, said: str) -> None:
    """A sentence at the end of what an error says."""
    if len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (f"{error.args[0]}. {said}",)
    else:
        error.add_note(said)
