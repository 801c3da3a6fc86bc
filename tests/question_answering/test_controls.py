import pytest
import torch

from spatial_audio_lm.errors import ChannelError, ConfigError
from spatial_audio_lm.question_answering.controls import CONTROLS, control, mirrored_answer
from spatial_audio_lm.question_answering.generation import SceneQuestions
from spatial_audio_lm.question_answering.question_settings import QuestionSettings
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.signal.ambisonics import encode_foa
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from tests.question_answering.placed_scenes import scene

RATE = 16_000


def noise(channels: int) -> torch.Tensor:
    return 0.1 * torch.randn(channels, 800, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("format", ["binaural", "foa"])
@pytest.mark.parametrize("name", ["silence", "mono", "swapped"])
def test_a_control_keeps_length_rate_and_format(format: str, name: str) -> None:
    recording = SpatialAudio.from_array(noise(2 if format == "binaural" else 4), RATE, format)
    before = recording.waveform.clone()
    changed = control(name)(recording)
    assert changed is not None and changed.waveform.shape == recording.waveform.shape
    assert (changed.sample_rate, changed.format) == (RATE, format)
    assert torch.equal(recording.waveform, before) and not torch.equal(changed.waveform, before)


def test_text_alone_has_no_recording():
    assert control("text_only")(SpatialAudio.from_array(noise(2), RATE, "binaural")) is None
    assert list(CONTROLS) == ["silence", "mono", "swapped", "text_only"]


def test_ears():
    recording = SpatialAudio.from_array(noise(2), RATE, "binaural")
    assert torch.equal(CONTROLS["swapped"](recording).waveform, recording.waveform[[1, 0]])
    mono = CONTROLS["mono"](recording).waveform
    assert torch.equal(mono[0], mono[1])
    torch.testing.assert_close(mono[0], recording.waveform.mean(0))
    assert CONTROLS["silence"](recording).waveform.abs().max() == 0


def test_ambisonics_swapped_is_the_scene_mirrored():
    sound = noise(1)[0]
    left = SpatialAudio.from_array(encode_foa(sound, 50.0, 20.0), RATE, "foa")
    torch.testing.assert_close(CONTROLS["swapped"](left).waveform, encode_foa(sound, -50.0, 20.0))
    mono = CONTROLS["mono"](left).waveform
    assert torch.equal(mono[0], left.waveform[0]) and mono[1:].abs().max() == 0


def test_mono_recordings_and_unknown_controls_are_refused():
    recording = SpatialAudio.from_array(noise(1), RATE, "mono")
    for name in ("mono", "swapped"):
        with pytest.raises(ChannelError, match="the recording is mono"):
            control(name)(recording)
    with pytest.raises(ConfigError, match="no control is called 'noise'; there are silence"):
        control("noise")


def asks(kind: str, question: str, answer: str) -> SpatialQuestion:
    return SpatialQuestion("audio/s", kind, question, answer, scene_id="s")


@pytest.mark.parametrize(
    ("kind", "question", "answer", "mirrored"),
    [
        ("DOA", "Left or right?", "left, front, above; 2m", "right, front, above; 2m"),
        ("MIXUP_SINGLE_DOA", "Where?", "right, behind, below; 1m", "left, behind, below; 1m"),
        ("CLASSIFICATION", "What is on the left?", "bell", "bell"),
        ("MIXUP_SINGLE_CLASSIFICATION", "What is above me?", "bell", "bell"),
        ("MIXUP_SINGLE_CLASSIFICATION", "What is on the left?", "bell", None),
        ("MIXUP_DIRECTION", "Is the dog left of the rain?", "Yes", "No"),
        ("MIXUP_DIRECTION", "Is the dog to the Right of the rain?", "no", "Yes"),
        ("MIXUP_DIRECTION", "Is the dog above the rain?", "Yes", "Yes"),
        ("MIXUP_DISTANCE_BOTH", "Is the dog closer?", "No", "No"),
        ("MIXUP_NONBINARY_DIRECTION", "Left or right?", "left", "right"),
        ("MIXUP_NONBINARY_DIRECTION", "Above or below?", "above", "above"),
        ("MIXUP_NONBINARY_DISTANCE", "How far?", "2m", "2m"),
        ("MIXUP_NONBINARY_SOURCE", "Which is more to the left?", "bell", None),
        ("MIXUP_NONBINARY_SOURCE", "Which is closer?", "bell", "bell"),
    ],
)
def test_answers_after_the_exchange(kind: str, question: str, answer: str, mirrored: str | None) -> None:
    assert mirrored_answer(asks(kind, question, answer)) == mirrored


def test_mirrored_answers_are_those_of_the_mirrored_scene():
    # the same seed asks the same of a scene and of its mirror image, but for the words of left and right
    weights = {"DOA": 1.0, "MIXUP_SINGLE_DOA": 1.0, "MIXUP_DISTANCE_BOTH": 1.0, "MIXUP_NONBINARY_DISTANCE": 1.0}
    places = (("bell", 70.0, 20.0, 1.0), ("rain", -40.0, -10.0, 3.0))
    mirror = tuple((name, -azimuth, elevation, distance) for name, azimuth, elevation, distance in places)
    for count in (1, 2):
        here = SceneQuestions([scene(*places[:count])], QuestionSettings(weights), per_scene=50)
        there = SceneQuestions([scene(*mirror[:count])], QuestionSettings(weights), per_scene=50)
        for one, other in zip(here, there, strict=True):
            assert one.question == other.question and mirrored_answer(one) == other.answer
