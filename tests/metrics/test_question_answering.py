"""Scores of answers: definitions by hand and by scikit-learn, chance by what it must be, perfect and useless models."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.metrics.answer_rules import DIRECTION, DISTANCE, YES_NO, apply_rule, name_rules
from spatial_audio_lm.metrics.question_answering import AnsweredQuestions, question_measures
from spatial_audio_lm.metrics.report import Measure

NAMES = ["dog barking", "rain", "siren", "clock, ticking"]
SIDES = [f"{a}, {b}, {c}" for a in ("left", "right") for b in ("front", "behind") for c in ("above", "below")]


def embed(texts: Sequence[str]) -> np.ndarray:
    """A vector of each text, alike for texts that share words: the sum of one random vector a word."""
    rows = []
    for text in texts:
        words = text.lower().replace(";", " ").replace(",", " ").split() or ["nothing"]
        seeds = [int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little") for word in words]
        rows.append(sum(np.random.default_rng(seed).normal(size=64) for seed in seeds))
    return np.array(rows)


def measured(
    types: str | Sequence[str], truth: Sequence[str], answer: Sequence[str], embedder=None, **more
) -> dict[str, Measure]:
    kinds = [types] * len(truth) if isinstance(types, str) else types
    answered = AnsweredQuestions(kinds, truth, answer, NAMES, **more)
    measures = question_measures(answered, embedder, resamples=200)
    assert len({measure.key for measure in measures}) == len({measure.name for measure in measures}) == len(measures)
    return {measure.key: measure for measure in measures}


def places(count: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [f"{SIDES[generator.integers(8)]}; {generator.integers(1, 9) / 2:g}m" for _ in range(count)]


def test_perfect_answers_are_perfect():
    truth = places(80) + ["rain", "siren; rain", "dog barking", "clock, ticking"] * 5 + ["Yes", "No"] * 10
    kinds = ["DOA"] * 80 + ["MIXUP_SINGLE_CLASSIFICATION"] * 20 + ["MIXUP_DIRECTION", "MIXUP_DISTANCE_BOTH"] * 10
    rows = measured(kinds, truth, truth, embed)
    for key, measure in rows.items():
        perfect = 0.0 if measure.better == "lower" else 1.0
        assert measure.value == pytest.approx(perfect), key
        if measure.interval is not None:
            assert measure.interval.low == pytest.approx(perfect) == measure.interval.high


def test_directions_distances_and_what_cannot_be_read():
    truth = ["left, front, above; 2m"] * 6
    answer = [
        "left, front, above; 2.5m",  # right, half a metre off is right
        "left, front, below; 2.6m",  # wrong by an axis, too far
        "it is on the left, in front, above",  # no distance
        "2m",  # no direction
        "left, right, front, above; 1.5m",  # contradicts itself on one axis
        "I do not know",
    ]
    rows = measured("DOA", truth, answer)
    assert rows["B_direction_accuracy"].value == pytest.approx(2 / 6)
    assert rows["B_left_right_accuracy"].value == pytest.approx(3 / 6)
    assert rows["B_front_behind_accuracy"].value == pytest.approx(4 / 6)
    assert rows["B_above_below_accuracy"].value == pytest.approx(3 / 6)
    assert rows["B_distance_error_rate"].value == pytest.approx(3 / 6)
    assert rows["B_unparsable"].value == pytest.approx(4 / 6)
    assert rows["B_unparsable"].details["examples"] == answer[2:]
    assert rows["B_direction_accuracy"].details["unparsable"] == pytest.approx(3 / 6)


def test_clear_places_have_a_direction_accuracy_of_their_own():
    truth = ["left, front, above; 2m"] * 4 + ["Yes"]
    answer = [*truth[:2], "right, front, above; 2m", "left, behind, above; 2m", "Yes"]
    kinds, clear = ["DOA"] * 4 + ["MIXUP_DIRECTION"], [True, False, True, False, False]
    rows = measured(kinds, truth, answer, is_clear=clear)
    assert rows["B_direction_accuracy"].value == pytest.approx(2 / 4)
    assert (rows["B_clear_direction_accuracy"].value, rows["B_clear_direction_accuracy"].items) == (1 / 2, 2)
    for unknown in (None, [False] * 5):
        assert not any("clear" in key for key in measured(kinds, truth, answer, is_clear=unknown))
    with pytest.raises(DataError, match="need one entry a question"):
        measured(kinds, truth, answer, is_clear=clear[1:])


def test_chance_is_that_of_the_answers_in_random_order():
    truth = places(2000)
    rows = measured("MIXUP_SINGLE_DOA", truth, places(2000, seed=1))
    direction, distance = rows["D_direction_accuracy"], rows["D_distance_error_rate"]
    assert direction.beside["chance"] == pytest.approx(1 / 8, abs=0.01)
    assert direction.value == pytest.approx(1 / 8, abs=0.03)  # a model that draws at random
    assert direction.interval.low < 1 / 8 < direction.interval.high
    assert rows["D_left_right_accuracy"].beside["chance"] == pytest.approx(0.5, abs=0.02)
    # eight equally frequent steps: right with the same or a neighbouring one
    assert distance.beside["chance"] == pytest.approx(1 - (8 + 2 * 7) / 64, abs=0.01)
    assert distance.beside["best constant"] == pytest.approx(1 - 3 / 8, abs=0.03)
    assert distance.details["own answers shuffled"] == pytest.approx(distance.beside["chance"], abs=0.02)


def test_a_model_that_always_says_the_same_has_the_best_constant_answer():
    truth = ["Yes"] * 70 + ["No"] * 30
    rows = measured("MIXUP_DIRECTION", truth, ["yes"] * 100)
    accuracy = rows["E_direction_accuracy"]
    assert accuracy.value == accuracy.beside["best constant"] == 0.7
    assert accuracy.details["own answers shuffled"] == pytest.approx(0.7)
    assert accuracy.beside["chance"] == pytest.approx(0.7**2 + 0.3**2, abs=0.05)


def test_the_mean_of_comparisons_weighs_both_kinds_alike():
    kinds = ["MIXUP_DIRECTION"] * 30 + ["MIXUP_DISTANCE_BOTH"] * 10
    rows = measured(kinds, ["Yes"] * 40, ["Yes"] * 30 + ["No"] * 10)
    assert rows["E_direction_accuracy"].value == 1 and rows["E_distance_accuracy"].value == 0
    assert rows["E_accuracy"].value == 0.5 and rows["E_accuracy"].items == 40
    assert "E_accuracy" not in measured("MIXUP_DIRECTION", ["Yes"], ["No"])


def test_average_precision_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    truth = ["; ".join(np.array(NAMES[:3])[generator.permutation(3)[: generator.integers(1, 3)]]) for _ in range(60)]
    answer = [text if generator.random() < 0.5 else NAMES[generator.integers(4)] for text in truth]
    vectors, names = embed(answer), embed(NAMES)
    cosine = (vectors @ names.T) / np.linalg.norm(vectors, axis=1)[:, None] / np.linalg.norm(names, axis=1)
    expected = [
        average_precision_score([name in text.split("; ") for text in truth], cosine[:, column].round(9))
        for column, name in enumerate(NAMES[:3])
    ]
    row = measured("CLASSIFICATION", truth, answer, embed)["A_mean_average_precision"]
    assert row.value == pytest.approx(np.mean(expected))
    assert row.details["classes"] == 3 and row.details["without a positive"] == 1  # no clock in it: left out, and said
    assert row.details["per class"] == pytest.approx(dict(zip(NAMES, expected, strict=False)))
    assert row.interval.low < row.value < row.interval.high
    # one answer for all ranks nothing: the mean share of positives
    constant = measured("CLASSIFICATION", truth, ["rain"] * 60, embed)["A_mean_average_precision"]
    assert (
        constant.value == pytest.approx(constant.beside["best constant"]) == pytest.approx(row.beside["best constant"])
    )


def test_the_mean_cosine_has_its_own_name_and_chance():
    truth = ["rain", "siren", "rain", "dog barking"]
    rows = measured("CLASSIFICATION", truth, ["rain", "rain", "the rain", "nothing"], embed)
    unit = embed(truth) / np.linalg.norm(embed(truth), axis=1)[:, None]
    said = embed(["rain", "rain", "the rain", "nothing"])
    cosine = (said * unit).sum(1) / np.linalg.norm(said, axis=1)
    assert rows["A_mean_cosine"].value == pytest.approx(cosine.mean())
    assert rows["A_mean_cosine"].beside["chance"] == pytest.approx((unit @ unit.T).mean())
    assert rows["A_mean_cosine"].beside["best constant"] == pytest.approx((unit @ unit.T).mean(1).max())


def test_sounds_that_are_named():
    truth = ["rain", "siren; rain", "siren; rain", "clock, ticking"]
    answer = ["dog barking; rain", "rain", "a siren and rain", "thunder"]
    rows = measured("CLASSIFICATION", truth, answer)
    assert rows["A_sounds_named"].value == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert rows["A_exact"].value == pytest.approx(1 / 4)
    assert rows["A_unparsable"].value == 1 / 4 and rows["A_unparsable"].details["examples"] == ["thunder"]
    assert "A_mean_average_precision" not in rows  # no embeddings were given
    assert measured("CLASSIFICATION", ["dog barking"], ["a barking dog"])["A_exact"].value == 1


def test_the_other_comparisons_are_diagnosis_with_keys_of_their_own():
    kinds = ["MIXUP_NONBINARY_DIRECTION", "MIXUP_NONBINARY_DISTANCE", "MIXUP_NONBINARY_SOURCE"]
    rows = measured(kinds, ["left", "2m", "rain"], ["on the left", "3m", "rain"], embed)
    assert rows["E_nonbinary_side_accuracy"].value == 1
    assert rows["E_nonbinary_distance_error_rate"].value == 1
    assert rows["E_nonbinary_source_exact"].value == 1 and rows["E_nonbinary_source_unparsable"].value == 0
    assert not {"E_accuracy", "E_direction_accuracy", "E_nonbinary_source_mean_cosine"} & rows.keys()
    assert measured(kinds[:1], ["left"], ["left, above"])["E_nonbinary_side_unparsable"].value == 1


def test_intervals_draw_whole_groups():
    right = np.repeat(np.arange(20) % 2 == 0, 10)
    answer = np.where(right, "Yes", "No").tolist()
    alone = measured("MIXUP_DIRECTION", ["Yes"] * 200, answer)["E_direction_accuracy"].interval
    grouped = measured("MIXUP_DIRECTION", ["Yes"] * 200, answer, group=np.repeat(np.arange(20), 10).tolist())
    wide = grouped["E_direction_accuracy"].interval
    assert wide.high - wide.low > 2 * (alone.high - alone.low)


def test_measures_come_in_the_order_of_the_types_and_the_same_each_time():
    truth = ["Yes", *places(1), "rain", *places(1)]
    kinds = ["MIXUP_DIRECTION", "MIXUP_SINGLE_DOA", "CLASSIFICATION", "DOA"]
    keys = list(measured(kinds, truth, truth, embed))
    assert [key[0] for key in keys] == sorted(key[0] for key in keys)
    again = [question_measures(AnsweredQuestions(kinds, truth, truth, NAMES), embed) for _ in range(2)]
    assert [row.to_dict() for row in again[0]] == [row.to_dict() for row in again[1]]


def test_bad_input_is_named():
    with pytest.raises(DataError, match="names 'thunder', which is not among the 4"):
        measured("CLASSIFICATION", ["rain; thunder"], ["rain"])
    with pytest.raises(DataError, match="'somewhere' cannot be read by the rule 'direction, 8-way'"):
        measured("DOA", ["somewhere"], ["left"])
    with pytest.raises(DataError, match="need one entry a question"):
        AnsweredQuestions(["DOA"], ["left", "right"], ["left"], NAMES)
    with pytest.raises(DataError, match="need one entry a question"):
        AnsweredQuestions([], [], [], NAMES)
    with pytest.raises(DataError, match="need one entry a question"):
        AnsweredQuestions(["DOA"], ["a"], ["b"], NAMES, group=[1, 2])
    with pytest.raises(ConfigError, match="nearest is DOA"):
        AnsweredQuestions(["DOAS"], ["a"], ["b"], NAMES)
    with pytest.raises(DataError, match="1 answers for 2 true ones"):
        apply_rule(YES_NO, ["Yes"], ["Yes", "No"])


@pytest.mark.parametrize("rule", [DIRECTION, DISTANCE, YES_NO, *name_rules(NAMES)], ids=lambda rule: rule.key)
def test_what_cannot_be_read_is_as_wrong_as_can_be(rule) -> None:
    truth = {"direction_accuracy": "left, front, above", "distance_error_rate": "2m", "accuracy": "Yes"}
    text = truth.get(rule.key, "rain")
    result = apply_rule(rule, ["?", text], [text, text])
    worst = 1.0 if rule.better == "lower" else 0.0
    assert result.scores.tolist() == [worst, 1 - worst] and result.unreadable.tolist() == [True, False]
