"""`spatial-audio-lm convert SYSTEM SOURCE OUT`: a published checkpoint in this package's layout."""

import contextlib
import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from spatial_audio_lm.cli.options import Debug, Json
from spatial_audio_lm.cli.output import print_json
from spatial_audio_lm.errors import CheckpointError, ConfigError, DataError, SpatialAudioError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.models.checkpoints import CONVERTERS, converter


def convert(
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help=f"Whose layout: {', '.join(CONVERTERS)}.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The published file, or its folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder for from_pretrained.")],
    audio_encoder: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of bat: SpatialAST, as converted before.")
    ] = None,
    language_model: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Of bat: Llama-2-7B in transformers' layout.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Convert a published checkpoint; every key of it is accounted for, and the terms of its weights are printed.

    clap: LAION's .pt file, or a folder in transformers' layout, becomes the towers of a full-size ELSA, to be trained.

    spatial_ast, dspast: the authors' .pth files; or Audio-MAE's pretrained.pth, with which an untrained one begins.

    audio_mae: the authors' pretrained.pth (with its decoder) or finetuned.pth (with its classifier).

    gram: model.safetensors of the Hub, or a .ckpt file of the authors' training.

    wavjepa: model.safetensors of the Hub with its config.json beside it, or a .ckpt file of the authors' training.

    bat: the authors' model.pt, onto SpatialAST and a Llama-2-7B of yours, whose weights stay where they are.
    """
    if system not in CONVERTERS:
        near = difflib.get_close_matches(system, CONVERTERS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"no converter for {system!r}: {hint}there are: {', '.join(CONVERTERS)}")
    if not source.exists():
        raise CheckpointError(f"{source}: no such file or folder (spatial-audio-lm models says where to get it)")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists and is not an empty folder: give a new one")
    parts = {"audio_encoder": audio_encoder, "language_model": language_model}
    options = {name: value for name, value in parts.items() if value is not None}
    if options and system != "bat":
        raise ConfigError(f"{', '.join(options)} given: only bat is put onto other models; leave it out")
    # The converter prints the terms and its account for people.
    with contextlib.redirect_stdout(sys.stderr if json else sys.stdout):
        try:
            converter(system)(source, out, **options)
        except (SpatialAudioError, OSError):
            raise
        except Exception as error:  # PyTorch and transformers fail in all ways on files that are something else
            raise CheckpointError(f"{source.name} cannot be read as a {system} checkpoint: {error}") from error
    if json:
        print_json({"out": str(out), **read_json(out / "conversion.json", error=CheckpointError)})
