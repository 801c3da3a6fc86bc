"""The engine for questions: what is asked is answered, words are read, windows, mono, and what it says of bad input."""

import json
import shutil

import pytest
import torch
from bad_recordings import BAD_RECORDINGS
from tiny_bat import LEARNED, WHAT, WHERE, YES_NO
from transformers import pipeline

from spatial_audio_lm.errors import AudioValueError, ChannelError, CheckpointError, ConfigError, TextError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.pipelines.answering import QuestionAnswerer, _telling
from spatial_audio_lm.pipelines.spoken_answers import SpokenAnswer
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 16_000
TASK = "spatial-audio-question-answering"
PLACE = ("left_right", "front_behind", "above_below", "distance_m")


def test_questions_are_answered_and_read(answerer, ears_clip):
    yes, where, what = answerer.ask(ears_clip, list(LEARNED))
    assert [said.best.text for said in (yes, where, what)] == list(LEARNED.values())
    assert (yes.best.yes, yes.best.answer, where.best.yes) == (True, "yes", None)
    assert [getattr(where.best, name) for name in PLACE] == ["left", "front", "below", 2.5]
    assert what.best.sounds == ("dog barking", "rain") and where.best.sounds is None
    for question, said in zip(LEARNED, (yes, where, what), strict=True):
        assert said.question == question and said.best.complete and 0.5 < said.best.confidence <= 1
        assert said.windows == (said.best,) and said.best.reason is None and said.resampled_from is None


def test_the_answer_is_that_of_model_and_processor(answerer, ears_clip):
    inputs = answerer.processor(WHERE, SpatialAudio.load(ears_clip))
    generated = answerer.model.generate(**inputs, max_new_tokens=8)
    (said,) = answerer.ask(ears_clip, WHERE, max_new_tokens=8)
    assert answerer.processor.decode_answers(generated, inputs["input_ids"]) == [said.best.text]
    assert said.best.text == "left, fr" and not said.best.complete
    labels = torch.cat([torch.full_like(inputs["input_ids"], -100), generated[:, -8:]], 1)
    whole = {"input_ids": generated, "attention_mask": torch.ones_like(generated), "labels": labels}
    heard = {name: value for name, value in inputs.items() if name not in whole}
    with torch.no_grad():
        loss = answerer.model(**whole, **heard).loss
    assert said.best.confidence == pytest.approx(float((-8 * loss).exp()), rel=1e-3)


def test_many_questions_at_once_are_answered_as_each_alone(answerer, ears_clip):
    asked = [
        "Is it?",
        *LEARNED,
        "What kind of sound is to be heard in this recording, if any?",
    ] * 4  # more than a batch
    together = answerer.ask(ears_clip, asked, max_new_tokens=6)
    alone = {question: answerer.ask(ears_clip, question, max_new_tokens=6)[0].best for question in set(asked)}
    for question, said in zip(asked, together, strict=True):
        assert said.question == question and said.best.text == alone[question].text
        assert said.best.confidence == pytest.approx(alone[question].confidence, rel=1e-3)


def test_the_recording_is_heard_once(answerer, ears_clip, monkeypatch):
    heard = []
    hear = answerer.model.get_audio_features
    monkeypatch.setattr(answerer.model, "get_audio_features", lambda **inputs: heard.append(1) or hear(**inputs))
    answerer.ask(ears_clip, list(LEARNED) * 6)
    assert len(heard) == 1


def test_beams_find_an_answer_that_is_no_less_probable(answerer, ears_clip):
    for question in ("Is it?", WHERE):
        greedy, beams = (answerer.ask(ears_clip, question, max_new_tokens=40, num_beams=n)[0].best for n in (1, 4))
        assert beams.text == LEARNED.get(question, beams.text)
        assert 0 < beams.confidence <= 1
        if question in LEARNED:
            assert beams.confidence == pytest.approx(greedy.confidence, rel=1e-3)


def test_strict_json_with_the_promised_fields(answerer, long_ears_clip):
    (said,) = answerer.ask(long_ears_clip, WHERE)
    fields = json.loads(json.dumps(said.to_dict(), allow_nan=False))
    words = {"answer", "text", "confidence", "complete", "yes", "sounds", "reason", "start_s", "end_s", *PLACE}
    assert set(fields) == words | {"file", "question", "windows", "resampled_from", "warnings"}
    assert set(fields["windows"][0]) == words
    assert fields["resampled_from"] == 24_000 and fields["file"] == str(long_ears_clip)


def test_every_kind_of_input(answerer, ears_clip):
    audio = SpatialAudio.load(ears_clip)
    given = [str(ears_clip), audio, {"array": audio.waveform.numpy(), "sampling_rate": RATE}]
    answers = [answerer.ask(source, WHERE)[0] for source in (ears_clip, *given)]
    assert all(said.best == answers[0].best for said in answers)
    assert [said.file for said in answers] == [str(ears_clip)] * 3 + [None]


def test_a_long_recording_is_answered_by_one_of_its_windows(answerer, long_ears_clip):
    assert answerer.window_s == 4.0 and answerer.whole_s == pytest.approx(4.46, abs=0.01)
    calls = []
    first, second = answerer.ask(
        long_ears_clip, [YES_NO, WHERE], progress=lambda done, total: calls.append((done, total))
    )
    starts = [window.start_s for window in first.windows]
    assert starts == [start for start in range(0, 19, 2) if not 6 <= start <= 10]  # silent from 6 to 14
    assert [window.start_s for window in second.windows] == starts and first.best in first.windows
    assert all(window.text == LEARNED[WHERE] for window in second.windows)
    assert calls[-1] == (21.0, 21.0)
    stretch = SpatialAudio.load(long_ears_clip, start_s=2.0, duration_s=4.0)
    alone = answerer.ask(stretch, WHERE)[0].best
    assert second.windows[1].confidence == pytest.approx(alone.confidence, rel=1e-3)


def test_a_loud_and_certain_window_answers_and_not_the_tail():
    def said(start_s: float, level_db: float, confidence: float) -> SpokenAnswer:
        return SpokenAnswer(
            text="", complete=True, start_s=start_s, end_s=start_s + 4, level_db=level_db, confidence=confidence
        )

    assert _telling([said(0, -20, 0.5), said(2, -25, 0.9), said(4, -31, 0.99)]).start_s == 2


def test_mono_is_refused_or_heard_without_a_direction(answerer, make_ears, tmp_path):
    SpatialAudio.from_array(make_ears().waveform[0], RATE).save(tmp_path / "mono.wav")
    with pytest.raises(ChannelError, match=r"mono\.wav: .*is mono .1 channels., this dspast hears binaural.*duplicate"):
        answerer.ask(tmp_path / "mono.wav", WHERE)
    where, yes = (said.best for said in answerer.ask(tmp_path / "mono.wav", [WHERE, YES_NO], mono="duplicate"))
    assert where.text == LEARNED[WHERE] and where.reason.startswith("mono") and yes.yes is None
    assert all(getattr(where, name) is None for name in PLACE)
    alike = SpatialAudio.from_array(make_ears().waveform[:1].expand(2, -1), RATE)
    (said,) = answerer.ask(alike, WHERE)
    assert said.best.reason.startswith("identical channels") and said.best.left_right is None
    dead = SpatialAudio.from_array(make_ears().waveform * torch.tensor([[1.0], [0.0]]), RATE)
    where, yes = (said.best for said in answerer.ask(dead, [WHERE, YES_NO]))
    assert where.reason.startswith("one ear: the right channel") and where.left_right is None and yes.yes is None
    with pytest.raises(ConfigError, match="duplicate"):
        answerer.ask(alike, WHERE, mono="double")


def test_an_ear_of_ambisonics_hears_them_and_mono(tiny_bat_foa, clip, make_sound, ears_clip):
    ask = QuestionAnswerer.from_pretrained(tiny_bat_foa)
    assert ask.ask(clip, WHERE)[0].best.left_right == "left"
    (mono,) = ask.ask(SpatialAudio.from_array(make_sound().waveform[0], RATE), WHERE)
    assert mono.best.text == LEARNED[WHERE] and mono.best.reason.startswith("mono") and mono.best.distance_m is None
    assert len(ask.ask(make_sound(9.5), YES_NO)[0].windows) == 1
    assert [w.start_s for w in ask.ask(make_sound(16.0), YES_NO)[0].windows] == [0.0, 5.0, 10.0]
    with pytest.raises(ChannelError, match=r"ears\.wav: .*2 channels.*elsa hears foa .4 channels. or mono"):
        ask.ask(ears_clip, WHERE)


@pytest.mark.parametrize("case", BAD_RECORDINGS.values(), ids=BAD_RECORDINGS)
def test_bad_recordings(tiny_bat_foa, tmp_path, case):
    with pytest.raises(case.error) as caught:
        QuestionAnswerer.from_pretrained(tiny_bat_foa).ask(case.make(tmp_path), YES_NO)
    assert all(words in str(caught.value) for words in case.says), str(caught.value)


def test_a_peak_beyond_all_measure_is_not_blamed_on_the_model(answerer, make_ears):
    with pytest.raises(AudioValueError, match="scale it"):
        answerer.ask(SpatialAudio.from_array(make_ears().waveform * 1e30, RATE), WHERE)


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (None, "no question"),
        ([], "no question"),
        ("", "question 1 is empty.*What do you hear"),
        (["Is it?", " "], "question 2"),
        ([3], "question 1 is of type int"),
    ],
)
def test_questions_that_are_none(answerer, ears_clip, question, says):
    with pytest.raises(TextError, match=says):
        answerer.ask(ears_clip, question)


def test_a_question_that_is_too_long_for_the_language_model(answerer, ears_clip):
    with pytest.raises(TextError, match=r"may have \d+ tokens; this model reads 256: shorten it"):
        answerer.ask(ears_clip, "Is it " * 40)
    assert answerer.ask(ears_clip, "Is it " * 40, max_new_tokens=4)
    for number in (0, "3", 2.5):
        with pytest.raises(ConfigError, match=f"max_new_tokens is {number!r}; .* of 1 or more"):
            answerer.ask(ears_clip, WHAT, max_new_tokens=number)
        with pytest.raises(ConfigError, match=f"num_beams is {number!r}; .* from 1 to 64"):
            answerer.ask(ears_clip, WHAT, num_beams=number)


def test_checkpoints_that_do_not_answer(tiny_bat, tiny_elsa, tmp_path, answerer, tiny_bat_foa):
    with pytest.raises(CheckpointError, match="'elsa'; answering questions needs 'bat'"):
        QuestionAnswerer.from_pretrained(tiny_elsa)
    with pytest.raises(CheckpointError, match="is no folder"):
        QuestionAnswerer.from_pretrained(tmp_path / "nowhere")
    shutil.copytree(tiny_bat, tmp_path / "half")
    (tmp_path / "half" / "processor_config.json").unlink()
    with pytest.raises(CheckpointError, match="without its processor"):
        QuestionAnswerer.from_pretrained(tmp_path / "half")
    other = type(answerer.processor)(answerer.processor.feature_extractor, answerer.processor.tokenizer)
    with pytest.raises(ConfigError, match="saved with the model"):
        QuestionAnswerer(answerer.model, other)  # of 64 queries


def test_what_is_not_said_is_none_and_what_the_ear_knows_can_be_named(answerer):
    about = {"confidence": 0.5, "complete": True, "start_s": 0.0, "end_s": 1.0}
    nothing = SpokenAnswer.read("I do not know", answerer.names, **about)
    assert (nothing.answer, nothing.yes, nothing.sounds) == ("I do not know", None, None)
    assert all(getattr(nothing, name) is None for name in PLACE)
    assert SpokenAnswer.read("NO.", answerer.names, **about).answer == "no"
    assert SpokenAnswer.read("No, behind", answerer.names, **about).answer == "No, behind"
    named = SpokenAnswer.read("mains hum; a dog's bark; Rain", answerer.names, **about)
    assert named.sounds == ("Mains hum", "dog barking", "rain")
    both = SpokenAnswer.read("left or right, in front; 2m or 3m", answerer.names, **about)
    assert (both.left_right, both.front_behind, both.distance_m) == (None, "front", None)


def test_a_language_model_that_lies_elsewhere_and_half_precision(tiny_bat, answerer, ears_clip, tmp_path):
    answerer.model.language_model.save_pretrained(tmp_path / "language")
    ear = answerer.model.audio_model.audio_encoder
    settings = {"qformer_config": answerer.model.config.qformer_config, "num_query_tokens": 4, "lora_rank": 2}
    model = BatForConditionalGeneration.from_audio_text_pretrained(ear, tmp_path / "language", **settings)
    model.save_pretrained(tmp_path / "bat")
    answerer.processor.save_pretrained(tmp_path / "bat")
    assert read_json(tmp_path / "bat" / "config.json")["language_model_name_or_path"] == str(tmp_path / "language")
    for ask in (QuestionAnswerer.from_pretrained, lambda folder: pipeline(TASK, model=folder, dtype="bfloat16")._ask):
        loaded = ask(tmp_path / "bat")
        assert loaded.ask(ears_clip, WHERE)[0].best.text == LEARNED[WHERE]  # a new adapter changes nothing
    assert loaded.model.dtype == torch.bfloat16
    shutil.rmtree(tmp_path / "language")
    with pytest.raises(CheckpointError, match="needs the language model"):
        QuestionAnswerer.from_pretrained(tmp_path / "bat")
