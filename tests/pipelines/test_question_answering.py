"""The Hugging Face pipeline for questions: one or many, about one recording or many, in batches, saved and loaded."""

import logging

import numpy as np
import pytest
from tiny_bat import LEARNED, WHERE, YES_NO
from transformers import AutoModelForMultimodalLM, AutoProcessor, pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from spatial_audio_lm.errors import AudioFileError, AudioValueError, ChannelError, SampleRateError, TextError
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.checkpoints import PACKAGED_FOLDER
from spatial_audio_lm.pipelines.question_answering import SpatialAudioQuestionAnsweringPipeline
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

TASK = "spatial-audio-question-answering"


@pytest.fixture(scope="module")
def ask(tiny_bat):
    return pipeline(TASK, model=tiny_bat)


def test_the_answer_is_a_dictionary(ask, ears_clip, answerer):
    assert isinstance(ask, SpatialAudioQuestionAnsweringPipeline)
    answer = ask(str(ears_clip), question=YES_NO)
    assert answer["answer"] == "yes" and answer["text"] == "Yes" and answer["yes"] is True
    assert answer == answerer.ask(str(ears_clip), YES_NO)[0].to_dict()


def test_every_kind_of_input(ask, ears_clip):
    audio = SpatialAudio.load(ears_clip)
    expected = ask(str(ears_clip), question=WHERE)
    assert expected["left_right"] == "left" and expected["distance_m"] == 2.5
    for given in (
        ears_clip,
        audio,
        {"array": audio.waveform.numpy(), "sampling_rate": 16_000, "format": "binaural"},
        {"array": audio.waveform, "sampling_rate": 16_000},
    ):
        assert ask(given, question=WHERE) | {"file": None} == expected | {"file": None}


def test_many_questions_give_a_list(ask, ears_clip):
    answers = ask(str(ears_clip), question=list(LEARNED))
    assert [answer["text"] for answer in answers] == list(LEARNED.values())
    assert ask(str(ears_clip), question=[YES_NO]) == [ask(str(ears_clip), question=YES_NO)]


def test_many_recordings_give_a_list_in_batches_or_not(ask, ears_clip, long_ears_clip):
    sounds = [
        str(ears_clip),
        SpatialAudio.load(long_ears_clip),
        {"array": np.ones((2, 900)) * 0.1, "sampling_rate": 16_000},
    ]
    sounds[2]["array"][0, ::7] = 0
    for question in (WHERE, [YES_NO, WHERE]):
        one_by_one = [ask(sound, question=question) for sound in sounds]
        assert ask(sounds, question=question) == one_by_one
        assert ask(sounds, question=question, batch_size=2) == one_by_one
        assert list(ask((sound for sound in sounds), question=question)) == one_by_one


def test_settings_may_be_given_once(tiny_bat, ask, ears_clip):
    settled = pipeline(TASK, model=str(tiny_bat), question=WHERE, max_new_tokens=4)
    assert settled(str(ears_clip))["text"] == "left" == ask(str(ears_clip), question=WHERE, max_new_tokens=4)["answer"]
    assert not settled(str(ears_clip))["complete"]


def test_resampling_is_told(ask, make_ears, caplog):
    with caplog.at_level(logging.WARNING, logger="spatial_audio_lm"):
        answers = [ask(make_ears(2.0, rate=32_000), question=question) for question in LEARNED]
    assert all(answer["resampled_from"] == 32_000 for answer in answers)
    assert [record.getMessage() for record in caplog.records] == [
        "recordings at 32000 Hz are resampled to the model's 16000 Hz"
    ]


def test_a_saved_pipeline_loads_again_without_foreign_code(ask, ears_clip, tmp_path):
    ask.save_pretrained(tmp_path / "saved")
    again = pipeline(TASK, model=tmp_path / "saved")
    assert again(str(ears_clip), question=WHERE) == ask(str(ears_clip), question=WHERE)


def test_parts_may_be_given(tiny_bat, ask, ears_clip):
    model, processor = AutoModelForMultimodalLM.from_pretrained(tiny_bat), AutoProcessor.from_pretrained(tiny_bat)
    assert isinstance(model, BatForConditionalGeneration)
    parts = pipeline(TASK, model=model, processor=processor)
    assert parts(str(ears_clip), question=WHERE) == ask(str(ears_clip), question=WHERE)


def test_the_default_is_the_packaged_model():
    default = PIPELINE_REGISTRY.supported_tasks[TASK]["default"]["model"]
    assert default == (str(PACKAGED_FOLDER / "bat-tiny"), None)


def test_wrong_calls_name_the_way_out(ask, ears_clip, clip, make_ears, tmp_path):
    with pytest.raises(TextError, match=r"no question.*question='What do you hear"):
        ask(str(ears_clip))
    with pytest.raises(TextError, match="empty"):
        ask(str(ears_clip), question=["Is it?", " "])
    with pytest.raises(SampleRateError, match="sampling_rate"):
        ask(np.zeros((2, 16_000), dtype=np.float32), question=WHERE)
    with pytest.raises(SampleRateError, match="sampling_rate"):
        ask({"array": np.zeros((2, 16_000), dtype=np.float32)}, question=WHERE)
    with pytest.raises(AudioValueError, match="empty"):
        ask([], question=WHERE)
    with pytest.raises(ChannelError, match="4 channels"):
        ask(str(clip), question=WHERE)
    with pytest.raises(AudioFileError, match="no such file"):
        ask(str(tmp_path / "none.wav"), question=WHERE)
    mono = SpatialAudio.from_array(make_ears().waveform[0], 16_000)
    with pytest.raises(ChannelError, match="duplicate"):
        ask(mono, question=WHERE)
    assert ask(mono, question=WHERE, mono="duplicate")["reason"].startswith("mono")
