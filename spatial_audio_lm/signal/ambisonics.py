"""First-order ambisonics: encode, rotate, mirror, convert between conventions, and tell a wrong declaration.

Everything here is AmbiX unless a name says otherwise: channels W, Y, Z, X with SN3D normalisation, so that a plane
wave ``s`` from the unit vector (x, y, z) is W = s, Y = y s, Z = z s, X = x s (signal/conventions.py). All functions
work on any leading dimensions, are differentiable in the waveform, and know no learning.

Sources: Nachbar, Zotter, Deleflie, Sontacchi, "ambiX - a suggested ambisonics format" (2011) for ACN and SN3D;
Malham, "Higher order ambisonic systems" (2003) for FuMa's W of -3 dB.
"""

import math
from typing import Any, Literal

import torch

from spatial_audio_lm.errors import ChannelError, FormatError
from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.signal.stft import stft

FOA_CONVENTIONS = ("ambix", "n3d", "fuma", "gram")

_XYZ_IN_ACN = [1, 2, 0]  # dipoles in ACN order (Y, Z, X), as indices into (x, y, z)
_MIRRORED_CHANNEL = {"left_right": 1, "up_down": 2, "front_back": 3}

# What |I| / W^2 is for one plane wave: the dipoles' gain over W's.
_PLANE_WAVE_RATIO = {"ambix": 1.0, "fuma": math.sqrt(2.0), "n3d": math.sqrt(3.0)}
# Above this the dipoles are too strong for AmbiX: beyond half-way to FuMa (1.19), for the calibration of microphones
# and the modes of small rooms. Above the second, N3D is nearer than FuMa (on a logarithmic scale).
_SUSPICIOUS_RATIO = 1.3
_N3D_RATIO = math.sqrt(_PLANE_WAVE_RATIO["fuma"] * _PLANE_WAVE_RATIO["n3d"])
# Frequencies 30 dB below the strongest hold more noise than sound; a dozen others are the least to take a median of.
_ROW_FLOOR = 1e-3
_LEAST_ROWS = 12
_COHERENT_ENERGY_SHARE = 0.05
# Independent noise in all four channels has an energy ratio of 1.7, but is no coherent wave: 0.67 here.
_LEAST_COHERENT_RATIO = 0.9


def encode_foa(signal: torch.Tensor, azimuth_deg: Any, elevation_deg: Any) -> torch.Tensor:
    """A plane wave from a direction.

    Args:
        signal: ``(..., time)``, what W hears.
        azimuth_deg: 0 = front, positive = left; a number or a shape that broadcasts with the leading dimensions.
        elevation_deg: Positive = up; likewise.

    Returns:
        ``(..., 4, time)``, AmbiX.
    """
    direction = torch.as_tensor(unit_vector(azimuth_deg, elevation_deg), device=signal.device).to(signal.dtype)
    gains = torch.cat([torch.ones_like(direction[..., :1]), direction[..., _XYZ_IN_ACN]], dim=-1)
    return gains[..., :, None] * signal[..., None, :]


def rotation_matrix(yaw_deg: Any = 0.0, pitch_deg: Any = 0.0, roll_deg: Any = 0.0) -> torch.Tensor:
    """The rotation of a sound field, as a matrix on column vectors (x, y, z).

    Roll comes first (about the front axis: +90 lifts what is left straight up), then pitch (about the left axis: +90
    lifts what is in front straight up), then yaw (about the vertical: +90 turns what is in front to the left).

    Args:
        yaw_deg: A number or any shape; the three broadcast.
        pitch_deg: Likewise.
        roll_deg: Likewise.

    Returns:
        ``(..., 3, 3)`` in float64, so that a chain of rotations stays one.
    """
    angles = [torch.as_tensor(angle, dtype=torch.float64) for angle in (yaw_deg, pitch_deg, roll_deg)]
    # x and y of a direction at ear height are the cosine and the sine of its azimuth.
    (cy, sy), (cp, sp), (cr, sr) = (
        unit_vector(angle, 0.0)[..., :2].unbind(-1) for angle in torch.broadcast_tensors(*angles)
    )
    zero, one = torch.zeros_like(cy), torch.ones_like(cy)

    def matrix(*rows: torch.Tensor) -> torch.Tensor:
        return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))

    about_z = matrix(cy, -sy, zero, sy, cy, zero, zero, zero, one)
    about_y = matrix(cp, zero, -sp, zero, one, zero, sp, zero, cp)  # positive lifts the front: -pitch by the right hand
    about_x = matrix(one, zero, zero, zero, cr, -sr, zero, sr, cr)
    return about_z @ about_y @ about_x


def rotate_foa(foa: torch.Tensor, yaw_deg: Any = 0.0, pitch_deg: Any = 0.0, roll_deg: Any = 0.0) -> torch.Tensor:
    """Turns the whole sound field, as :func:`rotation_matrix` says; yaw +90 turns a front source to the left.

    Args:
        foa: ``(..., 4, time)``, AmbiX or N3D (ACN order).
        yaw_deg: A number, or one per item: a shape that broadcasts with the leading dimensions.
        pitch_deg: Likewise.
        roll_deg: Likewise.

    Returns:
        ``(..., 4, time)``.
    """
    _require_four(foa)
    rotation = rotation_matrix(yaw_deg, pitch_deg, roll_deg)[..., _XYZ_IN_ACN, :][..., _XYZ_IN_ACN]
    dipoles = rotation.to(device=foa.device, dtype=foa.dtype) @ foa[..., 1:, :]
    return torch.cat([foa[..., :1, :].expand(*dipoles.shape[:-2], -1, -1), dipoles], dim=-2)


def mirror_foa(foa: torch.Tensor, plane: Literal["left_right", "front_back", "up_down"]) -> torch.Tensor:
    """Swaps two sides of the sound field: left and right, front and back, or up and down.

    Args:
        foa: ``(..., 4, time)``, AmbiX or N3D (ACN order).
        plane: Which sides change places.

    Returns:
        ``(..., 4, time)``.
    """
    _require_four(foa)
    if plane not in _MIRRORED_CHANNEL:
        raise FormatError(f"mirror {plane!r} is not known; expected one of {', '.join(_MIRRORED_CHANNEL)}")
    signs = torch.ones(4, 1, dtype=foa.dtype, device=foa.device)
    signs[_MIRRORED_CHANNEL[plane]] = -1
    return foa * signs


def convert_foa(foa: torch.Tensor, source: str, target: str) -> torch.Tensor:
    """Changes the channel order and normalisation of first-order ambisonics.

    - ``"ambix"``: W, Y, Z, X; SN3D (dipoles have the gain of W).
    - ``"n3d"``: W, Y, Z, X; dipoles are sqrt(3) times SN3D's.
    - ``"fuma"``: W, X, Y, Z (classic B-format); W is 3 dB below SN3D's.
    - ``"gram"``: W, Z, -X, -Y; dipoles sqrt(3) times SN3D's. What the ambisonics checkpoint of GRAM (2025) hears: its
      training rooms (SoundSpaces) have y up and -z in front, and its authors' wrapper for AmbiX recordings turns them
      so. An inference from that wrapper; other code of the same group feeds channels as they come.

    Args:
        foa: ``(..., 4, time)`` in the convention ``source``.
        source: What ``foa`` is.
        target: What is wanted.

    Returns:
        ``(..., 4, time)``.

    Raises:
        FormatError: A convention is not one of these.
        ChannelError: Not four channels.
    """
    _require_four(foa)
    for name in (source, target):
        if name not in FOA_CONVENTIONS:
            raise FormatError(
                f"ambisonic convention {name!r} is not known; expected one of {', '.join(FOA_CONVENTIONS)}"
            )
    if source == target:
        return foa
    (order, gains), (target_order, target_gains) = _to_ambix(source), _to_ambix(target)
    acn = [target_order.index(channel) for channel in range(4)]  # which ACN channel each of the target's is
    factors = (gains / target_gains)[acn].to(foa)
    return foa[..., [order[channel] for channel in acn], :] * factors[:, None]


def intensity_to_energy(foa: torch.Tensor, sample_rate: int) -> float | None:
    """|I| / W^2 where a single wave prevails: about 1 for AmbiX, 1.41 for FuMa, 1.73 for N3D.

    The intensity I = Re(conj(W) (X, Y, Z)) of one plane wave has the length g W^2, g being the gain of the dipoles
    over W. Reverberation and several sources at once shorten it, so it is taken from those 5 % of the energy that are
    most like one plane wave: tiles of a few bins and frames in which |I|^2 comes closest to W^2 (X^2 + Y^2 + Z^2).
    The length is the same for every order of the dipoles: the order of the channels cannot be told from it.

    Args:
        foa: ``(4, time)``.
        sample_rate: In Hz.

    Returns:
        The ratio, or ``None`` where W is silent.
    """
    _require_four(foa)
    return _coherent_ratio(*_tiles(_band(foa, sample_rate)))


def _coherent_ratio(pressure: torch.Tensor, dipoles: torch.Tensor, intensity: torch.Tensor) -> float | None:
    product = (pressure * dipoles).sqrt()
    if not product.sum() > 0:
        return None if not pressure.sum() > 0 else 0.0
    coherence = intensity / product.clamp(min=torch.finfo(product.dtype).tiny)
    order = coherence.argsort(descending=True)
    share = product[order].cumsum(0) / product.sum()
    best = order[: int((share < _COHERENT_ENERGY_SHARE).sum()) + 1]
    return float(intensity[best].sum() / pressure[best].sum())


def suspected_format(foa: torch.Tensor, sample_rate: int) -> str | None:
    """Tells first-order ambisonics that is declared as AmbiX but has the gains of FuMa or N3D.

    Two numbers must agree. The first is the ratio of energies, sqrt((X^2 + Y^2 + Z^2) / W^2), which is 1 for AmbiX in
    every far field, be it one wave or many from everywhere (1.41 for FuMa, 1.73 for N3D): of the whole and in the
    median over frequencies, since at a single one a room's standing wave can have any ratio. The microphones' own
    noise raises it. :func:`intensity_to_energy` is blind to such noise, but reverberation lowers it. Very soft,
    noisy, short or narrow-band recordings pass unnoticed: no warning is no proof.

    Args:
        foa: ``(4, time)``, read as AmbiX.
        sample_rate: In Hz.

    Returns:
        ``"fuma"`` or ``"n3d"`` if it looks so, otherwise ``None``.
    """
    _require_four(foa)
    spectra = _band(foa, sample_rate)
    ratio = _least_energy_ratio(spectra)
    if ratio is None or ratio < _SUSPICIOUS_RATIO:
        return None  # most recordings, and the cheaper number
    if all(is_copy(foa[0], dipole) for dipole in foa[1:]):
        return None  # four copies of a mono signal have the gains of N3D, and are none
    coherent_ratio = _coherent_ratio(*_tiles(spectra))
    if coherent_ratio is None or coherent_ratio < _LEAST_COHERENT_RATIO:
        return None
    return "n3d" if ratio > _N3D_RATIO else "fuma"


def _least_energy_ratio(spectra: torch.Tensor) -> float | None:
    """sqrt((X^2 + Y^2 + Z^2) / W^2) of the whole or its median over frequencies, whichever is less.

    ``None`` where too few frequencies sound to take a median of, or W is silent.
    """
    power = torch.view_as_real(spectra).square().sum(dim=(-2, -1))  # (4, frequencies)
    pressure, dipoles = power[0], power[1:].sum(dim=0)
    energy = pressure + dipoles
    sounding = energy > _ROW_FLOOR * energy.max()
    if int(sounding.sum()) < _LEAST_ROWS or not pressure.sum() > 0:
        return None
    median = (dipoles / pressure.clamp(min=torch.finfo(pressure.dtype).tiny))[sounding].median()
    return math.sqrt(min(float(median), float(dipoles.sum() / pressure.sum())))


def is_copy(signal: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two signals ``(time,)`` are the same but for rounding, dither and coding: they differ by under -40 dB."""
    return bool((signal - other).square().sum() <= 1e-4 * signal.square().sum())


def _tiles(spectra: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """W^2, X^2 + Y^2 + Z^2 and |I| of tiles of 4 bins x 4 frames, 200 Hz to 4 kHz: ``(tiles,)`` each.

    Below that band microphones are noisy and rooms have few modes, above it their capsules stop to be coincident.
    """
    w, xyz = spectra[0], spectra[1:]
    maps = torch.cat([w.abs().square()[None], xyz.abs().square().sum(0, keepdim=True), (w.conj() * xyz).real])
    maps = torch.nn.functional.avg_pool2d(maps, 4).flatten(1)
    return maps[0], maps[1], torch.linalg.vector_norm(maps[2:], dim=0)


def _band(foa: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """The STFT between 200 Hz and 4 kHz, ``(4, frequencies, frames)``."""
    n_fft = 2 ** round(math.log2(0.032 * sample_rate))
    if foa.shape[-1] < 4 * n_fft:
        foa = torch.nn.functional.pad(foa, (0, 4 * n_fft - foa.shape[-1]))
    lowest, highest = (math.ceil(hz * n_fft / sample_rate) for hz in (200.0, min(4000.0, 0.45 * sample_rate)))
    return stft(foa, n_fft, n_fft // 2)[:, lowest:highest]


def _to_ambix(convention: str) -> tuple[list[int], torch.Tensor]:
    """The channels of a convention in ACN order, and the gains (after reordering) that make them SN3D."""
    if convention == "fuma":
        return [0, 2, 3, 1], torch.tensor([math.sqrt(2.0), 1.0, 1.0, 1.0], dtype=torch.float64)
    dipole = 1.0 if convention == "ambix" else 1.0 / math.sqrt(3.0)
    if convention == "gram":
        return [0, 3, 1, 2], torch.tensor([1.0, -dipole, dipole, -dipole], dtype=torch.float64)
    return [0, 1, 2, 3], torch.tensor([1.0, dipole, dipole, dipole], dtype=torch.float64)


def _require_four(foa: torch.Tensor) -> None:
    if foa.ndim < 2 or foa.shape[-2] != 4:
        raise ChannelError(
            f"first-order ambisonics has shape (..., 4, time); got {tuple(foa.shape)}: give the channels W, Y, Z, X"
        )
