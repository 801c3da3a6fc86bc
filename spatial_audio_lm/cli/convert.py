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
from spatial_audio_lm.models.checkpoints import CONVERTERS, PUBLISHED, converter


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
    given, source = source, _weights_in(system, source)
    if options and system != "bat":
        raise ConfigError(f"{', '.join(options)} given: only bat is put onto other models; leave it out")
    # The converter prints the terms and its account for people.
    with contextlib.redirect_stdout(sys.stderr if json else sys.stdout):
        try:
            converter(system)(source, out, **options)
        except CheckpointError as error:
            kind = _own_kind(given)
            if kind is not None:
                raise CheckpointError(
                    f"{given} is in this package's layout already ({kind}): load it with from_pretrained, "
                    "there is nothing to convert"
                ) from error
            raise
        except (SpatialAudioError, OSError):
            raise
        except Exception as error:  # PyTorch and transformers fail in all ways on files that are something else
            raise CheckpointError(f"{source.name} cannot be read as a {system} checkpoint: {error}") from error
    if json:
        print_json({"out": str(out), **read_json(out / "conversion.json", error=CheckpointError)})


def _weights_in(system: str, source: Path) -> Path:
    """The published file in a folder; CLAP's own layout is a folder, and stays one.

    Raises:
        CheckpointError: none that is named as its authors name it, or several.
    """
    if not source.is_dir() or system == "clap":
        return source
    names = dict.fromkeys(Path(one.file).name for one in PUBLISHED if one.converter == system and one.file)
    found = [source / name for name in names if (source / name).is_file()]
    if len(found) != 1:
        what = f"holds {' and '.join(path.name for path in found)}" if found else f"holds no {' or '.join(names)}"
        raise CheckpointError(f"{source} {what}: give the file of the weights itself")
    return found[0]


def _own_kind(source: Path) -> str | None:
    """What a folder, or the folder of a file, holds that this package has saved; None if another saved it.

    Asked only after a conversion has failed: the Hub's models call themselves by the same names.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from spatial_audio_lm.pipelines.scene_embeddings import ENCODERS

    config = (source if source.is_dir() else source.parent) / "config.json"
    weights = source / "model.safetensors" if source.is_dir() else source
    if not config.is_file() or weights.suffix != ".safetensors":
        return None
    content = read_json(config, error=CheckpointError)
    kind = content.get("model_type") if isinstance(content, dict) else None
    if kind not in ENCODERS:
        return None
    model_class = ENCODERS[kind][0]
    try:
        with safe_open(weights, framework="pt") as file, torch.device("meta"):
            saved = {name.removeprefix(f"{model_class.base_model_prefix}.") for name in file.keys()}  # noqa: SIM118
            encoder = model_class(model_class.config_class.from_dict(content))
    except (SafetensorError, SpatialAudioError, OSError):  # then it is not as we save it
        return None
    return str(kind) if encoder.state_dict().keys() <= saved else None
