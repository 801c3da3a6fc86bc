"""What WavJEPA's front end hears and refuses, and recordings that are too long for one answer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError, ChannelError, ConfigError, SampleRateError
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
from spatial_audio_lm.models.wavjepa.long_recordings_wavjepa import embedded_parts
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from tests.models.model_cases import SMALL_WAVJEPA

RATE = 16_000


def sound(channels: int, samples: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(seed))


def small(channels: int = 2) -> tuple[WavJEPAModel, WavJEPAFeatureExtractor]:
    torch.manual_seed(0)
    model = WavJEPAModel(WavJEPAConfig(channels, **SMALL_WAVJEPA)).eval()  # windows of 400 samples
    return model, WavJEPAFeatureExtractor.for_model(model.config)


@pytest.mark.parametrize("channels", [1, 2])
def test_windows_have_mean_zero_and_deviation_one_over_all_channels(channels: int) -> None:
    extractor = WavJEPAFeatureExtractor(channels)
    clip = sound(channels, 70_000) * torch.tensor([[1.0], [0.25]])[:channels] + 0.3
    given = extractor(clip, sampling_rate=RATE)
    values = given["input_values"][0]
    assert values.shape == clip.shape and given["attention_mask"].tolist() == [[1] * 70_000]
    for window in values.split(32_159, dim=1):
        assert abs(window.mean()) < 1e-4 and window.std().item() == pytest.approx(1.0, abs=1e-3)
    if channels == 2:  # what differs between the ears stays
        left, right = (ear - ear.mean() for ear in values[:, :32_159])
        assert (right.norm() / left.norm()).item() == pytest.approx(0.25, rel=0.05)
    numpy = extractor(clip.numpy(), sampling_rate=RATE, return_tensors="np")
    assert numpy["input_values"].tolist() == given["input_values"].tolist()


def test_the_level() -> None:
    extractor = WavJEPAFeatureExtractor(2)
    clip = extractor.at_level(sound(2, 5_000) + 0.2)
    assert 20 * clip.square().mean().sqrt().log10().item() == pytest.approx(-14.0, abs=1e-3)
    assert clip.mean() > 0.1  # no mean is taken off before
    louder = WavJEPAFeatureExtractor(2, level_dbfs=-8.0).at_level(clip)
    assert 20 * louder.square().mean().sqrt().log10().item() == pytest.approx(-8.0, abs=1e-3)
    soft, loud = (extractor(gain * sound(2, 5_000), sampling_rate=RATE)["input_values"] for gain in (1e-4, 1.0))
    torch.testing.assert_close(soft, loud)


def test_clips_of_different_lengths() -> None:
    extractor = WavJEPAFeatureExtractor(2)
    clips = [sound(2, samples, seed) for seed, samples in enumerate((40_000, 240, 32_160))]
    for published in (False, True):
        given = extractor(clips, sampling_rate=RATE, published_padding=published)
        assert given["attention_mask"].sum(1).tolist() == [40_000, 240, 32_160]
        for row, clip in zip(given["input_values"], clips, strict=True):
            alone = extractor(clip, sampling_rate=RATE, published_padding=published)["input_values"][0]
            assert alone.shape[1] == (-(-clip.shape[1] // 32_159) * 32_159 if published else clip.shape[1])
            assert torch.equal(row[:, : alone.shape[1]], alone) and not row[:, alone.shape[1] :].any()


def test_silence_within_a_recording_stays_finite() -> None:
    clip = sound(1, 3 * 32_159)
    clip[:, 32_159 : 2 * 32_159] = 0.0
    values = WavJEPAFeatureExtractor()(clip, sampling_rate=RATE)["input_values"][0]
    assert values.isfinite().all() and not values[:, 32_159 : 2 * 32_159].any()
    model, extractor = small(1)
    clip = sound(1, 1_200)
    clip[:, 400:800] = 0.0
    assert model(**extractor(clip, sampling_rate=RATE)).frame_embeddings.isfinite().all()


def test_what_is_refused() -> None:
    one, two = WavJEPAFeatureExtractor(), WavJEPAFeatureExtractor(2)
    with pytest.raises(SampleRateError, match=r"SpatialAudio's resample\(16000\); an array becomes one"):
        one(sound(1, 8_000), sampling_rate=32_000)
    with pytest.raises(SampleRateError):
        one(sound(1, 8_000))
    with pytest.raises(ChannelError, match="keep one channel as mono"):
        one(sound(2, 8_000), sampling_rate=RATE)
    with pytest.raises(ChannelError, match="mono='duplicate'"):
        two(sound(1, 8_000), sampling_rate=RATE)
    with pytest.raises(ChannelError, match="expected binaural"):
        two(sound(4, 8_000), sampling_rate=RATE)
    with pytest.raises(AudioValueError, match=r"239 samples, which make no frames.*the 240 samples \(15 ms\)"):
        one([sound(1, 8_000), sound(1, 239)], sampling_rate=RATE)
    broken = sound(2, 8_000)
    broken[1, 77] = torch.nan
    with pytest.raises(AudioValueError, match="frame 77, channel 1 is nan"):
        two(broken, sampling_rate=RATE)
    for constant in (0.0, 0.25):
        with pytest.raises(AudioValueError, match=f"are {constant:g}: its deviation is 0"):
            two(torch.full((2, 8_000), constant), sampling_rate=RATE)
    with pytest.raises(ConfigError, match="refuse, duplicate"):
        two(sound(2, 8_000), sampling_rate=RATE, mono="mix")
    with pytest.raises(ConfigError, match="'pt' or 'np'"):
        two(sound(2, 8_000), sampling_rate=RATE, return_tensors="tf")
    for settings in ({"feature_size": 4}, {"window_samples": 300}, {"conv_layers": [[4, 0, 1]]}):
        with pytest.raises(ConfigError):
            WavJEPAFeatureExtractor(**settings)


def test_one_channel_in_both_ears() -> None:
    mono = sound(1, 8_000)
    both = WavJEPAFeatureExtractor(2)(mono, sampling_rate=RATE, mono="duplicate")["input_values"]
    assert torch.equal(both[:, 0], both[:, 1])
    with pytest.raises(SampleRateError):
        WavJEPAFeatureExtractor(2)(mono, sampling_rate=8_000, mono="duplicate")


def test_settings_survive_saving(tmp_path: Path) -> None:
    _, extractor = small()
    extractor.save_pretrained(tmp_path)
    loaded = WavJEPAFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == extractor.to_dict() and loaded.window_samples == 400
    clip = sound(2, 900)
    given = [e(clip, sampling_rate=RATE)["input_values"] for e in (extractor, loaded)]
    assert torch.equal(*given)


@pytest.mark.parametrize("samples", [400 * 7 + 20, 400 * 6, 400 * 3 + 390, 35])
@pytest.mark.parametrize("windows", [1, 3])
def test_a_long_recording_part_by_part(samples: int, windows: int, tmp_path: Path) -> None:
    model, extractor = small()
    clip = SpatialAudio(sound(2, samples).clamp(-0.9, 0.9), RATE, "binaural")
    clip.save(tmp_path / "long.wav")
    whole = model(**extractor(SpatialAudio.load(tmp_path / "long.wav")))
    for recording in (SpatialAudio.load(tmp_path / "long.wav"), tmp_path / "long.wav"):
        parts = list(embedded_parts(model, extractor, recording, windows))
        assert [start for start, _ in parts] == pytest.approx([i * windows * 400 / RATE for i in range(len(parts))])
        joined = torch.cat([part.last_hidden_state for _, part in parts], dim=2)
        torch.testing.assert_close(joined, whole.last_hidden_state, atol=1e-4, rtol=1e-4)
        times = torch.cat([start + part.timestamps_s for start, part in parts], dim=1)
        torch.testing.assert_close(times, whole.timestamps_s)


def test_no_more_than_a_part_is_ever_heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model, extractor = small()
    SpatialAudio(sound(2, 400 * 50), RATE, "binaural").save(tmp_path / "long.wav")
    monkeypatch.setattr(SpatialAudio, "load", load_the_beginning(SpatialAudio.load))
    sizes = []
    for _, part in embedded_parts(model, extractor, tmp_path / "long.wav", 4):
        sizes.append(part.last_hidden_state.shape[2])
        assert not part.last_hidden_state.requires_grad
    assert sizes == [4 * 19] * 12 + [2 * 19]


def load_the_beginning(load: Any) -> Any:
    """A reader that has to be told how much to read."""

    def checked(path: Any, format: str | None = None, *, duration_s: float) -> SpatialAudio:
        result: SpatialAudio = load(path, format, duration_s=duration_s)
        return result

    return checked


def test_long_recordings_that_are_refused() -> None:
    model, extractor = small()

    def heard(clip: SpatialAudio, windows: int = 2, other: WavJEPAFeatureExtractor = extractor) -> None:
        next(embedded_parts(model, other, clip, windows))

    with pytest.raises(AudioValueError, match="34 samples, which make no frames; WavJEPA needs 35"):
        heard(SpatialAudio(sound(2, 34), RATE, "binaural"))
    with pytest.raises(AudioValueError, match="deviation is 0"):
        heard(SpatialAudio(torch.zeros(2, 4_000), RATE, "binaural"))
    with pytest.raises(SampleRateError):
        heard(SpatialAudio(sound(2, 4_000), 8_000, "binaural"))
    with pytest.raises(ConfigError, match="windows is 0"):
        heard(SpatialAudio(sound(2, 4_000), RATE, "binaural"), 0)
    with pytest.raises(ConfigError, match=r"window_samples is 32159 in the feature extractor and 400 in the model"):
        heard(SpatialAudio(sound(2, 4_000), RATE, "binaural"), 1, WavJEPAFeatureExtractor(2))
