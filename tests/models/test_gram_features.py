"""What GRAM's front end hears and refuses."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError, ChannelError, ConfigError, SampleRateError
from spatial_audio_lm.models.gram.configuration_gram import GramConfig
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.signal.ambisonics import encode_foa
from spatial_audio_lm.signal.mel import mel_filters
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 32_000


def sound(channels: int, samples: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("audio_format", "channels", "maps"), [("mono", 1, 1), ("binaural", 2, 2), ("foa", 4, 7)])
def test_each_kind_of_recording(audio_format: str, channels: int, maps: int) -> None:
    extractor = GramFeatureExtractor(audio_format)
    given = extractor(sound(channels, 64_000), sampling_rate=RATE)
    assert given["input_features"].shape == (1, maps, 201, 128) and given["attention_mask"].shape == (1, 201)
    assert torch.equal(given["input_features"], extractor.extract(sound(channels, 64_000)[None]))
    numpy = extractor(sound(channels, 64_000).numpy(), sampling_rate=RATE, return_tensors="np")
    assert numpy["input_features"].tolist() == given["input_features"].tolist()


def test_clips_of_different_lengths() -> None:
    extractor = GramFeatureExtractor()
    clips = [sound(2, samples, seed) for seed, samples in enumerate((40_000, 600, 9_999))]
    given = extractor(clips, sampling_rate=RATE)
    assert given["attention_mask"].sum(1).tolist() == [126, 2, 32]
    for row, mask, clip in zip(given["input_features"], given["attention_mask"].bool(), clips, strict=True):
        alone = extractor(clip, sampling_rate=RATE)["input_features"][0]
        assert torch.equal(row[:, mask], alone) and not row[:, ~mask].any()


def test_the_floors_of_pretraining_and_extraction() -> None:
    silence = torch.zeros(2, 4_000)
    for variant, floors in (("binaural-patch", (2.0**-23, 1e-5)), ("mono-patch", (2.0**-23, 1e-5))):
        config = GramConfig.published(variant)
        for pretraining, floor in zip((False, True), floors, strict=True):
            extractor = GramFeatureExtractor.for_model(config, pretraining)
            quiet = extractor(silence[: config.num_feature_maps], sampling_rate=RATE)["input_features"]
            assert torch.equal(quiet, torch.full_like(quiet, floor).log())
    new = GramConfig()
    assert new.log_floor == new.pretraining_log_floor == GramFeatureExtractor().log_floor


def test_ambisonics_in_the_order_and_with_the_gains_of_the_checkpoint() -> None:
    """To the published weights a source on the left comes from -ch3, one above from ch1, one in front from -ch2."""
    extractor = GramFeatureExtractor.for_model(GramConfig.published("ambisonics-patch"))
    assert extractor.channel_convention == "gram"
    weights = mel_filters(128, 1024, RATE, 50.0, 16_000.0, "htk").sum(0)
    for direction, (channel, sign) in {(90, 0): (2, -1), (0, 90): (0, 1), (0, 0): (1, -1)}.items():
        wave = encode_foa(sound(1, 16_000)[0], *direction)
        vectors = extractor(wave, sampling_rate=RATE)["input_features"][0, 4:]
        expected = torch.zeros_like(vectors)
        expected[channel] = sign * 0.8660254 * weights  # 2 sqrt(3) / (1 + 3)
        torch.testing.assert_close(vectors, expected, atol=0.02, rtol=0.01)


def test_one_channel_in_all() -> None:
    mono = sound(1, 8_000)
    both = GramFeatureExtractor()(mono, sampling_rate=RATE, mono="duplicate")["input_features"]
    assert torch.equal(both[:, 0], both[:, 1])
    weights = mel_filters(128, 1024, RATE, 50.0, 16_000.0, "htk").sum(0)
    for convention in ("ambix", "gram"):
        extractor = GramFeatureExtractor("foa", channel_convention=convention)
        maps = extractor(mono, sampling_rate=RATE, mono="duplicate")["input_features"][0]
        torch.testing.assert_close(maps[:4], maps[:1].expand(4, -1, -1))
        torch.testing.assert_close(maps[4:], (0.5 * weights).expand_as(maps[4:]), atol=0.02, rtol=0.01)


def test_what_is_refused(tmp_path: Path) -> None:
    two_ears, four = GramFeatureExtractor(), GramFeatureExtractor("foa")
    with pytest.raises(ChannelError, match="mono='duplicate'"):
        two_ears(sound(1, 8_000), sampling_rate=RATE)
    with pytest.raises(ChannelError, match=r"foa.*expected binaural"):
        two_ears(sound(4, 8_000), sampling_rate=RATE)
    with pytest.raises(ChannelError, match=r"binaural.*expected foa"):
        four(sound(2, 8_000), sampling_rate=RATE)
    with pytest.raises(ChannelError, match=r"binaural.*expected mono"):
        GramFeatureExtractor("mono")(sound(2, 8_000), sampling_rate=RATE)
    with pytest.raises(ChannelError):
        two_ears(sound(3, 8_000), sampling_rate=RATE)
    for rate in (16_000, 44_100):
        with pytest.raises(SampleRateError, match="32000"):
            two_ears(sound(2, 8_000), sampling_rate=rate)
        with pytest.raises(SampleRateError, match="32000"):
            two_ears(sound(1, 8_000), sampling_rate=rate, mono="duplicate")
    with pytest.raises(SampleRateError):
        two_ears(sound(2, 8_000))
    broken = sound(2, 8_000)
    broken[1, 70] = torch.nan
    with pytest.raises(AudioValueError, match="frame 70, channel 1"):
        two_ears(broken, sampling_rate=RATE)
    for empty in (sound(2, 0), sound(2, 512), []):
        with pytest.raises(AudioValueError):
            two_ears(empty, sampling_rate=RATE)
    with pytest.raises(ConfigError, match="duplicate"):
        two_ears(sound(2, 8_000), sampling_rate=RATE, mono="left")
    with pytest.raises(ConfigError, match="return_tensors"):
        two_ears(sound(2, 8_000), sampling_rate=RATE, return_tensors="tf")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"audio_format": "stereo"}, "audio_format"),
        ({"channel_convention": "acn"}, "ambix"),
        ({"log_floor": 0}, "above"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GramFeatureExtractor(**settings)


def test_saved_and_loaded(tmp_path: Path) -> None:
    extractor = GramFeatureExtractor.for_model(GramConfig.published("ambisonics-patch"))
    extractor.save_pretrained(tmp_path)
    loaded = GramFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == extractor.to_dict()
    clip = SpatialAudio(sound(4, 4_000), RATE, "foa")
    assert torch.equal(loaded(clip)["input_features"], extractor(clip)["input_features"])
