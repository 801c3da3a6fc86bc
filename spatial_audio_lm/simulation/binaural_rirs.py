"""Binaural room impulse responses: the room's image sources and its diffuse tail, each heard by a head.

What is modelled:

- **Early part**: every image source nearer than `COMPLETE_RADIUS_M` reaches the head from its own direction, with its
  delay (fractions of a sample included), 1 / r, its walls' losses in octave bands, and the head's transfer functions
  for that direction. The losses have zero phase.
- **Late part**: two noises with the room's decay, as for ambisonics (rirs.py), made as alike as a field from everywhere
  at once is at the two ears of *this* head: power and cross-spectrum are the averages of its transfer functions over
  the sphere. So the ears hear nearly the same at low frequencies (coherence 0.99 at 60 Hz, 0.76 at 250 Hz for a sphere
  of average size), something of opposite sign around 800 Hz, and independent noise above 1.5 kHz. Two independent
  noises would sound wider than any room, and would teach a model that reverberation can be told by its low bands.

What is not: torso where the head has none, the curved wave front of sources nearer than a metre, head movements, and
what rirs.py leaves out.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from spatial_audio_lm.simulation.heads import ComplexArray, HeadModel
from spatial_audio_lm.simulation.receivers import turn_horizontally
from spatial_audio_lm.simulation.rirs import (
    COMPLETE_RADIUS_M,
    DIRECT_PATH_DELAY,
    crossfade,
    decaying_noise,
    image_sources,
    tail_time_s,
)
from spatial_audio_lm.simulation.rooms import SPEED_OF_SOUND, Placement, Room

FloatArray = NDArray[np.float32]
HEAD_TAPS_S = 0.016  # room for the head's response and its delays behind the last image source


def simulate_binaural_rirs(
    room: Room, placement: Placement, sample_rate: int, generator: np.random.Generator, head: HeadModel
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Impulse responses from every source of a placement to the two ears of a head at the receiver's place.

    Args:
        room: size and absorption.
        placement: where the head and the sources are; the head looks where its yaw says.
        sample_rate: Hz.
        generator: draws the diffuse tails.
        head: heard with.

    Returns:
        One float32 array `(2 ears, time)` a source, left ear first; and one `(time,)` a source as an omnidirectional
        microphone in the head's place would have it, from which the room's measures are taken. The direct sound of a
        source at r metres would have amplitude 1 / r there, and arrives at `DIRECT_PATH_DELAY + r / c * sample_rate`.
    """
    time_s = tail_time_s(room, sample_rate)
    fade_out, fade_in = crossfade(time_s)
    binaural, omnidirectional = [], []
    for position in placement.sources_m:
        heard = _early(room, placement, position, sample_rate, head)
        early = np.zeros((3, len(time_s)))
        length = min(heard.shape[-1], len(time_s))
        early[:, :length] = heard[:, :length]
        noise = decaying_noise(room, 3, sample_rate, time_s, generator)
        noise[1:] = diffuse_at_the_ears(noise[1:], head, sample_rate)
        response = (early * fade_out + noise * fade_in).astype(np.float32)
        omnidirectional.append(response[0])
        binaural.append(response[1:])
    return binaural, omnidirectional


def transform_length(sample_rate: int) -> int:
    """Samples that hold the early part, a power of two."""
    reach_s = COMPLETE_RADIUS_M / SPEED_OF_SOUND + HEAD_TAPS_S
    return int(2 ** np.ceil(np.log2(DIRECT_PATH_DELAY + reach_s * sample_rate)))


def _early(
    room: Room, placement: Placement, source_m: tuple[float, float, float], sample_rate: int, head: HeadModel
) -> NDArray[np.float64]:
    """Image sources `(3, time)`: as a microphone hears them, and the left and the right ear."""
    n_fft = transform_length(sample_rate)
    positions, gains, centres_hz = image_sources(room, placement.receiver_m, source_m, sample_rate)
    offset = positions - np.asarray(placement.receiver_m)
    distance = np.sqrt(np.square(offset).sum(-1))
    near = distance <= COMPLETE_RADIUS_M
    offset, distance, gains = offset[near], distance[near], gains[near]
    frequency = rfftfreq(n_fft, 1 / sample_rate)
    octave = np.log2(np.maximum(frequency, 1.0))
    losses = np.stack([np.interp(octave, np.log2(centres_hz), row) for row in gains])
    delay = DIRECT_PATH_DELAY + distance / SPEED_OF_SOUND * sample_rate
    arriving = losses / distance[:, None] * np.exp(-2j * np.pi * delay[:, None] * np.arange(len(frequency)) / n_fft)
    if n_fft % 2 == 0:
        arriving[:, -1] = 0.0  # half a sample of delay has no real number at half the sample rate
    directions = turn_horizontally(offset / distance[:, None], -placement.yaw_deg)
    ears = head.ear_spectra(directions, n_fft, sample_rate)
    spectra = np.stack([arriving.sum(0), *(ears * arriving[:, None]).sum(0)])
    return irfft(spectra, n_fft, axis=-1)


def diffuse_at_the_ears(noise: NDArray[np.float64], head: HeadModel, sample_rate: int) -> NDArray[np.float64]:
    """Two independent noises `(2, time)` of equal power to what an isotropic field of that power is at the two ears."""
    n_fft = transform_length(sample_rate)
    left, right, cross = head.diffuse_spectra(n_fft, sample_rate)
    length = noise.shape[-1]
    padded = next_fast_len(length, real=True)
    target, known = rfftfreq(padded), rfftfreq(n_fft)
    # Cholesky's factor of [[left, cross], [conj(cross), right]], frequency by frequency.
    first = np.sqrt(np.maximum(left, 1e-12))
    shared = np.conj(cross) / first
    own = np.sqrt(np.maximum(right - np.abs(shared) ** 2, 0.0))
    to_left, to_right = np.interp(target, known, first), np.interp(target, known, own)
    a, b = rfft(noise, padded, axis=-1)
    right_ear = _interpolated(target, known, np.asarray(shared, dtype=np.complex128)) * a + to_right * b
    return irfft(np.stack([to_left * a, right_ear]), padded, axis=-1)[:, :length]


def _interpolated(target: NDArray[np.float64], known: NDArray[np.float64], values: ComplexArray) -> ComplexArray:
    return np.interp(target, known, values.real) + 1j * np.interp(target, known, values.imag)
