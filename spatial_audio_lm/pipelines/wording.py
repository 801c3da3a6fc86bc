"""Directions and times in words that need no convention."""

import math

_SIDES = (
    "the front",
    "the front left",
    "the left",
    "the back left",
    "behind",
    "the back right",
    "the right",
    "the front right",
)
OVERHEAD_DEG = 70.0  # so far up or down a sound is above or below, and on no side


def direction_words(azimuth_deg: float, elevation_deg: float) -> str:
    """A direction as one says it: "from the front left, slightly above ear level"."""
    side = _SIDES[math.floor((azimuth_deg % 360.0 + 22.5) / 45.0) % 8]
    if abs(elevation_deg) > OVERHEAD_DEG:
        return f"from {'above' if elevation_deg > 0 else 'below'}"
    if abs(elevation_deg) < 10.0:
        return f"from {side}, at ear level"
    where = "above" if elevation_deg > 0 else "below"
    return f"from {side}, {'slightly ' if abs(elevation_deg) < 25.0 else ''}{where} ear level"


def direction_numbers(azimuth_deg: float, elevation_deg: float) -> str:
    """A direction in numbers: "78° to the left, 14° up"."""
    turn, height = round(abs(azimuth_deg)), round(abs(elevation_deg))
    sideways = f"{turn}° to the {'left' if azimuth_deg > 0 else 'right'}" if turn not in (0, 180) else f"{turn}°"
    return sideways + (f", {height}° {'up' if elevation_deg > 0 else 'down'}" if height else ", level")


def clock(seconds: float) -> str:
    """A time in a recording: "0:07", "1:02:03"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
