import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.spatial_ast_scores import spatial_ast_scores

CASE = "dspast_metrics"
BINS = {"distance": 21, "azimuth": 360, "elevation": 180}


def highest_at(bins, count):
    """Logits whose highest is at the given bins."""
    return np.eye(count)[np.asarray(bins, dtype=int)]


def test_by_hand():
    # azimuth bins 90, 180, 0 are front, left, right; elevation bin 90 is level
    scores = spatial_ast_scores(
        event_logits=[[2.0, -1.0], [1.0, 3.0], [-2.0, 0.0]],
        distance_logits=highest_at([4, 6, 20], 21),
        azimuth_logits=highest_at([90, 180, 359], 360),
        elevation_logits=highest_at([90, 120, 90], 180),
        events=[[1, 0], [0, 1], [1, 0]],
        distance_bin=[5, 4, 20],
        azimuth_bin=[111, 180, 0],
        elevation_bin=[90, 90, 90],
    )
    # event 0 at places 1 and 3, event 1 at place 1
    assert scores.mean_average_precision.value == pytest.approx(((1 + 2 / 3) / 2 + 1) / 2)
    assert scores.angular_error_deg == pytest.approx([21, 30, 1])
    assert scores.mean_angular_error_deg == pytest.approx(52 / 3)
    assert scores.error_rate_20 == pytest.approx(2 / 3)
    assert scores.distance_error_rate == pytest.approx(1 / 3)


def test_parity_with_dspast():
    folder = Path(os.environ.get("SPATIAL_AUDIO_LM_METRIC_CASES", Path(__file__).parent / "cases")) / CASE
    if not folder.is_dir():
        pytest.skip(f"no case {CASE} in {folder.parent}")
    tolerance = json.loads((folder / "manifest.json").read_text())["tolerance"]
    inputs, expected = load_file(folder / "inputs.safetensors"), load_file(folder / "outputs.safetensors")
    # the case beside this test holds the highest bin instead of the logits, which is all that the scores take of them
    logits = {
        head: inputs.get(f"{head}_logits", highest_at(inputs.get(f"{head}_answer", []), count))
        for head, count in BINS.items()
    }
    ours = spatial_ast_scores(
        event_logits=inputs["class_logits"],
        distance_logits=logits["distance"],
        azimuth_logits=logits["azimuth"],
        elevation_logits=logits["elevation"],
        events=inputs["class_targets"],
        distance_bin=inputs["distance"],
        azimuth_bin=inputs["azimuth"],
        elevation_bin=inputs["elevation"],
    )
    np.testing.assert_allclose(ours.mean_average_precision.per_class, expected["AP_per_class"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(ours.angular_error_deg, expected["angular_error_deg"], rtol=0, atol=tolerance)
    assert ours.mean_average_precision.value == pytest.approx(expected["mAP"][0], abs=tolerance)
    assert 1 - ours.distance_error_rate == pytest.approx(expected["distance_accuracy"][0], abs=tolerance)
    assert ours.error_rate_20 == pytest.approx(expected["doa_error"][0], abs=tolerance)
    assert ours.mean_angular_error_deg == pytest.approx(expected["doa_angular_error"][0], abs=tolerance)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"azimuth_logits": np.ones((2, 180))}, "azimuth_logits has shape"),
        ({"elevation_logits": np.ones((3, 180))}, "expected \\(2 items, 180\\)"),
        ({"distance_logits": np.full((2, 21), np.nan)}, "NaN"),
        ({"distance_bin": [0, 21]}, "from 0 to 20"),
        ({"azimuth_bin": [0]}, "azimuth_bin must be"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {
        "event_logits": np.ones((2, 2)),
        "distance_logits": np.ones((2, 21)),
        "azimuth_logits": np.ones((2, 360)),
        "elevation_logits": np.ones((2, 180)),
        "events": np.eye(2),
        "distance_bin": [0, 1],
        "azimuth_bin": [0, 1],
        "elevation_bin": [0, 1],
    }
    spatial_ast_scores(**given)
    with pytest.raises(DataError, match=message):
        spatial_ast_scores(**given | change)
