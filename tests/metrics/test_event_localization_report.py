import json
import math

import numpy as np
import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.binaural_localization import SECTORS, chance_of_directions
from spatial_audio_lm.metrics.detection import average_precision_of_chance
from spatial_audio_lm.metrics.event_localization_measures import (
    EventLocalizationAnswers,
    event_class_measures,
    event_localization_measures,
)
from spatial_audio_lm.metrics.event_localization_report import event_localization_report, subsets_table
from spatial_audio_lm.metrics.intervals import bootstrap_interval
from spatial_audio_lm.metrics.report import Measure
from spatial_audio_lm.signal.conventions import unit_vector

FRONT_LEFT_BEHIND = EventLocalizationAnswers(
    azimuth_deg=[10.0, 100.0, 20.0, math.nan],
    elevation_deg=[0.0, 0.0, 0.0, math.nan],
    true_azimuth_deg=[0.0, 90.0, 160.0, -90.0],
    true_elevation_deg=[0.0, 0.0, 0.0, 0.0],
    event_scores=[[2.0, 0.0, 1.0], [0.0, 1.0, 3.0], [1.0, 2.0, 0.0], [3.0, 1.0, 0.0]],
    events=[[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]],
    distance_m=[1.0, 2.0, 3.0, 8.0],
    true_distance_m=[1.6, 2.0, 2.0, 4.0],
    conditions={"head": ["a", "a", "b", "b"]},
    class_names=["dog", "rain", "bell"],
)


def random_answers(items: int, seed: int = 0) -> EventLocalizationAnswers:
    """Answers that are the truth of other clips, in random order."""
    generator = np.random.default_rng(seed)
    azimuth, elevation = generator.uniform(-180, 180, items), generator.uniform(-40, 40, items)
    distance, events = generator.uniform(0.5, 6, items), np.eye(5)[generator.integers(5, size=items)]
    order = generator.permutation(items)
    return EventLocalizationAnswers(
        azimuth_deg=azimuth[order],
        elevation_deg=elevation[order],
        true_azimuth_deg=azimuth,
        true_elevation_deg=elevation,
        event_scores=generator.normal(size=events.shape),
        events=events,
        distance_m=distance[order],
        true_distance_m=distance,
        group=generator.integers(items // 4, size=items),
    )


def by_key(measures):
    return {measure.key: measure for measure in measures}


def test_values_by_hand():
    measured = by_key(event_localization_measures(FRONT_LEFT_BEHIND, resamples=20))
    expected = {
        # dog is found at places 1 and 2, rain at 1 and, tied with another clip, at 3
        "event_mean_average_precision": (1 + (1 + 2 / 3) / 2) / 2,
        "event_accuracy": 3 / 4,
        "great_circle_mean_error_deg": (10 + 10 + 140) / 3,
        "direction_error_above_20_deg": 2 / 4,  # one is far off, one has no answer
        "front_back_resolved_mean_error_deg": (10 + 10 + 0) / 3,
        "azimuth_mean_absolute_error_deg": (10 + 10 + 140) / 3,
        "elevation_mean_absolute_error_deg": 0.0,
        "lateral_mean_absolute_error_deg": (10 + 10 + 0) / 3,
        "side_accuracy": 2 / 3,  # the front has no side; no answer is a wrong one
        "front_back_confusion_rate": 1 / 2,
        "up_down_confusion_rate": math.nan,
        "distance_error_rate": 2 / 4,
        "distance_mean_absolute_error_m": (0.6 + 0 + 1 + 4) / 4,
    }
    assert set(measured) == set(expected)
    for key, value in expected.items():
        assert measured[key].value == pytest.approx(value, nan_ok=True, abs=1e-6), key
    items = {key: measure.items for key, measure in measured.items()}
    assert items["great_circle_mean_error_deg"] == 3 and items["direction_error_above_20_deg"] == 4
    assert items["side_accuracy"] == 3 and items["front_back_confusion_rate"] == 2
    assert items["up_down_confusion_rate"] == 0 and measured["up_down_confusion_rate"].interval is None
    assert measured["great_circle_mean_error_deg"].details == {"answered": 0.75}
    assert measured["event_mean_average_precision"].details == {"events_scored": 2, "events_without_a_clip": 1}


def test_chance_by_hand():
    measured = by_key(event_localization_measures(FRONT_LEFT_BEHIND, resamples=5))
    chance = float(average_precision_of_chance(2, 4))
    assert measured["event_mean_average_precision"].beside == pytest.approx({"chance": chance, "prevalence": 0.5})
    assert measured["event_accuracy"].beside == {"chance": 0.5, "most frequent": 0.5}
    # bins 3, 4, 4, 8 (1.6 m lies nearest to 1.5): always 4 is wrong once; 3, 4 and 4 are wrong for 8, 8 for all others
    beside = {"chance": (1 + 1 + 1 + 3) / 16, "best constant": 1 / 4}
    assert measured["distance_error_rate"].beside == pytest.approx(beside)
    # pairs of 1.6, 2, 2, 4: differences .4 .4 2.4, 0 2, 2, each twice, and the median 2
    beside = {"chance": 2 * (0.4 + 0.4 + 2.4 + 0 + 2 + 2) / 16, "always the median": (0.4 + 2) / 4}
    assert measured["distance_mean_absolute_error_m"].beside == pytest.approx(beside)
    true = unit_vector(np.array(FRONT_LEFT_BEHIND.true_azimuth_deg), 0.0)
    assert measured["lateral_mean_absolute_error_deg"].beside == pytest.approx(
        {"chance": chance_of_directions(true)["lateral_deg"], "always the median": (10 + 80 + 10 + 100) / 4}
    )
    # guesses for some of the clips come from the labels of all: the last clip alone
    last = by_key(event_localization_measures(FRONT_LEFT_BEHIND, np.arange(4) == 3, resamples=5))
    assert last["distance_error_rate"].beside == pytest.approx({"chance": 3 / 4, "best constant": 1.0})
    assert last["azimuth_mean_absolute_error_deg"].beside["chance"] == pytest.approx((90 + 180 + 110 + 0) / 4)


def test_random_answers_score_chance_and_intervals_hold_them():
    for measure in event_localization_measures(random_answers(3000), resamples=100):
        chance = measure.beside["chance"]
        assert measure.value == pytest.approx(chance, rel=0.12), measure.key
        assert measure.interval.low < measure.value < measure.interval.high, measure.key
        assert measure.interval.low - 0.05 * chance < chance < measure.interval.high + 0.05 * chance, measure.key


def test_perfect_answers():
    generator = np.random.default_rng(0)
    azimuth, elevation = generator.uniform(-180, 180, 60), generator.uniform(-60, 60, 60)
    events, distance = np.eye(3)[generator.integers(3, size=60)], generator.uniform(0, 5, 60)
    answers = EventLocalizationAnswers(
        azimuth, elevation, azimuth, elevation, event_scores=events, events=events, distance_m=distance,
        true_distance_m=distance,
    )  # fmt: skip
    for measure in event_localization_measures(answers, resamples=10):
        best = 1.0 if measure.better == "higher" else 0.0
        assert (measure.value, measure.interval.low) == pytest.approx((best, best), abs=1e-6), measure.key


def test_groups_are_drawn_together():
    answers = random_answers(200)
    (error,) = [m for m in event_localization_measures(answers, resamples=100, seed=3) if m.key == "event_accuracy"]
    right = np.argmax(answers.event_scores, axis=1) == np.argmax(answers.events, axis=1)
    assert error.interval == bootstrap_interval(lambda items: float(right[items].mean()), answers.group, 100, seed=3)


def test_report_has_sectors_conditions_and_classes():
    report = event_localization_report(FRONT_LEFT_BEHIND, resamples=20)
    # azimuth 160 lies in the sector around 180
    assert list(report.by_sector) == ["front", "left", "back", "right"]
    assert by_key(report.by_sector["back"])["great_circle_mean_error_deg"].value == pytest.approx(140)
    assert by_key(report.by_sector["left"])["distance_error_rate"].value == 0.0
    heads = report.by_condition["head"]
    assert by_key(heads["a"])["great_circle_mean_error_deg"].value == pytest.approx(10)
    assert by_key(heads["b"])["event_accuracy"].value == 1.0
    assert [(m.name, m.items, m.value) for m in report.by_class] == [
        ("dog", 2, 1.0),
        ("rain", 2, pytest.approx(5 / 6)),
    ]
    text = report.markdown()
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["## Overall", "## By azimuth sector", "## By head"]
    assert "## By event" in report.markdown(classes=True)
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert len(data["overall"]) == len(report.overall) and data["by_condition"]["head"]["a"][0]["items"] == 2


def test_table_of_parts():
    error = Measure("great_circle_mean_error_deg", "error", 12.345, "°", "lower", 7, beside={"chance": 90.0})
    none = Measure("side_accuracy", "side", math.nan)
    table = subsets_table({"front": [error, none], "a|b": [error]}, "sector").splitlines()
    assert "/ chance" in table[0]
    cells = [[cell.strip() for cell in row.replace("\\|", "!").strip("|").split("|")] for row in table[2:]]
    assert cells[0] == ["sector", "clips", "error", "side"]
    assert cells[2:] == [["front", "7", "12.35° / 90.00°", "–"], ["a!b", "7", "12.35° / 90.00°", ""]]
    assert len({len(row) for row in table[2:]}) == 1


def test_directions_alone_are_enough():
    answers = EventLocalizationAnswers([0.0, 1.0], [0.0, 0.0], [0.0, 90.0], [0.0, 0.0])
    keys = {measure.key for measure in event_localization_measures(answers, resamples=5)}
    assert "great_circle_mean_error_deg" in keys
    assert not any(key.startswith(("event", "distance")) for key in keys)
    assert event_class_measures(answers) == []
    assert set(event_localization_report(answers, resamples=5).by_sector) <= set(SECTORS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"elevation_deg": [0.0]}, "one entry an item"),
        ({"conditions": {"head": ["a"]}}, "conditions.'head'.*\\(1,\\)"),
        ({"conditions": {"group": ["a"]}, "group": [0, 1]}, "one entry an item"),
        ({"true_azimuth_deg": [], "azimuth_deg": []}, "one entry an item"),
        ({"distance_m": [1.0, 1.0]}, "belong together"),
        ({"event_scores": np.eye(3), "events": np.eye(3)}, "3 rows"),
        ({"event_scores": np.eye(2), "events": np.eye(2), "class_names": ["dog"]}, "1 class_names"),
    ],
)
def test_bad_answers_are_named(change, message):
    given = {name: [0.0, 1.0] for name in ("azimuth_deg", "elevation_deg", "true_azimuth_deg", "true_elevation_deg")}
    EventLocalizationAnswers(**given)
    with pytest.raises(DataError, match=message):
        EventLocalizationAnswers(**given | change)


def test_no_clip_chosen_is_named():
    with pytest.raises(DataError, match="at least one"):
        event_localization_measures(FRONT_LEFT_BEHIND, np.zeros(4, dtype=bool))
    with pytest.raises(DataError, match="booleans"):
        event_localization_measures(FRONT_LEFT_BEHIND, [0, 1])
