"""The numbers of a search for words: its beams, and the tokens it may take."""

from numbers import Integral
from typing import Any

from spatial_audio_lm.errors import ConfigError

MOST_BEAMS = 64  # a first word has only so many likely ones, and memory grows with every beam


def whole_number(name: str, value: Any, most: int | None = None) -> int:
    """A number from 1 on.

    Args:
        name: How its user calls it.
        value: What was given.
        most: The greatest there may be; None: any.

    Raises:
        ConfigError: Something else.
    """
    whole = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else 0
    if whole < 1 or (most is not None and whole > most):
        expected = "of 1 or more" if most is None else f"from 1 to {most}"
        raise ConfigError(f"{name} is {value!r}; expected a whole number {expected}")
    return whole


def number_of_beams(value: Any) -> int:
    """How many beams a search has.

    Raises:
        ConfigError: Not 1 to `MOST_BEAMS`.
    """
    return whole_number("num_beams", value, MOST_BEAMS)
