"""`spatial-audio-lm locate FILE [FILE ...]`: from where the sound of each recording comes."""

import traceback

import typer

from spatial_audio_lm.cli.options import DEFAULT_MODEL, Debug, Format, Json, Model, Recordings
from spatial_audio_lm.cli.output import one_line, print_error, print_json, print_warnings, progress_bar, reason_of
from spatial_audio_lm.cli.query import place_in_words
from spatial_audio_lm.pipelines.answers import Location, file_field
from spatial_audio_lm.pipelines.wording import clock


def locate(
    files: Recordings,
    model: Model = DEFAULT_MODEL,
    format: Format = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say from where the sound of each recording comes; one line a file, in the order given.

    A file that cannot be used is reported, the others go on, and the exit status is 1. A long recording is answered by
    its most certain window; --json has all of them.
    """
    from spatial_audio_lm.cli.loading import load_query_engine

    engine = load_query_engine(model)
    failed = False
    with progress_bar("Locating", unit="file") as advance:
        for number, file in enumerate(files):
            try:
                result = engine.locate(file, format)
            except Exception as error:
                failed = True
                if debug:
                    traceback.print_exception(error)
                if json:
                    print_json({"file": file_field(file), **Location().location_dict(), "error": reason_of(error)})
                else:
                    print_error(reason_of(error))
            else:
                print_warnings(result.warnings)
                if json:
                    fields = result.to_dict()
                    if len(result.windows) == 1:  # of a short recording it would say the same again
                        del fields["windows"]
                    print_json(fields)
                else:
                    when = f", heard at {clock(result.start_s)}" if len(result.windows) > 1 else ""
                    print(f"{one_line(file)}: {place_in_words(result)}{when}")
            advance(number + 1, len(files))
    if failed:
        raise typer.Exit(1)
