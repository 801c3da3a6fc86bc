"""WavJEPA: sizes, windows, the end of a clip, masks, the gathered computation, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining

from spatial_audio_lm.errors import AudioValueError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import PUBLISHED_VARIANTS, WavJEPAConfig
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel
from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining
from spatial_audio_lm.models.wavjepa.windows_wavjepa import passes_of, plan_windows
from spatial_audio_lm.objectives.latent_prediction import averaged_targets
from tests.models.model_cases import SMALL_WAVJEPA, noise, wavjepa_masks

# All, what is trained, and what embeddings need, of which the table of positions is not trained.
PARAMETERS = {"base": (196_299_264, 111_012_864, 89_280_768), "nat-base": (200_205_824, 114_689_024, 93_110_528)}
WINDOW = 400  # of the small model: 19 frames of 35 samples, one every 20


def small(**settings: Any) -> WavJEPAModel:
    torch.manual_seed(0)
    return WavJEPAModel(WavJEPAConfig(**(SMALL_WAVJEPA | settings))).eval()


def small_pretraining(**settings: Any) -> WavJEPAForPreTraining:
    torch.manual_seed(0)
    return WavJEPAForPreTraining(WavJEPAConfig(**(SMALL_WAVJEPA | settings))).eval()


def numbers(model: torch.nn.Module) -> int:
    return sum(value.numel() for value in model.state_dict().values())


@pytest.mark.parametrize("variant", PUBLISHED_VARIANTS)
def test_published_sizes(variant: str) -> None:
    with torch.device("meta"):
        model = WavJEPAForPreTraining(WavJEPAConfig.published(variant))
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert (numbers(model), trained, numbers(model.wavjepa)) == PARAMETERS[variant]
    assert all(parameter.requires_grad for parameter in model.parameters())  # the target encoder's are buffers


def test_a_window_is_what_the_published_arithmetic_gives() -> None:
    config = WavJEPAConfig()
    assert config.window_samples == int(16_000 * 2.01) == 32_159
    assert (config.num_frames, config.hop_samples, config.receptive_field) == (200, 160, 240)
    assert WavJEPAConfig(window_samples=32_000).num_frames == 199


def test_published_settings_differ_from_new_ones_where_they_say() -> None:
    new, old, nat = (
        config.to_dict() for config in (WavJEPAConfig(), *map(WavJEPAConfig.published, PUBLISHED_VARIANTS))
    )
    assert {name for name in new if new[name] != old[name]} == {"mask_alignment"}
    assert {name for name in new if new[name] != nat[name]} == {"mask_alignment", "num_channels"}
    with pytest.raises(ConfigError, match="nat-base"):
        WavJEPAConfig.published("nat")


@pytest.mark.parametrize(
    ("samples", "clean", "published"),
    [
        (8_000, 49, 50), (16_000, 99, 100), (32_000, 199, 200), (32_159, 200, 200), (32_160, 200, 200),
        (48_000, 298, 299), (80_000, 497, 498), (160_000, 995, 996), (2 * 32_159 - 4_640, 371, 372),
    ],
)  # fmt: skip
def test_frames_of_a_clip(samples: int, clean: int, published: int) -> None:
    config, given = WavJEPAConfig(), torch.tensor([samples])
    assert plan_windows(config, given).frames.sum().item() == clean
    assert plan_windows(config, given, published=True).frames.sum().item() == published


def test_timestamps_are_where_frames_begin() -> None:
    config, given = WavJEPAConfig(), torch.tensor([48_000])
    starts = plan_windows(config, given).starts_s[0]
    assert starts[[0, 1, 199, 200, 201]].tolist() == pytest.approx([0.0, 0.01, 1.99, 32_159 / 16_000, 2.0199375])
    published = plan_windows(config, given, published=True).starts_s[0]
    assert published[[0, 1, 298]].tolist() == pytest.approx([0.0, 3 / 299, 3 * 298 / 299])


def test_one_window_by_hand() -> None:
    model, window = small(), noise(1, 1, 1, WINDOW)
    convs, norm = model.waveform_encoders[0].convs, model.waveform_encoders[0].norm
    x = F.conv1d(window, convs[0].weight, stride=5)
    x = (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, correction=0) + 1e-5).sqrt()
    x = F.gelu(x * norm.weight[:, None] + norm.bias[:, None])
    for conv in convs[1:]:
        x = F.gelu(F.conv1d(x, conv.weight, stride=2))
    tokens = model.projection(model.feature_norm(x.transpose(1, 2))) + model.positions.table
    for block in model.encoder.blocks:
        tokens = block.norm1(tokens + block.attn(tokens))
        tokens = block.norm2(tokens + block.mlp(tokens))
    outputs = model(window)
    torch.testing.assert_close(outputs.last_hidden_state[:, 0], model.encoder.norm(tokens))
    torch.testing.assert_close(outputs.scene_mean, model.encoder.norm(tokens).mean(1))


def test_positions_flag_the_right_channel() -> None:
    table = small(num_channels=2).positions.table
    left, right = table[0], table[1]
    assert torch.equal(left[:, :16], right[:, :16]) and not torch.equal(left[0], left[1])
    assert not left[:, 16:].any() and not right[:, 16:24].any() and (right[:, 24:] == 1).all()
    places = torch.arange(19)[:, None] / 10_000 ** (torch.arange(16) / 16)
    torch.testing.assert_close(small().positions.table[0], torch.cat([places.sin(), places.cos()], dim=1))


@pytest.mark.parametrize("channels", [1, 2])
def test_the_end_of_a_clip_is_not_heard(channels: int) -> None:
    model = small(num_channels=channels)
    values = noise(2, 1, channels, 1_000)
    mask = (torch.arange(1_000) < 700).long()[None]
    expected = model(values[:, :, :700])
    assert expected.frame_embeddings.shape == (1, 19 + 14, 32)
    # The last window alone is what the encoder makes of these samples alone.
    rest = model(values[:, :, 400:700]).last_hidden_state
    torch.testing.assert_close(expected.last_hidden_state[:, :, 19:], rest)
    longer = noise(3, 1, channels, 1_000)
    for filling in (0.0, 100.0, torch.nan):
        padded = values.clone()
        padded[:, :, 700:] = filling
        both = model(torch.cat([padded, longer]), torch.cat([mask, torch.ones_like(mask)]))
        for name in ("frame_embeddings", "scene_mean", "scene_channels", "last_hidden_state"):
            together = both[name][:1]
            if name == "frame_embeddings":
                together = together[:, :33]
            if name == "last_hidden_state":
                assert not together[:, :, 33:].any()
                together = together[:, :, :33]
            torch.testing.assert_close(together, expected[name])
    assert both.frame_mask.sum(1).tolist() == [33, 19 + 19 + 9]


def test_the_published_end_of_a_clip() -> None:
    """Zeros behind the clip are in mean, deviation and convolutions, and out of attention and answer."""
    model = small(num_channels=2)
    extractor = WavJEPAFeatureExtractor.for_model(model.config)
    clip, longer = noise(4, 2, 700), noise(5, 2, 1_100)

    def heard(clips: list[Tensor]) -> dict[str, Tensor]:
        return dict(extractor(clips, sampling_rate=16_000, published_padding=True))

    normal = heard([clip])["input_values"]
    assert normal.shape == (1, 2, 800)
    outputs = model(**heard([clip]), published_padding=True)
    assert outputs.frame_embeddings.shape == (1, 19 + 19 - 5, 32)  # 100 samples of zeros are five hops
    filled = F.pad(extractor.at_level(clip), (0, 100))[:, 400:]
    torch.testing.assert_close(normal[0, :, 400:], (filled - filled.mean()) / (filled.std() + 1e-5))
    tokens = model.embedded(normal[:, :, 400:])
    keys = (torch.arange(19) < 14).repeat(2)[None]
    dense = model.encoder(tokens.flatten(1, 2), heard=keys)[0].view(1, 2, 19, 32)[:, :, :14]
    torch.testing.assert_close(outputs.last_hidden_state[:, :, 19:], dense)
    # In a batch with a longer clip nothing changes.
    together = model(**heard([clip, longer]), published_padding=True)
    torch.testing.assert_close(together.scene_mean[:1], outputs.scene_mean)
    torch.testing.assert_close(together.timestamps_s[:1, :33], outputs.timestamps_s)
    with pytest.raises(AudioValueError, match="2 whole windows"):
        model(normal[:, :, :700], published_padding=True)


def test_windows_at_once_do_not_change_the_answer() -> None:
    model, values = small(num_channels=2), noise(6, 3, 2, 1_700)
    mask = torch.arange(1_700) < torch.tensor([[1_700], [900], [41]])
    expected = model(values, mask, output_hidden_states=True)
    for number in (1, 3):
        outputs = model(values, mask, windows_at_once=number, output_hidden_states=True)
        torch.testing.assert_close(outputs.last_hidden_state, expected.last_hidden_state)
        torch.testing.assert_close(outputs.hidden_states[1], expected.hidden_states[1])
    with pytest.raises(ConfigError, match="windows_at_once"):
        model(values, windows_at_once=0)


def test_whole_windows_go_before_the_others() -> None:
    parts = passes_of(torch.tensor([19, 3, 0, 19, 19, 7, 5]), 2)
    assert [part.tolist() for part in parts] == [[0, 3], [4], [5, 6], [1]]


def test_hidden_states_of_every_layer() -> None:
    model = small(num_channels=2)
    outputs = model(noise(7, 2, 2, 900), output_hidden_states=True)
    assert len(outputs.hidden_states) == 1 + 3
    assert all(state.shape == (2, 2, 19 + 19 + 4, 32) for state in outputs.hidden_states)
    torch.testing.assert_close(model.encoder.norm(outputs.hidden_states[-1]), outputs.last_hidden_state)
    assert model(noise(7, 2, 2, 900)).hidden_states is None


def test_scene_vectors() -> None:
    outputs = small(num_channels=2)(noise(8, 2, 2, 900))
    torch.testing.assert_close(outputs.scene_mean, outputs.last_hidden_state.mean((1, 2)))
    torch.testing.assert_close(outputs.scene_channels, outputs.last_hidden_state.mean(2).flatten(1))


def test_bfloat16_weights_give_float32_embeddings(tmp_path: Path) -> None:
    model, values = small(), noise(9, 1, 1, 900)
    model.save_pretrained(tmp_path)
    half = WavJEPAModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.projection.weight.dtype == torch.bfloat16
    for name in ("frame_embeddings", "scene_mean", "scene_channels"):
        expected, found = model(values)[name], half(values)[name]
        assert found.dtype == torch.float32 and (found - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize(("channels", "alignment"), [(1, "aligned"), (2, "aligned"), (2, "interleaved")])
def test_gathered_tokens_give_what_all_tokens_under_a_mask_give(channels: int, alignment: str) -> None:
    """The computation of the published code: every token encoded, with those that are hidden left out as keys."""
    model = small_pretraining(num_channels=channels, mask_alignment=alignment)
    windows, masks = noise(10, 4, channels, WINDOW), wavjepa_masks(4)
    outputs = model(windows, **masks)
    context, targets = model.tokens_of(masks["context_mask"]), model.tokens_of(masks["target_masks"])
    local = model.wavjepa.embedded(windows).flatten(1, 2)
    encoded, _ = model.wavjepa.encoder(local, heard=context)
    torch.testing.assert_close(outputs.context[outputs.context_mask], encoded[context])
    predictor = model.predictor
    known = torch.where(context[..., None], predictor.embedding(encoded), predictor.mask_token)
    tokens = (known + predictor.positions.table.flatten(0, 1))[:, None].expand(-1, 3, -1, -1)
    heard = context[:, None] | targets
    answers = predictor.prediction(predictor.stack(tokens.flatten(0, 1), heard=heard.flatten(0, 1))[0])
    answers = answers.unflatten(0, (4, 3))
    torch.testing.assert_close(outputs.logits[outputs.target_mask], answers[targets])
    state, states = local, []
    for block in model.target_encoder.stack.blocks:
        state = block(state)
        states.append(state)
    expected = averaged_targets(states[1:])
    torch.testing.assert_close(outputs.targets, expected)
    errors = (answers - expected[:, None]).square().mean(-1)
    torch.testing.assert_close(outputs.loss, errors[targets].sum() / targets.sum())


def test_masks_over_time_become_masks_over_tokens() -> None:
    mask = torch.tensor([[True, False, False, True, True]])
    t, f = True, False
    aligned, published = (
        small_pretraining(num_channels=2),
        small_pretraining(num_channels=2, mask_alignment="interleaved"),
    )
    assert aligned.tokens_of(mask).tolist() == [[t, f, f, t, t, t, f, f, t, t]]
    assert published.tokens_of(mask).tolist() == [[t, t, f, f, f, f, t, t, t, t]]
    assert small_pretraining().tokens_of(mask).tolist() == mask.tolist()


def test_what_is_hidden_is_not_heard() -> None:
    model = small_pretraining()
    context = torch.zeros(1, 19, dtype=torch.bool)
    context[:, :6] = True
    targets = torch.zeros(1, 1, 19, dtype=torch.bool)
    targets[:, :, 12:] = True
    windows = noise(11, 1, 1, WINDOW)
    with torch.no_grad():
        local = model.wavjepa.embedded(windows)
        before = model(windows, context, targets).logits
        local[:, :, 6:] += 100.0
        model.wavjepa.embedded = lambda _: local  # type: ignore[method-assign]
        after = model(windows, context, targets)
    torch.testing.assert_close(after.logits, before)
    assert after.loss > 0


def test_the_target_encoder_follows(tmp_path: Path) -> None:
    model = small_pretraining()
    stack, encoder = model.target_encoder.stack, model.wavjepa.encoder
    buffers, weights = dict(stack.named_buffers()), dict(encoder.named_parameters())
    assert buffers.keys() == weights.keys() and not list(stack.parameters())
    assert all(torch.equal(buffers[name], weights[name]) for name in buffers)  # it begins as a copy
    before = {name: value.clone() for name, value in buffers.items()}
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += noise(12, *parameter.shape)
    model.update_target_encoder(0.9)
    for name, value in stack.named_buffers():
        torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * weights[name])
    model.save_pretrained(tmp_path / "both")
    loaded = WavJEPAForPreTraining.from_pretrained(tmp_path / "both")
    assert all(torch.equal(value, buffers[name]) for name, value in loaded.target_encoder.stack.named_buffers())
    for decay in (-0.1, 1.1):
        with pytest.raises(ConfigError, match="decay"):
            model.update_target_encoder(decay)


def test_pretraining_goes_on_from_an_encoder_alone(tmp_path: Path) -> None:
    model = small()
    model.save_pretrained(tmp_path)
    whole = WavJEPAForPreTraining.from_pretrained(tmp_path)
    for name, value in whole.target_encoder.stack.named_buffers():
        assert torch.equal(value, model.encoder.get_parameter(name)), name


def test_first_weights() -> None:
    torch.manual_seed(0)
    model = WavJEPAForPreTraining(WavJEPAConfig(**(SMALL_WAVJEPA | {"hidden_size": 256, "intermediate_size": 512})))
    block, conv = model.wavjepa.encoder.blocks[0], model.wavjepa.waveform_encoders[0].convs[1]
    bound = (6 / (4 * 256)) ** 0.5  # of Xavier's distribution for a matrix (768, 256)
    assert 0.98 * bound < block.attn.qkv.weight.abs().max() <= bound
    assert block.mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert block.mlp.fc1.weight.abs().max() > 0.06  # the normal distribution is not cut
    assert conv.weight.std().item() == pytest.approx((2 / (8 * 3)) ** 0.5, rel=0.2)
    assert not block.attn.qkv.bias.any() and (block.norm1.weight == 1).all()


def test_a_few_steps_lower_the_loss() -> None:
    model, windows, masks = small_pretraining(), noise(13, 8, 1, WINDOW), wavjepa_masks(8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        outputs = model(windows, **masks)
        optimizer.zero_grad()
        outputs.loss.backward()
        optimizer.step()
        losses.append(outputs.loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert not outputs.targets.requires_grad and not outputs.target_variance.requires_grad


@pytest.mark.parametrize(
    ("context", "targets", "message"),
    [
        (torch.ones(2, 19), torch.zeros(2, 3, 19).bool(), "context_mask is torch.float32"),
        (torch.ones(2, 18).bool(), torch.zeros(2, 3, 19).bool(), r"expected torch.bool \(2, 19\)"),
        (torch.ones(2, 19).bool(), torch.zeros(2, 19).bool(), r"expected torch.bool \(2, groups, 19\)"),
        (torch.zeros(2, 19).bool(), torch.ones(2, 3, 19).bool(), "no context"),
        (torch.arange(19).expand(2, -1) < 5, torch.zeros(2, 3, 19).bool(), "no target"),
        (torch.ones(2, 19).bool(), torch.ones(2, 3, 19).bool(), "predicted from itself"),
    ],
)
def test_masks_that_are_refused(context: Tensor, targets: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        small_pretraining()(noise(0, 2, 1, WINDOW), context, targets)


def test_values_that_are_refused() -> None:
    model = small(num_channels=2)
    with pytest.raises(AudioValueError, match=r"expected \(batch, 2, samples\).*for_model"):
        model(noise(0, 1, 1, WINDOW))
    with pytest.raises(AudioValueError, match=r"34 samples, which make no frames.*the 35 samples"):
        model(noise(0, 1, 2, 34))
    holes = torch.tensor([[1, 0] + [1] * 398])
    for mask in (holes, torch.ones(1, 399), torch.zeros(1, 400)):
        with pytest.raises(AudioValueError, match="attention_mask"):
            model(noise(0, 1, 2, 400), mask)
    with pytest.raises(AudioValueError, match="401 samples; pre-training takes windows of exactly 400"):
        small_pretraining()(noise(0, 1, 1, 401), **wavjepa_masks(1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_channels": 3}, "num_channels is 3"),
        ({"window_samples": 54}, "1 frames; expected two at least, 55 samples"),
        ({"conv_layers": [(8, 10)]}, "channels, kernel and stride"),
        ({"conv_layers": []}, "channels, kernel and stride"),
        ({"hidden_size": 33, "num_attention_heads": 3}, "multiple of 2"),
        ({"num_channels": 2, "predictor_hidden_size": 18}, "multiple of 4"),
        ({"average_top_k": 4}, "1 to 3 layers"),
        ({"target_norm": "layer"}, "joint, per_feature"),
        ({"mask_alignment": "time"}, "aligned, interleaved"),
        ({"num_attention_heads": 3}, "num_attention_heads"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_pretraining(**settings)


def test_files_and_auto_classes(tmp_path: Path) -> None:
    model = small_pretraining(num_channels=2)
    extractor = WavJEPAFeatureExtractor.for_model(model.config)
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, WavJEPAConfig) and config.conv_layers == model.config.conv_layers
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert isinstance(loaded, WavJEPAFeatureExtractor) and loaded.to_dict() == extractor.to_dict()
    encoder = AutoModel.from_pretrained(tmp_path)  # nothing of target encoder and predictor is in memory
    assert isinstance(encoder, WavJEPAModel) and numbers(encoder) == numbers(model.wavjepa)
    whole = AutoModelForPreTraining.from_pretrained(tmp_path)
    assert isinstance(whole, WavJEPAForPreTraining)
    inputs = loaded(0.1 * noise(0, 2, 9_000), sampling_rate=16_000)
    torch.testing.assert_close(encoder(**inputs).scene_mean, whole.wavjepa(**inputs).scene_mean)
    with pytest.raises(CheckpointError, match="other"):
        WavJEPAConfig.from_dict({"model_type": "other"})
