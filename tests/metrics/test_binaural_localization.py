import math

import numpy as np
import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.binaural_localization import (
    SECTORS,
    azimuth_sectors,
    chance_of_directions,
    judge_directions,
)
from spatial_audio_lm.metrics.localization import localization_scores
from spatial_audio_lm.signal.conventions import unit_vector


def judge(predicted, true, **options):
    """Judge (azimuth, elevation) pairs in degrees."""
    answers, truth = (np.array(angles, dtype=float).T for angles in (predicted, true))
    return judge_directions(unit_vector(*answers), unit_vector(*truth), **options)


def test_a_front_source_heard_behind():
    # 30 degrees to the left in front, heard 30 to the left behind (azimuth 150): 120 off, but the side is right
    judged = judge([(150, 0)], [(30, 0)]).means()
    assert judged["great_circle_deg"] == pytest.approx(120)
    assert judged["azimuth_deg"] == pytest.approx(120)
    assert judged["lateral_deg"] == pytest.approx(0, abs=1e-9)
    assert judged["resolved_deg"] == pytest.approx(0, abs=1e-6)
    assert (judged["above_20"], judged["right_side"], judged["front_back_confused"]) == (1, 1, 1)
    assert math.isnan(judged["up_down_confused"])  # a level source has no up or down


def test_values_by_hand():
    true = [(0, 0), (90, 0), (-45, 30), (180, -40), (-90, 0)]
    predicted = [(10, 0), (-90, 0), (-45, -30), (170, -40), (-60, 0)]
    judged = judge(predicted, true)
    # over a parallel at elevation e, a step of 10 degrees is 2 asin(cos e sin 5)
    short = 2 * math.degrees(math.asin(math.cos(math.radians(40)) * math.sin(math.radians(5))))
    assert judged.great_circle_deg == pytest.approx([10, 180, 60, short, 30])
    assert judged.above_20.tolist() == [0, 1, 1, 0, 1]
    assert judged.azimuth_deg == pytest.approx([10, 180, 0, 10, 30], abs=1e-9)
    assert judged.elevation_deg == pytest.approx([0, 0, 60, 0, 0], abs=1e-9)
    # asin(y): 10 against 0; -90 against 90; the same; asin(cos 40 sin 170) against 0; -60 against -90
    lateral = math.degrees(math.asin(math.cos(math.radians(40)) * math.sin(math.radians(170))))
    assert judged.lateral_deg == pytest.approx([10, 180, 0, lateral, 30], abs=1e-6)
    # straight ahead and behind have no side; the left source was heard right
    np.testing.assert_array_equal(judged.right_side, [np.nan, 0, 1, np.nan, 1])
    # the sources on the axis of the ears have no front or back
    np.testing.assert_array_equal(judged.front_back_confused, [0, np.nan, 0, 0, np.nan])
    np.testing.assert_array_equal(judged.up_down_confused, [np.nan, np.nan, 1, 0, np.nan])
    # nothing is nearer in the mirror; -120 is as far from -90 as -60 is
    assert judged.resolved_deg == pytest.approx([10, 180, 60, short, 30])
    assert judged.means()["right_side"] == pytest.approx(2 / 3)
    assert judged.counts()["front_back_confused"] == 3
    assert judged.means([0, 1])["great_circle_deg"] == pytest.approx(95)
    assert judged.means(np.arange(5) < 1)["above_20"] == 0


def test_twenty_degrees_are_not_above_twenty():
    azimuths = np.arange(-180.0, 180.0)
    level = np.zeros_like(azimuths)
    for step in (20.0, -20.0):
        judged = judge_directions(unit_vector(azimuths + step, level), unit_vector(azimuths, level))
        assert judged.above_20.sum() == 0
    assert judge([(20.001, 0)], [(0, 0)]).above_20 == [1]
    scores = localization_scores(unit_vector([20.001, 10.0], [0.0, 0.0]), unit_vector([0.0, 0.0], [0.0, 0.0]))
    assert scores.within_20_deg == 0.5


def test_the_margin_is_an_angle_from_the_plane():
    # azimuth 75 is 15 degrees off the frontal plane, azimuth 15 is 15 off the median plane
    judged = judge([(100, 0), (100, 0), (-5, 0), (-5, 0)], [(75, 0), (75.1, 0), (15, 0), (14.9, 0)])
    np.testing.assert_array_equal(judged.front_back_confused, [1, np.nan, 0, 0])
    np.testing.assert_array_equal(judged.right_side, [1, 1, 0, np.nan])
    # raised by 80 degrees, a source in front is 10 degrees off the frontal plane
    assert math.isnan(judge([(180, 80)], [(0, 80)]).front_back_confused[0])
    assert judge([(180, 80)], [(0, 80)], margin_deg=5).front_back_confused == [1]
    # at margin 0 all have a side but those in the plane; an estimate in the plane is no side and no confusion
    judged = judge([(0, 0), (90, 0), (10, 0)], [(1, 0), (89, 0), (0, 0)], margin_deg=0)
    np.testing.assert_array_equal(judged.right_side, [0, 1, np.nan])
    np.testing.assert_array_equal(judged.front_back_confused, [0, 0, 0])


def test_confusions_are_resolved_only_where_that_is_nearer():
    judged = judge([(170, 0), (20, 0), (100, 0)], [(20, 0), (10, 0), (60, 0)])
    # 170 mirrors to 10; 20 would mirror to 160; 100 mirrors to 80
    assert judged.resolved_deg == pytest.approx([10, 10, 20])


def test_no_estimate_is_wrong_but_never_averaged():
    true = unit_vector(np.array([60.0, 60.0, 60.0]), 30.0)
    judged = judge_directions([[np.nan] * 3, [0, 0, 0], 5 * true[2]], true)
    assert judged.above_20.tolist() == [1, 1, 0]
    assert judged.right_side.tolist() == [0, 0, 1]
    for name in ("great_circle_deg", "lateral_deg", "front_back_confused", "up_down_confused", "resolved_deg"):
        values = getattr(judged, name)
        assert np.isnan(values[:2]).all() and values[2] == pytest.approx(0, abs=1e-6), name


def test_perfect_estimates():
    generator = np.random.default_rng(0)
    true = generator.normal(size=(500, 3))
    for name, mean in judge_directions(true, true).means().items():
        assert mean == pytest.approx(1 if name == "right_side" else 0, abs=1e-6), name


def test_chance_is_the_mean_over_random_orders():
    generator = np.random.default_rng(0)
    # a test that is not uniform: mostly in front, level
    true = unit_vector(generator.normal(0, 50, size=300), generator.normal(0, 15, size=300))
    exact = chance_of_directions(true)
    orders = [judge_directions(true[generator.permutation(300)], true).means() for _ in range(200)]
    drawn = chance_of_directions(true, max_pairs=50_000, seed=1)
    for name, value in exact.items():
        width = 1.0 if name.endswith("_deg") else 0.01
        assert np.mean([order[name] for order in orders]) == pytest.approx(value, abs=width), name
        assert drawn[name] == pytest.approx(value, abs=width), name
    assert exact["great_circle_deg"] < 75 and exact["resolved_deg"] < exact["great_circle_deg"]
    assert drawn == chance_of_directions(true, max_pairs=50_000, seed=1)


def test_chance_by_hand():
    # front, left, back, right, each drawn for each: 0, 90, 180, 90 off
    true = unit_vector(np.array([0.0, 90.0, 180.0, -90.0]), 0.0)
    chance = chance_of_directions(true)
    assert chance["great_circle_deg"] == pytest.approx(90)
    assert chance["above_20"] == pytest.approx(3 / 4)
    assert chance["right_side"] == pytest.approx(1 / 4)  # front and back answer no side
    assert chance["front_back_confused"] == pytest.approx(1 / 4)
    # front and back are resolved into one; a source on the axis of the ears has nothing to resolve
    assert chance["resolved_deg"] == pytest.approx(((0 + 90 + 0 + 90) / 4 + (0 + 90 + 180 + 90) / 4) / 2)
    assert chance["elevation_deg"] == pytest.approx(0, abs=1e-9) and math.isnan(chance["up_down_confused"])
    # asked for the front alone, the estimates still come from everywhere
    assert chance_of_directions(true, items=[0])["azimuth_deg"] == pytest.approx((0 + 90 + 180 + 90) / 4)
    assert chance_of_directions(true, items=np.array([False, True, False, False]))["right_side"] == 1 / 4


def test_uniform_directions_are_90_degrees_apart():
    true = np.random.default_rng(0).normal(size=(900, 3))
    chance = chance_of_directions(true)
    assert chance["great_circle_deg"] == pytest.approx(90, abs=1)
    assert chance["above_20"] == pytest.approx((1 + math.cos(math.radians(20))) / 2, abs=0.003)
    for name in ("right_side", "front_back_confused", "up_down_confused"):
        assert chance[name] == pytest.approx(0.5, abs=0.03)


def test_sectors():
    azimuths = [0, 45, 90, 135, 180, -135, -90, -45]
    assert azimuth_sectors(azimuths).tolist() == list(range(8))
    assert SECTORS[azimuth_sectors(90)] == "left" and SECTORS[azimuth_sectors(-90)] == "right"
    assert azimuth_sectors([22.4, 22.5, -22.5, -22.6, 179, -180, 360, 67.5]).tolist() == [0, 1, 0, 7, 4, 4, 0, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: judge_directions(np.zeros((2, 2)), np.zeros((2, 2))), "unit_vector"),
        (lambda: judge_directions(np.ones((2, 3)), np.ones((3, 3))), "do not fit"),
        (lambda: judge_directions(np.ones((0, 3)), np.ones((0, 3))), "at least one item"),
        (lambda: judge_directions(np.ones((1, 3)), np.zeros((1, 3))), "true direction is zero"),
        (lambda: judge_directions(np.ones((1, 3)), np.ones((1, 3)), margin_deg=90), "margin_deg"),
        (lambda: chance_of_directions(np.ones(3)), "expected"),
        (lambda: chance_of_directions(np.ones((2, 3)), items=np.zeros(2, dtype=bool)), "0 sources"),
        (lambda: azimuth_sectors([math.nan]), "NaN"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
