"""`spatial-audio-lm locate FILE [FILE ...]`: what sounds in each recording, and from where."""

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Union

import typer

from spatial_audio_lm.cli.options import DEFAULT_MODEL, Debug, Format, Json, Recordings, ending_in
from spatial_audio_lm.cli.output import (
    one_line,
    print_error,
    print_json,
    print_warnings,
    progress_bar,
    reason_of,
    reason_of_file,
)
from spatial_audio_lm.cli.query import place_in_words
from spatial_audio_lm.models.checkpoints import DEFAULT_EVENTS_MODEL
from spatial_audio_lm.pipelines.answers import EVENT_THRESHOLD, EventsResult, Location, QueryResult, file_field
from spatial_audio_lm.pipelines.wording import clock

if TYPE_CHECKING:
    from spatial_audio_lm.pipelines.locating import SoundEventLocator
    from spatial_audio_lm.pipelines.querying import SpatialQuery

_MAX_EVENTS = 5  # named in a line; --json has all of them


def _probability(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise typer.BadParameter(f"{value:g} is no probability; 0 to 1 is wanted")
    return value


def locate(
    files: Recordings,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|FOLDER",
            help="A packaged checkpoint, or a folder of save_pretrained; its kind decides what it hears. "
            f"Not given: {DEFAULT_EVENTS_MODEL} for two channels, {DEFAULT_MODEL} for others.",
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            callback=_probability,
            help="Name sounds of at least this probability, and the most probable one in any case (models with two "
            "ears; others name none).",
        ),
    ] = EVENT_THRESHOLD,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.png",
            callback=ending_in(".png", ".svg", ".pdf"),
            help="Save a view from above of one recording (.png, .svg, .pdf).",
        ),
    ] = None,
    format: Format = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what sounds in each recording and from where; one line a file, in the order given.

    Binaural recordings get the names of their sounds, others their direction alone. A file that cannot be used is
    reported, the others go on, and the exit status is 1. A long recording is answered by one of its windows, the most
    certain (of binaural ones: of those that are loud); --json has all of them.
    """
    if plot is not None and len(files) > 1:
        raise typer.BadParameter(f"--plot draws one recording, and {len(files)} were given: locate them one by one")
    from spatial_audio_lm.pipelines.recording_files import unusable_files

    unusable = unusable_files(files)
    engines = _Engines(model if len(unusable) < len(set(files)) else None)
    failed = False
    with progress_bar("Locating", unit="file") as advance:
        for number, file in enumerate(files):
            try:
                if file in unusable:
                    raise unusable[file]
                result = engines.locate(file, format, threshold)
                if plot is not None:
                    _save_plot(result, plot)
            except Exception as error:
                failed = True
                if debug:
                    traceback.print_exception(error)
                if json:
                    place = Location().location_dict()
                    print_json({"file": file_field(file), **place, "events": [], "error": reason_of(error)})
                else:
                    print_error(reason_of_file(file, error))
            else:
                print_warnings(result.warnings)
                if json:
                    print_json(_fields(result))
                else:
                    print(f"{one_line(file)}: {_in_words(result, threshold)}")
                    if plot is not None:
                        print(f"picture: {plot}")
            advance(number + 1, len(files))
    if failed:
        raise typer.Exit(1)


class _Engines:
    """The engine for each recording, loaded when the first one needs it; a model that was asked for, at once."""

    def __init__(self, model: str | None):
        self.model = model
        self.loaded: dict[str, SpatialQuery | SoundEventLocator] = {}
        if model is not None:
            self._engine(model)

    def locate(self, file: str, format: str | None, threshold: float) -> QueryResult:
        from spatial_audio_lm.pipelines.locating import SoundEventLocator
        from spatial_audio_lm.pipelines.recordings import OpenRecording

        model = self.model
        if model is None:
            channels = OpenRecording(file, format).num_channels
            has_ears = format == "binaural" or (format is None and channels == 2)
            model = DEFAULT_EVENTS_MODEL if has_ears else DEFAULT_MODEL
        engine = self._engine(model)
        if isinstance(engine, SoundEventLocator):
            return engine.locate(file, format, threshold)
        return engine.locate(file, format)

    def _engine(self, model: str) -> Union["SpatialQuery", "SoundEventLocator"]:
        from spatial_audio_lm.cli.loading import load_locating_engine

        if model not in self.loaded:
            self.loaded[model] = load_locating_engine(model)
        return self.loaded[model]


def _save_plot(result: QueryResult, path: Path) -> None:
    from spatial_audio_lm.viz.directions import plot_answer
    from spatial_audio_lm.viz.figures import save_figure

    save_figure(plot_answer(result), path)


def _fields(result: QueryResult) -> dict[str, object]:
    fields = {**result.to_dict()}
    fields.setdefault("events", [])  # of a model that names none
    if len(result.windows) == 1:  # of a short recording it would say the same again
        del fields["windows"]
    return fields


def _in_words(result: QueryResult, threshold: float) -> str:
    said = place_in_words(result)
    if isinstance(result, EventsResult) and result.events:
        named = [f"{one_line(event.label)} {event.probability:.2f}" for event in result.events[:_MAX_EVENTS]]
        if len(result.events) > _MAX_EVENTS:
            named.append(f"{len(result.events) - _MAX_EVENTS} more")
        unsure = "perhaps " if result.events[0].probability < threshold else ""
        said = f"{unsure}{', '.join(named)}: {said}"
    if len(result.windows) > 1:
        said += f", heard at {clock(result.start_s)}"
    return said + (f"; resampled from {result.resampled_from} Hz" if result.resampled_from else "")
