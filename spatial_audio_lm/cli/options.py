"""Options and arguments that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from spatial_audio_lm.models.checkpoints import DEFAULT_QUERY_MODEL
from spatial_audio_lm.pipelines.search_numbers import MOST_BEAMS
from spatial_audio_lm.signal.mono_choice import MONO

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Model = Annotated[
    str, typer.Option("--model", metavar="NAME|FOLDER", help="A packaged checkpoint, or a folder of save_pretrained.")
]
FORMATS = ("mono", "binaural", "foa", "foa_fuma", "foa_n3d")  # SpatialAudio's; its module loads torch


def _known_format(value: str | None) -> str | None:
    if value is not None and value not in FORMATS:
        raise typer.BadParameter(f"{value!r} is not known; one of {', '.join(FORMATS)} is wanted")
    return value


Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="|".join(FORMATS),
        callback=_known_format,
        help="What the channels are. Not given: 1 is mono, 2 binaural, 4 first-order ambisonics (AmbiX).",
    ),
]


def _known_mono(value: str) -> str:
    if value not in MONO:
        raise typer.BadParameter(f"{value!r} is not known; one of {', '.join(MONO)} is wanted")
    return value


Mono = Annotated[
    str,
    typer.Option(
        "--mono",
        metavar="|".join(MONO),
        callback=_known_mono,
        help="What to do with one channel where the model hears more: refuse it, or duplicate it to all of them. "
        "ELSA hears it as it is.",
    ),
]


def _number_of_beams(value: int) -> int:
    if not 1 <= value <= MOST_BEAMS:
        raise typer.BadParameter(f"{value} is not possible; 1 to {MOST_BEAMS} is wanted")
    return value


Beams = Annotated[
    int,
    typer.Option(
        "--beams", metavar="N", callback=_number_of_beams, help="Beams of the search; 1 takes the likeliest word."
    ),
]


def ending_in(*suffixes: str) -> Callable[[Path | None], Path | None]:
    """A check for an output file, made before any work is done."""

    def check(value: Path | None) -> Path | None:
        if value is not None and value.suffix.lower() not in suffixes:
            raise typer.BadParameter(f"{value} must end in {' or '.join(suffixes)}")
        return value

    return check


# Text and not Path, which would write a name in another way than it was given.
Recordings = Annotated[list[str], typer.Argument(metavar="FILE...", help="Sound files: WAV, FLAC, OGG, ...")]

DEFAULT_MODEL = DEFAULT_QUERY_MODEL
