"""Resampling keeps tones, lengths, polarity, and every difference between channels."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial_audio_lm.errors import SampleRateError
from spatial_audio_lm.signal.ambisonics import encode_foa
from spatial_audio_lm.signal.resampling import resample, resample_parts

RATES = [(48_000, 16_000), (44_100, 16_000), (16_000, 48_000), (44_100, 48_000), (32_000, 16_000), (8_000, 11_025)]


def tone(hz: float, rate: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.sin(2 * math.pi * hz * torch.arange(rate, dtype=torch.float64) / rate).to(dtype)


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("part", [0.01, 0.3, 0.85])
def test_tones_below_the_edge_pass_unchanged(source: int, target: int, part: float) -> None:
    hz = part * min(source, target) / 2
    middle = slice(target // 10, -target // 10)
    error = (resample(tone(hz, source), source, target) - tone(hz, target))[middle].abs().max()
    assert error < 3e-5  # -90 dB; also proves that nothing is delayed or turned over
    error = (resample(tone(hz, source, torch.float32), source, target) - tone(hz, target))[middle].abs().max()
    assert error < 4e-5


@pytest.mark.parametrize("part", [1.05, 1.3, 2.5])
def test_what_would_fold_back_is_gone(part: float) -> None:
    residue = resample(tone(part * 8_000, 48_000), 48_000, 16_000)[1000:-1000].abs().max()
    assert 20 * math.log10(float(residue) + 1e-12) < -85


def test_a_constant_stays_and_an_impulse_stays_in_place() -> None:
    # The branches of the polyphase filter differ by what the stop band lets through.
    assert (resample(torch.ones(8_000), 16_000, 44_100)[3_000:-3_000] - 1).abs().max() < 1e-4
    impulse = torch.zeros(4_800)
    impulse[2_400] = 1.0
    out = resample(impulse, 48_000, 16_000)
    assert int(out.abs().argmax()) == 800 and out[800] > 0


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(RATES), st.integers(1, 3_000))
def test_length(rates: tuple[int, int], time: int) -> None:
    source, target = rates
    assert resample(torch.ones(2, time), source, target).shape == (2, math.ceil(time * target / source))


def test_channels_are_treated_alike() -> None:
    signal = torch.randn(9_000, dtype=torch.float64)
    foa = encode_foa(signal, 40, -20)
    expected = encode_foa(resample(signal, 44_100, 16_000), 40, -20)
    torch.testing.assert_close(resample(foa, 44_100, 16_000), expected, atol=1e-12, rtol=0)
    batch = resample(foa.expand(2, 3, 4, -1).float(), 44_100, 16_000)
    assert batch.shape == (2, 3, 4, expected.shape[-1]) and batch.dtype == torch.float32


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(RATES), st.lists(st.sampled_from([1, 2, 15, 440, 3_000]), min_size=1, max_size=9))
def test_parts_are_resampled_like_the_whole(rates: tuple[int, int], lengths: list[int]) -> None:
    signal = torch.randn(2, sum(lengths), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = torch.cat(list(resample_parts(signal.split(lengths, dim=1), *rates)), dim=1)
    torch.testing.assert_close(parts, resample(signal, *rates), atol=1e-12, rtol=0)


def test_a_long_sound_is_held_in_parts() -> None:
    lengths = [part.shape[-1] for part in resample_parts((torch.ones(1, 4_000) for _ in range(50)), 44_100, 16_000)]
    assert sum(lengths) == math.ceil(200_000 * 16_000 / 44_100) and max(lengths) < 2_000
    assert list(resample_parts([], 44_100, 16_000)) == []


def test_same_rate_is_the_same_tensor() -> None:
    waveform = torch.randn(4, 100)
    assert resample(waveform, 16_000, 16_000) is waveform
    assert next(resample_parts([waveform], 16_000, 16_000)) is waveform


@pytest.mark.parametrize("rate", [None, 0, -16_000, 16_000.5, True, "16000", 3_999, 400_000])
def test_rates_out_of_range_are_refused(rate: object) -> None:
    with pytest.raises(SampleRateError, match="rate"):
        resample(torch.zeros(10), 16_000, rate)  # type: ignore[arg-type]
    with pytest.raises(SampleRateError, match="rate"):
        next(resample_parts([torch.zeros(10)], 16_000, rate))  # type: ignore[arg-type]
