"""Kaldi's filter bank against its formula in float64, and against the implementation in transformers."""

import numpy as np
import pytest
import torch
from scipy.signal import get_window
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from spatial_audio_lm.errors import AudioValueError
from spatial_audio_lm.features.kaldi_fbank import POWER_FLOOR, kaldi_fbank


def sound(seconds: float = 0.7, rate: int = 16_000, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(round(seconds * rate), generator=torch.Generator().manual_seed(seed))
    return 0.1 * noise + 0.3 * torch.sin(torch.arange(len(noise)) * (2 * torch.pi * 440 / rate))


def by_the_formula(waveform: np.ndarray, rate: int, num_mels: int) -> np.ndarray:
    """Frame by frame, band by band, in float64."""
    length, shift = rate // 40, rate // 100
    n_fft = 2 ** int(np.ceil(np.log2(length)))
    window = get_window("hann", length, fftbins=False)
    mel = 1127.0 * np.log(1 + np.arange(n_fft // 2 + 1) * rate / n_fft / 700.0)
    lowest, highest = (1127.0 * np.log(1 + hz / 700.0) for hz in (20.0, rate / 2))
    step = (highest - lowest) / (num_mels + 1)
    rows = []
    for start in range(0, len(waveform) - length + 1, shift):
        frame = waveform[start : start + length] - waveform[start : start + length].mean()
        frame = np.concatenate([[frame[0] * (1 - 0.97)], frame[1:] - 0.97 * frame[:-1]]) * window
        power = np.abs(np.fft.rfft(frame, n_fft)) ** 2
        row = []
        for band in range(num_mels):
            away = np.abs(mel - (lowest + (band + 1) * step)) / step
            row.append(np.log(max((power * np.clip(1 - away, 0, None)).sum(), np.finfo(np.float32).eps)))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize(("rate", "num_mels"), [(16_000, 128), (16_000, 40), (32_000, 128), (8_000, 23)])
def test_the_formula(rate: int, num_mels: int) -> None:
    waveform = sound(rate=rate)
    expected = by_the_formula(waveform.double().numpy(), rate, num_mels)
    ours = kaldi_fbank(waveform, rate, num_mels)
    assert ours.dtype == torch.float32 and ours.shape == expected.shape
    assert np.abs(ours.numpy() - expected).max() < 2e-3  # float32 in the softest bands; about 1e-5 in most
    assert np.abs(ours.numpy() - expected).mean() < 2e-5


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
def test_same_as_transformers() -> None:
    waveform = sound()
    filters = mel_filter_bank(
        257, 128, 20, 8_000, 16_000, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    expected = spectrogram(
        waveform.numpy(), window_function(400, "hann", periodic=False), 400, 160, 512, power=2.0, center=False,
        preemphasis=0.97, mel_filters=filters, log_mel="log", mel_floor=POWER_FLOOR, remove_dc_offset=True,
    ).T  # fmt: skip
    assert np.abs(kaldi_fbank(waveform).numpy() - expected).max() < 2e-3


def test_whole_frames_only() -> None:
    for time, frames in ((160_000, 998), (400, 1), (559, 1), (560, 2)):
        assert kaldi_fbank(torch.zeros(time)).shape == (frames, 128)
    with pytest.raises(AudioValueError, match=r"399 samples .* frame of 400 \(25 ms\)"):
        kaldi_fbank(torch.zeros(2, 399))


def test_any_leading_dimensions_and_any_offset() -> None:
    waveforms = torch.stack([sound(seed=seed) for seed in range(6)]).view(2, 3, -1)
    together = kaldi_fbank(waveforms)
    assert together.shape == (2, 3, 68, 128)
    torch.testing.assert_close(together[1, 2], kaldi_fbank(sound(seed=5)), atol=1e-4, rtol=0)
    torch.testing.assert_close(kaldi_fbank(sound() + 0.25), kaldi_fbank(sound()), atol=0.02, rtol=0)


def test_silence_is_the_floor_and_autocast_changes_nothing() -> None:
    assert (kaldi_fbank(torch.zeros(1600)) == torch.tensor(POWER_FLOOR).log()).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(kaldi_fbank(sound()), kaldi_fbank(sound()).float())
        autocast = kaldi_fbank(sound())
    assert torch.equal(autocast, kaldi_fbank(sound()))


def test_a_louder_sound_is_louder_by_its_gain() -> None:
    loud, soft = kaldi_fbank(sound()), kaldi_fbank(0.1 * sound())
    far = soft > float(np.log(POWER_FLOOR)) + 5
    assert far.float().mean() > 0.9
    torch.testing.assert_close((loud - soft)[far], torch.full_like(loud[far], 2 * np.log(10.0)), atol=1e-3, rtol=0)
