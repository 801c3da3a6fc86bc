"""Audio-MAE beyond what all models do: its sizes, what it hides, its windows, its embedding, its files."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForPreTraining,
    pipeline,
)

from spatial_audio_lm import (
    AudioMAEConfig,
    AudioMAEFeatureExtractor,
    AudioMAEForAudioClassification,
    AudioMAEForPreTraining,
    AudioMAEModel,
    SpatialASTConfig,
)
from spatial_audio_lm.errors import AudioValueError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.layers.positions import sincos_table_2d
from spatial_audio_lm.models.audio_mae.modeling_audio_mae_windows import (
    WindowAttention,
    cut_windows,
    join_windows,
    log_offsets,
    strangers,
)
from spatial_audio_lm.objectives.masked_reconstruction import masked_reconstruction_loss
from tests.models.model_cases import SMALL_AUDIO_MAE, noise, patch_mask


def small(model_class=AudioMAEForPreTraining, **settings: object):
    torch.manual_seed(0)
    return model_class(AudioMAEConfig(**(SMALL_AUDIO_MAE | settings))).eval()


def spectrograms(batch: int = 2) -> torch.Tensor:
    return noise(3, batch, 1, 64, 32)


def test_the_published_sizes() -> None:
    with torch.device("meta"):
        pretraining = AudioMAEForPreTraining(AudioMAEConfig())
        vanilla = AudioMAEForPreTraining(AudioMAEConfig(decoder_attention="global"))
        classifier = AudioMAEForAudioClassification(AudioMAEConfig())

    def trainable(model: torch.nn.Module) -> int:
        return sum(p.numel() for p in model.parameters() if p.requires_grad)

    assert trainable(classifier) == 85_659_407
    assert trainable(pretraining) == 136_336_128
    tables = 513 * 768 + 513 * 512  # the published code counts them, each with a row of zeros, among its parameters
    assert trainable(pretraining) + tables == 136_992_768
    assert sum(b.numel() for b in pretraining.buffers()) == tables - 768 - 512
    config = pretraining.config
    assert (config.grid, config.num_patches, config.num_hidden, config.num_labels) == ((64, 8), 512, 410, 527)
    assert len(pretraining.decoder.blocks) == 16 and len(vanilla.decoder.blocks) == 8
    assert [block.shift for block in pretraining.decoder.blocks[:4]] == [(0, 0), (2, 0), (0, 0), (2, 0)]
    # Only the last two of the 32 shifted windows hold patches that are strangers to each other.
    apart = strangers((64, 8), 4, (2, 0), torch.device("cpu"))
    assert apart.flatten(1).any(1).nonzero().flatten().tolist() == [30, 31]


def test_positions() -> None:
    grid, published = AudioMAEConfig().position_grid, AudioMAEConfig(position_table="published").position_grid
    assert (grid, published) == ((64, 8), (8, 64))
    scrambled = sincos_table_2d(*published, 768)
    true = sincos_table_2d(*grid, 768).view(64, 8, 768)
    for patch in (0, 5, 8, 63, 64, 300, 511):  # a patch has the place of another: of index % 64 and index // 64
        assert torch.equal(scrambled[patch, :384], sincos_table_2d(1, 64, 768)[patch % 64, :384])
        assert torch.equal(scrambled[patch, 384:], true[patch // 64, 0, 384:])
    model = small(position_table="published")
    assert torch.equal(model.audio_mae.positions.table[0], sincos_table_2d(4, 8, 64))
    assert torch.equal(model.decoder.positions.table[0], sincos_table_2d(4, 8, 32))
    assert torch.equal(small().audio_mae.positions.table[0], sincos_table_2d(8, 4, 64))


def test_initial_weights() -> None:
    classifier, model = small(AudioMAEForAudioClassification), small()
    assert 5e-6 < classifier.head.weight.std() < 4e-5 and not classifier.head.bias.any()
    limit = (6 / (64 + 48)) ** 0.5  # Glorot's
    weight = model.audio_mae.blocks[1].mlp.fc1.weight
    assert 0.9 * limit < weight.abs().max() <= limit and not model.audio_mae.blocks[1].mlp.fc1.bias.any()
    assert 0.01 < model.audio_mae.cls_token.std() < 0.03 and 0.01 < model.decoder.mask_token.std() < 0.03
    assert (model.decoder.blocks[0].attn.tau == 1).all()


@torch.no_grad()
def test_the_contextual_embedding() -> None:
    model, features = small(AudioMAEModel), spectrograms()
    outputs = model(features, output_hidden_states=True)
    assert len(outputs.hidden_states) == 4 and model(features).hidden_states is None
    assert torch.equal(outputs.last_hidden_state, model.norm(outputs.hidden_states[3]))
    expected = (model.norm(outputs.hidden_states[2]) + model.norm(outputs.hidden_states[3])) / 2
    torch.testing.assert_close(outputs.contextual_state, expected)
    torch.testing.assert_close(outputs.pooler_output, expected[:, 1:].mean(1))
    shallow = small(AudioMAEModel, num_hidden_layers=1)
    outputs = shallow(features, output_hidden_states=True)  # of fewer blocks all, and never what enters the first
    assert torch.equal(outputs.contextual_state, shallow.norm(outputs.hidden_states[1]))


@torch.no_grad()
def test_hidden_patches_are_not_heard_and_the_loss_is_theirs() -> None:
    model, features, mask = small(), spectrograms(), patch_mask(2)["mask"]
    outputs = model(features, mask=mask)
    assert outputs.last_hidden_state.shape == (2, 1 + 7, 64) and torch.equal(outputs.mask, mask)
    patches = features[:, 0].unflatten(2, (4, 8)).unflatten(1, (8, 8)).transpose(2, 3).reshape(2, 32, 64)
    normal = (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(outputs.loss, (outputs.logits - normal)[mask].square().mean())
    plain = small(norm_pix_loss=False)(features, mask=mask)
    torch.testing.assert_close(plain.loss, masked_reconstruction_loss(outputs.logits, patches, mask, normalize=False))
    # Another sound where nothing was seen: the guess stays, the loss does not.
    grid = mask.view(2, 8, 4).repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None]
    changed = model(torch.where(grid, features + noise(4, 2, 1, 64, 32), features), mask=mask)
    assert torch.equal(changed.logits, outputs.logits) and not torch.allclose(changed.loss, outputs.loss)
    seen = model(torch.where(grid, features, features + 1), mask=mask)
    assert not torch.allclose(seen.logits, outputs.logits, atol=1e-3)


@torch.no_grad()
def test_masks_are_drawn_by_seed() -> None:
    model, features = small(), spectrograms(3)
    first, again, other = (model(features, generator=torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert torch.equal(first.mask, again.mask) and torch.equal(first.loss, again.loss)
    assert not torch.equal(first.mask, other.mask)
    assert first.mask.sum(1).tolist() == [32 - 6] * 3  # int(32 * 0.2) are seen
    assert not torch.equal(first.mask[0], first.mask[1])
    torch.manual_seed(3)
    drawn = model(features).mask
    torch.manual_seed(3)
    assert torch.equal(drawn, model(features).mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(2, 32, dtype=torch.bool), "hides 0 of 32"),
        (torch.ones(2, 32, dtype=torch.bool), "hides 32 of 32"),
        (torch.arange(64).view(2, 32) < 40, "hides 8, 32 of 32"),
        (torch.zeros(2, 31, dtype=torch.bool), r"\(2, 31\); expected torch.bool \(2, 32\)"),
        (torch.zeros(2, 32), "torch.float32"),
    ],
)
def test_masks_that_cannot_be_used(mask: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        small()(spectrograms(), mask=mask)


def test_windows_are_cut_and_joined() -> None:
    tokens = torch.arange(2 * 8 * 4).view(2, 32, 1)
    for shift in ((0, 0), (2, 0), (1, 1), (2, 2)):
        windows = cut_windows(tokens, (8, 4), 2, shift)
        assert windows.shape == (2, 8, 4, 1)
        assert torch.equal(join_windows(windows, (8, 4), 2, shift), tokens)
    assert cut_windows(tokens, (8, 4), 2, (0, 0))[0, 1, :, 0].tolist() == [2, 3, 6, 7]  # second of the first row
    assert cut_windows(tokens, (8, 4), 2, (1, 0))[0, 0, :, 0].tolist() == [4, 5, 8, 9]  # one patch later
    assert cut_windows(tokens, (8, 4), 2, (1, 0))[0, -1, :, 0].tolist() == [30, 31, 2, 3]  # the end, and the beginning
    apart = strangers((8, 4), 2, (1, 0), torch.device("cpu"))
    assert apart[-1].tolist() == [[False, False, True, True]] * 2 + [[True, True, False, False]] * 2
    assert not apart[:-2].any()


@torch.no_grad()
def test_local_attention_by_its_formula() -> None:
    torch.manual_seed(0)
    layer = WindowAttention(12, 3, 2, 7, 0.1).eval()
    layer.tau.copy_(torch.tensor([0.5, 1.0, 1e-5]))  # the last is raised to 0.01
    x = torch.randn(1, 1, 4, 12)
    places = [(t, f) for t in (0, 1) for f in (0, 1)]
    query, key, value = layer.qkv(x[0, 0]).view(4, 3, 3, 4).permute(1, 2, 0, 3)
    answer = torch.zeros(4, 12)
    for head in range(3):
        for i in range(4):
            scores = torch.stack(
                [
                    F.cosine_similarity(query[head, i], key[head, j], dim=0) / max(float(layer.tau[head]), 0.01)
                    for j in range(4)
                ]
            )
            for j in range(4):
                away = torch.tensor([places[i][0] - places[j][0], places[i][1] - places[j][1]]).float()
                hidden = F.relu(layer.meta_mlp.fc1(away.sign() * (1 + away.abs()).log()))
                scores[j] += layer.meta_mlp.fc2(hidden)[head]
            answer[i, 4 * head : 4 * head + 4] = scores.softmax(0) @ value[head]
    torch.testing.assert_close(layer(x)[0, 0], layer.proj(answer), atol=1e-5, rtol=1e-4)
    assert log_offsets(4, x.device).shape == (256, 2)
    # Whom a patch must not meet it does not hear.
    apart = torch.tensor([[False, False, True, True]] * 2 + [[True, True, False, False]] * 2)[None]
    changed = x.clone()
    changed[0, 0, 2:] += 1
    torch.testing.assert_close(layer(x, apart)[0, 0, :2], layer(changed, apart)[0, 0, :2])
    assert not torch.allclose(layer(x)[0, 0, :2], layer(changed)[0, 0, :2], atol=1e-3)


@torch.no_grad()
def test_shifted_windows_carry_sound_from_one_window_to_the_next_in_time_alone() -> None:
    model, mask = small(), torch.zeros(1, 32, dtype=torch.bool)
    mask[0, 31] = True
    tokens = noise(0, 1, 1 + 31, 64)
    changed = tokens.clone()
    changed[0, 1] += 1  # patch 0: time 0, lowest band
    moved = (model.decoder(changed, mask) - model.decoder(tokens, mask)).abs().amax(-1).view(8, 4) > 1e-6
    assert moved[:6].all()  # its window of four times, and the shifted one over times 2 to 5
    assert not moved[6:].any()  # those meet the beginning only by the roll
    vanilla = small(decoder_attention="global")
    assert (vanilla.decoder(changed, mask) - vanilla.decoder(tokens, mask)).abs().amax(-1).min() > 1e-6


@torch.no_grad()
def test_global_decoders_attend_alike_eager_or_not() -> None:
    features, mask, answers = spectrograms(), patch_mask(2)["mask"], []
    for attention in ("eager", "sdpa"):
        model = small(decoder_attention="global", attn_implementation=attention)
        answers.append(model(features, mask=mask).logits)
    torch.testing.assert_close(*answers, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_rows_are_left_out_in_the_classifiers_training_alone() -> None:
    model = small(AudioMAEForAudioClassification, drop_time_patches=0.3, drop_mel_patches=0.5)
    features = spectrograms()
    assert torch.equal(model(features).logits, model(features).logits)
    states = model(features, output_hidden_states=True).hidden_states
    assert states[0].shape == (2, 1 + 32, 64)
    model.train()
    torch.manual_seed(1)
    first = model(features, output_hidden_states=True)
    torch.manual_seed(1)
    assert torch.equal(model(features).logits, first.logits)
    assert first.hidden_states[0].shape == (2, 1 + 5 * 2, 64)  # int(8 * 0.7) times, int(4 * 0.5) bands


@torch.no_grad()
def test_the_classifier_reads_the_mean_of_the_patches() -> None:
    model = small(AudioMAEForAudioClassification)
    outputs = model(spectrograms(), output_hidden_states=True)
    mean = outputs.hidden_states[-1][:, 1:].mean(1)
    torch.testing.assert_close(outputs.logits, model.head(model.fc_norm(mean)))
    several = (noise(1, 2, 5) > 0).float()
    loss = model(spectrograms(), labels=several).loss
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(outputs.logits, several))
    one = model(spectrograms(), labels=torch.tensor([4, 0])).loss
    torch.testing.assert_close(one, F.cross_entropy(outputs.logits, torch.tensor([4, 0])))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 5]), "0 to 5; expected 0 to 4"),
        (torch.tensor([-1, 2]), "-1 to 2"),
        (torch.full((2, 5), 1.2), "expected 0 to 1"),
        (torch.full((2, 5), float("nan")), "nan"),
        (torch.zeros(2, 4), r"\(2, 4\); expected floating point \(2, 5\)"),
        (torch.zeros(2, 5, dtype=torch.long), r"integers \(2,\)"),
        (torch.zeros(2, dtype=torch.bool), "torch.bool"),
    ],
)
def test_labels_that_do_not_fit(labels: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        small(AudioMAEForAudioClassification)(spectrograms(), labels=labels)


@pytest.mark.parametrize("model_class", [AudioMAEModel, AudioMAEForPreTraining, AudioMAEForAudioClassification])
def test_other_shapes_are_refused(model_class: type) -> None:
    for shape in ((2, 64, 32), (2, 2, 64, 32), (2, 1, 60, 32), (2, 1, 72, 32), (2, 1, 0, 32), (2, 1, 64, 128)):
        with pytest.raises(AudioValueError, match=r"\(batch, 1, frames, 32\) with up to 64 frames, a multiple of 8"):
            small(model_class)(torch.zeros(shape))


@torch.no_grad()
@pytest.mark.parametrize("table", ["grid", "published"])
def test_shorter_spectrograms_have_the_first_positions(table: str) -> None:
    features = spectrograms()
    model = small(AudioMAEModel, position_table=table)
    long, short = (model(x, output_hidden_states=True) for x in (features, features[:, :, :24]))
    assert short.last_hidden_state.shape == (2, 1 + 3 * 4, 64)
    torch.testing.assert_close(short.hidden_states[0], long.hidden_states[0][:, : 1 + 12])
    classifier = small(AudioMAEForAudioClassification, position_table=table, drop_time_patches=0.5).train()
    states = classifier(features[:, :, :24], output_hidden_states=True).hidden_states
    assert states[0].shape == (2, 1 + 1 * 4, 64)  # int(3 * 0.5) times
    with pytest.raises(AudioValueError, match="has 24 frames; pre-training takes 64"):
        small(position_table=table)(features[:, :, :24])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"position_table": "scrambled"}, "grid, published"),
        ({"decoder_attention": "swin"}, "local, global"),
        ({"num_frames": 63}, "patches of 8"),
        ({"mask_ratio": 0.0}, "at least one is hidden"),
        ({"mask_ratio": 0.99}, "one seen"),
        ({"decoder_window": 3}, "whole windows"),
        ({"decoder_shift": (4, 0)}, "less than one"),
        ({"contextual_layers": 0}, "1 or more"),
        ({"drop_time_patches": 1.0}, "drop_time_patches"),
        ({"id2label": {0: "dog"}}, "num_labels is 5"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5; expected a divisor of 64"),
        ({"decoder_num_attention_heads": 5}, "decoder_num_attention_heads is 5; expected a divisor of 32"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**settings)


def test_files_and_auto_classes(tmp_path: Path) -> None:
    pretrained, extractor = small(), AudioMAEFeatureExtractor(feature_size=32, num_frames=64, mean=-5.0)
    pretrained.save_pretrained(tmp_path / "pretrained")
    extractor.save_pretrained(tmp_path / "pretrained")
    config = AutoConfig.from_pretrained(tmp_path / "pretrained")
    assert isinstance(config, AudioMAEConfig) and config.to_dict() == pretrained.config.to_dict() | config.to_dict()
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path / "pretrained")
    assert isinstance(loaded, AudioMAEFeatureExtractor) and loaded.to_dict() == extractor.to_dict()
    assert isinstance(AutoModelForPreTraining.from_pretrained(tmp_path / "pretrained"), AudioMAEForPreTraining)
    encoder = AutoModel.from_pretrained(tmp_path / "pretrained")
    assert isinstance(encoder, AudioMAEModel) and isinstance(encoder.norm, torch.nn.LayerNorm)
    with pytest.raises(CheckpointError, match="checkpoint of audio_mae"):
        SpatialASTConfig.from_pretrained(tmp_path / "pretrained")

    # Fine-tuning begins with the encoder, and leaves its norm and the decoder behind.
    names = {0: "dog", 1: "rain"}
    classifier = AudioMAEForAudioClassification.from_pretrained(tmp_path / "pretrained", id2label=names)
    assert torch.equal(classifier.audio_mae.blocks[2].attn.qkv.weight, pretrained.audio_mae.blocks[2].attn.qkv.weight)
    assert isinstance(classifier.audio_mae.norm, torch.nn.Identity) and not classifier.config.final_norm
    assert pretrained.config.final_norm and classifier.head.out_features == 2
    assert classifier.head.weight.std() < 4e-5 and (classifier.fc_norm.weight == 1).all()
    classifier.save_pretrained(tmp_path / "classifier")
    again = AutoModelForAudioClassification.from_pretrained(tmp_path / "classifier")
    assert isinstance(again, AudioMAEForAudioClassification) and again.config.id2label == names
    features = loaded([0.1 * noise(0, 4000), noise(1, 9000)], sampling_rate=16_000)
    with torch.no_grad():
        assert torch.equal(again.eval()(**features).logits, classifier.eval()(**features).logits)
    # transformers' own pipeline hears with it.
    ask = pipeline("audio-classification", model=again, feature_extractor=loaded)
    assert {answer["label"] for answer in ask(noise(0, 4000).numpy())} == {"dog", "rain"}


def test_a_few_steps_learn_to_guess() -> None:
    """A sound whose hidden patches follow from those that are seen: each time has one of two shapes."""
    shapes = noise(0, 2, 8, 8)
    times = torch.randint(2, (16, 8), generator=torch.Generator().manual_seed(1))
    features = shapes[times].flatten(1, 2).repeat(1, 1, 4)[:, None]
    torch.manual_seed(0)
    model = AudioMAEForPreTraining(AudioMAEConfig(**(SMALL_AUDIO_MAE | {"mask_ratio": 0.5}))).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(120):
        loss = model(features).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.9 and sum(losses[-5:]) / 5 < 0.25, losses[::10]


def test_a_config_is_not_changed_by_the_classifier() -> None:
    config = AudioMAEConfig(**SMALL_AUDIO_MAE)
    AudioMAEForAudioClassification(config)
    assert config.final_norm and isinstance(AudioMAEModel(config).norm, torch.nn.LayerNorm)
