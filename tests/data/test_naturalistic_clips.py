"""The data set of naturalistic scenes: batches and labels, the same in every process, from every kind of response."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.data.naturalistic_clips import UNKNOWN_CLASS, NaturalisticClips, whole_batch
from spatial_audio_lm.data.rir_sets import RirSetFolder, RirSetShards
from spatial_audio_lm.data.scene_features import CLASS_INDEX
from spatial_audio_lm.data.unlabelled_clips import AudioFolder, NpyShardClips
from spatial_audio_lm.errors import ChannelError, ConfigError, SampleRateError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ClipStore, procedural_clip
from spatial_audio_lm.simulation.naturalistic_records import NaturalisticSettings
from spatial_audio_lm.simulation.naturalistic_sources import BankRirs, ListedClips
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.training.data_order import EpochSampler, ItemKey, epoch_loader
from tests.data.shards import npy_bytes, responses, write_shard

RATE = 16_000
SETTINGS = NaturalisticSettings(duration_s=4.0, clean_ratio=0.3)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> RirBank:
    return make_bank(tmp_path_factory.mktemp("banks") / "bank", BankSettings(num_rooms=2, rooms_per_shard=2, seed=5))


def clips(*kinds: str) -> ListedClips:
    listed = [procedural_clip(kind, 0, RATE) for kind in kinds]
    return ListedClips(listed, [clip.name for clip in listed], ClipStore(None, RATE))


@pytest.fixture(scope="module")
def scenes(bank: RirBank) -> NaturalisticClips:
    kinds = ("bell", "siren", "bird", "horn", "knocking", "engine", "footsteps", "wind")
    return NaturalisticClips(clips(*kinds), clips("wind", "engine"), BankRirs(bank), SETTINGS, seed=7, num_channels=4)


def test_labels_are_those_of_the_records(scenes: NaturalisticClips, bank: RirBank) -> None:
    keys = [(epoch, item) for epoch in range(2) for item in range(8)]
    batch = scenes.batch(keys)
    assert batch["waveform"].shape == (16, 4, 4 * RATE) and batch["waveform"].dtype == torch.float32
    assert 2 <= (~batch["is_spatial"]).sum() <= 9
    for row, (epoch, item) in enumerate(keys):
        record = scenes.record(epoch, item)
        assert batch["sound_class"][row] == CLASS_INDEX[scenes.clips.sound_class(item)]
        spatial = bool(batch["is_spatial"][row])
        assert spatial == (record.rirs is not None)
        if record.rirs is not None and record.noise is not None:
            place = bank.rows[record.rirs.rows.target]
            assert float(batch["azimuth_deg"][row]) == pytest.approx(place.azimuth_deg, abs=1e-4)
            assert float(batch["elevation_deg"][row]) == pytest.approx(place.elevation_deg, abs=1e-4)
            assert float(batch["distance_m"][row]) == pytest.approx(place.distance_m, abs=1e-5)
            assert float(batch["snr_db"][row]) == pytest.approx(record.noise.snr_db, abs=1e-5)
        else:
            assert all(math.isnan(batch[name][row]) for name in ("azimuth_deg", "elevation_deg", "distance_m"))
            assert batch["snr_db"][row] == math.inf
            assert torch.equal(batch["waveform"][row, 0], batch["waveform"][row, 3])


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value.nan_to_num(-999.0), second[name].nan_to_num(-999.0)) for name, value in first.items())


def test_every_epoch_renders_anew_and_every_item_is_a_function_of_its_key(scenes: NaturalisticClips) -> None:
    first, second = scenes[(0, 1)], scenes[(1, 1)]
    assert not torch.equal(first["waveform"], second["waveform"])
    assert same(first, scenes[ItemKey(0, 1)])
    batch = scenes.batch([(1, 3), (0, 1)])
    assert same(first, {name: value[1] for name, value in batch.items()})
    assert first["waveform"].shape == (4, 4 * RATE)


def test_workers_give_what_this_process_gives(scenes: NaturalisticClips) -> None:
    loaders = [
        epoch_loader(scenes, EpochSampler(8, 3, seed=1), workers, collate_fn=whole_batch, timeout_s=120)
        for workers in (0, 2)
    ]
    here, there = (list(loader) for loader in loaders)
    assert len(here) == len(there) == 2
    assert all(same(first, second) for first, second in zip(here, there, strict=True))


@pytest.mark.parametrize("layout", ["folder", "shards"])
def test_sets_and_sounds_of_users(tmp_path: Path, layout: str) -> None:
    """Everything from folders: clips, noise, responses without directions."""
    sound = 0.1 * np.random.default_rng(0).standard_normal((3, RATE)).astype(np.float32)
    for number, samples in enumerate(sound):
        SpatialAudio.from_array(samples, RATE).save(_folder(tmp_path / "clips") / f"{number}.wav")
    write_shard(tmp_path / "noise" / "noise-000000.tar", {"a.npy": npy_bytes(sound[0])})
    members = {f"{k}.npy": npy_bytes(responses(k, seed=k)) for k in (1, 3, 5)}
    if layout == "shards":
        write_shard(tmp_path / "rirs" / "shard-000000.tar", members)
    else:
        for name, content in members.items():
            (_folder(tmp_path / "rirs") / name).write_bytes(content)
    rirs = (RirSetShards if layout == "shards" else RirSetFolder)(tmp_path / "rirs", sample_rate=8000)
    made = NaturalisticClips(
        AudioFolder(tmp_path / "clips", 8000),
        NpyShardClips(tmp_path / "noise", 8000, stored_rate=RATE),
        rirs,
        NaturalisticSettings(duration_s=1.0),
        num_channels=2,
    )
    batch = made.batch([(0, 0), (0, 1), (5, 2)])
    assert batch["waveform"].shape == (3, 2, 8000) and batch["waveform"].abs().amax((1, 2)).min() > 0.01
    assert batch["azimuth_deg"].isnan().all() and batch["is_spatial"].all()
    assert batch["sound_class"].tolist() == [UNKNOWN_CLASS] * 3
    assert ((batch["snr_db"] >= 5) & (batch["snr_db"] <= 40)).all()


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def test_what_does_not_fit_is_refused(scenes: NaturalisticClips, bank: RirBank) -> None:
    with pytest.raises(ChannelError, match="have 4 channels; 2 are wanted: give those of two ears"):
        NaturalisticClips(clips("bell"), clips("wind"), BankRirs(bank), num_channels=2)
    with pytest.raises(ChannelError, match="1 are wanted: scenes have 2"):
        NaturalisticClips(clips("bell"), clips("wind"), BankRirs(bank), num_channels=1)
    other = ListedClips([procedural_clip("bell", 0, 8000)], [None], ClipStore(None, 8000))
    with pytest.raises(SampleRateError, match="noises at 8000 Hz"):
        NaturalisticClips(clips("bell"), other, BankRirs(bank))
    with pytest.raises(ConfigError, match="seed is -1"):
        NaturalisticClips(clips("bell"), clips("wind"), BankRirs(bank), seed=-1)
    for key in ((0, 8), (0, -1), (-1, 0)):
        with pytest.raises(ConfigError, match="expected an item of 8"):
            scenes[key]
