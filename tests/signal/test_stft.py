"""Spectra: against the definition, for any leading shape, and with named refusals."""

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.signal.stft import stft


def test_against_the_definition() -> None:
    waveform = torch.randn(1000, dtype=torch.float64)
    spectra = stft(waveform, 64, 16, center=False)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)  # periodic Hann
    for frame in (0, 7, spectra.shape[-1] - 1):
        piece = waveform.numpy()[frame * 16 : frame * 16 + 64] * window
        np.testing.assert_allclose(spectra[:, frame].numpy(), np.fft.rfft(piece), atol=1e-12)
    assert spectra.shape == (33, 1 + (1000 - 64) // 16)


def test_centred_frames_stand_on_their_sample() -> None:
    waveform = torch.zeros(4000)
    waveform[1600] = 1.0
    spectra = stft(waveform, 256, 160)
    assert spectra.shape == (129, 1 + 4000 // 160)
    assert int(spectra.abs().sum(0).argmax()) == 10
    torch.testing.assert_close(spectra[:, 10].abs(), torch.ones(129))


def test_leading_dimensions_and_own_window() -> None:
    waveform = torch.randn(2, 3, 800)
    spectra = stft(waveform, 128, 64, window=torch.ones(128), pad_mode="constant")
    assert spectra.shape[:2] == (2, 3)
    torch.testing.assert_close(spectra[1, 2], stft(waveform[1, 2], 128, 64, torch.ones(128), pad_mode="constant"))


def test_too_short_and_unknown_are_named() -> None:
    assert stft(torch.zeros(33), 64, 16).shape == (33, 3)
    with pytest.raises(AudioValueError, match="32 samples are too few"):
        stft(torch.zeros(32), 64, 16)
    with pytest.raises(AudioValueError):
        stft(torch.zeros(63), 64, 16, center=False)
    with pytest.raises(ConfigError, match="hann"):
        stft(torch.zeros(100), 64, 16, window="kaiser")
    with pytest.raises(ConfigError):
        stft(torch.zeros(100), 64, 0)
