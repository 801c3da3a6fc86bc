"""Mel filter banks as three families of published models count them.

- ``"slaney"``: linear below 1 kHz, logarithmic above (Slaney's Auditory Toolbox, 1998; librosa's default).
- ``"htk"``: 2595 log10(1 + f / 700) (the HTK book; torchaudio's default).
- ``"kaldi"``: the same curve, 1127 ln(1 + f / 700), but the triangles are straight on the mel axis instead of the
  Hertz axis (Kaldi's fbank; AST and Audio-MAE).
"""

import math

import torch

from spatial_audio_lm.errors import ConfigError

MEL_SCALES = ("slaney", "htk", "kaldi")

# Slaney: 200/3 Hz a mel up to 1 kHz (mel 15); above, 27 mels for a factor of 6.4.
_SLANEY_HZ_PER_MEL = 200.0 / 3.0
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_LOG_STEP = math.log(6.4) / 27.0


def hz_to_mel(frequency_hz: torch.Tensor, scale: str) -> torch.Tensor:
    """Hertz to mel on one of the three scales; any shape, best in float64."""
    _require_scale(scale)
    if scale == "kaldi":
        return 1127.0 * torch.log1p(frequency_hz / 700.0)
    if scale == "htk":
        return 2595.0 * torch.log10(1.0 + frequency_hz / 700.0)
    above = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL + (
        torch.log(frequency_hz.clamp(min=_SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP
    )
    return torch.where(frequency_hz < _SLANEY_BREAK_HZ, frequency_hz / _SLANEY_HZ_PER_MEL, above)


def mel_to_hz(mel: torch.Tensor, scale: str) -> torch.Tensor:
    """Mel to Hertz, the inverse of :func:`hz_to_mel`."""
    _require_scale(scale)
    if scale == "kaldi":
        return 700.0 * torch.expm1(mel / 1127.0)
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    mels_below = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL
    above = _SLANEY_BREAK_HZ * torch.exp((mel - mels_below) * _SLANEY_LOG_STEP)
    return torch.where(mel < mels_below, mel * _SLANEY_HZ_PER_MEL, above)


def mel_filters(
    num_mels: int,
    n_fft: int,
    sample_rate: int,
    min_hz: float = 0.0,
    max_hz: float | None = None,
    scale: str = "slaney",
    norm: str | None = None,
    precision: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Triangular filters that overlap by half, evenly spaced on a mel scale.

    Use as ``power_spectrum @ filters`` with the spectrum as ``(..., frames, freqs)``. A filter that is narrower than
    the distance of two bins may touch none of them and be all zero: fewer mels or a longer window help.

    Args:
        num_mels: How many filters.
        n_fft: Length of the Fourier transform.
        sample_rate: In Hz.
        min_hz: Lower edge of the first filter.
        max_hz: Upper edge of the last filter; half the sample rate if not given.
        scale: ``"slaney"``, ``"htk"`` or ``"kaldi"``.
        norm: ``"slaney"`` gives every filter the same area (2 / bandwidth in Hz); ``None`` the same peak, 1.
        precision: In which edges and weights are computed. torchaudio computes in float32, which changes the small
            weights of narrow, low filters by some 0.05 %: models trained with it know those.

    Returns:
        ``(n_fft // 2 + 1, num_mels)``, float32.

    Raises:
        ConfigError: A parameter out of range.
    """
    _require_scale(scale)
    max_hz = sample_rate / 2 if max_hz is None else max_hz
    if norm not in (None, "slaney"):
        raise ConfigError(f"norm {norm!r} is not known; expected 'slaney' or None")
    if num_mels < 1 or n_fft < 2:
        raise ConfigError(f"num_mels must be at least 1 and n_fft at least 2; got {num_mels} and {n_fft}")
    if not 0 <= min_hz < max_hz <= sample_rate / 2:
        raise ConfigError(
            f"a mel filter bank needs 0 <= min_hz < max_hz <= {sample_rate / 2:g} Hz (half the sample rate); "
            f"got {min_hz:g} and {max_hz:g}"
        )
    bins_hz = torch.arange(n_fft // 2 + 1, dtype=precision) * (sample_rate / n_fft)
    lowest, highest = hz_to_mel(torch.tensor([min_hz, max_hz], dtype=torch.float64), scale).tolist()
    edges_mel = torch.linspace(lowest, highest, num_mels + 2, dtype=precision)
    edges_hz = mel_to_hz(edges_mel, scale)
    # The axis on which the triangles have straight sides.
    bins, edges = (hz_to_mel(bins_hz, scale), edges_mel) if scale == "kaldi" else (bins_hz, edges_hz)
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (peak - left)
    falling = (right - bins[:, None]) / (right - peak)
    filters = torch.minimum(rising, falling).clamp(min=0.0)
    if norm == "slaney":
        filters = filters * (2.0 / (edges_hz[2:] - edges_hz[:-2]))
    return filters.to(torch.float32)


def _require_scale(scale: str) -> None:
    if scale not in MEL_SCALES:
        raise ConfigError(f"mel scale {scale!r} is not known; expected one of {', '.join(MEL_SCALES)}")
