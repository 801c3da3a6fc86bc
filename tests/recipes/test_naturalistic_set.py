"""A labelled set of naturalistic scenes: its scenes are those of their records, and the probe reads it."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from spatial_audio_lm.data.clip_folders import read_metadata
from spatial_audio_lm.data.scene_sources import SceneSources, clip_sources, rir_source
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.naturalistic_records import NaturalisticRecord
from spatial_audio_lm.simulation.naturalistic_scenes import render_naturalistic
from tests.recipes import recipe_jobs

run = partial(recipe_jobs.run, "naturalistic_set")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set of the tiny configuration."""
    folder = tmp_path_factory.mktemp("set") / "scenes"
    run("--output_dir", str(folder))
    return folder


def test_every_file_is_the_scene_of_its_record(made: Path) -> None:
    rows = read_metadata(made)
    assert len(rows) == 33 and [row["fold"] for row in rows].count("2") == 11
    assert len({row["azimuth_deg"] for row in rows}) > 20
    for row in (rows[3], rows[-3]):
        unseen = row["fold"] == "2"
        sources = SceneSources(procedural_seeds=1, unseen=unseen)
        rirs = rir_source(sources, 32_000, 2, made / ("bank_unseen" if unseen else "bank"))
        record = NaturalisticRecord.load(made / row["file_name"].replace(".flac", ".json"))
        rendered = render_naturalistic([record], *clip_sources(sources, 32_000), rirs)[0]
        heard = SpatialAudio.load(made / row["file_name"])
        torch.testing.assert_close(heard.waveform, rendered * float(row["gain"]), atol=2e-6, rtol=0)
        assert record.rirs is not None and float(row["azimuth_deg"]) == record.rirs.place.azimuth_deg
        assert heard.waveform.abs().max() <= 0.99 or float(row["gain"]) == 1.0


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(made: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    for bank in ("bank", "bank_unseen"):
        (tmp_path / "again" / bank).symlink_to(made / bank)
    run("--output_dir", str(tmp_path / "again"))
    first, again = ({p.name: p.read_bytes() for p in (f / "audio").glob("*.flac")} for f in (made, tmp_path / "again"))
    assert first == again
    run("--output_dir", str(tmp_path / "again"), "--seed", "1")
    assert (tmp_path / "again" / "metadata.csv").read_text() != (made / "metadata.csv").read_text()


def test_versions_of_a_clip_are_drawn_anew(made: Path) -> None:
    rows = [row for row in read_metadata(made) if row["fold"] == "1"]
    names = [row["file_name"].split("-")[-1] for row in rows]
    assert names[:11] == names[11:]
    places = [(a["azimuth_deg"], b["azimuth_deg"]) for a, b in zip(rows[:11], rows[11:], strict=True)]
    assert sum(first != second for first, second in places) >= 9  # of eight rooms with six places each


def test_the_probe_reads_it(made: Path, tmp_path: Path) -> None:
    task = {"name": "where", "kind": "direction", "folder": str(made), "fold_column": "class", "test_folds": ["bell"]}
    options = ("--encoders", "[log-mel]", "--tasks", json.dumps([task]), "--output_dir", str(tmp_path))
    recipe_jobs.run("linear_probe", *options)
    assert (tmp_path / "results.json").is_file()


@pytest.mark.parametrize(
    "options, message",
    [
        (("--parts", "[]"), "expected one part or more"),
        (("--parts", "[{fold: a}, {fold: a}]"), "each fold in one of them"),
        (("--parts", "[{fold: a, versions: 0}]"), "versions must be 1 or more"),
        (("--audio_format", "mono"), "audio_format is 'mono'"),
        (("--scenes.clean_ratio", "0.5"), "probe the clips themselves"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run("--output_dir", str(tmp_path), *options)
