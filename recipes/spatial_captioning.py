"""Train a captioner: a frozen ear, one linear layer, and a language model that says what sounds, and where.

Devnani et al., ELSA (2024), section 5.5 and appendix A.15: the embedding of a recording becomes the prefix of GPT-2,
which is trained with that layer on pairs of recording and caption. Without a foreign language model a small GPT-2 of
our own is trained, with a tokenizer made from the captions:

    accelerate launch recipes/spatial_captioning.py --config recipes/configs/spatial_captioning/tiny.yaml
    accelerate launch recipes/spatial_captioning.py --config recipes/configs/spatial_captioning/captioner_tiny.yaml \
        --scenes.clip_folder DIR        (ESC-10 in the layout of data_cards/esc10.md)
    accelerate launch recipes/spatial_captioning.py --config recipes/configs/spatial_captioning/base.yaml \
        --captioned.source DIR

Before it: an ear (recipes/elsa_contrastive.py, or any other encoder), and for scenes rooms (recipes/simulate_rirs.py).
The ear hears each recording once, into a cache of vectors (training/embedded_recordings.py). Of a scene something true
is written in other words in every epoch; of a user's recording one of its captions is taken. Recordings are held out
of the training's own data for validation. After it, recipes/evaluate_captioner.py measures. The output folder's `final`
loads with `SpatialCaptionerForConditionalGeneration.from_pretrained`.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from spatial_audio_lm.data.clip_folders import training_clips
from spatial_audio_lm.data.scene_features import AsSound, FeaturePlan
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.language.sound_names import answer_name
from spatial_audio_lm.language.tokenizer import byte_tokenizer_from_texts
from spatial_audio_lm.metrics.spatial_captions import CaptionFacts, fact_counts, read_caption
from spatial_audio_lm.models.checkpoints import checkpoint_folder
from spatial_audio_lm.models.spatial_captioner.ear_spatial_captioner import EmbeddingEar
from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
    SpatialCaptionerForConditionalGeneration,
)
from spatial_audio_lm.models.spatial_captioner.processing_spatial_captioner import SpatialCaptionerProcessor
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED
from spatial_audio_lm.training.caption_sets import (
    CaptionSet,
    DataSetCaptions,
    DataSetSounds,
    SceneCaptions,
    held_out_recordings,
)
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.training.data_order import EpochSampler, ItemKey, as_it_is, epoch_loader
from spatial_audio_lm.training.ema import ExponentialMovingAverage
from spatial_audio_lm.training.embedded_recordings import EmbeddingPlan, fill_embeddings
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.parameter_groups import layerwise_groups
from spatial_audio_lm.training.random_state import seed_everything
from spatial_audio_lm.training.schedules import warmup_cosine, warmup_linear
from spatial_audio_lm.training.tracking import build_accelerator
from spatial_audio_lm.training.trained_part import TrainedPart
from spatial_audio_lm.training.training_state import Progress

TOKENIZER_TEXTS = 20_000  # captions that a tokenizer is made from
VALIDATION_EPOCH = 2**24  # no training reaches it
SCHEDULES = {"linear": warmup_linear, "cosine": warmup_cosine}


@dataclass
class Scenes:
    """Scenes of this toolkit, one sound each, with captions from templates."""

    bank: str | None = None  # folder of impulse responses; null: a small one is made in output_dir
    clip_folder: str | None = None  # dry clips with metadata.csv; null: synthesised sounds alone
    folds: list[str] | None = None  # of the clips to take, by the column "fold"; null: all
    licences: list[str] | None = None  # of the clips to take; null: all
    procedural_seeds: int = 100  # synthesised clips a kind: seeds 0 to n - 1
    procedural_share: float = 0.3  # of the scenes, when there is a clip folder too
    scenes: SceneSettings = field(default_factory=SceneSettings)
    num_scenes: int = 20_000
    mono_rate: float = 0.0  # of scenes given as one channel in all: captions say nothing of place and room then
    drop_rates: dict[str, float] = field(default_factory=dict)  # how often a known attribute is not said; none: always


@dataclass
class Captioned:
    """A user's data set, in place of scenes."""

    source: str  # an audio folder with metadata.csv, or a data set of `datasets` with a column audio
    columns: list[str] = field(default_factory=lambda: ["caption"])  # one or more captions a recording
    split: str = "train"  # of a data set of `datasets`
    format: Literal["foa", "binaural", "mono", "foa_fuma", "foa_n3d"] = "foa"  # of the recordings; others are refused


@dataclass
class Language:
    name: str | None = None  # of a causal language model, or its folder; null: a small GPT-2 of our own
    dtype: Literal["float32", "bfloat16"] = "float32"  # of a foreign one's weights
    model: dict[str, Any] = field(default_factory=dict)  # settings of the GPT-2 of our own
    vocab_size: int = 1000  # of its tokenizer


@dataclass
class Optim:
    lr: float = 1e-4
    mapper_lr_scale: float = 1.0  # of the mapper's: vectors of length 1 are small numbers, which a new mapper amplifies
    weight_decay: float = 0.01
    schedule: str = "cosine"  # or linear
    warmup_steps: int = 500
    ema_decay: float = 0.0  # 0: no average


@dataclass
class Config:
    ear: str = "elsa-tiny"  # a packaged name, or the folder of any encoder with its feature extractor
    model: dict[str, Any] = field(default_factory=dict)  # settings of SpatialCaptionerConfig that differ
    language: Language = field(default_factory=Language)
    scenes: Scenes = field(default_factory=Scenes)
    captioned: Captioned | None = None
    cache: str | None = None  # folder for what the ear hears; null: in output_dir
    num_processes: int = 2  # that fill the cache
    num_workers: int = 0  # that make batches beside the training
    held_out: float = 0.02  # share of the recordings, for validation; 0: none
    validation_recordings: int = 256  # at most so many of those
    batch_size: int = 64  # a process
    gradient_checkpointing: bool = False
    optim: Optim = field(default_factory=Optim)
    loop: LoopConfig = field(default_factory=LoopConfig)
    num_threads: int | None = None  # torch's threads; null leaves them


def check(config: Config) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ConfigError: which ones.
    """
    if config.optim.schedule not in SCHEDULES:
        raise ConfigError(f"optim.schedule is {config.optim.schedule!r}; expected one of {', '.join(SCHEDULES)}")
    if config.language.name is not None and config.language.model:
        raise ConfigError("language.model is of a language model of our own: leave it empty, or language.name null")
    if not config.optim.mapper_lr_scale > 0:
        raise ConfigError(f"optim.mapper_lr_scale is {config.optim.mapper_lr_scale}; expected more than 0")
    if min(config.batch_size, config.validation_recordings, config.num_processes) < 1:
        raise ConfigError("batch_size, validation_recordings and num_processes must be at least 1")
    if config.scenes.procedural_seeds > FIRST_UNSEEN_SEED:
        raise ConfigError(
            f"procedural_seeds is {config.scenes.procedural_seeds}: seeds from {FIRST_UNSEEN_SEED} are for tests"
        )
    if config.captioned is None and config.scenes.clip_folder is None and config.scenes.procedural_share == 0:
        raise ConfigError("procedural_share is 0 and there is no clip_folder: there is no sound to place; give one")


def scene_plan(config: Config, sample_rate: int) -> FeaturePlan:
    """Which scenes are captioned.

    Raises:
        ConfigError: a bank of another rate.
    """
    data = config.scenes
    if data.bank is None:
        settings = BankSettings(num_rooms=8, sample_rate=sample_rate, rooms_per_shard=4)
        bank = make_bank(Path(config.loop.output_dir) / "bank", settings)
    else:
        bank = RirBank(data.bank)
    if bank.settings.sample_rate != sample_rate:
        raise ConfigError(
            f"the bank has {bank.settings.sample_rate} Hz, the ear hears {sample_rate} Hz: make a bank with that "
            "--bank.sample_rate"
        )
    clips, weights = training_clips(
        data.clip_folder, data.folds, data.licences, data.procedural_seeds, data.procedural_share, sample_rate
    )
    return FeaturePlan(
        bank_folder=str(bank.folder),
        clip_folder=data.clip_folder,
        clips=tuple(clips),
        extractor=AsSound(),
        scenes=data.scenes,
        num_scenes=data.num_scenes,
        class_weights=tuple(sorted(weights.items())),
        mono_rate=data.mono_rate,
        seed=config.loop.seed,
    )


def captions_of(config: Config, sample_rate: int) -> CaptionSet:
    """What is captioned, and how."""
    if config.captioned is None:
        return SceneCaptions(scene_plan(config, sample_rate), config.scenes.drop_rates, config.loop.seed)
    data = config.captioned
    sounds = DataSetSounds(data.source, sample_rate, data.split, data.format)
    return DataSetCaptions(sounds, data.columns, config.loop.seed)


def own_language_model(config: Config, captions: CaptionSet) -> tuple[GPT2LMHeadModel, Any]:
    """A small GPT-2 with random weights, and a tokenizer made from what it will write."""
    texts = [captions.caption(number % len(captions), number // len(captions)) for number in range(TOKENIZER_TEXTS)]
    tokenizer = byte_tokenizer_from_texts(texts, vocab_size=config.language.vocab_size)
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    settings = {"vocab_size": len(tokenizer), **special, **config.language.model}
    return GPT2LMHeadModel(GPT2Config(**settings)), tokenizer


def build_model(
    config: Config, captions: CaptionSet, ear: EmbeddingEar
) -> tuple[SpatialCaptionerForConditionalGeneration, SpatialCaptionerProcessor]:
    """Model and processor."""
    language: Any = config.language.name
    if language is None:
        language, tokenizer = own_language_model(config, captions)
    else:
        tokenizer = AutoTokenizer.from_pretrained(language)
    model = SpatialCaptionerForConditionalGeneration.from_audio_text_pretrained(
        ear.encoder, language, {"dtype": getattr(torch, config.language.dtype)}, **config.model
    )
    if model.config.positions_for_captions is not None:
        tokenizer.model_max_length = model.config.positions_for_captions
    for parameter in model.parameters():
        if parameter.requires_grad:  # what is trained stays in float32, whatever the language model is in
            parameter.data = parameter.data.float()
    return model, SpatialCaptionerProcessor(ear.feature_extractor, tokenizer)


def parameter_groups(model: nn.Module, optim: Optim) -> list[dict[str, Any]]:
    """What is trained: the mapper, as the upper of two layers, with a learning rate of its own."""
    scale = optim.mapper_lr_scale
    return layerwise_groups(
        model, scale * optim.lr, optim.weight_decay, 1 / scale, 1, lambda name: int("prefix_mapper" in name)
    )


class CaptionedVectors:
    """Batches of what the ear heard, each with one of its captions."""

    def __init__(
        self, captions: CaptionSet, items: Sequence[int], vectors: Tensor, processor: SpatialCaptionerProcessor
    ):
        self.captions, self.items, self.vectors, self.processor = captions, items, vectors, processor

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, keys: Sequence[ItemKey]) -> dict[str, Tensor]:
        items = [self.items[key.item] for key in keys]
        texts = [self.captions.caption(item, key.epoch) for item, key in zip(items, keys, strict=True)]
        return {"audio_embeds": self.vectors[items], **self.processor.tokenize_captions(texts)}


def token_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Of the labelled tokens the share that is most probable, given the truth before.

    Args:
        logits: `(batch, prefix + tokens, vocabulary)`.
        labels: `(batch, tokens)`, -100 where nothing is learned.
    """
    said = logits[:, -1 - labels.shape[1] : -1].argmax(-1)
    return (said == labels)[labels != -100].float().mean()


def main(config: Config) -> Path:
    check(config)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    accelerator = build_accelerator(config.loop.trackers, config.loop.output_dir)
    seed_everything(config.loop.seed)

    # ear, captions, model
    folder = str(checkpoint_folder(config.ear))
    ear = EmbeddingEar.from_pretrained(folder)
    with accelerator.main_process_first():
        captions = captions_of(config, ear.sampling_rate)
    model, processor = build_model(config, captions, ear)
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable()

    # data
    plan = EmbeddingPlan(folder, captions.recordings)
    with accelerator.main_process_first():
        cache = config.cache or Path(config.loop.output_dir) / "heard"
        vectors = fill_embeddings(cache, plan, config.num_processes)
    items, held_out = held_out_recordings(len(captions), config.held_out, config.loop.seed)
    dataset = CaptionedVectors(captions, items, vectors, processor)
    sampler = EpochSampler(
        len(dataset),
        config.batch_size,
        config.loop.seed,
        process_index=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    loader = epoch_loader(dataset, sampler, config.num_workers, collate_fn=as_it_is)

    # optimizer
    optim = config.optim
    learner = TrainedPart(model)
    optimizer = torch.optim.AdamW(parameter_groups(learner, optim))
    schedule = SCHEDULES[optim.schedule](optimizer, optim.warmup_steps, config.loop.steps)

    # step
    def step(wrapped: nn.Module, batch: dict[str, Tensor], progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        output = wrapped(**batch)
        return output.loss, {"token_accuracy": token_accuracy(output.logits.detach(), batch["labels"])}

    # validation, with the captions of an epoch that no training reaches
    held_out = held_out[: config.validation_recordings]
    validation = CaptionedVectors(captions, held_out, vectors, processor)

    def evaluate(_: nn.Module, progress: Progress) -> Mapping[str, float]:
        sums: dict[str, float] = {}
        written: list[str] = []
        for start in range(0, len(validation), config.batch_size):
            keys = [ItemKey(VALIDATION_EPOCH, n) for n in range(start, min(start + config.batch_size, len(validation)))]
            batch = {name: value.to(accelerator.device) for name, value in validation.__getitems__(keys).items()}
            output = learner(**batch)
            accuracy = token_accuracy(output.logits, batch["labels"])
            for name, value in {"loss": output.loss, "token_accuracy": accuracy}.items():
                sums[name] = sums.get(name, 0.0) + len(keys) / len(validation) * float(value)
            said = model.generate(audio_embeds=batch["audio_embeds"])
            written += processor.decode_captions(said)
        return sums | (_facts_right(written, captions, held_out) if isinstance(captions, SceneCaptions) else {})

    ema = ExponentialMovingAverage(learner, optim.ema_decay) if optim.ema_decay else None
    train(
        learner,
        optimizer,
        schedule,
        loader,
        step,
        config.loop,
        accelerator=accelerator,
        ema=ema,
        evaluate=evaluate if held_out else None,
        settings=config,
    )

    # save
    output = Path(config.loop.output_dir) / "final"
    if accelerator.is_main_process:
        if ema is not None:
            ema.copy_to(learner)
        model.save_pretrained(output)
        processor.save_pretrained(output)
    accelerator.wait_for_everyone()
    return output


def _facts_right(written: Sequence[str], captions: SceneCaptions, items: Sequence[int]) -> dict[str, float]:
    """How often captions that were written say the right word, where there is one."""
    true = [CaptionFacts(frozenset([answer_name(sound)]), said) for sound, said in map(captions.facts, items)]
    counts = fact_counts([read_caption(text) for text in written], true)
    return {f"{fact}_right": count.right / count.known for fact, count in counts.items() if count.known}


if __name__ == "__main__":
    print(main(load_config(Config, sys.argv[1:])))
