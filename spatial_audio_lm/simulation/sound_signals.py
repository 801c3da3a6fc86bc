"""Sounds made to be heard, and the whistling of a person: siren, alarm, telephone, horn, whistle.

Each function draws what makes one siren different from the next, then plays it over `samples` at `sample_rate`.
"""

from __future__ import annotations

import numpy as np

from spatial_audio_lm.simulation.sound_elements import (
    Array,
    add_at,
    band,
    gate,
    pulse,
    resonate,
    shaped_noise,
    steps,
    tone,
    wander,
)

Spans = list[tuple[float, float]]


def siren(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """A siren of an emergency vehicle: a slow wail, a fast yelp, or two gliding notes, through a horn's formants."""
    time = np.arange(samples) / sample_rate
    kind = rng.choice(["wail", "yelp", "two_tone"], p=[0.45, 0.3, 0.25])
    low = rng.uniform(420, 720)
    if kind == "two_tone":
        low, period = rng.uniform(360, 560), rng.uniform(0.9, 1.6)
        high = low * rng.choice([4 / 3, 1.26, 1.5])
        starts = np.arange(-1, samples / sample_rate / period * 2 + 1) * period / 2 + rng.uniform(0, period / 2)
        values = np.where(np.arange(starts.size) % 2, high, low)
        track = steps(values, starts, samples, sample_rate, glide_s=rng.uniform(0.01, 0.06))
        period *= 2
    else:
        period = rng.uniform(2.2, 6.0) if kind == "wail" else rng.uniform(0.22, 0.5)
        high = low * rng.uniform(1.7, 2.4)
        rise = rng.uniform(0.35, 0.65)  # part of the period in which the pitch goes up
        cycle = (time / period + rng.uniform()) % 1
        up = np.where(cycle < rise, cycle / rise, (1 - cycle) / (1 - rise))
        track = low * (high / low) ** (0.5 - 0.5 * np.cos(np.pi * up))
    harmonics = 1 / np.arange(1, 16) ** rng.uniform(0.7, 1.5)
    harmonics[1::2] *= rng.uniform(0.2, 1.0)
    sound = tone(track, sample_rate, harmonics, rng.uniform())
    formants = rng.uniform([700, 1500], [1400, 3200])
    sound = 0.3 * sound + resonate(sound, sample_rate, formants, np.array([0.006, 0.006]), np.array([0.3, 0.3]))
    if rng.uniform() < 0.45:  # switched on and off
        sound *= gate(samples, sample_rate, _cadence(rng, samples / sample_rate, (1.2, 2.6), (0.35, 0.9)), 0.08, 0.15)
    return sound * (1 + rng.uniform(0.05, 0.3) * wander(rng, samples, sample_rate, rng.uniform(0.5, 3)) / 2)


def alarm(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """An electronic alarm: groups of beeps at one pitch, or two alternating pitches, with rests between groups."""
    duration = samples / sample_rate
    pitch = rng.uniform(900, 3300)
    alternates = rng.uniform() < 0.3
    beep = rng.uniform(0.06, 0.4)
    space = beep * rng.uniform(0.5, 1.1)
    count = int(rng.integers(2, 6)) if not alternates else int(rng.integers(4, 11))
    rest = rng.uniform(0.25, 1.1)
    if alternates:
        beep, space = rng.uniform(0.07, 0.22), 0.0
    spans: Spans = []
    start = rng.uniform(0, min(0.3, 0.2 * duration))
    while start < duration:
        for _ in range(count):
            spans.append((start, start + beep))
            start += beep + space
        start += rest
    track = np.full(samples, pitch)
    if alternates:
        pitches = np.where(np.arange(len(spans)) % 2, pitch, pitch * rng.uniform(0.68, 0.84))
        track = steps(pitches, np.array([span[0] for span in spans]), samples, sample_rate, 0.002)
    harmonics = np.zeros(9)
    harmonics[::2] = 1 / np.arange(1, 10, 2) ** rng.uniform(0.8, 3.0)  # between a square wave and a piezo's near sine
    harmonics[1::2] = rng.uniform(0, 0.15, 4)
    return tone(track, sample_rate, harmonics, rng.uniform()) * gate(samples, sample_rate, spans, 0.004, 0.008)


def telephone(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """A telephone ringing: two gongs beaten by a hammer, or an electronic warble, in a ring cadence."""
    duration = samples / sample_rate
    if rng.uniform() < 0.35:  # two short rings and a rest
        ring, between, rest = rng.uniform(0.3, 0.5), rng.uniform(0.15, 0.3), rng.uniform(0.7, 1.3)
        pattern = [(0.0, ring), (ring + between, 2 * ring + between)]
    else:
        ring, rest = rng.uniform(0.8, 1.8), rng.uniform(0.6, 1.4)
        pattern = [(0.0, ring)]
    spans: Spans = []
    start = rng.uniform(0, min(0.4, 0.2 * duration))
    while start < duration:
        spans += [(start + first, start + last) for first, last in pattern]
        start += pattern[-1][1] + rest
    if rng.uniform() < 0.6:
        return _gongs(rng, samples, sample_rate, spans)
    rate, low = rng.uniform(8, 22), rng.uniform(600, 1500)
    switches = np.arange(0, duration, 1 / rate)
    values = np.where(np.arange(switches.size) % 2, low, low * rng.uniform(1.15, 1.4))
    track = steps(values, switches, samples, sample_rate, 0.002)
    harmonics = 1 / np.arange(1, 7) ** rng.uniform(1.0, 2.5)
    return tone(track, sample_rate, harmonics, rng.uniform()) * gate(samples, sample_rate, spans, 0.01, 0.05)


def horn(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """A vehicle's horn: two or three reeds in a chord, honked in short and long presses."""
    duration = samples / sample_rate
    root = rng.uniform(280, 460) if rng.uniform() < 0.65 else rng.uniform(120, 240)  # a car's, or a lorry's
    ratios = [1.0, rng.choice([1.19, 1.26, 1.335])] + ([rng.choice([1.5, 1.6])] if rng.uniform() < 0.35 else [])
    spans: Spans = []
    start = rng.uniform(0, min(0.4, 0.2 * duration))
    long = rng.uniform(0.35, 1.3)
    while start < duration:
        for _ in range(int(rng.integers(1, 4))):
            length = long * rng.choice([0.3, 0.6, 1.0])
            spans.append((start, start + max(length, 0.12)))
            start = spans[-1][1] + rng.uniform(0.1, 0.28)
        start += rng.uniform(0.4, 1.2)
    envelope = gate(samples, sample_rate, spans, 0.03, 0.05)
    sound = np.zeros(samples)
    for ratio in ratios:
        # the pitch settles from below as the diaphragm comes up to speed
        track = root * ratio * rng.uniform(0.995, 1.005) * (0.94 + 0.06 * envelope)
        sound += tone(track, sample_rate, 1 / np.arange(1, 25) ** rng.uniform(0.6, 1.1), rng.uniform())
    formant = rng.uniform([500, 1500], [1300, 3500])
    return (
        0.4 * sound + resonate(sound, sample_rate, formant, np.array([0.008, 0.005]), np.array([0.3, 0.3]))
    ) * envelope


def whistle(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """A person whistling: a tune, a call of two glides, or single long notes; nearly pure, with some breath."""
    duration = samples / sample_rate
    root = rng.uniform(750, 1500)
    style = rng.choice(["tune", "call", "notes"], p=[0.6, 0.2, 0.2])
    onsets, pitches, spans = [0.0], [root], []
    start = rng.uniform(0, min(0.3, 0.2 * duration))
    beat = rng.uniform(0.16, 0.34)
    scale = np.array([0, 2, 4, 7, 9, 12]) if rng.uniform() < 0.6 else np.array([0, 3, 5, 7, 10, 12])
    degree = int(rng.integers(0, 6))
    while start < duration:
        phrase = int(rng.integers(4, 9)) if style == "tune" else 2
        for _ in range(phrase):
            degree = int(np.clip(degree + rng.integers(-2, 3), 0, 5))
            length = beat * rng.choice([1, 1, 2]) if style == "tune" else rng.uniform(0.3, 0.7)
            onsets.append(start)
            pitches.append(root * 2 ** (scale[degree] / 12))
            spans.append((start, start + length * rng.uniform(0.7, 0.95)))
            start += length
        start += rng.uniform(0.25, 0.8)
    glide = rng.uniform(0.1, 0.3) if style == "call" else rng.uniform(0.02, 0.06)
    time = np.arange(samples) / sample_rate
    vibrato = 1 + rng.uniform(0.0, 0.018) * np.sin(2 * np.pi * (rng.uniform(4.5, 6.5) * time + rng.uniform()))
    jitter = 1 + 0.004 * wander(rng, samples, sample_rate, 25)
    track = steps(np.array(pitches), np.array(onsets), samples, sample_rate, glide) * vibrato * jitter
    envelope = gate(samples, sample_rate, spans, 0.035, 0.05)
    breath = shaped_noise(rng, samples, sample_rate, band(0.8 * root, 2.5 * root, slope=3.0))
    pure = tone(track, sample_rate, (1.0, rng.uniform(0.01, 0.08), rng.uniform(0, 0.03)), rng.uniform())
    return envelope * (pure + rng.uniform(0.015, 0.06) * breath)


def _gongs(rng: np.random.Generator, samples: int, sample_rate: int, spans: Spans) -> Array:
    """Two small gongs a little apart in pitch, struck in turn by one hammer."""
    rate, low = rng.uniform(18, 28), rng.uniform(800, 1700)
    roots = (low, low * rng.uniform(1.08, 1.35))
    blow = pulse(rng.uniform(0.00015, 0.0004), sample_rate)
    sound = np.zeros(samples)
    for side, root in enumerate(roots):
        force = np.zeros(samples)
        for start, end in spans:
            for stroke in np.arange(start + side / rate / 2, end, 1 / rate):
                add_at(force, stroke * rng.uniform(0.9995, 1.0005), sample_rate, blow * rng.uniform(0.7, 1.0))
        frequencies = root * np.array([1.0, 1.003, 2.37, 2.72, 3.9]) * rng.uniform(0.99, 1.01, 5)
        decays = rng.uniform(0.25, 0.6) * np.array([1.0, 1.0, 0.6, 0.5, 0.35])
        sound += resonate(force, sample_rate, frequencies, decays, rng.uniform(0.3, 1.0, 5))
    return sound


def _cadence(
    rng: np.random.Generator, duration_s: float, on_s: tuple[float, float], off_s: tuple[float, float]
) -> Spans:
    spans: Spans = []
    start = rng.uniform(0, min(0.3, 0.2 * duration_s))
    while start < duration_s:
        spans.append((start, start + rng.uniform(*on_s)))
        start = spans[-1][1] + rng.uniform(*off_s)
    return spans
