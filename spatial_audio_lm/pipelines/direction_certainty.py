"""How sure a model is of a direction that it names by two heads, one of azimuths and one of elevations."""

import torch
from torch import Tensor

from spatial_audio_lm.layers.localization_bins import LocalizationBins
from spatial_audio_lm.signal.conventions import great_circle_deg, unit_vector, wrap_azimuth_deg


def direction_certainty(
    azimuths: Tensor,
    elevations: Tensor,
    azimuth_deg: float,
    elevation_deg: float,
    bins: LocalizationBins,
    within_deg: float,
    probability: float,
) -> tuple[float, float]:
    """Two numbers of one distribution on the sphere: the product of what both heads say, as if they knew nothing of
    each other.

    Args:
        azimuths: Probabilities of the azimuth bins, `(azimuth bins,)`.
        elevations: Probabilities of the elevation bins, `(elevation bins,)`.
        azimuth_deg: The answer.
        elevation_deg: The answer.
        bins: Where the bins are.
        within_deg: Radius of a circle around the answer.
        probability: Of a circle whose radius is asked for.

    Returns:
        The probability of a direction within `within_deg` degrees of the answer, and the half opening of the
        cone around it (to a degree, and half a bin at least) that holds the direction with `probability`.
    """
    azimuths, elevations = azimuths.cpu().double(), elevations.cpu().double()
    across, up = bins.azimuth_deg(torch.arange(len(azimuths))), bins.elevation_deg(torch.arange(len(elevations)))
    distance_deg = great_circle_deg(
        unit_vector(across.double()[:, None], up.double()), unit_vector(azimuth_deg, elevation_deg)
    )
    joint = azimuths[:, None] * elevations
    inside = float(joint[distance_deg <= within_deg].sum().clamp(max=1.0))
    of_degree = torch.bincount(distance_deg.long().flatten(), weights=joint.flatten(), minlength=181)
    spread_deg = int((of_degree.cumsum(0) < probability * of_degree.sum()).sum()) + 1
    half_bin_deg = 180.0 / len(azimuths)  # nobody knows where in a bin it is
    return inside, float(min(max(spread_deg, half_bin_deg), 180.0))


def azimuth_sector_deg(azimuths: Tensor, azimuth_deg: float, bins: LocalizationBins, probability: float) -> float:
    """Half-width in degrees of the sector around an azimuth that holds a probability; half a bin at least.

    Args:
        azimuths: Probabilities of the azimuth bins, `(azimuth bins,)`.
        azimuth_deg: The answer, the middle of the sector.
        bins: Where the bins are.
        probability: Of the sector.
    """
    probabilities = azimuths.cpu().double()
    centres = bins.azimuth_deg(torch.arange(len(probabilities))).double()
    away_deg, order = wrap_azimuth_deg(centres - azimuth_deg).abs().sort()
    held = probabilities[order].cumsum(0)
    last = int((held < probability * held[-1]).sum())
    return float((away_deg[last] + 180.0 / len(probabilities)).clamp(max=180.0))
