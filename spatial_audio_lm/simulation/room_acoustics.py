"""What an impulse response says about its room: T30, clarity, direct-to-reverberant ratio, measured from W alone.

Definitions of ISO 3382-1 (Schroeder's backward integration); they need no simulator and hold for measured responses.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DIRECT_WINDOW_S = 0.0025  # half width around the first arrival, as in the ACE challenge


def arrival_sample(rir: ArrayLike) -> int:
    """Index of the direct sound: the first sample within 12 dB of the largest one."""
    magnitude = np.abs(np.asarray(rir, dtype=np.float64))
    first = int(np.argmax(magnitude > magnitude.max() / 4))
    window = magnitude[first : first + 16]
    return first + int(np.argmax(window))


def energy_decay_db(rir: ArrayLike) -> NDArray[np.float64]:
    """Schroeder's curve `(time,)` in dB, 0 at the start."""
    energy = np.cumsum(np.square(np.asarray(rir, dtype=np.float64))[::-1])[::-1]
    return 10 * np.log10(np.maximum(energy, 1e-30) / max(energy[0], 1e-30))


def t30_s(rir: ArrayLike, sample_rate: int) -> float:
    """Reverberation time in seconds from the slope between -5 and -35 dB; NaN where the curve does not reach it."""
    samples = np.asarray(rir, dtype=np.float64)
    decay = energy_decay_db(samples[arrival_sample(samples) :])
    start, stop = np.argmax(decay <= -5), np.argmax(decay <= -35)
    if stop <= start + 2:
        return float("nan")
    time = np.arange(start, stop) / sample_rate
    slope = np.polyfit(time, decay[start:stop], 1)[0]
    return float(-60 / slope)


def direct_to_reverberant_db(rir: ArrayLike, sample_rate: int) -> float:
    """Energy within 2.5 ms of the direct sound over all that follows, in dB."""
    samples = np.square(np.asarray(rir, dtype=np.float64))
    centre, half = arrival_sample(rir), round(DIRECT_WINDOW_S * sample_rate)
    direct = samples[max(0, centre - half) : centre + half + 1].sum()
    return float(10 * np.log10(max(direct, 1e-30) / max(samples[centre + half + 1 :].sum(), 1e-30)))


def clarity_db(rir: ArrayLike, sample_rate: int, early_s: float = 0.05) -> float:
    """C50: energy of the first 50 ms after the direct sound over the rest, in dB."""
    samples = np.square(np.asarray(rir, dtype=np.float64))[arrival_sample(rir) :]
    split = round(early_s * sample_rate)
    return float(10 * np.log10(max(samples[:split].sum(), 1e-30) / max(samples[split:].sum(), 1e-30)))
