"""Where "left" is: the one page on coordinates, channel orders and units.

The house's convention, used everywhere inside the package:

- **Azimuth** in degrees, 0 = front, positive = left (counter-clockwise seen from above), in [-180, 180).
  **Elevation** in degrees, positive = up, in [-90, 90]. Distance in metres.
- **Unit vector** ``(x, y, z)``: x to the front, y to the left, z up.
- **First-order ambisonics** (FOA): channels W, Y, Z, X (ACN order) with SN3D normalisation, together known as AmbiX.
  A plane wave ``s`` from the unit vector (x, y, z) has W = s, Y = y s, Z = z s, X = x s.
- **Binaural**: channel 0 is the left ear.
- Sample rates in Hz, durations in seconds, levels in decibels.

Papers and checkpoints count otherwise; each way is converted here and nowhere else:

=====================  =======  =======  =======  =======  ====================================================
azimuth of             front    left     back     right    source
=====================  =======  =======  =======  =======  ====================================================
this package           0        90       -180     -90      ambiX, SOFA
ELSA                   0        -90      +-180    90       ELSA Table A.T.3: "left" is [-125, -55]
GRAM                   0        -90      +-180    90       GRAM: azimuth of a source, +90 = right
SpatialAST, DSpAST     90       180      270      0        SpatialSoundQA: atan2(-dz, dx), y up, [0, 360)
=====================  =======  =======  =======  =======  ====================================================

Positions of SpatialSound (SpatialAST's and DSpAST's data) have their own axes: x to the right, y up, z to the back.

Functions take Python numbers, numpy arrays or torch tensors, and return the same kind.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch

FOA_CHANNELS = ("W", "Y", "Z", "X")

Angle = TypeVar("Angle", float, np.ndarray, torch.Tensor)


def wrap_azimuth_deg(azimuth_deg: Angle) -> Angle:
    """The same direction with an azimuth in [-180, 180) degrees."""
    wrapped = (azimuth_deg + 180.0) % 360.0 - 180.0
    # A tiny negative number modulo 360 rounds to 360 itself, which is outside of the half-open range.
    if isinstance(wrapped, torch.Tensor):
        return torch.where(wrapped >= 180.0, wrapped - 360.0, wrapped)
    if isinstance(wrapped, np.ndarray):
        return np.where(wrapped >= 180.0, wrapped - 360.0, wrapped)
    return wrapped - 360.0 if wrapped >= 180.0 else wrapped


def azimuth_from_elsa_deg(azimuth_deg: Angle) -> Angle:
    """From ELSA's azimuth (positive to the right) to the house's (positive to the left), in [-180, 180)."""
    return wrap_azimuth_deg(-azimuth_deg)


def azimuth_to_elsa_deg(azimuth_deg: Angle) -> Angle:
    """From the house's azimuth to ELSA's (positive to the right), in [-180, 180)."""
    return wrap_azimuth_deg(-azimuth_deg)


def azimuth_from_gram_deg(azimuth_deg: Angle) -> Angle:
    """From GRAM's azimuth (0 = front, +90 = right) to the house's, in [-180, 180)."""
    return wrap_azimuth_deg(-azimuth_deg)


def azimuth_to_gram_deg(azimuth_deg: Angle) -> Angle:
    """From the house's azimuth to GRAM's (0 = front, +90 = right), in [-180, 180)."""
    return wrap_azimuth_deg(-azimuth_deg)


def azimuth_from_spatial_ast_deg(azimuth_deg: Angle) -> Angle:
    """From SpatialAST's azimuth (0 = right, 90 = front, counter-clockwise) to the house's, in [-180, 180)."""
    return wrap_azimuth_deg(azimuth_deg - 90.0)


def azimuth_to_spatial_ast_deg(azimuth_deg: Angle) -> Angle:
    """From the house's azimuth to SpatialAST's (0 = right, 90 = front, counter-clockwise), in [0, 360)."""
    return wrap_azimuth_deg(azimuth_deg - 90.0) + 180.0  # wrapping first keeps the half-open range exact


def vector_from_spatial_ast(vector: Any) -> Any:
    """From the axes of SpatialSound's positions (x right, y up, z back) to the house's (x front, y left, z up).

    Args:
        vector: ``(..., 3)``, of any length.

    Returns:
        ``(..., 3)``: a tensor if it was one, otherwise a numpy array.
    """
    if isinstance(vector, torch.Tensor):
        return torch.stack([-vector[..., 2], -vector[..., 0], vector[..., 1]], dim=-1)
    array = np.asarray(vector)
    return np.stack([-array[..., 2], -array[..., 0], array[..., 1]], axis=-1)


def unit_vector(azimuth_deg: Any, elevation_deg: Any) -> Any:
    """The vector of length 1 towards a direction.

    Args:
        azimuth_deg: Azimuth, 0 = front, positive = left; any shape.
        elevation_deg: Elevation, positive = up; a shape that broadcasts with the azimuth.

    Returns:
        ``(..., 3)``: x front, y left, z up. A tensor if either angle is one, otherwise a numpy array (for two Python
        numbers: of shape ``(3,)``).
    """
    if isinstance(azimuth_deg, torch.Tensor) or isinstance(elevation_deg, torch.Tensor):
        a, e = (torch.deg2rad(angle) for angle in _tensors_alike(azimuth_deg, elevation_deg))
        return torch.stack([e.cos() * a.cos(), e.cos() * a.sin(), e.sin()], dim=-1)
    azimuth, elevation = np.broadcast_arrays(np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg))
    level = np.cos(elevation)
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], axis=-1)


def direction_of(vector: Any) -> tuple[Any, Any]:
    """Where a vector points; the inverse of :func:`unit_vector`.

    Args:
        vector: ``(..., 3)``, x front, y left, z up, of any length. A zero vector points nowhere: NaN.

    Returns:
        ``(azimuth_deg, elevation_deg)``, each of shape ``(...)``; two Python floats for a sequence of three numbers.
    """
    if isinstance(vector, torch.Tensor):
        floating = vector if vector.is_floating_point() else vector.to(torch.get_default_dtype())
        length = torch.linalg.vector_norm(floating[..., :2], dim=-1)
        azimuth = wrap_azimuth_deg(torch.rad2deg(torch.atan2(floating[..., 1], floating[..., 0])))
        elevation = torch.rad2deg(torch.atan2(floating[..., 2], length))
        somewhere = floating.ne(0).any(dim=-1)
        return torch.where(somewhere, azimuth, torch.nan), torch.where(somewhere, elevation, torch.nan)
    array = np.asarray(vector, dtype=None if isinstance(vector, np.ndarray) else np.float64)
    azimuths = wrap_azimuth_deg(np.asarray(np.rad2deg(np.arctan2(array[..., 1], array[..., 0]))))
    elevations = np.rad2deg(np.arctan2(array[..., 2], np.hypot(array[..., 0], array[..., 1])))
    nonzero = array.any(axis=-1)
    azimuths, elevations = np.where(nonzero, azimuths, np.nan), np.where(nonzero, elevations, np.nan)
    if isinstance(vector, Sequence) and array.ndim == 1:
        return float(azimuths), float(elevations)
    return azimuths, elevations


def lateral_angle_deg(vector: Any) -> Any:
    """How far to the side a vector points: its angle from the median plane, the arc sine of y at length 1.

    The lateral angle of interaural-polar coordinates, which is what the differences between the ears tell: all
    directions of one cone around the axis of the ears share it, front and back, above and below.

    Args:
        vector: ``(..., 3)``, x front, y left, z up, of any length. A zero vector points nowhere: NaN.

    Returns:
        ``(...)`` in degrees, positive = left, in [-90, 90]; a Python float for a sequence of three numbers.
    """
    if isinstance(vector, torch.Tensor):
        floating = vector if vector.is_floating_point() else vector.to(torch.get_default_dtype())
        across = torch.linalg.vector_norm(floating[..., ::2], dim=-1)
        angle = torch.rad2deg(torch.atan2(floating[..., 1], across))
        return torch.where(floating.ne(0).any(dim=-1), angle, torch.nan)
    array = np.asarray(vector, dtype=None if isinstance(vector, np.ndarray) else np.float64)
    angles = np.rad2deg(np.arctan2(array[..., 1], np.hypot(array[..., 0], array[..., 2])))
    angles = np.where(array.any(axis=-1), angles, np.nan)
    return float(angles) if isinstance(vector, Sequence) and array.ndim == 1 else angles


def great_circle_deg(first: Any, second: Any) -> Any:
    """The angle between two directions in degrees, in [0, 180].

    Args:
        first: ``(..., 3)``; the vectors need not have unit length. A zero vector gives NaN.
        second: ``(..., 3)``, broadcasting with ``first``.

    Returns:
        ``(...)``: a tensor if either is one, otherwise numpy; a Python float for two sequences of three numbers.
    """
    # atan2(|a x b|, a.b): the arc cosine of the dot product loses all digits where it matters, near 0 and 180 degrees.
    if isinstance(first, torch.Tensor) or isinstance(second, torch.Tensor):
        a, b = _tensors_alike(first, second)
        sine = torch.linalg.vector_norm(torch.linalg.cross(a, b, dim=-1), dim=-1)
        angle = torch.rad2deg(torch.atan2(sine, (a * b).sum(dim=-1)))
        return torch.where(a.ne(0).any(dim=-1) & b.ne(0).any(dim=-1), angle, torch.nan)
    u, v = np.broadcast_arrays(np.asarray(first), np.asarray(second))
    angles = np.rad2deg(np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), (u * v).sum(axis=-1)))
    angles = np.where(u.any(axis=-1) & v.any(axis=-1), angles, np.nan)
    both_plain = isinstance(first, Sequence) and isinstance(second, Sequence)
    return float(angles) if both_plain and angles.ndim == 0 else angles


def _tensors_alike(first: Any, second: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as floating-point tensors of one type, device and (broadcast) shape; at least one is a tensor already."""
    device = first.device if isinstance(first, torch.Tensor) else second.device
    # Python numbers stay what they are until the type is found: they do not promote a tensor, and lose no digits.
    known = torch.Tensor | float | int
    values = [value if isinstance(value, known) else torch.as_tensor(np.asarray(value)) for value in (first, second)]
    dtype = torch.result_type(*values)  # type: ignore[arg-type]  # numbers are accepted as well
    dtype = dtype if dtype.is_floating_point else torch.get_default_dtype()
    broadcast = torch.broadcast_tensors(*(torch.as_tensor(value, dtype=dtype, device=device) for value in values))
    return broadcast[0], broadcast[1]
