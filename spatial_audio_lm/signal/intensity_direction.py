"""The direction of a sound without learning: where the energy flows from.

The active intensity Re(conj(W) (X, Y, Z)) of a frequency bin points to the source of the wave. Reverberation and
noise bend it in every bin another way, so that the mean over all bins, each with a vector of length 1, points to the
source, and its length tells how much the bins agree. This is the baseline of every table of results, and the check
that a recording has a direction at all.

Sources: Pulkki, "Spatial sound reproduction with directional audio coding" (2007); the features of ELSA (2024), eq. 2.
"""

import math
from dataclasses import dataclass

import torch

from spatial_audio_lm.signal.ambisonics import is_copy
from spatial_audio_lm.signal.conventions import direction_of
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.signal.stft import stft

# Below this the samples are rounding noise: 16-bit quantisation alone has 0.9e-5.
_SILENCE_RMS = 1e-5
# X, Y, Z this far below W (20 dB) are no sound field: one wave has 0 dB, and so has a field of waves from everywhere.
_NO_DIPOLE_RATIO = 0.1
_WINDOW_S = 0.032
_LOWEST_HZ = 100.0
_HIGHEST_PART_OF_RATE = 0.45
# Bins 60 dB below the strongest hold rounding noise and the window's leakage.
_BIN_FLOOR = 1e-6


@dataclass(frozen=True)
class DirectionEstimate:
    """Where a sound comes from, or why that cannot be told.

    Args:
        azimuth_deg: 0 = front, positive = left, in [-180, 180); ``None`` without a direction.
        elevation_deg: Positive = up; ``None`` without a direction.
        confidence: Agreement of the bins, from 0 (they point everywhere) to 1 (one wave); 0 without a direction.
        reason: Why there is no direction; ``None`` if there is one.
    """

    azimuth_deg: float | None
    elevation_deg: float | None
    confidence: float
    reason: str | None = None


def no_direction_reason(audio: SpatialAudio) -> str | None:
    """Why a recording cannot hold a direction, whatever hears it; ``None`` if it may hold one.

    - ``"mono: ..."``: one channel.
    - ``"silence: ..."``: nothing above the rounding noise of 16 bits.
    - ``"identical channels: ..."``: both ears alike; or a dipole (Y, Z or X) that is a copy of W although another
      dipole is not silent, as in a mono signal that was copied to all four channels.
    - ``"no dipoles: ..."``: mono put into W alone; Y, Z and X together are 20 dB below it.
    - ``"no pressure: ..."``: W alone is silent.

    **Proportional channels are not refused as such.** In an anechoic room all four channels *are* one signal with
    four gains (1, y, z, x), where (y, z, x) has length 1. Copies betray themselves by what one wave cannot be: if Y
    is W, the wave comes from the left and Z and X are silent; four copies would be a wave with dipoles 1.73 times as
    strong as its pressure. Gains of another length with no channel equal to W are left alone (a phantom source
    between two loudspeakers is shorter than 1; a wrong declaration is what ``suspected_format`` warns of). Nobody can
    tell apart a mono signal that was put into W and one dipole only, and a real source in the direction of that axis.
    """
    if audio.format == "mono":
        return "mono: one channel holds no direction"
    waveform = audio.waveform
    rms = torch.linalg.vector_norm(waveform, dim=-1) / math.sqrt(waveform.shape[-1])
    if float(rms.max()) < _SILENCE_RMS:
        return "silence: there is nothing to hear a direction of"
    if audio.format == "binaural":
        return "identical channels: both ears hear the same" if is_copy(waveform[0], waveform[1]) else None
    if float(rms[0]) < _SILENCE_RMS:
        return "no pressure: W is silent although Y, Z, X are not"
    if float(rms[1:].norm()) < _NO_DIPOLE_RATIO * float(rms[0]):
        return "no dipoles: Y, Z and X are silent beside W, as in a mono signal"
    for channel in (1, 2, 3):
        others = [other for other in (1, 2, 3) if other != channel]
        if float(rms[others].norm()) > _NO_DIPOLE_RATIO * float(rms[0]) and is_copy(waveform[0], waveform[channel]):
            return (
                f"identical channels: {'WYZX'[channel]} is a copy of W, as in a mono signal put into several channels"
            )
    return None


def intensity_direction(audio: SpatialAudio) -> DirectionEstimate:
    """The direction of the mean unit-length intensity vector, from 100 Hz to 0.45 of the sample rate.

    Args:
        audio: A recording of any format.

    Returns:
        The direction of everything that sounds together; or none, with a reason, for mono, binaural (which needs a
        head model) and what :func:`no_direction_reason` names.
    """
    reason = no_direction_reason(audio)
    if reason is None and audio.format != "foa":
        reason = f"{audio.format}: the intensity vector needs first-order ambisonics (4 channels)"
    if reason is not None:
        return DirectionEstimate(None, None, 0.0, reason)
    mean = mean_intensity_vector(audio.waveform, audio.sample_rate)
    confidence = float(torch.linalg.vector_norm(mean))
    if confidence < 1e-6:  # no bin with energy in the band, or an exact balance
        return DirectionEstimate(None, None, 0.0, "no prevailing direction: the frequency bins point everywhere")
    azimuth_deg, elevation_deg = direction_of(mean.tolist())
    return DirectionEstimate(azimuth_deg, elevation_deg, min(confidence, 1.0))


def mean_intensity_vector(foa: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """The mean over frequency bins and frames of intensity vectors of length 1.

    Args:
        foa: ``(..., 4, time)``, AmbiX; N3D gives the same.
        sample_rate: In Hz.

    Returns:
        ``(..., 3)``: x front, y left, z up; its length, 0 to 1, is the agreement of the bins. Bins 60 dB below the
        strongest of their recording do not count; zero where none counts.
    """
    n_fft = 2 ** round(math.log2(_WINDOW_S * sample_rate))
    if foa.shape[-1] < n_fft:
        foa = torch.nn.functional.pad(foa, (0, n_fft - foa.shape[-1]))
    lowest = math.ceil(_LOWEST_HZ * n_fft / sample_rate)
    highest = math.floor(_HIGHEST_PART_OF_RATE * n_fft) + 1
    spectra = stft(foa, n_fft, n_fft // 2)[..., lowest:highest, :]
    w = torch.view_as_real(spectra[..., 0, :, :].contiguous())
    yzx = torch.view_as_real(spectra[..., 1:, :, :].contiguous())
    intensity = (w[..., None, :, :, :] * yzx).sum(dim=-1)  # Re(conj(w) d) = Re w Re d + Im w Im d
    length = torch.linalg.vector_norm(intensity, dim=-3)
    energy = w.square().sum(dim=-1)
    counts = (energy > _BIN_FLOOR * energy.amax(dim=(-2, -1), keepdim=True)) & (length > 0)
    units = intensity * (counts / length.clamp(min=torch.finfo(length.dtype).tiny))[..., None, :, :]
    mean = units.sum(dim=(-2, -1)) / counts.sum(dim=(-2, -1)).clamp(min=1)[..., None]
    return mean[..., [2, 0, 1]]  # Y, Z, X to x, y, z
