"""SpatialAST beyond what all models do: its sizes, its labels, its answers, its files."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from spatial_audio_lm import (
    SpatialASTConfig,
    SpatialASTFeatureExtractor,
    SpatialASTForSoundEventLocalization,
    SpatialASTModel,
)
from spatial_audio_lm.errors import AudioValueError, ConfigError, DataError
from spatial_audio_lm.layers.positions import sincos_table_2d
from tests.models.model_cases import SMALL_BINAURAL, binaural_labels, noise


def small(**settings: object) -> SpatialASTForSoundEventLocalization:
    torch.manual_seed(0)
    return SpatialASTForSoundEventLocalization(SpatialASTConfig(**(SMALL_BINAURAL | settings))).eval()


def features(batch: int = 2) -> torch.Tensor:
    return noise(3, batch, 4, 32, 16)


def test_the_published_size() -> None:
    with torch.device("meta"):
        model = SpatialASTForSoundEventLocalization(SpatialASTConfig())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == 85_963_194
    assert trainable == sum(p.numel() for p in model.parameters())
    assert model.config.num_tokens == 515 and model.config.num_feature_maps == 4
    assert model.config.num_labels == 355 and model.config.grid == (64, 8)


def test_tokens_and_hidden_states() -> None:
    model = small()
    with torch.no_grad():
        tokens = model.spatial_ast(features(), output_hidden_states=True)
        assert model.spatial_ast(features()).hidden_states is None
    assert tokens.last_hidden_state.shape == (2, 3 + 8, 64)
    assert len(tokens.hidden_states) == 3 and torch.equal(tokens.hidden_states[-1], tokens.last_hidden_state)
    first = tokens.hidden_states[0]
    assert torch.equal(first[0, :3], model.spatial_ast.cls_tokens[0])  # in front, and without a position
    assert torch.equal(first[0, :3], first[1, :3])


def test_positions_without_a_checkpoint() -> None:
    table = small().spatial_ast.positions.table
    assert torch.equal(table[0], sincos_table_2d(4, 2, 64))
    # Two rows of one time differ in the first half alone (frequency), two of one frequency in the second.
    grid = sincos_table_2d(64, 8, 768).view(64, 8, 768)
    assert torch.equal(grid[5, 1, 384:], grid[5, 6, 384:]) and not torch.equal(grid[5, 1, :384], grid[5, 6, :384])
    assert torch.equal(grid[5, 1, :384], grid[60, 1, :384]) and not torch.equal(grid[5, 1, 384:], grid[60, 1, 384:])
    # Frequency 3: sines of 3, 3 * 10000^(-1/192), ...; then cosines.
    assert torch.allclose(grid[7, 3, 0], torch.tensor(3.0).sin())
    assert torch.allclose(grid[7, 3, 1], torch.tensor(3.0 * 10_000 ** (-1 / 192)).sin())
    assert torch.allclose(grid[7, 3, 192 + 2], torch.tensor(3.0 * 10_000 ** (-2 / 192)).cos())
    assert torch.allclose(grid[7, 3, 384], torch.tensor(7.0).sin())
    with pytest.raises(ConfigError, match="multiple of 4"):
        sincos_table_2d(2, 2, 6)


def test_initial_weights() -> None:
    model = small()
    for head in (model.event_head, model.distance_head, model.azimuth_head, model.elevation_head):
        assert 5e-6 < head.weight.std() < 4e-5 and not head.bias.any()
    assert 0.01 < model.spatial_ast.cls_tokens.std() < 0.03
    assert 0.01 < model.spatial_ast.blocks[1].mlp.fc1.weight.std() < 0.03
    rates = [block.drop_path.dropout_prob for block in SpatialASTModel(SpatialASTConfig(**SMALL_BINAURAL)).blocks]
    assert rates == [0.0, 0.1]


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    model, labels = small(), binaural_labels(3)["labels"]
    outputs = model(features(3), labels=labels)
    parts = outputs.loss_components
    weights = {"event": 1250.0, "distance": 1.0, "azimuth": 2.0, "elevation": 2.0}
    assert model.config.loss_weights == weights and list(parts) == list(weights)
    assert torch.allclose(outputs.loss, sum(weights[name] * part for name, part in parts.items()))
    logits = outputs.azimuth_logits
    # 12 bins of 30 degrees, counted from the right: the house's 0, 90 and -170 are bins 3, 6 and 9 (100 of 360: 280).
    picked = binaural_labels(3)["labels"] | {"azimuth_deg": torch.tensor([0.0, 90.0, -170.0])}
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([3, 6, 9]))
    assert torch.allclose(model(features(3), labels=picked).loss_components["azimuth"], expected)
    only = model(features(3), labels={"distance_m": labels["distance_m"]})
    assert list(only.loss_components) == ["distance"]


def test_recordings_without_a_direction_have_no_angle_loss() -> None:
    model, labels = small(), binaural_labels(3)["labels"]
    mask = torch.tensor([True, False, True])
    masked = model(features(3), labels=labels, is_spatial=mask).loss_components
    rows = {name: value[mask] for name, value in labels.items()}
    kept = model(features(3)[mask], labels=rows).loss_components
    for name in ("azimuth", "elevation"):
        assert torch.allclose(masked[name], kept[name], atol=1e-6)
    none = model(features(3), labels=labels, is_spatial=torch.zeros(3, dtype=torch.bool))
    assert none.loss_components["azimuth"] == 0 and none.loss_components["event"] > 0
    none.loss.backward()
    assert model.azimuth_head.weight.grad is not None and not model.azimuth_head.weight.grad.any()


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"distance_m": torch.tensor([1.0, 10.3, 2.0])}, "10.3.*from 0 to 10.25 m"),
        ({"distance_m": torch.tensor([1.0, -0.2, 2.0])}, "-0.2"),
        ({"distance_m": torch.tensor([1.0, float("nan"), 2.0])}, "distance_m has nan"),
        ({"elevation_deg": torch.tensor([0.0, 90.0, 0.0])}, "straight above"),
        ({"elevation_deg": torch.tensor([0.0, -91.0, 0.0])}, "-91"),
        ({"azimuth_deg": torch.tensor([0.0, float("inf"), 0.0])}, "azimuth_deg has inf"),
        ({"azimuth_deg": torch.zeros(2)}, r"shape \(2,\); expected \(3,\)"),
        ({"events": torch.full((3, 5), 1.5)}, "outside of 0 to 1"),
        ({"events": torch.zeros(3, 4)}, "events"),
        ({"distance": torch.zeros(3)}, r"\['distance'\]; known are events, distance_m"),
    ],
)
def test_labels_outside_of_the_bins_are_refused(changed: dict[str, torch.Tensor], message: str) -> None:
    settings = {"num_distance_bins": 21, "num_elevation_bins": 180}
    with pytest.raises(DataError, match=message):
        small(**settings)(features(3), labels=binaural_labels(3)["labels"] | changed)
    with pytest.raises(DataError, match="no label fits"):
        small()(features(3), labels={})


def test_decode_in_words_and_degrees() -> None:
    names = {0: "dog", 1: "rain", 2: "bell", 3: "car", 4: "door"}
    model = small(id2label=names, num_azimuth_bins=360, num_elevation_bins=180, num_distance_bins=21)
    outputs = model(features(3), is_spatial=torch.tensor([True, True, False]))
    outputs.event_logits = torch.tensor(
        [[-9.0, 2.0, 3.0, -9.0, -9.0], [-1.0, -9.0, -9.0, -9.0, -9.0], [9.0] + [-9.0] * 4]
    )
    for name, picked, size in (("distance", 7, 21), ("azimuth", 180, 360), ("elevation", 100, 180)):
        outputs[f"{name}_logits"] = torch.nn.functional.one_hot(torch.tensor([picked, 0, 1]), size) * 20.0
    first, second, third = model.decode(outputs)
    assert [event.label for event in first] == ["bell", "rain"]
    assert first[0].probability == pytest.approx(0.9526, abs=1e-4)
    assert (first[0].azimuth_deg, first[0].elevation_deg, first[0].distance_m) == (90.0, 10.0, 3.5)  # 180 is left
    assert first[0].direction_confidence == pytest.approx(1.0, abs=1e-5) and first[0].no_direction_reason is None
    assert [event.label for event in second] == ["dog"] and second[0].azimuth_deg == -90.0  # 0 is right
    assert third[0].azimuth_deg is None and third[0].direction_confidence is None
    assert third[0].distance_m == 0.5 and "both ears" in str(third[0].no_direction_reason)
    assert model.decode(outputs, at_least=0)[1] == [] and len(model.decode(outputs, threshold=0.0)[0]) == 5
    outputs.azimuth_logits = torch.zeros(3, 360)
    assert model.decode(outputs)[0][0].direction_confidence == pytest.approx(41 / 360, abs=1e-6)
    for wrong in ({"threshold": 1.2}, {"at_least": -1}):
        with pytest.raises(ConfigError, match="threshold"):
            model.decode(outputs, **wrong)
    outputs.event_logits = None
    with pytest.raises(ConfigError, match="branch 'event'"):
        model.decode(outputs)


def test_other_shapes_are_refused() -> None:
    for shape in ((2, 6, 32, 16), (2, 4, 31, 16), (2, 4, 32, 8), (4, 32, 16)):
        with pytest.raises(AudioValueError, match="feature extractor"):
            small()(torch.zeros(shape))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"angle_convention": "elsa"}, "spatial_ast, house"),
        ({"features": ["phase_difference"]}, "log_mel"),
        ({"features": ["log_mel", "level_ratio"]}, "need DSpAST"),
        ({"num_frames": 33}, "patches of 8"),
        ({"loss_weights": {"angle": 1.0}}, "angle"),
        ({"id2label": {0: "dog"}}, "num_labels is 5"),
        ({"num_azimuth_bins": 1}, "at least 2"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5; expected a divisor of 64"),
        ({"num_cls_tokens": 2}, "three class tokens"),
        ({"drop_path_rate": 1.0}, "drop_path_rate"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**settings)


def test_files_and_auto_classes(tmp_path: Path) -> None:
    extractor = SpatialASTFeatureExtractor(feature_size=16, n_fft=256, hop_length=80, num_frames=32)
    model = small(id2label={0: "dog", 1: "rain"}, num_labels=None, angle_convention="house")
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, SpatialASTConfig) and config.id2label == {0: "dog", 1: "rain"}
    assert config.bins == model.config.bins and config.bins.angle_convention == "house"
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert isinstance(loaded, SpatialASTFeatureExtractor) and loaded.to_dict() == extractor.to_dict()
    encoder = AutoModel.from_pretrained(tmp_path)  # the encoder alone, out of the whole model
    assert isinstance(encoder, SpatialASTModel)
    inputs = loaded(0.1 * noise(0, 2, 3000), sampling_rate=32_000)
    with torch.no_grad():
        outputs = SpatialASTForSoundEventLocalization.from_pretrained(tmp_path)(**inputs)
        assert torch.equal(encoder(**inputs).last_hidden_state, outputs.last_hidden_state)
    assert model.decode(outputs)[0][0].label in ("dog", "rain")
