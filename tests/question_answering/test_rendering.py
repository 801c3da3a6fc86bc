"""SpatialSoundQA's rendering beyond the parity case: what it owes to each part, and what it refuses."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.data.spatial_sound import CLIP_RMS
from spatial_audio_lm.errors import AudioFileError, ConfigError, DataError, RecordError
from spatial_audio_lm.question_answering.availability import available_questions
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.question_answering.rendering import SpatialSoundRenderer
from tests.data.spatial_sound_copy import write_copy, write_sound

RATE = 32_000


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return write_copy(tmp_path / "copy")


def renderer(copy: Path, seconds: float = 0.5) -> SpatialSoundRenderer:
    return SpatialSoundRenderer(copy / "AudioSet", copy / "mp3d_reverb/binaural", seconds)


def asks(
    clip: str = "0", response: str | None = "house_a/0.npy", clip2: str | None = None, response2: str | None = None
) -> SpatialQuestion:
    folder = "balanced_train/audio/Y"
    second = None if clip2 is None else folder + clip2
    return SpatialQuestion(folder + clip, "DOA", "Where?", "left", response, second, response2)


def test_two_sources_are_the_mean_of_each_by_itself(copy: Path) -> None:
    render = renderer(copy)
    both = render(asks("0", "house_a/0.npy", "1", "house_b/1.npy"))
    mean = (render(asks()).waveform + render(asks("1", "house_b/1.npy")).waveform) / 2
    assert both.format == "binaural" and both.sample_rate == RATE and both.waveform.shape == (2, RATE // 2)
    torch.testing.assert_close(both.waveform, mean, atol=1e-6, rtol=1e-5)


def test_without_a_response_the_clip_is_heard_at_its_level(copy: Path) -> None:
    sound = renderer(copy, 0.3)(asks(response=None))
    assert sound.format == "mono"
    assert sound.waveform.square().mean().sqrt() == pytest.approx(CLIP_RMS, rel=1e-4)


def test_the_level_of_the_file_does_not_matter_and_only_its_first_channel_does(copy: Path) -> None:
    render = renderer(copy)
    before = render(asks()).waveform
    noise = 0.1 * torch.randn(1, 9600, generator=torch.Generator().manual_seed(0))
    dry = SpatialSoundRenderer(copy / "AudioSet", copy, 0.3)(asks(response=None)).waveform
    write_sound(copy, 0, torch.cat([dry * 0.3, noise]))
    torch.testing.assert_close(render(asks()).waveform, before, atol=1e-4, rtol=1e-3)


def test_the_whole_response_is_used_and_silence_stays_silent(copy: Path) -> None:
    late = np.zeros((2, 3 * RATE))
    late[:, -1] = 1.0  # beyond the two seconds that SpatialAST is trained with
    np.save(copy / "mp3d_reverb/binaural/house_a/0.npy", late)
    sound = renderer(copy, 4.0)(asks()).waveform
    assert sound[:, : 3 * RATE - 1].abs().max() < 1e-6 and sound[:, 3 * RATE :].abs().max() > 0.05
    write_sound(copy, 1, torch.zeros(1, 3200))
    assert renderer(copy)(asks("1")).waveform.abs().max() == 0


def test_another_rate_is_resampled(copy: Path) -> None:
    time = torch.arange(RATE // 2) / RATE
    write_sound(copy, 0, 0.5 * torch.sin(2 * torch.pi * 440 * time)[None])
    wanted = renderer(copy)(asks(response=None)).waveform
    time = torch.arange(8_000) / 16_000
    write_sound(copy, 0, 0.5 * torch.sin(2 * torch.pi * 440 * time)[None], rate=16_000)
    got = renderer(copy)(asks(response=None)).waveform
    assert (got - wanted)[:, 2000:-2000].abs().max() < 0.01


def test_what_does_not_belong_together_is_refused(copy: Path) -> None:
    render = renderer(copy)
    with pytest.raises(RecordError, match="one has a response and the other has none"):
        render(asks("0", "house_a/0.npy", "1"))
    with pytest.raises(RecordError, match="scene s is a whole recording"):
        render(SpatialQuestion("audio/s", "DOA", "Where?", "left", scene_id="s"))
    with pytest.raises(DataError, match=r"Y9\.wav: no such clip"):
        render(asks("9"))
    np.save(copy / "mp3d_reverb/binaural/house_a/0.npy", np.zeros((4, 100)))
    with pytest.raises(DataError, match=r"shape \(4, 100\); expected floats \(2, time\)"):
        render(asks())
    np.save(copy / "mp3d_reverb/binaural/house_a/0.npy", np.full((2, 100), np.nan))
    with pytest.raises(DataError, match="NaN or infinity"):
        render(asks())
    for seconds in (0.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="duration_s"):
            SpatialSoundRenderer(copy, copy, seconds)


def test_a_damaged_clip_is_refused(copy: Path) -> None:
    path = copy / "AudioSet/balanced_train/audio/Y0.wav"
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(AudioFileError, match="samples are missing at its end"):
        renderer(copy)(asks())


def test_missing_files_are_named_and_counted(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    render = renderer(copy)
    questions = [asks(), asks("9"), asks("1", "house_c/0.npy"), asks("0", "house_a/0.npy", "9", "house_a/1.npy")]
    with pytest.raises(DataError, match=r"3 of 4 questions need 2 files .*Y9\.wav, .*house_c/0\.npy; copy them"):
        available_questions(questions, render.files_of)
    with caplog.at_level(logging.WARNING):
        found = available_questions(questions, render.files_of, skip_missing=True)
    assert found.present == questions[:1] and found.left_out == 3
    assert [path.name for path in found.missing] == ["Y9.wav", "0.npy"]
    assert "3 of 4 questions need 2 files" in caplog.text
    assert available_questions(questions[:1], render.files_of).left_out == 0
    with pytest.raises(DataError, match="1 of 1 questions"):
        available_questions(questions[1:2], render.files_of, skip_missing=True)
