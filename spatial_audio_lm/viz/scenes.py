"""The plan of a simulated scene: the room, the listener, what really sounded where, and what was estimated."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke

from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.pipelines.answers import Location
from spatial_audio_lm.pipelines.wording import direction_numbers
from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.simulation.receivers import turn_horizontally
from spatial_audio_lm.simulation.records import SceneRecord, SceneSource
from spatial_audio_lm.viz.figures import (
    BLUE,
    GROUND,
    INK,
    MUTED,
    ORANGE,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    new_figure,
)
from spatial_audio_lm.viz.labels import Box, along, around, place_label
from spatial_audio_lm.viz.listener import draw_listener, draw_wedge, on_plan, plan_half_width_deg
from spatial_audio_lm.viz.text_layout import line_height, text_width, wrap_text

_WIDTH, _PLAN, _MARGIN = 7.6, 6.4, 0.6  # inches
_MARKER = 0.16  # inches
_LABEL_WIDTH = 2.1  # inches


def plot_scene(record: SceneRecord, estimate: Location | None = None, title: str | None = None) -> Figure:
    """Draws a scene as a map that is turned so that the listener looks up the page.

    Args:
        record: The scene.
        estimate: What a model said about its sound: drawn as a wedge and a point.
        title: Heading; the scene's name if not given.
    """
    heading = wrap_text(title or record.scene_id, _WIDTH - 2 * _MARGIN, TITLE_SIZE, "bold", max_lines=3)
    height = _PLAN + 2.3 + (len(heading) - 1) * line_height(TITLE_SIZE)
    figure = new_figure(_WIDTH, height)

    def write(text: str, y: float, size: float, color: str, weight: str = "normal") -> None:
        x = _MARGIN / _WIDTH
        figure.text(x, y / height, text, size=size, color=color, weight=weight, va="center", parse_math=False)

    top = height - 0.5
    for line in heading:
        write(line, top, TITLE_SIZE, INK, "bold")
        top -= line_height(TITLE_SIZE)
    top -= 0.08
    x, y, z = record.room.size_m
    write(
        f"a room of {x:.1f} × {y:.1f} m, {z:.1f} m high, reverberation {record.room.t30_s:.2f} s",
        top,
        TEXT_SIZE,
        MUTED,
    )
    write(
        "◆ where the sound is" if len(record.sources) == 1 else "◆ where the sounds are", 0.75, SMALL_SIZE, BLUE, "bold"
    )
    if estimate is not None:
        if estimate.azimuth_deg is None or estimate.elevation_deg is None:
            text = f"● no estimate: {estimate.reason}"
        else:
            text = f"● estimate: {direction_numbers(estimate.azimuth_deg, estimate.elevation_deg)}"
            text += f", about {estimate.distance_m:.1f} m away" if estimate.distance_m is not None else ""
        write(text, 0.5, SMALL_SIZE, ORANGE, "bold")

    left = (_WIDTH - _PLAN) / 2
    axes = figure.add_axes((left / _WIDTH, 1.1 / height, _PLAN / _WIDTH, _PLAN / height))
    _draw_plan(axes, record, estimate)
    return figure


def _from_listener(record: SceneRecord, position_m: np.ndarray) -> np.ndarray:
    """Place on the map, in metres from the listener: right, up the page (front)."""
    turned = turn_horizontally(position_m - np.asarray(record.receiver.position_m), -record.receiver.yaw_deg)
    return np.array([-turned[1], turned[0]])


def _draw_plan(axes: Axes, record: SceneRecord, estimate: Location | None) -> None:
    x, y, _ = record.room.size_m
    height_m = record.receiver.position_m[2]
    corners = np.stack(
        [_from_listener(record, np.array([cx, cy, height_m])) for cx, cy in ((0, 0), (x, 0), (x, y), (0, y))]
    )
    middle, half = (corners.min(0) + corners.max(0)) / 2, (corners.max(0) - corners.min(0)).max() / 2 * 1.06
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), aspect="equal")
    axes.axis("off")
    metres_per_inch = 2 * half / _PLAN
    room = Polygon(corners, closed=True, facecolor=GROUND, edgecolor=MUTED, linewidth=2.0, zorder=1, joinstyle="round")
    axes.add_patch(room)

    head = 0.16 * metres_per_inch
    taken = [(Box(-0.24, -0.24, 0.24, 0.3), 10.0)]
    for corner, following in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        taken += along(corner / metres_per_inch, following / metres_per_inch, 0.3)
    if estimate is not None and estimate.azimuth_deg is not None:
        distance = estimate.distance_m if estimate.distance_m is not None else half
        level = float(unit_vector(0.0, estimate.elevation_deg or 0.0)[0])  # a plan shortens what is above or below
        if estimate.spread_deg is not None and estimate.elevation_deg is not None:
            width_deg = estimate.sector_deg or plan_half_width_deg(estimate.elevation_deg, estimate.spread_deg)
            draw_wedge(axes, 0, 0, estimate.azimuth_deg, width_deg, 3 * half, ORANGE, 0.2)
            axes.patches[-1].set_clip_path(room)
        point = np.array([float(part) for part in on_plan(estimate.azimuth_deg, distance * level)])
        axes.plot([0, point[0]], [0, point[1]], color=ORANGE, linewidth=1.8, zorder=4)
        axes.plot(*point, "o", markersize=11, color=ORANGE, markeredgecolor="white", markeredgewidth=1.5, zorder=6)
        taken += [(around(point / metres_per_inch, _MARKER), 10.0), *along(np.zeros(2), point / metres_per_inch, 1.0)]
    draw_listener(axes, 0, 0, head, label_size=SMALL_SIZE - 2)

    places = [(source, _from_listener(record, np.asarray(source.position_m))) for source in record.sources]
    for _, place in places:
        taken += [(around(place / metres_per_inch, _MARKER), 10.0), *along(np.zeros(2), place / metres_per_inch, 0.5)]
    page = Box(*(np.array([middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half]) / metres_per_inch))
    for source, place in places:
        axes.plot([0, place[0]], [0, place[1]], color=BLUE, linewidth=1.2, linestyle=(0, (4, 3)), zorder=3)
        axes.plot(*place, "D", markersize=10, color=BLUE, markeredgecolor="white", markeredgewidth=1.5, zorder=7)
        _label_source(axes, source, place, height_m, metres_per_inch, taken, page)
    _draw_scale(axes, half, middle, metres_per_inch)


def _label_source(
    axes: Axes,
    source: SceneSource,
    place: np.ndarray,
    height_m: float,
    scale: float,
    taken: list[tuple[Box, float]],
    page: Box,
) -> None:
    """Writes what a source is beside it, where it covers least of what is there already."""
    label = next((known.label for known in SOUND_CLASSES if known.id == source.sound_class), source.sound_class)
    name = wrap_text(label.replace("_", " "), _LABEL_WIDTH, TEXT_SIZE, "bold", 2)
    rise = source.position_m[2] - height_m
    height = "at ear level" if abs(rise) < 0.1 else f"{abs(rise):.1f} m {'above' if rise > 0 else 'below'} the ears"
    facts = [f"{source.distance_m:.1f} m away", height]
    lines = [(line, TEXT_SIZE, "bold") for line in name] + [(line, SMALL_SIZE, "normal") for line in facts]
    width = max(text_width(*line) for line in lines) + 0.05
    tall = sum(line_height(size) for _, size, _ in lines)
    x, y = place / scale
    left, bottom = place_label(float(x), float(y), width, tall, _MARKER, taken, page)
    halo = [withStroke(linewidth=3.0, foreground=GROUND)]
    top = bottom + tall
    for text, size, weight in lines:
        top -= line_height(size) / 2
        color = BLUE if weight == "bold" else MUTED
        axes.text(left * scale, top * scale, text, size=size, weight=weight, color=color, va="center", zorder=9,
                  parse_math=False, path_effects=halo)  # fmt: skip
        top -= line_height(size) / 2


def _draw_scale(axes: Axes, half: float, middle: np.ndarray, scale: float) -> None:
    """A bar of one metre (or more, in a hall) at the lower right."""
    length = next(metres for metres in (1, 2, 5, 10, 20, 50, 100) if metres / scale >= 0.5)
    right, bottom = middle[0] + half, middle[1] - half - 0.12 * scale
    axes.plot([right - length, right], [bottom, bottom], color=INK, linewidth=2.0, clip_on=False, solid_capstyle="butt")
    axes.text(
        right - length / 2, bottom - 0.05 * scale, f"{length} m", size=SMALL_SIZE, color=MUTED, ha="center", va="top"
    )
