"""Learning-rate schedules."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(optimizer: Optimizer, warmup_steps: int, steps: int) -> LambdaLR:
    """Rise in a straight line over `warmup_steps`, while half a cosine falls to zero over all `steps`."""

    def factor(step: int) -> float:
        rise = min(1.0, (step + 1) / max(1, warmup_steps))
        return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))

    return LambdaLR(optimizer, factor)


def warmup_linear(optimizer: Optimizer, warmup_steps: int, steps: int) -> LambdaLR:
    """Rise in a straight line over `warmup_steps`, then fall in one to zero at `steps`."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        return max(0.0, (steps - step) / max(1, steps - warmup_steps))

    return LambdaLR(optimizer, factor)
