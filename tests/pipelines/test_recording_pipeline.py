"""What all pipelines for recordings take and refuse alike, and what all engines say of samples without a rate."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
from transformers import Pipeline, pipeline

from spatial_audio_lm.errors import AudioFileError, AudioValueError, CheckpointError, ConfigError, SampleRateError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 16_000
HOW = re.escape("give {'array': ..., 'sampling_rate': ...}")
TASKS = {
    "zero-shot-spatial-audio-classification": (
        "tiny_elsa",
        4,
        {"candidate_labels": ["rain", "wind"], "detailed": True},
    ),
    "spatial-audio-question-answering": ("tiny_bat", 2, {"question": "Is it rain?"}),
    "spatial-audio-captioning": ("tiny_captioner", 4, {}),
}


@dataclass
class Door:
    """A pipeline, settled with the options that it needs, and samples that it hears."""

    ask: Pipeline
    samples: np.ndarray
    needed: dict

    def given(self, **other) -> dict:
        """The samples as a dictionary."""
        return {"array": self.samples, "sampling_rate": RATE} | other


@pytest.fixture(scope="module", params=TASKS)
def door(request):
    model, channels, needed = TASKS[request.param]
    samples = 0.1 * np.random.default_rng(5).standard_normal((channels, 2 * RATE)).astype(np.float32)
    return Door(pipeline(request.param, model=request.getfixturevalue(model), **needed), samples, needed)


def test_a_model_of_another_type_is_named(tiny_captioner, tiny_bat):
    for task, model, types in (
        ("spatial-audio-question-answering", tiny_captioner, "'spatial_captioner'; this pipeline needs 'bat'"),
        ("spatial-audio-captioning", tiny_bat, "'bat'; this pipeline needs 'spatial_captioner'"),
    ):
        with pytest.raises(CheckpointError, match=types):
            pipeline(task, model=model)


def test_an_option_that_there_is_not_is_named_beside_those_that_there_are(door):
    for option in ("nonsense", "generate_kwargs"):
        with pytest.raises(ConfigError, match=f"no option '{option}'; this pipeline takes .*format") as caught:
            door.ask(door.given(), **{option: 3})
        assert all(name in str(caught.value) for name in (*door.needed, "batch_size"))


def test_the_rate_of_samples_goes_with_them(door):
    for rate in ("sampling_rate", "sample_rate"):
        with pytest.raises(ConfigError, match=f"{rate} goes with its samples: {HOW}"):
            door.ask(door.samples, **{rate: RATE})
    with pytest.raises(SampleRateError, match=HOW):
        door.ask(door.samples)


def test_samples_as_transformers_own_pipelines_take_them(door):
    assert door.ask({"raw": door.samples, "sampling_rate": RATE}) == door.ask(door.given())
    with pytest.raises(SampleRateError, match=f"no sampling_rate: {HOW}"):
        door.ask({"raw": door.samples})


def test_a_tuple_is_a_list(door):
    recordings = (door.given(), SpatialAudio.from_array(door.samples[:, ::2].copy(), RATE))
    answers = door.ask(recordings)
    assert answers == door.ask(list(recordings)) and len(answers) == 2
    with pytest.raises(AudioValueError, match="empty"):
        door.ask(())


def test_a_list_is_looked_through_before_it_is_heard(door, tmp_path, monkeypatch):
    def heard(*arguments, **options):
        raise AssertionError("a recording was heard")

    monkeypatch.setattr(type(door.ask), "_forward", heard)
    holed = door.samples.copy()
    holed[1, 7] = np.nan
    with pytest.raises(AudioValueError, match="recording 2 of 2: the sample at frame 7, channel 1 is nan"):
        door.ask([door.given(), door.given(array=holed)])
    with pytest.raises(AudioFileError, match=r"recording 3 of 3: .*none\.wav: no such file"):
        door.ask([door.given(), door.given(), str(tmp_path / "none.wav")])


def test_samples_that_are_no_waveform(door):
    with pytest.raises(AudioValueError, match="complex64 are no waveform; expected real floating point"):
        door.ask(door.given(array=np.fft.fft(door.samples)))
    with pytest.raises(AudioValueError, match="int16"):
        door.ask(door.given(array=(32767 * door.samples).astype(np.int16)))


def test_a_recording_below_the_models_rate_is_warned_of(door):
    def warnings(rate: int) -> list[str]:
        answer = door.ask(door.given(sampling_rate=rate))
        assert answer["resampled_from"] == (None if rate == RATE else rate)
        return answer["warnings"]

    (warning,) = warnings(8_000)
    assert "nothing above 4000 Hz" in warning and "up to 8000 Hz" in warning
    assert warnings(RATE) == warnings(24_000) == []


def test_every_engine_says_how_samples_are_given(engine, captioner, answerer, locator):
    for ask in (
        lambda samples: engine.query(samples, "rain"),
        engine.locate,
        captioner.caption,
        lambda samples: answerer.ask(samples, "Is it rain?"),
        locator.locate,
    ):
        with pytest.raises(SampleRateError, match=HOW):
            ask(np.zeros((2, RATE), dtype=np.float32))
