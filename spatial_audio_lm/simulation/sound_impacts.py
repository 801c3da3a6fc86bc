"""Sounds of blows: bell, knocking, footsteps, dripping water, clapping.

A blow is a short force; what is struck answers with its modes or with a burst of noise.
"""

from __future__ import annotations

import numpy as np

from spatial_audio_lm.simulation.sound_elements import Array, add_at, band, pulse, resonate, shaped_noise


def bell(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """A bell rung again and again: a founder's partials with split pairs, from a church bell down to a hand bell."""
    duration = samples / sample_rate
    prime = np.exp(rng.uniform(np.log(240), np.log(1300)))
    # hum, prime, tierce (a minor third), quint, nominal and above, as bell founders tune them
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 2.67, 3.01, 4.17, 5.43, 6.8]) * rng.uniform(0.985, 1.015, 11)
    decays = rng.uniform(1.2, 3.6) * (300 / prime) ** 0.4 * ratios**-0.8 * rng.uniform(0.7, 1.3, 11)
    amplitudes = np.array([0.6, 0.7, 0.8, 0.4, 1.0, 0.4, 0.4, 0.5, 0.35, 0.3, 0.2]) * rng.uniform(0.4, 1.3, 11)
    if rng.uniform() < 0.35:  # a hand bell or door bell: hum and tierce hardly sound
        amplitudes[[0, 2]] *= 0.1
    contact_s = rng.uniform(0.06, 0.3) / prime  # a hard clapper leaves at once and wakes the high partials
    force = np.zeros(samples)
    interval = rng.uniform(0.28, 0.5) if rng.uniform() < 0.25 else rng.uniform(0.8, 1.9)
    start = rng.uniform(0, min(0.4, 0.2 * duration))
    while start < duration:
        add_at(force, start, sample_rate, pulse(contact_s, sample_rate) * rng.uniform(0.6, 1.0))
        start += interval * rng.uniform(0.93, 1.07)
    split = 1 + rng.uniform(0.0005, 0.004, 11)  # no casting is quite round: each mode is a beating pair
    return resonate(force, sample_rate, prime * ratios, decays, amplitudes) + resonate(
        force, sample_rate, (prime * ratios * split)[:6], decays[:6], 0.6 * amplitudes[:6]
    )


def knocking(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """Knuckles on a door: groups of two to five knocks, wooden modes and a short click each."""
    duration = samples / sample_rate
    lowest = rng.uniform(80, 190)
    frequencies = lowest * np.cumprod(np.concatenate([[1.0], rng.uniform(1.25, 1.75, 7)]))
    decays = rng.uniform(0.06, 0.16) * (frequencies / lowest) ** -0.45
    amplitudes = (frequencies / lowest) ** -rng.uniform(0.1, 0.7) * rng.uniform(0.4, 1.0, 8)
    force, click = np.zeros(samples), np.zeros(samples)
    hiss = shaped_noise(rng, sample_rate // 10, sample_rate, band(400, rng.uniform(1500, 3500)))
    hiss *= np.exp(-np.arange(hiss.size) / (rng.uniform(0.003, 0.008) * sample_rate))
    interval = rng.uniform(0.14, 0.34)
    start = rng.uniform(0, min(0.4, 0.2 * duration))
    while start < duration:
        for _ in range(int(rng.integers(2, 6))):
            strength = rng.uniform(0.55, 1.0)
            add_at(force, start, sample_rate, strength * pulse(rng.uniform(0.0008, 0.002), sample_rate))
            add_at(click, start, sample_rate, strength * hiss)
            start += interval * rng.uniform(0.88, 1.12)
        start += rng.uniform(0.5, 1.3)
    return resonate(force, sample_rate, frequencies, decays, amplitudes) + rng.uniform(0.03, 0.15) * click


def footsteps(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """Someone walking: heel and ball of each foot in turn, on a hard floor, boards or gravel."""
    duration = samples / sample_rate
    interval = 1 / (rng.uniform(1.5, 2.3) if rng.uniform() < 0.85 else rng.uniform(2.5, 3.1))  # now and then running
    roll = rng.uniform(0.06, 0.14) * min(1.0, interval / 0.5)  # from heel to ball
    ground = rng.choice(["hard", "boards", "gravel"])
    force, surface = np.zeros(samples), np.zeros(samples)
    decay_s = {"hard": 0.014, "boards": 0.02, "gravel": 0.055}[ground] * rng.uniform(0.7, 1.5)
    top_hz = {"hard": 3500.0, "boards": 1600.0, "gravel": 5500.0}[ground] * rng.uniform(0.7, 1.4)
    noise = shaped_noise(rng, max(samples, sample_rate), sample_rate, band(rng.uniform(120, 400), top_hz, slope=1.0))
    window = np.arange(int(6 * decay_s * sample_rate)) / (decay_s * sample_rate)
    scuff = np.exp(-window) * (1 - np.exp(-8 * window))
    start, foot = rng.uniform(0, min(0.4, 0.2 * duration)), 0
    uneven = rng.uniform(0.75, 1.0)  # one foot falls softer than the other
    while start < duration:
        strength = rng.uniform(0.8, 1.0) * (uneven if foot % 2 else 1.0)
        for delay, share in ((0.0, 1.0), (roll * rng.uniform(0.9, 1.1), rng.uniform(0.25, 0.7))):
            add_at(force, start + delay, sample_rate, share * strength * pulse(rng.uniform(0.002, 0.005), sample_rate))
            first = int(rng.integers(0, noise.size - scuff.size))
            grain = noise[first : first + scuff.size] * scuff
            if ground == "gravel":  # many small stones that give way one after the other
                grain = grain * rng.gamma(0.35, 1.0, 1 + scuff.size // 40).repeat(40)[: scuff.size]
            add_at(surface, start + delay, sample_rate, share * strength * grain)
        start, foot = start + interval * rng.uniform(0.95, 1.05), foot + 1
    thump_hz = rng.uniform([70, 130, 220], [110, 200, 380])
    thump = resonate(force, sample_rate, thump_hz, np.array([0.12, 0.09, 0.06]), rng.uniform(0.3, 1.0, 3))
    depth = {"hard": 1.2, "boards": 2.5, "gravel": 0.5}[ground]
    return depth * thump + rng.uniform(0.5, 1.0) * surface


def water_drip(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """Drops falling into water: a tiny splash, then the bubble it traps, whose pitch rises as it nears the surface."""
    duration = samples / sample_rate
    interval, pitch = rng.uniform(0.28, 1.0), rng.uniform(600, 2200)
    spread = rng.uniform(0.03, 0.25)
    sound = np.zeros(samples)
    start = rng.uniform(0, min(0.3, 0.2 * duration))
    while start < duration:
        # now and then a second, smaller drop jumps up and falls back
        for delay, share in ((0.0, 1.0), (rng.uniform(0.06, 0.16), 0.6 * (rng.uniform() < 0.35))):
            drop = _bubble(rng, sample_rate, pitch * np.exp(spread * rng.standard_normal()) * (1 + 0.5 * (delay > 0)))
            add_at(sound, start + delay, sample_rate, share * rng.uniform(0.5, 1.0) * drop)
        start += interval * rng.uniform(0.8, 1.25)
    return sound


def clap(rng: np.random.Generator, samples: int, sample_rate: int) -> Array:
    """Hands clapping: bursts of noise around the resonance of the cupped palms, by one person or a few."""
    duration = samples / sample_rate
    sound = np.zeros(samples)
    people = int(rng.choice([1, 1, 1, 2, 3]))
    interval = rng.uniform(0.2, 0.55)
    grouped = rng.uniform() < 0.4  # clap clap clap, rest
    for _ in range(people):
        centre = np.exp(rng.uniform(np.log(700), np.log(2300)))
        tail = rng.uniform(0.008, 0.03)
        length = int(8 * tail * sample_rate)
        time = np.arange(length) / sample_rate
        own = interval * rng.uniform(0.97, 1.03) if people > 1 else interval
        start, count = rng.uniform(0, min(0.3, 0.2 * duration)), 0
        while start < duration:
            noise = shaped_noise(rng, length, sample_rate, band(0.6 * centre, 1.7 * centre, slope=1.5))
            # the palms meet over a few milliseconds, not at once
            late = rng.uniform(0.0, 0.008)
            envelope = np.exp(-time / tail) * (1 - np.exp(-time / 0.0004))
            envelope += 0.7 * (time > late) * np.exp(-np.maximum(time - late, 0) / (0.4 * tail))
            add_at(sound, start, sample_rate, rng.uniform(0.5, 1.0) * noise * envelope)
            count += 1
            start += own * rng.uniform(0.93, 1.07)
            if grouped and count % 4 == 3:
                start += own * rng.uniform(1.0, 2.5)
    return sound


def _bubble(rng: np.random.Generator, sample_rate: int, frequency_hz: float) -> Array:
    """One drop: a click, a pause, and a damped tone (Minnaert's bubble) that slides up.

    A bubble of radius r sounds at about 3.26 m/s / r, and loses more in a cycle the larger it is.
    """
    decay = rng.uniform(12, 30) / frequency_hz
    time = np.arange(int(7 * decay * sample_rate)) / sample_rate
    rise = rng.uniform(0.5, 4.0)  # per second, relative
    track = np.minimum(frequency_hz * (1 + rise * time), 0.45 * sample_rate)
    ring = np.sin(2 * np.pi * np.cumsum(track) / sample_rate) * np.exp(-time / decay) * (1 - np.exp(-time / 0.0015))
    wait = int(rng.uniform(0.003, 0.02) * sample_rate)
    click = shaped_noise(rng, max(8, int(0.004 * sample_rate)), sample_rate, band(1500, 7000))
    click *= np.exp(-np.linspace(0, 6, click.size))
    sound = np.zeros(wait + ring.size + click.size)
    sound[: click.size] += rng.uniform(0.03, 0.15) * click
    sound[wait : wait + ring.size] += ring
    return sound
