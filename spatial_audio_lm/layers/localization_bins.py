"""Distances and angles as classes: labels to bins, bins to the house's degrees and metres.

The published bins: distance in steps of 0.5 m from 0 to 10 m (21 bins), azimuth in degrees counted from the right over
the front (360), elevation in degrees from -90 to 89 (180). The published code lets three labels slip: a distance above
10.25 m ends the training, an elevation of +90 becomes -90, and a source straight above divides by zero. Here they are
refused by name.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.signal.conventions import (
    azimuth_from_spatial_ast_deg,
    azimuth_to_spatial_ast_deg,
    wrap_azimuth_deg,
)

ANGLE_CONVENTIONS = ("spatial_ast", "house")


@dataclass(frozen=True)
class LocalizationBins:
    """How a model counts distances and angles.

    Args:
        distance_bin_m: step of the distances in metres; bin k is the distance k times this.
        num_distance_bins: bins of distance.
        num_azimuth_bins: bins of the full circle.
        num_elevation_bins: bins of the half circle; bin 0 is -90 degrees, the last is one step short of +90.
        angle_convention: what azimuth bin 0 and the direction of counting mean: "spatial_ast" (0 is right, then over
            the front to the left) or "house" (0 is front, then to the left).
    """

    distance_bin_m: float = 0.5
    num_distance_bins: int = 21
    num_azimuth_bins: int = 360
    num_elevation_bins: int = 180
    angle_convention: str = "spatial_ast"

    def __post_init__(self) -> None:
        if self.angle_convention not in ANGLE_CONVENTIONS:
            raise ConfigError(
                f"angle_convention is {self.angle_convention!r}; expected one of {', '.join(ANGLE_CONVENTIONS)}"
            )
        counts = (self.num_distance_bins, self.num_azimuth_bins, self.num_elevation_bins)
        if min(counts) < 2 or not self.distance_bin_m > 0:
            raise ConfigError(f"bins {counts} of {self.distance_bin_m} m; expected at least 2 each, and a step above 0")

    @property
    def max_distance_m(self) -> float:
        """Where the last distance bin ends (10.25 m)."""
        return (self.num_distance_bins - 0.5) * self.distance_bin_m

    def distance_bin(self, distance_m: Tensor) -> Tensor:
        """Bins `(batch,)` of distances `(batch,)`; halves go to the even bin, as in the published code.

        Raises:
            DataError: a distance that is negative, not finite, or beyond the last bin.
        """
        bins = (_finite("distance_m", distance_m) / self.distance_bin_m).round().long()
        outside = (distance_m < 0) | (bins >= self.num_distance_bins)
        if outside.any():
            raise DataError(
                f"distance_m has {float(distance_m[outside][0]):g}; the bins reach from 0 to {self.max_distance_m:g} m:"
                " leave such items out, or give the config more num_distance_bins"
            )
        return bins

    def azimuth_bin(self, azimuth_deg: Tensor) -> Tensor:
        """Bins `(batch,)` of azimuths `(batch,)` in the house's degrees (0 front, +90 left), any full turn.

        Raises:
            DataError: an azimuth that is not finite (a source straight above or below has none).
        """
        angle = _finite("azimuth_deg", azimuth_deg)
        if self.angle_convention == "spatial_ast":
            angle = azimuth_to_spatial_ast_deg(angle)
        return (angle * (self.num_azimuth_bins / 360.0)).round().long() % self.num_azimuth_bins

    def elevation_bin(self, elevation_deg: Tensor) -> Tensor:
        """Bins `(batch,)` of elevations `(batch,)` in degrees.

        Raises:
            DataError: an elevation that is not finite, outside of ±90, or straight above, which has no bin.
        """
        steps_per_degree = self.num_elevation_bins / 180.0
        bins = ((_finite("elevation_deg", elevation_deg) + 90.0) * steps_per_degree).round().long()
        outside = (elevation_deg.abs() > 90.0) | (bins >= self.num_elevation_bins)
        if outside.any():
            raise DataError(
                f"elevation_deg has {float(elevation_deg[outside][0]):g}; the bins reach from -90 to "
                f"{90.0 - 1.0 / steps_per_degree:g} degrees, and a source straight above has none: leave it out"
            )
        return bins

    def spread(self, head: str, label: Tensor, deviation: float) -> Tensor:
        """Labels as probabilities of bins `(batch, bins)`, normal around the true value.

        Args:
            head: "distance", "azimuth" or "elevation".
            label: metres or degrees, `(batch,)`.
            deviation: in the same unit.
        """
        if head == "distance":
            away = self.distance_m(torch.arange(self.num_distance_bins, device=label.device)) - label[:, None]
        elif head == "azimuth":
            away = self.azimuth_deg(torch.arange(self.num_azimuth_bins, device=label.device)) - label[:, None]
            away = wrap_azimuth_deg(away)
        else:
            away = self.elevation_deg(torch.arange(self.num_elevation_bins, device=label.device)) - label[:, None]
        return (-0.5 * (away / deviation).square()).softmax(-1)

    def distance_m(self, bins: Tensor) -> Tensor:
        """Distances in metres of bins, any shape."""
        return bins * self.distance_bin_m

    def azimuth_deg(self, bins: Tensor) -> Tensor:
        """Azimuths of bins in the house's degrees, in [-180, 180), any shape."""
        angle = bins * (360.0 / self.num_azimuth_bins)
        return (
            azimuth_from_spatial_ast_deg(angle) if self.angle_convention == "spatial_ast" else wrap_azimuth_deg(angle)
        )

    def elevation_deg(self, bins: Tensor) -> Tensor:
        """Elevations of bins in degrees, any shape."""
        return bins * (180.0 / self.num_elevation_bins) - 90.0


def _finite(name: str, values: Tensor) -> Tensor:
    if not torch.isfinite(values).all():
        raise DataError(f"{name} has {float(values[~torch.isfinite(values)][0])}; leave items without one out")
    return values.double()
