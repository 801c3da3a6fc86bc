"""The listener seen from above, and the wedge that says where a sound comes from and how sure that is.

Pictures have the front up and the left at the left, as on a map whose reader is the listener.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Ellipse, Polygon

from spatial_audio_lm.signal.conventions import direction_of, unit_vector
from spatial_audio_lm.viz.figures import INK, MUTED


def on_plan(azimuth_deg: float | np.ndarray, distance: float | np.ndarray = 1.0) -> tuple[Any, Any]:
    """Place on the picture of a direction: front is up, left is left.

    Args:
        azimuth_deg: 0 = front, positive = left.
        distance: In units of the picture.

    Returns:
        Horizontal and vertical coordinate.
    """
    vector = np.asarray(unit_vector(np.asarray(azimuth_deg, dtype=float), 0.0))
    return -np.asarray(distance) * vector[..., 1], np.asarray(distance) * vector[..., 0]


def draw_listener(
    axes: Axes, x: float, y: float, size: float, facing_deg: float = 0.0, label_size: float = 0.0
) -> None:
    """A head with nose and ears.

    Args:
        axes: With equal scales in both directions.
        x: Centre of the head.
        y: Centre of the head.
        size: Radius of the head in units of the picture.
        facing_deg: Where the nose points, 0 = up, positive = to the left.
        label_size: Font size of the word "you" in the head; 0 leaves it out.
    """

    def at(angle_deg: float, distance: float) -> tuple[float, float]:
        horizontal, vertical = on_plan(facing_deg + angle_deg, distance * size)
        return x + float(horizontal), y + float(vertical)

    nose = Polygon([at(22, 0.92), at(0, 1.42), at(-22, 0.92)], closed=True, facecolor=INK, edgecolor="none", zorder=6)
    axes.add_patch(nose)
    for side in (90.0, -90.0):
        ear = Ellipse(
            at(side, 1.0), 0.34 * size, 0.62 * size, angle=facing_deg, facecolor=INK, edgecolor="none", zorder=6
        )
        axes.add_patch(ear)
    axes.add_patch(Circle((x, y), size, facecolor="white", edgecolor=INK, linewidth=2.0, zorder=7))
    if label_size:
        axes.text(x, y, "you", size=label_size, color=MUTED, ha="center", va="center", zorder=8)


def draw_wedge(
    axes: Axes,
    x: float,
    y: float,
    azimuth_deg: float,
    half_width_deg: float,
    radius: float,
    color: str,
    alpha: float = 0.25,
) -> None:
    """A sector of a circle around a direction.

    Args:
        axes: With equal scales in both directions.
        x: Tip of the wedge.
        y: Tip of the wedge.
        azimuth_deg: Middle of the wedge, 0 = up, positive = to the left.
        half_width_deg: Angle from the middle to each side.
        radius: In units of the picture.
        color: Fill.
        alpha: Opacity of the fill.
    """
    half = min(half_width_deg, 180.0)
    across, along = on_plan(np.linspace(azimuth_deg - half, azimuth_deg + half, 121), radius)
    outline = np.stack([x + across, y + along], axis=-1)
    if half < 180.0:
        outline = np.concatenate([[(x, y)], outline])
    axes.add_patch(Polygon(outline, closed=True, facecolor=color, edgecolor="none", alpha=alpha, zorder=3))


def plan_half_width_deg(elevation_deg: float, spread_deg: float) -> float:
    """How wide a cone of uncertainty looks from above: the nearer to the zenith its middle, the wider.

    Args:
        elevation_deg: Of the middle of the cone.
        spread_deg: Half opening of the cone.

    Returns:
        Half width in azimuth; 180 where the cone holds the zenith or the nadir.
    """
    if spread_deg + abs(elevation_deg) >= 90.0:
        return 180.0
    # The cone's edge, seen from above: sin(half width) = sin(spread) / cos(elevation).
    sine = float(unit_vector(spread_deg, 0.0)[1] / unit_vector(0.0, elevation_deg)[0])
    return float(direction_of([max(0.0, 1.0 - sine**2) ** 0.5, min(sine, 1.0), 0.0])[0])
