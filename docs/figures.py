"""The figures of docs/: `python docs/figures.py [FOLDER]` draws all of them, by default into docs/images.

Each is drawn with the package's own functions, so that a figure cannot say something else than the code.
"""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, Wedge

from spatial_audio_lm.cli.locate import locate
from spatial_audio_lm.cli.query import query
from spatial_audio_lm.cli.simulate import simulate
from spatial_audio_lm.language.attributes import spatial_attributes
from spatial_audio_lm.signal.conventions import FOA_CHANNELS, unit_vector
from spatial_audio_lm.simulation.heads import SphericalHead

LISTENER = "#4a4a4a"
AXIS = "#1f6f8b"
WORDS = {"left": "#e9b872", "right": "#8fb996", "front": "#9fc2e0", "back": "#d4a5b5"}
DEMO_SENTENCES = [
    "a siren from the left",
    "a siren from the right",
    "a siren from the front",
    "a siren from behind",
    "a bird singing on the left",
    "a telephone ringing on the right",
    "rain from behind",
    "footsteps in front",
]


def word_sector(word: str) -> tuple[float, float]:
    """First azimuth and width in degrees of the sector that captions call by a word, found by asking every degree."""
    called = [spatial_attributes(azimuth_deg=float(azimuth)).direction == word for azimuth in range(-180, 180)]
    start = next(i for i in range(360) if called[i] and not called[i - 1])
    return float(start - 180), float(sum(called) - 1)


def head_from_above(axes: Axes) -> None:
    """A head seen from above that looks up the page: x (front) is up, y (left) is to the left."""
    axes.add_patch(Ellipse((0, 0.115), 0.06, 0.09, color=LISTENER))
    axes.add_patch(Ellipse((0, 0), 0.2, 0.24, color=LISTENER))
    for side in (-1, 1):
        axes.add_patch(Ellipse((0.105 * side, 0), 0.035, 0.08, color=LISTENER))


def draw_azimuth(axes: Axes) -> None:
    """The horizontal plane from above, with degrees and the words that captions use."""
    for word, color in WORDS.items():
        start, width = word_sector(word)
        x, y, _ = unit_vector(start + width / 2, 0.0)
        # On the page the front is up, which matplotlib counts as 90 degrees; both count counter-clockwise.
        axes.add_patch(Wedge((0, 0), 1.0, start + 90.0, start + width + 90.0, width=0.24, color=color))
        axes.text(-0.88 * y, 0.88 * x, word, ha="center", va="center", fontsize=11, rotation=0 if abs(x) > 0.5 else 90)
    for azimuth in range(-180, 180, 45):
        x, y, _ = unit_vector(float(azimuth), 0.0)
        axes.plot([-0.30 * y, -0.72 * y], [0.30 * x, 0.72 * x], color="#bbbbbb", linewidth=0.8, zorder=0)
        label = f"{azimuth:+d}°" if azimuth else "0°"
        axes.text(-1.24 * y, 1.12 * x, label, ha="center", va="center", fontsize=10)
    arrow = {"arrowstyle": "-|>", "color": AXIS, "linewidth": 2}
    for name, azimuth in (("x", 0.0), ("y", 90.0)):
        x, y, _ = unit_vector(azimuth, 0.0)
        axes.annotate("", (-0.62 * y, 0.62 * x), (0, 0), arrowprops=arrow, zorder=-1)
        axes.text(-0.64 * y - 0.07 * x, 0.64 * x + 0.07 * y, name, color=AXIS, fontsize=13, style="italic", ha="center")
    head_from_above(axes)
    axes.set_title("azimuth, from above", fontsize=12, pad=14)


def draw_elevation(axes: Axes) -> None:
    """The vertical plane through the front, seen from the listener's right."""
    for elevation in (-90, -45, 0, 45, 90):
        x, _, z = unit_vector(0.0, float(elevation))
        axes.plot([0.30 * x, 0.98 * x], [0.30 * z, 0.98 * z], color="#bbbbbb", linewidth=0.8, zorder=0)
        axes.text(1.2 * x, 1.12 * z, f"{elevation:+d}°" if elevation else "0°", ha="center", va="center", fontsize=10)
    curve = np.array([unit_vector(0.0, elevation) for elevation in np.linspace(-90.0, 90.0, 91)])
    axes.plot(curve[:, 0], curve[:, 2], color="#999999", linewidth=1.2)
    arrow = {"arrowstyle": "-|>", "color": AXIS, "linewidth": 2}
    for name, elevation in (("x", 0.0), ("z", 90.0)):
        x, _, z = unit_vector(0.0, elevation)
        axes.annotate("", (0.62 * x, 0.62 * z), (0, 0), arrowprops=arrow, zorder=-1)
        axes.text(0.64 * x + 0.07 * z, 0.64 * z + 0.07 * x, name, color=AXIS, fontsize=13, style="italic", ha="center")
    axes.add_patch(Ellipse((0.115, -0.02), 0.07, 0.05, color=LISTENER))
    axes.add_patch(Ellipse((0, 0), 0.24, 0.28, color=LISTENER))
    axes.add_patch(Ellipse((-0.01, -0.01), 0.05, 0.09, color="white"))
    axes.set_title("elevation, from the side", fontsize=12, pad=14)


def draw_gains(axes: Axes) -> None:
    """What the four AmbiX channels hear of a plane wave that goes once around."""
    azimuths = np.arange(-180.0, 181.0)
    x, y, z = np.moveaxis(unit_vector(azimuths, 0.0), -1, 0)
    colors = {"W": "#555555", "Y": "#e08e2b", "Z": "#7b9e3f", "X": AXIS}
    for name, gain in zip(FOA_CHANNELS, (np.ones_like(x), y, z, x), strict=True):
        axes.plot(azimuths, gain, label=name, color=colors[name], linewidth=2)
    axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
    axes.set_xticks([-180, -90, 0, 90, 180], ["-180°\nback", "-90°\nright", "0°\nfront", "+90°\nleft", "+180°\nback"])
    axes.set_yticks([-1, 0, 1])
    axes.set_xlim(180, -180)  # left on the left
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    axes.set_title("gain of each channel, elevation 0°", fontsize=12, pad=14)
    axes.spines[["top", "right"]].set_visible(False)


def draw_space(path: Path) -> None:
    """The house's coordinates and channels, in three pictures."""
    figure, panels = plt.subplots(1, 3, figsize=(12.5, 4.3), width_ratios=[1, 1, 1.3], layout="constrained")
    above, side, gains = panels
    draw_azimuth(above)
    draw_elevation(side)
    for axes in (above, side):
        axes.set(xlim=(-1.4, 1.4), ylim=(-1.2, 1.2), aspect="equal")
        axes.axis("off")
    draw_gains(gains)
    # Without the version in the file's header the same picture has the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def draw_head(path: Path) -> None:
    """What lies between the two ears of a sphere: delay and level by azimuth, and how alike a diffuse field is."""
    rate, n_fft, head = 32_000, 2048, SphericalHead()
    frequency = np.fft.rfftfreq(n_fft, 1 / rate)
    azimuths = np.arange(-180.0, 181.0)
    left, right = np.moveaxis(head.ear_spectra(np.asarray(unit_vector(azimuths, 0.0)), n_fft, rate)[..., 1:], 1, 0)
    delay_us = 1e6 * np.unwrap(np.angle(left * np.conj(right)), axis=-1) / (2 * np.pi * frequency[1:])
    level_db = 20 * np.log10(np.abs(left) / np.abs(right))
    figure, (times, levels, field) = plt.subplots(1, 3, figsize=(12.5, 3.9), layout="constrained")
    colors = (AXIS, "#e08e2b", "#7b9e3f")
    for axes, values, shown in ((times, delay_us, (250, 1000, 4000)), (levels, level_db, (500, 2000, 6000))):
        for hertz, color in zip(shown, colors, strict=True):
            name = f"{hertz} Hz" if hertz < 1000 else f"{hertz // 1000} kHz"
            axes.plot(azimuths, values[:, round(hertz * n_fft / rate) - 1], color=color, label=name, linewidth=1.8)
        axes.set_xticks(
            [-180, -90, 0, 90, 180], ["-180°\nback", "-90°\nright", "0°\nfront", "+90°\nleft", "+180°\nback"]
        )
        axes.set_xlim(180, -180)  # left on the left
    times.set_title("left ear earlier by (µs)", fontsize=12)
    levels.set_title("left ear louder by (dB)", fontsize=12)
    for radius, color in zip((0.075, 0.0875, 0.1), colors, strict=True):
        powers = SphericalHead(radius).diffuse_spectra(n_fft, rate)
        coherence = (powers[2] / np.sqrt(powers[0] * powers[1])).real
        field.plot(frequency[1:], coherence[1:], color=color, label=f"radius {100 * radius:g} cm", linewidth=1.8)
    field.set_xscale("log")
    field.set_xlim(40, 8000)
    field.set_xticks([62.5, 250, 1000, 4000], ["62.5", "250", "1000", "4000 Hz"])
    field.set_title("coherence of a diffuse field at the ears", fontsize=12)
    for axes in (times, levels, field):
        axes.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
        axes.legend(frameon=False, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def draw_query(path: Path) -> None:
    """The README's picture, made as `make demo` makes it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        simulate(Path(folder), sound=["siren"], direction="left", distance="far", seed=10)
        recording = Path(folder) / "scene-0000.wav"
        query(recording.rename(recording.with_name("siren.wav")), DEMO_SENTENCES, plot=path)


def draw_ears(path: Path) -> None:
    """What two ears answer, from above, as `spatial-audio-lm locate --plot` draws it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        simulate(Path(folder), sound=["bird"], direction="left", receiver="binaural", seed=8)
        recording = Path(folder) / "scene-0000.wav"
        locate([str(recording.rename(recording.with_name("bird.wav")))], plot=path)


def main(folder: Path) -> list[Path]:
    """Draw every figure into a folder; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        folder / "space.png": draw_space,
        folder / "head.png": draw_head,
        folder / "query.png": draw_query,
        folder / "ears.png": draw_ears,
    }
    for path, draw in figures.items():
        draw(path)
    return list(figures)


if __name__ == "__main__":
    for drawn in main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"):
        print(drawn)
