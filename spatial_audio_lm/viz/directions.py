"""One picture of an answer: what fits or sounds, and where the sound comes from, seen from above and from the side."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spatial_audio_lm.pipelines.answers import EventsResult, QueryResult
from spatial_audio_lm.pipelines.wording import clock, direction_numbers, direction_words
from spatial_audio_lm.viz.figures import (
    BLUE,
    FAINT,
    GROUND,
    INK,
    MUTED,
    SKY,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    new_figure,
)
from spatial_audio_lm.viz.plans import PLAN, draw_plan, draw_side
from spatial_audio_lm.viz.text_layout import line_height, wrap_text

_MAX_BARS = 12
_MAX_NAMES = 3  # at the place; the bars have more
_BARS, _MARGIN, _SIDE = 5.4, 0.45, 1.5  # widths in inches
_HEADER, _FOOTER = 0.8, 1.35  # heights in inches
_BAR_HEIGHT, _ROW_GAP = 0.17, 0.28  # heights in inches
_PERCENT_WIDTH = 0.75  # inches to the right of a full bar


@dataclass(frozen=True)
class _Bar:
    """Lines of text over a bar of a length from 0 to 1, and the number at its end."""

    lines: list[str]
    share: float
    number: str


def plot_answer(result: QueryResult, title: str | None = None) -> Figure:
    """Draws an answer for a reader who knows nothing of spatial audio.

    Left: the listener's head from above, rings of distance, the wedge that holds the source with a probability of
    80 percent, and the height seen from the side. Right, where sentences were given or sounds are named: one bar each,
    best first.

    Args:
        result: The answer of a query, or of a question about the place alone; of events their names stand at the place.
        title: Heading; the file's name if not given.
    """
    heading_of_bars, all_bars, note = _bars(result)
    rows = all_bars[:_MAX_BARS]
    bars = sum(len(row.lines) * line_height(TEXT_SIZE) + _BAR_HEIGHT + _ROW_GAP for row in rows)
    width = PLAN + 2 * _MARGIN + (_BARS + _MARGIN if rows else 0.0)
    height = max(_HEADER + PLAN + _FOOTER, _HEADER + bars + 0.9)
    figure = new_figure(width, height)

    heading = title or (result.file or "A recording").replace("\\", "/").rsplit("/", 1)[-1]
    heading = wrap_text(heading, width - 2 * _MARGIN, TITLE_SIZE, "bold", max_lines=1)[0]
    _write(figure, heading, _MARGIN, height - 0.45, TITLE_SIZE, INK, "bold")

    def box(left: float, bottom: float, box_width: float, box_height: float) -> Axes:
        axes = figure.add_axes((left / width, bottom / height, box_width / width, box_height / height))
        axes.axis("off")
        return axes

    floor = height - _HEADER - PLAN
    draw_plan(box(_MARGIN, floor, PLAN, PLAN), result, _names(result))
    if result.azimuth_deg is not None and result.elevation_deg is not None:
        draw_side(box(_MARGIN + PLAN - _SIDE, floor - 0.95, _SIDE, _SIDE), result.elevation_deg)
    _write_caption(figure, result, floor - 0.22)
    if rows:
        _draw_bars(box(2 * _MARGIN + PLAN, 0, _BARS, height), rows, height, heading_of_bars, note)
    return figure


def _names(result: QueryResult) -> list[str]:
    """What stands at the place of the sound."""
    if not isinstance(result, EventsResult):
        return []
    names = [f"{event.label} {event.probability:.0%}" for event in result.events]
    hidden = len(names) - _MAX_NAMES
    return names if hidden <= 1 else [*names[:_MAX_NAMES], f"and {hidden} more"]


def _bars(result: QueryResult) -> tuple[str, list[_Bar], str]:
    """Heading, bars and the note below them."""
    room = _BARS - _PERCENT_WIDTH
    if isinstance(result, EventsResult):
        rows = [
            _Bar(wrap_text(event.label, room, TEXT_SIZE), event.probability, f"{event.probability:.0%}")
            for event in result.events
        ]
        hidden, heading = len(rows) - _MAX_BARS, "What sounds"
        note = "how sure the model is" + (" of each; all have the one place" if len(rows) > 1 else "")
        if hidden > 0:
            note = f"and {hidden} more, less probable · all have the one place"
    else:
        single = all(match.score is None for match in result.results)
        rows = []
        for match in result.results:
            share = match.similarity if single else match.score
            number = "–" if share is None else f"{share:.2f}" if single else f"{share:.1%}"
            rows.append(_Bar(wrap_text(match.text, room, TEXT_SIZE), share or 0.0, number))
        heading = "How well the sentence fits" if single else "Which sentence fits"
        note = "cosine similarity: 1 is a perfect fit, 0 or less no fit" if single else "the given sentences share 100%"
        hidden = len(rows) - _MAX_BARS
        if hidden > 0:
            note = f"and {hidden} more sentence{'s' if hidden > 1 else ''} that fit less · {note}"
    return heading, rows, note


def _write_caption(figure: Figure, result: QueryResult, top: float) -> None:
    """The direction in words, then in numbers, at the left of the view from the side."""
    room = PLAN - _SIDE - 0.15
    if result.azimuth_deg is None or result.elevation_deg is None:
        heard = result.events if isinstance(result, EventsResult) else result.results
        note = ["Sounds are recognised all the same; the picture shows no place."] if heard else []
        headline = "No direction"
    else:
        headline = "The sound comes " + direction_words(result.azimuth_deg, result.elevation_deg)
        numbers = direction_numbers(result.azimuth_deg, result.elevation_deg)
        if result.distance_m is not None:
            numbers += f", about {result.distance_m:.1f} m away"
        note = [numbers]
        if result.spread_deg is not None:
            is_sure = "80% sure that" if isinstance(result, EventsResult) else "in 8 cases of 10"
            note.append(f"{is_sure} it is in the shaded part")
    if len(result.windows) > 1:
        note.append(f"heard from {clock(result.start_s)} to {clock(result.end_s)}")
    for text, size, color, weight in [
        (headline, TEXT_SIZE, INK, "bold"),
        *((line, SMALL_SIZE, MUTED, "normal") for line in note),
    ]:
        for line in wrap_text(text, room, size, weight):
            _write(figure, line, _MARGIN, top, size, color, weight)
            top -= line_height(size)


def _draw_bars(axes: Axes, rows: list[_Bar], height: float, heading: str, note: str) -> None:
    """Each text over its bar, the first one stressed if there are others."""
    axes.set(xlim=(0, _BARS), ylim=(0, height))
    top = height - _HEADER
    axes.text(0, top, heading, size=TEXT_SIZE, color=MUTED, weight="bold", va="center")
    top -= 0.42
    full = _BARS - _PERCENT_WIDTH
    for rank, row in enumerate(rows):
        best = rank == 0
        for line in row.lines:
            axes.text(0, top, line, size=TEXT_SIZE, color=INK, weight="bold" if best and len(rows) > 1 else "normal",
                      va="center", parse_math=False)  # fmt: skip
            top -= line_height(TEXT_SIZE)
        axes.barh(top, full, _BAR_HEIGHT, color=GROUND, edgecolor=FAINT, linewidth=0.8)
        axes.barh(top, full * min(max(row.share, 0.0), 1.0), _BAR_HEIGHT, color=BLUE if best else SKY)
        axes.text(full + 0.12, top, row.number, size=TEXT_SIZE, color=INK, weight="bold" if best else "normal",
                  va="center")  # fmt: skip
        top -= _BAR_HEIGHT / 2 + _ROW_GAP
    axes.text(0, top - 0.02, note, size=SMALL_SIZE, color=MUTED, va="center")


def _write(figure: Figure, text: str, x: float, y: float, size: float, color: str, weight: str = "normal") -> None:
    """One line of text at a place in inches."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, size=size, color=color, weight=weight, va="center", parse_math=False)
