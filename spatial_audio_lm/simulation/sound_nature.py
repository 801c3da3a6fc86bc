"""Sounds that go on: bird, buzzing insect, engine, wind."""

from __future__ import annotations

import numpy as np

from spatial_audio_lm.simulation.sound_elements import (
    Array,
    add_at,
    band,
    gate,
    resonate,
    shaped_noise,
    tone,
    wander,
)


def bird(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """A song bird: phrases of short notes, each a fast sweep, repeated as one species repeats its motif."""
    duration = samples / sample_rate
    centre = np.exp(rng.uniform(np.log(2200), np.log(5200)))
    motif = [_note(rng, centre, sample_rate) for _ in range(int(rng.integers(1, 5)))]
    space = rng.uniform(0.02, 0.12)
    sound = np.zeros(samples)
    start = rng.uniform(0, min(0.3, 0.2 * duration))
    while start < duration:
        for index in range(int(rng.integers(3, 10))):
            note = motif[index % len(motif)]
            add_at(sound, start, sample_rate, note * rng.uniform(0.6, 1.0))
            start += note.size / sample_rate + space * rng.uniform(0.8, 1.2)
        start += rng.uniform(0.3, 1.1)
    return sound


def buzz(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """An insect on the wing: the wing beat's many harmonics, drifting in pitch and loudness, with landings between."""
    duration = samples / sample_rate
    wing = rng.uniform(140, 280) if rng.uniform() < 0.75 else rng.uniform(350, 620)  # a fly or bee, or a mosquito
    drift = 0.06 * wander(rng, samples, sample_rate, rng.uniform(1, 3)) + 0.008 * wander(rng, samples, sample_rate, 30)
    spans = []
    start = rng.uniform(0, min(0.2, 0.1 * duration))
    while start < duration:
        spans.append((start, start + rng.uniform(0.5, 2.2)))
        start = spans[-1][1] + rng.uniform(0.15, 0.6)
    envelope = gate(samples, sample_rate, spans, 0.06, 0.08)
    track = wing * (1 + drift) * (0.85 + 0.15 * envelope)  # the beat speeds up at take-off
    order = np.arange(1, 31)
    harmonics = order ** -rng.uniform(0.5, 1.1) * rng.uniform(0.3, 1.0, 30)
    body = rng.uniform(4, 14)  # harmonics below the body's resonance are weak
    harmonics *= 0.25 + 1 / (1 + (order / body) ** 2)
    loudness = np.exp(rng.uniform(0.2, 0.6) * wander(rng, samples, sample_rate, rng.uniform(0.8, 3)))
    flutter = 1 + 0.1 * wander(rng, samples, sample_rate, 60)
    return tone(track, sample_rate, harmonics, rng.uniform()) * envelope * loudness * flutter


def engine(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """A combustion engine: a cycle of unequal firings, idling or revved, through an exhaust's resonances."""
    firing = np.exp(rng.uniform(np.log(22), np.log(85)))  # firings a second
    cylinders = int(rng.choice([1, 2, 3, 4, 6]))
    revs = rng.uniform() < 0.45
    speed = np.exp((rng.uniform(0.2, 0.5) if revs else 0.03) * wander(rng, samples, sample_rate, rng.uniform(0.4, 1.2)))
    speed *= 1 + 0.01 * wander(rng, samples, sample_rate, 12)
    cycle = firing / cylinders  # the pattern repeats once all cylinders have fired
    order = np.arange(1, 24 * cylinders + 1)
    harmonics = (order / cylinders + 0.5) ** -rng.uniform(0.7, 1.3)
    harmonics *= np.where(order % cylinders == 0, 1.0, rng.uniform(0.05, 0.35)) * rng.uniform(0.3, 1.0, order.size)
    phase = rng.uniform()
    track = cycle * speed
    sound = tone(track, sample_rate, harmonics, phase)
    # the gas is noisiest just after each firing
    beats = (np.cumsum(track) / sample_rate + phase) * cylinders % 1
    hiss = shaped_noise(rng, samples, sample_rate, band(rng.uniform(150, 500), rng.uniform(900, 2500), slope=1.5))
    sound = sound / np.std(sound) + rng.uniform(0.25, 0.9) * hiss * np.exp(-beats * rng.uniform(2, 6)) * 1.5
    frequencies = rng.uniform(90, 160) * np.array([1.0, 2.1, 3.3, 5.2]) * rng.uniform(0.9, 1.1, 4)
    resonance = resonate(sound, sample_rate, frequencies, rng.uniform(0.02, 0.05, 4), rng.uniform(0.02, 0.08, 4))
    return (0.3 * sound + resonance) * speed**0.7


def wind(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """Gusts of wind: broad noise that grows brighter as it grows louder, and a howl that follows the gusts."""
    gusts = wander(rng, samples, sample_rate, rng.uniform(0.5, 1.4)) + 0.25 * wander(rng, samples, sample_rate, 4)
    strength = np.exp(rng.uniform(0.5, 1.1) * gusts)
    low, body = rng.uniform(80, 200), rng.uniform(350, 800)
    rumble = shaped_noise(rng, samples, sample_rate, band(40, low, slope=1.0))
    rush = shaped_noise(rng, samples, sample_rate, band(low, body, slope=1.5))
    hiss = shaped_noise(rng, samples, sample_rate, band(body, 3.5 * body, slope=1.5))
    sound = strength * (0.5 * rumble + rush) + rng.uniform(0.15, 0.5) * strength**1.6 * hiss
    # the howl of an edge: noise in a narrow band, whose centre goes with the speed of the air
    howl_hz = rng.uniform(280, 750) * np.exp(rng.uniform(0.08, 0.25) * gusts)
    depth = 1 + 0.5 * wander(rng, samples, sample_rate, rng.uniform(15, 40))
    howl = tone(howl_hz * (1 + 0.02 * wander(rng, samples, sample_rate, 30)), sample_rate, (1.0, 0.15), rng.uniform())
    return sound + rng.choice([0.0, 0.4, 1.0, 1.6]) * rng.uniform(0.5, 1.0) * strength**1.5 * depth * howl


def _note(rng: np.random.Generator, centre_hz: float, sample_rate: int) -> Array:
    length_s = np.exp(rng.uniform(np.log(0.04), np.log(0.22)))
    time = np.arange(max(16, int(length_s * sample_rate))) / sample_rate
    part = time / length_s
    kind = rng.choice(["up", "down", "arch", "trill", "flat"])
    span = rng.uniform(0.15, 0.6)
    shape = {
        "up": part - 0.5,
        "down": 0.5 - part,
        "arch": np.sin(np.pi * part) - 0.5,
        "trill": 0.5 * np.sin(2 * np.pi * rng.uniform(18, 45) * time),
        "flat": 0.1 * (part - 0.5),
    }[str(kind)]
    track = centre_hz * rng.uniform(0.8, 1.2) * np.exp(span * shape)
    envelope = np.sin(np.pi * np.clip(part, 0, 1)) ** rng.uniform(0.4, 1.2)
    return tone(track, sample_rate, (1.0, rng.uniform(0.0, 0.15)), rng.uniform()) * envelope
