"""Scene embeddings of every encoder of the package and of the log-mel baseline: shapes, poolings, what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from spatial_audio_lm.errors import ChannelError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.files import write_json
from spatial_audio_lm.models.audio_mae.configuration_audio_mae import AudioMAEConfig
from spatial_audio_lm.models.audio_mae.feature_extraction_audio_mae import AudioMAEFeatureExtractor
from spatial_audio_lm.models.audio_mae.modeling_audio_mae import AudioMAEForPreTraining, AudioMAEModel
from spatial_audio_lm.models.gram.configuration_gram import GramConfig
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.modeling_gram import GramModel
from spatial_audio_lm.pipelines import scene_embeddings
from spatial_audio_lm.pipelines.scene_embeddings import LogMelEmbedder, SceneEncoder, embed_all
from spatial_audio_lm.signal.spatial_audio import CHANNELS_OF_FORMAT, SpatialAudio
from tests.models.model_cases import SMALL_WAVJEPA

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}


def sound(format: str, rate: int = 16_000, seconds: float = 1.0, seed: int = 0) -> SpatialAudio:
    generator = torch.Generator().manual_seed(seed)
    return SpatialAudio(
        0.1 * torch.randn(CHANNELS_OF_FORMAT[format], round(seconds * rate), generator=generator), rate, format
    )


@pytest.fixture(scope="module")
def audio_mae() -> SceneEncoder:
    torch.manual_seed(0)
    model = AudioMAEModel(AudioMAEConfig(num_frames=256, **SIZES))
    return SceneEncoder(model, AudioMAEFeatureExtractor(num_frames=256))


def gram(format: str, **options: Any) -> SceneEncoder:
    return SceneEncoder.new("gram", {"audio_format": format} | SIZES, 0, **options)


@pytest.mark.parametrize("format", ["mono", "binaural", "foa"])
def test_gram_hears_clips_of_any_length(format: str) -> None:
    clips = [sound(format, 32_000, 1.3), sound(format, 32_000, 3.1, seed=1), sound(format, 16_000, 0.7, seed=2)]
    encoder = gram(format)
    together = encoder.embed(clips)
    assert together.vectors.shape == (3, 8 * 32) and together.vectors.dtype == torch.float32
    assert together.resampled == 1 and not encoder.model.training
    for row, clip in zip(together.vectors, clips, strict=True):
        assert torch.allclose(encoder.embed([clip]).vectors[0], row, atol=1e-5)
    features = encoder.extractor([clips[0]])
    output = encoder.model(**features)
    for pooling, expected in (("cls", output.scene_cls), ("mean", output.scene_mean), ("raw", output.scene_raw)):
        assert torch.allclose(gram(format, pooling=pooling).embed(clips[:1]).vectors, expected, atol=1e-5), pooling


@pytest.mark.parametrize("format", ["mono", "binaural"])
def test_wavjepa_hears_clips_of_any_length(format: str) -> None:
    channels = CHANNELS_OF_FORMAT[format]
    settings = SMALL_WAVJEPA | {"num_channels": channels}
    encoder = SceneEncoder.new("wavjepa", settings, 0)
    clips = [sound(format, 16_000, 0.13), sound(format, 16_000, 0.31, seed=1), sound(format, 32_000, 0.07, seed=2)]
    together = encoder.embed(clips)
    assert together.vectors.shape == (3, 32) and together.resampled == 1
    for row, clip in zip(together.vectors, clips, strict=True):
        assert torch.allclose(encoder.embed([clip]).vectors[0], row, atol=1e-5)
    output = encoder.model(**encoder.extractor([clips[1]]))
    for pooling, expected in (("mean", output.scene_mean), ("channels", output.scene_channels)):
        vectors = SceneEncoder.new("wavjepa", settings, 0, pooling=pooling).embed(clips[1:2]).vectors
        assert torch.allclose(vectors, expected, atol=1e-5), pooling
    if format == "binaural":
        mono = [sound("mono", 16_000, 0.2)]
        with pytest.raises(ChannelError, match=r"this wavjepa hears binaural .* mono='duplicate'"):
            encoder.embed(mono)
        assert SceneEncoder.new("wavjepa", settings, 0, mono="duplicate").embed(mono).vectors.shape == (1, 32)


@pytest.mark.parametrize("name, value", [("window_samples", 16_159), ("sampling_rate", 32_000), ("feature_size", 2)])
def test_a_wavjepa_with_the_windows_of_another_is_refused(tmp_path: Path, name: str, value: int) -> None:
    encoder = SceneEncoder.new("wavjepa", SMALL_WAVJEPA, 0)
    encoder.model.save_pretrained(tmp_path)
    encoder.extractor.save_pretrained(tmp_path)
    assert SceneEncoder.from_pretrained(tmp_path).kind == "wavjepa"
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    write_json(tmp_path / "preprocessor_config.json", settings | {name: value})
    shown = "num_channels" if name == "feature_size" else name
    with pytest.raises(CheckpointError, match=rf"{shown} is {value} in the feature extractor and .* in the model"):
        SceneEncoder.from_pretrained(tmp_path)


def test_same_seed_same_new_encoder() -> None:
    clip = [sound("binaural", 32_000)]
    vectors = [SceneEncoder.new("gram", SIZES, seed).embed(clip).vectors for seed in (0, 0, 1)]
    assert torch.equal(vectors[0], vectors[1]) and not torch.allclose(vectors[0], vectors[2])


def test_audio_mae_averages_the_chunks_of_a_long_clip(audio_mae: SceneEncoder) -> None:
    brief, long = sound("mono", seconds=1.5), sound("mono", seconds=6.0)
    both = audio_mae.embed([long, brief]).vectors
    assert both.shape == (2, 32)
    chunk = audio_mae.extractor.chunk_samples
    parts = [SpatialAudio(long.waveform[:, start : start + chunk], 16_000, "mono") for start in range(0, 96_000, chunk)]
    assert torch.allclose(audio_mae.embed(parts).vectors.mean(0), both[0], atol=1e-5)
    expected = audio_mae.model(**audio_mae.extractor([brief]))
    assert torch.allclose(both[1], expected.pooler_output[0], atol=1e-5)
    cls = SceneEncoder(audio_mae.model, audio_mae.extractor, "cls")
    assert torch.allclose(cls.embed([brief]).vectors, expected.last_hidden_state[:, 0], atol=1e-5)


def test_encoders_with_two_ears(tiny_dspast: Path, tiny_spatial_ast: Path) -> None:
    clips = [sound("binaural", seconds=1.0), sound("binaural", 48_000, 9.0)]
    for folder in (tiny_dspast, tiny_spatial_ast):
        cls = SceneEncoder.from_pretrained(folder)
        count, size = cls.model.config.num_cls_tokens, cls.model.config.hidden_size
        embedded = cls.embed(clips)
        assert embedded.resampled == 1 and torch.isfinite(embedded.vectors).all()
        features = cls.extractor(clips[:1])
        tokens = cls.model(**features).last_hidden_state
        assert torch.allclose(embedded.vectors[:1], tokens[:, :count].flatten(1), atol=1e-4)
        mean = SceneEncoder.from_pretrained(folder, "mean").embed(clips).vectors
        assert torch.allclose(mean[:1], tokens[:, count:].mean(1), atol=1e-4)
        if cls.kind == "spatial_ast":
            assert embedded.vectors.shape == (2, count * size)


def test_elsa_hears_mono_as_it_is(tiny_elsa: Path) -> None:
    encoder = SceneEncoder.from_pretrained(tiny_elsa)
    vectors = encoder.embed([sound("mono"), sound("mono", seconds=6.0)]).vectors
    assert len(vectors) == 2 and torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)
    assert encoder.embed([sound("foa")]).vectors.shape[1] == vectors.shape[1]


def test_weights_of_a_folder_and_new_ones(tmp_path: Path) -> None:
    torch.manual_seed(3)
    whole = AudioMAEForPreTraining(AudioMAEConfig(num_frames=256, decoder_hidden_size=32, **SIZES))
    whole.save_pretrained(tmp_path)
    AudioMAEFeatureExtractor(num_frames=256).save_pretrained(tmp_path)
    clip = [sound("mono")]
    loaded = SceneEncoder.from_pretrained(tmp_path).embed(clip).vectors
    own = SceneEncoder(whole.audio_mae, AudioMAEFeatureExtractor(num_frames=256)).embed(clip).vectors
    assert torch.allclose(loaded, own, atol=1e-6)
    new = [SceneEncoder.from_pretrained(tmp_path, untrained=seed).embed(clip).vectors for seed in (0, 0, 1)]
    assert torch.equal(new[0], new[1]) and not torch.allclose(new[0], new[2]) and not torch.allclose(new[0], loaded)


def test_layers_that_were_never_trained_are_refused(tiny_dspast: Path, tmp_path: Path) -> None:
    """A converter's folder to begin a training with; its blocks may still be compared as what they are: new."""
    folder = Path(shutil.copytree(tiny_dspast, tmp_path / "begun"))
    write_json(folder / "conversion.json", {"layout": "audio_mae"})
    with pytest.raises(CheckpointError, match="new, random layers: train it first"):
        SceneEncoder.from_pretrained(folder)
    assert SceneEncoder.from_pretrained(folder, untrained=0).kind == "dspast"


def test_a_long_recording_is_the_mean_of_all_its_rows(audio_mae: SceneEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [sound("mono", seconds=7.0), sound("mono", seconds=1.0, seed=1), sound("mono", seconds=5.0, seed=2)]
    together = audio_mae.embed(clips).vectors
    monkeypatch.setattr(scene_embeddings, "_ROWS_AT_ONCE", 2)
    assert torch.allclose(audio_mae.embed(clips).vectors, together, atol=1e-5)


def test_one_channel_where_more_are_heard() -> None:
    clip = sound("mono", 32_000)
    with pytest.raises(ChannelError, match=r"is mono \(1 channels\), this gram hears binaural .* \(--mono duplicate\)"):
        gram("binaural").embed([clip])
    heard = gram("binaural", mono="duplicate").embed([clip]).vectors
    copies = SpatialAudio(clip.waveform.repeat(2, 1), 32_000, "binaural")
    assert torch.equal(heard, gram("binaural").embed([copies]).vectors)


def test_ambisonics_of_another_convention_get_one_channel_in_all() -> None:
    config = GramConfig(audio_format="foa", channel_convention="gram", **SIZES)
    torch.manual_seed(0)
    model, extractor = GramModel(config), GramFeatureExtractor.for_model(config)
    clip = sound("mono", 32_000)
    expected = model.eval()(**extractor(clip, mono="duplicate")).scene_raw
    assert torch.allclose(SceneEncoder(model, extractor, mono="duplicate").embed([clip]).vectors, expected, atol=1e-5)


def test_log_mel_baseline() -> None:
    encoder = LogMelEmbedder()
    clips = [sound("binaural", 44_100), sound("binaural", 16_000, 0.4)]
    embedded = encoder.embed(clips)
    assert embedded.vectors.shape == (2, 512) and embedded.resampled == 1
    left = SpatialAudio(clips[0].waveform[:1], 44_100, "mono")
    assert torch.allclose(encoder.embed([left]).vectors[0], embedded.vectors[0, :256], atol=1e-4)
    silence = SpatialAudio(torch.zeros(1, 44_100), 44_100, "mono")
    assert torch.allclose(encoder.embed([silence]).vectors, torch.tensor(1e-4).log().expand(1, 256), atol=1e-5)


def test_batches_do_not_change_anything() -> None:
    encoder = gram("mono")
    clips = [sound("mono", 32_000, seed=seed) for seed in range(5)]
    assert torch.allclose(embed_all(encoder, clips, 2).vectors, embed_all(encoder, clips, 5).vectors, atol=1e-5)


def test_what_does_not_fit_is_refused(audio_mae: SceneEncoder, tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match=r"is foa \(4 channels\), this audio_mae hears mono \(1 channels\): give"):
        audio_mae.embed([sound("foa")])
    with pytest.raises(ChannelError, match="recordings are mono and foa; expected one format"):
        embed_all(LogMelEmbedder(), [sound("mono"), sound("foa")], 1)
    with pytest.raises(DataError, match="no recording to embed"):
        embed_all(LogMelEmbedder(), [], 1)
    with pytest.raises(ConfigError, match="pooling is 'raw'; audio_mae has mean, cls"):
        SceneEncoder(audio_mae.model, audio_mae.extractor, "raw")
    with pytest.raises(ConfigError, match="mono is 'double'"):
        SceneEncoder(audio_mae.model, audio_mae.extractor, mono="double")
    with pytest.raises(ConfigError, match="only gram and wavjepa are made"):
        SceneEncoder.new("elsa", {}, 0)
    for other in ({"channel_convention": "gram"}, {"audio_format": "mono"}, {"sampling_rate": 16_000}):
        extractor = GramFeatureExtractor(**({"audio_format": "foa"} | other))
        with pytest.raises(
            CheckpointError, match=r"the feature extractor has .*, the model \['foa', 'ambix', 128, 32000"
        ):
            SceneEncoder(gram("foa").model, extractor)
    write_json(tmp_path / "config.json", {"model_type": "bert"})
    with pytest.raises(CheckpointError, match="a model of type 'bert'; scene embeddings come from one of gram"):
        SceneEncoder.from_pretrained(tmp_path)
