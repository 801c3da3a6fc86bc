"""Train BAT: a frozen ear, a Q-Former, and a language model that answers questions about where sounds are.

Zheng et al., "BAT" (2024), sections 3.2 and 4; SLAM-LLM's `seld_spatialsoundqa` for what the paper leaves out. With a
foreign language model the Q-Former and a LoRA adapter are trained; without one, a small Llama of our own is trained
whole, with a tokenizer made from the questions. A single stage asks everything (`stage: 3`); in the curriculum of the
paper each stage begins with the last one's result:

    accelerate launch recipes/bat_lora.py --config recipes/configs/bat_lora/tiny.yaml
    accelerate launch recipes/bat_lora.py --config recipes/configs/bat_lora/bat_tiny.yaml --scenes.clip_folder DIR
    accelerate launch recipes/bat_lora.py --config recipes/configs/bat_lora/base.yaml --published.folder DIR ...
    ... --stage 1 --loop.output_dir A; then --stage 2 --init_from A/final --loop.output_dir B; then --stage 3 ...

Before it, recipes/make_spatial_qa.py makes scenes (or a copy of SpatialSoundQA is at hand), and recipes/dspast_train.py
or another recipe an ear. The ear hears each recording once, into a cache of its tokens (training/heard_recordings.py);
scenes are asked something else in other words in every epoch. Recordings are held out of the training's own data for
validation: the set that is measured on is not looked at. After it, recipes/evaluate_bat.py measures. The output
folder's `final` loads with `BatForConditionalGeneration.from_pretrained`.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from spatial_audio_lm.data.clip_folders import procedural_clips
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.language.tokenizer import byte_tokenizer_from_texts
from spatial_audio_lm.models.bat.configuration_bat import BatConfig
from spatial_audio_lm.models.bat.ear_bat import Ear
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.bat.processing_bat import AUDIO_TOKEN, PROMPT_TEMPLATE, BatProcessor
from spatial_audio_lm.models.checkpoints import checkpoint_folder
from spatial_audio_lm.question_answering.question_settings import QuestionSettings
from spatial_audio_lm.question_answering.rendering import SpatialSoundRenderer
from spatial_audio_lm.question_answering.scene_drawing import draw_scene
from spatial_audio_lm.question_answering.scene_recordings import scenes_file, write_scenes
from spatial_audio_lm.simulation.head_files import SPHERE, HeadStore
from spatial_audio_lm.simulation.rir_bank import BankSettings, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings
from spatial_audio_lm.simulation.sounds import SOUND_KINDS
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.training.data_order import EpochSampler, ItemKey, as_it_is, epoch_loader
from spatial_audio_lm.training.ema import ExponentialMovingAverage
from spatial_audio_lm.training.heard_recordings import HearingPlan, fill_hearing
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.parameter_groups import layerwise_groups
from spatial_audio_lm.training.question_sets import (
    PublishedQuestionSet,
    QuestionSet,
    SceneQuestionSet,
    SceneSounds,
    held_out_items,
    types_of_stage,
)
from spatial_audio_lm.training.random_state import seed_everything
from spatial_audio_lm.training.schedules import warmup_cosine, warmup_linear
from spatial_audio_lm.training.tracking import build_accelerator
from spatial_audio_lm.training.trained_part import TrainedPart
from spatial_audio_lm.training.training_state import Progress

TOKENIZER_TEXTS = 20_000  # questions that a tokenizer is made from
SCHEDULES = {"linear": warmup_linear, "cosine": warmup_cosine}


@dataclass
class Scenes:
    """Scenes of this toolkit."""

    folder: str | None = None  # made by recipes/make_spatial_qa.py; null: a few synthesised sounds in small rooms
    bank: str | None = None  # their rooms, to render them; null: their recordings are files
    clip_folder: str | None = None  # their dry clips; null: synthesised ones alone
    questions: QuestionSettings = field(default_factory=QuestionSettings)
    num_scenes: int = 48  # of those that are made here
    duration_s: float = 2.0  # likewise


@dataclass
class Published:
    """A user's copy of SpatialSoundQA; questions are asked as they stand."""

    folder: str  # holds closed-end
    clips_folder: str  # what audio_id is relative to
    responses_folder: str  # what reverb_id is relative to
    duration_s: float = 10.0
    skip_missing: bool = False  # leave out questions whose files are not there


@dataclass
class Language:
    name: str | None = None  # of a causal language model, or its folder: frozen but for the adapter; null: our own
    dtype: Literal["float32", "bfloat16"] = "float32"  # of a foreign one's weights
    model: dict[str, Any] = field(default_factory=dict)  # settings of the Llama of our own
    vocab_size: int = 1000  # of its tokenizer
    prompt: str = PROMPT_TEMPLATE


@dataclass
class Optim:
    lr: float = 1e-4
    weight_decay: float = 0.0
    schedule: str = "linear"  # or cosine, as the paper says
    warmup_steps: int = 1000
    ema_decay: float = 0.0  # 0: no average


@dataclass
class Config:
    ear: str = "dspast-tiny"  # a packaged name, or the folder of any encoder with its feature extractor
    stage: int = 3  # 1: A and B; 2: A to D; 3: all
    init_from: str | None = None  # `final` of the stage before, a model with these settings
    model: dict[str, Any] = field(default_factory=dict)  # settings of BatConfig that differ from the published
    language: Language = field(default_factory=Language)
    scenes: Scenes = field(default_factory=Scenes)
    published: Published | None = None  # train on a copy of SpatialSoundQA instead
    cache: str | None = None  # folder for what the ear hears; null: in output_dir
    cached: bool = True  # false: rendered and heard anew every time, for sets too large to keep
    num_processes: int = 2  # that fill the cache
    num_workers: int = 0  # that load batches beside the training
    held_out: float = 0.02  # share of the recordings, for validation; 0: none
    validation_questions: int = 256  # at most so many of those about them
    batch_size: int = 8  # a process
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
    if config.batch_size < 1 or config.validation_questions < 1 or config.num_processes < 1:
        raise ConfigError("batch_size, validation_questions and num_processes must be at least 1")
    if not 0 <= config.held_out < 1:
        raise ConfigError(f"held_out is {config.held_out}; expected a share of the recordings from 0 to below 1")
    types_of_stage(config.stage)  # refuses a stage that there is none of


def require_same(config: Config, before: BatConfig) -> None:
    """Refuse a stage before that was made with other settings.

    Raises:
        ConfigError: which ones differ.
    """
    wanted = {"language_model_name_or_path": config.language.name, "text_config": config.language.model, **config.model}
    different = list(_different(wanted, before.to_dict(), ""))
    if different:
        raise ConfigError(f"{config.init_from} is another model than the settings say: {'; '.join(different)}")


def _different(wanted: Mapping[str, Any], found: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in wanted.items():
        if isinstance(value, Mapping):
            yield from _different(value, found.get(name, {}), f"{prefix}{name}.")
        elif name != "attn_implementation" and found.get(name) != value:  # how it is computed is not what it is
            yield f"{prefix}{name} {found.get(name)!r}, not {value!r}"


def scenes_of(config: Config, sample_rate: int) -> SceneSounds:
    """The scenes of a folder, or a few that are made in the output folder."""
    data = config.scenes
    if data.folder is not None:
        return SceneSounds(data.folder, "train", data.bank, data.clip_folder)
    folder = Path(config.loop.output_dir) / "scenes"
    settings = BankSettings(
        num_rooms=8,
        sample_rate=sample_rate,
        rooms_per_shard=4,
        receiver_format="binaural",
        heads=(HeadStore().record(SPHERE),),
        elevations="isotropic",
    )
    bank = make_bank(folder / "bank", settings)
    of_class: dict[str, list[Any]] = {}
    for item in procedural_clips(SOUND_KINDS, range(4), sample_rate):
        of_class.setdefault(item.sound_class, []).append(item.clip)
    drawn = SceneSettings(num_sources=2, duration_s=data.duration_s)
    scenes = [draw_scene(drawn, 0.5, bank, of_class, 0, index) for index in range(data.num_scenes)]
    write_scenes(scenes_file(folder, "train"), scenes)
    return SceneSounds(str(folder), "train", str(bank.folder))


def questions_of(config: Config, sample_rate: int) -> QuestionSet:
    """What is asked, about what."""
    if config.published is None:
        sounds = scenes_of(config, sample_rate)
        return SceneQuestionSet(sounds, config.scenes.questions, config.stage, config.loop.seed)
    data = config.published
    renderer = SpatialSoundRenderer(data.clips_folder, data.responses_folder, data.duration_s)
    return PublishedQuestionSet(data.folder, renderer, config.stage, data.skip_missing)


def own_language_model(config: Config, questions: QuestionSet) -> tuple[LlamaForCausalLM, Any]:
    """A small Llama with random weights, and a tokenizer made from what it will read and write."""
    asked = [questions.question(number % len(questions), number // len(questions)) for number in range(TOKENIZER_TEXTS)]
    texts = [text for question in asked for text in (question.question, question.answer)]
    tokenizer = byte_tokenizer_from_texts(texts, (AUDIO_TOKEN,), config.language.vocab_size)
    special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    settings = {"vocab_size": len(tokenizer), **special, **config.language.model}
    return LlamaForCausalLM(LlamaConfig(**settings)), tokenizer


def build_model(config: Config, questions: QuestionSet, ear: Ear) -> tuple[BatForConditionalGeneration, BatProcessor]:
    """Model and processor, new or from the stage before.

    Raises:
        ConfigError: the stage before heard with another ear.
    """
    if config.init_from is not None:
        model = BatForConditionalGeneration.from_pretrained(config.init_from)
        heard, own = model.audio_model.audio_encoder.state_dict(), ear.encoder.state_dict()
        if heard.keys() != own.keys() or any(not torch.equal(heard[name], own[name]) for name in own):
            raise ConfigError(f"{config.init_from} hears with another ear than {config.ear}: give its ear")
        return model, BatProcessor.from_pretrained(config.init_from)
    settings = dict(config.model)
    language: Any = config.language.name
    if language is None:
        language, tokenizer = own_language_model(config, questions)
        settings = {"lora_rank": 0} | settings
    else:
        tokenizer = AutoTokenizer.from_pretrained(language)
    num_queries = BatConfig().num_query_tokens if "num_query_tokens" not in settings else settings["num_query_tokens"]
    processor = BatProcessor(
        ear.feature_extractor, tokenizer, num_query_tokens=num_queries, prompt_template=config.language.prompt
    )
    model = BatForConditionalGeneration.from_audio_text_pretrained(
        ear.encoder,
        language,
        {"dtype": getattr(torch, config.language.dtype)},
        audio_token_id=processor.audio_token_id,
        **settings,
    )
    for parameter in model.parameters():
        if parameter.requires_grad:  # what is trained stays in float32, whatever the language model is in
            parameter.data = parameter.data.float()
    return model, processor


class AskedRecordings:
    """Batches of questions with their answers, and of what the ear hears of their recordings."""

    def __init__(self, questions: QuestionSet, items: Sequence[int], heard: Any, ear: Ear, processor: BatProcessor):
        self.questions, self.items, self.heard, self.ear, self.processor = questions, items, heard, ear, processor

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, keys: Sequence[ItemKey]) -> dict[str, Tensor]:
        items = [self.items[key.item] for key in keys]
        asked = [self.questions.question(item, key.epoch) for item, key in zip(items, keys, strict=True)]
        numbers = [self.questions.recording_of(item) for item in items]
        if self.heard is None:
            inputs = self.ear.features([self.questions.recordings(number) for number in numbers])
        else:
            inputs = self.heard[numbers]
        tokens = self.processor.tokenize_questions([q.question for q in asked], [q.answer for q in asked])
        return inputs | tokens


def answered(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Of the labelled tokens, and of the answers as a whole: the share that is most probable, given the truth before.

    Args:
        logits: `(batch, tokens, vocabulary)`.
        labels: `(batch, tokens)`, -100 where nothing is learned.
    """
    said, true = logits[:, :-1].argmax(-1), labels[:, 1:]
    counts, right = true != -100, said == true
    return {
        "token_accuracy": (right & counts).sum() / counts.sum(),
        "answer_accuracy": (right | ~counts).all(1).float().mean(),
    }


def main(config: Config) -> Path:
    check(config)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    accelerator = build_accelerator(config.loop.trackers, config.loop.output_dir)
    seed_everything(config.loop.seed)

    # ear, questions, model
    before = None if config.init_from is None else BatConfig.from_pretrained(config.init_from)
    if before is not None:
        require_same(config, before)
    hears = str(config.model.get("hears", "tokens"))
    folder = str(checkpoint_folder(config.ear))
    ear = Ear.from_pretrained(folder, hears)
    with accelerator.main_process_first():
        questions = questions_of(config, ear.sampling_rate)
    model, processor = build_model(config, questions, ear)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable()

    # data
    heard = None
    if config.cached:
        plan = HearingPlan(folder, questions.recordings, hears)
        with accelerator.main_process_first():
            cache = config.cache or Path(config.loop.output_dir) / "heard"
            heard = fill_hearing(cache, plan, config.num_processes)
    items, held_out = held_out_items(questions, config.held_out, config.loop.seed)
    dataset = AskedRecordings(questions, items, heard, ear, processor)
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
    optimizer = torch.optim.AdamW(layerwise_groups(learner, optim.lr, optim.weight_decay))
    schedule = SCHEDULES[optim.schedule](optimizer, optim.warmup_steps, config.loop.steps)

    # step
    def step(wrapped: nn.Module, batch: dict[str, Tensor], progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        output = wrapped(**batch)
        return output.loss, answered(output.logits.detach(), batch["labels"])

    # validation, with the questions of an epoch that no training reaches
    validation = AskedRecordings(questions, held_out[: config.validation_questions], heard, ear, processor)

    def evaluate(_: nn.Module, progress: Progress) -> Mapping[str, float]:
        sums: dict[str, float] = {}
        for start in range(0, len(validation), config.batch_size):
            keys = [ItemKey(-1, n) for n in range(start, min(start + config.batch_size, len(validation)))]
            batch = {name: value.to(accelerator.device) for name, value in validation.__getitems__(keys).items()}
            output = learner(**batch)
            for name, value in {"loss": output.loss, **answered(output.logits, batch["labels"])}.items():
                sums[name] = sums.get(name, 0.0) + len(keys) / len(validation) * float(value)
        return sums

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


if __name__ == "__main__":
    print(main(load_config(Config, sys.argv[1:])))
