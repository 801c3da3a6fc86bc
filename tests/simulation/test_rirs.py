"""Impulse responses: conventions by an anechoic room, levels and decay by theory."""

import numpy as np
import pytest

from spatial_audio_lm.errors import RecordError
from spatial_audio_lm.signal.conventions import great_circle_deg, unit_vector
from spatial_audio_lm.simulation.receivers import microphones, turn_horizontally
from spatial_audio_lm.simulation.rirs import DIRECT_PATH_DELAY, complete_order, diffuse_field, simulate_rirs
from spatial_audio_lm.simulation.room_acoustics import arrival_sample, clarity_db, direct_to_reverberant_db, t30_s
from spatial_audio_lm.simulation.rooms import BAND_CENTRES_HZ, SPEED_OF_SOUND, Placement, Room, eyring_absorption

RATE = 16_000
MAIN = [(0, 0), (90, 0), (180, 0), (-90, 0), (0, 89), (0, -89)]
OBLIQUE = [(45, 30), (135, 30), (-45, 30), (-135, 30), (45, -30), (135, -30), (-45, -30), (-135, -30)]


def room_of(size: tuple[float, float, float], t60: float) -> Room:
    absorption = float(eyring_absorption(size, t60))
    bands = len(BAND_CENTRES_HZ)
    return Room(size, tuple((absorption,) * bands for _ in range(6)), (t60,) * bands)


def place(room: Room, azimuth: float, elevation: float, distance: float, yaw: float = 0.0) -> Placement:
    receiver = np.array(room.size_m) / 2
    offset = turn_horizontally(np.asarray(unit_vector(azimuth, elevation)) * distance, yaw)
    return Placement(tuple(receiver), yaw, (tuple(receiver + offset),), (azimuth,), (elevation,), (distance,))


@pytest.mark.parametrize(("azimuth", "elevation"), MAIN + OBLIQUE)
@pytest.mark.parametrize("yaw", [0.0, 70.0])
def test_anechoic_room_gives_ambix(azimuth, elevation, yaw):
    room = room_of((8.0, 8.0, 8.0), 0.5)
    rir = simulate_rirs(room, place(room, azimuth, elevation, 1.5, yaw), RATE, np.random.default_rng(0), full_order=0)[
        0
    ]
    w = rir[0].astype(np.float64)
    x, y, z = unit_vector(float(azimuth), float(elevation))
    for channel, gain in zip(rir[1:], (y, z, x), strict=True):  # ACN order, SN3D: dipoles are the direction cosines
        np.testing.assert_allclose(channel, gain * w, atol=2e-3 * np.abs(w).max())
    assert arrival_sample(w) == pytest.approx(DIRECT_PATH_DELAY + 1.5 / SPEED_OF_SOUND * RATE, abs=1)


def test_direct_sound_falls_with_distance():
    room = room_of((8.0, 8.0, 8.0), 0.5)
    near, far = (
        np.square(simulate_rirs(room, place(room, 30, 0, d, 0), RATE, np.random.default_rng(0), full_order=0)[0][0])
        for d in (1.0, 2.0)
    )
    assert 10 * np.log10(near.sum() / far.sum()) == pytest.approx(6.02, abs=0.2)


@pytest.mark.parametrize("t60", [0.3, 0.8, 1.5])
def test_decay_follows_the_absorption(t60):
    room = room_of((7.0, 5.5, 3.2), t60)
    rir = simulate_rirs(room, place(room, 40, 10, 2.0), RATE, np.random.default_rng(1))[0]
    assert t30_s(rir[0], RATE) == pytest.approx(t60, rel=0.12)


def test_level_of_the_tail_is_that_of_the_image_sources():
    """Around the hand-over the two methods must have the same energy: within 2.5 dB, averaged over rooms."""
    differences = []
    for size in ((6.0, 5.0, 3.0), (4.2, 3.6, 2.6), (9.0, 7.0, 4.0)):
        room = room_of(size, 0.6)
        spot = place(room, 60, 10, 1.2)
        hybrid = simulate_rirs(room, spot, RATE, np.random.default_rng(2))[0]
        full = simulate_rirs(room, spot, RATE, np.random.default_rng(2), full_order=complete_order(room, 30.0))[0]
        late = slice(DIRECT_PATH_DELAY + round(0.05 * RATE), DIRECT_PATH_DELAY + round(0.08 * RATE))
        differences.append(10 * np.log10(np.square(hybrid[0, late]).sum() / np.square(full[0, late]).sum()))
    assert abs(np.mean(differences)) < 2.5


def test_every_early_image_is_there():
    """Up to the fade, the low order gives the same samples as a much higher one.

    To 0.2 % of the peak: pyroomacoustics' 10-Hz high-pass runs backwards too, and lets the late part be felt early.
    """
    room = room_of((5.0, 4.0, 2.8), 0.4)
    spot = place(room, 100, -20, 1.0)
    low = simulate_rirs(room, spot, RATE, np.random.default_rng(0))[0]
    high = simulate_rirs(room, spot, RATE, np.random.default_rng(0), full_order=complete_order(room) + 8)[0]
    early = slice(0, DIRECT_PATH_DELAY + round(0.034 * RATE))
    np.testing.assert_allclose(low[:, early], high[:, early], atol=2e-3 * np.abs(high).max())


def test_diffuse_field_is_isotropic():
    room = room_of((6.0, 5.0, 3.0), 1.0)
    time = np.zeros(40_000)  # no decay: levels alone
    field = diffuse_field(room, "foa", RATE, time, np.random.default_rng(3))
    energy = np.square(field).mean(1)
    assert energy[1:] / energy[0] == pytest.approx([1 / 3] * 3, rel=0.05)
    assert np.abs(np.corrcoef(field) - np.eye(4)).max() < 0.03
    assert energy[0] == pytest.approx(4 * np.pi * SPEED_OF_SOUND / (room.volume_m3 * RATE), rel=0.05)


def test_same_seed_same_bits():
    room = room_of((6.0, 5.0, 3.0), 0.5)
    first, second, other = (
        simulate_rirs(room, place(room, 10, 0, 2.0), RATE, np.random.default_rng(s))[0] for s in (4, 4, 5)
    )
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_measures_of_a_known_response():
    """One direct impulse and an exponential decay: all three measures have closed forms."""
    t60, generator = 0.5, np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    noise = generator.standard_normal(RATE) * 10 ** (-3 * time / t60) * 0.05
    noise[: round(0.01 * RATE)] = 0
    noise[0] = 1.0
    assert t30_s(noise[round(0.01 * RATE) :], RATE) == pytest.approx(t60, rel=0.03)
    energy = np.square(noise)
    assert direct_to_reverberant_db(noise, RATE) == pytest.approx(10 * np.log10(1 / energy[1:].sum()), abs=1e-6)
    split = round(0.05 * RATE)
    assert clarity_db(noise, RATE) == pytest.approx(10 * np.log10(energy[:split].sum() / energy[split:].sum()))


def test_room_order_grows_with_smallness():
    small, large = room_of((3.6, 3.6, 2.4), 0.4), room_of((18.0, 15.0, 5.0), 0.4)
    assert complete_order(small) > complete_order(large) >= 3


def test_unknown_receiver_is_named():
    with pytest.raises(RecordError, match=r"'quad'.*'foa'"):
        microphones("quad")


def test_great_circle_of_first_arrivals():
    """In a reverberant room too the first millisecond points at the source."""
    room = room_of((7.0, 6.0, 3.0), 0.9)
    rir = simulate_rirs(room, place(room, -120, 20, 1.5, 33.0), RATE, np.random.default_rng(0))[0]
    centre = arrival_sample(rir[0])
    window = rir[:, centre - 16 : centre + 17].astype(np.float64)
    y, z, x = (window[0] * window[1:]).sum(1)
    assert great_circle_deg(np.array([x, y, z]), unit_vector(-120.0, 20.0)) < 1.0
