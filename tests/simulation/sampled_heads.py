"""A spherical head as a measurement would have found it: what a measured head must answer is then known."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.simulation.heads import HeadModel, SphericalHead

RATE = 48_000
DELAY = 60  # samples before the sound reaches the centre of the head
TAPS = 256

Array = NDArray[np.float64]


def grid() -> tuple[Array, Array]:
    """Azimuth and elevation of 375 directions about ten degrees apart, down to -50 degrees."""
    azimuth, elevation = [], []
    for level in range(-50, 91, 10):
        count = max(1, round(36 * np.cos(np.radians(level))))
        azimuth.extend((np.arange(count) * 360 / count + 180) % 360 - 180)
        elevation.extend([float(level)] * count)
    return np.array(azimuth), np.array(elevation)


def responses(azimuth: Array, elevation: Array, delay: int = DELAY) -> Array:
    """What the two ears of a sphere hear of a click, `(directions, 2 ears, taps)` at `RATE`."""
    n_fft = 1024
    directions = np.asarray(unit_vector(azimuth, elevation))
    waiting = np.exp(-2j * np.pi * delay * np.arange(n_fft // 2 + 1) / n_fft)
    return np.fft.irfft(SphericalHead().ear_spectra(directions, n_fft, RATE) * waiting, n_fft)[..., :TAPS]


def write_npz(path: Path, **changes: object) -> Path:
    """The file of such a measurement, with arrays changed, or left out where they are None."""
    azimuth, elevation = grid()
    arrays = {
        "ir": responses(azimuth, elevation).astype(np.float32),
        "azimuth_deg": azimuth,
        "elevation_deg": elevation,
        "sample_rate": np.array(RATE),
    }
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return path


def differences(head: HeadModel, directions: Array, rate: int, n_fft: int = 1024) -> tuple[Array, Array, Array]:
    """Frequencies above 0 Hz, and by direction and frequency how much earlier (s) and louder (dB) the left ear is."""
    frequency = np.fft.rfftfreq(n_fft, 1 / rate)[1:]
    left, right = np.moveaxis(head.ear_spectra(directions, n_fft, rate)[..., 1:], 1, 0)
    phase = np.unwrap(np.angle(left * np.conj(right)), axis=-1)
    return frequency, phase / (2 * np.pi * frequency), 20 * np.log10(np.abs(left) / np.abs(right))
