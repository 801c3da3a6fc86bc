import numpy as np
import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.zero_shot import balanced_accuracy, cosine_similarity, zero_shot_scores


def test_cosine_by_hand():
    result = cosine_similarity([[2.0, 0.0], [1.0, 1.0]], [[0.0, 3.0], [5.0, 0.0]])
    assert result == pytest.approx(np.array([[0.0, 1.0], [np.sqrt(0.5), np.sqrt(0.5)]]))
    for bad in ([[0.0, 0.0]], [[np.nan, 1.0]]):
        with pytest.raises(DataError, match="zero, NaN"):
            cosine_similarity(bad, [[1.0, 0.0]])
    with pytest.raises(DataError, match="shapes"):
        cosine_similarity([[1.0, 0.0]], [[1.0, 0.0, 0.0]])


def test_scores_by_hand():
    # three near clips (two right), one far clip (right), one clip in the gap
    similarity = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.3], [0.1, 0.8], [0.5, 0.6]])
    scores = zero_shot_scores(similarity, ["near", "near", "near", "far", None], ["near", "far"])
    assert scores.accuracy == pytest.approx(3 / 4)
    assert scores.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert scores.recalls == pytest.approx({"near": 2 / 3, "far": 1.0})
    assert scores.counts == {"near": 3, "far": 1}
    assert scores.confusion.tolist() == [[2, 1], [0, 1]]
    assert scores.chance == 0.5 and scores.dropped == 1
    assert scores.auc == 1.0  # the far clip has the largest far-minus-near of all


def test_always_answering_the_common_word_is_chance():
    similarity = np.tile([1.0, 0.0], (10, 1))
    scores = zero_shot_scores(similarity, ["a"] * 9 + ["b"], ["a", "b"])
    assert scores.accuracy == 0.9 and scores.balanced_accuracy == 0.5 and scores.auc == 0.5


def test_a_word_that_does_not_occur_has_no_recall():
    similarity = np.eye(3)[[0, 1]]
    scores = zero_shot_scores(similarity, ["a", "b"], ["a", "b", "c"])
    assert scores.balanced_accuracy == 1.0 and set(scores.recalls) == {"a", "b"}
    assert scores.counts["c"] == 0 and scores.auc is None and scores.chance == pytest.approx(1 / 3)
    assert zero_shot_scores(np.eye(2)[[0]], ["a"], ["a", "b"]).auc is None


def test_balanced_accuracy_of_nothing_is_nan():
    assert np.isnan(balanced_accuracy([], [], 3))


@pytest.mark.parametrize(
    ("similarity", "labels", "words"),
    [
        (np.ones((2, 3)), ["a", "b"], ["a", "b"]),
        (np.ones((1, 2)), ["c"], ["a", "b"]),
        (np.ones((1, 2)), ["a"], ["a", "a"]),
        (np.full((1, 2), np.nan), ["a"], ["a", "b"]),
        (np.ones((1, 2)), [None], ["a", "b"]),
    ],
)
def test_bad_input_is_named(similarity, labels, words):
    with pytest.raises(DataError):
        zero_shot_scores(similarity, labels, words)
