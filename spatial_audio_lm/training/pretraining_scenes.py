"""Naturalistic scenes that an encoder is pre-trained on, and others that are only measured: what recipes share."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import torch
from accelerate.utils import send_to_device
from torch import Tensor

from spatial_audio_lm.data.naturalistic_clips import NaturalisticClips
from spatial_audio_lm.data.scene_sources import SceneSources, clip_sources, rir_source
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.simulation.naturalistic_records import NaturalisticSettings
from spatial_audio_lm.simulation.naturalistic_sources import NoRirs, RirSource
from spatial_audio_lm.training.data_order import ItemKey


@dataclass
class HeldOut(SceneSources):
    """Clips and rooms that are only measured."""

    num_scenes: int = 0  # always the same; 0: none. clip_folder null: that of the training, if it has one

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_scenes < 0:
            raise ConfigError(f"held_out.num_scenes is {self.num_scenes}; expected 1 or more, or 0 for none")


@dataclass
class SceneData(SceneSources):
    """The data of a pre-training."""

    scenes: NaturalisticSettings = field(default_factory=NaturalisticSettings)  # among them clean_ratio: 1 for no rooms
    seed: int = 0  # of the scenes; loop.seed is that of the model, the order, and what is cut and masked
    num_workers: int = 0  # that render scenes beside the training
    held_out: HeldOut = field(default_factory=HeldOut)  # is only measured, each loop.evaluate_every_steps


def pretraining_scenes(
    data: SceneData, sample_rate: int, num_channels: int, output_dir: str | Path
) -> tuple[NaturalisticClips, NaturalisticClips | None]:
    """Scenes to train on, and the held-out ones if there are any.

    Args:
        data: where they come from.
        sample_rate: of the scenes, in Hz.
        num_channels: 2 for two ears, 4 for ambisonics.
        output_dir: where banks of responses are made, if some are needed and none given: `bank` and `bank_held_out`.

    Raises:
        ConfigError: responses of another rate.
        ChannelError: of another number of channels.
    """
    scenes = _scenes(data, data, sample_rate, num_channels, Path(output_dir) / "bank")
    if not data.held_out.num_scenes:
        return scenes, None
    unseen = replace(data.held_out, clip_folder=data.held_out.clip_folder or data.clip_folder)
    return scenes, _scenes(unseen, data, sample_rate, num_channels, Path(output_dir) / "bank_held_out")


def _scenes(
    sources: SceneSources, data: SceneData, sample_rate: int, num_channels: int, new_bank: Path
) -> NaturalisticClips:
    rirs: RirSource
    if sources.rirs is None and data.scenes.clean_ratio == 1:
        rirs = NoRirs(sample_rate, num_channels)
    else:
        rirs = rir_source(sources, sample_rate, num_channels, new_bank)
    return NaturalisticClips(*clip_sources(sources, sample_rate), rirs, data.scenes, data.seed, num_channels)


class SceneDataset(Protocol):
    """A data set over scenes, that gives a batch for a list of keys."""

    def __len__(self) -> int: ...

    def __getitems__(self, keys: list[ItemKey]) -> dict[str, Tensor]: ...


def mean_over_scenes(
    dataset: SceneDataset,
    num_scenes: int,
    batch_size: int,
    device: torch.device,
    measure: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> dict[str, float]:
    """Means of what is measured of the first scenes of a data set, always the same ones.

    Args:
        dataset: of held-out scenes; of more scenes than it has, those of its next epochs follow.
        num_scenes: how many.
        batch_size: of them at once.
        device: where batches are sent to.
        measure: a batch to scalars.
    """
    keys = [ItemKey(*divmod(number, len(dataset))) for number in range(num_scenes)]
    totals: dict[str, float] = {}
    for first in range(0, num_scenes, batch_size):
        part = keys[first : first + batch_size]
        for name, value in measure(send_to_device(dataset.__getitems__(part), device)).items():
            totals[name] = totals.get(name, 0.0) + float(value) * len(part) / num_scenes
    return totals
