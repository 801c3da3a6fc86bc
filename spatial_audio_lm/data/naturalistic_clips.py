"""Naturalistic scenes as a data set: rendered anew in every epoch, whenever they are asked for, and never kept.

The way of the data, from clips to what an encoder is trained on:

    clips, noises (ClipSource)      ListedClips, AudioFolder, NpyShardClips
    responses (RirSource)           BankRirs, RirSetFolder, RirSetShards, HouseSceneRirs
        │
        ▼  draw_naturalistic        scene k = epoch * len(clips) + item: a NaturalisticRecord, a function of (seed, k)
        ▼  render_naturalistic      waveforms (batch, channels, time) at -14 dBFS and the drawn ratio to noise
    NaturalisticClips[...]          a batch of waveforms and labels
        ▼  a feature extractor      (batch, channels, frames, mels)
        ▼  random_crops             k crops of two seconds from each scene (features/random_crops.py)
    a training step

For a training loop: `epoch_loader(scenes, EpochSampler(len(scenes), batch_size, seed), collate_fn=whole_batch)`. Its
keys are pairs (epoch, item), and its workers share nothing: every process renders the same scene to the same bits.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from spatial_audio_lm.data.scene_features import CLASS_INDEX
from spatial_audio_lm.errors import ChannelError, ConfigError
from spatial_audio_lm.simulation.naturalistic_records import NaturalisticRecord, NaturalisticSettings
from spatial_audio_lm.simulation.naturalistic_scenes import draw_naturalistic, render_naturalistic, require_one_rate
from spatial_audio_lm.simulation.naturalistic_sources import ClipSource, RirSource, TargetPlace

UNKNOWN_CLASS = -1


class NaturalisticClips(Dataset):
    """One scene for each clip and epoch.

    Indexed by `(epoch, item)` it gives a scene and its labels, by a list of such pairs (which is what a `DataLoader`
    fetches at once) a list with one whole batch in it, for `whole_batch`:

    - `waveform` `(batch, channels, time)`, float32.
    - `azimuth_deg`, `elevation_deg`, `distance_m` `(batch,)`: of the target, in the house's convention; NaN where the
      responses do not say, and for clean clips, which are in no room.
    - `is_spatial` `(batch,)`: False for clean clips.
    - `snr_db` `(batch,)`: infinite for clean clips.
    - `sound_class` `(batch,)`: index into the vocabulary; `UNKNOWN_CLASS` where there is none.

    A single scene has the same without the dimension of the batch.

    Args:
        clips: the targets.
        noises: see the module docstring.
        rirs: likewise.
        settings: how scenes are drawn.
        seed: of the training.
        num_channels: that the model hears, to be sure of it; None takes what the responses have.
        device: where scenes are mixed; worker processes need "cpu".

    Raises:
        SampleRateError: sources of different rates.
        ChannelError: responses with another number of channels.
        ConfigError: a negative seed.
    """

    def __init__(
        self,
        clips: ClipSource,
        noises: ClipSource,
        rirs: RirSource,
        settings: NaturalisticSettings | None = None,
        seed: int = 0,
        num_channels: int | None = None,
        device: torch.device | str = "cpu",
    ):
        require_one_rate(clips, noises, rirs)
        if num_channels not in (None, rirs.num_channels):
            advice = {2: "give those of two ears", 4: "give those of first-order ambisonics"}
            raise ChannelError(
                f"the responses {rirs.name} have {rirs.num_channels} channels; {num_channels} are wanted: "
                f"{advice.get(num_channels, 'scenes have 2 (two ears) or 4 (first-order ambisonics)')}"
            )
        if seed < 0:
            raise ConfigError(f"seed is {seed}; expected 0 or more")
        self.clips, self.noises, self.rirs = clips, noises, rirs
        self.settings = settings or NaturalisticSettings()
        self.seed, self.device = seed, device

    def __len__(self) -> int:
        return len(self.clips)

    def record(self, epoch: int, item: int) -> NaturalisticRecord:
        """What a scene is made of.

        Raises:
            ConfigError: an item or epoch that there is not.
        """
        if not 0 <= item < len(self) or epoch < 0:
            raise ConfigError(f"epoch {epoch}, item {item}: expected an item of {len(self)} and an epoch from 0 on")
        index = epoch * len(self) + item
        return draw_naturalistic(self.settings, self.clips, self.noises, self.rirs, self.seed, index)

    def batch(self, keys: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
        """The scenes of `(epoch, item)` pairs, rendered at once."""
        records = [self.record(epoch, item) for epoch, item in keys]
        waveform = render_naturalistic(records, self.clips, self.noises, self.rirs, self.device)
        return {"waveform": waveform} | {name: value.to(waveform.device) for name, value in _labels(records).items()}

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.batch([key]).items()}

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[dict[str, Tensor]]:
        return [self.batch(keys)]


def whole_batch(batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The `collate_fn` of a loader of `NaturalisticClips`: what it fetched is a batch already."""
    return batches[0]


def _labels(records: Sequence[NaturalisticRecord]) -> dict[str, Tensor]:
    places = [TargetPlace() if record.rirs is None else record.rirs.place for record in records]
    names = ("azimuth_deg", "elevation_deg", "distance_m")
    values = {name: [getattr(place, name) for place in places] for name in names}
    labels = {name: torch.tensor([math.nan if v is None else v for v in column]) for name, column in values.items()}
    classes = [record.sound_class for record in records]
    return labels | {
        "is_spatial": torch.tensor([record.rirs is not None for record in records]),
        "snr_db": torch.tensor([math.inf if record.noise is None else record.noise.snr_db for record in records]),
        "sound_class": torch.tensor([UNKNOWN_CLASS if name is None else CLASS_INDEX[name] for name in classes]),
    }
