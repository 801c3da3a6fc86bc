"""GRAM: sizes, chunks, the end of a clip, pooling, masks, the windows of the decoder, and what is refused."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining

from spatial_audio_lm.errors import AudioValueError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.models.gram import modeling_gram
from spatial_audio_lm.models.gram.chunking_gram import plan_chunks
from spatial_audio_lm.models.gram.configuration_gram import PUBLISHED_VARIANTS, GramConfig
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.modeling_gram import GramModel
from spatial_audio_lm.models.gram.modeling_gram_decoder import LocalGlobalAttention, RelativeBias
from spatial_audio_lm.models.gram.modeling_gram_pretraining import GramForPreTraining
from tests.models.model_cases import SMALL_GRAM, noise

TRAINABLE = {
    "binaural-patch": 111_002_320,
    "binaural-time": 111_328_664,
    "ambisonics-patch": 111_822_160,
    "mono-patch": 110_838_352,
}
ENCODERS = {
    "binaural-patch": 85_254_144,
    "binaural-time": 85_450_752,
    "ambisonics-patch": 85_745_664,
    "mono-patch": 85_155_840,
}


def small(**settings: object) -> GramModel:
    torch.manual_seed(0)
    return GramModel(GramConfig(**(SMALL_GRAM | settings))).eval()


def small_pretraining(**settings: object) -> GramForPreTraining:
    torch.manual_seed(0)
    return GramForPreTraining(GramConfig(**(SMALL_GRAM | settings))).eval()


def trainable(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("variant", PUBLISHED_VARIANTS)
def test_published_sizes(variant: str) -> None:
    with torch.device("meta"):
        model = GramForPreTraining(GramConfig.published(variant))
        new = GramForPreTraining(GramConfig.published(variant, trainable_mask_token=True))
    assert trainable(model) == TRAINABLE[variant] and trainable(new) == TRAINABLE[variant] + 512
    assert trainable(model.gram) == ENCODERS[variant]
    assert model.config.num_masked_patches == 0.8 * model.config.num_patches


def test_published_settings_differ_from_new_ones_where_they_say() -> None:
    def different(variant: str) -> set[str]:
        new, old = GramConfig().to_dict(), GramConfig.published(variant).to_dict()
        return {name for name in new if new[name] != old[name]}

    always = {"trainable_mask_token", "cls_init_std", "log_floor"}
    assert different("binaural-patch") == always
    assert different("mono-patch") == always | {"audio_format"}
    foa = {"audio_format", "channel_convention", "pretraining_log_floor"}
    assert different("ambisonics-patch") == always | foa
    assert different("binaural-time") == always | {"patch_bands", "patch_frames", "decoder_windows"}
    assert GramConfig.time().grid == GramConfig.published("binaural-time").grid == (1, 100)
    assert GramConfig().grid == (8, 25)
    with pytest.raises(ConfigError, match="binaural-time"):
        GramConfig.published("binaural-frame")


@pytest.mark.parametrize(
    ("frames", "rows", "chunks", "published_rows", "published_chunks"),
    [(201, 25, 1, 26, 2), (1001, 125, 5, 126, 6), (331, 42, 2, 42, 2), (200, 25, 1, 25, 2), (8, 1, 1, 1, 1)],
)
def test_rows_and_chunks_of_a_clip(
    frames: int, rows: int, chunks: int, published_rows: int, published_chunks: int
) -> None:
    config, lengths = GramConfig(), torch.tensor([frames])
    clean, published = plan_chunks(config, lengths), plan_chunks(config, lengths, published=True)
    assert (clean.rows.item(), clean.heard.shape[1], clean.heard.sum().item()) == (rows, chunks, rows)
    assert (published.rows.item(), published.heard.shape[1]) == (published_rows, published_chunks)
    assert published.heard.unique().tolist() == [25] and published.counted.all()
    assert clean.row_s.item() == pytest.approx(0.08)
    assert published.row_s.item() == pytest.approx((frames - 1) * 0.01 / published_rows)


def test_one_whole_chunk_by_hand() -> None:
    model, features = small(), noise(1, 1, 2, 17, 16)  # 17 frames: the last one starts no row
    outputs = model(features)
    chunk = features[:, :, :16]
    normal = (chunk - chunk.mean()) / (chunk.var(correction=0) + 1e-5).sqrt()
    kernel = model.patch_embedding.weight.view(32, 2, 8, 4)  # maps, bands, frames
    tokens = F.conv2d(normal.transpose(2, 3), kernel, model.patch_embedding.bias, stride=(8, 4))
    tokens = tokens.flatten(2).transpose(1, 2) + model.positions.table  # band by band
    expected = model.encoded(tokens)[0]
    torch.testing.assert_close(outputs.last_hidden_state[:, 0], expected)
    torch.testing.assert_close(outputs.scene_cls, expected[:, 0])
    torch.testing.assert_close(outputs.scene_mean, expected[:, 1:].mean(1))
    rows = torch.cat([expected[:, 1:5], expected[:, 5:9]], dim=2)  # four moments, low band first
    torch.testing.assert_close(outputs.frame_embeddings, rows)
    torch.testing.assert_close(outputs.scene_raw, rows.mean(1))
    assert outputs.timestamps_s.tolist() == [pytest.approx([0.0, 0.04, 0.08, 0.12])]


def test_positions_count_time_first_then_bands() -> None:
    table = small().positions.table[0].unflatten(0, (2, 4))  # (bands, moments, dim)
    assert torch.equal(table[0, :, :16], table[1, :, :16]) and torch.equal(table[:, 0, 16:], table[:, 3, 16:])
    assert not torch.equal(table[0, 0, :16], table[0, 1, :16])


def test_patches_in_time_have_all_bands_however_many() -> None:
    assert GramConfig.time().grid == (1, 100)
    assert GramConfig.time(num_mel_bins=64).patch_bands == 64
    assert GramConfig.time(num_mel_bins=64, patch_bands=32).grid == (2, 100)


def test_the_end_of_a_clip_is_not_heard() -> None:
    model = small()
    features = noise(2, 1, 2, 40, 16)
    mask = (torch.arange(40) < 23).long()[None]
    expected = model(features[:, :, :23])
    assert expected.frame_embeddings.shape == (1, 6, 64) and expected.last_hidden_state.shape[1] == 2
    for filling in (0.0, 100.0, torch.nan):
        padded = features.clone()
        padded[:, :, 23:] = filling
        outputs = model(padded, mask)
        for name in ("frame_embeddings", "scene_mean", "scene_cls", "scene_raw", "last_hidden_state"):
            torch.testing.assert_close(outputs[name], expected[name])
    # The second chunk has 7 frames in two rows of two patches: nothing else of it takes part.
    second = expected.last_hidden_state[0, 1]
    assert second[[0, 1, 2, 5, 6]].any(1).all() and not second[[3, 4, 7, 8]].any()
    shares = torch.tensor([4.0, 2.0]) / 6
    torch.testing.assert_close(expected.scene_cls[0], shares @ expected.last_hidden_state[0, :, 0])
    torch.testing.assert_close(expected.scene_mean, expected.scene_raw.unflatten(1, (2, -1)).mean(1))


def test_the_published_end_of_a_clip() -> None:
    """Zeros in the last chunk, a whole one more for a clip that fills its chunks, equal weights."""
    model = small()
    for frames, chunks, rows in ((23, 2, 6), (32, 3, 8), (33, 3, 9)):
        features = noise(3, 1, 2, frames, 16)
        outputs = model(features, published_padding=True)
        padded = F.pad(features, (0, 0, 0, 16 * chunks - frames)).unflatten(2, (chunks, 16))[0].transpose(0, 1)
        every = model.encoded(model.embedded(model.patches(F.layer_norm(padded, padded.shape[1:]))))[0]
        torch.testing.assert_close(outputs.scene_cls[0], every[:, 0].mean(0))
        torch.testing.assert_close(outputs.scene_mean[0], every[:, 1:].mean((0, 1)))
        moments = every[:, 1:].unflatten(1, (2, 4)).transpose(1, 2).flatten(2).flatten(0, 1)[:rows]
        torch.testing.assert_close(outputs.frame_embeddings[0], moments)
        torch.testing.assert_close(outputs.scene_raw[0], moments.mean(0))
        assert outputs.timestamps_s[0, -1].item() == pytest.approx((rows - 1) * (frames - 1) * 0.01 / rows)
        # In a batch with a longer clip nothing changes.
        batch = torch.cat([F.pad(features, (0, 0, 0, 50 - frames)), noise(4, 1, 2, 50, 16)])
        mask = torch.arange(50) < torch.tensor([[frames], [50]])
        together = model(batch, mask, published_padding=True)
        torch.testing.assert_close(together.scene_cls[:1], outputs.scene_cls)
        torch.testing.assert_close(together.scene_raw[:1], outputs.scene_raw)
        assert together.frame_mask.sum(1).tolist() == [rows, 13]


def test_hidden_states_of_every_layer() -> None:
    model = small()
    outputs = model(noise(5, 2, 2, 40, 16), output_hidden_states=True)
    assert len(outputs.hidden_states) == 3
    assert all(state.shape == (2, 3, 9, 32) for state in outputs.hidden_states)
    heard = outputs.last_hidden_state[:, :2]
    torch.testing.assert_close(model.norm(outputs.hidden_states[-1][:, :2]), heard)
    assert model(noise(5, 2, 2, 40, 16)).hidden_states is None


def test_bfloat16_weights_give_float32_embeddings(tmp_path: Path) -> None:
    model, features = small(), noise(6, 1, 2, 40, 16)
    model.save_pretrained(tmp_path)
    half = GramModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.norm.weight.dtype == torch.bfloat16
    for name in ("scene_mean", "scene_cls", "scene_raw"):
        expected, found = model(features)[name], half(features)[name]
        assert found.dtype == torch.float32
        assert (found - expected).norm() < 0.02 * expected.norm()


def test_masks_are_exact_and_seeded() -> None:
    model, features = small_pretraining(), noise(7, 64, 2, 16, 16)

    def drawn(seed: int) -> Tensor:
        return model(features, generator=torch.Generator().manual_seed(seed)).mask

    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))
    assert drawn(1).sum(1).unique().tolist() == [4]
    shares = torch.cat([drawn(seed) for seed in range(20)]).float().mean(0)
    assert (shares - 0.5).abs().max() < 0.06  # each patch as often as any other: 4 deviations of 1280 draws


def test_the_loss_by_hand_and_what_it_hears() -> None:
    model, features = small_pretraining(), noise(8, 3, 2, 16, 16)
    mask = noise(9, 3, 8).argsort(dim=1) < 4
    outputs = model(features, mask)
    error = (outputs.logits - outputs.target)[mask].square()
    torch.testing.assert_close(outputs.loss, 2 * error.mean())
    torch.testing.assert_close(outputs.target.mean((1, 2)), torch.zeros(3), atol=1e-5, rtol=0)
    # What was hidden is not heard: it may be anything of the same mean and variance.
    other = outputs.target.clone()
    other[mask] = other[mask].flip(-1)
    back = other.view(3, 2, 4, 2, 8, 4).permute(0, 3, 2, 5, 1, 4).reshape(3, 2, 16, 16)  # to frames and bands
    torch.testing.assert_close(model.gram.patches(back), other)
    torch.testing.assert_close(model(back, mask).logits, outputs.logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("learned", [True, False])
def test_the_mask_token_is_learned_or_fixed(learned: bool, tmp_path: Path) -> None:
    model = small_pretraining(trainable_mask_token=learned)
    before = model.decoder.mask_token.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(noise(10, 4, 2, 16, 16)).loss.backward()
    optimizer.step()
    assert torch.equal(model.decoder.mask_token, before) != learned
    model.save_pretrained(tmp_path)
    loaded = GramForPreTraining.from_pretrained(tmp_path)
    assert torch.equal(loaded.decoder.mask_token, model.decoder.mask_token)
    assert ("decoder.mask_token" in dict(loaded.named_parameters())) == learned


def test_a_few_steps_lower_the_loss() -> None:
    model = small_pretraining()
    # A slope over bands that differs from clip to clip: what is hidden can be told from what is heard.
    features = torch.linspace(-1, 1, 16) * noise(11, 16, 1, 1, 1) + 0.1 * noise(12, 16, 2, 16, 16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(60):
        loss = model(features, generator=generator).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_windows_against_one_masked_attention() -> None:
    torch.manual_seed(0)
    layer = LocalGlobalAttention(24, [2, 0, 4, 0, 8, 1])
    tokens = noise(13, 3, 8, 24)
    bias = torch.zeros(6, 8, 8)
    place = torch.arange(8)
    for head, window in enumerate(layer.windows):
        if window:
            distance = place[:, None] - place
            near = place[:, None] // window == place // window
            table = layer.relative_bias[str(head)].table
            bias[head] = torch.where(near, table[(distance + window - 1).clamp(0, 2 * window - 2)], -torch.inf)
    query, key, value = layer.qkv(tokens).view(3, 8, 3, 6, 4).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(query, key, value, bias).transpose(1, 2).flatten(2)
    for eager in (True, False):
        torch.testing.assert_close(layer(tokens, eager), layer.proj(mixed))


def test_the_relative_bias_is_of_query_minus_key() -> None:
    bias = RelativeBias(3)
    with torch.no_grad():
        bias.table.copy_(torch.arange(5.0))
    assert bias().tolist() == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]


def test_what_is_refused() -> None:
    model, training = small(), small_pretraining()
    with pytest.raises(AudioValueError, match=r"expected \(batch, 2, frames, 16\).*for_model"):
        model(noise(0, 1, 7, 16, 16))
    with pytest.raises(AudioValueError, match="expected"):
        model(noise(0, 2, 16, 16))
    for empty in (model, training):
        with pytest.raises(AudioValueError, match=r"shape \(0, 2, 16, 16\)"):
            empty(noise(0, 0, 2, 16, 16))
    with pytest.raises(AudioValueError, match="3 frames"):
        model(noise(0, 1, 2, 3, 16))
    holes = torch.tensor([[1, 0] + [1] * 14])
    for mask in (holes, torch.ones(1, 15), torch.zeros(1, 16)):
        with pytest.raises(AudioValueError, match="attention_mask"):
            model(noise(0, 1, 2, 16, 16), mask)
    with pytest.raises(AudioValueError, match="17 frames"):
        training(noise(0, 1, 2, 17, 16))
    chunk = noise(0, 2, 2, 16, 16)
    for mask, message in (
        (torch.arange(8).expand(2, -1) < 3, "hides 3 of 8 patches of an item; expected 4"),
        (torch.arange(8) < torch.tensor([[3], [4]]), "3, 4 of 8"),
        (torch.ones(2, 8), "bool"),
        (torch.arange(8).expand(1, -1) < 4, "bool"),
    ):
        with pytest.raises(DataError, match=message):
            training(chunk, mask)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"audio_format": "stereo"}, "mono, binaural, foa"),
        ({"channel_convention": "acn"}, "ambix"),
        ({"patch_bands": 5}, "16 bands, which is no multiple of a patch's 5"),
        ({"patch_frames": 3}, "frames"),
        ({"mask_ratio": 1.0}, "mask_ratio"),
        ({"mask_ratio": 0.01}, "mask_ratio"),
        ({"mask_ratio": 0.99}, "not all"),
        ({"decoder_windows": [3, 0]}, "divides the 8 patches"),
        ({"decoder_windows": []}, "one number a head"),
        ({"decoder_windows": [0] * 5}, "24 is no multiple of the 5 heads"),
        ({"log_floor": 0.0}, "above 0"),
        ({"num_attention_heads": 3}, "num_attention_heads"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_pretraining(**settings)


def test_chunks_of_a_very_long_clip_are_heard_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model, features = small(), noise(0, 2, 2, 100, 16)
    mask = torch.arange(100).expand(2, -1) < torch.tensor([[100], [71]])
    expected = model(features, mask, output_hidden_states=True)
    monkeypatch.setattr(modeling_gram, "_CHUNKS_AT_ONCE", 2)
    found = model(features, mask, output_hidden_states=True)
    for name in ("last_hidden_state", "scene_raw", "scene_cls"):
        torch.testing.assert_close(found[name], expected[name])
    torch.testing.assert_close(found.hidden_states[1], expected.hidden_states[1])


def test_files_and_auto_classes(tmp_path: Path) -> None:
    model = small_pretraining(audio_format="foa", channel_convention="gram", num_mel_bins=16)
    extractor = GramFeatureExtractor.for_model(model.config)
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, GramConfig) and config.decoder_windows == [2, 0, 4]
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert isinstance(loaded, GramFeatureExtractor) and loaded.to_dict() == extractor.to_dict()
    encoder = AutoModel.from_pretrained(tmp_path)  # the encoder alone: nothing of the decoder is in memory
    assert isinstance(encoder, GramModel) and trainable(encoder) == trainable(model.gram)
    whole = AutoModelForPreTraining.from_pretrained(tmp_path)
    assert isinstance(whole, GramForPreTraining)
    inputs = loaded(0.1 * noise(0, 4, 9_000), sampling_rate=32_000)
    torch.testing.assert_close(encoder(**inputs).scene_raw, whole.gram(**inputs).scene_raw)
    with pytest.raises(CheckpointError, match="other"):
        GramConfig.from_dict({"model_type": "other"})
