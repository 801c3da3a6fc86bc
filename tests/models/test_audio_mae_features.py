"""The door of Audio-MAE: what goes in, how it is filled and scaled, what is refused, how long recordings are heard."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor

from spatial_audio_lm import AudioMAEFeatureExtractor
from spatial_audio_lm.errors import AudioFileError, AudioValueError, ChannelError, ConfigError, SampleRateError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 16_000
SMALL = {"feature_size": 23, "num_frames": 64}


def clip(duration_s: float, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(round(duration_s * RATE), generator=torch.Generator().manual_seed(seed))


def small() -> AudioMAEFeatureExtractor:
    return AudioMAEFeatureExtractor(**SMALL)


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
def test_same_as_the_front_end_of_ast_in_transformers() -> None:
    reference = ASTFeatureExtractor()  # fills, cuts and scales alike, with AudioSet's numbers
    for waveform in (clip(1.0), clip(10.0, 1)):
        expected = reference(waveform.numpy(), sampling_rate=RATE, return_tensors="pt")["input_values"]
        ours = AudioMAEFeatureExtractor()(waveform, sampling_rate=RATE)["input_features"]
        assert ours.shape == (1, 1, 1024, 128) and ours.dtype == torch.float32
        torch.testing.assert_close(ours[:, 0], expected, atol=1e-3, rtol=0)


def test_rows_are_filled_before_they_are_scaled() -> None:
    features = small()(clip(0.3), RATE)["input_features"][0, 0]
    frames = 1 + (4800 - 400) // 160
    assert features.shape == (64, 23)
    torch.testing.assert_close(features[frames:], torch.full((64 - frames, 23), 0.46703))
    assert not (features[:frames] == features[-1, 0]).any()
    silence = small()(torch.zeros(4800), RATE)["input_features"][0, 0, :frames]
    torch.testing.assert_close(silence, torch.full_like(silence, -1.27759))


@pytest.mark.parametrize(
    ("data", "mean", "std", "frames"),
    [
        ("audioset", -4.2677393, 4.5689974, 1024),
        ("esc50", -6.6268077, 5.358466, 512),
        ("speech_commands", -6.845978, 5.5654526, 128),
    ],
)
def test_published_scales(data: str, mean: float, std: float, frames: int) -> None:
    extractor = AudioMAEFeatureExtractor.published(data)
    assert (extractor.mean, extractor.std, extractor.num_frames) == (mean, std, frames)
    assert extractor.chunk_samples == {1024: 10, 512: 5, 128: 1}[frames] * RATE
    raw = extractor.extract(clip(0.5)[None])
    expected = (raw - mean) / (2 * std)
    torch.testing.assert_close(extractor(clip(0.5), RATE)["input_features"][:, 0, : raw.shape[1]], expected)


def test_every_form_of_a_recording_gives_the_same(tmp_path: Path) -> None:
    waveform = (clip(0.1) * 2**15).round() / 2**15
    recording = SpatialAudio(waveform[None], RATE, "mono")
    recording.save(tmp_path / "clip.wav")
    forms = [recording, waveform, waveform[None].numpy(), {"array": waveform.numpy(), "sampling_rate": RATE}]
    answers = [small()(form, sampling_rate=RATE) for form in [*forms, tmp_path / "clip.wav", forms]]
    for answer in answers:
        assert answer["input_features"].shape[1:] == (1, 64, 23)
        assert all(torch.equal(row, answers[0]["input_features"][0]) for row in answer["input_features"])
    assert len(answers[-1]["input_features"]) == 4
    assert isinstance(small()(recording, return_tensors="np")["input_features"], np.ndarray)


def test_long_recordings_need_a_choice() -> None:
    extractor = small()
    assert extractor.max_samples == 400 + 64 * 160 - 1 and AudioMAEFeatureExtractor().max_samples == 164_239
    longest = clip(1.0)[: extractor.max_samples]
    assert extractor.extract(longest[None]).shape[1] == 64
    assert extractor(longest, RATE)["input_features"].shape == (1, 1, 64, 23)
    long = clip(1.5)
    with pytest.raises(AudioValueError, match=r"1.50 s \(24000 samples\).*'first'.*'chunks'"):
        extractor(long, RATE)
    first = extractor(long, RATE, long_audio="first")["input_features"]
    assert torch.equal(first, extractor(longest_of(long), RATE)["input_features"])
    chunks = extractor([long, clip(0.2)], RATE, long_audio="chunks")
    size = extractor.chunk_samples
    assert size == 64 * 160 and chunks["recording_index"].tolist() == [0, 0, 0, 1]
    starts = [0, size, 24_000 - size, 0]
    assert chunks["start_s"].tolist() == pytest.approx([start / RATE for start in starts])
    for row, start in zip(chunks["input_features"], starts[:3], strict=False):
        assert torch.equal(row, extractor(long[start : start + size], RATE)["input_features"][0])


def longest_of(waveform: torch.Tensor) -> torch.Tensor:
    return waveform[: small().max_samples]


def test_what_is_refused(tmp_path: Path) -> None:
    extractor = small()
    bad = clip(0.1)
    bad[7] = float("nan")
    for audio, rate, error, message in (
        (clip(0.1), 32_000, SampleRateError, "32000 Hz; expected 16000 Hz: .* SpatialAudio's resample\\(16000\\)"),
        (clip(0.1), None, SampleRateError, "say it in Hz .sampling_rate"),
        (clip(0.1).expand(2, -1), RATE, ChannelError, r"binaural \(2 channels\); expected mono"),
        (clip(0.1).expand(4, -1), RATE, ChannelError, r"foa \(4 channels\); expected mono"),
        (clip(0.1).expand(3, -1), RATE, ChannelError, "3 channels"),
        (torch.zeros(0), RATE, AudioValueError, "0 samples"),
        (clip(0.02), RATE, AudioValueError, "320 samples are too few for a frame of 400"),
        (bad, RATE, AudioValueError, "frame 7, channel 0 is nan"),
        (torch.zeros(1600, dtype=torch.int16), RATE, AudioValueError, "divide 16-bit"),
        ([], RATE, AudioValueError, "empty"),
        (tmp_path / "none.wav", None, AudioFileError, "none.wav"),
    ):
        with pytest.raises(error, match=message):
            extractor(audio, sampling_rate=rate)
    for settings in ({"num_frames": 0}, {"std": 0.0}, {"std": float("nan")}):
        with pytest.raises(ConfigError, match="num_frames"):
            AudioMAEFeatureExtractor(**settings)
    with pytest.raises(ConfigError, match="audioset, esc50, speech_commands"):
        AudioMAEFeatureExtractor.published("voxceleb")
    for choice in ({"long_audio": "cut"}, {"return_tensors": "tf"}):
        with pytest.raises(ConfigError, match=next(iter(choice))):
            extractor(clip(0.1), RATE, **choice)
