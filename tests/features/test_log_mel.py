"""Log-mel spectrograms against a second implementation, and without level."""

import numpy as np
import torch
from transformers import ClapFeatureExtractor

from spatial_audio_lm.features.log_mel import cached_mel_filters, decibels, level_free_decibels, mel_power
from spatial_audio_lm.signal.stft import stft


def test_decibels_are_those_of_clap() -> None:
    waveform = 0.1 * torch.randn(480_000, generator=torch.Generator().manual_seed(0))
    reference = ClapFeatureExtractor(frequency_min=50, frequency_max=14_000)(
        waveform.numpy(), sampling_rate=48_000, truncation="rand_trunc", padding="repeatpad", return_tensors="np"
    )["input_features"][0, 0]
    power = mel_power(stft(waveform, 1024, 480), cached_mel_filters(64, 1024, 48_000, 50.0, 14_000.0))
    assert power.shape == (1001, 64)
    assert np.abs(decibels(power).numpy() - reference).max() < 5e-4


def test_level_free_decibels_forget_the_gain_and_keep_the_shape() -> None:
    power = torch.rand(3, 50, 64, generator=torch.Generator().manual_seed(1)) ** 4
    free = level_free_decibels(power)
    assert (free - level_free_decibels(power * 1e-4)).abs().max() < 1e-4
    assert (free - level_free_decibels(power * 1e4)).abs().max() < 1e-4
    assert free.mean(dim=(1, 2)).abs().max() < 1e-5
    quiet, loud = power[0, 3, 4], power[0, 7, 8]
    assert abs(20 * (free[0, 7, 8] - free[0, 3, 4]) - 10 * torch.log10(loud / quiet)) < 1e-2


def test_silence_is_zero_and_a_quiet_clip_is_not_lost() -> None:
    assert level_free_decibels(torch.zeros(1, 10, 4)).abs().max() == 0
    power = torch.rand(1, 10, 4) * 1e-20
    assert level_free_decibels(power).std() > 0.01
