"""Train DSpAST, or SpatialAST by config: which sounds, from where, how far, from two ears.

Wilkinghoff and Tan, "DSpAST" (2025), sections 3 and 4; Zheng et al., "BAT" (2024), section 4. The published training
has three stages, each a config that begins with the last one's result:

    accelerate launch recipes/dspast_train.py --config recipes/configs/dspast_train/tiny.yaml
    accelerate launch recipes/dspast_train.py --config recipes/configs/dspast_train/dspast_tiny.yaml \
        --scenes.clip_folder DIR        (ESC-10 in the layout of data_cards/esc10.md)
    accelerate launch recipes/dspast_train.py --config recipes/configs/dspast_train/base_stage1.yaml \
        --spatial_sound.root DIR        (a copy of SpatialSound)

An addition of ours, `architecture: dspast_seld`, begins with a trained DSpAST and gives each of several sounds a place
of its own:

    accelerate launch recipes/dspast_train.py --config recipes/configs/dspast_train/seld_tiny.yaml \
        --init_from FOLDER --scenes.clip_folder DIR

The data's way, from simulated scenes: scene k (a function of the seed and k) is rendered once, binaural, into a cache
of sound; each time it is seen, another source of the same room may be added and the mixture is changed
(data/binaural_scenes.py). From SpatialSound: clip and response are drawn and convolved anew (data/spatial_sound.py).
Features are made of the batch, on the model's device; spans and patches are hidden in the model.

After it, recipes/evaluate_dspast.py measures. The output folder's `final` loads with `from_pretrained`.
"""

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spatial_audio_lm.data.binaural_scenes import PLACE, BinauralAugmentation, BinauralScenes
from spatial_audio_lm.data.clip_folders import training_clips
from spatial_audio_lm.data.scene_features import CLASS_INDEX, AsSound, FeaturePlan, fill_features
from spatial_audio_lm.data.spatial_sound import SAMPLE_RATE, SpatialSoundDataset, SpatialSoundSettings
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.binaural_extractor import BinauralFeatureExtractor
from spatial_audio_lm.models.dspast.configuration_dspast import DSpASTConfig
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization
from spatial_audio_lm.models.dspast.modeling_dspast_seld import DSpASTForSELD
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization
from spatial_audio_lm.simulation.head_files import SPHERE, HeadStore
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED
from spatial_audio_lm.training.config import load_config, require_known
from spatial_audio_lm.training.data_order import (
    Augmented,
    EpochSampler,
    ItemKey,
    WeightedEpochSampler,
    as_it_is,
    epoch_loader,
    item_generator,
)
from spatial_audio_lm.training.ema import ExponentialMovingAverage
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.parameter_groups import layerwise_groups
from spatial_audio_lm.training.random_state import seed_everything
from spatial_audio_lm.training.schedules import warmup_cosine
from spatial_audio_lm.training.tracking import build_accelerator
from spatial_audio_lm.training.training_state import Progress

ARCHITECTURES: dict[str, tuple[type, type, type]] = {
    "dspast": (DSpASTConfig, DSpASTForSoundEventLocalization, DSpASTFeatureExtractor),
    "dspast_seld": (DSpASTConfig, DSpASTForSELD, DSpASTFeatureExtractor),
    "spatial_ast": (SpatialASTConfig, SpatialASTForSoundEventLocalization, SpatialASTFeatureExtractor),
}


@dataclass
class Scenes:
    """Simulated scenes of one source each."""

    bank: str | None = None  # folder of a binaural bank; null: a small one with spherical heads is made in output_dir
    clip_folder: str | None = None  # dry clips with metadata.csv; null: procedural sounds alone
    folds: list[str] | None = None  # of the clips to take, by the column "fold"; null: all
    licences: list[str] | None = None  # of the clips to take; null: all
    procedural_seeds: int = 100  # synthesised clips a kind: seeds 0 to n - 1
    procedural_share: float = 0.3  # of the scenes, when there is a clip folder too
    settings: SceneSettings = field(default_factory=SceneSettings)
    num_scenes: int = 24_000
    mono_rate: float = 0.03  # of scenes in which both ears hear the same: no direction
    seed: int = 0  # of the scenes; loop.seed is that of the model and of what becomes of the scenes
    cache: str | None = None  # folder for the rendered sound; null: in output_dir
    in_memory: bool = True  # hold the whole cache in memory, 256 kB a scene of 4 s at 16 kHz
    num_processes: int = 2  # that fill the cache
    augmentation: BinauralAugmentation = field(default_factory=BinauralAugmentation)


@dataclass
class Optim:
    lr: float = 1e-3  # of the heads; lower layers have layer_decay times less each
    layer_decay: float = 1.0
    weight_decay: float = 0.05
    warmup_steps: int = 100
    ema_decay: float = 0.998  # 0: no average


@dataclass
class Config:
    architecture: str = "dspast"  # spatial_ast, or dspast_seld: a place for each sound
    model: dict[str, Any] = field(default_factory=dict)  # settings of the configuration that differ from the published
    features: dict[str, Any] = field(default_factory=dict)  # settings of the feature extractor that differ
    init_from: str | None = None  # folder of the stage before, or of a converted Audio-MAE
    batch_size: int = 64  # a process
    scenes: Scenes = field(default_factory=Scenes)
    spatial_sound: SpatialSoundSettings | None = None  # train on a copy of SpatialSound instead of simulated scenes
    samples_per_epoch: int | None = None  # of SpatialSound, drawn by weights_file's weights; null: every clip once
    num_workers: int = 0  # that load batches beside the training
    optim: Optim = field(default_factory=Optim)
    loop: LoopConfig = field(default_factory=LoopConfig)
    num_threads: int | None = None  # torch's threads; null leaves them


def check(config: Config) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ConfigError: which ones.
    """
    if config.architecture not in ARCHITECTURES:
        raise ConfigError(f"architecture is {config.architecture!r}; expected one of {', '.join(ARCHITECTURES)}")
    make_config, _, make_extractor = ARCHITECTURES[config.architecture]
    settings = make_config().to_dict() | {"attn_implementation": None}
    for section, known in (("model", settings), ("features", make_extractor().to_dict())):
        require_known(section, getattr(config, section), known)
    if config.batch_size < 2:
        raise ConfigError(f"batch_size is {config.batch_size}: batch norms need at least two items")
    if config.init_from is not None and config.features:
        raise ConfigError("init_from brings its feature extractor: leave features empty")
    if config.spatial_sound is None:
        if config.samples_per_epoch is not None:
            raise ConfigError("samples_per_epoch is of SpatialSound, whose clips have weights: leave it null")
        scenes = config.scenes
        if scenes.procedural_seeds > FIRST_UNSEEN_SEED:
            raise ConfigError(
                f"procedural_seeds is {scenes.procedural_seeds}: from {FIRST_UNSEEN_SEED} on they are tests'"
            )
        if scenes.clip_folder is None and scenes.procedural_share == 0:
            raise ConfigError("procedural_share is 0 and there is no clip_folder: there is no sound to place; give one")
    elif config.architecture == "dspast_seld":
        raise ConfigError("dspast_seld learns from mixtures of simulated scenes: leave spatial_sound null")
    elif config.samples_per_epoch is not None and config.spatial_sound.weights_file is None:
        raise ConfigError("samples_per_epoch draws clips by their weights: give spatial_sound.weights_file")


def build_model(config: Config, labels: Sequence[str]) -> tuple[Any, BinauralFeatureExtractor]:
    """Model and feature extractor, new or from the stage before.

    Raises:
        ConfigError: the stage before names other events.
    """
    make_config, make_model, make_extractor = ARCHITECTURES[config.architecture]
    if config.init_from is not None:
        # Through the constructor, which checks the settings; from_pretrained would set them unseen.
        stage = make_config.from_dict(make_config.from_pretrained(config.init_from).to_dict() | config.model)
        model = make_model.from_pretrained(config.init_from, config=stage)
        found = [model.config.id2label[index] for index in range(model.config.num_labels)]
        if found == [f"LABEL_{index}" for index in range(len(labels))]:  # a converted Audio-MAE: nobody has named them
            model.config.id2label = dict(enumerate(labels))
            model.config.label2id = {label: index for index, label in enumerate(labels)}
        elif found != list(labels):
            different = next((pair for pair in zip(found, labels, strict=False) if pair[0] != pair[1]), None)
            raise ConfigError(
                f"{config.init_from} tells {len(found)} events apart, the data {len(labels)}; the first that differ: "
                f"{different}"
            )
        return model, make_extractor.from_pretrained(config.init_from)
    extractor = make_extractor(**config.features)
    settings: dict[str, Any] = {
        "features": extractor.features,
        "num_mel_bins": extractor.feature_size,
        "num_frames": extractor.num_frames,
    } | config.model
    model = make_model(make_config(id2label=dict(enumerate(labels)), **settings))
    with torch.no_grad():  # as rare as it is, instead of learning first that most events are absent
        model.event_head.bias.fill_(-math.log(max(len(labels) - 1, 1)))
    return model, extractor


def scene_plan(config: Config, sample_rate: int) -> tuple[FeaturePlan, RirBank]:
    """Which scenes are trained on, and the bank they are rendered with."""
    data = config.scenes
    if data.bank is None:
        settings = BankSettings(
            num_rooms=8,
            sample_rate=sample_rate,
            rooms_per_shard=4,
            receiver_format="binaural",
            heads=(HeadStore().record(SPHERE),),
            elevations="isotropic",
        )
        bank = make_bank(Path(config.loop.output_dir) / "bank", settings)
    else:
        bank = RirBank(data.bank)
    if bank.settings.receiver_format != "binaural" or bank.settings.sample_rate != sample_rate:
        raise ConfigError(
            f"the bank is {bank.settings.receiver_format} at {bank.settings.sample_rate} Hz, the model hears binaural "
            f"at {sample_rate} Hz: make a bank with recipes/simulate_rirs.py --heads '[sphere]' --bank.sample_rate "
            f"{sample_rate}"
        )
    clips, weights = training_clips(
        data.clip_folder, data.folds, data.licences, data.procedural_seeds, data.procedural_share, sample_rate
    )
    plan = FeaturePlan(
        bank_folder=str(bank.folder),
        clip_folder=data.clip_folder,
        clips=tuple(clips),
        extractor=AsSound(),
        scenes=data.settings,
        num_scenes=data.num_scenes,
        class_weights=tuple(sorted(weights.items())),
        mono_rate=data.mono_rate,
        seed=data.seed,
        scenes_per_shard=min(500, data.num_scenes),
    )
    return plan, bank


class SceneBatches:
    """Scenes by `ItemKey`, a batch at a time, each item with random numbers of its own."""

    def __init__(self, scenes: BinauralScenes, seed: int):
        self.scenes, self.seed = scenes, seed

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitems__(self, keys: list[ItemKey]) -> dict[str, Tensor]:
        return self.scenes.examples([key.item for key in keys], [item_generator(self.seed, key) for key in keys])


def simulated(config: Config, sample_rate: int) -> tuple[list[str], Callable[..., DataLoader]]:
    """Labels of the simulated scenes, and what makes their loader (rendering them first)."""
    plan, bank = scene_plan(config, sample_rate)
    classes = sorted({item.sound_class for item in plan.clips}, key=CLASS_INDEX.__getitem__)

    def loader(process_index: int, num_processes: int) -> DataLoader:
        data = config.scenes
        folder = data.cache or Path(config.loop.output_dir) / "scenes"
        sound = fill_features(folder, plan, data.num_processes, data.in_memory)
        scenes = BinauralScenes(sound, classes, bank.settings.sources_per_room, data.augmentation)
        dataset = SceneBatches(scenes, config.loop.seed)
        sampler = EpochSampler(
            len(dataset),
            config.batch_size,
            config.loop.seed,
            process_index=process_index,
            num_processes=num_processes,
        )
        return epoch_loader(dataset, sampler, config.num_workers, collate_fn=as_it_is)

    return [name.replace("_", " ") for name in classes], loader


def published(config: Config, sample_rate: int) -> tuple[list[str], Callable[..., DataLoader]]:
    """Labels of SpatialSound, and what makes its loader."""
    assert config.spatial_sound is not None
    if sample_rate != SAMPLE_RATE:
        raise ConfigError(
            f"SpatialSound has {SAMPLE_RATE} Hz, the model hears {sample_rate}: set sampling_rate in features"
        )
    sounds = SpatialSoundDataset(config.spatial_sound)
    seed, batch_size = config.loop.seed, config.batch_size

    def loader(process_index: int, num_processes: int) -> DataLoader:
        share = {"process_index": process_index, "num_processes": num_processes}
        sampler = EpochSampler(len(sounds), batch_size, seed, **share)
        if config.samples_per_epoch is not None:
            sampler = WeightedEpochSampler(sounds.weights, config.samples_per_epoch, batch_size, seed, **share)
        return epoch_loader(Augmented(range(len(sounds)), sounds.example, seed), sampler, config.num_workers)

    return list(sounds.labels), loader


def layer_of(name: str, num_layers: int) -> int:
    """Of a parameter's name, for the layer-wise decay: patches 0, block i is i + 1, all else the highest."""
    if block := re.search(r"\bblocks\.(\d+)\.", name):
        return int(block[1]) + 1
    return 0 if "patch_embedding" in name else num_layers


def main(config: Config) -> Path:
    check(config)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    accelerator = build_accelerator(config.loop.trackers, config.loop.output_dir)
    seed_everything(config.loop.seed)

    # data and model
    extractor_class = ARCHITECTURES[config.architecture][2]
    if config.init_from is None:
        sample_rate = extractor_class(**config.features).sampling_rate
    else:
        sample_rate = extractor_class.from_pretrained(config.init_from).sampling_rate
    with accelerator.main_process_first():
        source = simulated if config.spatial_sound is None else published
        labels, make_loader = source(config, sample_rate)
        loader = make_loader(accelerator.process_index, accelerator.num_processes)
    model, extractor = build_model(config, labels)

    # optimizer
    top = model.config.num_hidden_layers + 1
    optim = config.optim
    groups = layerwise_groups(
        model, optim.lr, optim.weight_decay, optim.layer_decay, top, partial(layer_of, num_layers=top)
    )
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999))
    schedule = warmup_cosine(optimizer, optim.warmup_steps, config.loop.steps)

    # step
    of_each = config.architecture == "dspast_seld"

    def step(wrapped: nn.Module, batch: dict[str, Tensor], progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            features = extractor.fit_frames(extractor.extract(batch["waveform"]))
            features = features.contiguous(memory_format=torch.channels_last)  # convolutions are trained faster so
        places = dict(zip(PLACE, batch["places"].unbind(-1), strict=True)) if of_each else batch
        labels = {"events": batch["events"]} | {name: places[name] for name in PLACE}
        output = wrapped(features, labels=labels, is_spatial=batch.get("is_spatial"))
        return output.loss, {f"{name}_loss": value.detach() for name, value in output.loss_components.items()}

    ema = ExponentialMovingAverage(model, optim.ema_decay) if optim.ema_decay else None
    train(model, optimizer, schedule, loader, step, config.loop, accelerator=accelerator, ema=ema, settings=config)

    # save
    output = Path(config.loop.output_dir) / "final"
    if accelerator.is_main_process:
        if ema is not None:
            ema.copy_to(model)
        model.save_pretrained(output)
        extractor.save_pretrained(output)
    accelerator.wait_for_everyone()
    return output


if __name__ == "__main__":
    print(main(load_config(Config, sys.argv[1:])))
