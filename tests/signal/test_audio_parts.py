"""A recording in parts is the whole one: its samples at any rate, its length, what is doubtful, what is refused."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import AudioFileError, AudioValueError, ChannelError, ConfigError, FormatWarning
from spatial_audio_lm.signal.audio_parts import AudioParts
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 8_000
READ = 4 * RATE  # samples of a file that are read at once
Write = Callable[..., Path]


def noise(channels: int, samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(samples))


def joined(parts: list[SpatialAudio]) -> torch.Tensor:
    return torch.cat([part.waveform for part in parts], dim=1)


@pytest.mark.parametrize("samples", [2, 3, 999, 1_000, 1_001, 2_000, READ, READ + 1, READ + 2, 2 * READ + 1, 70_123])
@pytest.mark.parametrize(("size", "spare"), [(1_000, 1), (1_000, 333), (500, 2_000), (50_000, 1)])
def test_parts_are_the_recording(write_sound: Write, samples: int, size: int, spare: int) -> None:
    path = write_sound(noise(2, samples).numpy(), rate=RATE, subtype="PCM_24")
    whole = SpatialAudio.load(path)
    for source in (path, whole):
        walk = AudioParts(source)
        for _ in range(2):
            parts = list(walk.parts(size, spare))
            assert torch.equal(joined(parts), whole.waveform)
            assert walk.duration_s == whole.duration_s and walk.resampled_from is None
        lengths = [part.waveform.shape[1] for part in parts]
        assert lengths[:-1] == [size] * (len(lengths) - 1) and lengths[-1] <= size + spare
        assert len(lengths) == 1 or lengths[-1] > spare
        assert {(part.format, part.sample_rate, part.path) for part in parts} == {("binaural", RATE, str(path))}


@pytest.mark.parametrize("rate", [16_000, 4_000, 11_025])
@pytest.mark.parametrize("samples", [40, READ + 1, 100_001])
def test_parts_at_another_rate(write_sound: Write, rate: int, samples: int) -> None:
    path = write_sound(noise(1, samples).numpy(), rate=RATE, subtype="PCM_24")
    whole = SpatialAudio.load(path)
    for source in (path, whole):
        walk = AudioParts(source, rate)
        parts = list(walk.parts(7_000))
        torch.testing.assert_close(joined(parts), whole.resample(rate).waveform, atol=1e-6, rtol=0)
        assert walk.resampled_from == RATE and walk.duration_s == whole.duration_s
        assert {(part.sample_rate, part.resampled_from) for part in parts} == {(rate, RATE)}


def test_a_recording_that_was_resampled_before_keeps_that() -> None:
    (part,) = AudioParts(SpatialAudio(noise(1, 4_000), RATE, "mono").resample(16_000)).parts(16_000)
    assert part.resampled_from == RATE


def test_the_convention_of_ambisonics(write_sound: Write) -> None:
    path = write_sound(noise(4, 50_000).numpy(), rate=RATE, subtype="PCM_24")
    parts = list(AudioParts(path, format="foa_fuma").parts(9_000))
    assert torch.equal(joined(parts), SpatialAudio.load(path, "foa_fuma").waveform)
    with pytest.raises(ChannelError, match="4 channels, but format 'binaural' has 2"):
        next(AudioParts(path, format="binaural").parts(9_000))


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_what_is_doubtful_is_said_once_and_stays(write_sound: Write, suffix: str) -> None:
    path = write_sound(noise(2, 90_000).numpy(), f"sound.{suffix}", rate=RATE, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 4])
    with pytest.warns(FormatWarning, match="cut off"):
        whole = SpatialAudio.load(path)
    walk = AudioParts(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            parts = list(walk.parts(20_000))
    assert [str(one.message) for one in caught] == list(whole.warnings) == list(walk.warnings)
    assert parts[-1].warnings == whole.warnings and torch.equal(joined(parts), whole.waveform)
    assert walk.duration_s == whole.duration_s < 90_000 / RATE


def test_what_is_made_of_every_part() -> None:
    def left(part: SpatialAudio) -> SpatialAudio:
        return SpatialAudio(part.waveform[:1], part.sample_rate, "mono")

    recording = SpatialAudio(noise(2, 5_000), RATE, "binaural")
    parts = list(AudioParts(recording, heard=left).parts(2_000))
    assert torch.equal(joined(parts), recording.waveform[:1])


def test_what_is_refused(write_sound: Write, tmp_path: Path) -> None:
    recording = SpatialAudio(noise(1, 5_000), RATE, "mono")
    for samples, spare in ((0, 1), (1, 0)):
        with pytest.raises(ConfigError, match=f"parts of {samples} samples with {spare} to spare"):
            next(AudioParts(recording).parts(samples, spare))
    with pytest.raises(AudioValueError, match="recording is a Tensor; expected SpatialAudio, or the path of a file"):
        AudioParts(recording.waveform)  # type: ignore[arg-type]
    with pytest.raises(AudioFileError, match="no such file"):
        AudioParts(tmp_path / "none.wav")
    samples = noise(1, 300_000).numpy()
    samples[0, 270_000] = np.nan
    walk = AudioParts(write_sound(samples, rate=RATE, subtype="FLOAT")).parts(10_000)
    assert next(walk).duration_s == 1.25
    with pytest.raises(AudioValueError, match=r"sound\.wav: the sample at frame 270000, channel 0 is NaN"):
        list(walk)
