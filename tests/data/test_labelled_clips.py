"""Labelled recordings: folders, data sets with their channels whole, synthesised ones; and what is to be learned."""

import csv
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from spatial_audio_lm.data.labelled_clips import (
    LabelledRecordings,
    dataset_recordings,
    folder_recordings,
    synthesised_recordings,
    targets_of,
)
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.signal.intensity_direction import no_direction_reason
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.sounds import SOUND_KINDS

RATE = 16_000


def four_channels(folder: Path) -> list[torch.Tensor]:
    """Two files of ambisonics whose channels differ."""
    sounds = []
    rng = np.random.default_rng(0)
    for number in range(2):
        array = (0.1 * (4 - np.arange(4))[:, None] * rng.standard_normal((4, 4000)) / 4).astype(np.float32)
        SpatialAudio.from_array(array, RATE, "foa").save(folder / f"{number}.wav")
        sounds.append(SpatialAudio.load(folder / f"{number}.wav", format="foa").waveform)
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file_name", "class", "fold"], ["0.wav", "dog", 1], ["1.wav", "rain", 2]])
    return sounds


def table(**columns: list[str]) -> LabelledRecordings:
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return LabelledRecordings(rows, lambda index: SpatialAudio(torch.zeros(1, 8), RATE, "mono"), "the table")


def test_a_folder_keeps_its_channels(tmp_path: Path) -> None:
    sounds = four_channels(tmp_path)
    recordings = folder_recordings(tmp_path, format="foa")
    assert recordings.column("fold") == ["1", "2"] and recordings.name == tmp_path.name
    for index, sound in enumerate(sounds):
        assert torch.equal(recordings.load(index).waveform, sound)
    (tmp_path / "1.wav").unlink()
    with pytest.raises(DataError, match=r"names 1\.wav: no such file in the folder"):
        folder_recordings(tmp_path)


@pytest.mark.parametrize("embedded", [True, False])
def test_a_data_set_keeps_its_channels(tmp_path: Path, embedded: bool) -> None:
    sounds = four_channels(tmp_path)
    paths = [str(tmp_path / f"{number}.wav") for number in range(2)]
    audio = [{"bytes": Path(path).read_bytes() if embedded else None, "path": path} for path in paths]
    features = datasets.Features(
        audio={"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
        label=datasets.ClassLabel(names=["dog", "rain"]),
        tags=datasets.Sequence(datasets.ClassLabel(names=["near", "far"])),
        fold=datasets.Value("int32"),
    )
    content = {"audio": audio, "label": [1, 0], "tags": [[0, 1], [1]], "fold": [1, 2]}
    data = datasets.Dataset.from_dict(content, features=features).cast_column("audio", datasets.Audio())
    data.save_to_disk(tmp_path / "saved")
    recordings = dataset_recordings(str(tmp_path / "saved"), format="foa")
    assert list(recordings.rows) == [
        {"label": "rain", "tags": "near;far", "fold": "1"},
        {"label": "dog", "tags": "far", "fold": "2"},
    ]
    for index, sound in enumerate(sounds):
        assert torch.equal(recordings.load(index).waveform, sound)
    targets, names = targets_of(recordings, "multilabel", "tags")
    assert names == ["far", "near"] and targets.tolist() == [[1, 1], [1, 0]]


def test_data_sets_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\(split train\) cannot be loaded"):
        dataset_recordings(str(tmp_path / "nothing"))
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "texts")
    with pytest.raises(DataError, match="has 1 rows of text; expected some, and audio"):
        dataset_recordings(str(tmp_path / "texts"))


def test_synthesised_recordings_say_where_they_are() -> None:
    recordings = synthesised_recordings(per_kind=4, num_folds=3, sample_rate=RATE, first_seed=5, num_kinds=2)
    assert len(recordings.rows) == 8 and recordings.column("fold") == ["1", "2", "3", "1"] * 2
    assert set(recordings.column("class")) == set(SOUND_KINDS[:2])
    first, again = recordings.load(3), recordings.load(3)
    assert torch.equal(first.waveform, again.waveform) and first.format == "foa"
    assert no_direction_reason(first) is None
    omni, *others = first.waveform.double()
    y, z, x = (float(other @ omni / (omni @ omni)) for other in others)
    assert targets_of(recordings, "direction")[0][3].tolist() == pytest.approx([x, y, z], abs=1e-4)
    with pytest.raises(ConfigError, match="per_kind 0"):
        synthesised_recordings(0, 3, RATE, 0)
    with pytest.raises(ConfigError, match="num_kinds 1; expected 1 or more, and 2 to"):
        synthesised_recordings(3, 3, RATE, 0, num_kinds=1)


def test_targets() -> None:
    recordings = table(
        **{"class": ["rain", "dog", "rain"], "tags": ["a; b", "", "b"], "azimuth_deg": ["0", "90", "-90"],
           "elevation_deg": ["0", "0", "90"]}
    )  # fmt: skip
    targets, names = targets_of(recordings, "multiclass")
    assert names == ["dog", "rain"] and targets.tolist() == [1, 0, 1]
    targets, names = targets_of(recordings, "multilabel", "tags")
    assert names == ["a", "b"] and targets.tolist() == [[1, 1], [0, 0], [0, 1]]
    directions, names = targets_of(recordings, "direction")
    assert names == [] and torch.allclose(directions, torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]), atol=1e-6)


def test_targets_that_are_none_are_refused() -> None:
    with pytest.raises(DataError, match="the table has no column class; it has fold"):
        targets_of(table(fold=["1"]), "multiclass")
    with pytest.raises(DataError, match="the column class has 1 classes; expected 2 or more"):
        targets_of(table(**{"class": ["dog", "dog"]}), "multiclass")
    with pytest.raises(DataError, match="azimuth_deg must be numbers in degrees"):
        targets_of(table(azimuth_deg=["left"], elevation_deg=["0"]), "direction")
    with pytest.raises(DataError, match="elevation_deg has a value that is not finite"):
        targets_of(table(azimuth_deg=["0"], elevation_deg=["nan"]), "direction")
    with pytest.raises(ConfigError, match="the task is 'pitch'"):
        targets_of(table(**{"class": ["a", "b"]}), "pitch")
