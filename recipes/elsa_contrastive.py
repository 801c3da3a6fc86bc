"""Train ELSA: audio and text in one space, with direction, distance and room as side tasks.

Devnani et al., "Learning Spatially-Aware Language and Audio Embeddings" (2024), sections 3 and 4, in the small: rooms
are simulated, dry clips are placed in them, captions come from templates, and the loss is CLIP's plus the regression of
direction, distance and floor area (and, ours, reverberation time).

    accelerate launch recipes/elsa_contrastive.py --config recipes/configs/elsa_contrastive/tiny.yaml
    accelerate launch recipes/elsa_contrastive.py --config recipes/configs/elsa_contrastive/elsa_tiny.yaml \
        --data.clip_folder DIR        (ESC-10 in the layout of data_cards/esc10.md)

Before it: recipes/simulate_rirs.py makes the rooms, recipes/distill_text.py the text tower. After it:
recipes/evaluate_elsa.py measures. The output folder's `final` loads with `ElsaModel.from_pretrained`.

The data's way: scene k (a function of the seed and k) is rendered and transformed once into a cache of features; each
time it is seen it is turned, mirrored and masked anew, its labels along with it, and one of many captions that are true
of it is taken. Captions of other scenes that happen to be true of it as well are not counted as negatives.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from spatial_audio_lm.data.caption_pool import CaptionPool, fits, leave_out, scene_codes
from spatial_audio_lm.data.clip_folders import training_clips
from spatial_audio_lm.data.feature_augmentation import Augmentation, augment
from spatial_audio_lm.data.scene_features import (
    LABELS,
    FeaturePlan,
    LiveScenes,
    SceneFeatures,
    fill_features,
)
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.language.tokenizer import tokenizer_from_texts
from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor
from spatial_audio_lm.objectives.processes import gather_rows
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.training.data_order import EpochSampler, ItemKey, as_it_is, epoch_loader, item_generator
from spatial_audio_lm.training.ema import ExponentialMovingAverage
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.random_state import seed_everything
from spatial_audio_lm.training.schedules import warmup_cosine
from spatial_audio_lm.training.tracking import build_accelerator
from spatial_audio_lm.training.training_state import Progress


@dataclass
class Data:
    bank: str | None = None  # folder of impulse responses; null: a small one is made in output_dir
    clip_folder: str | None = None  # dry clips with metadata.csv; null: procedural sounds alone
    folds: list[str] | None = None  # of the clips to take, by the column "fold"; null: all
    licences: list[str] | None = None  # of the clips to take; null: all
    procedural_seeds: int = 100  # synthesised clips a kind: seeds 0 to n - 1
    procedural_share: float = 0.3  # of the scenes, when there is a clip folder too
    scenes: SceneSettings = field(default_factory=SceneSettings)
    num_scenes: int = 30_000
    mono_rate: float = 0.06  # of scenes given as mono, which has no direction
    cache: str | None = None  # folder for features; null: rendered anew every time
    num_processes: int = 2  # that fill the cache
    num_workers: int = 0  # that load batches beside the training; worth it where scenes are rendered anew every time


@dataclass
class Text:
    tower: str | None = None  # folder of a text encoder with its tokenizer; null: a new one, small
    train: bool = False  # let the contrastive loss change the tower too
    lr_scale: float = 0.1  # of the tower's learning rate
    noise: float = 0.0  # on a frozen tower's vectors, in units of their spread: words near the training's fit too
    num_wordings: int = 6  # captions a meaning
    max_length: int = 64  # tokens


@dataclass
class Optim:
    lr: float = 1.5e-3
    weight_decay: float = 0.05  # of matrices; gains, biases and the temperature have none
    warmup_steps: int = 60
    ema_decay: float = 0.998


@dataclass
class Config:
    preset: str = "compact"  # of model and features: compact, or paper (HTS-AT, RoBERTa, the paper's spatial branch)
    model: dict[str, Any] = field(default_factory=dict)  # settings of ElsaConfig that differ from the preset
    features: dict[str, Any] = field(default_factory=dict)  # settings of ElsaFeatureExtractor that differ
    init_from: str | None = None  # folder of an ElsaModel to go on from, for example a converted CLAP
    batch_size: int = 128  # a process
    data: Data = field(default_factory=Data)
    text: Text = field(default_factory=Text)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optim: Optim = field(default_factory=Optim)
    loop: LoopConfig = field(default_factory=LoopConfig)
    num_threads: int | None = None  # torch's threads; null leaves them


def check(config: Config) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ConfigError: which ones.
    """
    if config.text.noise < 0 or (config.text.noise and config.text.train):
        raise ConfigError(
            f"text.noise is {config.text.noise} with text.train {config.text.train}: it is 0 or more, and for a frozen "
            "tower only"
        )


def build_model(config: Config, pool: CaptionPool) -> tuple[ElsaModel, ElsaProcessor]:
    """Model and processor; the text tower is loaded where there is one."""
    if config.init_from is not None:
        if config.model or config.features or config.text.tower is not None:
            raise ConfigError("init_from brings model, features and tower: leave model, features, text.tower empty")
        return ElsaModel.from_pretrained(config.init_from), ElsaProcessor.from_pretrained(config.init_from)
    if config.preset not in ("compact", "paper"):
        raise ConfigError(f"preset is {config.preset!r}; expected compact or paper")
    compact = config.preset == "compact"
    extractor = (ElsaFeatureExtractor.compact if compact else ElsaFeatureExtractor)(**config.features)
    settings = dict(config.model)
    if config.text.tower is not None:
        tokenizer = AutoTokenizer.from_pretrained(config.text.tower)
        tower = AutoModel.from_pretrained(config.text.tower, dtype=torch.float32)
        settings["text_config"] = tower.config
    else:
        if not compact or not config.text.train:
            raise ConfigError(
                "there is no text tower: give text.tower (recipes/distill_text.py makes one) or init_from; "
                "the compact preset can also begin with a new one and text.train true"
            )
        numbers = np.random.default_rng(0).integers(len(pool), size=5000)
        tokenizer = tokenizer_from_texts([pool.caption(int(n)) for n in numbers])
        tower = None
        settings["text_config"] = {
            "model_type": "electra",
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "embedding_size": 32,
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "max_position_embeddings": config.text.max_length,
        }
    spatial = settings.pop("spatial_config", {})
    spatial = {"architecture": config.preset, **spatial, "spatial_channels": extractor.spatial_channels}
    make = ElsaConfig.compact if compact else ElsaConfig
    model = ElsaModel(make(spatial_config=spatial, **settings))
    if tower is not None:
        model.text_model.load_state_dict(tower.state_dict())
    return model, ElsaProcessor(extractor, tokenizer)


def feature_plan(config: Config, extractor: ElsaFeatureExtractor) -> FeaturePlan:
    """Which scenes are trained on."""
    data = config.data
    if data.bank is None:
        settings = BankSettings(num_rooms=8, sample_rate=extractor.sampling_rate, rooms_per_shard=4)
        bank = make_bank(Path(config.loop.output_dir) / "bank", settings)
    else:
        bank = RirBank(data.bank)
    if bank.settings.sample_rate != extractor.sampling_rate:
        raise ConfigError(
            f"the bank has {bank.settings.sample_rate} Hz, the model hears {extractor.sampling_rate} Hz: "
            "make a bank with that --sample_rate"
        )
    if data.procedural_seeds > FIRST_UNSEEN_SEED:
        raise ConfigError(f"procedural_seeds is {data.procedural_seeds}: seeds from {FIRST_UNSEEN_SEED} are for tests")
    if data.clip_folder is None and data.procedural_share == 0:
        raise ConfigError("procedural_share is 0 and there is no clip_folder: there is no sound to place; give one")
    clips, weights = training_clips(
        data.clip_folder,
        data.folds,
        data.licences,
        data.procedural_seeds,
        data.procedural_share,
        extractor.sampling_rate,
    )
    return FeaturePlan(
        bank_folder=str(bank.folder),
        clip_folder=data.clip_folder,
        clips=tuple(clips),
        extractor=extractor,
        scenes=data.scenes,
        num_scenes=data.num_scenes,
        class_weights=tuple(sorted(weights.items())),
        mono_rate=data.mono_rate,
        seed=config.loop.seed,
    )


def prepare_scenes(config: Config, plan: FeaturePlan) -> SceneFeatures | LiveScenes:
    """The scenes as batches, from the cache if there is one; fills it first."""
    if config.data.cache is None:
        return LiveScenes(plan)
    return fill_features(config.data.cache, plan, config.data.num_processes)


class CaptionedScenes:
    """Batches of scenes, changed anew in every epoch, each scene with a caption that is true of it."""

    def __init__(self, scenes: SceneFeatures | LiveScenes, pool: CaptionPool, config: Config, channels: Sequence[str]):
        self.scenes, self.pool, self.channels = scenes, pool, channels
        self.augmentation, self.seed = config.augmentation, config.loop.seed

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitems__(self, keys: list[ItemKey]) -> dict[str, Tensor]:
        generators = [item_generator(self.seed, key) for key in keys]
        batch = augment(self.scenes[[key.item for key in keys]], generators, self.channels, self.augmentation)
        codes = scene_codes(batch["labels"].numpy(), batch.pop("sound_class").tolist(), batch["is_spatial"].tolist())
        stated = leave_out(codes, generators)
        wordings = [int(g.integers(self.pool.num_wordings)) for g in generators]
        batch["caption"] = torch.from_numpy(self.pool.numbers(stated, wordings))
        batch["codes"], batch["stated"] = torch.from_numpy(codes), torch.from_numpy(stated)
        return batch


GROUP = 96  # captions that a frozen tower reads at once


class Captions:
    """Caption numbers to what the model takes: tokens, or the frozen tower's vectors, each computed once."""

    def __init__(self, pool: CaptionPool, processor: ElsaProcessor, config: Text):
        self.pool, self.tokenizer, self.config = pool, processor.tokenizer, config
        self._known: dict[int, Tensor] = {}  # group by group

    def tokens(self, numbers: Sequence[int]) -> dict[str, Tensor]:
        texts = [self.pool.caption(n) for n in numbers]
        return dict(
            self.tokenizer(texts, padding=True, truncation=True, max_length=self.config.max_length, return_tensors="pt")
        )

    @torch.no_grad()
    def vectors(self, numbers: Sequence[int], model: ElsaModel) -> Tensor:
        """Vectors `(batch, dim)` before the text projection.

        A fixed group of captions goes through the tower together, whichever of them is asked for: a caption's vector
        must not depend on its company, or a resumed training would differ in the last bit.
        """
        model.text_model.eval()  # frozen means without dropout too
        for group in {number // GROUP for number in numbers} - set(self._known):
            tokens = self.tokens(range(group * GROUP, min((group + 1) * GROUP, len(self.pool))))
            tokens = {name: value.to(model.device) for name, value in tokens.items()}
            with torch.autocast(model.device.type, enabled=False):  # once a caption: casting would cost more
                self._known[group] = model.pool_text(tokens["input_ids"], tokens["attention_mask"]).float()
        return torch.stack([self._known[number // GROUP][number % GROUP] for number in numbers])


def main(config: Config) -> Path:
    check(config)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    accelerator = build_accelerator(config.loop.trackers, config.loop.output_dir)
    seed_everything(config.loop.seed)

    # model
    pool = CaptionPool(config.text.num_wordings, config.loop.seed)
    model, processor = build_model(config, pool)
    model.text_model.requires_grad_(config.text.train)

    # data
    with accelerator.main_process_first():
        scenes = prepare_scenes(config, feature_plan(config, processor.feature_extractor))
    dataset = CaptionedScenes(scenes, pool, config, processor.feature_extractor.spatial_channels)
    sampler = EpochSampler(
        len(dataset),
        config.batch_size,
        config.loop.seed,
        process_index=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    loader = epoch_loader(dataset, sampler, config.data.num_workers, collate_fn=as_it_is)
    captions = Captions(pool, processor, config.text)

    # optimizer
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith("text_model."), parameter.ndim > 1), []).append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": config.optim.lr * (config.text.lr_scale if in_tower else 1.0),
                "weight_decay": config.optim.weight_decay if is_matrix else 0.0,
            }
            for (in_tower, is_matrix), parameters in groups.items()
        ],
        betas=(0.9, 0.98),
    )
    schedule = warmup_cosine(optimizer, config.optim.warmup_steps, config.loop.steps)

    # step
    def step(wrapped: nn.Module, batch: dict[str, Tensor], progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        numbers = batch["caption"].tolist()
        if config.text.train:
            text = {name: value.to(accelerator.device) for name, value in captions.tokens(numbers).items()}
        else:
            vectors = captions.vectors(numbers, model)
            if config.text.noise:
                vectors = vectors + config.text.noise * vectors.std(0) * torch.randn_like(vectors)
            text = {"pooled_text": vectors}
        true = fits(gather_rows(batch["codes"]).cpu().numpy(), gather_rows(batch["stated"]).cpu().numpy())
        labels = {name: batch["labels"][:, column] for column, name in enumerate(LABELS)}
        output = wrapped(
            input_features=batch["input_features"],
            spatial_features=batch["spatial_features"],
            is_spatial=batch["is_spatial"],
            labels=labels,
            negatives=torch.from_numpy(~true).to(accelerator.device),
            **text,
        )
        return output.loss, {name: value.detach() for name, value in output.loss_components.items()}

    ema = ExponentialMovingAverage(model, config.optim.ema_decay)
    train(model, optimizer, schedule, loader, step, config.loop, accelerator=accelerator, ema=ema, settings=config)

    # save
    output = Path(config.loop.output_dir) / "final"
    if accelerator.is_main_process:
        ema.copy_to(model)
        model.save_pretrained(output)
        processor.save_pretrained(output)
    accelerator.wait_for_everyone()
    return output


if __name__ == "__main__":
    print(main(load_config(Config, sys.argv[1:])))
