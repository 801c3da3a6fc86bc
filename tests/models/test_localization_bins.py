"""Bins of distance and angle: the published counting, the house's, and there and back."""

import math

import pytest
import torch

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.localization_bins import LocalizationBins


def test_the_published_labels() -> None:
    """Label by label as the published data loader counts: round, half to even; azimuth from atan2(-dz, dx)."""
    bins = LocalizationBins()
    # Metres to the right, up, and to the back of the receiver (the published frame looks along -z).
    for right, up, back in ((1.0, 0.0, 0.0), (0.0, 0.3, -2.0), (-1.5, -1.0, 0.2), (0.7, 0.1, 3.0), (2.0, 1.0, -0.01)):
        distance = math.sqrt(right**2 + up**2 + back**2)
        azimuth = round(math.degrees(math.atan2(-back, right))) % 360
        elevation = (round(math.degrees(math.atan(up / math.hypot(right, back)))) + 90) % 180
        # The house: x front, y left.
        house_azimuth = math.degrees(math.atan2(-right, -back))
        house_elevation = math.degrees(math.asin(up / distance))
        assert int(bins.distance_bin(torch.tensor([distance]))) == round(2 * distance)
        assert int(bins.azimuth_bin(torch.tensor([house_azimuth], dtype=torch.float64))) == azimuth
        assert int(bins.elevation_bin(torch.tensor([house_elevation], dtype=torch.float64))) == elevation


@pytest.mark.parametrize("convention, front, left, right", [("spatial_ast", 90, 180, 0), ("house", 0, 90, 270)])
def test_where_the_counting_begins(convention: str, front: int, left: int, right: int) -> None:
    bins = LocalizationBins(angle_convention=convention)
    assert bins.azimuth_bin(torch.tensor([0.0, 90.0, -90.0, 270.0])).tolist() == [front, left, right, right]
    assert bins.azimuth_deg(torch.tensor([front, left, right])).tolist() == [0.0, 90.0, -90.0]


@pytest.mark.parametrize("convention", ["spatial_ast", "house"])
@pytest.mark.parametrize("counts", [(21, 360, 180), (6, 24, 12)])
def test_there_and_back(convention: str, counts: tuple[int, int, int]) -> None:
    bins = LocalizationBins(0.5, *counts, angle_convention=convention)
    for name, count in zip(("distance", "azimuth", "elevation"), counts, strict=True):
        every = torch.arange(count)
        values = getattr(bins, "distance_m" if name == "distance" else f"{name}_deg")(every)
        assert torch.equal(getattr(bins, f"{name}_bin")(values), every)
    azimuth = bins.azimuth_deg(torch.arange(counts[1]))
    assert azimuth.min() == -180 and azimuth.max() < 180


def test_edges() -> None:
    bins = LocalizationBins()
    assert bins.max_distance_m == 10.25
    assert bins.distance_bin(torch.tensor([0.0, 0.25, 0.75, 10.25])).tolist() == [0, 0, 2, 20]  # halves to even
    assert bins.elevation_bin(torch.tensor([-90.0, 89.4])).tolist() == [0, 179]
    assert bins.azimuth_bin(torch.tensor([-90.4, 629.9])).tolist() == [0, 0]
    for settings in ({"num_elevation_bins": 1}, {"distance_bin_m": 0.0}, {"angle_convention": "north"}):
        with pytest.raises(ConfigError):
            LocalizationBins(**settings)
