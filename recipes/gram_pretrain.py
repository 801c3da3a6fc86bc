"""Pre-train GRAM: hide four of five patches of naturalistic scenes, and predict them.

Yuksel, van Gerven and van der Heijden, "GRAM" (2025), section 3; the published code where it says more.

    accelerate launch recipes/gram_pretrain.py --config recipes/configs/gram_pretrain/tiny.yaml
    accelerate launch recipes/gram_pretrain.py --config recipes/configs/gram_pretrain/base.yaml \
        --data.clip_folder DIR --data.noise_folder DIR --data.rirs DIR

The data's way: scene k (a function of the seed and k) is rendered while training, and never kept; features are made of
it on the model's device; of each scene several crops of two seconds are taken, each with a mask of its own. Crops and
masks are drawn by the item's own generator, so that a training that was stopped ends with the same bits.

Beside the masked error stands that of the mean spectrum, which predicts in each band the mean of all targets so far
(`mean_spectrum_error`); `ratio` is the one by the other, and is printed at the end, with `data.held_out` also of clips
and rooms that are not trained on. The output folder's `final` loads with `GramModel.from_pretrained` (the encoder) and
`GramForPreTraining.from_pretrained` (with the decoder).
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spatial_audio_lm.data.clip_headers import clip_notes
from spatial_audio_lm.data.naturalistic_clips import NaturalisticClips
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.random_crops import random_crops
from spatial_audio_lm.layers.masking import random_mask
from spatial_audio_lm.metrics.mean_spectrum import MeanSpectrum
from spatial_audio_lm.models.gram.configuration_gram import GramConfig
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.modeling_gram_pretraining import GramForPreTraining
from spatial_audio_lm.signal.spatial_audio import CHANNELS_OF_FORMAT
from spatial_audio_lm.training.config import load_config, require_known
from spatial_audio_lm.training.data_order import EpochSampler, ItemKey, as_it_is, epoch_loader, item_generator
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.pretraining_scenes import SceneData, mean_over_scenes, pretraining_scenes
from spatial_audio_lm.training.random_state import seed_everything
from spatial_audio_lm.training.schedules import warmup_cosine
from spatial_audio_lm.training.tracking import build_accelerator, last_metrics
from spatial_audio_lm.training.training_state import Progress

HEARD_OF = {"mono": "foa"}  # a mono model hears W, the omnidirectional channel


@dataclass
class Optim:
    lr: float = 2e-4
    weight_decay: float = 0.01  # of all parameters, as published
    warmup_steps: int = 100


@dataclass
class Config:
    audio_format: Literal["binaural", "foa", "mono"] = "binaural"  # what the model hears
    patches: Literal["patch", "time"] = "patch"  # 16 bands x 8 frames, or all bands x 2 frames
    model: dict[str, Any] = field(default_factory=dict)  # other settings of GramConfig
    batch_size: int = 32  # scenes a process
    crops_per_scene: int = 16
    pad_to_frames: int | None = None  # 1024: crops may end in zeros behind ten seconds, as published
    data: SceneData = field(default_factory=SceneData)
    optim: Optim = field(default_factory=Optim)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(clip_norm=5.0))
    num_threads: int | None = None  # torch's threads; null leaves them


def model_config(config: Config) -> GramConfig:
    """The configuration of the model.

    Raises:
        ConfigError: settings that there are not, or that do not fit.
    """
    known = GramConfig().to_dict() | {"attn_implementation": None}
    del known["audio_format"]
    require_known("model", config.model, known)
    return (GramConfig.time if config.patches == "time" else GramConfig)(
        audio_format=config.audio_format, **config.model
    )


def check(config: Config, model: GramConfig) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ConfigError: which ones.
    """
    data = config.data
    if config.crops_per_scene < 1:
        raise ConfigError(f"crops_per_scene is {config.crops_per_scene}; expected 1 or more")
    frames = 1 + round(data.scenes.duration_s * model.sampling_rate) // model.hop_length
    if config.pad_to_frames is not None and config.pad_to_frames < max(frames, model.num_frames):
        raise ConfigError(
            f"pad_to_frames is {config.pad_to_frames}; a scene has {frames} frames, a crop {model.num_frames}: give at "
            "least as many, or null"
        )
    if frames < model.num_frames and config.pad_to_frames is None:
        raise ConfigError(
            f"a scene of {data.scenes.duration_s:g} s has {frames} frames, a crop {model.num_frames}: make "
            "scenes.duration_s longer"
        )


class SceneBatches:
    """Naturalistic scenes by `ItemKey`, a batch at a time, each with the seed of its crops and masks."""

    def __init__(self, scenes: NaturalisticClips, seed: int):
        self.scenes, self.seed = scenes, seed

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitems__(self, keys: list[ItemKey]) -> dict[str, Tensor]:
        seeds = [int(item_generator(self.seed, key).integers(2**62)) for key in keys]
        return {"waveform": self.scenes.batch(keys)["waveform"], "seed": torch.tensor(seeds)}


def crops_and_masks(features: Tensor, seeds: Tensor, config: Config, model: GramConfig) -> tuple[Tensor, Tensor]:
    """Of each scene its crops with their masks, drawn by the scene's seed alone.

    The published code shuffles the crops of a batch; as all of them are in one step, their order changes nothing.

    Args:
        features: `(scenes, maps, frames, mels)`.
        seeds: integers `(scenes,)`.
        config: says how many crops.
        model: says how long they are, and how much of them is hidden.

    Returns:
        `(scenes * crops, maps, num_frames, mels)`, and bool `(scenes * crops, patches)`, True where hidden.
    """
    crops, masks = [], []
    for row, seed in zip(features.split(1), seeds.tolist(), strict=True):
        generator = torch.Generator().manual_seed(seed)
        number, frames = config.crops_per_scene, model.num_frames
        crops.append(random_crops(row, number, frames, generator, config.pad_to_frames, shuffle=False)[0])
        masks.append(random_mask(number, model.num_patches, model.num_masked_patches, generator, features.device))
    return torch.cat(crops), torch.cat(masks)


def band_numbers(model: GramForPreTraining) -> Tensor:
    """Which band of which map each number of a patch is of, `(patches, values)`."""
    maps, mels = model.config.num_feature_maps, model.config.num_mel_bins
    numbers = torch.arange(maps * mels, dtype=torch.float32).view(1, maps, 1, mels)
    return model.gram.patches(numbers.expand(-1, -1, model.config.num_frames, -1))[0].long()


def main(config: Config) -> Path:
    gram_config = model_config(config)
    check(config, gram_config)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    accelerator = build_accelerator(config.loop.trackers, config.loop.output_dir)
    seed_everything(config.loop.seed)

    # model
    model = GramForPreTraining(gram_config)
    extractor = GramFeatureExtractor.for_model(gram_config, pretraining=True)
    mean_spectrum = MeanSpectrum(band_numbers(model)).to(accelerator.device)

    # data
    rate, channels = (
        gram_config.sampling_rate,
        CHANNELS_OF_FORMAT[HEARD_OF.get(gram_config.audio_format, gram_config.audio_format)],
    )
    with accelerator.main_process_first():
        scenes, unseen = pretraining_scenes(config.data, rate, channels, config.loop.output_dir)
    if accelerator.is_main_process:
        for note in clip_notes(scenes.clips, scenes.noises, heard_s=config.data.scenes.duration_s):
            print(note)
    dataset = SceneBatches(scenes, config.loop.seed)
    measured = dataset if unseen is None else SceneBatches(unseen, config.loop.seed)
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
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, optim.lr, betas=(0.9, 0.95), weight_decay=optim.weight_decay)
    schedule = warmup_cosine(optimizer, optim.warmup_steps, config.loop.steps)

    # step
    def masked(wrapped: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            waveform = batch["waveform"][:, :1] if gram_config.audio_format == "mono" else batch["waveform"]
            crops, mask = crops_and_masks(extractor.extract(waveform), batch["seed"], config, gram_config)
        output = wrapped(crops, mask=mask)
        error = output.loss.detach() / gram_config.num_feature_maps  # the loss is of all maps together
        baseline = mean_spectrum(output.target, output.mask)
        return output.loss, {"masked_error": error, "mean_spectrum_error": baseline}

    def step(wrapped: nn.Module, batch: dict[str, Tensor], progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        loss, found = masked(wrapped, batch)
        return loss, found | {"ratio": found["masked_error"] / found["mean_spectrum_error"]}

    # evaluation
    def evaluate(wrapped: nn.Module, progress: Progress) -> dict[str, float]:
        number = config.data.held_out.num_scenes
        mean_spectrum.eval()
        totals = mean_over_scenes(
            measured, number, config.batch_size, accelerator.device, lambda batch: masked(wrapped, batch)[1]
        )
        mean_spectrum.train()
        return totals | {"ratio": totals["masked_error"] / totals["mean_spectrum_error"]}

    train(
        model,
        optimizer,
        schedule,
        loader,
        step,
        config.loop,
        accelerator=accelerator,
        evaluate=None if unseen is None else evaluate,
        state={"mean_spectrum": mean_spectrum},
        settings=config,
    )

    # save
    output = Path(config.loop.output_dir) / "final"
    if accelerator.is_main_process:
        model.save_pretrained(output)
        GramFeatureExtractor.for_model(gram_config).save_pretrained(output)
        for name, found in last_metrics(config.loop.output_dir).items():
            print(
                f"{name}: masked error {found['masked_error']:.4f}, of the mean spectrum "
                f"{found['mean_spectrum_error']:.4f}: ratio {found['ratio']:.3f}"
            )
    accelerator.wait_for_everyone()
    return output


if __name__ == "__main__":
    print(main(load_config(Config, sys.argv[1:])))
