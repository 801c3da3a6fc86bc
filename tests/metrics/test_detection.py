import itertools
import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.detection import (
    EventRanking,
    average_precision_of_chance,
    event_correct,
    guessed_event_accuracy,
    mean_average_precision,
)

# four clips, three events; the third never sounds
SCORES = np.array([[0.9, 0.1, 0.5], [0.8, 0.9, 0.6], [0.7, 0.5, 0.7], [0.6, 0.3, 0.8]])
EVENTS = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0]])


def sklearn_precisions(scores, events):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of events without a positive
        return np.array([average_precision_score(events[:, k], scores[:, k]) for k in range(events.shape[1])])


def test_mean_average_precision_by_hand():
    result = mean_average_precision(SCORES, EVENTS)
    # event 0 is found at places 1 and 3, event 1 at place 2
    assert result.per_class[:2] == pytest.approx([(1 + 2 / 3) / 2, 1 / 2])
    assert math.isnan(result.per_class[2])
    assert result.value == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert (result.scored, result.without_positive, result.positives.tolist()) == (2, 1, [2, 1, 0])
    assert result.prevalence == pytest.approx((2 / 4 + 1 / 4) / 2)
    harmonic = (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4
    assert result.chance == pytest.approx((harmonic + (1 - harmonic) / 3 + harmonic) / 2)


def test_the_published_way_counts_an_event_without_a_clip_as_nothing():
    result = mean_average_precision(SCORES, EVENTS, empty_classes="published")
    assert result.value == pytest.approx((5 / 6 + 1 / 2 + 0) / 3)
    assert result.value == pytest.approx(sklearn_precisions(SCORES, EVENTS).mean())
    assert (result.scored, result.without_positive) == (3, 1)
    assert result.prevalence == pytest.approx((2 / 4 + 1 / 4) / 3)


def test_agrees_with_sklearn_also_on_ties():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(60, 9)).round(1)
    events = generator.random((60, 9)) < np.linspace(0.02, 0.9, 9)
    events[0], events[:, 8] = True, True
    assert len(np.unique(scores[:, 0])) < 60
    expected = sklearn_precisions(scores, events)
    np.testing.assert_allclose(EventRanking(scores, events).average_precisions(), expected, rtol=0, atol=1e-12)
    all_alike = mean_average_precision(np.zeros((60, 9)), events)
    np.testing.assert_allclose(all_alike.per_class, events.mean(axis=0), rtol=0, atol=1e-12)
    assert all_alike.value == pytest.approx(all_alike.prevalence)


def test_chance_is_the_mean_over_all_orders():
    for positives in (1, 2, 4):
        events = np.arange(5) < positives
        orders = [average_precision_score(events, order) for order in itertools.permutations(range(5))]
        assert average_precision_of_chance(positives, 5) == pytest.approx(np.mean(orders), abs=1e-12)
    assert np.isnan(average_precision_of_chance([0], 5)).all()
    assert average_precision_of_chance(1, 1) == 1.0


def test_perfect_scores_reach_one_and_random_scores_chance():
    generator = np.random.default_rng(0)
    events = np.eye(40, dtype=int)[generator.integers(40, size=200)]
    assert mean_average_precision(events, events).value == pytest.approx(1.0)
    drawn = [mean_average_precision(generator.normal(size=(200, 40)), events) for _ in range(50)]
    chance = drawn[0].chance
    assert np.mean([result.value for result in drawn]) == pytest.approx(chance, abs=0.003)
    assert chance > drawn[0].prevalence + 0.02  # few positives: the prevalence would flatter the model


def test_copies_of_a_positive_do_not_help_each_other():
    # places: no, yes, no; the positive is drawn twice
    ranking = EventRanking([[0.9], [0.8], [0.7]], [[0], [1], [0]])
    assert ranking.resampled_average_precisions([1, 2, 0]) == pytest.approx([1 / 2])
    assert ranking.resampled_average_precisions([2, 1, 0]) == pytest.approx([1 / 3])
    assert np.isnan(ranking.resampled_average_precisions([1, 0, 2])).all()
    # two positives with a negative between them; both positives come from one recording, drawn twice
    scores, events = [[0.8], [0.7], [0.6]], [[1], [0], [1]]
    single = EventRanking(scores, events).resampled_average_precisions([2, 1, 2])
    assert single == pytest.approx([(1 + 3 / 4) / 2])
    grouped = EventRanking(scores, events, ["a", "b", "a"]).resampled_average_precisions([2, 1, 2])
    assert grouped == pytest.approx([(1 + 2 / 3) / 2])


def test_resamples_surround_the_number_they_are_of():
    generator = np.random.default_rng(1)
    events = np.eye(60, dtype=int)[generator.integers(60, size=300)]
    scores = generator.normal(size=events.shape) + 2.5 * events
    ranking = EventRanking(scores, events)
    value = np.nanmean(ranking.average_precisions())
    counts = [np.bincount(generator.integers(300, size=300), minlength=300) for _ in range(100)]
    ours = np.mean([np.nanmean(ranking.resampled_average_precisions(count)) for count in counts])
    assert ours == pytest.approx(value, abs=0.01)
    # repeating rows, as plain resampling does, lifts the mean well above
    plain = []
    for count in counts[:10]:
        items = np.repeat(np.arange(300), count)
        plain.append(np.nanmean(EventRanking(scores[items], events[items]).average_precisions()))
    assert np.mean(plain) > value + 0.02


def test_top_event_by_hand():
    scores = [[3, 1, 2], [1, 3, 2], [2, 2, 1], [9, 1, 1], [0, 1, 2]]
    events = [[1, 0, 0], [0, 0, 1], [1, 0, 0], [1, 1, 0], [0, 0, 1]]
    correct = event_correct(scores, events)  # right, wrong, a tie is wrong, two events do not count, right
    np.testing.assert_array_equal(correct, [1, 0, 0, np.nan, 1])
    guessed = guessed_event_accuracy(events)  # four clips count: half event 0, half event 2
    assert (guessed.drawn, guessed.constant) == (0.5, 0.5)
    # the pool's most frequent event is 2, which none of the clips asked about has
    other = guessed_event_accuracy([[1, 0, 0]], [[0, 0, 1], [0, 0, 1], [1, 0, 0]])
    assert (other.drawn, other.constant) == (pytest.approx(1 / 3), 0.0)
    assert math.isnan(guessed_event_accuracy([[1, 1]]).drawn)


def test_drawn_events_reach_their_chance():
    generator = np.random.default_rng(0)
    events = np.eye(4, dtype=int)[generator.choice(4, size=500, p=[0.6, 0.2, 0.1, 0.1])]
    answers = [events[generator.permutation(500)] for _ in range(50)]
    reached = np.mean([np.mean(event_correct(answer, events)) for answer in answers])
    assert reached == pytest.approx(guessed_event_accuracy(events).drawn, abs=0.01)
    assert np.mean(event_correct(events, events)) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_average_precision(np.ones((2, 3)), np.ones((3, 2))), "must be equal"),
        (lambda: mean_average_precision(np.full((2, 1), np.nan), np.ones((2, 1))), "NaN"),
        (lambda: mean_average_precision(np.ones((2, 1)), [[0.5], [1.0]]), "other than 0 and 1"),
        (lambda: mean_average_precision(SCORES, EVENTS, "zero"), "empty_classes"),  # type: ignore[arg-type]
        (lambda: event_correct([[1.0]], [[1]]), "one class only"),
        (lambda: EventRanking(SCORES, EVENTS, [0, 1]), "groups have shape"),
        (lambda: EventRanking(SCORES, EVENTS).resampled_average_precisions([1]), "counts have shape"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
