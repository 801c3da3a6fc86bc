"""Interaural features: what two ears hear alike and differently, frame by frame.

With the STFT L, R of the two ears, and magnitudes taken through mel filters:

| name | maps | what |
|---|---|---|
| `log_mel` | 2 | 10 log10 of the mel-filtered **magnitude** (not power) of each ear, left first. One unit is half a power decibel; floor -100 |
| `phase_difference` | 2 | cosine and sine of the phase of R less that of L, bin by bin, through the mel filters. No logarithm; with filters of unit area the values stay within about ±0.05 |
| `level_ratio` | 1 | exp(`log_mel` left) / (exp(`log_mel` right) + 1e-16), as published: the ratio of magnitudes to the power 4.34, with tails to 1e8 |
| `level_difference_db` | 1 | the level of the left ear less that of the right one in decibels (20 log10 of magnitudes): ours, in place of `level_ratio` |
| `gcc_phat` | 1 | cross-correlation of L and R with every bin at weight 1, for as many lags as there are mel bands, lag 0 in the middle column. A sound that reaches the right ear d samples later peaks d columns before the middle |
| `coherence` | 2 | real and imaginary part of the complex interaural coherence of each mel band: the power of R conj(L) through the filters, over the geometric mean of both ears' powers. Its length is 1 where the band hears one direction alone (stretched in time, a little more in places), its phase weighs bins by their power: ours, beside or in place of `phase_difference` |

Everything is float32, also under autocast: the ratio overflows half precision, and phases lose their meaning in it.
A bin that is exactly zero (or below 1e-22) has phase 0. In silence that is only nearly zero, phases are those of
rounding noise and differ between implementations.

Source: DSpAST (Wilkinghoff and Tan, 2025), section 2 for what BAT's SpatialAST hears (the first two), section 3.1 for
the rest. The papers leave out what the published code decides: magnitude instead of power, the ratio of exponentiated
decibels, the unit-area filters on cosine and sine. The code was followed.
"""  # noqa: E501

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from spatial_audio_lm.errors import ChannelError, ConfigError
from spatial_audio_lm.features.log_mel import decibels

INTERAURAL_FEATURES = {
    "log_mel": 2,
    "phase_difference": 2,
    "level_ratio": 1,
    "level_difference_db": 1,
    "gcc_phat": 1,
    "coherence": 2,
}

# Keeps the published ratio finite where the right ear is silent; below -37 units of `log_mel` it decides the value.
_RATIO_FLOOR = 1e-16


def count_interaural_maps(names: Sequence[str]) -> int:
    """Number of feature maps of a list of names.

    Raises:
        ConfigError: an unknown name, a name twice, or no name at all.
    """
    unknown = [name for name in names if name not in INTERAURAL_FEATURES]
    if unknown or not names or len(set(names)) != len(names):
        raise ConfigError(
            f"features is {list(names)}; expected one or more different names of {list(INTERAURAL_FEATURES)}"
        )
    return sum(INTERAURAL_FEATURES[name] for name in names)


def interaural_map_names(names: Sequence[str]) -> list[str]:
    """A name for each map of a list of features, in words."""
    parts = {
        "log_mel": ("log-mel left", "log-mel right"),
        "phase_difference": ("cos phase", "sin phase"),
        "level_difference_db": ("level difference",),
        "gcc_phat": ("GCC-PHAT",),
        "coherence": ("coherence, real", "coherence, imaginary"),
    }
    return [part for name in names for part in parts.get(name, (name.replace("_", " "),))]


def interaural_features(spectrum: Tensor, names: Sequence[str], filters: Tensor) -> Tensor:
    """Feature maps of a batch of binaural spectra.

    Args:
        spectrum: complex STFT, left ear first, `(batch, 2, freqs, frames)`.
        names: names of the table above, in the order wanted.
        filters: mel filters `(freqs, mels)`.

    Returns:
        `(batch, maps, frames, mels)`, float32.

    Raises:
        ConfigError: see `count_interaural_maps`.
        ChannelError: not two ears.
    """
    count_interaural_maps(names)
    if spectrum.ndim != 4 or spectrum.shape[1] != 2:
        raise ChannelError(f"a spectrum of shape {tuple(spectrum.shape)}; expected (batch, 2 ears, freqs, frames)")
    with torch.autocast(spectrum.device.type, enabled=False):
        # Frames before bands, and real and imaginary parts apart: twice as fast as complex arithmetic on a CPU.
        real = spectrum.real.float().transpose(-1, -2).contiguous()
        imag = spectrum.imag.float().transpose(-1, -2).contiguous()
        filters = filters.to(real)
        power = torch.addcmul(real.square(), imag, imag)
        maps: dict[str, Tensor] = {}
        if {"log_mel", "level_ratio", "level_difference_db"} & set(names):
            maps["log_mel"] = decibels(power.sqrt() @ filters)
            left, right = maps["log_mel"].split(1, dim=1)
            if "level_ratio" in names:
                maps["level_ratio"] = left.exp() / (right.exp() + _RATIO_FLOOR)
            if "level_difference_db" in names:
                maps["level_difference_db"] = 2.0 * (left - right)  # 10 log10 of a magnitude is half its level
        if "coherence" in names:
            maps["coherence"] = _coherence(real, imag, power, filters)
        if {"phase_difference", "gcc_phat"} & set(names):
            silent = power == 0
            cosine, sine = _phase_difference(real, imag, power, silent)
            if "phase_difference" in names:
                maps["phase_difference"] = torch.stack([cosine, sine], dim=1) @ filters
            if "gcc_phat" in names:
                # Here the published phase is that of L conj(R), which is 0 if either ear is: not a difference of two.
                either = silent.any(dim=1)
                if either.any():
                    cosine, sine = cosine.masked_fill(either, 1.0), sine.masked_fill(either, 0.0)
                maps["gcc_phat"] = gcc_phat(cosine, sine, filters.shape[1])[:, None]
        return torch.cat([maps[name] for name in names], dim=1)


def gcc_phat(cosine: Tensor, sine: Tensor, num_lags: int) -> Tensor:
    """Generalised cross-correlation with phase transform, frame by frame.

    Args:
        cosine: of the phase of R less that of L, bin by bin, `(..., frames, freqs)`.
        sine: likewise.
        num_lags: lags kept, an even number: `-num_lags / 2` to `num_lags / 2 - 1` samples.

    Returns:
        `(..., frames, num_lags)`, within ±1.

    Raises:
        ConfigError: more lags than the transform has, or an odd number.
    """
    n_fft = 2 * (cosine.shape[-1] - 1)
    if num_lags % 2 or not 0 < num_lags <= n_fft:
        raise ConfigError(f"num_lags is {num_lags}; expected an even number up to the window's {n_fft} samples")
    # L conj(R) has the opposite phase.
    correlation = torch.fft.irfft(torch.complex(cosine, -sine), n=n_fft)
    half = num_lags // 2
    return torch.cat([correlation[..., -half:], correlation[..., :half]], dim=-1)


def stretch_frames(features: Tensor, frames: int) -> Tensor:
    """Stretches (never shrinks) the time axis by bicubic interpolation, first and last frame in place.

    Args:
        features: `(batch, maps, time frames, mels)`.
        frames: frames wanted.

    Returns:
        `(batch, maps, frames, mels)`, or the features themselves if they have that many frames or more.
    """
    if features.shape[2] >= frames:
        return features
    return F.interpolate(features, size=(frames, features.shape[3]), mode="bicubic", align_corners=True)


def _coherence(real: Tensor, imag: Tensor, power: Tensor, filters: Tensor) -> Tensor:
    """Complex interaural coherence `(batch, 2, frames, mels)` from both ears' bins; 0 where an ear is silent."""
    (left_real, right_real), (left_imag, right_imag) = real.unbind(1), imag.unbind(1)
    cross = torch.stack(
        [
            torch.addcmul(left_real * right_real, left_imag, right_imag),
            torch.addcmul(left_real * right_imag, left_imag, right_real, value=-1),
        ],
        dim=1,
    )
    # Roots before the product, which would underflow in quiet recordings.
    levels = (power @ filters).sqrt().prod(dim=1, keepdim=True)
    return (cross @ filters / levels.clamp(min=torch.finfo(levels.dtype).tiny)).masked_fill(levels == 0, 0.0)


def _phase_difference(real: Tensor, imag: Tensor, power: Tensor, silent: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the phase of R less that of L, `(batch, frames, freqs)`, from both ears' bins.

    Phasors of length 1 multiplied: the same as subtracting two arc tangents, in a fraction of the time.
    """
    if silent.any():  # a bin that is exactly zero has phase 0, as the arc tangent would say
        real, power = real.masked_fill(silent, 1.0), power.masked_fill(silent, 1.0)
        imag = imag.masked_fill(silent, 0.0)
    inverse = power.rsqrt()
    (left_real, right_real), (left_imag, right_imag) = (real * inverse).unbind(1), (imag * inverse).unbind(1)
    cosine = torch.addcmul(left_real * right_real, left_imag, right_imag)
    sine = torch.addcmul(left_real * right_imag, left_imag, right_real, value=-1)
    return cosine, sine
