"""Four-channel responses of others, turned to AmbiX at the door; their files do not say what their channels are."""

import numpy as np
import torch
from numpy.typing import NDArray

from spatial_audio_lm.errors import FormatError
from spatial_audio_lm.signal.ambisonics import FOA_CONVENTIONS, convert_foa


def require_convention(convention: str | None, num_channels: int, where: str) -> str | None:
    """The convention of four-channel responses, which must be said; None for two channels.

    Raises:
        FormatError: none for four channels, one for two, or one that is not known.
    """
    if num_channels == 2 and convention is not None:
        raise FormatError(f"{where} has two channels, which are ears: convention {convention!r} is for ambisonics")
    if num_channels == 4 and convention not in FOA_CONVENTIONS:
        raise FormatError(
            f"{where} has four channels, convention is {convention!r}; expected one of {', '.join(FOA_CONVENTIONS)}: "
            "say which, since a wrong one would turn and mirror every scene ('gram': probably, the published sets)"
        )
    return convention


def in_ambix(responses: NDArray[np.float32], convention: str | None) -> NDArray[np.float32]:
    """Responses `(..., channels, taps)` in the house's convention; None leaves two ears alone."""
    if convention is None:
        return responses
    converted: NDArray[np.float32] = convert_foa(torch.from_numpy(responses), convention, "ambix").numpy()
    return converted
