"""`simulate`: scenes that are what was asked for, described truly, and rendered again bit for bit."""

import json
import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spatial_audio_lm.cli.main import app
from spatial_audio_lm.files import sha256_of_file
from spatial_audio_lm.language.parsing import parse_attributes
from spatial_audio_lm.signal.intensity_direction import intensity_direction
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.head_files import load_head
from spatial_audio_lm.simulation.records import Head, SceneRecord
from tests.simulation.sampled_heads import write_npz


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


def louder_at_the_left_db(made: dict) -> float:
    """By how much, above 1.5 kHz, where a head throws a shadow."""
    spectra = torch.fft.rfft(SpatialAudio.load(made["audio"]).waveform.double())
    energy = spectra[:, int(1500 / 8000 * spectra.shape[-1]) :].abs().square().sum(-1)
    return 10 * math.log10(float(energy[0] / energy[1]))


@pytest.mark.parametrize("direction", ["left", "right"])
def test_two_ears_hear_a_scene(tmp_path_factory, direction):
    folder = tmp_path_factory.getbasetemp() / "ears"
    arguments = (folder, "--receiver", "binaural", "--rooms", 4, "--sound", "footsteps", "--direction", direction)
    (made,) = run(*arguments)
    audio, record = SpatialAudio.load(made["audio"]), SceneRecord.load(made["record"])
    assert audio.format == "binaural" and record.receiver.format == "binaural"
    assert record.receiver.head is not None and 0.075 <= record.receiver.head.radius_m <= 0.1
    assert parse_attributes(made["caption"]).direction == direction
    assert (1 if direction == "left" else -1) * louder_at_the_left_db(made) > 3.0
    first = Path(made["audio"]).read_bytes()
    (again,) = run(folder, "--record", made["record"], "--bank", folder / "bank", "--receiver", "binaural")
    assert Path(again["audio"]).read_bytes() == first


def test_heads_by_radius_and_from_a_file(tmp_path):
    (made,) = run(tmp_path / "wide", "--receiver", "binaural", "--head", "sphere:0.1", "--rooms", 1)
    assert SceneRecord.load(made["record"]).receiver.head == Head("sphere", radius_m=0.1)
    path = write_npz(tmp_path / "dummy.npz")
    assert len(load_head(path).directions) == 375
    (made,) = run(tmp_path / "dummy", "--receiver", "binaural", "--head", path, "--rooms", 1)
    head = SceneRecord.load(made["record"]).receiver.head
    assert head.name == "dummy" and head.sha256 == sha256_of_file(path)
    # Its rooms render again without the file of the head.
    path.unlink()
    (again,) = run(tmp_path / "again", "--record", made["record"], "--bank", tmp_path / "dummy" / "bank")
    assert Path(again["audio"]).read_bytes() == Path(made["audio"]).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--receiver", "stereo"], 2, "--receiver is 'stereo'; one of foa, binaural is wanted"),
        (["--head", "sphere"], 2, "give --receiver binaural as well"),
        (["--receiver", "foa", "--head", "sphere"], 2, "only a binaural receiver has a head"),
        (["--receiver", "binaural", "--head", "sphere:0.5"], 2, "heads have 0.06 to 0.12 m"),
        (["--receiver", "binaural", "--head", "round"], 1, "round: no such file; a head is a .sofa or .npz file"),
        (["--receiver", "binaural", "--bank", "{scenes}/bank"], 2, "was made with foa: leave --receiver out"),
        (["--receiver", "binaural", "--head", "sphere", "--bank", "{scenes}/bank"], 2, "--head is for rooms"),
        (["--rooms", "6", "--receiver", "binaural", "--out", "same"], 1, "begun with settings.heads"),
    ],
)
def test_receivers_that_cannot_be_are_named(scenes, tmp_path, arguments, status, message):
    out = tmp_path / "out"
    if "--out" in arguments:  # a folder whose rooms were heard by ambisonics
        arguments, out = arguments[:-2], scenes
    result = CliRunner().invoke(app, ["simulate", str(out), *(a.replace("{scenes}", str(scenes)) for a in arguments)])
    assert result.exit_code == status
    assert message in " ".join(result.stderr.split())


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
