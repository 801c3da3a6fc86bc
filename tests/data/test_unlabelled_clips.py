"""Clips without labels: any folder of sound, and shards of arrays."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.data.unlabelled_clips import AudioFolder, NpyShardClips
from spatial_audio_lm.errors import DataError, FormatWarning, RecordError
from spatial_audio_lm.signal.resampling import resample
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from tests.data.shards import npy_bytes, write_shard

RATE = 16_000
SOUND = 0.1 * torch.randn(2, RATE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    SpatialAudio.from_array(SOUND[:1], RATE).save(tmp_path / "b.wav")
    SpatialAudio.from_array(SOUND, 2 * RATE).save(tmp_path / "deep" / "a.FLAC".lower())
    (tmp_path / "notes.txt").write_text("not a sound")
    (tmp_path / ".hidden.wav").write_bytes(b"")
    return tmp_path


def test_files_of_any_depth_rate_and_channels(folder: Path) -> None:
    clips = AudioFolder(folder, RATE)
    assert [clips.clip(k).name for k in range(len(clips))] == ["b.wav", "deep/a.flac"]
    np.testing.assert_allclose(clips.samples(clips.clip(0)), SOUND[0].numpy(), atol=2e-5)
    first_channel = resample(SOUND[0], 2 * RATE, RATE).numpy()
    np.testing.assert_allclose(clips.samples(clips.clip(1)), first_channel, atol=2e-5)
    assert clips.sound_class(0) is None


def test_a_changed_file_is_noticed(folder: Path) -> None:
    clip = AudioFolder(folder, RATE).clip(0)
    SpatialAudio.from_array(0.5 * SOUND[:1], RATE).save(folder / "b.wav")
    with pytest.raises(RecordError, match="SHA-256"):
        AudioFolder(folder, RATE).samples(clip)


def test_folders_without_sound_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"has no \.wav or \.flac.*expected sound files"):
        AudioFolder(tmp_path, RATE)
    with pytest.raises(DataError, match="is a file; expected a folder"):
        AudioFolder(tmp_path / "a.txt", RATE)


def test_shards_of_arrays(tmp_path: Path) -> None:
    arrays = {"a.npy": SOUND[0].numpy(), "b.npy": SOUND[1].double().numpy()}
    write_shard(tmp_path / "noise-000000.tar", {name: npy_bytes(array) for name, array in arrays.items()})
    clips = NpyShardClips(tmp_path, RATE, stored_rate=RATE)
    assert [clips.clip(k).name for k in range(2)] == ["noise-000000.tar/a.npy", "noise-000000.tar/b.npy"]
    for number, array in enumerate(arrays.values()):
        np.testing.assert_array_equal(clips.samples(clips.clip(number)), array.astype(np.float32))
    halved = NpyShardClips(tmp_path, RATE, stored_rate=2 * RATE)
    np.testing.assert_array_equal(halved.samples(halved.clip(0)), resample(SOUND[0], 2 * RATE, RATE).numpy())
    clip = clips.clip(0)
    write_shard(tmp_path / "noise-000000.tar", {name: npy_bytes(array * 2) for name, array in arrays.items()})
    with pytest.raises(RecordError, match="not the array the record was made with"):
        NpyShardClips(tmp_path, RATE, stored_rate=RATE).samples(clip)


def test_damaged_shards_and_other_arrays(tmp_path: Path) -> None:
    good = write_shard(tmp_path / "a.tar", {"a.npy": npy_bytes(SOUND.numpy())})
    (tmp_path / "b.tar").write_bytes(good.read_bytes()[:9000])
    with pytest.warns(FormatWarning, match="1 of 2 shards are left out"):
        clips = NpyShardClips(tmp_path, RATE, stored_rate=RATE)
    with pytest.raises(DataError, match=r"shape \(2, 16000\); expected \(time,\)"):
        clips.clip(0)
