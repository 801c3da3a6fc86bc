"""Clips without labels: any folder of sound, and shards of arrays."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from spatial_audio_lm.data.clip_headers import clip_notes
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


def test_what_the_headers_say_is_said(folder: Path) -> None:
    assert clip_notes(AudioFolder(folder, RATE), heard_s=0.75) == [
        f"{folder}: of 2 clips 1 are resampled to {RATE} Hz (1 of {2 * RATE} Hz)",
        f"{folder}: of 2 clips 1 have several channels, of which the first is taken",
        f"{folder}: of 2 clips 1 are shorter than 0.75 s and filled up with silence",
    ]
    (folder / "deep" / "a.flac").unlink()
    assert clip_notes(AudioFolder(folder, RATE), object()) == []


def test_all_files_that_cannot_be_read_are_named_at_once(folder: Path) -> None:
    (folder / "deep" / "c.wav").write_text("not a sound")
    (folder / "d.wav").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"2 of 4 files cannot.*d\.wav: is empty.*deep/c\.wav: is a text.*skip_unreadable"
    ):
        AudioFolder(folder, RATE)


def test_the_next_file_stands_in_for_one_that_cannot_be_read(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "deep" / "z.wav").write_text("not a sound")
    broken = SOUND[:1].numpy().copy()
    broken[0, 7] = np.nan
    soundfile.write(folder / "c.wav", broken[0], RATE, subtype="FLOAT")  # its header tells nothing
    clips = AudioFolder(folder, RATE, skip_unreadable=True)
    assert [clips.clip(k).name for k in (3, 1, 0, 2)] == ["b.wav", "deep/a.flac", "b.wav", "deep/a.flac"]
    assert len(clips) == 4 and "c.wav" in caplog.text and "frame 7" in caplog.text
    assert f"{folder}: of 4 clips 2 cannot be read and give their places to the next ones" in clip_notes(clips)
    for name in ("b.wav", "deep/a.flac"):
        (folder / name).unlink()
    with pytest.raises(DataError, match="none of the 2 files"):
        AudioFolder(folder, RATE, skip_unreadable=True).clip(0)


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
