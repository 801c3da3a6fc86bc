"""One picture of an answer: which sentence fits, and where the sound comes from, seen from above and from the side."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Circle

from spatial_audio_lm.pipelines.answers import Location, QueryResult, TextMatch
from spatial_audio_lm.pipelines.wording import OVERHEAD_DEG, clock, direction_numbers, direction_words
from spatial_audio_lm.signal.conventions import unit_vector, wrap_azimuth_deg
from spatial_audio_lm.viz.figures import (
    BLUE,
    FAINT,
    GROUND,
    INK,
    MUTED,
    ORANGE,
    SKY,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    new_figure,
)
from spatial_audio_lm.viz.listener import (
    draw_listener,
    draw_wedge,
    on_plan,
    plan_half_width_deg,
)
from spatial_audio_lm.viz.text_layout import line_height, wrap_text

_RINGS_M = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_MAX_TEXTS = 12
_PLAN, _BARS, _MARGIN, _SIDE = 5.2, 5.4, 0.45, 1.5  # widths in inches
_HEADER, _FOOTER = 0.8, 1.35  # heights in inches
_BAR_HEIGHT, _ROW_GAP = 0.17, 0.28  # heights in inches
_PERCENT_WIDTH = 0.75  # inches to the right of a full bar


def plot_answer(result: QueryResult, title: str | None = None) -> Figure:
    """Draws an answer for a reader who knows nothing of spatial audio.

    Left: the listener's head from above, rings of distance, the wedge that holds the source with a probability of
    80 percent, and the height seen from the side. Right, where sentences were given: one bar a sentence, best first.

    Args:
        result: The answer of a query or of a question about the place alone.
        title: Heading; the file's name if not given.
    """
    matches = [(match, wrap_text(match.text, _BARS - _PERCENT_WIDTH, TEXT_SIZE)) for match in result.results]
    rows = matches[:_MAX_TEXTS]
    bars = sum(len(lines) * line_height(TEXT_SIZE) + _BAR_HEIGHT + _ROW_GAP for _, lines in rows)
    width = _PLAN + 2 * _MARGIN + (_BARS + _MARGIN if rows else 0.0)
    height = max(_HEADER + _PLAN + _FOOTER, _HEADER + bars + 0.9)
    figure = new_figure(width, height)

    heading = title or (result.file or "A recording").replace("\\", "/").rsplit("/", 1)[-1]
    heading = wrap_text(heading, width - 2 * _MARGIN, TITLE_SIZE, "bold", max_lines=1)[0]
    _write(figure, heading, _MARGIN, height - 0.45, TITLE_SIZE, INK, "bold")

    def box(left: float, bottom: float, box_width: float, box_height: float) -> Axes:
        axes = figure.add_axes((left / width, bottom / height, box_width / width, box_height / height))
        axes.axis("off")
        return axes

    floor = height - _HEADER - _PLAN
    _draw_plan(box(_MARGIN, floor, _PLAN, _PLAN), result)
    if result.azimuth_deg is not None and result.elevation_deg is not None:
        _draw_side(box(_MARGIN + _PLAN - _SIDE, floor - 0.95, _SIDE, _SIDE), result.elevation_deg)
    _write_caption(figure, result, floor - 0.22)
    if rows:
        _draw_bars(box(2 * _MARGIN + _PLAN, 0, _BARS, height), rows, height, len(matches) - len(rows))
    return figure


def _draw_plan(axes: Axes, place: Location) -> None:
    axes.set(xlim=(-1.22, 1.22), ylim=(-1.22, 1.22), aspect="equal")
    axes.add_patch(Circle((0, 0), 1.0, facecolor=GROUND, edgecolor=FAINT, linewidth=1.2, zorder=1))
    for words, x, y, turn in (
        ("FRONT", 0, 1.11, 0),
        ("BACK", 0, -1.11, 0),
        ("LEFT", -1.11, 0, 90),
        ("RIGHT", 1.11, 0, -90),
    ):
        axes.text(x, y, words, size=TEXT_SIZE, color=MUTED, ha="center", va="center", weight="bold", rotation=turn)
    draw_listener(axes, 0, 0, 0.115, label_size=SMALL_SIZE)
    if place.azimuth_deg is None:
        for line, words in enumerate(wrap_text(place.reason or "no direction", 2.6, TEXT_SIZE)):
            axes.text(
                0, -0.32 - 0.1 * line, words, size=TEXT_SIZE, color=INK, ha="center", va="center", parse_math=False
            )
        return
    if place.elevation_deg is not None and place.spread_deg is not None:
        width_deg = plan_half_width_deg(place.elevation_deg, place.spread_deg)
        draw_wedge(axes, 0, 0, place.azimuth_deg, width_deg, 1.0, ORANGE)
    if place.elevation_deg is not None and abs(place.elevation_deg) > OVERHEAD_DEG:
        _draw_source(axes, 0.0, 0.0)  # over the head, or under it: from above, azimuth and distance are nothing
        return
    azimuth_deg, reach = place.azimuth_deg, 0.9
    if place.distance_m is not None:
        outer = next((ring for ring in _RINGS_M[2:] if ring >= 1.1 * place.distance_m), 1.2 * place.distance_m)
        reach = _ring_radius(place.distance_m, outer)
        # The rings are labelled where the wedge is not.
        label_side = max((45.0, -45.0, 135.0, -135.0), key=lambda side: abs(wrap_azimuth_deg(side - azimuth_deg)))
        for ring in [ring for ring in _RINGS_M if ring <= outer][-3:]:
            radius = _ring_radius(ring, outer)
            axes.add_patch(Circle((0, 0), radius, fill=False, edgecolor=FAINT, linewidth=1.2, zorder=2))
            x, y = on_plan(label_side, radius)
            text = axes.text(float(x), float(y), f"{ring:g} m", size=SMALL_SIZE, color=MUTED, ha="center", va="center")
            text.set(zorder=4, bbox={"facecolor": GROUND, "edgecolor": "none", "pad": 1.5})
    x, y = on_plan(azimuth_deg, reach)
    axes.plot([0, float(x)], [0, float(y)], color=ORANGE, linewidth=2.2, zorder=5)
    _draw_source(axes, float(x), float(y))


def _draw_source(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], "o", markersize=15, color=ORANGE, markeredgecolor="white", markeredgewidth=2, zorder=9)


def _ring_radius(distance_m: float, outer_m: float) -> float:
    """Place of a distance between head (0.2) and outer ring (1); near distances get more room than far ones."""
    return 0.2 + 0.8 * (distance_m / outer_m) ** 0.5


def _draw_side(axes: Axes, elevation_deg: float) -> None:
    """The height alone: the side the sound comes from is always drawn to the right; the line is ear level."""
    axes.set(xlim=(-0.55, 1.35), ylim=(-1.0, 0.9), aspect="equal")
    axes.add_patch(Arc((0, 0), 1.7, 1.7, theta1=-90, theta2=90, edgecolor=FAINT, linewidth=1.2))
    axes.plot([0, 1.0], [0, 0], color=MUTED, linewidth=1.0, linestyle=(0, (3, 3)))
    along, _, up = (float(part) for part in unit_vector(0.0, elevation_deg))
    axes.plot([0, 0.85 * along], [0, 0.85 * up], color=ORANGE, linewidth=2.0, zorder=3)
    axes.plot([0.85 * along], [0.85 * up], "o", markersize=9, color=ORANGE, markeredgecolor="white", zorder=4)
    axes.add_patch(Circle((0, 0), 0.24, facecolor="white", edgecolor=INK, linewidth=1.6, zorder=5))
    for words, height in (("up", 0.72), ("down", -0.72)):
        axes.text(-0.1, height, words, size=SMALL_SIZE, color=MUTED, ha="right", va="center")
    axes.text(0.4, -1.0, "height", size=SMALL_SIZE, color=MUTED, ha="center", va="top")


def _write_caption(figure: Figure, result: QueryResult, top: float) -> None:
    """The direction in words, then in numbers, at the left of the view from the side."""
    room = _PLAN - _SIDE - 0.15
    if result.azimuth_deg is None or result.elevation_deg is None:
        note = ["Sounds are recognised all the same; the picture shows no place."] if result.results else []
        headline = "No direction"
    else:
        headline = "The sound comes " + direction_words(result.azimuth_deg, result.elevation_deg)
        numbers = direction_numbers(result.azimuth_deg, result.elevation_deg)
        if result.distance_m is not None:
            numbers += f", about {result.distance_m:.1f} m away"
        note = [numbers]
        if result.spread_deg is not None:
            note.append("in 8 cases of 10 it is in the shaded part")
    if len(result.windows) > 1:
        note.append(f"heard from {clock(result.start_s)} to {clock(result.end_s)}")
    for text, size, color, weight in [
        (headline, TEXT_SIZE, INK, "bold"),
        *((line, SMALL_SIZE, MUTED, "normal") for line in note),
    ]:
        for line in wrap_text(text, room, size, weight):
            _write(figure, line, _MARGIN, top, size, color, weight)
            top -= line_height(size)


def _draw_bars(axes: Axes, rows: list[tuple[TextMatch, list[str]]], height: float, hidden: int) -> None:
    """One sentence over its bar; the length is the score, or the similarity of a single sentence."""
    axes.set(xlim=(0, _BARS), ylim=(0, height))
    single = all(match.score is None for match, _ in rows)
    top = height - _HEADER
    heading = "How well the sentence fits" if single else "Which sentence fits"
    axes.text(0, top, heading, size=TEXT_SIZE, color=MUTED, weight="bold", va="center")
    top -= 0.42
    full = _BARS - _PERCENT_WIDTH
    for rank, (match, lines) in enumerate(rows):
        best = rank == 0
        for line in lines:
            axes.text(0, top, line, size=TEXT_SIZE, color=INK, weight="bold" if best and not single else "normal",
                      va="center", parse_math=False)  # fmt: skip
            top -= line_height(TEXT_SIZE)
        share = match.similarity if single else match.score
        label = "–" if share is None else f"{share:.2f}" if single else f"{share:.1%}"
        axes.barh(top, full, _BAR_HEIGHT, color=GROUND, edgecolor=FAINT, linewidth=0.8)
        axes.barh(top, full * min(max(share or 0.0, 0.0), 1.0), _BAR_HEIGHT, color=BLUE if best else SKY)
        axes.text(full + 0.12, top, label, size=TEXT_SIZE, color=INK, weight="bold" if best else "normal", va="center")
        top -= _BAR_HEIGHT / 2 + _ROW_GAP
    note = "cosine similarity: 1 is a perfect fit, 0 or less no fit" if single else "the given sentences share 100%"
    if hidden:
        note = f"and {hidden} more sentence{'s' if hidden > 1 else ''} that fit less · {note}"
    axes.text(0, top - 0.02, note, size=SMALL_SIZE, color=MUTED, va="center")


def _write(figure: Figure, text: str, x: float, y: float, size: float, color: str, weight: str = "normal") -> None:
    """One line of text at a place in inches."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, size=size, color=color, weight=weight, va="center", parse_math=False)
