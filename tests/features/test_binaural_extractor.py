"""The door of the two-eared encoders: what goes in, what is refused, and how long recordings are heard."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import AudioFileError, AudioValueError, ChannelError, ConfigError, SampleRateError
from spatial_audio_lm.features.binaural_extractor import BinauralFeatureExtractor
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 32_000
SMALL = {"n_fft": 256, "hop_length": 80, "feature_size": 16, "num_frames": 64, "spare_frames": 3}


def ears(duration_s: float, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(2, round(duration_s * RATE), generator=torch.Generator().manual_seed(seed))


def small() -> BinauralFeatureExtractor:
    return BinauralFeatureExtractor(**SMALL)


def test_every_form_of_a_recording_gives_the_same(tmp_path: Path) -> None:
    waveform = (ears(0.1) * 2**15).round() / 2**15
    recording = SpatialAudio(waveform, RATE, "binaural")
    recording.save(tmp_path / "clip.wav")
    forms = [recording, waveform, waveform.numpy(), {"array": waveform.numpy(), "sampling_rate": RATE}]
    answers = [small()(form, sampling_rate=RATE) for form in [*forms, tmp_path / "clip.wav", forms]]
    for answer in answers:
        assert answer["input_features"].shape[1:] == (4, 64, 16)
        assert all(torch.equal(row, answers[0]["input_features"][0]) for row in answer["input_features"])
    assert len(answers[-1]["input_features"]) == 4 and answers[0]["is_spatial"].tolist() == [True]
    assert isinstance(small()(recording, return_tensors="np")["input_features"], np.ndarray)


def test_clips_of_all_lengths_share_a_batch_and_answer_as_alone() -> None:
    clips = [SpatialAudio(ears(length, seed), RATE, "binaural") for seed, length in enumerate((0.1, 0.16, 0.05, 0.1))]
    together = small()(clips)["input_features"]
    for clip, row in zip(clips, together, strict=True):
        assert torch.allclose(small()(clip)["input_features"][0], row, rtol=1e-5, atol=1e-5)


def test_both_ears_alike_hold_no_direction() -> None:
    alike = ears(0.1)[:1].expand(2, -1).clone()
    assert small()([alike, ears(0.1), 0 * alike], RATE)["is_spatial"].tolist() == [False, True, False]


def test_a_short_clip_is_stretched_or_padded() -> None:
    clip = SpatialAudio(ears(0.08), RATE, "binaural")
    stretched = small()(clip)["input_features"]
    padded = BinauralFeatureExtractor(**SMALL, short_audio="pad")(clip)["input_features"]
    assert stretched[0, 0].min() > -40  # sound everywhere
    assert (padded[0, 0, 40:] < -90).all() and padded[0, 0, :30].min() > -40


def test_a_short_clip_is_heard_again_and_again(tmp_path: Path) -> None:
    extractor = BinauralFeatureExtractor(**SMALL, short_audio="repeat")
    extractor.save_pretrained(tmp_path)
    loaded = BinauralFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.short_audio == "repeat" and loaded.to_dict() == extractor.to_dict()
    length = extractor.chunk_samples / RATE  # 0.16 s
    quarter, odd, whole, longer = ears(length / 4), ears(0.3 * length), ears(length), ears(length + 160 / RATE)
    assert extractor.max_samples > longer.shape[1] > extractor.chunk_samples
    heard = [
        (quarter, torch.cat([quarter] * 4, dim=1)),
        (odd, torch.cat([odd] * 4, dim=1)[:, : extractor.chunk_samples]),  # the last time only its beginning
        (whole, whole),
        (longer, longer),
    ]
    for clip, as_long in heard:
        expected = small()(as_long, RATE)["input_features"]  # which stretches, but this is not short
        for made in (extractor, loaded):
            answer = made(clip, RATE)
            assert torch.equal(answer["input_features"], expected) and answer["is_spatial"].tolist() == [True]
    assert not torch.equal(small()(quarter, RATE)["input_features"], extractor(quarter, RATE)["input_features"])


def test_a_second_is_heard_four_times_in_four_seconds() -> None:
    """With the settings of the small models: 16 kHz, 208 frames."""
    settings = {"sampling_rate": 16_000, "n_fft": 512, "feature_size": 64, "frequency_max": 8000.0, "num_frames": 208}
    extractor = BinauralFeatureExtractor(**settings, short_audio="repeat")
    second = ears(0.5)  # 16,000 samples
    features = extractor(second, 16_000)["input_features"]
    assert torch.equal(features, extractor(second.repeat(1, 4), 16_000)["input_features"])
    # away from the clip's ends the frames come again after a second, which is 50 of them
    raw = extractor.extract(second.repeat(1, 4)[None])
    torch.testing.assert_close(raw[:, :, 2:49], raw[:, :, 52:99], atol=1e-3, rtol=1e-3)
    silence = torch.zeros(2, 16_000)
    assert torch.isfinite(extractor(silence, 16_000)["input_features"]).all()
    assert extractor(silence, 16_000)["is_spatial"].tolist() == [False]


def test_the_published_limit() -> None:
    published = BinauralFeatureExtractor()
    assert published.max_samples == 332_479  # 332,480 samples are 1040 frames, one patch more than there are positions
    assert published.chunk_samples == 320_000
    assert published.fit_frames(torch.zeros(1, 4, 1039, 128)).shape == (1, 4, 1024, 128)
    long = torch.zeros(2, 332_480) + 0.01
    with pytest.raises(AudioValueError, match=r"332480 samples.*10\.39 s .* at once: crop it, or say long_audio"):
        published(long, RATE)


def test_a_long_recording_by_choice() -> None:
    extractor, waveform = small(), ears(0.5)
    assert extractor.chunk_samples == 64 * 80
    first = extractor(waveform, RATE, long_audio="first")["input_features"]
    assert torch.equal(first, extractor(waveform[:, :5120], RATE)["input_features"])
    chunks = extractor([waveform, ears(0.1)], RATE, long_audio="chunks")
    assert chunks["recording_index"].tolist() == [0, 0, 0, 0, 1]
    starts = [0, 5120, 10_240, 16_000 - 5120, 0]
    assert torch.allclose(chunks["start_s"] * RATE, torch.tensor(starts, dtype=torch.float32))
    for row, start in zip(chunks["input_features"][:4], starts[:4], strict=True):
        alone = extractor(waveform[:, start : start + 5120], RATE)["input_features"][0]
        assert torch.allclose(row, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "audio, rate, error, message",
    [
        (torch.zeros(1, 9000), RATE, ChannelError, "expected binaural"),
        (torch.zeros(4, 9000), RATE, ChannelError, "expected binaural"),
        (torch.zeros(9000), RATE, ChannelError, "expected binaural"),
        (torch.zeros(2, 9000), 44_100, SampleRateError, "resample"),
        (torch.zeros(2, 9000), None, SampleRateError, "rate"),
        (torch.zeros(2, 0), RATE, AudioValueError, "samples"),
        (torch.zeros(2, 100), RATE, AudioValueError, "too few"),
        (torch.full((2, 9000), float("nan")), RATE, AudioValueError, "nan"),
        ([], RATE, AudioValueError, "empty"),
        (3, RATE, AudioValueError, "int"),
        ("no/such/file.wav", None, AudioFileError, "file.wav"),
    ],
)
def test_what_is_no_binaural_recording_is_refused(audio: object, rate: int | None, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        small()(audio, rate)


def test_settings_that_make_no_sense_are_refused() -> None:
    for settings in ({"short_audio": "loop"}, {"features": ["loudness"]}, {"num_frames": 1}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            BinauralFeatureExtractor(**settings)
    for choice in ({"long_audio": "cut"}, {"return_tensors": "tf"}):
        with pytest.raises(ConfigError, match=next(iter(choice))):
            small()(ears(0.1), RATE, **choice)
