"""The elements that procedural sounds are made of: tones, resonating bodies, shaped noise, gates.

Everything is numpy at the caller's sample rate; a partial above `audible_limit_hz` is left out, and a fundamental is
held there, so that no element aliases at a low rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.fft import irfft, next_fast_len
from scipy.signal import lfilter

Array = np.ndarray

_TABLE_SIZE = 16384


def audible_limit_hz(sample_rate: int) -> float:
    """The highest frequency of a tone at this rate, a little under half of it."""
    return 0.45 * sample_rate


def tone(
    frequency_hz: Array, sample_rate: int, harmonics: Sequence[float] | Array = (1.0,), phase: float = 0.0
) -> Array:
    """A periodic tone along a track of frequencies.

    Args:
        frequency_hz: Fundamental at each sample, (samples,).
        sample_rate: Rate in Hz.
        harmonics: Amplitude of each harmonic, the fundamental first.
        phase: Where in its cycle the tone begins, in [0, 1).

    Returns:
        Samples, (samples,). One cycle is tabulated once and read along the running phase, which costs the same for one
        harmonic as for thirty.
    """
    track = np.minimum(frequency_hz, audible_limit_hz(sample_rate))
    highest = max(1, int(audible_limit_hz(sample_rate) / track.max()))
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, dtype=complex)
    kept = np.asarray(harmonics[:highest], dtype=float)
    # Schroeder phases spread the crest, as the unequal delays of a real horn or wing do
    order = np.arange(1, kept.size + 1)
    spectrum[1 : kept.size + 1] = -0.5j * _TABLE_SIZE * kept * np.exp(-1j * np.pi * order * (order - 1) / order.size)
    table = irfft(spectrum, _TABLE_SIZE)
    cycles = np.cumsum(track) / sample_rate + phase
    return table[(cycles * _TABLE_SIZE).astype(np.int64) & (_TABLE_SIZE - 1)]


def resonate(excitation: Array, sample_rate: int, frequencies_hz: Array, decays_s: Array, amplitudes: Array) -> Array:
    """A body that is struck, rubbed or blown: a sum of modes, each of which rings on after the excitation.

    Args:
        excitation: Force on the body, (samples,).
        sample_rate: Rate in Hz.
        frequencies_hz: Mode frequencies, (modes,).
        decays_s: Time in which each mode falls by 60 dB, (modes,).
        amplitudes: Amplitude of each mode after a unit impulse, (modes,).

    Returns:
        Samples, (samples,).
    """
    total = np.zeros(excitation.size)
    for frequency, decay, amplitude in zip(frequencies_hz, decays_s, amplitudes, strict=True):
        if frequency < audible_limit_hz(sample_rate):
            # impulse response amplitude * radius^n * sin((n + 1) angle); 60 dB are a factor of 1000 = exp(6.91)
            angle, radius = 2 * np.pi * frequency / sample_rate, np.exp(-6.91 / (decay * sample_rate))
            total += lfilter([amplitude * np.sin(angle)], [1, -2 * radius * np.cos(angle), radius**2], excitation)
    return total


def pulse(width_s: float, sample_rate: int) -> Array:
    """The force of a soft blow: half a sine, of unit area, so that a wider one is duller and not louder."""
    length = max(1, round(width_s * sample_rate))
    shape = np.sin(np.pi * (np.arange(length) + 0.5) / length)
    return shape / shape.sum()


def shaped_noise(rng: np.random.Generator, samples: int, sample_rate: int, gain: Callable[[Array], Array]) -> Array:
    """Gaussian noise with a given amplitude spectrum.

    Args:
        rng: Source of chance.
        samples: Length of the answer.
        sample_rate: Rate in Hz.
        gain: Amplitude as a function of frequency in Hz, (bins,) to (bins,).

    Returns:
        Samples of root mean square 1, (samples,).
    """
    length = next_fast_len(samples, real=True)
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    spectrum = rng.standard_normal(2 * frequencies.size).view(complex)
    spectrum *= gain(frequencies)
    spectrum[0] = 0.0
    noise = irfft(spectrum, length)[:samples]
    return noise / np.sqrt(np.mean(np.square(noise)))  # np.dot would depend on the number of threads


def band(low_hz: float, high_hz: float, slope: float = 2.0) -> Callable[[Array], Array]:
    """The gain of a band with soft edges, for `shaped_noise`; a slope of 1 falls by 6 dB an octave."""

    def gain(frequency_hz: Array) -> Array:
        safe = np.maximum(frequency_hz, 1.0)
        return 1.0 / np.sqrt((1.0 + (low_hz / safe) ** (2 * slope)) * (1.0 + (safe / high_hz) ** (2 * slope)))

    return gain


def wander(rng: np.random.Generator, samples: int, sample_rate: int, rate_hz: float) -> Array:
    """A slow random curve between about -2 and 2: smooth, of mean 0 and variance about 1.

    Args:
        rng: Source of chance.
        samples: Length of the answer.
        sample_rate: Rate in Hz.
        rate_hz: How many independent values it passes in a second.

    Returns:
        The curve, (samples,).
    """
    span = samples / sample_rate * rate_hz
    knots = rng.standard_normal(int(span) + 3).clip(-2, 2)
    first = rng.uniform()
    coarse = np.linspace(first, first + span, int(16 * span) + 2)  # 16 points a knot draw the curve well enough
    index = coarse.astype(np.int64)
    part = 0.5 - 0.5 * np.cos(np.pi * (coarse - index))
    curve = knots[index] * (1 - part) + knots[index + 1] * part
    return np.interp(np.linspace(first, first + span, samples), coarse, curve)


def gate(
    samples: int, sample_rate: int, spans: Iterable[tuple[float, float]], attack_s: float, release_s: float
) -> Array:
    """An envelope that is 1 inside the spans of time and 0 outside, with round edges.

    Args:
        samples: Length of the answer.
        sample_rate: Rate in Hz.
        spans: Pairs of start and end in seconds.
        attack_s: Length of the rise, from the start on.
        release_s: Length of the fall, from the end on.

    Returns:
        The envelope, (samples,).
    """
    envelope = np.zeros(samples)
    for start_s, end_s in spans:
        first, last = int(start_s * sample_rate), min(samples, int((end_s + release_s) * sample_rate) + 1)
        if first >= samples or last <= first:
            continue
        time = np.arange(first, last) / sample_rate
        rise = np.clip((time - start_s) / attack_s, 0, 1)
        fall = np.clip((end_s + release_s - time) / release_s, 0, 1)
        edge = np.minimum(rise, fall)
        envelope[first:last] = np.maximum(envelope[first:last], 0.5 - 0.5 * np.cos(np.pi * edge))
    return envelope


def add_at(target: Array, start_s: float, sample_rate: int, event: Array) -> None:
    """Add an event to `target` in place, cut where the target ends."""
    first = int(start_s * sample_rate)
    length = min(event.size, target.size - first)
    if length > 0:
        target[first : first + length] += event[:length]


def steps(values: Array, boundaries_s: Array, samples: int, sample_rate: int, glide_s: float) -> Array:
    """A track that holds each value until the next boundary and glides over to the next one.

    Args:
        values: Held values, (steps,).
        boundaries_s: Where each begins, in seconds, rising, (steps,).
        samples: Length of the answer.
        sample_rate: Rate in Hz.
        glide_s: Length of the glide.

    Returns:
        The track, (samples,).
    """
    time = np.arange(samples) / sample_rate
    points = np.stack([boundaries_s, boundaries_s + glide_s], axis=1).ravel()
    held = np.stack([np.concatenate([values[:1], values[:-1]]), values], axis=1).ravel()
    return np.interp(time, np.maximum.accumulate(points), held)
