"""`locate` with a model for two ears: lines, strict JSON, the picture, and which model hears which file."""

import json
from pathlib import Path

import pytest
import torch
from tiny_dspast import NAMES, RATE
from typer.testing import CliRunner

from spatial_audio_lm.cli import loading
from spatial_audio_lm.cli.main import app
from spatial_audio_lm.files import write_json
from spatial_audio_lm.models.checkpoints import DEFAULT_EVENTS_MODEL, DEFAULT_QUERY_MODEL
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

PNG = b"\x89PNG\r\n\x1a\n"
PLACE = {"azimuth_deg", "elevation_deg", "distance_m", "confidence", "reason"}


def run(*arguments: object):
    """What a command does: exit status, stdout, stderr."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def strict(text: str) -> dict:
    """JSON that a strict reader takes."""

    def refuse(constant: str):
        raise AssertionError(f"{constant} in JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def defaults(monkeypatch, tiny_dspast, tiny_elsa) -> list[str]:
    """Small models in the place of the packaged ones; the names in the order in which they are loaded."""
    folders = {DEFAULT_EVENTS_MODEL: tiny_dspast, DEFAULT_QUERY_MODEL: tiny_elsa}
    loaded: list[str] = []
    load = loading.load_locating_engine

    def load_small(name: str):
        loaded.append(name)
        return load(str(folders[name]))

    monkeypatch.setattr(loading, "load_locating_engine", load_small)
    return loaded


def test_the_json_has_events_and_all_that_it_had(tiny_dspast, ears_clip, locator):
    result = run("locate", ears_clip, "--model", tiny_dspast, "--json", "--threshold", "0")
    assert result.exit_code == 0 and result.stderr == ""
    answer = strict(result.stdout)
    expected = locator.locate(ears_clip, threshold=0.0).to_dict()
    del expected["windows"]
    assert answer == expected
    assert PLACE | {"file", "start_s", "end_s", "resampled_from", "warnings", "events"} == set(answer)
    assert {event["label"] for event in answer["events"]} == set(NAMES)
    probabilities = [event["probability"] for event in answer["events"]]
    assert probabilities == sorted(probabilities, reverse=True)
    for event in answer["events"]:
        assert set(event) == {"label", "probability", "azimuth_deg", "elevation_deg", "distance_m"}
    for name in ("azimuth_deg", "elevation_deg", "distance_m"):
        assert answer[name] == answer["events"][0][name]
    (first,) = strict(run("locate", ears_clip, "--model", tiny_dspast, "--json", "--threshold", "1").stdout)["events"]
    assert first == answer["events"][0]


def test_a_long_file_has_windows(tiny_dspast, long_ears_clip):
    answer = strict(run("locate", long_ears_clip, "--model", tiny_dspast, "--json").stdout)
    assert [window["start_s"] for window in answer["windows"]] == [float(start) for start in range(0, 19, 2)]
    assert answer["windows"][4]["events"] == [] and answer["windows"][0]["events"]
    assert answer["resampled_from"] == 24_000


def test_people_get_a_line_a_file(tiny_dspast, ears_clip, long_ears_clip, tmp_path):
    result = run("locate", ears_clip, tmp_path / "none.wav", long_ears_clip, "--model", tiny_dspast, "--threshold", "0")
    assert result.exit_code == 1 and "none.wav: no such file" in result.stderr
    short, long = result.stdout.strip().split("\n")
    assert short.startswith(f"{ears_clip}: ") and all(name in short for name in NAMES)
    assert "° to the" in short and "m away" in short and "heard at" not in short
    assert "heard at 0:" in long and long.endswith("resampled from 24000 Hz")


def test_a_sound_below_the_threshold_is_a_guess(tiny_dspast, ears_clip):
    guess = run("locate", ears_clip, "--model", tiny_dspast, "--threshold", "1").stdout
    assert guess.startswith(f"{ears_clip}: perhaps ")
    assert "perhaps" not in run("locate", ears_clip, "--model", tiny_dspast, "--threshold", "0").stdout


def test_no_direction_for_people_and_machines(tiny_dspast, make_ears, tmp_path):
    left = make_ears().waveform[:1]
    for name, ears, reason in (
        ("mono", left, "mono"),
        ("alike", left.expand(2, -1), "identical channels"),
        ("silent", torch.zeros(2, RATE), "silence"),
    ):
        SpatialAudio.from_array(ears, RATE).save(tmp_path / f"{name}.wav")
        arguments = ("locate", tmp_path / f"{name}.wav", "--model", tiny_dspast, "--plot", tmp_path / f"{name}.png")
        result = run(*arguments)
        assert result.exit_code == 0 and f"no direction ({reason}" in result.stdout
        assert (tmp_path / f"{name}.png").read_bytes().startswith(PNG)
        answer = strict(run(*arguments, "--json").stdout)
        assert answer["reason"].startswith(reason)
        assert all(answer[key] is None for key in PLACE - {"reason"})
        assert bool(answer["events"]) == (name != "silent")
        assert all(event["azimuth_deg"] is None for event in answer["events"])


def test_the_channels_choose_the_model(defaults, ears_clip, clip, make_sound, tmp_path):
    SpatialAudio.from_array(make_sound().waveform[0], RATE).save(tmp_path / "mono.wav")
    result = run("locate", ears_clip, clip, tmp_path / "mono.wav", ears_clip, tmp_path / "none.wav", "--json")
    assert result.exit_code == 1
    assert defaults == [DEFAULT_EVENTS_MODEL, DEFAULT_QUERY_MODEL]  # each of them once
    ears, foa, mono, again, missing = (strict(line) for line in result.stdout.strip().split("\n"))
    assert ears["events"] and ears["azimuth_deg"] is not None and again == ears
    assert foa["events"] == [] and foa["azimuth_deg"] is not None
    assert mono["events"] == [] and mono["azimuth_deg"] is None and mono["reason"].startswith("mono")
    assert missing["events"] == [] and "no such file" in missing["error"]


def test_no_model_is_loaded_for_files_that_cannot_be_read(defaults, tmp_path):
    assert run("locate", tmp_path / "none.wav").exit_code == 1
    assert defaults == []


def test_a_declared_format_chooses_too(defaults, ears_clip):
    result = run("locate", ears_clip, "--format", "foa", "--json")
    assert result.exit_code == 1 and "2 channels" in strict(result.stdout)["error"]
    assert defaults == [DEFAULT_QUERY_MODEL]
    assert run("locate", ears_clip, "--format", "binaural").exit_code == 0


def test_a_model_that_cannot_hear_the_file_says_which_can(tiny_dspast, tiny_elsa, clip, ears_clip):
    result = run("locate", clip, "--model", tiny_dspast)
    assert result.exit_code == 1 and "4 channels" in result.stderr and "--model elsa-tiny" in result.stderr
    result = run("locate", ears_clip, "--model", tiny_elsa)
    assert result.exit_code == 1 and "2 channels" in result.stderr
    result = run("query", ears_clip, "rain", "--model", tiny_dspast)
    assert result.exit_code == 1 and "dspast" in result.stderr and "locate" in result.stderr


@pytest.mark.parametrize("model", ["tiny_dspast", "tiny_elsa"])
def test_a_view_from_above(model, request, ears_clip, clip, tmp_path):
    file = ears_clip if model == "tiny_dspast" else clip
    out = tmp_path / "above.png"
    result = run("locate", file, "--model", request.getfixturevalue(model), "--plot", out)
    assert result.exit_code == 0 and f"picture: {out}" in result.stdout
    assert out.read_bytes().startswith(PNG)


def test_a_view_of_several_recordings_is_refused_before_any_work(defaults, ears_clip, tmp_path):
    result = run("locate", ears_clip, ears_clip, "--plot", tmp_path / "above.png")
    assert result.exit_code == 2 and result.stdout == "" and "--plot draws one recording" in result.stderr
    assert defaults == [] and not (tmp_path / "above.png").exists()
    assert run("locate", ears_clip, "--plot", tmp_path / "above.gif").exit_code == 2


@pytest.mark.parametrize("threshold", ["-0.1", "1.5", "nan", "much"])
def test_thresholds_that_are_none(defaults, ears_clip, threshold):
    result = run("locate", ears_clip, "--threshold", threshold)
    assert result.exit_code == 2 and result.stdout == "" and len(result.stderr.strip().split("\n")) == 1
    assert defaults == []


def test_other_kinds_of_model_are_refused_at_once(ears_clip, tmp_path):
    write_json(tmp_path / "config.json", {"model_type": "bert"})
    result = run("locate", ears_clip, "--model", tmp_path)
    assert result.exit_code == 1 and "bert" in result.stderr and "dspast" in result.stderr
    assert "elsa-huge" in run("locate", ears_clip, "--model", "elsa-huge").stderr


def test_the_promised_packaged_model_is_asked_for_by_name(ears_clip, monkeypatch):
    asked = []
    monkeypatch.setattr(loading, "load_locating_engine", lambda name: asked.append(name) or Path("/"))
    run("locate", ears_clip)
    assert asked == ["dspast-tiny"]
