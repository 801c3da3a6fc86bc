"""Binaural responses: the same room as an omnidirectional microphone's, heard by two ears in the right places."""

import numpy as np
import pytest
from scipy.signal import csd, welch

from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.simulation.binaural_rirs import diffuse_at_the_ears, simulate_binaural_rirs
from spatial_audio_lm.simulation.heads import HeadModel, MeasuredHead, SphericalHead, onset_delays
from spatial_audio_lm.simulation.rirs import COMPLETE_RADIUS_M, DIRECT_PATH_DELAY, FADE_S, simulate_rirs
from spatial_audio_lm.simulation.room_acoustics import arrival_sample, clarity_db, direct_to_reverberant_db, t30_s
from spatial_audio_lm.simulation.rooms import BAND_CENTRES_HZ, SPEED_OF_SOUND, Placement, Room
from tests.simulation import sampled_heads
from tests.simulation.test_rirs import place, room_of

RATE = 16_000
EARLY = DIRECT_PATH_DELAY + round((COMPLETE_RADIUS_M / SPEED_OF_SOUND - FADE_S) * RATE)  # images alone until here
# Walls that take everything: what arrives before the tail (much softer than 1 / r) is the direct sound.
ANECHOIC = Room((8.0, 8.0, 8.0), ((1.0,) * len(BAND_CENTRES_HZ),) * 6, (0.05,) * len(BAND_CENTRES_HZ))


def heard(room: Room, placement: Placement, head: HeadModel | None = None, seed: int = 1, rate: int = RATE):
    """The responses of the first source: at the ears, and without a head."""
    ears, omnidirectional = simulate_binaural_rirs(
        room, placement, rate, np.random.default_rng(seed), head or SphericalHead()
    )
    return ears[0].astype(np.float64), omnidirectional[0].astype(np.float64)


def energy_db(samples) -> float:
    return float(10 * np.log10(np.square(samples, dtype=np.float64).sum()))


@pytest.mark.parametrize("distance", [0.6, 1.5, 3.1])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_direct_sound_comes_when_and_as_loud_as_it_must(distance, rate):
    _, omnidirectional = heard(ANECHOIC, place(ANECHOIC, 30, 10, distance), rate=rate)
    arrival = DIRECT_PATH_DELAY + distance / SPEED_OF_SOUND * rate
    assert arrival_sample(omnidirectional) == pytest.approx(arrival, abs=0.51)
    window = omnidirectional[: DIRECT_PATH_DELAY + round(0.03 * rate)]
    assert onset_delays(window[None])[0] == pytest.approx(arrival, abs=0.13)  # also between the samples
    assert window.sum() == pytest.approx(1 / distance, rel=0.01)


@pytest.mark.parametrize(("size", "t60"), [((7.0, 5.5, 3.2), 0.6), ((5.0, 4.0, 2.8), 0.3), ((9.0, 7.0, 4.0), 1.2)])
def test_the_omnidirectional_output_is_w_of_ambisonics(size, t60):
    room = room_of(size, t60)
    spot = place(room, 40, 10, 2.0)
    _, omnidirectional = heard(room, spot)
    w = simulate_rirs(room, spot, RATE, np.random.default_rng(1))[0][0]
    assert omnidirectional.shape == w.shape
    assert energy_db(omnidirectional[:EARLY]) == pytest.approx(energy_db(w[:EARLY]), abs=1.0)
    np.testing.assert_allclose(omnidirectional[EARLY + 200 :], w[EARLY + 200 :], atol=1e-7)  # the same noise
    assert t30_s(omnidirectional, RATE) == pytest.approx(t30_s(w, RATE), rel=0.03)
    assert direct_to_reverberant_db(omnidirectional, RATE) == pytest.approx(direct_to_reverberant_db(w, RATE), abs=1.0)
    assert clarity_db(omnidirectional, RATE) == pytest.approx(clarity_db(w, RATE), abs=1.0)


@pytest.mark.parametrize("yaw", [0.0, -130.0])
@pytest.mark.parametrize("side", [1, -1])
def test_the_nearer_ear_hears_first_and_louder(yaw, side):
    room = room_of((6.0, 5.0, 3.0), 0.5)
    left, right = heard(room, place(room, side * 90, 0, 1.0, yaw))[0][:, : DIRECT_PATH_DELAY + 67]
    assert side * (energy_db(left) - energy_db(right)) > 5
    lead = side * np.diff(onset_delays(np.stack([left, right])))[0] / RATE
    assert 550e-6 < lead < 780e-6


def test_a_source_in_front_is_the_same_at_both_ears():
    ears, _ = heard(ANECHOIC, place(ANECHOIC, 0, 0, 1.5))
    np.testing.assert_allclose(ears[0, :EARLY], ears[1, :EARLY], atol=1e-6)


def test_a_distant_source_is_the_head_s_own_response():
    """Direct sound alone, against the transfer functions themselves."""
    azimuth, elevation, distance, n_fft = 70.0, 25.0, 2.0, 512
    ears, _ = heard(ANECHOIC, place(ANECHOIC, azimuth, elevation, distance))
    delay = DIRECT_PATH_DELAY + distance / SPEED_OF_SOUND * RATE
    wave = np.exp(-2j * np.pi * delay * np.arange(n_fft // 2 + 1) / n_fft) / distance
    wave[-1] = 0.0
    spectra = SphericalHead().ear_spectra(np.atleast_2d(unit_vector(azimuth, elevation)), n_fft, RATE)[0]
    expected = np.fft.irfft(spectra * wave, n_fft)
    np.testing.assert_allclose(ears[:, :n_fft], expected, atol=0.01 * np.abs(expected).max())


def test_a_head_and_a_source_that_turn_together_hear_the_same():
    here, _ = heard(ANECHOIC, place(ANECHOIC, 30, 10, 1.4, 0.0))
    turned, _ = heard(ANECHOIC, place(ANECHOIC, 30, 10, 1.4, 50.0))
    np.testing.assert_allclose(here[:, :EARLY], turned[:, :EARLY], atol=1e-4 * np.abs(here).max())
    square = room_of((6.0, 6.0, 3.0), 0.4)
    here, quarter, odd = (heard(square, place(square, 30, 10, 1.4, yaw))[0][:, :EARLY] for yaw in (0.0, 90.0, 50.0))
    np.testing.assert_allclose(here, quarter, atol=1e-5 * np.abs(here).max())  # a quarter turn maps the walls
    assert np.abs(here - odd).max() > 0.05 * np.abs(here).max()


def test_reflections_come_from_their_own_directions():
    """A hard left wall beside a source in front: what comes second comes from the left."""
    hard, soft = (0.02,) * len(BAND_CENTRES_HZ), (1.0,) * len(BAND_CENTRES_HZ)
    room = Room((8.0, 8.0, 8.0), (soft, soft, soft, hard, soft, soft), (0.05,) * len(BAND_CENTRES_HZ))
    spot = Placement((3.0, 6.5, 4.0), 0.0, ((5.0, 6.5, 4.0),), (0.0,), (0.0,), (2.0,))
    ears, omnidirectional = heard(room, spot)
    second = DIRECT_PATH_DELAY + np.hypot(2.0, 3.0) / SPEED_OF_SOUND * RATE  # the image stands 3 m to the left
    window = slice(round(second) - 16, round(second) + 24)
    assert energy_db(omnidirectional[window]) == pytest.approx(20 * np.log10(1 / np.hypot(2.0, 3.0)), abs=1.0)
    assert energy_db(ears[0, window]) - energy_db(ears[1, window]) > 3
    assert np.diff(onset_delays(ears[:, window]))[0] / RATE > 300e-6


def measured_sphere() -> MeasuredHead:
    azimuth, elevation = sampled_heads.grid()
    directions = np.asarray(unit_vector(azimuth, elevation))
    return MeasuredHead(directions, sampled_heads.responses(azimuth, elevation), sampled_heads.RATE)


@pytest.mark.parametrize("head", [SphericalHead(), measured_sphere()], ids=["sphere", "measured"])
def test_the_tail_is_as_alike_at_the_ears_as_a_diffuse_field(head):
    """To 0.06 of the coherence in bands: the tail has some 50 independent windows."""
    t60 = 1.8
    room = room_of((9.0, 8.0, 4.0), t60)
    ears, _ = heard(room, place(room, 30, 10, 1.4, 50.0), head)
    level = ears * 10 ** (3 * np.arange(ears.shape[1]) / RATE / t60)  # as if it did not decay
    tail = level[:, round(0.06 * RATE) :]
    frequency, cross = csd(tail[0], tail[1], RATE, nperseg=1024)
    _, power = welch(tail, RATE, nperseg=1024)
    coherence = cross.real / np.sqrt(power[0] * power[1])
    left, right, expected = head.diffuse_spectra(1024, RATE)
    expected = expected.real / np.sqrt(left * right)
    for low, high in ((60, 200), (200, 400), (400, 600), (650, 950), (2000, 7500)):
        band = (frequency >= low) & (frequency < high)
        assert coherence[band].mean() == pytest.approx(expected[band].mean(), abs=0.06)
    assert coherence[(frequency > 60) & (frequency < 200)].mean() > 0.85
    assert abs(coherence[frequency > 2000].mean()) < 0.05
    flat = (frequency > 100) & (frequency < 3500)  # and neither ear has more of it
    assert 10 * np.log10(power[0][flat].mean() / power[1][flat].mean()) == pytest.approx(0.0, abs=0.5)


def test_noise_keeps_its_power_on_the_way_to_the_ears():
    noise = np.random.default_rng(0).standard_normal((2, 60_000))
    ears = diffuse_at_the_ears(noise, SphericalHead(), RATE)
    left, right, _ = SphericalHead().diffuse_spectra(1024, RATE)
    for ear, power in zip(ears, (left, right), strict=True):
        assert np.square(ear).mean() == pytest.approx(power.mean(), rel=0.02)
    assert not diffuse_at_the_ears(np.zeros((2, 500)), SphericalHead(), RATE).any()


def test_of_an_uneven_head_the_later_ear_hears_noise_later():
    """A right ear that hears everything an eighth of a millisecond late: the sign of the phase between the ears."""
    sphere = measured_sphere()
    uneven = sphere.responses.copy()
    uneven[:, 1] = np.roll(uneven[:, 1], 6, axis=-1)
    head = MeasuredHead(sphere.directions, uneven, sphere.sample_rate)
    ears = diffuse_at_the_ears(np.random.default_rng(0).standard_normal((2, 60_000)), head, RATE)
    frequency, cross = csd(ears[1], ears[0], RATE, nperseg=1024)  # scipy's takes the conjugate of the first
    band = (frequency > 100) & (frequency < 350)
    phase = 2 * np.pi * frequency[band] * 6 / sampled_heads.RATE
    np.testing.assert_allclose(np.angle(cross[band]), phase, atol=0.2)
    assert np.angle(cross[band]).mean() == pytest.approx(phase.mean(), rel=0.1)


def test_same_seed_same_bits_and_every_source_its_own_tail():
    room = room_of((6.0, 5.0, 3.0), 0.5)
    one = place(room, 10, 0, 2.0)
    two = Placement(one.receiver_m, one.yaw_deg, one.sources_m * 2, one.azimuth_deg * 2, (0.0,) * 2, (2.0,) * 2)
    first, second, other = (
        simulate_binaural_rirs(room, two, RATE, np.random.default_rng(seed), SphericalHead())[0] for seed in (4, 4, 5)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0]) and not np.array_equal(first[0], first[1])
    np.testing.assert_array_equal(first[0][:, : EARLY - 8], first[1][:, : EARLY - 8])  # the same place
    assert first[0].dtype == np.float32 and first[0].shape[0] == 2
