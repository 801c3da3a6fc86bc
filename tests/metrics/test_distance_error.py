import numpy as np
import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.distance_error import distance_bins, distance_wrong, guessed_distance_error_rate


def test_bins_are_half_metres_and_halves_go_to_the_even_bin():
    bins = distance_bins([0.0, 0.24, 0.25, 0.3, 0.75, 1.25, 10.0, np.nan])
    np.testing.assert_array_equal(bins, [0, 0, 0, 1, 2, 2, 20, np.nan])
    assert distance_bins([3.0], bin_m=1.0) == [3]


def test_neighbouring_bins_are_right_and_no_answer_is_wrong():
    wrong = distance_wrong([3, 4, 5, 2, 1, np.nan], [3, 3, 3, 3, 3, 3])
    assert wrong.tolist() == [0, 0, 1, 0, 1, 1]
    assert distance_wrong([4], [3], tolerance_bins=0).tolist() == [1]


def test_guesses_by_hand():
    # always 1 is wrong for the 6 alone; 0 is wrong for 2 and 6, 1 for 6, 2 for 0 and 6, and 6 for all but itself
    guessed = guessed_distance_error_rate([0, 1, 2, 6])
    assert guessed.constant == 1 / 4
    assert guessed.drawn == pytest.approx((2 / 4 + 1 / 4 + 2 / 4 + 3 / 4) / 4)
    # the best bin between two labels may be one that no clip has
    assert guessed_distance_error_rate([2, 2, 4, 4]).constant == 0
    # guesses come from the pool: always 1 is wrong for a clip in bin 6
    assert guessed_distance_error_rate([6], pool=[0, 1, 2, 6]).constant == 1
    assert guessed_distance_error_rate([6], pool=[0, 1, 2, 6]).drawn == 3 / 4


def test_perfect_answers_and_answers_in_random_order():
    generator = np.random.default_rng(0)
    bins = generator.binomial(20, 0.3, size=400)
    assert distance_wrong(bins, bins).mean() == 0
    shuffled = np.mean([distance_wrong(generator.permutation(bins), bins).mean() for _ in range(100)])
    guessed = guessed_distance_error_rate(bins)
    assert shuffled == pytest.approx(guessed.drawn, abs=0.01)
    assert guessed.constant < guessed.drawn


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distance_wrong([1, 2], [1]), "expected equal"),
        (lambda: distance_wrong([], []), "non-empty"),
        (lambda: distance_wrong([1], [np.nan]), "true distance"),
        (lambda: distance_bins([1.0], bin_m=0.0), "bin_m"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
