"""Mel filters against the implementation in transformers, which follows librosa and torchaudio."""

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.signal.mel import MEL_SCALES, hz_to_mel, mel_filters, mel_to_hz

SETTINGS = [
    (64, 1024, 48_000, 50.0, 14_000.0),  # HTS-AT of CLAP
    (128, 1024, 32_000, 50.0, 16_000.0),  # GRAM
    (128, 512, 16_000, 20.0, 8_000.0),  # AST, Audio-MAE
    (40, 400, 16_000, 0.0, 4_000.0),
]


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
@pytest.mark.parametrize(
    ("scale", "norm"), [("slaney", None), ("slaney", "slaney"), ("htk", None), ("htk", "slaney"), ("kaldi", None)]
)
@pytest.mark.parametrize(("mels", "n_fft", "rate", "low", "high"), SETTINGS)
def test_same_as_transformers(
    scale: str, norm: str | None, mels: int, n_fft: int, rate: int, low: float, high: float
) -> None:
    expected = mel_filter_bank(
        n_fft // 2 + 1, mels, low, high, rate, norm=norm, mel_scale=scale, triangularize_in_mel_space=scale == "kaldi"
    )
    ours = mel_filters(mels, n_fft, rate, low, high, scale, norm)
    assert ours.dtype == torch.float32 and ours.shape == (n_fft // 2 + 1, mels)
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-7)


@pytest.mark.parametrize("scale", MEL_SCALES)
def test_scales_invert(scale: str) -> None:
    hz = torch.linspace(0, 20_000, 500, dtype=torch.float64)
    torch.testing.assert_close(mel_to_hz(hz_to_mel(hz, scale), scale), hz)
    assert (hz_to_mel(hz, scale).diff() > 0).all()


def test_filters_overlap_to_one_between_the_outer_peaks() -> None:
    filters = mel_filters(20, 2048, 16_000, 100.0, 7_000.0, "htk")
    hz = torch.arange(1025) * 16_000 / 2048
    edges = mel_to_hz(torch.linspace(*hz_to_mel(torch.tensor([100.0, 7000.0]), "htk").tolist(), 22), "htk")
    inside = (hz >= edges[1]) & (hz <= edges[-2])
    torch.testing.assert_close(filters[inside].sum(1), torch.ones(int(inside.sum())), atol=1e-5, rtol=0)
    assert (filters[(hz < 100) | (hz > 7000)] == 0).all()


def test_default_reaches_half_the_rate() -> None:
    torch.testing.assert_close(mel_filters(40, 512, 16_000), mel_filters(40, 512, 16_000, 0.0, 8_000.0))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"scale": "bark"}, "slaney, htk, kaldi"),
        ({"norm": "area"}, "norm"),
        ({"max_hz": 9_000.0}, "8000"),
        ({"min_hz": 4_000.0, "max_hz": 3_000.0}, "min_hz < max_hz"),
        ({"num_mels": 0}, "num_mels"),
    ],
)
def test_refusals(options: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        mel_filters(**{"num_mels": 40, "n_fft": 512, "sample_rate": 16_000, **options})


def test_filters_computed_in_float32_differ_by_little() -> None:
    settings = (128, 1024, 32_000, 50.0, 16_000.0, "htk")
    exact, rounded = mel_filters(*settings), mel_filters(*settings, precision=torch.float32)
    assert rounded.dtype == exact.dtype == torch.float32
    assert 1e-6 < (rounded - exact).abs().max() < 1e-4
