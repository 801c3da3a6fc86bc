"""A long recording at a glance: when each sentence fits, and from where the sound comes at each moment."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.pipelines.answers import QueryResult, Window
from spatial_audio_lm.pipelines.wording import clock
from spatial_audio_lm.viz.figures import (
    BLUE,
    FAINT,
    GROUND,
    INK,
    MUTED,
    ORANGE,
    SMALL_SIZE,
    TEXT_SIZE,
    TITLE_SIZE,
    new_figure,
)
from spatial_audio_lm.viz.text_layout import line_height, wrap_text

_WIDTH, _MARGIN, _AXIS_WIDTH = 10.5, 0.45, 0.75  # inches
_STRIP, _DIRECTION, _GAP = 0.55, 2.6, 0.26  # heights in inches
_MAX_TEXTS = 8
_TIME_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def plot_timeline(result: QueryResult, title: str | None = None) -> Figure:
    """Draws a recording of several windows.

    On top one strip a sentence, all on one scale, with the moment at which it fits best; below the direction at each
    moment, with its uncertainty as a bar. Stretches with nothing to hear, or without a direction, stay empty.

    Args:
        result: Answer of a recording longer than one window.
        title: Heading; the file's name if not given.

    Raises:
        DataError: The answer has one window only; `plot_answer` shows it.
    """
    windows = result.windows
    if len(windows) < 2:
        raise DataError("a timeline needs a recording of several windows; plot_answer draws a short one")
    best = {text: _best_window(windows, text) for text in dict.fromkeys(match.text for match in windows[0].results)}
    texts = sorted(best, key=lambda text: -_similarity(windows[best[text]], text))[:_MAX_TEXTS]
    plot_width = _WIDTH - 2 * _MARGIN - _AXIS_WIDTH
    rows = [(text, wrap_text(text, plot_width - 1.7, TEXT_SIZE)) for text in texts]
    text_rows = sum(len(lines) * line_height(TEXT_SIZE) + _STRIP + _GAP for _, lines in rows)
    height = 0.85 + text_rows + (0.35 if rows else 0.0) + 0.35 + _DIRECTION + 0.75
    figure = new_figure(_WIDTH, height)

    def write(
        text: str,
        x: float,
        y: float,
        size: float = TEXT_SIZE,
        color: str = INK,
        weight: str = "normal",
        ha: str = "left",
    ) -> None:
        figure.text(
            x / _WIDTH, y / height, text, size=size, color=color, weight=weight, ha=ha, va="center", parse_math=False
        )

    def strip(bottom: float, strip_height: float) -> Axes:
        left = _MARGIN + _AXIS_WIDTH
        return figure.add_axes((left / _WIDTH, bottom / height, plot_width / _WIDTH, strip_height / height))

    heading = title or (result.file or "A recording").replace("\\", "/").rsplit("/", 1)[-1]
    write(
        wrap_text(heading, _WIDTH - 2 * _MARGIN, TITLE_SIZE, "bold", 1)[0],
        _MARGIN,
        height - 0.45,
        TITLE_SIZE,
        weight="bold",
    )
    top = height - 0.9
    if rows:
        write("When each sentence fits", _MARGIN, top, color=MUTED, weight="bold")
        top -= 0.35
    levels = [match.similarity for window in windows for match in window.results if match.similarity is not None]
    scale = (min([0.0, *levels]), max([0.1, *levels]) * 1.05)
    for text, lines in rows:
        window = windows[best[text]]
        for line in lines:
            write(line, _MARGIN + _AXIS_WIDTH, top, weight="bold" if text == texts[0] else "normal")
            top -= line_height(TEXT_SIZE)
        note = f"best at {clock(window.start_s)}" if np.isfinite(_similarity(window, text)) else "nothing to hear"
        write(note, _WIDTH - _MARGIN, top + line_height(TEXT_SIZE), SMALL_SIZE, MUTED, ha="right")
        top -= _STRIP - line_height(TEXT_SIZE) / 2
        _draw_similarity(strip(top, _STRIP), windows, text, best[text], scale)
        top -= _GAP - line_height(TEXT_SIZE) / 2 + 0.05
    top -= 0.1
    write("From where the sound comes", _MARGIN, top, color=MUTED, weight="bold")
    _draw_direction(strip(top - 0.25 - _DIRECTION, _DIRECTION), windows)
    write("a bar holds the direction in 8 cases of 10; pale points are less certain", _MARGIN + _AXIS_WIDTH,
          top - 0.25 - _DIRECTION - 0.48, SMALL_SIZE, MUTED)  # fmt: skip
    return figure


def _similarity(window: Window, text: str) -> float:
    found = next((match.similarity for match in window.results if match.text == text), None)
    return float("-inf") if found is None else found


def _best_window(windows: tuple[Window, ...], text: str) -> int:
    return max(range(len(windows)), key=lambda index: _similarity(windows[index], text))


def _certainty(window: Window) -> float:
    """Opacity of a window's point."""
    return 0.25 + 0.75 * (window.confidence or 0.0)


def _middles(windows: tuple[Window, ...]) -> np.ndarray:
    return np.array([(window.start_s + window.end_s) / 2 for window in windows])


def _style_time(axes: Axes, windows: tuple[Window, ...], labels: bool) -> None:
    axes.set_xlim(windows[0].start_s, windows[-1].end_s)
    axes.set_facecolor(GROUND)
    for side in axes.spines.values():
        side.set_visible(False)
    step = next((step for step in _TIME_STEPS_S if windows[-1].end_s <= 9 * step), _TIME_STEPS_S[-1])
    ticks = np.arange(0.0, windows[-1].end_s + 1e-6, step)
    axes.set_xticks(ticks, [clock(seconds) for seconds in ticks] if labels else [""] * len(ticks))
    axes.tick_params(axis="both", length=0, labelsize=SMALL_SIZE, labelcolor=MUTED)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_similarity(axes: Axes, windows: tuple[Window, ...], text: str, best: int, scale: tuple[float, float]) -> None:
    values = np.array([_similarity(window, text) for window in windows])
    values = np.where(np.isfinite(values), values, np.nan)
    _style_time(axes, windows, labels=False)
    axes.set_ylim(*scale)
    axes.set_yticks([])
    axes.fill_between(_middles(windows), scale[0], values, color=BLUE, alpha=0.22, linewidth=0)
    axes.plot(_middles(windows), values, color=BLUE, linewidth=1.4 if len(windows) < 300 else 0.6)
    if np.isfinite(values[best]):
        axes.plot(
            _middles(windows)[best],
            values[best],
            "o",
            color=BLUE,
            markersize=7,
            markeredgecolor="white",
            clip_on=False,
            zorder=5,
        )


def _draw_direction(axes: Axes, windows: tuple[Window, ...]) -> None:
    _style_time(axes, windows, labels=True)
    axes.set_ylim(-190, 190)
    axes.set_yticks([180, 90, 0, -90, -180], ["behind", "left", "front", "right", "behind"])
    axes.tick_params(axis="y", labelsize=TEXT_SIZE, labelcolor=INK, pad=8)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    heard = [window for window in windows if window.azimuth_deg is not None]
    points_per_window = 72.0 * (_WIDTH - 2 * _MARGIN - _AXIS_WIDTH) / len(windows)
    bars, colors = [], []
    for window in heard:
        azimuth, middle = window.azimuth_deg or 0.0, (window.start_s + window.end_s) / 2
        spread = min(window.spread_deg or 0.0, 180.0)
        # A bar that runs over the top (behind) comes in again at the bottom, which is behind as well.
        for turn in (-360.0, 0.0, 360.0):
            low, high = max(azimuth - spread + turn, -180.0), min(azimuth + spread + turn, 180.0)
            if low < high:
                bars.append([(middle, low), (middle, high)])
                colors.append(to_rgba(ORANGE, 0.04 + 0.18 * _certainty(window)))
    axes.add_collection(LineCollection(bars, colors=colors, linewidths=min(6.0, 0.8 * points_per_window), zorder=3))
    axes.scatter(
        [(window.start_s + window.end_s) / 2 for window in heard],
        [window.azimuth_deg or 0.0 for window in heard],
        s=np.clip(1.2 * points_per_window, 1.2, 8.0) ** 2,
        color=[to_rgba(ORANGE, _certainty(window)) for window in heard],
        linewidths=0,
        zorder=4,
    )
    if all(window.azimuth_deg is None for window in windows):
        reasons = sorted({window.reason for window in windows if window.reason})
        axes.text(0.5, 0.36, "; ".join(reasons), transform=axes.transAxes, size=TEXT_SIZE, color=INK,
                  ha="center", va="center", parse_math=False)  # fmt: skip
