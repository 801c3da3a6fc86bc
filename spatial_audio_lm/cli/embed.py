"""`spatial-audio-lm embed FILE ... --out x.safetensors`: recordings as vectors, by any encoder of the package."""

import json as json_format
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatial_audio_lm.cli.options import DEFAULT_MODEL, Debug, Format, Json, Model, Mono, Recordings, ending_in
from spatial_audio_lm.cli.output import print_error, print_json, print_warnings, progress_bar, reason_of, reason_of_file
from spatial_audio_lm.errors import DataError
from spatial_audio_lm.files import write_whole
from spatial_audio_lm.pipelines.answers import file_field
from spatial_audio_lm.signal.mono_choice import MONO

if TYPE_CHECKING:
    from torch import Tensor


def embed(
    files: Recordings,
    out: Annotated[
        Path, typer.Option(metavar="OUT.safetensors", callback=ending_in(".safetensors"), help="File to write.")
    ],
    model: Model = DEFAULT_MODEL,
    pooling: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How tokens become one vector: raw, mean or cls (GRAM), mean or cls (Audio-MAE), mean or channels "
            "(WavJEPA), cls or mean (DSpAST, SpatialAST). Not given: the first of those.",
        ),
    ] = None,
    mono: Mono = MONO[0],
    format: Format = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write recordings as vectors: a tensor `embeddings` (rows, dim), and which row is which in its metadata.

    With ELSA rows are of length 1, in the space of sentences; a recording of up to ten seconds is one, a longer one a
    row a window. With any other encoder every recording is one row, as the encoder gives it. Files are read as they are
    heard, so that an hour needs no more memory than a minute. The metadata `rows` is a JSON list of {file, start_s,
    end_s}, `resampled_from` a JSON object of the files that were resampled and their rates in Hz. A file that cannot be
    used is reported, the others go on, and the exit status is 1.
    """
    from spatial_audio_lm.pipelines.recording_files import unusable_files

    unusable = unusable_files(files)
    engine, rate = None, None
    about = {"model": model, "normalized": "l2", "pooling": "joint"}
    if len(unusable) < len(set(files)):
        from spatial_audio_lm.cli.loading import load_embedding_engine
        from spatial_audio_lm.pipelines.recording_embeddings import RecordingEmbedder

        engine = load_embedding_engine(model, pooling, mono)
        if isinstance(engine, RecordingEmbedder):
            about |= {"normalized": "no", "pooling": engine.encoder.pooling}
            rate = engine.encoder.sampling_rate
        else:
            rate = engine.sample_rate
    vectors: list[Tensor] = []
    rows: list[dict[str, Any]] = []
    reports: list[dict[str, Any]] = []
    resampled: dict[str, int] = {}
    with progress_bar("Embedding", unit="file") as advance:
        for number, file in enumerate(files):
            name = file_field(file)
            try:
                if engine is None or file in unusable:
                    raise unusable[file]
                result = engine.embed(file, format)
            except Exception as error:
                if debug:
                    traceback.print_exception(error)
                print_error(reason_of_file(file, error))
                reports.append({"file": name, "rows": 0, "error": reason_of(error)})
            else:
                print_warnings(result.warnings)
                if result.resampled_from is not None:
                    resampled[name] = result.resampled_from
                    if not json:
                        print(f"{name}: resampled from {result.resampled_from} to {rate} Hz")
                vectors.append(result.embeddings)
                spans = zip(result.start_s, result.end_s, strict=True)
                rows += [{"file": name, "start_s": round(start, 3), "end_s": round(end, 3)} for start, end in spans]
                reports.append(
                    {
                        "file": name,
                        "rows": len(result.embeddings),
                        "resampled_from": result.resampled_from,
                        "error": None,
                    }
                )
            advance(number + 1, len(files))
    if not rows:
        raise DataError(f"none of the {len(files)} files could be embedded; {out.name} was not written")
    import torch
    from safetensors.torch import save

    table = torch.cat(vectors)
    about |= {"rows": json_format.dumps(rows), "resampled_from": json_format.dumps(resampled)}
    write_whole(out, save({"embeddings": table}, metadata=about))
    if json:
        print_json({"out": str(out), "rows": len(table), "dim": table.shape[1], "files": reports})
    else:
        print(f"{out}: {len(table)} rows of {table.shape[1]} from {len(vectors)} of {len(files)} files")
    if len(vectors) < len(files):
        raise typer.Exit(1)
