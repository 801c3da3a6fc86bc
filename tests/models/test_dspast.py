"""DSpAST beyond what all models do: its size, its branches, its cosines and their scale, its files."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from spatial_audio_lm import (
    DSpASTConfig,
    DSpASTFeatureExtractor,
    DSpASTForSoundEventLocalization,
    DSpASTModel,
    SpatialASTConfig,
    SpatialASTModel,
)
from spatial_audio_lm.errors import AudioValueError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.objectives.adacos import updated_adacos_scale
from tests.models.model_cases import SMALL_BINAURAL, SMALL_DSPAST, binaural_labels, noise

HEADS = ("distance", "azimuth", "elevation")


def small(**settings: object) -> DSpASTForSoundEventLocalization:
    torch.manual_seed(0)
    return DSpASTForSoundEventLocalization(DSpASTConfig(**(SMALL_DSPAST | settings))).eval()


def features(batch: int = 3) -> torch.Tensor:
    return noise(3, batch, 6, 32, 16)


def test_the_published_size() -> None:
    with torch.device("meta"):
        model = DSpASTForSoundEventLocalization(DSpASTConfig())
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 86_085_127
    assert sum(p.numel() for p in model.parameters()) == 86_085_127
    assert model.config.num_tokens == 515 and model.config.num_feature_maps == 6 and model.config.branch_dim == 256


@torch.no_grad()
def test_one_branch_alone_answers_the_same_and_costs_a_third() -> None:
    model = small()
    every = model(features(), output_hidden_states=True)
    rows: list[int] = []
    model.dspast.blocks[0].register_forward_hook(lambda _, inputs, output: rows.append(len(inputs[0])))
    for index, (branch, heads) in enumerate(
        {"distance": ["distance"], "direction": ["azimuth", "elevation"], "event": ["event"]}.items()
    ):
        alone = model(features(), branches=[branch], output_hidden_states=True)
        part = every.last_hidden_state[..., 20 * index : 20 * (index + 1)]
        assert torch.allclose(alone.last_hidden_state, part, atol=1e-5)
        assert torch.allclose(alone.hidden_states[1][:, 0], every.hidden_states[1][:, index], atol=1e-5)
        assert torch.allclose(alone.feature_weights[:, 0], every.feature_weights[:, index], atol=1e-6)
        for head in ("event", *HEADS):
            logits = getattr(alone, f"{head}_logits")
            assert (logits is not None) == (head in heads)
            if logits is not None:
                assert torch.allclose(logits, every[f"{head}_logits"], atol=1e-5)
    assert rows == [3, 3, 3]  # not nine
    swapped = model(features(), branches=("event", "distance")).last_hidden_state
    assert torch.allclose(swapped[..., :20], every.last_hidden_state[..., 40:], atol=1e-5)


def test_the_branches_are_apart() -> None:
    model = small()
    logits = model(features()).azimuth_logits
    logits.square().sum().backward()
    for name, branch in model.dspast.branches.items():
        touched = any(p.grad is not None and p.grad.any() for p in branch.parameters())
        assert touched == (name == "direction")


def test_the_tokens_are_means_of_the_class_tokens() -> None:
    model = small()
    outputs = model(features())
    distance, direction, event = outputs.last_hidden_state[:, :3].mean(1).split(20, dim=-1)
    unit = torch.nn.functional.normalize
    expected = unit(direction) @ unit(model.elevation_head.weight).T
    assert torch.allclose(outputs.elevation_logits, expected, atol=1e-6)
    assert torch.allclose(outputs.distance_logits, unit(distance) @ unit(model.distance_head.weight).T, atol=1e-6)
    assert torch.allclose(outputs.event_logits, model.event_head(model.event_norm(event)), atol=1e-6)
    assert outputs.azimuth_logits.abs().max() <= 1 + 1e-6


def test_the_scale_learns_in_training_before_the_loss() -> None:
    model, labels = small(drop_path_rate=0.0), binaural_labels(3)["labels"]
    before = {head: getattr(model, f"{head}_head").scale.clone() for head in HEADS}
    model(features(), labels=labels)
    assert all(torch.equal(before[head], getattr(model, f"{head}_head").scale) for head in HEADS)
    model.train()
    outputs = model(features(), labels=labels)
    for head in HEADS:
        label = labels[f"{head}_m" if head == "distance" else f"{head}_deg"]
        target = getattr(model.config.bins, f"{head}_bin")(label)
        cosines = outputs[f"{head}_logits"]
        scale = getattr(model, f"{head}_head").scale
        assert torch.equal(scale, updated_adacos_scale(cosines, target, before[head])) and scale != before[head]
        expected = torch.nn.functional.cross_entropy(scale * cosines, target)
        assert torch.allclose(outputs.loss_components[head], expected)
    first = outputs.loss
    model(features(), labels=labels)
    first.backward()  # the scale moved on meanwhile
    assert model.azimuth_head.weight.grad.isfinite().all()


def test_stages_by_loss_weights_and_branches() -> None:
    model, labels = small(), binaural_labels(3)["labels"]
    assert model.config.loss_weights == {"event": 100.0, "distance": 2.0, "azimuth": 1.0, "elevation": 1.0}
    first_stage = model(features(), labels=labels, branches=["event"])
    assert list(first_stage.loss_components) == ["event"]
    with pytest.raises(DataError, match="no label fits"):
        model(features(), labels={"events": labels["events"]}, branches=["distance"])


@torch.no_grad()
def test_decode_uses_the_scale() -> None:
    model = small()
    outputs = model(features(), is_spatial=torch.tensor([True, True, False]))
    model.azimuth_head.scale.fill_(1e4)
    sure = model.decode(outputs)
    model.azimuth_head.scale.fill_(1e-4)
    unsure = model.decode(outputs)
    assert sure[0][0].direction_confidence > 0.99
    assert unsure[0][0].direction_confidence == pytest.approx(1 / 12, abs=1e-3)  # bins of 30 degrees: only its own
    assert sure[0][0].azimuth_deg == unsure[0][0].azimuth_deg and sure[2][0].azimuth_deg is None
    part = model.decode(model(features(), branches=["event", "distance"]))
    assert part[0][0].distance_m is not None and "not computed" in part[0][0].no_direction_reason


def test_a_wild_level_ratio_passes_in_half_precision() -> None:
    wild = features()
    wild[:, 3] = wild[:, 3].exp() ** 8 * 1e4  # up to 1e12
    for model in (small(), small().to(torch.bfloat16)):
        for outputs in (model(wild), torch.autocast("cpu", torch.bfloat16)(model)(wild)):
            assert outputs.event_logits.isfinite().all() and outputs.azimuth_logits.isfinite().all()


def test_the_decibel_difference_instead_of_the_ratio() -> None:
    names = ["log_mel", "level_difference_db", "phase_difference"]
    model = small(features=names)
    given = noise(3, 2, 5, 32, 16)
    given[:, 2] = 7.0 + 3.0 * given[:, 2]
    normalized = model.train().dspast.normalized(given)
    assert normalized[:, 2].mean().abs() < 1e-5 and abs(normalized[:, 2].std() - 1) < 0.01
    assert torch.equal(normalized[:, 3:], given[:, 3:])
    assert small(features=["log_mel", "gcc_phat"]).dspast.level_norm is None


def test_what_is_refused() -> None:
    for branches in ([], ["left"], ["event", "event"]):
        with pytest.raises(ConfigError, match="distance, direction, event"):
            small()(features(), branches=branches)
    with pytest.raises(AudioValueError, match="feature extractor"):
        small()(noise(0, 2, 4, 32, 16))
    with pytest.raises(ConfigError, match="num_cls_tokens"):
        small(num_cls_tokens=0)


def test_a_folder_of_the_other_model_is_refused(tmp_path: Path) -> None:
    SpatialASTModel(SpatialASTConfig(**SMALL_BINAURAL)).save_pretrained(tmp_path)
    for of_dspast in (DSpASTConfig, DSpASTModel, DSpASTForSoundEventLocalization):
        with pytest.raises(CheckpointError, match="a checkpoint of spatial_ast; expected one of dspast"):
            of_dspast.from_pretrained(tmp_path)
    assert isinstance(AutoModel.from_pretrained(tmp_path), SpatialASTModel)


def test_files_and_auto_classes(tmp_path: Path) -> None:
    extractor = DSpASTFeatureExtractor(feature_size=16, n_fft=256, hop_length=80, num_frames=32)
    model = small(branch_dim=20)
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).branch_dim == 20
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert isinstance(loaded, DSpASTFeatureExtractor) and loaded.to_dict() == extractor.to_dict()
    encoder = AutoModel.from_pretrained(tmp_path)
    assert isinstance(encoder, DSpASTModel)
    inputs = loaded(0.1 * noise(0, 2, 3000), sampling_rate=32_000)
    with torch.no_grad():
        whole = DSpASTForSoundEventLocalization.from_pretrained(tmp_path)(**inputs)
        assert torch.equal(encoder(**inputs).last_hidden_state, whole.last_hidden_state)
