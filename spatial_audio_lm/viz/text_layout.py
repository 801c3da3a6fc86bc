"""Text that fits: sentences are wrapped by the measured width of their letters, never by counting them."""

import functools

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

_POINTS_PER_INCH = 72.0
LINE_SPACING = 1.25  # line height over font size


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of one line of text in inches.

    Args:
        text: One line.
        size: Font size in points.
        weight: "normal" or "bold".
    """
    width, _, _ = TextToPath().get_text_width_height_descent(text, FontProperties(size=size, weight=weight), False)
    return float(width) / _POINTS_PER_INCH


def line_height(size: float) -> float:
    """Height of one line of text in inches."""
    return size * LINE_SPACING / _POINTS_PER_INCH


def wrap_text(text: str, width: float, size: float, weight: str = "normal", max_lines: int = 4) -> list[str]:
    """Breaks a sentence into lines that are no wider than asked; a word that is too long is broken too.

    Args:
        text: The sentence; any whitespace counts as one blank.
        width: Room in inches.
        size: Font size in points.
        weight: "normal" or "bold".
        max_lines: What is longer ends in an ellipsis.

    Returns:
        At least one line.
    """

    def fits(line: str) -> bool:
        return text_width(line, size, weight) <= width

    lines = [""]
    for word in text.split():
        if fits(f"{lines[-1]} {word}".strip()):
            lines[-1] = f"{lines[-1]} {word}".strip()
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and not fits(lines[-1] + letter):
                lines.append("")
            lines[-1] += letter
    if len(lines) > max_lines:
        last = lines[max_lines - 1]
        while last and not fits(last + "…"):
            last = last[:-1]
        lines = [*lines[: max_lines - 1], last.rstrip() + "…"]
    return lines
