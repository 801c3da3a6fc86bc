"""Pre-train WavJEPA or WavJEPA-Nat: from a fifth of two seconds, predict what a slower encoder makes of the rest.

Yuksel, van Gerven and van der Heijden, "WavJEPA" (2025), section 3; the published code where it says more.

    accelerate launch recipes/wavjepa_pretrain.py --config recipes/configs/wavjepa_pretrain/tiny.yaml
    accelerate launch recipes/wavjepa_pretrain.py --config recipes/configs/wavjepa_pretrain/base.yaml \
        --data.clip_folder DIR                                   (one channel, dry clips)
    accelerate launch recipes/wavjepa_pretrain.py --config recipes/configs/wavjepa_pretrain/nat_base.yaml \
        --data.clip_folder DIR --data.noise_folder DIR --data.rirs DIR       (two ears, naturalistic scenes)

The data's way: scene k (a function of the seed and k) is rendered while training, and never kept; several windows of
two seconds are cut from it, each with blocks of time steps as context and others as targets. Windows and blocks are
drawn by the item's own generator, so that a training that was stopped ends with the same bits.

The loss can fall for two reasons: the targets are predicted, or they have become all alike. Beside it stand the
variance of the targets, what of it lies between windows (the rest is known from the position alone), and `ratio`: the
loss by the variance, which is the error of one who always says the mean. Where windows hardly differ any more
(`least_variance`), the encoder has collapsed, and the training stops.

The output folder's `final` loads with
`WavJEPAModel.from_pretrained` (the encoder) and `WavJEPAForPreTraining.from_pretrained` (with target encoder and
predictor).
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup

from spatial_audio_lm.data.clip_headers import clip_notes, first_of
from spatial_audio_lm.data.naturalistic_clips import NaturalisticClips
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.features.random_crops import random_windows
from spatial_audio_lm.layers.time_block_masking import TimeBlockMasks, time_block_masks
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining
from spatial_audio_lm.signal.resampling import resample
from spatial_audio_lm.training.config import load_config, require_known
from spatial_audio_lm.training.data_order import EpochSampler, ItemKey, as_it_is, epoch_loader, item_generator
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.moving_target import DecayRamp, MovingTarget
from spatial_audio_lm.training.pretraining_scenes import SceneData, mean_over_scenes, pretraining_scenes
from spatial_audio_lm.training.random_state import seed_everything
from spatial_audio_lm.training.saving_on_error import Diverged
from spatial_audio_lm.training.tracking import build_accelerator, last_metrics
from spatial_audio_lm.training.training_state import Progress

CHANNELS = {1: 4, 2: 2}  # of the responses; of four, a model of one channel hears W, the omnidirectional one


@dataclass
class Data(SceneData):
    scene_rate: int | None = None  # Hz that scenes are mixed at, before they have the model's rate; null: that rate


@dataclass
class Optim:
    lr: float = 4e-4
    waveform_lr: float | None = None  # of the convolutions and the projection; null: lr, as published
    weight_decay: float = 0.04  # of all parameters, as published
    warmup_steps: int = 100


@dataclass
class Config:
    num_channels: Literal[1, 2] = 1  # WavJEPA, or WavJEPA-Nat
    model: dict[str, Any] = field(default_factory=dict)  # other settings of WavJEPAConfig
    masks: TimeBlockMasks = field(default_factory=TimeBlockMasks)
    batch_size: int = 32  # scenes a process
    windows_per_scene: int = 8
    data: Data = field(default_factory=Data)
    optim: Optim = field(default_factory=Optim)
    target_decay: DecayRamp = field(default_factory=DecayRamp)
    least_variance: float = 1e-3  # of the targets between windows: below it the training stops; 0 lets it go on
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(clip_norm=5.0))
    num_threads: int | None = None  # torch's threads; null leaves them


def model_config(config: Config) -> WavJEPAConfig:
    """The configuration of the model.

    Raises:
        ConfigError: settings that there are not, or that do not fit.
    """
    known = WavJEPAConfig().to_dict() | {"attn_implementation": None}
    del known["num_channels"]
    require_known("model", config.model, known)
    return WavJEPAConfig(num_channels=config.num_channels, **config.model)


def check(config: Config, model: WavJEPAConfig) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ConfigError: which ones.
    """
    data = config.data
    config.masks.require_steps(model.num_frames)
    if config.windows_per_scene < 1:
        raise ConfigError(f"windows_per_scene is {config.windows_per_scene}; expected 1 or more")
    if config.least_variance < 0:
        raise ConfigError(f"least_variance is {config.least_variance}; expected 0 or more")
    if config.batch_size * config.windows_per_scene < 2 and config.least_variance > 0:
        raise ConfigError("a batch of one window has no variance between windows: enlarge it, or set least_variance 0")
    window_s = model.window_samples / model.sampling_rate
    if data.scenes.duration_s < window_s:
        raise ConfigError(
            f"a scene of {data.scenes.duration_s:g} s is shorter than a window of {window_s:g} s: make "
            "scenes.duration_s longer"
        )


class MaskedWindows:
    """Windows of naturalistic scenes with what is seen and what is predicted of them, by `ItemKey`, a batch at a time.

    The published code shuffles the windows of a batch; as all of them are in one step, their order changes nothing.

    Args:
        scenes: gives the waveforms.
        config: says how many windows, and how blocks are drawn.
        model: says how long windows are, and in how many time steps.
    """

    def __init__(self, scenes: NaturalisticClips, config: Config, model: WavJEPAConfig):
        self.scenes, self.model = scenes, model
        self.windows, self.masks, self.seed = config.windows_per_scene, config.masks, config.loop.seed
        self.extractor = WavJEPAFeatureExtractor.for_model(model)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitems__(self, keys: list[ItemKey]) -> dict[str, Tensor]:
        """What `WavJEPAForPreTraining` is given, a row for each window of a scene, and which `item` it is of."""
        waveform = self.scenes.batch(keys)["waveform"][:, : self.model.num_channels]
        waveform = resample(waveform, self.scenes.rirs.sample_rate, self.model.sampling_rate)
        rows = [self._windows(row, key) for row, key in zip(waveform.split(1), keys, strict=True)]
        names = ("input_values", "context_mask", "target_masks")
        batch = {name: torch.cat(parts) for name, parts in zip(names, zip(*rows, strict=True), strict=True)}
        return batch | {"item": torch.tensor([key.item for key in keys]).repeat_interleave(self.windows)}

    def why_alike(self, batch: dict[str, Tensor]) -> str | None:
        """What is wrong with windows that an encoder cannot tell apart, whatever it has learned; None for nothing."""
        windows = batch["input_values"].flatten(1)
        silent = ~windows.any(1)
        names = [self.scenes.clips.clip(item).name for item in batch["item"][silent].unique().tolist()]
        if 2 * silent.sum() > len(windows):
            return (
                f"{int(silent.sum())} of {len(windows)} windows are silent ({first_of(names)}), as are those of clips "
                "that are silent or much shorter than a scene: leave them out, or make scenes.duration_s shorter"
            )
        if len(windows.unique(dim=0)) == 1:
            return "all windows are the same: give clips that differ"
        return None

    def _windows(self, waveform: Tensor, key: ItemKey) -> tuple[Tensor, Tensor, Tensor]:
        """Of one scene, drawn by the item's numbers alone."""
        generator = torch.Generator().manual_seed(int(item_generator(self.seed, key).integers(2**62)))
        windows, _ = random_windows(waveform, self.windows, self.model.window_samples, generator, shuffle=False)
        masks = time_block_masks(self.windows, self.model.num_frames, self.masks, generator)
        return self.extractor.extract(windows), *masks


def parameter_groups(model: WavJEPAForPreTraining, optim: Optim) -> list[dict[str, Any]]:
    """All that is trained, with the waveform's part apart.

    What the target encoder hears comes from the convolutions and the projection as they are, not from an average of
    them. If they learn faster than encoder and predictor, the first thing they learn is to make all frames alike.
    The published warm-up of 100,000 steps leaves time to notice; a short training needs a smaller rate there.
    """
    waveform = nn.ModuleList([model.wavjepa.waveform_encoders, model.wavjepa.feature_norm, model.wavjepa.projection])
    apart = {id(parameter) for parameter in waveform.parameters()}
    others = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    rate = optim.lr if optim.waveform_lr is None else optim.waveform_lr
    return [{"params": others, "lr": optim.lr}, {"params": list(waveform.parameters()), "lr": rate}]


def main(config: Config) -> Path:
    wavjepa_config = model_config(config)
    check(config, wavjepa_config)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    accelerator = build_accelerator(config.loop.trackers, config.loop.output_dir)
    seed_everything(config.loop.seed)

    # model
    model = WavJEPAForPreTraining(wavjepa_config)

    # data
    rate = config.data.scene_rate or wavjepa_config.sampling_rate
    with accelerator.main_process_first():
        scenes, unseen = pretraining_scenes(config.data, rate, CHANNELS[config.num_channels], config.loop.output_dir)
    if accelerator.is_main_process:
        for note in clip_notes(scenes.clips, scenes.noises, heard_s=config.data.scenes.duration_s):
            print(note)
    dataset = MaskedWindows(scenes, config, wavjepa_config)
    measured = dataset if unseen is None else MaskedWindows(unseen, config, wavjepa_config)
    sampler = EpochSampler(
        len(dataset),
        config.batch_size,
        config.loop.seed,
        process_index=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    loader = epoch_loader(dataset, sampler, config.data.num_workers, collate_fn=as_it_is)

    # optimizer
    optim = config.optim
    groups = parameter_groups(model, optim)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, weight_decay=optim.weight_decay)
    schedule = get_cosine_schedule_with_warmup(optimizer, optim.warmup_steps, config.loop.steps)

    # step
    def predicted(wrapped: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        output = wrapped(**{name: value for name, value in batch.items() if name != "item"})
        return output.loss, {
            "silent_windows": (~batch["input_values"].flatten(1).any(1)).float().mean(),
            "target_variance": output.target_variance,
            "variance_between_windows": output.variance_between_items,
        }

    def step(wrapped: nn.Module, batch: dict[str, Tensor], progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        loss, found = predicted(wrapped, batch)
        if found["variance_between_windows"] < config.least_variance:
            said = (
                f"in step {progress.step + 1} the targets' variance between windows is "
                f"{found['variance_between_windows']:.2g}, below least_variance {config.least_variance:g}"
            )
            if (reason := dataset.why_alike(batch)) is not None:
                raise DataError(f"{said}: {reason}")
            raise Diverged(
                f"{said}: the encoder gives nearly the same for all it hears, which is easy to predict. Lower "
                "optim.lr, warm up for longer, or raise target_decay"
            )
        return loss, found | {"ratio": loss.detach() / found["target_variance"]}

    # evaluation
    def evaluate(wrapped: nn.Module, progress: Progress) -> dict[str, float]:
        def measure(batch: dict[str, Tensor]) -> dict[str, Tensor]:
            loss, found = predicted(wrapped, batch)
            return {"loss": loss} | found

        number = config.data.held_out.num_scenes
        found = mean_over_scenes(measured, number, config.batch_size, accelerator.device, measure)
        return found | {"ratio": found["loss"] / found["target_variance"]}

    train(
        model,
        optimizer,
        schedule,
        loader,
        step,
        config.loop,
        accelerator=accelerator,
        ema=MovingTarget(config.target_decay),
        evaluate=None if unseen is None else evaluate,
        settings=config,
    )

    # save
    output = Path(config.loop.output_dir) / "final"
    if accelerator.is_main_process:
        model.save_pretrained(output)
        WavJEPAFeatureExtractor.for_model(wavjepa_config).save_pretrained(output)
        for name, found in last_metrics(config.loop.output_dir).items():
            print(
                f"{name}: loss {found['loss']:.4f}, variance of the targets {found['target_variance']:.4f}, between "
                f"windows {found['variance_between_windows']:.4f}: ratio {found['ratio']:.3f}"
                + (f"; {found['silent_windows']:.1%} of the windows were silent" if found.get("silent_windows") else "")
            )
    accelerator.wait_for_everyone()
    return output


if __name__ == "__main__":
    print(main(load_config(Config, sys.argv[1:])))
