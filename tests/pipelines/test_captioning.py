"""Captions of recordings: the engine and the Hugging Face pipeline; windows, mono, bad input, saved and loaded."""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from bad_recordings import BAD_RECORDINGS
from tiny_captioner import LEARNED, POSITIONS
from transformers import AutoModelForMultimodalLM, AutoProcessor, pipeline
from transformers.pipelines import PIPELINE_REGISTRY

from spatial_audio_lm.errors import (
    AudioFileError,
    AudioValueError,
    ChannelError,
    CheckpointError,
    ConfigError,
    SampleRateError,
)
from spatial_audio_lm.models.checkpoints import PACKAGED_FOLDER
from spatial_audio_lm.pipelines.captioning import RecordingCaptioner
from spatial_audio_lm.pipelines.captioning_pipeline import SpatialAudioCaptioningPipeline
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 16_000
TASK = "spatial-audio-captioning"
WORDS = {"direction": "left", "elevation": None, "distance": "far", "size": "small", "reverberation": None}


@pytest.fixture(scope="module")
def write(tiny_captioner):
    return pipeline(TASK, model=tiny_captioner)


def test_a_caption_is_written_and_read(captioner, clip):
    captioned = captioner.caption(clip)
    best = captioned.best
    assert best.caption == LEARNED and best.complete and 0.5 < best.confidence <= 1
    assert vars(best.attributes) == WORDS and best.sounds == ("dog barking",) and best.reason is None
    assert captioned.windows == (best,) and captioned.resampled_from is None and captioned.file == str(clip)


def test_the_caption_is_that_of_model_and_processor(captioner, clip):
    inputs = captioner.processor(SpatialAudio.load(clip))
    generated = captioner.model.generate(**inputs, max_new_tokens=8)
    best = captioner.caption(clip, max_new_tokens=8).best
    assert captioner.processor.decode_captions(generated) == [best.caption] == [LEARNED[:8].strip()]
    assert not best.complete
    with torch.no_grad():
        loss = captioner.model(input_ids=generated, labels=generated, **inputs).loss
    assert best.confidence == pytest.approx(float((-loss).exp()), rel=1e-3)  # a token's, whatever their number is


def test_strict_json_with_the_promised_fields(captioner, long_clip):
    fields = json.loads(json.dumps(captioner.caption(long_clip).to_dict(), allow_nan=False))
    words = {"caption", "confidence", "complete", "sounds", "reason", "start_s", "end_s", *WORDS}
    assert set(fields) == words | {"file", "windows", "resampled_from", "warnings"}
    assert set(fields["windows"][0]) == words and fields["resampled_from"] == 24_000


def test_a_long_recording_has_a_caption_a_window(captioner, long_clip, make_sound):
    calls = []
    captioned = captioner.caption(long_clip, progress=lambda done, total: calls.append((done, total)))
    assert [w.start_s for w in captioned.windows] == [0.0, 5.0, 10.0, 15.0]  # 21 s, silent from 6 to 14
    assert captioned.best in captioned.windows and calls[-1] == (21.0, 21.0)
    stretch = SpatialAudio.load(long_clip, start_s=5.0, duration_s=10.0)
    assert captioner.caption(stretch).best.confidence == pytest.approx(captioned.windows[1].confidence, rel=1e-3)
    assert len(captioner.caption(make_sound(9.5)).windows) == 1
    silent = make_sound(25.0, silent_s=(9.0, 25.0))
    assert [w.start_s for w in captioner.caption(silent).windows] == [0.0, 5.0]


def test_mono_is_heard_without_a_direction(captioner, make_sound):
    best = captioner.caption(SpatialAudio.from_array(make_sound().waveform[0], RATE)).best
    assert best.caption == LEARNED and best.reason.startswith("mono")
    assert vars(best.attributes) == WORDS | {"direction": None, "distance": None}
    alike = SpatialAudio.from_array(make_sound().waveform[:1].expand(4, -1), RATE)
    assert captioner.caption(alike).best.attributes.direction is None
    with pytest.raises(ConfigError, match="duplicate"):
        captioner.caption(alike, mono="double")


def test_beams_are_no_less_probable(captioner, clip):
    assert captioner.caption(clip, num_beams=3).best.confidence >= 0.999 * captioner.caption(clip).best.confidence


@pytest.mark.parametrize("case", BAD_RECORDINGS.values(), ids=BAD_RECORDINGS)
def test_bad_recordings(captioner, tmp_path, case):
    with pytest.raises(case.error) as caught:
        captioner.caption(case.make(tmp_path))
    assert all(words in str(caught.value) for words in case.says), str(caught.value)


def test_recordings_and_numbers_that_do_not_do(captioner, clip, ears_clip, make_sound):
    with pytest.raises(ChannelError, match=r"ears\.wav: .*2 channels.*elsa hears foa .4 channels. or mono"):
        captioner.caption(ears_clip)
    with pytest.raises(AudioValueError, match="scale it"):
        captioner.caption(SpatialAudio.from_array(make_sound().waveform * 1e30, RATE))
    for number in (0, POSITIONS, "3", 2.5, True):
        with pytest.raises(ConfigError, match=f"max_new_tokens is {number!r}; .* from 1 to {POSITIONS - 1}"):
            captioner.caption(clip, max_new_tokens=number)
    for number in (0, 65, "3", 2.5):
        with pytest.raises(ConfigError, match=f"num_beams is {number!r}; .* from 1 to 64"):
            captioner.caption(clip, num_beams=number)


def test_checkpoints_that_write_nothing(tiny_captioner, tiny_elsa, tmp_path, captioner):
    with pytest.raises(CheckpointError, match="'elsa'; captions need 'spatial_captioner'"):
        RecordingCaptioner.from_pretrained(tiny_elsa)
    with pytest.raises(CheckpointError, match="is no folder"):
        RecordingCaptioner.from_pretrained(tmp_path / "nowhere")
    shutil.copytree(tiny_captioner, tmp_path / "half")
    (tmp_path / "half" / "processor_config.json").unlink()
    with pytest.raises(CheckpointError, match="without its processor"):
        RecordingCaptioner.from_pretrained(tmp_path / "half")
    shutil.copytree(tiny_captioner, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=r"no whole safetensors file|cannot be loaded"):
        RecordingCaptioner.from_pretrained(tmp_path / "cut")
    more = AutoProcessor.from_pretrained(tiny_captioner)
    more.tokenizer.add_tokens(["whale"])
    with pytest.raises(ConfigError, match="tokenizer has 260 tokens, the model 259"):
        RecordingCaptioner(captioner.model, more)


def test_the_pipeline_answers_as_the_engine(write, captioner, clip):
    assert isinstance(write, SpatialAudioCaptioningPipeline)
    answer = write(str(clip))
    assert answer["caption"] == LEARNED and answer["direction"] == "left"
    assert answer == captioner.caption(str(clip)).to_dict()
    audio = SpatialAudio.load(clip)
    for given in (
        clip,
        audio,
        {"array": audio.waveform.numpy(), "sampling_rate": RATE, "format": "foa"},
        {"array": audio.waveform, "sampling_rate": RATE},
    ):
        assert write(given) | {"file": None} == answer | {"file": None}


def test_many_recordings_give_a_list_in_batches_or_not(write, clip, long_clip, make_sound):
    sounds = [str(clip), SpatialAudio.load(long_clip), make_sound(3.0, -90.0)]
    one_by_one = [write(sound) for sound in sounds]
    assert write(sounds) == one_by_one == write(sounds, batch_size=2)
    assert list(write(sound for sound in sounds)) == one_by_one


def test_resampling_is_told_once_a_rate(write, make_sound, caplog):
    with caplog.at_level(logging.WARNING, logger="spatial_audio_lm"):
        answers = [write(make_sound(2.0, rate=32_000)) for _ in range(3)]
    assert all(answer["resampled_from"] == 32_000 for answer in answers)
    assert [record.getMessage() for record in caplog.records] == [
        "recordings at 32000 Hz are resampled to the model's 16000 Hz"
    ]


def test_a_saved_pipeline_loads_again_and_parts_may_be_given(write, tiny_captioner, clip, tmp_path):
    write.save_pretrained(tmp_path / "saved")
    assert pipeline(TASK, model=tmp_path / "saved")(str(clip)) == write(str(clip))
    parts = {"model": AutoModelForMultimodalLM.from_pretrained(tiny_captioner)}
    parts["processor"] = AutoProcessor.from_pretrained(tiny_captioner)
    settled = pipeline(TASK, **parts, max_new_tokens=5)
    assert settled(str(clip))["caption"] == "a dog" == write(str(clip), max_new_tokens=5)["caption"]
    default = PIPELINE_REGISTRY.supported_tasks[TASK]["default"]["model"]
    assert default == (str(PACKAGED_FOLDER / "captioner-tiny"), None)


def test_wrong_calls_name_the_way_out(write, ears_clip, tmp_path):
    with pytest.raises(SampleRateError, match="sampling_rate"):
        write(np.zeros((4, RATE), dtype=np.float32))
    with pytest.raises(SampleRateError, match="sampling_rate"):
        write({"array": np.zeros((4, RATE), dtype=np.float32)})
    with pytest.raises(AudioValueError, match="empty"):
        write([])
    with pytest.raises(ChannelError, match="2 channels"):
        write(str(ears_clip))
    with pytest.raises(AudioFileError, match="no such file"):
        write(str(tmp_path / "none.wav"))
