import numpy as np
import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.room_acoustics_oracle import neighbour_rule_scores, room_features


def _rooms(count: int, seed: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances of diffuse-field rooms: DRR falls by 6 dB a doubling of distance, blurred by what else sets it."""
    generator = np.random.default_rng(seed)
    distance = generator.uniform(0.5, 4.0, count)
    drr = -20 * np.log10(distance) + generator.normal(0, noise, count)
    return room_features(drr, drr + generator.normal(0, 1, count), generator.uniform(0.2, 2, count)), distance


def _words(distance: np.ndarray) -> list[str | None]:
    return ["near" if d < 1 else "far" if d > 2 else None for d in distance]


def _scores(known, distance, unseen, truth):
    return neighbour_rule_scores(known, distance, unseen, truth, _words(distance), _words(truth), ("near", "far"))


def test_it_finds_what_the_features_tell():
    known, distance = _rooms(2000, 0, noise=0.1)
    unseen, truth = _rooms(500, 1, noise=0.1)
    scores = _scores(known, distance, unseen, truth)
    assert scores.balanced_accuracy > 0.97 and scores.auc > 0.99
    assert scores.mean_squared_error < 0.15 * scores.variance
    assert np.corrcoef(scores.predicted, truth)[0, 1] > 0.9


def test_it_finds_less_where_they_tell_less_and_nothing_where_nothing_is():
    known, distance = _rooms(2000, 0, noise=6.0)
    unseen, truth = _rooms(1000, 1, noise=6.0)
    blurred = _scores(known, distance, unseen, truth)
    assert 0.65 < blurred.balanced_accuracy < 0.92
    generator = np.random.default_rng(2)
    empty = _scores(generator.normal(size=known.shape), distance, generator.normal(size=unseen.shape), truth)
    assert empty.balanced_accuracy == pytest.approx(0.5, abs=0.08)
    assert empty.mean_squared_error > 0.95 * empty.variance


def test_few_rooms_are_enough_to_run():
    known, distance = _rooms(12, 0, noise=0.1)
    scores = _scores(known, distance, known, distance)
    assert 0.0 <= scores.balanced_accuracy <= 1.0 and len(scores.predicted) == 12


def test_bad_input_is_named():
    known, distance = _rooms(20, 0, noise=0.1)
    with pytest.raises(DataError, match="shapes"):
        _scores(known, distance, known[:, :2], distance)
    with pytest.raises(DataError, match="do not fit"):
        _scores(known, distance[:-1], known, distance)
    with pytest.raises(DataError, match="not positive"):
        _scores(known, -distance, known, distance)
    with pytest.raises(DataError, match="test items 0 are near"):
        _scores(known, distance, known, distance + 3)
    with pytest.raises(DataError, match="19 and 20 labels"):
        neighbour_rule_scores(known, distance, known, distance, _words(distance)[1:], _words(distance), ("near", "far"))
    with pytest.raises(DataError, match="reverberation time"):
        room_features([1.0], [1.0], [0.0])
