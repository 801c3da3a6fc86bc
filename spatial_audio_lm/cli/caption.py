"""`spatial-audio-lm caption FILE`: what a recording holds, and where, in words."""

from typing import TYPE_CHECKING, Annotated

import typer

from spatial_audio_lm.cli.options import Beams, Debug, Format, Json, Mono
from spatial_audio_lm.cli.output import one_line, print_json, print_warnings, progress_bar
from spatial_audio_lm.models.checkpoints import DEFAULT_CAPTION_MODEL
from spatial_audio_lm.pipelines.wording import clock
from spatial_audio_lm.signal.mono_choice import MONO

if TYPE_CHECKING:  # it loads torch
    from spatial_audio_lm.pipelines.captioning_answers import CaptionedRecording, WrittenCaption


def caption(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A sound file: WAV, FLAC, OGG, ...")],
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="NAME|FOLDER", help="A packaged checkpoint, or a folder with a captioner and processor."
        ),
    ] = DEFAULT_CAPTION_MODEL,
    beams: Beams = 1,
    mono: Mono = MONO[0],
    format: Format = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a recording holds, and where.

    Example: spatial-audio-lm caption garden.wav

    A long recording is heard in windows, and every one that is not silent has its line; --json also says which of them
    speaks for the whole, and what the words were read as.
    """
    from spatial_audio_lm.cli.loading import load_caption_engine
    from spatial_audio_lm.pipelines.recording_files import recording_info

    recording_info(file)
    engine = load_caption_engine(model)
    with progress_bar("Listening") as advance:
        captioned = engine.caption(file, format, mono, num_beams=beams, progress=advance)
    print_warnings(captioned.warnings)
    if json:
        print_json(captioned.to_dict())
        return
    print("\n".join(_lines(captioned)))


def _lines(captioned: "CaptionedRecording") -> list[str]:
    if len(captioned.windows) == 1:
        lines = [_in_words(captioned.best)]
    else:
        lines = [f"{clock(w.start_s)}-{clock(w.end_s)}  {_in_words(w)}" for w in captioned.windows]
    if captioned.best.reason is not None:
        lines.append(f"no direction ({captioned.best.reason}): what is said of a place means nothing")
    if captioned.resampled_from:
        lines.append(f"resampled from {captioned.resampled_from} Hz to the model's rate")
    return lines


def _in_words(written: "WrittenCaption") -> str:
    return (one_line(written.caption) or "(no word)") + ("" if written.complete else " ... (cut off)")
