"""The place of a sound, seen from above with rings of distance, and its height seen from the side."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Arc, BoxStyle, Circle, FancyBboxPatch

from spatial_audio_lm.pipelines.answers import Location
from spatial_audio_lm.pipelines.wording import OVERHEAD_DEG
from spatial_audio_lm.signal.conventions import unit_vector, wrap_azimuth_deg
from spatial_audio_lm.viz.figures import FAINT, GROUND, INK, MUTED, ORANGE, SMALL_SIZE, TEXT_SIZE
from spatial_audio_lm.viz.labels import Box, along, around, place_label
from spatial_audio_lm.viz.listener import draw_listener, draw_wedge, on_plan, plan_half_width_deg
from spatial_audio_lm.viz.text_layout import line_height, text_width, wrap_text

PLAN = 5.2  # inches: width and height of the view from above
_HALF = 1.22  # units of the picture from its middle to its edge; 1 is the outermost ring
_INCHES = PLAN / (2 * _HALF)  # inches a unit
_RINGS_M = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_HEAD = 0.115
_NAME_WIDTH = 1.9  # inches
_PADDING = 0.07  # inches around the names
_MARKER = 0.15  # inches from the middle of the marker to its edge


def draw_plan(axes: Axes, place: Location, names: list[str]) -> None:
    """The listener's head, the front up the page, with the place of a sound and the sector that it may be in.

    Args:
        axes: Of `PLAN` inches either way.
        place: What is known of the place; without a direction its reason is written.
        names: What stands beside the place, one line each.
    """
    axes.set(xlim=(-_HALF, _HALF), ylim=(-_HALF, _HALF), aspect="equal")
    axes.add_patch(Circle((0, 0), 1.0, facecolor=GROUND, edgecolor=FAINT, linewidth=1.2, zorder=1))
    taken: list[tuple[Box, float]] = [(around(np.zeros(2), 1.5 * _HEAD * _INCHES), 10.0)]
    for words, x, y, turn in (
        ("FRONT", 0, 1.11, 0),
        ("BACK", 0, -1.11, 0),
        ("LEFT", -1.11, 0, 90),
        ("RIGHT", 1.11, 0, -90),
    ):
        axes.text(x, y, words, size=TEXT_SIZE, color=MUTED, ha="center", va="center", weight="bold", rotation=turn)
        across, up = (0.1, 0.32) if turn else (0.32, 0.1)
        left, bottom = x * _INCHES - across, y * _INCHES - up
        taken.append((Box(left, bottom, left + 2 * across, bottom + 2 * up), 100.0))
    draw_listener(axes, 0, 0, _HEAD, label_size=SMALL_SIZE)
    if place.azimuth_deg is None:
        for line, words in enumerate(wrap_text(place.reason or "no direction", 2.6, TEXT_SIZE)):
            axes.text(
                0, -0.32 - 0.1 * line, words, size=TEXT_SIZE, color=INK, ha="center", va="center", parse_math=False
            )
        return
    if place.elevation_deg is not None and place.spread_deg is not None:
        width_deg = place.sector_deg or plan_half_width_deg(place.elevation_deg, place.spread_deg)
        draw_wedge(axes, 0, 0, place.azimuth_deg, width_deg, 1.0, ORANGE)
        for edge_deg in (place.azimuth_deg - width_deg, place.azimuth_deg + width_deg):
            taken += along(np.zeros(2), np.array(on_plan(edge_deg), dtype=float) * _INCHES, 0.4)
    if place.elevation_deg is not None and abs(place.elevation_deg) > OVERHEAD_DEG:
        _draw_source(axes, 0.0, 0.0)  # over the head, or under it: from above, azimuth and distance are nothing
        _write_names(axes, names, 0.0, 0.0, 1.5 * _HEAD * _INCHES, taken[1:])
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
            taken.append((around(np.array([x, y], dtype=float) * _INCHES, 0.22), 10.0))
    x, y = on_plan(azimuth_deg, reach)
    axes.plot([0, float(x)], [0, float(y)], color=ORANGE, linewidth=2.2, zorder=5)
    _draw_source(axes, float(x), float(y))
    taken += along(np.zeros(2), np.array([x, y], dtype=float) * _INCHES, 1.0)
    _write_names(axes, names, float(x), float(y), _MARKER, taken)


def _write_names(
    axes: Axes, names: list[str], x: float, y: float, marker: float, taken: list[tuple[Box, float]]
) -> None:
    """What sounds, beside its place: where the label covers neither the head nor the rings' numbers.

    Args:
        axes: Of the plan.
        names: One line each.
        x: Of the place, in units of the picture.
        y: Of the place.
        marker: Inches that the label keeps from the place.
        taken: What is there.
    """
    if not names:
        return
    lines = [(wrap_text(name, _NAME_WIDTH, TEXT_SIZE, "bold", 1)[0], "normal" if rank else "bold")
             for rank, name in enumerate(names)]  # fmt: skip
    width = max(text_width(line, TEXT_SIZE, weight) for line, weight in lines) + 2 * _PADDING
    height = len(lines) * line_height(TEXT_SIZE) + 2 * _PADDING
    edge = (_HALF - 0.19) * _INCHES  # FRONT, LEFT, ... stand outside of it
    page = Box(-edge, -edge, edge, edge)
    left, bottom = place_label(x * _INCHES, y * _INCHES, width, height, marker, taken, page)
    corner, size = (left / _INCHES, bottom / _INCHES), (width / _INCHES, height / _INCHES)
    rounded = BoxStyle.Round(pad=0.0, rounding_size=_PADDING / _INCHES)
    card = FancyBboxPatch(corner, *size, boxstyle=rounded, facecolor="white", edgecolor=FAINT, alpha=0.92, zorder=9)
    axes.add_patch(card)
    top = bottom + height - _PADDING
    for rank, (line, weight) in enumerate(lines):
        middle = top - (rank + 0.5) * line_height(TEXT_SIZE)
        axes.text((left + _PADDING) / _INCHES, middle / _INCHES, line, size=TEXT_SIZE, weight=weight, color=INK,
                  va="center_baseline", zorder=10, parse_math=False)  # fmt: skip


def _draw_source(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], "o", markersize=15, color=ORANGE, markeredgecolor="white", markeredgewidth=2, zorder=9)


def _ring_radius(distance_m: float, outer_m: float) -> float:
    """Place of a distance between head (0.2) and outer ring (1); near distances get more room than far ones."""
    return 0.2 + 0.8 * (distance_m / outer_m) ** 0.5


def draw_side(axes: Axes, elevation_deg: float) -> None:
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
