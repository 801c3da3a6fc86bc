"""`spatial-audio-lm ask FILE "question" ["question" ...]`: questions about a recording, answered in words."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from spatial_audio_lm.cli.options import Beams, Debug, Format, Json, Mono
from spatial_audio_lm.cli.output import one_line, print_json, print_warnings, progress_bar
from spatial_audio_lm.errors import TextError
from spatial_audio_lm.models.checkpoints import DEFAULT_QUESTION_MODEL
from spatial_audio_lm.pipelines.wording import clock
from spatial_audio_lm.signal.mono_choice import MONO

if TYPE_CHECKING:  # it loads torch
    from spatial_audio_lm.pipelines.spoken_answers import AnsweredQuestion, SpokenAnswer


def ask(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A sound file: WAV, FLAC, OGG, ...")],
    questions: Annotated[list[str], typer.Argument(metavar="QUESTION...", help="Questions, each in quotes.")],
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="NAME|FOLDER", help="A packaged checkpoint, or a folder with a BAT and its processor."
        ),
    ] = DEFAULT_QUESTION_MODEL,
    beams: Beams = 1,
    mono: Mono = MONO[0],
    format: Format = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Answer questions about a recording, which is heard once for all of them.

    Example: spatial-audio-lm ask garden.wav "What do you hear?" "In which direction and how far is the sound?"

    A percentage is the model's own probability of exactly that answer. A long recording is heard in windows, and each
    question is answered by the loud one whose answer is most probable; --json has all of them.
    """
    for question in questions:
        if os.path.isfile(question):
            raise TextError(f"{question} is a file: ask takes one recording, then questions")
    from spatial_audio_lm.cli.loading import load_question_engine
    from spatial_audio_lm.pipelines.recording_files import recording_info

    recording_info(file)
    engine = load_question_engine(model)
    with progress_bar("Listening") as advance:
        answers = engine.ask(file, questions, format, mono, num_beams=beams, progress=advance)
    print_warnings(answers[0].warnings)
    for answer in answers:
        if json:
            print_json(answer.to_dict())
        else:
            print("\n".join(_lines(answer)))
    if answers[0].resampled_from and not json:
        print(f"resampled from {answers[0].resampled_from} Hz to the model's rate")


def _lines(answer: "AnsweredQuestion") -> list[str]:
    lines = [one_line(answer.question), f"  {_in_words(answer.best)}"]
    if len(answer.windows) > 1:
        lines[1] += f", at {clock(answer.best.start_s)}-{clock(answer.best.end_s)}"
    if answer.best.reason is not None:
        lines.append(f"  no direction ({answer.best.reason}): what is said of sides and distance means nothing")
    return lines


def _in_words(said: "SpokenAnswer") -> str:
    words = one_line(said.text) or "(no word)"
    return f"{words}{'' if said.complete else ' ... (cut off)'}  ({said.confidence:.0%})"
