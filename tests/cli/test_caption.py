"""`spatial-audio-lm caption`: a line for people, a line of JSON for programs, and one line for what goes wrong."""

import json

import pytest
from tiny_captioner import LEARNED
from typer.testing import CliRunner

from spatial_audio_lm.cli.main import app
from spatial_audio_lm.signal.spatial_audio import SpatialAudio


def run(*arguments: object):
    """What a command does: exit status, stdout, stderr."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_json_is_one_line(tiny_captioner, clip, captioner):
    result = run("caption", clip, "--model", tiny_captioner, "--json")
    assert result.exit_code == 0 and result.stderr == "" and result.stdout.count("\n") == 1
    assert json.loads(result.stdout) == captioner.caption(str(clip)).to_dict()


def test_people_get_the_caption_and_its_time(tiny_captioner, clip, long_clip, make_sound, tmp_path):
    assert run("caption", clip, "--model", tiny_captioner, "--beams", 2).stdout == f"{LEARNED}\n"
    lines = run("caption", long_clip, "--model", tiny_captioner).stdout.splitlines()
    assert lines[0] == f"0:00-0:10  {LEARNED}" and lines[3] == f"0:15-0:21  {LEARNED}"
    assert lines[4] == "resampled from 24000 Hz to the model's rate" and len(lines) == 5
    SpatialAudio.from_array(make_sound().waveform[0], 16_000).save(tmp_path / "mono.wav")
    lines = run("caption", tmp_path / "mono.wav", "--model", tiny_captioner).stdout.splitlines()
    assert lines[0] == LEARNED and lines[1].startswith("no direction (mono")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 2, "FILE"),
        (["{clip}", "--beams", "0"], 2, "1 to 64"),
        (["{clip}", "--beams", "65"], 2, "1 to 64"),
        (["{clip}", "--mono", "double"], 2, "duplicate"),
        (["{clip}.none"], 1, "no such file"),
        (["{clip}", "--model", "{clip}"], 1, "is no folder"),
        (["{clip}", "--model", "elsa-tiny"], 1, "captions need 'spatial_captioner'"),
        (["{clip}", "--format", "binaural"], 1, "channels"),
    ],
)
def test_what_goes_wrong_is_one_line(tiny_captioner, clip, arguments, status, says):
    arguments = [text.format(clip=clip) for text in arguments]
    result = run("caption", *arguments, *(() if "--model" in arguments else ("--model", tiny_captioner)))
    assert result.exit_code == status and result.stdout == "", result.output
    (line,) = result.stderr.strip().split("\n")
    assert line.startswith("spatial-audio-lm: error: ") and says in line and "internal error" not in line
