"""Clip folders: what is taken, and what is wrong with a table."""

from pathlib import Path

import pytest
import torch

from spatial_audio_lm.data.clip_folders import clips_digest, folder_clips, procedural_clips, read_metadata
from spatial_audio_lm.errors import DataError, SpatialAudioError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

HEADER = "file_name,class,fold,licence\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        samples = 0.3 * torch.sin(torch.arange(8000) * (0.1 + number * 0.1))[None]
        SpatialAudio.from_array(samples, 16_000).save(tmp_path / f"{number}.wav")
    rows = "0.wav,rain,1,CC0\n1.wav,dog_bark,2,CC-BY\n2.wav,rain,4,CC-Sampling+\n"
    (tmp_path / "metadata.csv").write_text(HEADER + rows)
    return tmp_path


def test_folds_and_licences_choose(folder):
    assert [c.sound_class for c in folder_clips(folder)] == ["rain", "dog_bark", "rain"]
    assert [c.clip.name for c in folder_clips(folder, folds={"1", "2"})] == ["0.wav", "1.wav"]
    assert [c.clip.name for c in folder_clips(folder, licences={"CC0", "CC-BY"})] == ["0.wav", "1.wav"]
    with pytest.raises(DataError, match="no clip with folds"):
        folder_clips(folder, folds={"9"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column class, file_name"),
        ("file_name,label\na.wav,rain\n", "lacks the column class"),
        (HEADER, "a header and no rows"),
        (HEADER + "0.wav,rain\n", r"metadata\.csv:2: 2 cells under a header of 4"),
        (HEADER + "0.wav,rian,1,CC0\n", "rain"),
        ("file_name,class\n0.wav,rain\n", "has no column fold"),
        (HEADER + "9.wav,rain,1,CC0\n", "'9.wav' is not in"),
        (HEADER + "../0.wav,rain,1,CC0\n", "leaves its folder"),
    ],
)
def test_bad_tables_are_named(folder, text, message):
    (folder / "metadata.csv").write_text(text)
    with pytest.raises(SpatialAudioError, match=message):
        folder_clips(folder, folds={"1"})


def test_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"has no metadata\.csv"):
        read_metadata(tmp_path)


def test_digest_sees_every_clip(folder):
    clips = folder_clips(folder)
    assert clips_digest(clips) == clips_digest(folder_clips(folder)) != clips_digest(clips[:2])
    assert len(procedural_clips(("bell", "horn"), range(3), 16_000)) == 6


def test_esc10_classes_are_in_the_vocabulary(data_dir):
    folder = data_dir / "esc10" if (data_dir / "esc10").is_dir() else data_dir
    clips = folder_clips(folder, folds={"4"})
    assert len(clips) == 80 and len({clip.sound_class for clip in clips}) == 10
