"""A sphere does to sound what theory says, and a measured head what was measured of it."""

import mpmath
import numpy as np
import pytest
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.simulation.heads import (
    EAR_AZIMUTH_DEG,
    NOMINAL_RADIUS_M,
    MeasuredHead,
    SphericalHead,
    onset_delays,
    spiral_directions,
)
from spatial_audio_lm.simulation.rooms import SPEED_OF_SOUND
from tests.simulation import sampled_heads
from tests.simulation.sampled_heads import differences

RATE, N_FFT = 16_000, 1024
TRAVEL_S = NOMINAL_RADIUS_M / SPEED_OF_SOUND  # of sound through one radius


def toward(azimuth, elevation=0.0):
    return np.atleast_2d(np.asarray(unit_vector(np.asarray(azimuth, float), np.asarray(elevation, float))))


def rigid_sphere(angle_deg: float, frequency_hz: float, radius_m: float = NOMINAL_RADIUS_M) -> complex:
    """Incident wave plus scattered wave on the surface, summed with 30 digits by mpmath; phase as in a DFT."""
    with mpmath.workdps(30):
        ka = 2 * mpmath.pi * frequency_hz * mpmath.mpf(radius_m) / SPEED_OF_SOUND

        def half(kind, m, x):
            return mpmath.sqrt(mpmath.pi / (2 * x)) * kind(m + mpmath.mpf(1) / 2, x)

        def slope(kind, m, x):
            return m / x * half(kind, m, x) - half(kind, m + 1, x)

        total = mpmath.mpc(0)
        for m in range(int(1.5 * float(ka)) + 25):
            hankel, hankel_slope = half(mpmath.hankel1, m, ka), slope(mpmath.hankel1, m, ka)
            here = half(mpmath.besselj, m, ka) - slope(mpmath.besselj, m, ka) / hankel_slope * hankel
            # exp(-i k a cos(angle)) arrives from where angle is 0
            total += (-1j) ** m * (2 * m + 1) * here * mpmath.legendre(m, mpmath.cos(mpmath.radians(angle_deg)))
        return complex(mpmath.conj(total))


@pytest.mark.parametrize("angle", [0.0, 37.3, 90.0, 141.8, 180.0])
@pytest.mark.parametrize("bin", [8, 64, 320])  # 125, 1000 and 5000 Hz
def test_the_series_is_incident_plus_scattered_wave(angle, bin):
    made = SphericalHead().ear_spectra(toward(EAR_AZIMUTH_DEG - angle), N_FFT, RATE)[0, 0, bin]
    expected = rigid_sphere(angle, bin * RATE / N_FFT)
    assert abs(made - expected) < 3e-3 * max(1.0, abs(expected))  # the table has half degrees


def test_a_long_wave_does_not_see_the_sphere():
    spectra = SphericalHead().ear_spectra(spiral_directions(50), N_FFT, RATE)
    assert np.array_equal(spectra[..., 0], np.ones((50, 2)))
    np.testing.assert_allclose(np.abs(spectra[..., 1]), 1.0, atol=0.01)  # at 16 Hz


def test_double_the_size_is_half_the_frequency():
    small = SphericalHead(0.06).ear_spectra(toward(55.0), N_FFT, RATE)
    large = SphericalHead(0.12).ear_spectra(toward(55.0), N_FFT, RATE // 2)
    np.testing.assert_allclose(small, large, rtol=1e-9)


@pytest.mark.parametrize("azimuth", [30.0, 60.0, 90.0])
def test_interaural_time_of_long_and_short_waves(azimuth):
    """Long waves: 3 a / c sin (Kuhn 1977). Short ones go straight to one ear and around the sphere to the other.

    Woodworth's a / c (theta + sin theta) is the latter for ears at 90 degrees; here they are at 100.
    """
    long_s = 3 * TRAVEL_S * np.sin(np.radians(azimuth)) * np.sin(np.radians(EAR_AZIMUTH_DEG))

    def arrival_s(angle_deg: float) -> float:
        angle = np.radians(angle_deg)
        return TRAVEL_S * (-np.cos(angle) if angle <= np.pi / 2 else angle - np.pi / 2)

    far = EAR_AZIMUTH_DEG + azimuth
    short_s = arrival_s(min(far, 360 - far)) - arrival_s(abs(EAR_AZIMUTH_DEG - azimuth))
    _, itd, _ = differences(SphericalHead(), toward(azimuth), RATE)
    assert itd[0, 0] == pytest.approx(long_s, rel=0.001)  # 16 Hz
    frequency, itd, _ = differences(SphericalHead(), toward(azimuth), 192_000)
    assert itd[0, np.searchsorted(frequency, 80_000)] == pytest.approx(short_s, rel=0.015)
    assert long_s > 1.2 * short_s


def test_left_and_right_are_mirror_images():
    directions = spiral_directions(40)
    here = SphericalHead().ear_spectra(directions, N_FFT, RATE)
    there = SphericalHead().ear_spectra(directions * [1, -1, 1], N_FFT, RATE)
    np.testing.assert_array_equal(here, there[:, ::-1])
    assert np.abs(here[:, 0] - here[:, 1]).max() > 1.0  # and not because all is the same


def test_a_sphere_cannot_tell_up_from_down_and_hardly_front_from_back():
    directions = spiral_directions(40)
    above = SphericalHead().ear_spectra(directions, N_FFT, RATE)
    np.testing.assert_array_equal(above, SphericalHead().ear_spectra(directions * [1, 1, -1], N_FFT, RATE))
    # Around the axis through the ears, 45 degrees off the middle: front, up, down and back.
    turn = np.radians([0.0, 60.0, 90.0, 120.0, 180.0, 270.0])
    side = np.sqrt(0.5)
    cone = np.stack([side * np.cos(turn), np.full(6, side), side * np.sin(turn)], axis=-1)
    frequency, itd, ild = differences(SphericalHead(), cone, RATE)
    low = frequency < 200
    assert np.ptp(itd[:, low], axis=0).max() < 0.005 * itd[:, low].min()
    assert np.ptp(ild[:, low], axis=0).max() < 0.5
    middle = (frequency > 1500) & (frequency < 5000)  # what the ears' place behind the middle gives
    assert 0.5 < abs((ild[0] - ild[4])[middle].mean()) < 3.0


def test_pressure_doubles_on_the_side_of_the_sound_and_a_bright_spot_lies_opposite():
    spectra = SphericalHead().ear_spectra(toward(EAR_AZIMUTH_DEG), N_FFT, RATE)[0]
    level = 20 * np.log10(np.abs(spectra))
    assert level[0, -1] == pytest.approx(6.02, abs=0.15)
    assert (np.diff(level[0]) > -0.05).all()  # rises all the way
    opposite = SphericalHead().ear_spectra(toward([-80.0, -50.0]), N_FFT, RATE)[:, 0]
    assert (np.abs(opposite[0]) > np.abs(opposite[1]))[100:].mean() > 0.95


def test_diffuse_field_of_a_sphere_has_its_closed_form():
    left, right, cross = SphericalHead().diffuse_spectra(N_FFT, RATE)
    frequency = np.fft.rfftfreq(N_FFT, 1 / RATE)
    mu = 2 * np.pi * frequency[1:] * TRAVEL_S
    power, shared = np.zeros(len(mu)), np.zeros(len(mu))
    between = np.cos(np.radians(2 * EAR_AZIMUTH_DEG))
    for m in range(20 + int(mu.max())):
        modulus = spherical_jn(m, mu, derivative=True) ** 2 + spherical_yn(m, mu, derivative=True) ** 2
        term = np.where(np.isfinite(modulus), (2 * m + 1) / modulus / mu**4, 0.0)
        power += term
        shared += term * eval_legendre(m, between)
    np.testing.assert_allclose(left[1:], power, rtol=3e-3)
    np.testing.assert_allclose(right[1:], power, rtol=3e-3)
    coherence = cross / np.sqrt(left * right)
    np.testing.assert_allclose(coherence[1:], shared / power, atol=2e-3)
    # A sphere acts on long waves like two points in the free field half as far apart again.
    apart = 3 * TRAVEL_S * np.sin(np.radians(EAR_AZIMUTH_DEG))
    low = frequency < 200
    np.testing.assert_allclose(coherence[low].real, np.sinc(2 * frequency[low] * apart), atol=0.01)
    assert coherence[frequency < 100].real.min() > 0.95 and np.abs(coherence[frequency > 2000]).max() < 0.06


@pytest.mark.parametrize("radius", [0.0, 0.05, 0.5, float("nan")])
def test_a_radius_that_no_head_has_is_refused(radius):
    with pytest.raises(ConfigError, match=r"heads have 0.06 to 0.12 m"):
        SphericalHead(radius)


def test_delays_of_responses_are_found():
    heard = np.zeros((4, 128))
    heard[[0, 1, 2], [20, 20, 57]] = 1.0
    heard[1, 25] = 0.6  # an echo, and a response that dies away: both are minimum-phase, and begin where they begin
    heard[3, 57:] = 0.9 ** np.arange(71)
    assert onset_delays(heard) == pytest.approx([20.0, 20.0, 57.0, 57.0], abs=0.13)


@pytest.fixture(scope="module")
def measured() -> MeasuredHead:
    azimuth, elevation = sampled_heads.grid()
    return MeasuredHead(toward(azimuth, elevation), sampled_heads.responses(azimuth, elevation), sampled_heads.RATE)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_measured_sphere_is_the_sphere_where_it_was_measured(measured, rate):
    frequency, itd, ild = differences(measured, measured.directions, rate)
    _, true_itd, true_ild = differences(SphericalHead(), measured.directions, rate)
    band = (frequency > 200) & (frequency < 7000)
    np.testing.assert_allclose(itd[:, band], true_itd[:, band], atol=8e-6)
    np.testing.assert_allclose(ild[:, band], true_ild[:, band], atol=0.3)


def test_a_measured_sphere_is_nearly_the_sphere_between_its_directions(measured):
    directions = spiral_directions(150)
    directions = directions[directions[:, 2] > -0.7]
    frequency, itd, ild = differences(measured, directions, RATE)
    _, true_itd, true_ild = differences(SphericalHead(), directions, RATE)
    low, high = (frequency > 200) & (frequency < 3000), (frequency >= 3000) & (frequency < 7000)
    np.testing.assert_allclose(itd[:, low], true_itd[:, low], atol=15e-6)
    np.testing.assert_allclose(ild[:, low], true_ild[:, low], atol=1.5)
    # Ten degrees are coarse for the fringes behind a sphere; elsewhere even high frequencies are right.
    assert np.median(np.abs(ild - true_ild)[:, high]) < 0.2
    assert np.abs(itd - true_itd)[:, high].max() < 25e-6


def test_a_measured_head_has_level_one_and_the_centre_s_delay(measured):
    """Of a sphere that was measured 7 dB too soft, and later by what was before it."""
    soft = MeasuredHead(measured.directions, 0.447 * measured.responses, measured.sample_rate)
    front = np.array([[1.0, 0.0, 0.0]])
    np.testing.assert_allclose(
        soft.ear_spectra(front, N_FFT, RATE), measured.ear_spectra(front, N_FFT, RATE), rtol=1e-9
    )
    band = slice(round(300 * N_FFT / RATE), round(1000 * N_FFT / RATE))
    power = np.mean([soft.diffuse_spectra(N_FFT, RATE)[ear][band].mean() for ear in (0, 1)])
    assert power == pytest.approx(1.0, abs=0.02)
    heard = np.fft.irfft(soft.ear_spectra(front, N_FFT, RATE)[0, 0] * np.exp(-2j * np.pi * 40 / N_FFT * np.arange(513)))
    assert onset_delays(heard[None])[0] == pytest.approx(40.0, abs=0.3)


def test_a_measured_sphere_has_the_sphere_s_diffuse_field(measured):
    left, right, cross = measured.diffuse_spectra(N_FFT, RATE)
    true_left, true_right, true_cross = SphericalHead().diffuse_spectra(N_FFT, RATE)
    difference = cross / np.sqrt(left * right) - true_cross / np.sqrt(true_left * true_right)
    assert np.abs(difference[2:400]).max() < 0.06  # the grid is open below


def measured_with(**changes) -> MeasuredHead:
    azimuth, elevation = sampled_heads.grid()
    given = {"directions": toward(azimuth, elevation), "responses": sampled_heads.responses(azimuth, elevation)}
    for name, change in changes.items():
        given[name] = change(given[name])
    return MeasuredHead(given["directions"], given["responses"], sampled_heads.RATE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"responses": lambda r: r[:, :1]}, r"responses \(375, 1, 256\); expected .* 2 ears, taps"),
        ({"directions": lambda d: d[:-1]}, r"directions \(374, 3\) and responses \(375, 2, 256\)"),
        ({"responses": lambda r: np.where(np.arange(256) == 3, np.nan, r)}, "not finite"),
        ({"directions": lambda d: d * [[np.inf, 1, 1]]}, "not finite"),
        ({"directions": lambda d: d[:11], "responses": lambda r: r[:11]}, "11 directions do not enclose"),
        ({"directions": lambda d: np.abs(d)}, "front, back, both sides and above are wanted"),
        ({"directions": lambda d: d[d[:, 2] > -0.01], "responses": lambda r: r[-224:]}, "below the horizon"),
    ],
)
def test_what_is_no_head_is_named(changes, message):
    assert len(measured_with().directions) == 375  # it fails for what is changed alone
    with pytest.raises(DataError, match=message):
        measured_with(**changes)


def test_responses_that_do_not_fit_are_not_cut(measured):
    with pytest.raises(DataError, match="at most 64 fit here"):
        measured.ear_spectra(np.array([[1.0, 0.0, 0.0]]), 64, RATE)
