import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.metrics.retrieval import (
    compatible_recall_at_1,
    multi_caption_retrieval_scores,
    retrieval_scores,
    states_compatible,
    target_ranks,
)

CASE = "laion_clap_retrieval"


def test_one_caption_by_hand():
    similarity = np.array([[0.9, 0.1, 0.3], [0.8, 0.5, 0.2], [0.1, 0.7, 0.6]])
    assert target_ranks(similarity).tolist() == [0, 1, 1]
    scores = retrieval_scores(similarity)
    assert scores["audio_to_text_R@1"] == pytest.approx(1 / 3)
    assert scores["audio_to_text_R@5"] == 1.0
    assert scores["audio_to_text_mAP@10"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert scores["audio_to_text_mean_rank"] == pytest.approx(5 / 3)
    assert scores["audio_to_text_median_rank"] == 2
    # text 0 ranks clips 0.9 .8 .1; text 1 ranks .1 .5 .7 (own .5 second); text 2 ranks .3 .2 .6 (own first)
    assert target_ranks(similarity.T).tolist() == [0, 1, 0]
    assert scores["text_to_audio_R@1"] == pytest.approx(2 / 3)


def test_a_collapsed_model_gets_nothing():
    scores = retrieval_scores(np.ones((20, 20)))
    assert scores["text_to_audio_R@10"] == 0.0 and scores["audio_to_text_mAP@10"] == 0.0


def test_beyond_rank_ten_counts_nothing():
    similarity = np.eye(12) * 0.5
    similarity[0, 1:] = 1.0  # clip 0 finds its caption last
    scores = retrieval_scores(similarity)
    assert scores["audio_to_text_R@10"] == pytest.approx(11 / 12)
    assert scores["audio_to_text_mAP@10"] == pytest.approx(11 / 12)


def test_several_captions_by_hand():
    # two clips, two captions each. Clip 0: own captions at ranks 1 and 0; clip 1: own at ranks 3 and 0.
    similarity = np.array([[0.8, 0.9, 0.1, 0.2], [0.5, 0.6, 0.4, 0.7]])
    scores = multi_caption_retrieval_scores(similarity, captions_per_clip=2)
    assert scores["audio_to_text_R@1"] == 1.0
    assert scores["audio_to_text_mAP@10"] == pytest.approx(((1 + 2 / 2) / 2 + (1 + 2 / 4) / 2) / 2)
    # captions choose clips: 0 -> clip 0, 1 -> clip 0, 2 -> clip 1, 3 -> clip 1
    assert scores["text_to_audio_R@1"] == 1.0
    unsorted = multi_caption_retrieval_scores(similarity, captions_per_clip=2, precision="laion")
    assert unsorted["audio_to_text_mAP@10"] == pytest.approx(((1 / 2 + 2 / 1) / 2 + (1 / 4 + 2 / 1) / 2) / 2)


def test_compatible_by_hand():
    stated = [("dog", "left", None), (None, "left", "far"), ("rain", None, None)]
    facts = [("dog", "left", "near"), ("dog", "left", "far"), ("rain", None, "far")]
    fits = states_compatible(stated, facts)
    assert fits.tolist() == [[True, True, False], [False, True, False], [False, False, True]]
    similarity = np.array([[0.1, 0.9, 0.2], [0.9, 0.8, 0.1], [0.1, 0.2, 0.3]])
    assert compatible_recall_at_1(similarity, fits) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="same number of attributes"):
        states_compatible([("dog",)], facts)


@pytest.mark.parametrize(
    "call",
    [
        lambda: retrieval_scores(np.ones((2, 3))),
        lambda: retrieval_scores(np.full((2, 2), np.nan)),
        lambda: multi_caption_retrieval_scores(np.ones((2, 8))),
        lambda: multi_caption_retrieval_scores(np.ones((2, 10)), precision="published"),  # type: ignore[arg-type]
        lambda: compatible_recall_at_1(np.ones((2, 3)), np.ones((3, 2))),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises(DataError):
        call()


def _case_folder() -> Path:
    return Path(os.environ.get("SPATIAL_AUDIO_LM_METRIC_CASES", Path(__file__).parent / "cases")) / CASE


def test_parity_with_laion_clap():
    folder = _case_folder()
    if not folder.is_dir():
        pytest.skip(f"no case {CASE} in {folder.parent}")
    manifest = json.loads((folder / "manifest.json").read_text())
    inputs, expected = load_file(folder / "inputs.safetensors"), load_file(folder / "outputs.safetensors")
    captions = manifest["config"]["captions_per_audio"]
    audio, text = inputs["audio"].astype(np.float64), inputs["text"].astype(np.float64)
    scale_audio, scale_text = inputs["logit_scale"].astype(np.float64)
    first = text[::captions]
    # with the second pair of projections LAION averages the logits of both; there clips and captions swap roles
    averaged = (scale_audio * audio @ inputs["text_mlp"].T + scale_text * inputs["audio_mlp"] @ first.T) / 2
    ours = {f"one_caption.{name}": value for name, value in retrieval_scores(audio @ first.T).items()}
    ours |= {f"one_caption_mlp.{name}": value for name, value in retrieval_scores(averaged).items()}
    published = multi_caption_retrieval_scores(audio @ text.T, captions, precision="laion")
    ours |= {f"five_captions.{name}": value for name, value in published.items()}
    ours["ours.audio_to_text_mAP@10_sorted"] = multi_caption_retrieval_scores(audio @ text.T, captions)[
        "audio_to_text_mAP@10"
    ]
    not_ranks = ("num_samples", "cumulative_loss")
    wanted = {name: value for name, value in expected.items() if not name.endswith(not_ranks)}
    assert set(wanted) == set(ours)
    for name, value in wanted.items():
        assert ours[name] == pytest.approx(float(value[0]), abs=manifest["tolerance"]), name
