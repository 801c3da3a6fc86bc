"""One look for every picture: colours that colour-blind readers can tell apart, one font size scale, whole files.

Colours are those of Okabe and Ito (Color Universal Design, 2008), darkened where they carry text.
"""

import os
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.files import write_whole

INK = "#1f2933"
MUTED = "#66727f"
FAINT = "#d5dbe1"
GROUND = "#f6f8fa"
BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#00795c"
AMBER = "#E69F00"
SKY = "#8fb8d8"

TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 15.0, 11.0, 9.0
_DOTS_PER_INCH = 150
# The same picture gives the same bytes: no date, no version of the drawing library.
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None, "Producer": None}}


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of a size in inches, drawn without a window and without matplotlib's global state."""
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a picture whole or not at all; the suffix (.png, .svg, .pdf) chooses the kind.

    Raises:
        DataError: Another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _METADATA:
        raise DataError(f"a picture is saved as .png, .svg or .pdf, not as {suffix or 'a name without suffix'!r}")
    with matplotlib.rc_context({"svg.hashsalt": "spatial_audio_lm"}):
        write_whole(path, lambda part: figure.savefig(part, dpi=_DOTS_PER_INCH, metadata=_METADATA[suffix]))
