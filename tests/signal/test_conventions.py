"""Angles and vectors: where left is, in every paper's way of counting."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spatial_audio_lm.signal.conventions import (
    FOA_CHANNELS,
    azimuth_from_elsa_deg,
    azimuth_from_gram_deg,
    azimuth_from_spatial_ast_deg,
    azimuth_to_elsa_deg,
    azimuth_to_gram_deg,
    azimuth_to_spatial_ast_deg,
    direction_of,
    great_circle_deg,
    lateral_angle_deg,
    unit_vector,
    wrap_azimuth_deg,
)

azimuths = st.floats(-720, 720)
elevations = st.floats(-89.9, 89.9)


def test_axes_are_front_left_up() -> None:
    assert FOA_CHANNELS == ("W", "Y", "Z", "X")
    for azimuth, elevation, axis in [(0, 0, (1, 0, 0)), (90, 0, (0, 1, 0)), (0, 90, (0, 0, 1)), (-90, 0, (0, -1, 0))]:
        np.testing.assert_allclose(unit_vector(azimuth, elevation), axis, atol=1e-15)


@pytest.mark.parametrize(
    ("azimuth", "wrapped"), [(0, 0), (180, -180), (-180, -180), (190, -170), (-190, 170), (540, -180), (359.5, -0.5)]
)
def test_wrap(azimuth: float, wrapped: float) -> None:
    assert wrap_azimuth_deg(azimuth) == pytest.approx(wrapped, abs=1e-12)
    assert isinstance(wrap_azimuth_deg(azimuth), float)


@given(st.floats(-1e6, 1e6))
def test_wrap_stays_in_the_half_open_range(azimuth: float) -> None:
    for value in (wrap_azimuth_deg(azimuth), float(wrap_azimuth_deg(np.array([azimuth], np.float32))[0])):
        assert -180 <= value < 180
    assert -180 <= float(wrap_azimuth_deg(torch.tensor(azimuth))) < 180


def test_a_tiny_negative_azimuth_does_not_round_to_180() -> None:
    assert wrap_azimuth_deg(-180 - 1e-15) < 180
    assert 0 <= azimuth_to_spatial_ast_deg(-90 - 1e-15) < 360


@pytest.mark.parametrize(
    ("convert", "front", "left", "back", "right"),
    [
        (azimuth_to_elsa_deg, 0, -90, -180, 90),
        (azimuth_to_gram_deg, 0, -90, -180, 90),
        (azimuth_to_spatial_ast_deg, 90, 180, 270, 0),
    ],
)
def test_papers_count_as_the_table_says(convert, front, left, back, right) -> None:  # type: ignore[no-untyped-def]
    assert [convert(float(azimuth)) for azimuth in (0, 90, -180, -90)] == [front, left, back, right]


@given(azimuths)
def test_conversions_come_back(azimuth: float) -> None:
    for there, back in [
        (azimuth_to_elsa_deg, azimuth_from_elsa_deg),
        (azimuth_to_gram_deg, azimuth_from_gram_deg),
        (azimuth_to_spatial_ast_deg, azimuth_from_spatial_ast_deg),
    ]:
        assert abs(wrap_azimuth_deg(back(there(azimuth)) - azimuth)) < 1e-9


@given(azimuths, elevations)
def test_direction_of_inverts_unit_vector(azimuth: float, elevation: float) -> None:
    again = direction_of(unit_vector(azimuth, elevation))
    assert abs(wrap_azimuth_deg(float(again[0]) - azimuth)) < 1e-6
    assert float(again[1]) == pytest.approx(elevation, abs=1e-9)


@given(azimuths, elevations, azimuths, elevations)
def test_kinds_agree(a1: float, e1: float, a2: float, e2: float) -> None:
    one, two = unit_vector(a1, e1), unit_vector(a2, e2)
    expected = float(great_circle_deg(one, two))
    tensors = torch.from_numpy(one), torch.from_numpy(two)
    assert float(great_circle_deg(*tensors)) == pytest.approx(expected, abs=1e-9)
    assert great_circle_deg(one.tolist(), two.tolist()) == pytest.approx(expected, abs=1e-9)
    assert float(great_circle_deg(7 * one, 0.1 * two)) == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(unit_vector(torch.tensor(a1, dtype=torch.float64), e1).numpy(), one, atol=1e-12)


def test_kind_in_is_kind_out() -> None:
    assert isinstance(direction_of([1.0, 0.0, 0.0])[0], float)
    assert isinstance(direction_of(np.ones((5, 3)))[0], np.ndarray)
    assert isinstance(direction_of(torch.ones(5, 3))[0], torch.Tensor)
    assert isinstance(great_circle_deg([1, 0, 0], [0, 1, 0]), float)
    assert unit_vector(torch.zeros(7, 1), torch.zeros(2)).shape == (7, 2, 3)
    assert unit_vector(np.zeros((7, 1)), 3.0).shape == (7, 1, 3)
    assert wrap_azimuth_deg(torch.tensor([190.0])).dtype == torch.float32
    assert wrap_azimuth_deg(np.float32([190.0])).dtype == np.float32


def test_great_circle_keeps_small_angles() -> None:
    # the arc cosine would give 0 here in float32
    near = unit_vector(torch.tensor([0.0, 0.001]), 0.0)
    assert float(great_circle_deg(near[0], near[1])) == pytest.approx(0.001, rel=1e-3)
    assert great_circle_deg([1, 0, 0], [-1, 0, 0]) == 180.0


def test_lateral_angle_is_the_cone_around_the_ears() -> None:
    # front, left, right, up; 30 degrees to the left in front and behind; azimuth 90 raised by 60 degrees
    vectors = unit_vector(np.array([0, 90, -90, 0, 30, 150, 90]), np.array([0, 0, 0, 90, 0, 0, 60]))
    expected = [0, 90, -90, 0, 30, 30, 30]
    np.testing.assert_allclose(lateral_angle_deg(3 * vectors), expected, atol=1e-9)
    np.testing.assert_allclose(lateral_angle_deg(torch.from_numpy(vectors)).numpy(), expected, atol=1e-9)
    assert lateral_angle_deg([1, 1, 0]) == pytest.approx(45, abs=1e-12)
    assert lateral_angle_deg(torch.tensor([0, 1, 0])).item() == 90
    assert math.isnan(lateral_angle_deg([0, 0, 0])) and torch.isnan(lateral_angle_deg(torch.zeros(3)))


def test_nothing_points_nowhere() -> None:
    assert all(math.isnan(value) for value in direction_of([0.0, 0.0, 0.0]))
    assert torch.isnan(direction_of(torch.zeros(2, 3))[1]).all()
    assert math.isnan(great_circle_deg([0, 0, 0], [1, 0, 0]))
    assert torch.isnan(great_circle_deg(torch.zeros(3), torch.ones(3)))
