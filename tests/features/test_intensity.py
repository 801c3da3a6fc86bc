"""Intensity features: directions are right, level is gone, diffuseness shortens vectors."""

import pytest
import torch

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.intensity import (
    DIRECTION_VECTORS,
    SPATIAL_CHANNELS,
    count_spatial_channels,
    intensity_features,
    vector_channels,
)
from spatial_audio_lm.features.log_mel import cached_mel_filters
from spatial_audio_lm.signal.ambisonics import encode_foa, rotate_foa, rotation_matrix
from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.signal.stft import stft

RATE, N_FFT, HOP = 16_000, 512, 320
ALL = list(SPATIAL_CHANNELS)
BANDS = cached_mel_filters(32, N_FFT, RATE, 100.0, RATE / 2, norm=None)


def features(foa: torch.Tensor, channels: list[str], banded: bool = True) -> torch.Tensor:
    return intensity_features(stft(foa[None], N_FFT, HOP), channels, BANDS if banded else None)[0]


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("azimuth_deg, elevation_deg", [(0, 0), (90, 0), (-90, 0), (180, 0), (0, 90), (35, -40)])
@pytest.mark.parametrize("banded", [True, False])
def test_a_plane_wave_points_to_its_source_with_length_one(azimuth_deg: int, elevation_deg: int, banded: bool) -> None:
    foa = encode_foa(noise(0, RATE), azimuth_deg, elevation_deg).float()
    result = features(foa, ["active", "reactive", "unit_active", "unit_reactive"], banded)
    assert result.shape == (12, 51, 32 if banded else 257)
    expected = torch.as_tensor(unit_vector(azimuth_deg, elevation_deg), dtype=torch.float32)[:, None, None]
    loud = result[:3].square().sum(0).sqrt() > 0.999  # a few bins of noise lie 70 dB under the mean and fade
    assert loud.float().mean() > 0.99
    assert ((result[:3] - expected).abs() * loud).max() < 1e-3
    # A bin's vote falls a thousandth short of length 1, the price of not voting on rounding noise.
    assert ((result[6:9] - expected).abs() * loud).max() < 3e-3
    assert (result[3:6].abs() * loud).max() < 1e-3  # nothing stands still in a plane wave
    assert (result[9:].abs() * loud).max() < 2e-2


def test_a_diffuse_field_has_short_vectors() -> None:
    diffuse = features(noise(1, 4, 4 * RATE), ["active"])
    assert diffuse.square().sum(0).sqrt().mean() < 0.5


def test_mono_copied_to_four_channels_has_the_papers_code() -> None:
    mono = noise(2, RATE).expand(4, -1)
    result = features(mono, ["unit_active", "unit_reactive"], banded=False)
    assert (result[:3] - 3**-0.5).abs().max() < 2e-3
    assert result[3:].abs().max() < 1e-3


@pytest.mark.parametrize("gain", [10.0, 0.01])
def test_no_channel_depends_on_level(gain: float) -> None:
    foa = encode_foa(noise(3, RATE), 50.0, 10.0).float() + 0.1 * noise(4, 4, RATE)
    change = (features(foa, ALL) - features(gain * foa, ALL)).abs().amax((1, 2))
    unit_reactive = slice(9, 12)  # closest to rounding, since every bin is brought to length 1
    assert change[unit_reactive].max() < 2e-3
    change[unit_reactive] = 0
    assert change.max() < 1e-4


def test_silence_is_finite_and_zero() -> None:
    assert features(torch.zeros(4, RATE), ALL).abs().max() == 0


def test_vectors_turn_with_the_sound_field_and_the_energy_does_not() -> None:
    foa = encode_foa(noise(5, RATE), 20.0, 30.0) + encode_foa(noise(6, RATE), -100.0, -5.0)
    before, after = features(foa, ALL), features(rotate_foa(foa, yaw_deg=70.0, pitch_deg=20.0), ALL)
    matrix = torch.as_tensor(rotation_matrix(70.0, 20.0), dtype=before.dtype)
    for start in (0, 3, 6, 9):
        turned = torch.einsum("ij,jtf->itf", matrix, before[start : start + 3])
        assert (turned - after[start : start + 3]).abs().max() < 2e-3
    assert (before[12] - after[12]).abs().max() < 1e-4


@pytest.mark.parametrize("names", [[], ["active", "active"], ["energy"]])
def test_wrong_names_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="spatial_channels"):
        count_spatial_channels(names)


def test_vector_channels_are_found_by_name() -> None:
    names = ("active", "reactive", "unit_active", "log_energy")
    assert vector_channels(names) == [0, 3, 6]
    assert vector_channels(names, only=DIRECTION_VECTORS) == [0, 6]
    assert vector_channels(("log_energy", "active")) == [1]
