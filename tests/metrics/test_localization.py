import math

import numpy as np
import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.localization import (
    azimuth_error_deg,
    confidence_calibration,
    direction_error_deg,
    localization_scores,
)
from spatial_audio_lm.signal.conventions import unit_vector


def test_azimuth_error_goes_the_short_way_round():
    errors = azimuth_error_deg([170.0, -170.0, 10.0, 90.0, 0.0, math.nan], [-170.0, 170.0, 30.0, -90.0, 0.0, 5.0])
    assert errors[:5] == pytest.approx([20.0, 20.0, 20.0, 180.0, 0.0])
    assert math.isnan(errors[5])


def test_direction_error_by_hand():
    # front to left, front to up, front to back, and a 45-degree elevation at the same azimuth
    predicted = [[1, 0, 0], [2, 0, 0], [1, 0, 0], [1, 0, 1]]
    true = [[0, 3, 0], [0, 0, 1], [-1, 0, 0], [1, 0, 0]]
    assert direction_error_deg(predicted, true) == pytest.approx([90.0, 90.0, 180.0, 45.0])


def test_scores_by_hand():
    predicted = unit_vector(np.array([10.0, 175.0, 0.0, 40.0]), np.array([0.0, 0.0, 30.0, 0.0]))
    true = unit_vector(np.array([0.0, -175.0, 0.0, 10.0]), np.array([0.0, 0.0, 0.0, 0.0]))
    scores = localization_scores(predicted, true)
    assert scores.azimuth_mae_deg == pytest.approx((10 + 10 + 0 + 30) / 4)
    assert scores.azimuth_median_deg == pytest.approx(10)
    assert scores.elevation_mae_deg == pytest.approx(30 / 4)
    assert scores.great_circle_mean_deg == pytest.approx((10 + 10 + 30 + 30) / 4)
    assert scores.great_circle_median_deg == pytest.approx(20)
    assert scores.within_20_deg == 0.5
    assert (scores.answered, scores.count) == (1.0, 4)


def test_no_direction_is_wrong_but_not_averaged():
    predicted = np.array([[1.0, 0, 0], [np.nan, np.nan, np.nan]])
    scores = localization_scores(predicted, np.array([[1.0, 0, 0], [1.0, 0, 0]]))
    assert scores.great_circle_mean_deg == 0.0
    assert scores.within_20_deg == 0.5
    assert scores.answered == 0.5
    nothing = localization_scores(np.full((2, 3), np.nan), np.eye(3)[:2])
    assert math.isnan(nothing.great_circle_mean_deg) and nothing.within_20_deg == 0.0 and nothing.answered == 0.0


def test_random_directions_are_90_degrees_away():
    generator = np.random.default_rng(0)
    scores = localization_scores(generator.normal(size=(20000, 3)), generator.normal(size=(20000, 3)))
    assert scores.great_circle_mean_deg == pytest.approx(90, abs=1)
    assert scores.azimuth_mae_deg == pytest.approx(90, abs=1)


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2)), "unit_vector"),
        (np.ones((2, 3)), np.ones((3, 3)), "expected"),
        (np.ones((0, 3)), np.ones((0, 3)), "no items"),
        (np.ones((1, 3)), np.zeros((1, 3)), "true direction is zero"),
        (np.ones((1, 3)), np.full((1, 3), np.nan), "true direction is zero, NaN"),
    ],
)
def test_bad_directions_are_named(predicted, true, message):
    with pytest.raises(DataError, match=message):
        localization_scores(predicted, true)


def test_calibration_by_hand():
    # bin [0, .5): 0.2 and 0.4, none right; bin [.5, 1]: 0.9 and 1.0, one right
    result = confidence_calibration([0.2, 0.4, 0.9, 1.0], [False, False, True, False], bins=2)
    assert result.confidence == pytest.approx([0.3, 0.95])
    assert result.accuracy == pytest.approx([0.0, 0.5])
    assert result.counts.tolist() == [2, 2]
    assert result.expected_error == pytest.approx((0.3 * 2 + 0.45 * 2) / 4)
    assert result.bias == pytest.approx(0.625 - 0.25)


def test_a_calibrated_model_has_small_error_and_empty_bins_stay_empty():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1.0, 50000)
    result = confidence_calibration(confidence, generator.random(50000) < confidence)
    assert result.expected_error < 0.02 and abs(result.bias) < 0.01
    assert np.isnan(result.confidence[:5]).all() and (result.counts[:5] == 0).all()


@pytest.mark.parametrize(
    ("confidence", "correct"), [([1.2], [True]), ([0.5], [True, False]), ([], []), ([np.nan], [True])]
)
def test_bad_confidence_is_refused(confidence, correct):
    with pytest.raises(DataError):
        confidence_calibration(confidence, correct)
