"""Log-mel spectrograms: the loudness picture of a recording, with its absolute level or without it."""

from functools import lru_cache

import torch
from torch import Tensor

from spatial_audio_lm.signal.mel import mel_filters

# Level-free decibels spread by about 20 dB over a clip: divided by that, they have about unit size.
DECIBELS_PER_UNIT = 20.0


@lru_cache(maxsize=32)
def cached_mel_filters(
    num_mels: int,
    n_fft: int,
    sample_rate: int,
    min_hz: float,
    max_hz: float,
    scale: str = "slaney",
    norm: str | None = "slaney",
) -> Tensor:
    """Mel filters `(freqs, mels)`, computed once for each setting and kept (do not write into the result)."""
    return mel_filters(num_mels, n_fft, sample_rate, min_hz, max_hz, scale=scale, norm=norm)


def mel_power(spectrum: Tensor, filters: Tensor) -> Tensor:
    """Power of a complex spectrum in mel bands.

    Args:
        spectrum: complex STFT, `(..., freqs, frames)`.
        filters: mel filters, `(freqs, mels)`.

    Returns:
        `(..., frames, mels)`, same unit as |spectrum|².
    """
    power = spectrum.real.square() + spectrum.imag.square()
    return power.transpose(-1, -2) @ filters.to(power)


def decibels(power: Tensor, floor: float = 1e-10) -> Tensor:
    """Power in decibels re 1, `10 log10(max(power, floor))`, as in CLAP's front end (no clipping from above)."""
    return 10.0 * torch.log10(power.clamp(min=floor))


def level_free_decibels(power: Tensor, dynamic_range_db: float = 80.0) -> Tensor:
    """Decibels with the clip's level removed, in units of 20 dB.

    The floor hangs on the clip's own mean power, so the result is the same for a recording and for the same recording
    at any other gain; a clip of digital silence gives zeros.

    Args:
        power: `(batch, frames, bands)`.
        dynamic_range_db: how far below the clip's mean power the picture ends (softly).

    Returns:
        `(batch, frames, bands)` with mean zero over frames and bands of each clip.
    """
    mean = power.mean(dim=(-2, -1), keepdim=True)
    relative = power / mean.clamp(min=torch.finfo(power.dtype).tiny)
    level = 10.0 * torch.log10(relative + 10.0 ** (-dynamic_range_db / 10.0))
    return (level - level.mean(dim=(-2, -1), keepdim=True)) / DECIBELS_PER_UNIT
