"""What stands in the room and listens: a set of microphones at one point, each with a pattern and an axis.

A receiver is a description; only `rirs.py` turns it into pyroomacoustics objects.
First-order ambisonics is recorded as its definition says: an omnidirectional microphone and three
figure-of-eight microphones at the same point. The figure-of-eight has gain cos(angle to its axis), which
is the SN3D dipole, so the four signals are AmbiX (ACN order, SN3D) without any scaling. Binaural is a head with two
ears, which hear through it (heads.py, binaural_rirs.py).
"""

from dataclasses import dataclass

import numpy as np

from spatial_audio_lm.errors import RecordError
from spatial_audio_lm.signal.ambisonics import rotation_matrix


@dataclass(frozen=True)
class Microphone:
    """One capsule of a receiver. `axis` (x front, y left, z up) is None for an omnidirectional one."""

    name: str
    axis: tuple[float, float, float] | None


FOA_MICROPHONES = (  # ACN order
    Microphone("W", None),
    Microphone("Y", (0.0, 1.0, 0.0)),
    Microphone("Z", (0.0, 0.0, 1.0)),
    Microphone("X", (1.0, 0.0, 0.0)),
)
# The ears hear through a head (heads.py), which is no pattern of a microphone.
BINAURAL_EARS = (Microphone("left", None), Microphone("right", None))
RECEIVERS = {"foa": FOA_MICROPHONES, "binaural": BINAURAL_EARS}


def microphones(receiver_format: str) -> tuple[Microphone, ...]:
    """The capsules of a receiver format.

    Raises:
        RecordError: for a format that no receiver of this version has.
    """
    if receiver_format not in RECEIVERS:
        raise RecordError(f"receiver format {receiver_format!r} is not known; this version has {sorted(RECEIVERS)}")
    return RECEIVERS[receiver_format]


def turn_horizontally(vector: np.ndarray, angle_deg: float) -> np.ndarray:
    """Rotate vectors `(..., 3)` counter-clockwise seen from above, as a receiver's yaw does."""
    return vector @ np.asarray(rotation_matrix(yaw_deg=angle_deg), dtype=np.float64).T
