import json
import math

from spatial_audio_lm.metrics.intervals import Interval
from spatial_audio_lm.metrics.report import Measure, markdown_table, model_index, with_goals

CLASS = Measure(
    "class_balanced_accuracy",
    "class, 10-way",
    0.9315,
    items=1000,
    interval=Interval(0.9, 0.95, 0.95),
    beside={"chance": 0.1},
)
AZIMUTH = Measure(
    "azimuth_error", "azimuth error", 6.84, unit="°", better="lower", items=10, beside={"intensity vector": 8.1}
)


def test_goals_are_met_from_the_right_side():
    assert CLASS.reached is None
    met, missed = with_goals([CLASS, AZIMUTH], {"class_balanced_accuracy": 0.92, "azimuth_error": 6.5, "other": 1.0})
    assert met.reached is True and missed.reached is False
    assert with_goals([AZIMUTH], {"azimuth_error": 6.84})[0].reached is True
    not_a_number = Measure("x", "x", math.nan, goal=0.5)
    assert not_a_number.reached is False


def test_table_shows_every_number_in_its_unit():
    table = markdown_table(with_goals([CLASS, AZIMUTH], {"class_balanced_accuracy": 0.92, "azimuth_error": 6.5}))
    lines = table.splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells == ["class, 10-way", "≥ 0.920", "0.931 ✓", "0.900 – 0.950", "chance 0.100", "1000"]
    cells = [cell.strip() for cell in lines[3].strip("|").split("|")]
    assert cells == ["azimuth error", "≤ 6.50°", "6.84° ✗", "", "intensity vector 8.10°", "10"]
    unknown = markdown_table([Measure("x", "|x|", math.nan)]).splitlines()[2]
    assert unknown.split()[:4] == ["|", "\\|x\\|", "|", "|"] and "–" in unknown  # a bar in a name makes no cell


def test_json_is_strict_and_the_index_is_the_hubs():
    unknown = Measure("x", "x", math.nan, interval=Interval(math.nan, math.nan, 0.95), beside={"chance": math.inf})
    data = unknown.to_dict()
    json.dumps(data, allow_nan=False)
    assert data["value"] is None and data["interval"] == [None, None] and data["beside"] == {"chance": None}

    index = model_index([CLASS, AZIMUTH, unknown], "elsa-tiny", "zero-shot-audio-classification", "Scenes", "s", "test")
    assert index[0]["name"] == "elsa-tiny"
    (result,) = index[0]["results"]
    assert result["task"]["type"] == "zero-shot-audio-classification"
    assert result["dataset"] == {"name": "Scenes", "type": "s", "split": "test"}
    assert result["metrics"][0] == {"type": "class_balanced_accuracy", "value": 0.9315, "name": "class, 10-way"}
    assert len(result["metrics"]) == 2
