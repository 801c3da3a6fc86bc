"""`ask`: lines for people, strict JSON for machines, and one line for what goes wrong."""

import json

import pytest
from tiny_bat import LEARNED, WHAT, WHERE, YES_NO
from typer.testing import CliRunner

from spatial_audio_lm.cli.main import app
from spatial_audio_lm.signal.spatial_audio import SpatialAudio


def run(*arguments: object):
    """What a command does: exit status, stdout, stderr."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_json_is_a_line_a_question(tiny_bat, ears_clip, answerer):
    result = run("ask", ears_clip, *LEARNED, "--model", tiny_bat, "--json")
    assert result.exit_code == 0 and result.stderr == ""
    lines = [json.loads(line) for line in result.stdout.strip().split("\n")]
    assert lines == [said.to_dict() for said in answerer.ask(str(ears_clip), list(LEARNED))]
    assert [line["text"] for line in lines] == list(LEARNED.values()) and lines[0]["answer"] == "yes"


def test_people_get_question_and_answer(tiny_bat, ears_clip, long_ears_clip):
    lines = run("ask", ears_clip, YES_NO, WHERE, "--model", tiny_bat, "--beams", 2).stdout.strip().split("\n")
    assert lines[0] == YES_NO and lines[1].startswith("  Yes  (") and lines[1].endswith("%)")
    assert lines[2] == WHERE and lines[3].startswith("  left, front, below; 2.5m  (") and len(lines) == 4
    long = run("ask", long_ears_clip, WHAT, "--model", tiny_bat)
    assert "a barking dog; rain" in long.stdout and "%), at 0:" in long.stdout
    assert long.stdout.endswith("resampled from 24000 Hz to the model's rate\n")


def test_no_direction_for_people(tiny_bat, make_ears, tmp_path):
    SpatialAudio.from_array(make_ears().waveform[0], 16_000).save(tmp_path / "mono.wav")
    refused = run("ask", tmp_path / "mono.wav", WHERE, "--model", tiny_bat)
    assert refused.exit_code == 1 and refused.stdout == "" and "duplicate" in refused.stderr
    heard = run("ask", tmp_path / "mono.wav", WHERE, "--model", tiny_bat, "--mono", "duplicate")
    assert heard.exit_code == 0 and "no direction (mono" in heard.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["{clip}"], 2, "QUESTION"),
        (["{clip}", " "], 2, "empty"),
        (["{clip}", "Is it?", "{clip}"], 2, "is a file: ask takes one recording"),
        (["Is it?", "{clip}"], 2, "is a file"),
        (["{clip}", "Is it?", "--beams", "0"], 2, "1 to 64"),
        (["{clip}", "Is it?", "--beams", "65"], 2, "1 to 64"),
        (["{clip}", "Is it?", "--mono", "double"], 2, "duplicate"),
        (["{clip}.none", "Is it?"], 1, "no such file"),
        (["{clip}", "Is it?", "--model", "{clip}"], 1, "is no folder"),
        (["{clip}", "Is it?", "--model", "elsa-tiny"], 1, "answering questions needs 'bat'"),
    ],
)
def test_what_goes_wrong_is_one_line(tiny_bat, ears_clip, arguments, status, says):
    arguments = [text.format(clip=ears_clip) for text in arguments]
    result = run("ask", *arguments, *(() if "--model" in arguments else ("--model", tiny_bat)))
    assert result.exit_code == status and result.stdout == "", result.output
    (line,) = result.stderr.strip().split("\n")
    assert line.startswith("spatial-audio-lm: error: ") and says in line and "internal error" not in line
