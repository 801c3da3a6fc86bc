"""Where a label can stand beside its marker without covering what is there already. All lengths are in inches."""

from dataclasses import dataclass

import numpy as np

from spatial_audio_lm.signal.conventions import unit_vector


@dataclass(frozen=True)
class Box:
    """A rectangle of the picture, in inches."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "Box") -> bool:
        """Whether they share more than an edge."""
        apart = (
            self.right <= other.left or other.right <= self.left or self.top <= other.bottom or other.top <= self.bottom
        )
        return not apart

    def outside_of(self, other: "Box") -> float:
        """How far it sticks out of another one, in inches."""
        return (
            max(0.0, other.left - self.left) + max(0.0, self.right - other.right)
            + max(0.0, other.bottom - self.bottom) + max(0.0, self.top - other.top)
        )  # fmt: skip


def around(place: np.ndarray, margin: float) -> Box:
    """The box of a marker at a place `(2,)`."""
    return Box(place[0] - margin, place[1] - margin, place[0] + margin, place[1] + margin)


def along(start: np.ndarray, end: np.ndarray, price: float) -> list[tuple[Box, float]]:
    """A line as a chain of small boxes: what a label pays for each that it covers."""
    steps = np.linspace(0.0, 1.0, max(2, int(np.linalg.norm(end - start) / 0.1)))[:, None]
    return [(Box(x - 0.02, y - 0.02, x + 0.02, y + 0.02), price) for x, y in start + steps * (end - start)]


def place_label(
    x: float, y: float, width: float, height: float, marker: float, taken: list[tuple[Box, float]], page: Box
) -> tuple[float, float]:
    """The place around a marker where a label covers least of what is there already, and of that the nearest.

    Args:
        x, y: The marker.
        width, height: Of the label.
        marker: Half width of the marker.
        taken: What is there, with the price of covering it; the label is added.
        page: What the label should not leave.

    Returns:
        Left and bottom of the label.
    """
    # All around the marker, close to it first: the box touches its circle with the side or corner that faces it.
    directions = np.asarray(unit_vector(np.arange(0.0, 360.0, 15.0), 0.0))[:, :2]
    reach = np.minimum(
        width / 2 / np.maximum(np.abs(directions[:, 0]), 1e-6), height / 2 / np.maximum(np.abs(directions[:, 1]), 1e-6)
    )
    corners = [
        (x + direction[0] * (gap + r) - width / 2, y + direction[1] * (gap + r) - height / 2)
        for gap in (marker + 0.06, 2 * marker + 0.06)
        for direction, r in zip(directions, reach, strict=True)
    ]

    def cost(index: int) -> tuple[float, int]:
        left, bottom = corners[index]
        box = Box(left, bottom, left + width, bottom + height)
        return sum(price for other, price in taken if box.overlaps(other)) + 10.0 * box.outside_of(page), index

    left, bottom = corners[min(range(len(corners)), key=cost)]
    taken.append((Box(left, bottom, left + width, bottom + height), 10.0))
    return left, bottom
