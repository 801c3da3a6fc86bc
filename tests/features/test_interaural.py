"""Interaural features against independent formulas and against what two ears must hear."""

import numpy as np
import pytest
import torch
from scipy.signal import stft as scipy_stft

from spatial_audio_lm.errors import ChannelError, ConfigError
from spatial_audio_lm.features.interaural import (
    INTERAURAL_FEATURES,
    count_interaural_maps,
    gcc_phat,
    interaural_features,
    stretch_frames,
)
from spatial_audio_lm.features.log_mel import cached_mel_filters
from spatial_audio_lm.signal.stft import stft

RATE, N_FFT, HOP, MELS = 32_000, 1024, 320, 128
FILTERS = cached_mel_filters(MELS, N_FFT, RATE, 50.0, 14_000.0)
ALL = list(INTERAURAL_FEATURES)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def delayed(samples_later_on_the_right: int, time: int = 16_000) -> torch.Tensor:
    """Noise that reaches the right ear later, `(2, time)`."""
    source = 0.1 * noise(0, time + 200)
    start = 100
    return torch.stack(
        [source[start : start + time], source[start - samples_later_on_the_right :][:time]],
    )


def features(ears: torch.Tensor, names: list[str]) -> torch.Tensor:
    return interaural_features(stft(ears[None], N_FFT, HOP), names, FILTERS)[0]


def formulas(ears: np.ndarray) -> dict[str, np.ndarray]:
    """The same features in float64 by scipy's STFT, arc tangents and sums, as the papers and the code state them."""
    padded = np.pad(ears, ((0, 0), (N_FFT // 2, N_FFT // 2)), mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    _, _, spectrum = scipy_stft(
        padded, window=window, nperseg=N_FFT, noverlap=N_FFT - HOP, boundary=None, padded=False, scaling="spectrum"
    )
    spectrum = spectrum * window.sum()
    filters = FILTERS.double().numpy()
    left, right = spectrum
    mels = [np.sqrt(ear.real**2 + ear.imag**2).T @ filters for ear in spectrum]
    logs = [10 * np.log10(np.maximum(mel, 1e-10)) for mel in mels]
    phase = np.arctan2(right.imag, right.real) - np.arctan2(left.imag, left.real)
    cross = np.exp(1j * np.angle(left * right.conj()))
    correlation = np.stack([np.fft.irfft(frame, N_FFT) for frame in cross.T])
    energies = [np.abs(ear.T) ** 2 @ filters for ear in spectrum]
    coherence = (right * left.conj()).T @ filters / np.sqrt(energies[0] * energies[1])
    return {
        "log_mel": np.stack(logs),
        "phase_difference": np.stack([np.cos(phase).T @ filters, np.sin(phase).T @ filters]),
        "level_ratio": (np.exp(logs[0]) / (np.exp(logs[1]) + 1e-16))[None],
        "level_difference_db": (20 * np.log10(mels[0] / mels[1]))[None],
        "gcc_phat": np.roll(correlation, 64, axis=1)[None, :, :128],
        "coherence": np.stack([coherence.real, coherence.imag]),
    }


def test_all_features_against_the_formulas() -> None:
    ears = 0.1 * noise(1, 2, 12_345)
    expected = formulas(ears.double().numpy())
    result = features(ears, ALL)
    assert result.shape == (9, 1 + 12_345 // HOP, MELS)
    at = 0
    for name in ALL:
        maps = result[at : at + INTERAURAL_FEATURES[name]].double().numpy()
        at += INTERAURAL_FEATURES[name]
        error = np.abs(maps - expected[name]) / (1 + np.abs(expected[name]))
        assert error.max() < 2e-4, (name, error.max())
    # The order asked for is the order given.
    swapped = features(ears, ["gcc_phat", "log_mel"])
    assert torch.equal(swapped[0], result[6]) and torch.equal(swapped[1:], result[:2])


@pytest.mark.parametrize("delay", [0, 6, -6, 40])
def test_a_delay_is_a_peak_of_the_correlation_and_a_slope_of_the_phase(delay: int) -> None:
    ears = delayed(delay)
    lags = features(ears, ["gcc_phat"])[0]
    # The first and the last frame begin with a reflection, in which time runs backwards.
    assert (lags[2:-2].argmax(-1) == 64 - delay).all()
    assert lags.max() < 1.001
    # The phase of the right ear falls behind by 2 pi f d: at the lowest band (about 60 Hz) still a small angle.
    cosine, sine = features(ears, ["phase_difference"])[:, 5:-5].mean(1)
    low = 2  # 100 Hz
    centre_hz = (FILTERS[:, low] * torch.arange(513) * RATE / N_FFT).sum() / FILTERS[:, low].sum()
    angle = torch.atan2(sine[low], cosine[low])
    assert abs(angle + 2 * torch.pi * centre_hz * delay / RATE) < 0.05


def test_the_louder_ear_has_the_higher_level() -> None:
    ears = 0.1 * noise(2, 1, 16_000) * torch.tensor([[2.0], [1.0]])
    result = features(ears, ["level_difference_db", "level_ratio", "log_mel"])
    assert (result[0] - 6.0206).abs().max() < 1e-2
    assert (result[1] / 2 ** (10 / np.log(10)) - 1).abs().max() < 1e-3  # the published power of 4.34
    assert (result[2] - result[3] - 3.0103).abs().max() < 1e-2  # half a power decibel a unit


def test_swapped_ears_mirror_every_feature() -> None:
    ears = delayed(9) * torch.tensor([[1.0], [0.4]])
    names = ["level_difference_db", "phase_difference", "gcc_phat", "coherence"]
    first, second = features(ears, names), features(ears.flip(0), names)
    assert torch.allclose(first[0], -second[0], atol=1e-4)
    assert torch.allclose(first[1], second[1], atol=1e-5)
    assert torch.allclose(first[2], -second[2], atol=1e-5)
    assert torch.allclose(first[3][:, 1:], second[3][:, 1:].flip(-1), atol=1e-5)
    assert torch.allclose(first[4:], torch.stack([second[4], -second[5]]), atol=1e-5)


def test_coherence_is_one_for_one_direction_and_small_for_independent_noises() -> None:
    ears = delayed(0) * torch.tensor([[1.0], [0.3]])  # levels and a common gain leave it as it is
    real, imag = features(ears, ["coherence"])
    assert (real - 1).abs().max() < 1e-4 and imag.abs().max() < 1e-4
    quiet = features(1e-6 * ears, ["coherence"])
    assert (quiet[0] - 1).abs().max() < 1e-3
    real, imag = features(noise(5, 2, 64_000), ["coherence"]).mean(1)
    assert torch.hypot(real, imag).max() < 0.25  # of 201 frames


@pytest.mark.parametrize("silent", [(0, 1), (0,), (1,)])
def test_silence_stays_finite(silent: tuple[int, ...]) -> None:
    ears = 0.1 * noise(3, 2, 8_000)
    ears[list(silent)] = 0.0
    result = features(ears, ALL)
    assert result.isfinite().all()
    assert (result[list(silent)] == -100).all()
    assert (result[7:] == 0).all()  # nothing is coherent with silence
    # A product with zero has phase 0 in every bin: an impulse at lag 0.
    assert torch.allclose(result[6, :, 64], torch.ones(()), atol=1e-5)
    assert (result[6, :, :64].abs() < 1e-5).all()
    # A single silent ear has phase 0 itself: the difference is the other one's phase.
    spectrum = stft(ears, N_FFT, HOP)
    phase = spectrum[1].angle() - spectrum[0].angle()
    assert torch.allclose(result[2], phase.cos().T @ FILTERS, atol=1e-5)
    assert torch.allclose(result[3], phase.sin().T @ FILTERS, atol=1e-5)


def test_a_batch_is_its_items_and_autocast_changes_nothing() -> None:
    ears = 0.1 * noise(4, 3, 2, 6_000)
    together = interaural_features(stft(ears, N_FFT, HOP), ALL, FILTERS)
    for index in range(3):
        assert torch.allclose(together[index], features(ears[index], ALL), rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        again = interaural_features(stft(ears, N_FFT, HOP), ALL, FILTERS.bfloat16().float())
        plain = interaural_features(stft(ears, N_FFT, HOP), ALL, FILTERS)
    assert again.dtype == plain.dtype == torch.float32
    assert torch.equal(plain, together) and not torch.equal(again, together)


def test_stretching_keeps_the_ends_and_straight_lines() -> None:
    ramp = torch.linspace(0.0, 1.0, 50)[None, None, :, None].expand(1, 2, 50, 4)
    stretched = stretch_frames(ramp, 120)
    assert stretched.shape == (1, 2, 120, 4)
    assert torch.allclose(stretched[0, 0, :, 0], torch.linspace(0, 1, 120), atol=0.01)
    assert torch.allclose(stretched[:, :, [0, -1]], ramp[:, :, [0, -1]], atol=1e-6)
    assert stretch_frames(ramp, 50) is ramp and stretch_frames(ramp, 40) is ramp


@pytest.mark.parametrize("names", [[], ["log_mel", "log_mel"], ["loudness"]])
def test_names_that_are_none_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match="phase_difference"):
        count_interaural_maps(names)


def test_other_numbers_of_ears_and_lags_are_refused() -> None:
    with pytest.raises(ChannelError, match="2 ears"):
        interaural_features(stft(noise(5, 1, 4, 4_000), N_FFT, HOP), ["log_mel"], FILTERS)
    for lags in (0, 7, 1026):
        with pytest.raises(ConfigError, match="num_lags"):
            gcc_phat(torch.ones(1, 3, 513), torch.zeros(1, 3, 513), lags)
