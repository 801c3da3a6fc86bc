"""A small training with all that could break an exact resume: dropout, BatchNorm, channels-last, augmentation, EMA.

Also a program: python tiny_training.py --loop.output_dir DIR --loop.steps 40 --num_workers 2
"""

import dataclasses
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spatial_audio_lm.errors import AudioFileError
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.training.data_order import Augmented, EpochSampler, epoch_loader
from spatial_audio_lm.training.ema import ExponentialMovingAverage
from spatial_audio_lm.training.loop import TrainResult, train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.training_state import Progress


@dataclasses.dataclass
class Settings:
    """Of the small training."""

    learning_rate: float = 1e-2
    batch_size: int = 4
    num_workers: int = dataclasses.field(default=0, metadata={"may_change": True})
    poisoned_item: int = -1  # its pixels are NaN
    unreadable_item: int = dataclasses.field(default=-1, metadata={"may_change": True})  # raises where it is fetched
    fail_in_step: int = dataclasses.field(default=0, metadata={"may_change": True})  # after its forward pass
    raise_signal_in_step: int = dataclasses.field(default=0, metadata={"may_change": True})
    loop: LoopConfig = dataclasses.field(default_factory=LoopConfig)


def settings(folder: Path, steps: int = 30, **changes: Any) -> Settings:
    """Settings of a test, changed where it says so."""
    loop: dict[str, Any] = {"steps": steps, "output_dir": str(folder), "resume": True, "clip_norm": 1.0, "seed": 5}
    loop |= {"save_every_steps": 5, "log_every_steps": 4, "evaluate_every_steps": 10}
    names = LoopConfig.__dataclass_fields__
    loop |= {key: value for key, value in changes.items() if key in names}
    return Settings(loop=LoopConfig(**loop), **{key: value for key, value in changes.items() if key not in names})


def job(folder: str) -> None:
    """What the kill tests run: ten checkpoints in about a second."""
    run(settings(Path(folder), steps=60, save_every_steps=6, keep_checkpoints=2))


class Images:
    """38 noise images with 3 channels of 8 by 8."""

    def __init__(self, poisoned_item: int = -1, unreadable_item: int = -1) -> None:
        self.unreadable_item = unreadable_item
        self.images = torch.randn(38, 3, 8, 8, generator=torch.Generator().manual_seed(9))
        if poisoned_item >= 0:
            self.images[poisoned_item] = torch.nan

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        if index == self.unreadable_item:
            torch.rand(3), random.random()  # must not move the training
            raise AudioFileError(f"image {index} cannot be read")
        return self.images[index]


def add_noise(image: Tensor, generator: np.random.Generator) -> Tensor:
    return image + 0.3 * torch.from_numpy(generator.standard_normal(image.shape, dtype=np.float32))


class CallCounter:
    """Something of the recipe that must be resumed: a random walk over the global generators."""

    def __init__(self) -> None:
        self.calls, self.walk = 0, torch.zeros(())

    def move(self) -> None:
        self.calls += 1
        self.walk = self.walk + random.random() + float(np.random.rand()) + torch.rand(())

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls, "walk": self.walk}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls, self.walk = state["calls"], state["walk"]


def build_model() -> nn.Module:
    torch.manual_seed(4)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(288, 1)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def run(settings: Settings) -> TrainResult:
    """Train, or go on."""
    torch.set_num_threads(1)
    model, loop = build_model(), settings.loop
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 7) * 0.99**step)
    dataset = Augmented(Images(settings.poisoned_item, settings.unreadable_item), add_noise, loop.seed)
    loader = epoch_loader(dataset, EpochSampler(len(dataset), settings.batch_size, loop.seed), settings.num_workers)
    signals = [signal.SIGTERM]  # one: a second would end the process at once
    counter, ema = CallCounter(), ExponentialMovingAverage(model, decay=0.9)

    def step(model: nn.Module, images: Tensor, progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        if progress.step + 1 == settings.raise_signal_in_step and signals:
            signal.raise_signal(signals.pop())
        counter.move()
        output = model(images.to(memory_format=torch.channels_last)).float()
        if progress.step + 1 == settings.fail_in_step and progress.batch % loop.accumulate == loop.accumulate - 1:
            raise RuntimeError("out of memory")
        return (output - images.mean((1, 2, 3))[:, None]).square().mean(), {"output": output.detach().mean()}

    def evaluate(model: nn.Module, progress: Progress) -> dict[str, float]:
        random.random(), np.random.rand(), torch.rand(7)  # must not move the training
        return {"norm": float(sum(value.double().norm() for value in model.state_dict().values()))}

    return train(
        model, optimizer, schedule, loader, step, loop, ema=ema, evaluate=evaluate, state={"counter": counter},
        settings=settings,
    )  # fmt: skip


if __name__ == "__main__":
    run(load_config(Settings))
