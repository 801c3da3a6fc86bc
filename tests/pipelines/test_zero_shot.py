"""The Hugging Face pipeline: call and answer of transformers' zero-shot-audio-classification, with channels."""

import logging

import numpy as np
import pytest
from bad_recordings import BAD_RECORDINGS
from transformers import pipeline

from spatial_audio_lm.errors import SampleRateError, TextError
from spatial_audio_lm.models.checkpoints import PACKAGED_FOLDER
from spatial_audio_lm.pipelines.zero_shot import ZeroShotSpatialAudioClassificationPipeline
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

TASK = "zero-shot-spatial-audio-classification"
LABELS = ["a dog barking from the left", "rain from behind", "a siren"]


@pytest.fixture(scope="module")
def ask(tiny_elsa):
    return pipeline(TASK, model=tiny_elsa)


def test_the_answer_is_that_of_transformers(ask, clip, engine):
    answer = ask(str(clip), candidate_labels=LABELS)
    assert isinstance(ask, ZeroShotSpatialAudioClassificationPipeline)
    assert all(list(entry) == ["score", "label"] for entry in answer)
    assert [entry["score"] for entry in answer] == sorted((entry["score"] for entry in answer), reverse=True)
    assert sum(entry["score"] for entry in answer) == pytest.approx(1.0)
    expected = {match.text: match.score for match in engine.query(clip, LABELS).results}
    assert {entry["label"]: entry["score"] for entry in answer} == pytest.approx(expected)


def test_every_kind_of_input(ask, clip):
    audio = SpatialAudio.load(clip)
    expected = ask(str(clip), candidate_labels=LABELS)
    for given in (
        clip,
        audio,
        {"array": audio.waveform.numpy(), "sampling_rate": 16_000, "format": "foa"},
        {"array": audio.waveform, "sampling_rate": 16_000},
    ):
        assert ask(given, candidate_labels=LABELS) == expected


def test_many_recordings_give_a_list_of_lists(ask, clip, long_clip):
    one_by_one = [ask(str(path), candidate_labels=LABELS) for path in (clip, long_clip, clip)]
    paths = [
        str(clip),
        SpatialAudio.load(long_clip),
        {"array": SpatialAudio.load(clip).waveform, "sampling_rate": 16_000},
    ]
    assert ask(paths, candidate_labels=LABELS) == one_by_one
    assert ask(paths, candidate_labels=LABELS, batch_size=2) == one_by_one
    assert list(ask((path for path in paths), candidate_labels=LABELS)) == one_by_one
    assert ask([str(clip)], candidate_labels=LABELS) == one_by_one[:1]


def test_labels_may_be_framed(ask, clip, engine):
    framed = ask(str(clip), candidate_labels=["rain", "wind"], hypothesis_template="the sound of {} from behind")
    expected = engine.query(clip, ["the sound of rain from behind", "the sound of wind from behind"])
    assert {entry["label"]: entry["score"] for entry in framed} == pytest.approx(
        {match.text.split()[3]: match.score for match in expected.results}
    )


def test_one_label_has_all_the_weight(ask, clip):
    assert ask(str(clip), candidate_labels=["rain"]) == [{"score": 1.0, "label": "rain"}]
    assert ask(str(clip), candidate_labels="rain") == [{"score": 1.0, "label": "rain"}]


def test_settings_may_be_given_once(tiny_elsa, clip, ask):
    settled = pipeline(TASK, model=str(tiny_elsa), candidate_labels=LABELS)
    assert settled(str(clip)) == ask(str(clip), candidate_labels=LABELS)


def test_details_and_resampling_are_told(ask, make_sound, caplog):
    sound = make_sound(2.0, rate=32_000)
    with caplog.at_level(logging.WARNING, logger="spatial_audio_lm"):
        answer = ask(sound, candidate_labels=LABELS, detailed=True)
        ask(sound, candidate_labels=LABELS)
    assert answer["resampled_from"] == 32_000 and answer["confidence"] is not None
    assert [record.getMessage() for record in caplog.records] == [
        "recordings at 32000 Hz are resampled to the model's 16000 Hz"
    ]


def test_a_saved_pipeline_loads_again_without_foreign_code(ask, clip, tmp_path):
    ask.save_pretrained(tmp_path / "saved")
    again = pipeline(TASK, model=tmp_path / "saved")
    assert again(str(clip), candidate_labels=LABELS) == ask(str(clip), candidate_labels=LABELS)


def test_parts_may_be_given(ask, clip):
    parts = pipeline(TASK, model=ask.model, tokenizer=ask.tokenizer, feature_extractor=ask.feature_extractor)
    assert parts(str(clip), candidate_labels=LABELS) == ask(str(clip), candidate_labels=LABELS)


def test_the_default_is_the_packaged_model():
    from transformers.pipelines import PIPELINE_REGISTRY

    default = PIPELINE_REGISTRY.supported_tasks[TASK]["default"]["model"]
    assert default == (str(PACKAGED_FOLDER / "elsa-tiny"), None)


def test_wrong_calls_name_the_way_out(ask, clip):
    with pytest.raises(TextError, match="candidate_labels"):
        ask(str(clip))
    with pytest.raises(TextError, match="empty"):
        ask(str(clip), candidate_labels=["rain", " "])
    with pytest.raises(TextError, match="where the label goes"):
        ask(str(clip), candidate_labels=LABELS, hypothesis_template="no place")
    with pytest.raises(SampleRateError, match="sampling_rate"):
        ask(np.zeros((4, 16_000), dtype=np.float32), candidate_labels=LABELS)
    with pytest.raises(SampleRateError, match="sampling_rate"):
        ask({"array": np.zeros((4, 16_000), dtype=np.float32)}, candidate_labels=LABELS)
    with pytest.raises(ValueError, match="empty"):
        ask([], candidate_labels=LABELS)


@pytest.mark.parametrize("case", BAD_RECORDINGS.values(), ids=BAD_RECORDINGS)
def test_bad_recordings(ask, tmp_path, case):
    with pytest.raises(case.error) as caught:
        ask(case.make(tmp_path), candidate_labels=LABELS)
    assert all(words in str(caught.value) for words in case.says), str(caught.value)
