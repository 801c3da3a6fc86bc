"""Log-mel spectrograms of every channel, and for ambisonics mel sums of the normalised intensity: the maps of GRAM.

Of a bin with the spectra W and C_1, C_2, C_3 the intensity is I_k = 2 Re(conj(W) C_k), and its share of the energy
I_k / (1e-6 + |W|² + |C_1|² + |C_2|² + |C_3|²). For one plane wave with dipoles as strong as W (SN3D) the three shares
are its direction, a vector of length 1. The published code sums the shares over each mel band's bins instead of taking
their mean, so that a vector is as long as the filter's weights together (0.39 in the narrowest of GRAM's 128 bands,
12.5 in the highest); the paper (appendix B) speaks of unit-norm vectors.

The three dipoles are taken in the order they come in: which direction each stands for is the caller's convention.
"""

import torch
from torch import Tensor

from spatial_audio_lm.features.mel_bands import MelBlock, mel_sums

ENERGY_FLOOR = 1e-6
# Frames whose maps are computed together: as many as a CPU's cache holds.
_FRAMES_AT_ONCE = 128


def mel_intensity_features(
    spectrum: Tensor, blocks: tuple[MelBlock, ...], num_bands: int, log_floor: float, intensity: bool
) -> Tensor:
    """Maps of a batch of recordings of one length.

    Args:
        spectrum: complex STFT, `(batch, channels, freqs, frames)`.
        blocks: mel filters (features/mel_bands.py).
        num_bands: of the filters.
        log_floor: what is added to a band's power before the natural logarithm.
        intensity: whether the channels are W and three dipoles, whose intensity is wanted too.

    Returns:
        `(batch, maps, frames, bands)`, float32: the log-mels of all channels, then the three intensities.
    """
    # Real and imaginary part side by side, frames before bins: the layout in which the transform was computed.
    parts = torch.view_as_real(spectrum.transpose(-1, -2)).split(_FRAMES_AT_ONCE, dim=2)
    return torch.cat([_maps(part, blocks, num_bands, log_floor, intensity) for part in parts], dim=2)


def _maps(spectrum: Tensor, blocks: tuple[MelBlock, ...], num_bands: int, log_floor: float, intensity: bool) -> Tensor:
    """Maps of a few frames, `(batch, channels, frames, freqs, 2)`."""
    real, imag = spectrum[..., 0].contiguous(), spectrum[..., 1].contiguous()
    power = torch.addcmul(real * real, imag, imag)
    log_mel = (mel_sums(power, blocks, num_bands) + log_floor).log()
    if not intensity:
        return log_mel
    per_energy = 2.0 / (power.sum(1, keepdim=True) + ENERGY_FLOOR)
    shares = torch.addcmul(real[:, :1] * real[:, 1:], imag[:, :1], imag[:, 1:]) * per_energy
    return torch.cat([log_mel, mel_sums(shares, blocks, num_bands)], dim=1)
