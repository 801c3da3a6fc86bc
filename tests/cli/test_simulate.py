"""`simulate`: scenes that are what was asked for, described truly, and rendered again bit for bit."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spatial_audio_lm.cli.main import app
from spatial_audio_lm.language.parsing import parse_attributes
from spatial_audio_lm.signal.intensity_direction import intensity_direction
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.records import SceneRecord


def run(*arguments: object) -> list[dict]:
    result = CliRunner().invoke(app, ["simulate", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.strip().split("\n")]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    run(folder, "--scenes", 1, "--rooms", 6, "--sound", "siren")
    return folder


def test_a_scene_is_what_was_asked_for(scenes):
    (made,) = run(scenes, "--rooms", 6, "--sound", "telephone", "--direction", "left", "--duration", 3)
    audio, record = SpatialAudio.load(made["audio"]), SceneRecord.load(made["record"])
    assert audio.format == "foa" and audio.duration_s == 3.0
    assert [source.sound_class for source in record.sources] == ["telephone"]
    assert 55 <= made["sources"][0]["azimuth_deg"] <= 125
    assert parse_attributes(made["caption"]).direction == "left"
    assert abs(intensity_direction(audio).azimuth_deg - made["sources"][0]["azimuth_deg"]) < 30
    assert Path(made["picture"]).read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_bytes_and_a_record_renders_again(scenes, tmp_path):
    arguments = ("--rooms", 6, "--scenes", 2, "--sources", 2, "--noise", 1)
    first = [Path(made["audio"]).read_bytes() for made in run(scenes, *arguments)]
    assert first == [Path(made["audio"]).read_bytes() for made in run(scenes, *arguments)]
    (again,) = run(tmp_path, "--record", scenes / "scene-0001.json", "--bank", scenes / "bank")
    assert Path(again["audio"]).read_bytes() == first[1] != first[0]


def test_dry_recordings_of_ones_own(scenes, tmp_path, make_sound):
    mono = SpatialAudio.from_array(make_sound().waveform[0], 16_000)
    (tmp_path / "dry").mkdir()
    mono.save(tmp_path / "dry" / "rain.wav")
    (tmp_path / "dry" / "metadata.csv").write_text("file_name,class\nrain.wav,rain\n", encoding="utf-8")
    (made,) = run(tmp_path / "out", "--clips", tmp_path / "dry", "--bank", scenes / "bank")
    assert made["sources"][0]["sound_class"] == "rain"


def test_what_the_bank_does_not_have_is_said(scenes):
    result = CliRunner().invoke(
        app, ["simulate", str(scenes), "--rooms", "6", "--sound", "bell", "--direction", "left", "--distance", "far"]
    )
    assert result.exit_code in (0, 1)
    if result.exit_code == 1:
        assert "left and far" in result.stderr and "--rooms" in result.stderr
