"""Intensity vectors: the direction and the diffuseness of a first-order ambisonic recording, bin by bin.

With the STFT of the four channels W, Y, Z, X (AmbiX: ACN order, SN3D) the complex intensity of a bin is
conj(W) · (X, Y, Z). Its real part, the *active* intensity, points to where the sound comes from; its imaginary part, the
*reactive* intensity, is what stands still, and grows with interference and reverberation. All vectors here are in
house order: x front, y left, z up.

Channels of the feature, chosen and ordered by name:

| name | channels | what |
|---|---|---|
| `active`, `reactive` | 3 each | intensity divided by the mean energy ½(|W|² + |X|² + |Y|² + |Z|²) of its band: (direction, length 1) for one plane wave, shorter the more diffuse the field |
| `unit_active`, `unit_reactive` | 3 each | each bin's vector scaled to length 1 by itself, then averaged over the band: every bin has one vote, which makes the better parameter-free estimate of direction |
| `log_energy` | 1 | that mean energy in level-free decibels |

Bands are mel bands, or single bins if no filters are given (then the average is over one bin). No channel depends on
the recording's gain. Source: ELSA (Devnani et al., 2024), eq. 2 and appendix A.3, for the unit-norm vectors on linear
bins; Perotin et al. (2018) for the division by energy.
"""  # noqa: E501

from collections.abc import Sequence

import torch
from torch import Tensor

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.log_mel import level_free_decibels

SPATIAL_CHANNELS = {"active": 3, "reactive": 3, "unit_active": 3, "unit_reactive": 3, "log_energy": 1}
# Those whose direction is that of the sound.
DIRECTION_VECTORS = ("active", "unit_active")

# A bin's vector shorter than this share of the bin's energy fades instead of being blown up to length 1: the reactive
# vector of a lone plane wave is zero but for rounding (1e-7 of the energy), and rounding has no direction.
_UNIT_FLOOR = 1e-3


def count_spatial_channels(names: tuple[str, ...] | list[str]) -> int:
    """Number of feature channels of a list of names.

    Raises:
        ConfigError: an unknown name, a name twice, or no name at all.
    """
    unknown = [name for name in names if name not in SPATIAL_CHANNELS]
    if unknown or not names or len(set(names)) != len(names):
        raise ConfigError(
            f"spatial_channels is {list(names)}; expected one or more different names of {list(SPATIAL_CHANNELS)}"
        )
    return sum(SPATIAL_CHANNELS[name] for name in names)


def vector_channels(names: Sequence[str], only: Sequence[str] = tuple(SPATIAL_CHANNELS)) -> list[int]:
    """Where the x components of the intensity vectors lie among the feature channels; y and z follow each.

    Args:
        names: as in `intensity_features`.
        only: the kinds wanted.
    """
    starts, at = [], 0
    for name in names:
        if SPATIAL_CHANNELS[name] == 3 and name in only:
            starts.append(at)
        at += SPATIAL_CHANNELS[name]
    return starts


def intensity_features(
    spectrum: Tensor,
    channels: tuple[str, ...] | list[str],
    filters: Tensor | None = None,
    dynamic_range_db: float = 80.0,
) -> Tensor:
    """Spatial features of a batch of FOA spectra.

    Args:
        spectrum: complex STFT of W, Y, Z, X, `(batch, 4, freqs, frames)`.
        channels: names of the table above, in the order wanted.
        filters: mel filters `(freqs, bands)`, or None for the linear bins themselves.
        dynamic_range_db: bins (bands) that lie further than this below the clip's mean energy fade to zero instead of
            showing the direction of rounding noise.

    Returns:
        `(batch, channels, frames, bands)`, real.
    """
    count_spatial_channels(channels)
    # Frames before bands, as all spectrograms here; real and imaginary parts apart, which is faster than strided views.
    real = spectrum.real.transpose(-1, -2).contiguous()
    imag = spectrum.imag.transpose(-1, -2).contiguous()
    omni_real, omni_imag, dipole_real, dipole_imag = real[:, :1], imag[:, :1], real[:, 1:], imag[:, 1:]
    floor = 10.0 ** (-dynamic_range_db / 10.0)
    weights = None if filters is None else filters.to(real)

    energy = 0.5 * torch.addcmul(real.square(), imag, imag).sum(1, keepdim=True)
    tiny = torch.finfo(energy.dtype).tiny
    # The same weights for numerator and denominator, so that one plane wave has length 1 in every band.
    band_energy = energy if weights is None else energy @ weights
    band_floor = floor * band_energy.mean(dim=(-2, -1), keepdim=True) + tiny
    bin_floor = _UNIT_FLOOR * energy + floor * energy.mean(dim=(-2, -1), keepdim=True) + tiny

    vectors: dict[str, Tensor] = {}
    if "active" in channels or "unit_active" in channels:
        vectors["active"] = torch.addcmul(omni_real * dipole_real, omni_imag, dipole_imag)
    if "reactive" in channels or "unit_reactive" in channels:
        vectors["reactive"] = torch.addcmul(omni_real * dipole_imag, omni_imag, dipole_real, value=-1)

    parts = []
    for name in channels:
        if name == "log_energy":
            parts.append(level_free_decibels(band_energy[:, 0], dynamic_range_db)[:, None])
            continue
        if name.startswith("unit_"):
            vector = vectors[name.removeprefix("unit_")]
            unit = vector / (vector.square().sum(1, keepdim=True).sqrt() + bin_floor)
            banded = unit if weights is None else unit @ (weights / weights.sum(0).clamp(min=tiny))
        else:
            vector = vectors[name]
            banded = (vector if weights is None else vector @ weights) / (band_energy + band_floor)
        parts.append(banded[:, [2, 0, 1]])  # from AmbiX's Y, Z, X to x, y, z
    return torch.cat(parts, dim=1)
