"""The target encoder of a latent predictor: a moving average of the encoder that is trained, slower and slower.

WavJEPA (Yuksel, van Gerven and van der Heijden, 2025, section 3.2), after data2vec: of the old average a step keeps r,
which rises in a straight line over the first steps and then stays.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from spatial_audio_lm.errors import ConfigError


@dataclass(frozen=True)
class DecayRamp:
    """What a step keeps of the old average; the defaults are WavJEPA's, for its 375,000 steps.

    The average forgets over 1 / (1 - r) steps: a thousand at first, a hundred thousand at last. A training of a few
    hundred steps needs less of both, or its targets stay those of the first weights.
    """

    first: float = 0.999
    last: float = 0.99999
    steps: int = 100_000  # over which it rises

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < 1 or self.steps < 1:
            raise ConfigError(
                f"a decay from {self.first} to {self.last} in {self.steps} steps; expected 0 <= first <= last < 1 and "
                "at least one step"
            )

    def at(self, update: int) -> float:
        """The decay of an update, counted from 0."""
        return self.first + (self.last - self.first) * min(1.0, update / self.steps)


class MovingTarget:
    """Moves a model's target encoder after every optimizer step: the `ema` of `training.loop.train`.

    The published code updates between the forward pass and the optimizer's step, and so takes in the weights as they
    were before it. Here it takes in those after the step, which are one step newer. The averages themselves are in the
    model's state; what is kept here is the number of updates.

    Args:
        decay: of each update.
    """

    def __init__(self, decay: DecayRamp) -> None:
        self.decay, self.updates = decay, 0

    def update(self, model: nn.Module) -> None:
        """Move the target encoder of a model that has one, by its `update_target_encoder(decay)`."""
        learner: Any = model
        learner.update_target_encoder(self.decay.at(self.updates))
        self.updates += 1

    @contextmanager
    def swapped_in(self, model: nn.Module) -> Iterator[None]:
        """The model as it is: its target encoder is a part of it."""
        yield

    def state_dict(self) -> dict[str, Any]:
        """The number of updates."""
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.updates = state["updates"]
