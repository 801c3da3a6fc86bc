"""ELSA: sizes of the paper, features, losses and what the model refuses."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoProcessor, PreTrainedTokenizerFast

from spatial_audio_lm.errors import (
    AudioValueError,
    ChannelError,
    ConfigError,
    DataError,
    SampleRateError,
    TextError,
)
from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig, ElsaConvConfig, ElsaSpatialConfig
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.elsa.modeling_elsa_spatial import ElsaSpatialModel, ElsaSpatialModelForRegression
from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor
from spatial_audio_lm.signal.ambisonics import encode_foa, rotation_matrix
from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from tests.models.model_cases import CASES


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def noise(seed: int, *shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# Sizes


def test_the_papers_spatial_branch_has_485828_parameters() -> None:
    with torch.device("meta"):
        assert count(ElsaSpatialModelForRegression(ElsaSpatialConfig())) == 485_828
        assert count(ElsaSpatialModel(ElsaSpatialConfig())) == 477_336


def test_the_papers_model_has_157542881_parameters() -> None:
    """The paper counts whole parts: LAION's HTS-AT and both temperatures, the spatial branch with its 44 outputs."""
    with torch.device("meta"):
        model = ElsaModel(ElsaConfig())
    unused_here = {
        "HTS-AT's AudioSet classifier, tscam_conv": 2_428_943,
        "HTS-AT's AudioSet classifier, head": 278_256,
        "the spatial branch's 44 outputs": 192 * 44 + 44,
        "the second temperature": 1,
    }
    assert count(model) == 154_827_189
    assert count(model) + sum(unused_here.values()) == 157_542_881
    assert count(model.direction_head) == 32_962
    assert count(model.distance_head) == count(model.area_head) == 32_897


def test_the_compact_model_is_small() -> None:
    with torch.device("meta"):
        model = ElsaModel(ElsaConfig.compact())
    assert 1.8e6 < count(model) - count(model.text_model) < 2.1e6
    with torch.device("meta"):
        more = ElsaModel(
            ElsaConfig.compact(
                spatial_config=ElsaSpatialConfig(
                    architecture="compact", spatial_channels=["active", "reactive", "log_energy", "unit_active"]
                )
            )
        )
    # a vector more for the first layer, and as many direction means again
    assert count(more) - count(model) == 3 * 9 * 32 + 8 * (3 * 192 + 2)


# Features


def test_compact_features() -> None:
    extractor = ElsaFeatureExtractor.compact()
    features = extractor([noise(0, 4, 64_000), noise(1, 4, 80_000)], sampling_rate=16_000)
    assert features["input_features"].shape == (2, 1, 251, 64)
    assert features["spatial_features"].shape == (2, 7, 251, 32)
    assert features["audio_attention_mask"].sum(1).tolist() == [201, 251]
    assert features["is_spatial"].tolist() == [True, True]
    batch = extractor.extract(torch.stack([noise(0, 4, 64_000), noise(1, 4, 64_000)]))
    for name, value in batch.items():
        assert value.dtype == torch.float32
        assert torch.equal(value[0], features[name][0, :, :201]), name


def test_full_size_features_are_ten_seconds() -> None:
    extractor = ElsaFeatureExtractor()
    for seconds in (3, 10, 12):
        features = extractor(noise(0, 4, 48_000 * seconds), sampling_rate=48_000)
        assert features["input_features"].shape == (1, 1, 1001, 64)
        assert features["spatial_features"].shape == (1, 6, 1601, 257)
        assert "audio_attention_mask" not in features


def test_short_clips_are_repeated_and_long_ones_cropped() -> None:
    extractor = ElsaFeatureExtractor(sampling_rate=16_000, min_length_s=1.0, max_length_s=1.0, frequency_max=8_000)
    short, long = noise(0, 4, 6_000), noise(1, 4, 20_000)
    expected = torch.cat([short, short, torch.zeros(4, 4_000)], dim=1)
    assert torch.equal(extractor.fit_length(short), expected)
    assert torch.equal(extractor.fit_length(long), long[:, 2_000:18_000])
    extractor.crop = "start"
    assert torch.equal(extractor.fit_length(long), long[:, :16_000])
    crops = [extractor.fit_length(long, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(crops[0], crops[1])
    assert not torch.equal(crops[0], crops[2])


def test_mono_is_copied_and_says_so() -> None:
    extractor = ElsaFeatureExtractor.compact()
    mono = noise(0, 64_000)
    inputs = [SpatialAudio.from_array(mono, 16_000), encode_foa(mono, 40.0, 0.0).float(), mono.expand(4, -1)]
    features = extractor(inputs, sampling_rate=16_000)
    assert features["is_spatial"].tolist() == [False, True, False]
    assert torch.equal(features["input_features"][0], features["input_features"][1])
    assert torch.equal(features["spatial_features"][0], features["spatial_features"][2])


@pytest.mark.parametrize(
    "audio, rate, error",
    [
        (noise(0, 4, 48_000), 48_000, SampleRateError),
        (noise(0, 4, 48_000), None, SampleRateError),
        (noise(0, 2, 16_000), 16_000, ChannelError),
        (noise(0, 3, 16_000), 16_000, ChannelError),
        (noise(0, 5, 16_000), 16_000, ChannelError),
        (noise(0, 4, 1), 16_000, AudioValueError),
        (torch.full((4, 16_000), math.nan), 16_000, AudioValueError),
    ],
)
def test_what_elsa_cannot_hear_is_refused(audio: Tensor, rate: int | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        ElsaFeatureExtractor.compact()(audio, sampling_rate=rate)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="frame rates"):
        ElsaFeatureExtractor(min_length_s=4.0)
    with pytest.raises(ConfigError, match="architecture"):
        ElsaSpatialConfig(architecture="large")
    with pytest.raises(ConfigError, match="6 channels"):
        ElsaSpatialConfig(spatial_channels=["unit_active"])
    with pytest.raises(ConfigError, match="losses are"):
        ElsaConfig.compact(loss_weights={"reverb": 1.0})
    with pytest.raises(ConfigError, match="stage"):
        ElsaConvConfig(stage_channels=[[8], []])


@pytest.mark.parametrize("gain", [10.0, 0.01])
def test_the_compact_model_does_not_hear_the_level(gain: float) -> None:
    extractor, model = ElsaFeatureExtractor.compact(), full_width_compact_elsa()
    waveform = encode_foa(noise(0, 70_000), -60.0, 20.0).float() + noise(1, 4, 70_000)
    with torch.no_grad():
        plain, scaled = (
            model.get_audio_features(**extractor(factor * waveform, sampling_rate=16_000)).pooler_output
            for factor in (1.0, gain)
        )
    assert (plain - scaled).abs().max() < 1e-4


def test_clips_of_different_length_share_a_batch_exactly() -> None:
    extractor, model = ElsaFeatureExtractor.compact(), full_width_compact_elsa()
    clips = [noise(seed, 4, length) for seed, length in enumerate((20_000, 64_000, 100_001, 72_345))]
    with torch.no_grad():
        together = model.get_audio_features(**extractor(clips, sampling_rate=16_000)).pooler_output
        for index, clip in enumerate(clips):
            alone = model.get_audio_features(**extractor(clip, sampling_rate=16_000)).pooler_output[0]
            assert (alone - together[index]).abs().max() < 1e-5


def full_width_compact_elsa() -> ElsaModel:
    torch.manual_seed(0)
    text = {"model_type": "electra", "vocab_size": 50, "embedding_size": 8, "hidden_size": 16, "num_attention_heads": 2}
    model = ElsaModel(ElsaConfig.compact(text_config=text | {"num_hidden_layers": 1, "intermediate_size": 16}))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, std=0.3)
    return model.eval()


# Model


def test_embeddings_are_normalised_and_logits_are_scaled_cosines() -> None:
    model = CASES["elsa_compact"].build()
    inputs = CASES["elsa_compact"].inputs(3)
    with torch.no_grad():
        output = model(**inputs)
        audio = model.get_audio_features(inputs["input_features"], inputs["spatial_features"]).pooler_output
        text = model.get_text_features(inputs["input_ids"], inputs["attention_mask"]).pooler_output
        pooled = model.pool_text(inputs["input_ids"], inputs["attention_mask"])
        sound = {name: inputs[name] for name in ("input_features", "spatial_features")}
        located = model.localize(**sound)
        again = model(pooled_text=pooled, **sound)
    assert output.loss is None
    assert torch.equal(output.audio_embeds, audio)
    assert torch.equal(output.text_embeds, text)
    assert torch.equal(output.logits_per_audio, again.logits_per_audio)
    assert torch.allclose(audio.norm(dim=1), torch.ones(3))
    assert torch.allclose(output.logits_per_audio, audio @ text.T / 0.07, atol=1e-4)
    assert torch.equal(output.logits_per_text, output.logits_per_audio.T)
    for name, value in located.items():
        assert torch.equal(value, output[name]), name
    assert torch.allclose(output.direction.norm(dim=1), torch.ones(3))
    assert (output.direction_concentration > 0).all()


def test_angles_become_a_unit_vector() -> None:
    model = CASES["elsa_paper"].build()
    inputs = CASES["elsa_paper"].inputs(2)
    angles_deg = torch.tensor([30.0, -20.0])
    with torch.no_grad():
        model.direction_head.linear2.weight.zero_()
        model.direction_head.linear2.bias.copy_(angles_deg * math.pi / 180)
        direction = model.localize(inputs["input_features"], inputs["spatial_features"]).direction
    assert torch.allclose(direction[0], unit_vector(*angles_deg), atol=1e-6)


def test_the_attended_direction_turns_with_the_vectors() -> None:
    """With weights that do not depend on the direction, the answer turns exactly; height has a scale of its own."""
    model = ElsaSpatialModel(ElsaSpatialConfig(architecture="compact")).eval()
    features = noise(0, 2, 7, 40, 32)
    turned = features.clone()
    turn = rotation_matrix(yaw_deg=70.0).float()
    for start in model.config.direction_vectors:
        turned[:, start : start + 3] = torch.einsum("ij,bjtf->bitf", turn, features[:, start : start + 3])
    first, last = noise(1, 2, 32, 20, 16), noise(2, 2, 64, 5, 4)
    with torch.no_grad():
        pools = model.encoder.direction_pools
        torch.nn.init.normal_(pools.horizontal)
        torch.nn.init.normal_(pools.vertical)
        direction = pools(features, first, last, None)[1]
        assert torch.allclose(pools(turned, first, last, None)[1], direction @ turn.T, atol=1e-6)
        tall = features.clone()
        tall[:, model.config.direction_vectors[0] + 2] = 0.0
        flat = pools(tall, first, last, None)[1]
    assert torch.equal(flat[:, :2], direction[:, :2])
    assert torch.equal(flat[:, 2], torch.zeros(2))


def test_directions_can_be_read_off_a_head_too() -> None:
    case = CASES["elsa_compact"]
    config = case.build().config
    config.direction_representation = "vector"
    model, inputs = ElsaModel(config), case.inputs(2)
    with torch.no_grad():
        model.direction_head.linear2.weight.zero_()
        model.direction_head.linear2.bias.copy_(torch.tensor([0.0, 2.0, 0.0]))
        direction = model(**inputs).direction
    assert torch.allclose(direction, torch.tensor([[0.0, 1.0, 0.0]]).expand(2, 3))


@pytest.mark.parametrize(
    "settings",
    [{"num_direction_pools": 2}, {"architecture": "compact", "spatial_channels": ["reactive", "log_energy"]}],
)
def test_direction_pools_need_vectors_that_point_to_the_sound(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="num_direction_pools"):
        ElsaSpatialConfig(**settings)
    with pytest.raises(ConfigError, match="num_direction_pools"):
        ElsaConfig(direction_representation="attended")


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    case = CASES["elsa_compact"]
    model, inputs = case.build(), case.inputs(4) | case.loss_inputs(4)
    output = model(**inputs)
    assert set(output.loss_components) == set(model.config.loss_weights)
    expected = sum(model.config.loss_weights[name] * value for name, value in output.loss_components.items())
    assert torch.allclose(output.loss, expected)
    plain = model(**case.inputs(4), return_loss=True)
    assert set(plain.loss_components) == {"contrastive"}
    assert model(**inputs, return_loss=False).loss is None


def test_clips_without_spatial_labels_take_no_part_in_the_regression() -> None:
    case = CASES["elsa_compact"]
    model, inputs = case.build(), case.inputs(4) | case.loss_inputs(4)
    whole = model(**inputs).loss_components
    labels = {name: value.clone() for name, value in inputs["labels"].items()}
    labels["spatial_mask"][1] = False
    for name in labels:
        if name != "spatial_mask":
            labels[name][1] = math.nan
    by_label = model(**(inputs | {"labels": labels})).loss_components
    by_flag = model(**inputs, is_spatial=torch.tensor([True, False, True, True])).loss_components
    for name, value in by_label.items():
        assert torch.equal(value, by_flag[name]), name
        assert torch.equal(value, whole[name]) == (name == "contrastive"), name
    nothing = model(**inputs, is_spatial=torch.zeros(4, dtype=torch.bool)).loss_components
    assert all(nothing[name] == 0 for name in nothing if name != "contrastive")


def test_compatible_captions_are_no_negatives() -> None:
    case = CASES["elsa_compact"]
    model, inputs = case.build(), case.inputs(3)
    all_negative = model(**inputs, return_loss=True).loss_components["contrastive"]
    negatives = torch.ones(3, 3, dtype=torch.bool)
    assert torch.equal(
        model(**inputs, return_loss=True, negatives=negatives).loss_components["contrastive"], all_negative
    )
    none = model(**inputs, return_loss=True, negatives=~negatives).loss_components["contrastive"]
    assert none == 0 < all_negative


def test_the_confidence_does_not_move_the_direction() -> None:
    case = CASES["elsa_compact"]
    model = case.build()
    model(**case.inputs(4), **case.loss_inputs(4)).loss_components["concentration"].backward()
    touched = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert touched == {"concentration_head"}


def test_wrong_inputs_are_refused() -> None:
    case = CASES["elsa_compact"]
    model, inputs = case.build(), case.inputs(2)
    with pytest.raises(TextError):
        model(input_features=inputs["input_features"], spatial_features=inputs["spatial_features"])
    with pytest.raises(AudioValueError):
        model(input_ids=inputs["input_ids"])
    with pytest.raises(DataError, match="azimuth"):
        model(**inputs, labels={"azimuth": torch.zeros(2)})
    with pytest.raises(ChannelError, match="4 channels"):
        model(**(inputs | {"spatial_features": inputs["spatial_features"][:, :4]}))
    paper = CASES["elsa_paper"]
    with pytest.raises(AudioValueError, match="exactly"):
        ElsaSpatialModel(paper.build().config.spatial_config)(torch.zeros(1, 6, 30, 17))
    with pytest.raises(AudioValueError, match="HTS-AT"):
        paper.build()(**paper.inputs(2), audio_attention_mask=torch.ones(2, 101))


def test_regression_ignores_unknown_targets() -> None:
    case = CASES["elsa_spatial_regression"]
    model, inputs = case.build(), case.inputs(3)
    labels = case.loss_inputs(3)["labels"]
    unknown = labels.clone()
    unknown[:, 4:] = math.nan
    unknown[0] = math.nan
    model.config.regression_mean, model.config.regression_std = [1.0] * 42, [2.0] * 42
    output = model(**inputs, labels=unknown)
    angles = 1 - torch.cos(output.logits[1:, :2] - labels[1:, :2])
    scaled = ((output.logits[1:, 2:4] - labels[1:, 2:4]) / 2) ** 2
    assert torch.allclose(output.loss, angles.mean(0).sum() + scaled.mean(0).sum())


# Files


def test_processor_and_auto_classes(tmp_path: Path) -> None:
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2, "dog": 3, "barking": 4}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    ElsaProcessor(ElsaFeatureExtractor.compact(dynamic_range_db=70.0), tokenizer).save_pretrained(tmp_path)
    full_width_compact_elsa().save_pretrained(tmp_path)

    assert isinstance(AutoConfig.from_pretrained(tmp_path), ElsaConfig)
    model = AutoModel.from_pretrained(tmp_path)
    assert isinstance(model, ElsaModel)
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(processor, ElsaProcessor)
    assert isinstance(processor.feature_extractor, ElsaFeatureExtractor)
    assert processor.feature_extractor.to_dict()["dynamic_range_db"] == 70.0
    inputs = processor(text=["a dog barking", "dog"], audio=noise(0, 4, 64_000), sampling_rate=16_000)
    assert inputs["input_ids"].tolist() == [[2, 3, 4], [3, 0, 0]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    with torch.no_grad():
        assert model(**inputs).logits_per_audio.shape == (1, 2)
    assert set(processor(text="a dog")) == {"input_ids", "attention_mask"}
    for text in ("", "  ", [], ["a dog", ""], [3]):
        with pytest.raises(TextError):
            processor(text=text)
    with pytest.raises(TextError):
        processor()
