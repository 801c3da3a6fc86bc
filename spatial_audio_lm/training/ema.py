"""A moving average of a model's weights, which is often better than the weights themselves.

Source: Polyak and Juditsky 1992; the ramp `(1 + n) / (10 + n)`, which lets the average forget the first steps, is that
of TensorFlow's ExponentialMovingAverage.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from spatial_audio_lm.errors import CheckpointError, ConfigError


class WeightAverage(Protocol):
    """An average as the training loop knows it: this module's, or that of a target encoder (`moving_target`)."""

    def update(self, model: nn.Module) -> None:
        """Take in the weights after an optimizer step."""

    def swapped_in(self, model: nn.Module) -> AbstractContextManager[None]:
        """What is evaluated, inside the block."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


class ExponentialMovingAverage:
    """Average of all floating-point entries of a model's state (BatchNorm statistics too); the others are copied.

    Args:
        model: starts the average.
        decay: share of the old average that a step keeps, in [0, 1); after n steps at most `(1 + n) / (10 + n)`.
    """

    def __init__(self, model: nn.Module, decay: float = 0.995) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"the decay of the moving average is {decay}, expected 0 <= decay < 1")
        self.decay, self.updates = decay, 0
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after an optimizer step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Give the model the averaged weights."""
        for name, value in model.state_dict().items():
            value.copy_(self.average[name])

    @contextmanager
    def swapped_in(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside the block and its own ones after it."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.copy_to(model)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """Averages and the number of updates."""
        return {"average": self.average, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue an average.

        Raises:
            CheckpointError: it is the average of another model.
        """
        average: dict[str, Tensor] = state["average"]
        if {n: v.shape for n, v in average.items()} != {n: v.shape for n, v in self.average.items()}:
            raise CheckpointError("the saved moving average belongs to a model with other weights")
        for name, value in average.items():
            self.average[name].copy_(value)
        self.updates = state["updates"]
