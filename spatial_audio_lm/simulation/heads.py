"""Heads: what a head does to sound from every direction on its way to the two ears.

A head answers `ear_spectra(directions, n_fft, sample_rate)`: the transfer functions from free field at the place of its
centre to the left and the right ear, for sources far away (the curvature of a near source's wave front, which makes
level differences at low frequencies larger below a metre, is not modelled).

`SphericalHead` needs no data: sound is bent around a rigid sphere, and the ears are points on it. It has the right
differences of time and level between the ears at every frequency. It has **no** cue to up and down (the ears are on the
horizontal axis and there is no pinna), and hardly one to front and back (only what the ears' place behind the middle
gives). `MeasuredHead` has them all, of one person or dummy head; head_files.py reads them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.spatial import ConvexHull, SphericalVoronoi
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.signal.conventions import great_circle_deg, unit_vector
from spatial_audio_lm.signal.resampling import resample
from spatial_audio_lm.simulation.rooms import SPEED_OF_SOUND

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

NOMINAL_RADIUS_M = 0.0875  # of an average adult, in the literature since Woodworth
RADIUS_RANGE_M = (0.06, 0.12)
EAR_AZIMUTH_DEG = 100.0  # a little behind the middle (Blauert, Spatial Hearing, section 2.2)
DIFFUSE_DIRECTIONS = 600  # over which a spherical head's diffuse field is averaged
_TABLE_STEP_DEG = 0.5
_LEVEL_BAND_HZ = (300.0, 1000.0)  # where a measured head is given the level of a sphere's neighbourhood: about 1
_LEAST_DEPTH = 0.1  # of the head's centre below every face of a measured grid: seen from there they are triangles
_ONSET_MARGIN = 64  # zeros before a measured response, so that resampling does not cut its beginning


class HeadModel(Protocol):
    """What the simulation asks of a head."""

    def ear_spectra(self, directions: FloatArray, n_fft: int, sample_rate: int) -> ComplexArray:
        """Spectra `(directions, 2 ears, n_fft // 2 + 1)` for unit vectors `(directions, 3)` in the head's own axes."""
        ...

    def diffuse_spectra(self, n_fft: int, sample_rate: int) -> tuple[FloatArray, FloatArray, ComplexArray]:
        """What a field from everywhere at once gives: power at the left and right ear, and the cross-spectrum L R*."""
        ...


@dataclass(frozen=True)
class SphericalHead:
    """A rigid sphere with two points for ears; source: Duda and Martens (1998), eq. 4 at infinite distance.

    Args:
        radius_m: of the sphere.

    Raises:
        ConfigError: a radius that no head has.
    """

    radius_m: float = NOMINAL_RADIUS_M

    def __post_init__(self) -> None:
        if not RADIUS_RANGE_M[0] <= self.radius_m <= RADIUS_RANGE_M[1]:
            raise ConfigError(f"radius_m is {self.radius_m}; heads have {RADIUS_RANGE_M[0]} to {RADIUS_RANGE_M[1]} m")

    def ear_spectra(self, directions: FloatArray, n_fft: int, sample_rate: int) -> ComplexArray:
        table = _sphere_table(self.radius_m, n_fft, sample_rate)
        spectra = []
        for ear in _sphere_ears():
            position = np.asarray(great_circle_deg(np.asarray(directions), ear)) / _TABLE_STEP_DEG
            below = np.minimum(position.astype(np.int64), len(table) - 2)
            weight = (position - below)[:, None]
            spectra.append(table[below] * (1 - weight) + table[below + 1] * weight)
        return np.stack(spectra, axis=1)

    def diffuse_spectra(self, n_fft: int, sample_rate: int) -> tuple[FloatArray, FloatArray, ComplexArray]:
        return _sphere_diffuse(self.radius_m, n_fft, sample_rate)


def _sphere_ears() -> FloatArray:
    return np.asarray(unit_vector(np.array([EAR_AZIMUTH_DEG, -EAR_AZIMUTH_DEG]), np.zeros(2)), dtype=np.float64)


@lru_cache(maxsize=16)
def _sphere_table(radius_m: float, n_fft: int, sample_rate: int) -> ComplexArray:
    """Pressure at a point of the sphere over that of the free field at its centre, `(angles, frequencies)`.

    With mu = k a and spherical Hankel functions of the first kind, for the time factor exp(-i w t):
    (1 / mu^2) sum over m of (-i)^(m - 1) (2 m + 1) P_m(cos angle) / h'_m(mu). The conjugate is what a DFT takes.
    """
    mu = 2 * np.pi * np.fft.rfftfreq(n_fft, 1 / sample_rate)[1:] * radius_m / SPEED_OF_SOUND
    angle_deg = np.arange(0.0, 180.0 + _TABLE_STEP_DEG / 2, _TABLE_STEP_DEG)
    cosine = np.asarray(unit_vector(angle_deg, 0.0))[:, 0]
    total = np.zeros((len(cosine), len(mu)), dtype=np.complex128)
    for m in range(int(np.ceil(1.3 * mu.max())) + 12):  # terms fall off fast once m exceeds mu
        with np.errstate(invalid="ignore"):  # at low frequencies h' overflows long before the sum needs the term
            derivative = spherical_jn(m, mu, derivative=True) + 1j * spherical_yn(m, mu, derivative=True)
            term = (-1j) ** (m - 1) * (2 * m + 1) / derivative
        total += eval_legendre(m, cosine)[:, None] * np.where(np.isfinite(derivative), term, 0.0)
    table = np.ones((len(cosine), len(mu) + 1), dtype=np.complex128)  # at 0 Hz the sphere is not there
    table[:, 1:] = np.conj(total / mu**2)
    return table


@lru_cache(maxsize=64)
def _sphere_diffuse(radius_m: float, n_fft: int, sample_rate: int) -> tuple[FloatArray, FloatArray, ComplexArray]:
    directions = spiral_directions(DIFFUSE_DIRECTIONS)
    spectra = SphericalHead(radius_m).ear_spectra(directions, n_fft, sample_rate)
    return _diffuse(spectra, np.full(len(directions), 1 / len(directions)))


def spiral_directions(count: int) -> FloatArray:
    """Unit vectors `(count, 3)` spread evenly over the sphere on a Fibonacci spiral."""
    step = np.arange(count)
    z = 1 - (2 * step + 1) / count
    turn = step * np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=-1)


def _diffuse(spectra: ComplexArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, ComplexArray]:
    left, right = spectra[:, 0], spectra[:, 1]
    share = weights[:, None]
    return (
        (share * np.abs(left) ** 2).sum(0),
        (share * np.abs(right) ** 2).sum(0),
        (share * left * np.conj(right)).sum(0),
    )


class MeasuredHead:
    """Head-related impulse responses on a grid of directions.

    Between the directions of the grid, the responses of the three nearest ones (the corners of the triangle around)
    are averaged after their delays were taken out, and given the average delay: averaging them as they are would
    filter out high frequencies. Where the grid leaves the sphere open, as below most dummy heads, the triangles bridge
    it. All directions together are given the level of 1 from 300 to 1000 Hz, and the sound from the front the delay of
    the head's centre.

    Args:
        directions: unit vectors `(directions, 3)`, house convention.
        responses: `(directions, 2 ears, taps)`, left ear first.
        sample_rate: of the responses in Hz.

    Raises:
        DataError: shapes that do not fit, values that are not finite, or too few directions to enclose the head.
    """

    def __init__(self, directions: FloatArray, responses: FloatArray, sample_rate: int):
        directions, responses = np.asarray(directions, np.float64), np.asarray(responses, np.float64)
        if directions.ndim != 2 or responses.shape[:2] != (len(directions), 2) or directions.shape[1] != 3:
            raise DataError(
                f"directions {directions.shape} and responses {responses.shape}; expected (directions, 3) and "
                "(directions, 2 ears, taps)"
            )
        if not np.isfinite(responses).all() or not np.isfinite(directions).all():
            raise DataError("a head's responses or directions have values that are not finite")
        _, unique = np.unique(directions.round(6), axis=0, return_index=True)  # a pole is often measured many times
        kept = np.sort(unique)
        self.directions, self.responses, self.sample_rate = directions[kept], responses[kept], sample_rate
        reach = np.concatenate([self.directions.max(0), -self.directions[:, :2].min(0)])
        if len(kept) < 12 or reach.min() < 0.3:
            raise DataError(
                f"{len(kept)} directions do not enclose the head: front, back, both sides and above are wanted"
            )
        hull = ConvexHull(self.directions)
        if hull.equations[:, 3].max() > -_LEAST_DEPTH:  # the distance of each face from the centre, negative inside
            raise DataError(
                "the directions do not enclose the head: a face of the solid they span passes its centre; responses "
                "from below the horizon are wanted too"
            )
        corners = self.directions[hull.simplices]  # (triangles, 3 corners, 3)
        self._triangles = hull.simplices
        self._to_corners = np.linalg.inv(corners.transpose(0, 2, 1))  # a direction as a sum of the corners
        self._prepared: dict[tuple[int, int], tuple[ComplexArray, FloatArray]] = {}
        self._diffuse: dict[tuple[int, int], tuple[FloatArray, FloatArray, ComplexArray]] = {}

    def ear_spectra(self, directions: FloatArray, n_fft: int, sample_rate: int) -> ComplexArray:
        aligned, delays = self._aligned(n_fft, sample_rate)
        corners, weights = self._surrounding(np.asarray(directions, np.float64))
        delay = sum(weights[:, k, None] * delays[corners[:, k]] for k in range(3))
        spectra = sum(weights[:, k, None, None] * aligned[corners[:, k]] for k in range(3))
        return spectra * np.exp(-1j * np.asarray(delay)[..., None] * _phase_a_sample(n_fft))

    def diffuse_spectra(self, n_fft: int, sample_rate: int) -> tuple[FloatArray, FloatArray, ComplexArray]:
        if (n_fft, sample_rate) not in self._diffuse:
            aligned, delays = self._aligned(n_fft, sample_rate)
            spectra = aligned * np.exp(-1j * delays[..., None] * _phase_a_sample(n_fft))
            self._diffuse[n_fft, sample_rate] = _diffuse(spectra, self._areas())
        return self._diffuse[n_fft, sample_rate]

    def _areas(self) -> FloatArray:
        """The share of the sphere that each measured direction stands for."""
        areas = SphericalVoronoi(self.directions).calculate_areas()
        return areas / areas.sum()

    def _surrounding(self, directions: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
        """Three corners `(directions, 3)` of the triangle each direction passes through, and their weights."""
        found = np.empty((len(directions), 3), dtype=np.int64)
        weights = np.empty((len(directions), 3))
        for row, direction in enumerate(directions):
            shares = (self._to_corners * direction).sum(-1)  # (triangles, 3)
            best = int(np.argmax(shares.min(-1)))  # all three are positive in the right one
            share = np.maximum(shares[best], 0.0)
            found[row], weights[row] = self._triangles[best], share / share.sum()
        return found, weights

    def _aligned(self, n_fft: int, sample_rate: int) -> tuple[ComplexArray, FloatArray]:
        """Spectra `(directions, 2, frequencies)` without their delays, and the delays `(directions, 2)` in samples."""
        if (n_fft, sample_rate) in self._prepared:
            return self._prepared[n_fft, sample_rate]
        padded = np.pad(self.responses, ((0, 0), (0, 0), (_ONSET_MARGIN, 0)))
        responses = resample(torch.from_numpy(padded), self.sample_rate, sample_rate).numpy()
        if responses.shape[-1] > n_fft:
            raise DataError(f"responses of {responses.shape[-1]} samples at {sample_rate} Hz; at most {n_fft} fit here")
        spectra = rfft(responses, n_fft, axis=-1)
        frequency = np.fft.rfftfreq(n_fft, 1 / sample_rate)
        band = (frequency >= _LEVEL_BAND_HZ[0]) & (frequency <= _LEVEL_BAND_HZ[1])
        level = np.sqrt((self._areas()[:, None] * (np.abs(spectra[..., band]) ** 2).mean((1, 2))[:, None]).sum())
        delays = onset_delays(responses)
        front = int(np.argmax(self.directions[:, 0]))
        aligned = spectra / level * np.exp(1j * delays[..., None] * _phase_a_sample(n_fft))
        self._prepared[n_fft, sample_rate] = aligned, delays - delays[front].mean()
        return self._prepared[n_fft, sample_rate]


def _phase_a_sample(n_fft: int) -> FloatArray:
    """Phase in radians that a delay of one sample means at each frequency."""
    return 2 * np.pi * np.arange(n_fft // 2 + 1) / n_fft


def onset_delays(responses: FloatArray, upsampling: int = 8) -> FloatArray:
    """Delays of impulse responses `(..., taps)` in samples: where they fit their own minimum-phase versions best."""
    taps = responses.shape[-1]
    length = next_fast_len(4 * taps, real=True)
    magnitude = np.abs(rfft(responses, length, axis=-1))
    log_magnitude = np.log(np.maximum(magnitude, 1e-4 * magnitude.max(-1, keepdims=True) + 1e-30))
    cepstrum = irfft(log_magnitude, length, axis=-1)
    cepstrum[..., 1 : (length + 1) // 2] *= 2
    cepstrum[..., length // 2 + 1 :] = 0
    minimum_phase = np.exp(rfft(cepstrum, length, axis=-1))
    cross = rfft(responses, length, axis=-1) * np.conj(minimum_phase)
    correlation = irfft(cross, upsampling * length, axis=-1)[..., : upsampling * taps]
    return correlation.argmax(-1) / upsampling
