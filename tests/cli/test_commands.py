"""The commands: what they print, strict JSON, pictures, and one line for everything that goes wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bad_recordings import BAD_RECORDINGS
from safetensors import safe_open
from typer.testing import CliRunner

from spatial_audio_lm import GramConfig, GramFeatureExtractor, GramModel
from spatial_audio_lm.cli.main import app
from spatial_audio_lm.cli.options import FORMATS
from spatial_audio_lm.pipelines.scene_embeddings import SceneEncoder
from spatial_audio_lm.signal import spatial_audio
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

TEXTS = ["a dog barking from the left", "rain from behind"]
PNG = b"\x89PNG\r\n\x1a\n"


def run(*arguments: object):
    """What a command does: exit status, stdout, stderr."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def strict(text: str):
    """JSON that a strict reader takes."""

    def refuse(constant: str):
        raise AssertionError(f"{constant} in JSON")

    return json.loads(text, parse_constant=refuse)


def one_line_error(result, status: int) -> str:
    """The single line of an error; nothing on stdout, no traceback."""
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    (line,) = result.stderr.strip().split("\n")
    assert line.startswith("spatial-audio-lm: error: ")
    assert "internal error" not in line
    return line


def test_query_prints_the_promised_json(tiny_elsa, clip, engine):
    result = run("query", clip, *TEXTS, "--model", tiny_elsa, "--json")
    assert result.exit_code == 0 and result.stderr == ""
    answer = strict(result.stdout)
    assert answer == engine.query(clip, TEXTS).to_dict()
    assert {"file", "results", "azimuth_deg", "elevation_deg", "distance_m", "confidence", "windows"} <= set(answer)
    assert answer["file"] == str(clip)
    assert sum(entry["score"] for entry in answer["results"]) == pytest.approx(1.0, abs=1e-5)
    (single,) = strict(run("query", clip, TEXTS[0], "--model", tiny_elsa, "--json").stdout)["results"]
    assert single["score"] is None and single["similarity"] is not None


def test_query_speaks_to_people(tiny_elsa, clip, long_clip, tmp_path):
    result = run("query", clip, *TEXTS, "--model", tiny_elsa, "--plot", tmp_path / "answer.png")
    assert result.exit_code == 0
    assert all(text in result.stdout for text in (*TEXTS, "%", "probability", "answer.png"))
    assert (tmp_path / "answer.png").read_bytes().startswith(PNG)
    result = run("query", long_clip, TEXTS[0], "--model", tiny_elsa, "--plot", tmp_path / "time.png")
    assert "timeline" in result.stdout and "nothing to hear" in result.stdout and "24000 Hz" in result.stdout
    assert (tmp_path / "time.png").read_bytes().startswith(PNG)


def test_query_of_a_long_file_has_a_timeline(tiny_elsa, long_clip):
    answer = strict(run("query", long_clip, *TEXTS, "--model", tiny_elsa, "--json").stdout)
    assert [window["start_s"] for window in answer["windows"]] == [float(start) for start in range(0, 19, 2)]
    assert answer["resampled_from"] == 24_000
    assert answer["windows"][4]["results"][0]["similarity"] is None


def test_warnings_go_to_stderr_and_into_the_json(tiny_elsa, make_sound, tmp_path):
    foa = make_sound()
    SpatialAudio(foa.waveform[[0, 3, 1, 2]] * foa.waveform.new_tensor([[0.7], [1], [1], [1]]), 16_000, "foa").save(
        tmp_path / "fuma.wav"
    )
    result = run("query", tmp_path / "fuma.wav", "rain", "--model", tiny_elsa, "--json")
    assert result.exit_code == 0
    (line,) = result.stderr.strip().split("\n")
    assert line.startswith("spatial-audio-lm: warning: ") and "--format foa_fuma" in line
    assert len(strict(result.stdout)["warnings"]) == 1
    assert run("query", tmp_path / "fuma.wav", "rain", "--model", tiny_elsa, "--format", "foa_fuma").stderr == ""


@pytest.mark.parametrize("case", BAD_RECORDINGS.values(), ids=BAD_RECORDINGS)
def test_query_of_a_bad_recording(tiny_elsa, tmp_path, case):
    result = run("query", case.make(tmp_path), "rain", "--model", tiny_elsa, "--json")
    status = 2 if case.error.__name__ == "TextError" else 1
    if "warning: " in result.stderr:  # a single sample is suspected of more than one thing
        result.stderr_bytes = b"\n".join(line for line in result.stderr_bytes.split(b"\n") if b"warning: " not in line)
    line = one_line_error(result, status)
    assert all(words in line for words in case.says), line


def test_locate_gives_a_line_for_every_file_and_goes_on(tiny_elsa, clip, make_sound, tmp_path):
    SpatialAudio.from_array(make_sound().waveform[0], 16_000).save(tmp_path / "mono.wav")
    files = [clip, tmp_path / "mono.wav"]
    for name, case in BAD_RECORDINGS.items():
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        files.append(case.make(folder))
    files.append(clip)
    result = run("locate", *files, "--model", tiny_elsa, "--json")
    assert result.exit_code == 1
    lines = [strict(line) for line in result.stdout.strip().split("\n")]
    assert len(lines) == len(files)
    needed = {"file", "azimuth_deg", "elevation_deg", "distance_m", "confidence"}
    assert all(needed <= set(line) for line in lines)
    assert lines[0] == lines[-1] and lines[0]["azimuth_deg"] is not None and "error" not in lines[0]
    assert lines[1]["azimuth_deg"] is None and lines[1]["reason"].startswith("mono") and "error" not in lines[1]
    for line, (name, case) in zip(lines[2:-1], BAD_RECORDINGS.items(), strict=True):
        assert line["azimuth_deg"] is None and line["confidence"] is None, name
        assert line.get("reason") if case.locatable else all(words in line["error"] for words in case.says), name


def test_locate_for_people(tiny_elsa, clip, tmp_path):
    result = run("locate", clip, tmp_path / "none.wav", clip, "--model", tiny_elsa)
    assert result.exit_code == 1
    assert len(result.stdout.strip().split("\n")) == 2 and "° to the" in result.stdout
    assert result.stderr.strip() == f"spatial-audio-lm: error: {tmp_path / 'none.wav'}: no such file"
    assert run("locate", clip, "--model", tiny_elsa).exit_code == 0


def test_embed_writes_rows(tiny_elsa, clip, long_clip, engine, tmp_path):
    out = tmp_path / "vectors.safetensors"
    result = run("embed", clip, long_clip, tmp_path / "none.wav", "--out", out, "--model", tiny_elsa, "--json")
    assert result.exit_code == 1 and "none.wav" in result.stderr
    report = strict(result.stdout)
    with safe_open(out, framework="pt") as file:
        table, rows = file.get_tensor("embeddings"), json.loads(file.metadata()["rows"])
    assert report["rows"] == len(table) == len(rows) and report["dim"] == table.shape[1]
    assert rows[0] == {"file": str(clip), "start_s": 0.0, "end_s": 2.0}
    assert table[0].tolist() == pytest.approx(engine.embed(clip).embeddings[0].tolist(), abs=1e-6)
    assert [entry["rows"] for entry in report["files"]] == [1, len(table) - 1, 0]


@pytest.fixture
def gram_folder(tmp_path):
    """A small GRAM for two ears, as random as it was drawn."""
    config = GramConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48)
    torch.manual_seed(0)
    GramModel(config).save_pretrained(tmp_path / "gram")
    GramFeatureExtractor.for_model(config).save_pretrained(tmp_path / "gram")
    return tmp_path / "gram"


def test_embed_with_an_encoder_of_scenes(gram_folder, ears_clip, long_ears_clip, clip, tmp_path):
    out = tmp_path / "vectors.safetensors"
    files = [ears_clip, long_ears_clip]
    for pooling, dim in ((None, 8 * 32), ("cls", 32)):
        options = ("--pooling", pooling) if pooling else ()
        result = run("embed", *files, "--out", out, "--model", gram_folder, *options, "--json")
        assert result.exit_code == 0, result.output
        report = strict(result.stdout)
        with safe_open(out, framework="pt") as file:
            table, metadata = file.get_tensor("embeddings"), file.metadata()
        assert (report["rows"], report["dim"]) == table.shape == (2, dim)
        rows = json.loads(metadata["rows"])
        assert [row["file"] for row in rows] == [str(file) for file in files] and rows[1]["end_s"] > 10
        assert (metadata["pooling"], metadata["normalized"]) == (pooling or "raw", "no")
        sounds = [SpatialAudio.load(file) for file in files]
        assert torch.allclose(
            SceneEncoder.from_pretrained(gram_folder, pooling).embed(sounds).vectors, table, atol=1e-4
        )
        assert all(
            entry["resampled_from"] == sound.sample_rate for entry, sound in zip(report["files"], sounds, strict=True)
        )
    SpatialAudio.from_array(torch.randn(1, 8000) * 0.1, 16_000).save(tmp_path / "mono.wav")
    refused = run("embed", tmp_path / "mono.wav", clip, "--out", tmp_path / "none.safetensors", "--model", gram_folder)
    assert refused.exit_code == 1 and not (tmp_path / "none.safetensors").exists()
    first, second, _ = refused.stderr.strip().split("\n")
    assert f"error: {tmp_path / 'mono.wav'}: the recording is mono (1 channels), this gram hears binaural" in first
    assert first.endswith("(--mono duplicate): one channel in all, without a direction")
    assert f"error: {clip}: the recording is foa" in second and "--mono" not in second
    heard = run(
        "embed", tmp_path / "mono.wav", clip, "--out", out, "--model", gram_folder, "--mono", "duplicate", "--json"
    )
    assert heard.exit_code == 1 and [entry["rows"] for entry in strict(heard.stdout)["files"]] == [1, 0]


@pytest.mark.parametrize("pooling", [None, "mean"])
def test_embed_with_two_ears(tiny_dspast, ears_clip, tmp_path, pooling):
    options = ("--pooling", pooling) if pooling else ()
    result = run("embed", ears_clip, "--out", tmp_path / "v.safetensors", "--model", tiny_dspast, *options, "--json")
    expected = SceneEncoder.from_pretrained(tiny_dspast, pooling).embed([SpatialAudio.load(ears_clip)]).vectors
    assert result.exit_code == 0 and strict(result.stdout)["dim"] == expected.shape[1]


def test_embed_says_what_was_resampled(gram_folder, ears_clip, tmp_path):
    out = tmp_path / "v.safetensors"
    result = run("embed", ears_clip, "--out", out, "--model", gram_folder)
    assert f"{ears_clip}: resampled from 16000 to 32000 Hz\n" in result.stdout
    with safe_open(out, "pt") as file:
        assert json.loads(file.metadata()["resampled_from"]) == {str(ears_clip): 16_000}


def test_embed_of_nothing_writes_nothing(tiny_elsa, tmp_path):
    result = run("embed", tmp_path / "none.wav", "--out", tmp_path / "v.safetensors", "--model", tiny_elsa)
    assert result.exit_code == 1 and not (tmp_path / "v.safetensors").exists()
    assert result.stderr.startswith(f"spatial-audio-lm: error: {tmp_path / 'none.wav'}: no such file")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder where not even root can write")
def test_a_file_that_cannot_be_written_is_named(tiny_elsa, clip):
    result = run("embed", clip, "--out", "/proc/vectors.safetensors", "--model", tiny_elsa)
    assert result.exit_code == 1
    assert result.stderr.startswith("spatial-audio-lm: error: /proc/vectors.safetensors: ")


def test_the_model_is_loaded_once_for_many_files(tiny_elsa, clip, monkeypatch):
    from spatial_audio_lm.pipelines.querying import SpatialQuery

    loads = []
    load = SpatialQuery.from_pretrained
    monkeypatch.setattr(SpatialQuery, "from_pretrained", lambda name: loads.append(name) or load(name))
    assert run("locate", clip, clip, clip, "--model", tiny_elsa, "--json").exit_code == 0
    assert len(loads) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["query"], "FILE"),
        (["query", "{clip}"], "TEXT"),
        (["query", "{clip}", ""], "empty"),
        (["query", "{clip}", "a dog", "{clip}"], "is a file"),
        (["query", "a dog barking", "{clip}"], "is a file"),
        (["query", "{clip}", "rain", "--format", "fuma"], "foa_fuma"),
        (["query", "{clip}", "rain", "--plot", "answer.xyz"], ".png"),
        (["query", "{clip}", "rain", "--jsn"], "--json"),
        (["embed", "{clip}", "--out", "vectors.npy"], ".safetensors"),
        (["embed", "{clip}"], "--out"),
        (["embed", "{clip}", "--out", "v.safetensors", "--mono", "double"], "duplicate"),
        (["embed", "{clip}", "--out", "v.safetensors", "--pooling", "cls"], "elsa has joint"),
        (["locate"], "FILE"),
        (["quary"], "query"),
        (["convert", "clop", "{clip}", "out"], "clap"),
        (["simulate", "{tmp}/scenes", "--sound", "sirene"], "siren"),
        (["simulate", "{tmp}/scenes", "--direction", "lft"], "left"),
        (["simulate", "{tmp}/scenes", "--scenes", "0"], "--scenes"),
        (["simulate", "{tmp}/scenes", "--record", "{clip}"], "--bank"),
    ],
)
def test_wrong_usage_is_one_line_and_2(tiny_elsa, clip, tmp_path, arguments, says):
    arguments = [text.format(clip=clip, tmp=tmp_path) for text in arguments]
    if arguments[0] in ("query", "locate", "embed"):
        arguments += ["--model", str(tiny_elsa)]
    assert says in one_line_error(run(*arguments), 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["query", "{clip}", "rain", "--model", "elsa-huge"], "elsa-huge"),
        (["query", "{clip}", "rain", "--model", "{tmp}"], "config.json"),
        (["convert", "clap", "{tmp}/none.pt", "{tmp}/out"], "no such file"),
        (["convert", "clap", "{clip}", "{tmp}/out"], "clip.wav"),
        (["convert", "clap", "{clip}", "{tmp}"], "empty folder"),
        (["simulate", "{tmp}/scenes", "--bank", "{tmp}"], "bank.json"),
        (["simulate", "{tmp}/scenes", "--record", "{clip}", "--bank", "{tmp}"], "bank.json"),
        (["simulate", "{tmp}/scenes", "--sound", "dog_bark", "--rooms", "1"], "--clips"),
    ],
)
def test_wrong_data_is_one_line_and_1(clip, tmp_path, arguments, says):
    assert says in one_line_error(run(*(text.format(clip=clip, tmp=tmp_path) for text in arguments)), 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["query", "{file}", "rain"],
        ["ask", "{file}", "Is it rain?"],
        ["caption", "{file}"],
        ["locate", "{file}"],
        ["embed", "{file}", "--out", "{tmp}/v.safetensors"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_files_are_looked_for_before_a_model_is_loaded(clip, tmp_path, arguments):
    def said(file: Path) -> str:
        filled = [text.format(file=file, tmp=tmp_path) for text in arguments]
        result = run(*filled, "--model", tmp_path / "no-model")
        assert result.exit_code == 1 and result.stdout == ""
        return result.stderr

    assert "none.wav: no such file" in said(tmp_path / "none.wav")
    assert "no-model" not in said(tmp_path / "none.wav")
    assert "no-model' is no folder" in said(clip)


def test_debug_shows_where(tmp_path, tiny_elsa):
    result = run("query", tmp_path / "none.wav", "rain", "--model", tiny_elsa, "--debug")
    assert result.exit_code == 1 and "Traceback" in result.stderr and "no such file" in result.stderr


def test_an_error_of_our_own_is_one_line_too(clip, tiny_elsa, monkeypatch):
    from spatial_audio_lm.pipelines.querying import SpatialQuery

    def fail(*_: object) -> None:
        raise KeyError("a\nbug")

    monkeypatch.setattr(SpatialQuery, "query", fail)
    result = run("query", clip, "rain", "--model", tiny_elsa)
    assert result.exit_code == 1 and len(result.stderr.strip().split("\n")) == 1
    assert "internal error (KeyError)" in result.stderr and "--debug" in result.stderr


def test_a_name_that_is_no_text_is_printed_escaped(tiny_elsa, clip):
    import os

    strange = os.fsencode(clip.parent) + b"/caf\xe9\n\x1b[1m.wav"
    os.rename(clip, strange)
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "spatial_audio_lm.cli.main",
            "locate",
            "--json",
            "--model",
            tiny_elsa,
            strange,
            strange + b"x",
        ],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1, result.stderr
    good, bad = (strict(line) for line in result.stdout.decode("ascii").strip().split("\n"))
    assert "reason" in good and "no such file" in bad["error"]
    assert good["file"].endswith("/caf\\xe9\n\x1b[1m.wav") and bad["file"] == good["file"] + "x"
    assert bad["error"].isprintable()


def test_formats_are_those_of_the_door():
    assert set(FORMATS) == set(spatial_audio._DECLARABLE)


def test_help_and_version():
    assert re.fullmatch(r"spatial-audio-lm \d+\.\d+\.\d+\n", run("--version").stdout)
    help_text = run("--help").stdout
    assert run().stdout == help_text and run().exit_code == 0
    for command in ("query", "ask", "locate", "embed", "simulate", "convert", "models", "doctor"):
        assert command in help_text
        assert "--json" in run(command, "--help").stdout


def test_help_does_not_wait_for_torch():
    code = "import sys; from spatial_audio_lm.cli.main import app; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_models_lists_what_there_is():
    listed = strict(run("models", "--json").stdout)
    assert {"packaged", "published"} == set(listed)
    assert all({"hub_id", "layout", "converter", "license"} <= set(entry) for entry in listed["published"])
    for entry in listed["packaged"]:
        assert Path(entry["folder"], "config.json").is_file()
    shown = run("models").stdout
    assert "laion/clap-htsat-unfused" in shown and "convert audio_mae audio-mae-pretrained/pretrained.pth" in shown
    assert "hf download labhamlet/wavjepa-base model.safetensors config.json --local-dir wavjepa-base\n" in shown
    assert "https://drive.google.com" in shown and "None" not in shown  # what is not on the Hub has its own address
