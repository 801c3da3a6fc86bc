"""Pre-train Audio-MAE: hide four of five patches of a clip's spectrogram, and predict them.

Huang et al., "Masked Autoencoders that Listen" (2022), sections 3 and 4; the published code where it says more.

    accelerate launch recipes/audio_mae_pretrain.py --config recipes/configs/audio_mae_pretrain/tiny.yaml
    accelerate launch recipes/audio_mae_pretrain.py --config recipes/configs/audio_mae_pretrain/base.yaml \
        --data.clip_folder DIR        (any folder of sound files)

Every clip gets a gain drawn for it: 0.5 + Beta(10, 10) as in the published code, which is -6 to +3.5 dB where the paper
says up to 6 dB either way. The paper also begins each clip at a random time, in a circle; in the published code that
roll never happens (it asks an array of one row for its length), so there is none here unless `data.roll` asks for it.
Gain, roll, the part of a long clip and the mask are drawn by the item's own generator: a training that was stopped ends
with the same bits.

Beside the masked error stands that of the mean spectrum, which predicts in each band the mean of all targets so far
(`mean_spectrum_error`); `ratio` is the one by the other, and is printed at the end. The output folder's `final` loads
with `AudioMAEModel.from_pretrained` (the encoder), `AudioMAEForPreTraining` (with the decoder), and
`AudioMAEForAudioClassification`, whose head is then new.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from spatial_audio_lm.data.clip_headers import clip_notes
from spatial_audio_lm.data.scene_sources import ClipSources, dry_clips
from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.layers.masking import random_mask
from spatial_audio_lm.layers.patch_embedding import cut_patches
from spatial_audio_lm.metrics.mean_spectrum import MeanSpectrum
from spatial_audio_lm.models.audio_mae.configuration_audio_mae import AudioMAEConfig
from spatial_audio_lm.models.audio_mae.feature_extraction_audio_mae import AudioMAEFeatureExtractor
from spatial_audio_lm.models.audio_mae.modeling_audio_mae import AudioMAEForPreTraining
from spatial_audio_lm.objectives.masked_reconstruction import normalized_patches
from spatial_audio_lm.simulation.naturalistic_sources import ClipSource
from spatial_audio_lm.training.config import load_config, require_known
from spatial_audio_lm.training.data_order import EpochSampler, ItemKey, epoch_loader, item_generator
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.parameter_groups import layerwise_groups
from spatial_audio_lm.training.random_state import seed_everything
from spatial_audio_lm.training.schedules import warmup_cosine
from spatial_audio_lm.training.tracking import build_accelerator, last_metrics
from spatial_audio_lm.training.training_state import Progress

LEAST_GAIN = 0.5
GAIN_BETA = 10.0  # of both sides: most gains are near 1, none is beyond 0.5 to 1.5


@dataclass
class Data(ClipSources):
    gain: bool = True  # 0.5 + Beta(10, 10) a clip
    roll: bool = False  # turn a clip in a circle by a random time; the published one never happens
    num_workers: int = 0  # that read clips beside the training


@dataclass
class Optim:
    lr: float = 4e-4
    weight_decay: float = 1e-4  # of matrices; biases and gains have none
    warmup_steps: int = 100


@dataclass
class Config:
    model: dict[str, Any] = field(default_factory=dict)  # settings of AudioMAEConfig that differ
    features: dict[str, Any] = field(default_factory=dict)  # settings of AudioMAEFeatureExtractor that differ
    batch_size: int = 64  # clips a process
    data: Data = field(default_factory=Data)
    optim: Optim = field(default_factory=Optim)
    loop: LoopConfig = field(default_factory=LoopConfig)
    num_threads: int | None = None  # torch's threads; null leaves them


def check(config: Config) -> None:
    """Refuse settings that there are not, or that contradict each other.

    Raises:
        ConfigError: which ones.
    """
    settings = AudioMAEConfig().to_dict() | {"attn_implementation": None}
    for name, of_features in (("num_mel_bins", "feature_size"), ("num_frames", "num_frames")):
        if name in config.model:
            raise ConfigError(f"model has {name}: the front end decides it, so set {of_features} in features")
        del settings[name]
    for section, known in (("model", settings), ("features", AudioMAEFeatureExtractor().to_dict())):
        require_known(section, getattr(config, section), known)


def build_model(config: Config) -> tuple[AudioMAEForPreTraining, AudioMAEFeatureExtractor]:
    """A new model, and its front end."""
    extractor = AudioMAEFeatureExtractor(**config.features)
    sizes: dict[str, Any] = {"num_mel_bins": extractor.feature_size, "num_frames": extractor.num_frames}
    return AudioMAEForPreTraining(AudioMAEConfig(**sizes, **config.model)), extractor


class Spectrograms(Dataset):
    """Clips by `ItemKey`, as spectrograms with masks; what is drawn for an item is drawn by its own generator.

    Of a clip longer than the model hears, another part is heard in every epoch; the published code takes the first,
    which for AudioSet's ten seconds is the same.

    Args:
        clips: dry clips.
        extractor: makes spectrograms of them.
        model: says how much is hidden.
        data: says how clips are changed.
        seed: of the training.
    """

    def __init__(
        self, clips: ClipSource, extractor: AudioMAEFeatureExtractor, model: AudioMAEConfig, data: Data, seed: int
    ):
        self.clips, self.extractor, self.model, self.data, self.seed = clips, extractor, model, data, seed

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: ItemKey) -> dict[str, Tensor]:
        """`input_features` `(1, num_frames, mels)` and `mask` `(patches,)`, True where hidden.

        Raises:
            AudioValueError: a clip shorter than a frame; names it.
        """
        generator, clip = item_generator(self.seed, key), self.clips.clip(key.item)
        samples, longest = self.clips.samples(clip), self.extractor.max_samples
        begin = int(generator.integers(max(0, len(samples) - longest) + 1))
        samples = samples[begin : begin + longest]
        if self.data.roll:
            samples = np.roll(samples, int(generator.integers(len(samples))))
        if self.data.gain:
            samples = samples * np.float32(LEAST_GAIN + generator.beta(GAIN_BETA, GAIN_BETA))
        try:
            fbank = self.extractor.extract(torch.from_numpy(samples)[None])
        except AudioValueError as error:
            raise AudioValueError(f"clip {clip.name}: {error}, or leave the file out") from error
        mask_of = torch.Generator().manual_seed(int(generator.integers(2**62)))
        mask = random_mask(1, self.model.num_patches, self.model.num_hidden, mask_of)
        return {"input_features": self.extractor.fit_frames(fbank), "mask": mask[0]}


def band_numbers(model: AudioMAEConfig) -> Tensor:
    """Which band each number of a patch is of, `(patches, values)`."""
    numbers = torch.arange(model.num_mel_bins).expand(1, 1, model.num_frames, -1)
    return cut_patches(numbers, model.patch_size)[0]


def main(config: Config) -> Path:
    check(config)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    accelerator = build_accelerator(config.loop.trackers, config.loop.output_dir)
    seed_everything(config.loop.seed)

    # model
    model, extractor = build_model(config)
    mean_spectrum = MeanSpectrum(band_numbers(model.config)).to(accelerator.device)

    # data
    with accelerator.main_process_first():
        clips = dry_clips(config.data, extractor.sampling_rate)
    if accelerator.is_main_process:
        for note in clip_notes(clips, heard_s=extractor.max_samples / extractor.sampling_rate):
            print(note)
    dataset = Spectrograms(clips, extractor, model.config, config.data, config.loop.seed)
    sampler = EpochSampler(
        len(dataset),
        config.batch_size,
        config.loop.seed,
        process_index=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    loader = epoch_loader(dataset, sampler, config.data.num_workers)

    # optimizer
    groups = layerwise_groups(model, config.optim.lr, config.optim.weight_decay)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    schedule = warmup_cosine(optimizer, config.optim.warmup_steps, config.loop.steps)

    # step
    def step(wrapped: nn.Module, batch: dict[str, Tensor], progress: Progress) -> tuple[Tensor, dict[str, Tensor]]:
        output = wrapped(**batch)
        target = cut_patches(batch["input_features"], model.config.patch_size)
        if model.config.norm_pix_loss:
            target = normalized_patches(target)
        baseline = mean_spectrum(target, output.mask)
        return output.loss, {"mean_spectrum_error": baseline, "ratio": output.loss.detach() / baseline}

    state = {"mean_spectrum": mean_spectrum}
    train(model, optimizer, schedule, loader, step, config.loop, accelerator=accelerator, state=state, settings=config)

    # save
    output = Path(config.loop.output_dir) / "final"
    if accelerator.is_main_process:
        model.save_pretrained(output)
        extractor.save_pretrained(output)
        last = last_metrics(config.loop.output_dir)["training"]
        print(
            f"masked error {last['loss']:.4f}, of the mean spectrum {last['mean_spectrum_error']:.4f}: "
            f"ratio {last['ratio']:.3f}"
        )
    accelerator.wait_for_everyone()
    return output


if __name__ == "__main__":
    print(main(load_config(Config, sys.argv[1:])))
