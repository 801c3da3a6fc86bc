"""The maps of GRAM: against the formulas written out, and what plane waves and silence look like."""

import pytest
import torch
from torch import Tensor

from spatial_audio_lm.features.mel_bands import mel_blocks
from spatial_audio_lm.features.mel_intensity import mel_intensity_features
from spatial_audio_lm.signal.ambisonics import encode_foa
from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.signal.mel import mel_filters
from spatial_audio_lm.signal.stft import stft

FILTERS = mel_filters(128, 1024, 32_000, 50.0, 16_000.0, "htk")


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def maps(waveform: Tensor, intensity: bool = True) -> Tensor:
    return mel_intensity_features(stft(waveform, 1024, 320), mel_blocks(FILTERS), 128, 1e-6, intensity)


@pytest.mark.parametrize("samples", [2_000, 64_000])
def test_the_formulas_written_out(samples: int) -> None:
    waveform = noise(2, 4, samples)
    spectrum = torch.stft(
        waveform.flatten(0, 1).double(), 1024, 320, window=torch.hann_window(1024).double(), return_complex=True
    ).unflatten(0, (2, 4))
    log_mel = (spectrum.abs().square().transpose(2, 3) @ FILTERS.double() + 1e-6).log()
    intensity = 2 * (spectrum[:, :1].conj() * spectrum[:, 1:]).real
    energy = 1e-6 + spectrum.abs().square().sum(1, keepdim=True)
    expected = torch.cat([log_mel, (intensity / energy).transpose(2, 3) @ FILTERS.double()], dim=1)
    result = maps(waveform)
    assert result.shape == (2, 7, 1 + samples // 320, 128) and result.dtype == torch.float32
    torch.testing.assert_close(result.double(), expected, atol=1e-4, rtol=1e-5)


def test_two_channels_have_log_mels_alone() -> None:
    waveform = noise(1, 2, 8_000)
    assert torch.equal(maps(waveform, intensity=False), maps(torch.cat([waveform, waveform], dim=1))[:, :2])


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (90, 0), (-120, 40), (20, -90)])
def test_a_plane_wave_is_its_direction_times_the_weights_of_the_filter(azimuth: float, elevation: float) -> None:
    # Loud, since the energy floor of 1e-6 shortens the vectors of soft bins.
    vectors = maps(encode_foa(10 * noise(32_000), azimuth, elevation)[None])[0, 4:]
    x, y, z = unit_vector(azimuth, elevation).tolist()
    expected = torch.tensor([y, z, x])[:, None, None] * FILTERS.sum(0)
    torch.testing.assert_close(vectors, expected.expand_as(vectors), atol=2e-3, rtol=1e-3)
    assert FILTERS.sum(0).min().item() == pytest.approx(0.39, abs=0.01)
    assert FILTERS.sum(0).max().item() == pytest.approx(12.54, abs=0.01)


def test_silence_is_the_floor_and_has_no_direction() -> None:
    silent = maps(torch.zeros(1, 4, 4_000))
    assert torch.equal(silent[:, :4], torch.full_like(silent[:, :4], 1e-6).log()) and not silent[:, 4:].any()
