"""s(m) of the GRAM paper, against numbers worked out by hand."""

import math

import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.generalizability import generalizability_score

BASELINE = {"esc50": 28.6, "dcase": 8.8}
BEST = {"esc50": 88.6, "dcase": 108.8}

# Table 5 of the paper, in percent: DCASE, FSD50K, LibriCount, ESC-50, CREMA-D, VoxLingua, Speech Commands, NSynth,
# Beijing Opera, Mridangam stroke and tonic.
NAIVE = (8.8, 13.2, 43.5, 28.6, 38.0, 14.8, 13.3, 87.6, 98.7, 94.1, 87.6)
TABLE_BEST = (95.6, 56.8, 81.3, 87.5, 75.1, 65.2, 94.0, 87.6, 98.7, 97.8, 98.5)
PUBLISHED = {
    74.6: (95.6, 56.1, 81.0, 86.7, 75.0, 53.2, 92.5, 77.0, 94.9, 97.3, 98.1),  # GRAM-Binaural
    44.7: (78.3, 32.8, 63.3, 58.6, 71.2, 65.2, 94.0, 19.8, 93.2, 94.6, 85.0),  # HuBERT
    31.5: (23.5, 29.4, 69.9, 46.4, 57.3, 34.9, 85.3, 17.4, 81.4, 90.7, 77.0),  # Wav2Vec 2.0
}


def test_ends_and_the_middle() -> None:
    assert generalizability_score(BASELINE, BASELINE, BEST) == 0.0
    assert generalizability_score(BEST, BASELINE, BEST) == 100.0
    assert generalizability_score({"esc50": 58.6, "dcase": 33.8}, BASELINE, BEST) == pytest.approx(37.5)


def test_each_task_is_held_between_0_and_100() -> None:
    assert generalizability_score({"esc50": 0.0, "dcase": 58.8}, BASELINE, BEST) == pytest.approx(25.0)
    assert generalizability_score({"esc50": 95.0, "dcase": 8.8}, BASELINE, BEST) == pytest.approx(50.0)


@pytest.mark.parametrize("best", [20.0, 28.6])
def test_a_task_that_nobody_gains_on_counts_nothing(best: float) -> None:
    assert generalizability_score({"esc50": 90.0, "dcase": 108.8}, BASELINE, BEST | {"esc50": best}) == 50.0


def test_errors_are_given_with_a_minus_sign() -> None:
    assert generalizability_score({"doa": -30.0}, {"doa": -90.0}, {"doa": -10.0}) == pytest.approx(75.0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="there is no task"):
        generalizability_score({}, {}, {})
    with pytest.raises(DataError, match="scores are of dcase, esc50, best of esc50: give the same tasks"):
        generalizability_score(BEST, BASELINE, {"esc50": 1.0})
    with pytest.raises(DataError, match="a score of esc50 is NaN or infinite"):
        generalizability_score(BEST | {"esc50": math.nan}, BASELINE, BEST)


@pytest.mark.parametrize("published", PUBLISHED)
def test_published_table_up_to_the_best_scores_that_it_does_not_list(published: float) -> None:
    rows = [{str(task): value for task, value in enumerate(row)} for row in (PUBLISHED[published], NAIVE, TABLE_BEST)]
    assert generalizability_score(*rows) == pytest.approx(published, abs=4.0)
