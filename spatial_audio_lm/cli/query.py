"""`spatial-audio-lm query FILE "text" ["text" ...]`: which sentence fits, from where, and when."""

import itertools
import os
from pathlib import Path
from typing import Annotated

import typer

from spatial_audio_lm.cli.options import DEFAULT_MODEL, Debug, Format, Json, Model, ending_in
from spatial_audio_lm.cli.output import print_json, print_warnings, progress_bar
from spatial_audio_lm.errors import TextError
from spatial_audio_lm.pipelines.answers import QueryResult, Window
from spatial_audio_lm.pipelines.wording import clock, direction_numbers, direction_words

_MAX_LINES = 40  # of the timeline; a longer one shows its best moments
_QUIET = "nothing to hear"
_BAR_LENGTH = 20


def query(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A sound file: WAV, FLAC, OGG, ...")],
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Sentences, each in quotes.")],
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.png", callback=ending_in(".png", ".svg", ".pdf"), help="Save a picture (.png, .svg, .pdf)."
        ),
    ] = None,
    model: Model = DEFAULT_MODEL,
    format: Format = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say how well sentences fit a recording, from where its sound comes and, if it is long, when.

    Example: spatial-audio-lm query garden.wav "a dog barking from the left" "rain from behind"
    """
    for text in texts:
        if os.path.isfile(text):
            raise TextError(f"{text} is a file: query takes one recording, then sentences; locate and embed take many")
    from spatial_audio_lm.cli.loading import load_query_engine
    from spatial_audio_lm.pipelines.recording_files import recording_info

    recording_info(file)
    engine = load_query_engine(model)
    with progress_bar("Listening") as advance:
        result = engine.query(file, texts, format, advance)
    if plot is not None:
        from spatial_audio_lm.viz.directions import plot_answer
        from spatial_audio_lm.viz.figures import save_figure
        from spatial_audio_lm.viz.timelines import plot_timeline

        save_figure(plot_timeline(result) if len(result.windows) > 1 else plot_answer(result), plot)
    print_warnings(result.warnings)
    if json:
        print_json(result.to_dict())
    else:
        print("\n".join(_lines(result)))
        if plot is not None:
            print(f"picture: {plot}")


def place_in_words(result: QueryResult | Window) -> str:
    """Direction, distance and confidence on one line, or why there is none."""
    if result.azimuth_deg is None or result.elevation_deg is None:
        return f"no direction ({result.reason})"
    numbers = direction_numbers(result.azimuth_deg, result.elevation_deg)
    distance = f", about {result.distance_m:.1f} m away" if result.distance_m is not None else ""
    return f"{numbers}{distance} (within 20° with a probability of {result.confidence or 0.0:.0%})"


def _lines(result: QueryResult) -> list[str]:
    lines, is_long = [], len(result.windows) > 1
    for match in result.results:
        when = f"   (best at {clock(match.start_s or 0.0)}-{clock(match.end_s or 0.0)})" if is_long else ""
        if match.score is None:
            lines.append(f"{match.similarity or 0.0:6.2f}  {match.text}{when}")
            lines.append("        (similarity, -1 to 1: it says more beside that of other sentences)")
        else:
            bar = "█" * round(match.score * _BAR_LENGTH)
            lines.append(f"{match.score:6.1%} {bar:<{_BAR_LENGTH}} {match.text}{when}")
    lines.append("")
    if result.azimuth_deg is not None and result.elevation_deg is not None:
        what = f"At {clock(result.start_s)} the sound" if is_long else "The sound"
        lines.append(f"{what} comes {direction_words(result.azimuth_deg, result.elevation_deg)}.")
    lines.append(place_in_words(result))
    if result.resampled_from:
        lines.append(f"resampled from {result.resampled_from} Hz to the model's rate")
    return lines + _timeline(result) if is_long else lines


def _timeline(result: QueryResult) -> list[str]:
    """One line for every stretch in which the same sentence fits best, with the place at its best moment."""
    spans = [list(group) for _, group in itertools.groupby(result.windows, key=_best_text)]
    shown = sorted(spans, key=lambda span: -max(window.best_similarity for window in span))[:_MAX_LINES]
    lines = ["", "the timeline, by the sentence that fits best:"]
    for span in sorted(shown, key=lambda span: span[0].start_s):
        best = max(span, key=lambda window: window.best_similarity)
        said = f"{best.best_similarity:5.2f}  {_best_text(best)}" if _best_text(best) else _QUIET
        when = f"{clock(span[0].start_s)}-{clock(span[-1].end_s)}"
        lines.append(f"{when:>13}  {said}" + (f"  |  {place_in_words(best)}" if said != _QUIET else ""))
    if len(spans) > len(shown):
        lines.append(f"the best {len(shown)} of {len(spans)} stretches; --json prints all windows")
    return lines


def _best_text(window: Window) -> str | None:
    audible = [match for match in window.results if match.similarity is not None]
    return max(audible, key=lambda match: match.similarity or 0.0).text if audible else None
