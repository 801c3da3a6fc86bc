"""Procedural sounds: fourteen kinds that a listener can name, so that everything runs without any data set.

A sound is a function of its kind and seed. The seed decides pitch, pace, timbre, rhythm and recording colour, so that
no two clips of a kind share a waveform and only what makes it that kind stays the same.
"""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Callable

import numpy as np
import torch
from scipy.fft import irfft, next_fast_len, rfft

from spatial_audio_lm.errors import LIMITS, ConfigError, SampleRateError
from spatial_audio_lm.simulation.sound_elements import Array
from spatial_audio_lm.simulation.sound_impacts import bell, clap, footsteps, knocking, water_drip
from spatial_audio_lm.simulation.sound_nature import bird, buzz, engine, wind
from spatial_audio_lm.simulation.sound_signals import alarm, horn, siren, telephone, whistle

_MAKERS: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "siren": siren,
    "alarm": alarm,
    "telephone": telephone,
    "bell": bell,
    "knocking": knocking,
    "footsteps": footsteps,
    "engine": engine,
    "water_drip": water_drip,
    "bird": bird,
    "buzz": buzz,
    "clap": clap,
    "wind": wind,
    "whistle": whistle,
    "horn": horn,
}

SOUND_KINDS: tuple[str, ...] = tuple(_MAKERS)
"""The kinds, which are also ids of `spatial_audio_lm.language.vocabulary`."""

FIRST_UNSEEN_SEED = 1_000_000_000
"""Trainings draw seeds below it, evaluations and demonstrations from it on."""

PEAK = 0.5
_FADE_S = 0.005
_SHORTEST_S = 0.05


def synthesize(kind: str, seed: int, sample_rate: int, duration_s: float = 4.0) -> torch.Tensor:
    """Make one dry sound.

    Args:
        kind: One of `SOUND_KINDS`.
        seed: Which sound of that kind, 0 or more.
        sample_rate: Rate in Hz; the same seed at another rate is the same instrument and player.
        duration_s: Length in seconds.

    Returns:
        Float32 samples of peak 0.5, (time,); equal bits for equal arguments.

    Raises:
        ConfigError: The kind is unknown, the seed negative, or the length out of range.
        SampleRateError: The rate is out of range.
    """
    maker = _MAKERS.get(kind)
    if maker is None:
        near = difflib.get_close_matches(str(kind), SOUND_KINDS, n=1, cutoff=0.5)
        hint = f"the nearest is {near[0]!r}" if near else f"known kinds: {', '.join(SOUND_KINDS)}"
        raise ConfigError(f"no procedural sound is called {kind!r}; {hint}")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; expected 0 or more")
    if not LIMITS.min_sample_rate <= sample_rate <= LIMITS.max_sample_rate:
        raise SampleRateError(
            f"sample rate {sample_rate} Hz; expected {LIMITS.min_sample_rate} to {LIMITS.max_sample_rate} Hz"
        )
    if not _SHORTEST_S <= duration_s <= LIMITS.max_duration_s:
        raise ConfigError(f"duration_s is {duration_s}; expected {_SHORTEST_S} to {LIMITS.max_duration_s:g} seconds")
    rng = np.random.default_rng([zlib.crc32(kind.encode()), seed])
    samples = round(duration_s * sample_rate)
    sound = _colour(rng, maker(rng, samples, sample_rate), sample_rate)
    fade = min(samples // 2, int(_FADE_S * sample_rate))
    ramp = np.linspace(0, 1, fade, endpoint=False)
    sound[:fade] *= ramp
    sound[samples - fade :] *= ramp[::-1]
    return torch.from_numpy((PEAK * sound / np.abs(sound).max()).astype(np.float32))


def _colour(rng: np.random.Generator, sound: Array, sample_rate: int) -> Array:
    """Give the sound the tint of some microphone and loudspeaker: no rumble, a tilt, two broad bumps."""
    tilt_db, bumps_db = rng.uniform(-1.5, 1.5), rng.uniform(-4, 4, 2)
    centres = np.log2(rng.uniform([200, 1500], [1200, 6000]))
    length = next_fast_len(sound.size + sample_rate // 20, real=True)  # room for the filter's own ringing
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / sample_rate), 1.0)
    octave = np.log2(frequency)
    gain_db = tilt_db * (octave - np.log2(1000)).clip(-4, 4)
    for centre, bump_db in zip(centres, bumps_db, strict=True):
        gain_db += bump_db * np.exp(-0.5 * (octave - centre) ** 2)
    highpass = 1 / np.sqrt(1 + (35 / frequency) ** 4)
    return irfft(rfft(sound, length) * highpass * 10 ** (gain_db / 20), length)[: sound.size]
