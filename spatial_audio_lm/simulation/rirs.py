"""Room impulse responses by pyroomacoustics (the only file that knows it), with a shaped diffuse tail.

The early part is the image source method, complete to `COMPLETE_RADIUS_M` (every image nearer than that is there) in
six octave bands with a material per wall. Beyond it the number of images grows with the cube of time while each says
less and less, so the late part is Gaussian noise per octave band whose variance follows from diffuse-field theory,

    W:      4 pi c / (V fs) * exp(-13.8 t / T60(band)) per sample, for a source whose direct sound is 1/r,
    dipole: a third of it each, uncorrelated (the SN3D dipoles of an isotropic field),

cross-faded in power over `FADE_S`. (In pyroomacoustics the direct sound has amplitude 1/r, without 1/(4 pi).) What is
lost against full order: late flutter echoes between hard parallel walls, which in an empty shoebox stretch the decay
well beyond Eyring's (real rooms scatter), and the anisotropy of the late field. `benchmarks/rendering.py` prints times
and the differences in T30, clarity and direct-to-reverberant ratio against full order.
"""

from functools import lru_cache

import numpy as np
import pyroomacoustics as pra
from numpy.typing import NDArray
from pyroomacoustics.directivities import DirectionVector, FigureEight
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from spatial_audio_lm.signal.conventions import direction_of
from spatial_audio_lm.simulation.receivers import microphones, turn_horizontally
from spatial_audio_lm.simulation.rooms import BAND_CENTRES_HZ, SPEED_OF_SOUND, WALLS, Placement, Room

COMPLETE_RADIUS_M = 15.0
FADE_S = 0.008
MAX_DURATION_S = 2.0
DIRECT_PATH_DELAY = pra.constants.get("frac_delay_length") // 2  # samples; its interpolation filter is centred there

FloatArray = NDArray[np.float32]


def complete_order(room: Room, radius_m: float = COMPLETE_RADIUS_M) -> int:
    """The reflection order at which every image source nearer than `radius_m` is present.

    An image of order k along an axis of length L is at least (k - 1) L away, so the nearest image of total order n is
    (n - 3) / sqrt(sum 1/L^2) away.
    """
    return int(np.ceil(radius_m * np.sqrt(sum(1 / side**2 for side in room.size_m)))) + 2


def simulate_rirs(
    room: Room,
    placement: Placement,
    sample_rate: int,
    generator: np.random.Generator,
    receiver_format: str = "foa",
    full_order: int | None = None,
) -> list[FloatArray]:
    """Impulse responses from every source of a placement to the receiver.

    Args:
        room: size and absorption.
        placement: where receiver and sources are.
        sample_rate: Hz.
        generator: draws the diffuse tails.
        receiver_format: see `receivers.RECEIVERS`.
        full_order: image sources of this order and no tail, to measure what the tail loses.

    Returns:
        One float32 array `(microphones, time)` a source; the direct sound of a source at r metres has amplitude
        1 / r (band-limited) and arrives at `DIRECT_PATH_DELAY + r / c * sample_rate` samples.
    """
    order = full_order if full_order is not None else complete_order(room)
    shoebox = _shoebox(room, sample_rate, order)
    for position in placement.sources_m:
        shoebox.add_source(list(position))
    for microphone in microphones(receiver_format):
        shoebox.add_microphone(list(placement.receiver_m), directivity=_directivity(microphone.axis, placement.yaw_deg))
    shoebox.compute_rir()

    num_microphones = len(microphones(receiver_format))
    responses = []
    for source in range(len(placement.sources_m)):
        early = [np.asarray(shoebox.rir[m][source], dtype=np.float64) for m in range(num_microphones)]
        stacked = np.zeros((num_microphones, max(len(channel) for channel in early)))
        for channel, samples in zip(stacked, early, strict=True):
            channel[: len(samples)] = samples
        if full_order is None:
            stacked = _with_diffuse_tail(stacked, room, receiver_format, sample_rate, generator)
        responses.append(stacked.astype(np.float32))
    return responses


def image_sources(
    room: Room, receiver_m: tuple[float, float, float], source_m: tuple[float, float, float], sample_rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The source and its mirror images in the walls, complete to `COMPLETE_RADIUS_M` around the receiver.

    Returns:
        Positions `(images, 3)` in metres; amplitudes `(images, bands)` that the walls leave; and the centres of those
        bands in Hz (pyroomacoustics continues the highest one upwards).
    """
    shoebox = _shoebox(room, sample_rate, complete_order(room))
    shoebox.add_source(list(source_m))
    shoebox.add_microphone(list(receiver_m))
    shoebox.image_source_model()
    source = shoebox.sources[0]
    visible = np.asarray(shoebox.visibility[0][0], dtype=bool)
    gains = np.asarray(source.damping, dtype=np.float64)[:, visible].T
    centres = np.asarray(shoebox.octave_bands.centers, dtype=np.float64)
    return np.asarray(source.images, dtype=np.float64)[:, visible].T, gains, centres


def _shoebox(room: Room, sample_rate: int, order: int) -> pra.ShoeBox:
    pra.constants.set("num_threads", 1)  # one thread a worker, and sums in one order: equal bits
    # Even an anechoic room (order 0) keeps its materials: pyroomacoustics wants one a wall.
    materials = {
        wall: pra.Material({"coeffs": list(absorption), "center_freqs": list(BAND_CENTRES_HZ)})
        for wall, absorption in zip(WALLS, room.absorption, strict=True)
    }
    return pra.ShoeBox(room.size_m, fs=sample_rate, materials=materials, max_order=order)


def _directivity(axis: tuple[float, float, float] | None, yaw_deg: float) -> FigureEight | None:
    if axis is None:
        return None
    azimuth, elevation = direction_of(turn_horizontally(np.asarray(axis), yaw_deg))
    return FigureEight(orientation=DirectionVector(float(azimuth), 90.0 - float(elevation), degrees=True))


def _with_diffuse_tail(
    early: NDArray[np.float64], room: Room, receiver_format: str, sample_rate: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    time_s = tail_time_s(room, sample_rate)
    length = len(time_s)
    fade_out, fade_in = crossfade(time_s)
    tail = diffuse_field(room, receiver_format, sample_rate, time_s, generator)
    early = np.pad(early[:, :length], ((0, 0), (0, max(0, length - early.shape[1]))))
    return early * fade_out + tail * fade_in


def tail_time_s(room: Room, sample_rate: int) -> NDArray[np.float64]:
    """Seconds since the source sounded, for every sample of a response."""
    duration_s = float(np.clip(1.05 * max(room.eyring_t60_s), 0.2, MAX_DURATION_S))
    length = DIRECT_PATH_DELAY + round(duration_s * sample_rate)
    return (np.arange(length) - DIRECT_PATH_DELAY) / sample_rate


def crossfade(time_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gains of the image sources and of the diffuse tail, whose powers add up to one."""
    mixing_s = COMPLETE_RADIUS_M / SPEED_OF_SOUND
    phase = np.clip((time_s - (mixing_s - FADE_S)) / FADE_S, 0.0, 1.0) * np.pi / 2
    return np.cos(phase), np.sin(phase)


def diffuse_field(
    room: Room, receiver_format: str, sample_rate: int, time_s: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Isotropic noise `(microphones, time)` with the level and decay of the room's late field (module docstring)."""
    patterns = microphones(receiver_format)
    gain = np.array([1.0 if p.axis is None else np.sqrt(1 / 3) for p in patterns])[:, None]
    return decaying_noise(room, len(patterns), sample_rate, time_s, generator) * gain


def decaying_noise(
    room: Room, channels: int, sample_rate: int, time_s: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Independent noises `(channels, time)` with the level and decay of W's late field (module docstring)."""
    length = len(time_s)
    padded = next_fast_len(length, real=True)
    spectrum = rfft(generator.standard_normal((channels, padded)), axis=-1)
    power = 4 * np.pi * SPEED_OF_SOUND / (room.volume_m3 * sample_rate)
    field = np.zeros((channels, length))
    for weight, t60 in zip(_band_weights(padded, sample_rate), room.eyring_t60_s, strict=True):
        band = irfft(spectrum * weight, padded, axis=-1)[:, :length]
        field += band * np.sqrt(power * np.exp(-6 * np.log(10) * np.maximum(time_s, 0.0) / t60))
    return field


@lru_cache(maxsize=8)
def _band_weights(length: int, sample_rate: int) -> NDArray[np.float64]:
    """Octave-band magnitudes `(bands, frequencies)` that add up to one: the bands are of one noise, hence coherent."""
    octave = np.log2(np.maximum(rfftfreq(length, 1 / sample_rate), 1.0) / BAND_CENTRES_HZ[0])
    position = np.clip(octave, 0, len(BAND_CENTRES_HZ) - 1)
    return np.clip(1 - np.abs(position - np.arange(len(BAND_CENTRES_HZ))[:, None]), 0, 1)
