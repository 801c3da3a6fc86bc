"""Which time steps of a recording a latent predictor sees, and which ones it predicts: WavJEPA's blocks of steps.

Yuksel, van Gerven and van der Heijden, "WavJEPA" (2025), section 3.1 and Appendix F. Blocks of a few steps are laid at
random places and may overlap. The steps of some are the context; the steps of others, in groups, are the targets. No
step is both: what is a target of any group is taken out of the context.

The paper and its published code disagree on the context. In the text it is what the drawn blocks cover. In the code it
is what they leave: blocks worth 65 % of the steps are drawn and removed. Only the latter gives the shares of the
paper's Appendix F, so that is what its models were trained with, and the default here.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from spatial_audio_lm.errors import ConfigError

CONTEXTS = ("uncovered", "covered")
MOST_DRAWS = 1000  # of one item; the published settings need one or two


@dataclass(frozen=True)
class TimeBlockMasks:
    """How blocks are drawn; the defaults are the published ones.

    A rate is the share of the steps that blocks would cover if they did not overlap: of n steps, `rate * n / length`
    blocks are drawn, rounded up or down at random so that the mean is right. The paper's rho is `rate / length`.
    """

    context: Literal["uncovered", "covered"] = "uncovered"  # by the blocks of the context; "covered": the paper's text
    context_rate: float = 0.65  # rho 0.065
    context_length: int = 10  # steps of a block
    target_rate: float = 0.25  # of one group; rho 0.025
    target_length: int = 10
    num_target_groups: int = 4
    least_context: float = 0.1  # share of the steps; an item with less is drawn anew, targets too

    def __post_init__(self) -> None:
        if self.context not in CONTEXTS:
            raise ConfigError(f"context is {self.context!r}; expected one of {', '.join(CONTEXTS)}")
        for name in ("context_length", "target_length", "num_target_groups"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected 1 or more")
        for name in ("context_rate", "target_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}; expected more than 0")
        if not 0 < self.least_context < 1:
            raise ConfigError(
                f"least_context is {self.least_context}; expected a share of the steps between 0 and 1, as without a "
                "context there is nothing to predict from"
            )

    def require_steps(self, num_steps: int) -> None:
        """Refuse a number of steps that these blocks cannot be laid on.

        Raises:
            ConfigError: which block or rate does not fit.
        """
        for name in ("context", "target"):
            rate, length = getattr(self, f"{name}_rate"), getattr(self, f"{name}_length")
            if length >= num_steps:
                raise ConfigError(f"{name}_length is {length}; a block must be shorter than the {num_steps} steps")
            if rate * num_steps / length + 1 > num_steps - length:
                raise ConfigError(
                    f"{name}_rate {rate:g} asks for {rate * num_steps / length:.1f} blocks, and blocks of {length} "
                    f"steps have {num_steps - length} places in {num_steps}: lower the rate"
                )
        if self.target_rate * num_steps < self.target_length:
            raise ConfigError(
                f"target_rate {self.target_rate:g} of {num_steps} steps is less than one block of "
                f"{self.target_length}: groups without a target would be drawn; raise the rate"
            )


def time_block_masks(
    batch: int, num_steps: int, settings: TimeBlockMasks, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Contexts and targets, drawn for each item until its context is large enough.

    A block may begin at any step but the last `length`, as published: no block covers the very last step, and steps
    near the ends are covered less often than those in the middle.

    Args:
        batch: items.
        num_steps: time steps of an item.
        settings: of the blocks.
        generator: on the CPU; None is torch's own, which `torch.manual_seed` sets.

    Returns:
        Bool `(batch, num_steps)`, True where a step is in the context, and bool `(batch, groups, num_steps)`, True
        where it is a target of that group.

    Raises:
        ConfigError: settings that do not fit the number of steps, or with which no item has enough context.
    """
    settings.require_steps(num_steps)
    context = torch.zeros(batch, num_steps, dtype=torch.bool)
    targets = torch.zeros(batch, settings.num_target_groups, num_steps, dtype=torch.bool)
    missing = torch.arange(batch)
    for _ in range(MOST_DRAWS):
        if not len(missing):
            return context, targets
        drawn_context, drawn_targets = _draw(len(missing), num_steps, settings, generator)
        accepted = drawn_context.sum(1) / num_steps >= settings.least_context
        context[missing[accepted]], targets[missing[accepted]] = drawn_context[accepted], drawn_targets[accepted]
        missing = missing[~accepted]
    raise ConfigError(
        f"in {MOST_DRAWS} draws no context had {settings.least_context:.0%} of {num_steps} steps: lower target_rate, "
        f"num_target_groups or least_context, or {'lower' if settings.context == 'uncovered' else 'raise'} context_rate"
    )


def _draw(
    items: int, num_steps: int, settings: TimeBlockMasks, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """One draw, whatever its context."""
    context = _covered(items, num_steps, settings.context_rate, settings.context_length, generator)
    if settings.context == "uncovered":
        context = ~context
    rows = items * settings.num_target_groups
    targets = _covered(rows, num_steps, settings.target_rate, settings.target_length, generator)
    targets = targets.view(items, -1, num_steps)
    return context & ~targets.any(1), targets


def _covered(rows: int, num_steps: int, rate: float, length: int, generator: torch.Generator | None) -> Tensor:
    """Bool `(rows, num_steps)`: True where one of the row's blocks lies; no two of a row begin at one step."""
    places = num_steps - length
    blocks = (rate * num_steps / length + torch.rand(rows, 1, generator=generator)).long()
    rank = torch.rand(rows, places, generator=generator).argsort(dim=1).argsort(dim=1)
    begins = rank < blocks
    covered = torch.zeros(rows, num_steps, dtype=torch.bool)
    for step in range(length):
        covered[:, step : step + places] |= begins
    return covered
