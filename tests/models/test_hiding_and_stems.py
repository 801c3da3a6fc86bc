"""What is hidden in training, how patches become tokens, and the other settings that a model of one's own may take."""

import pytest
import torch
from torch.nn import functional as F

from spatial_audio_lm import DSpASTConfig, DSpASTForSoundEventLocalization, SpatialASTConfig
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.event_localization import EventLocalizationOutput, Readout
from spatial_audio_lm.layers.masking import drop_rows, mask_spans
from spatial_audio_lm.layers.patch_embedding import ConvStem, PatchEmbedding
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization
from tests.models.model_cases import SMALL_BINAURAL, SMALL_DSPAST, noise

BOTH = pytest.mark.parametrize(
    ("config", "model", "small", "maps"),
    [
        (DSpASTConfig, DSpASTForSoundEventLocalization, SMALL_DSPAST, 6),
        (SpatialASTConfig, SpatialASTForSoundEventLocalization, SMALL_BINAURAL, 4),
    ],
    ids=["dspast", "spatial_ast"],
)


def test_spans_are_hidden_in_one_piece_and_differ_between_items() -> None:
    torch.manual_seed(0)
    masked = mask_spans(torch.ones(200, 2, 40, 20), 16, 8)
    assert torch.equal(masked[:, 0], masked[:, 1])
    frames, bands = (masked[:, 0] == 0).all(2), (masked[:, 0] == 0).all(1)
    for hidden, longest, mean in ((frames, 16, 8.0), (bands, 8, 4.0)):
        length = hidden.sum(1)
        edges = hidden.int().diff(dim=1).abs().sum(1)
        assert int(length.max()) <= longest and int(edges.max()) <= 2  # one span each
        assert abs(float(length.float().mean()) - mean) < 0.8  # every length is as likely as another
        assert len(hidden.unique(dim=0)) > 50
    outside = ~(frames[:, :, None] | bands[:, None, :])
    assert (masked[:, 0][outside] == 1).all() and torch.equal(mask_spans(masked, 0, 0), masked)


def test_whole_rows_are_left_out() -> None:
    torch.manual_seed(0)
    time, freq = 8, 4
    tokens = torch.arange(time * freq).float().view(1, -1, 1).expand(50, -1, 3)
    kept = drop_rows(tokens, (time, freq), 0.25, 0.3)  # int(6) and int(2.8) of them stay
    assert kept.shape == (50, 6 * 2, 3)
    numbers = kept[:, :, 0].long()
    assert (numbers.diff(dim=1) > 0).all()
    for row in numbers:
        times, freqs = set((row // freq).tolist()), set((row % freq).tolist())
        assert len(times) == 6 and len(freqs) == 2
        assert row.tolist() == [t * freq + f for t in sorted(times) for f in sorted(freqs)]
    assert len(numbers.unique(dim=0)) > 20


def test_a_patch_is_what_a_convolution_gives() -> None:
    torch.manual_seed(0)
    layer, maps = PatchEmbedding(12, 8, 3), torch.randn(2, 3, 33, 16)
    expected = F.conv2d(maps, layer.weight, layer.bias, stride=8).flatten(2).transpose(1, 2)
    torch.testing.assert_close(layer(maps), expected, atol=1e-5, rtol=1e-5)


def test_the_stem_has_the_grid_of_the_patches() -> None:
    maps = torch.randn(2, 3, 64, 32)
    stem = ConvStem(16, 8, 3).eval()
    assert stem(maps).shape == PatchEmbedding(16, 8, 3)(maps).shape == (2, 8 * 4, 16)
    moved = stem(maps.roll(8, dims=2))  # one patch later
    torch.testing.assert_close(moved[:, 8:-8], stem(maps)[:, 4:-12], atol=1e-5, rtol=1e-5)
    for size, dim in ((12, 16), (1, 16), (16, 12)):
        with pytest.raises(ConfigError, match="power of two"):
            ConvStem(dim, size, 3)


@BOTH
def test_hiding_happens_in_training_only(config, model, small, maps) -> None:
    torch.manual_seed(0)
    settings = {"drop_time_patches": 0.5, "mask_frames": 16, "mask_mels": 8}
    built = model(config(**(small | settings)))
    seen: list[int] = []
    encoder = getattr(built, built.base_model_prefix)
    encoder.blocks[0].register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].shape[1]))
    features = noise(3, 4, maps, 32, 16)
    with torch.no_grad():
        built.eval()
        first, second = built(features), built(features)
        built.train()
        built(features)
    assert torch.equal(first.event_logits, second.event_logits)
    patches = built.config.grid[0] * built.config.grid[1]
    heads = built.config.num_cls_tokens
    assert seen == [heads + patches, heads + patches, heads + patches // 2]


@BOTH
def test_settings_of_ones_own_are_saved_and_used(config, model, small, maps, tmp_path) -> None:
    torch.manual_seed(0)
    settings = {"patch_stem": "conv", "fusion_channels": 3, "normalize_all_maps": True, "readout": "pooled"}
    width = {"hidden_size": 48, "num_attention_heads": 4}
    built = model(config(**(small | width | settings))).eval()
    features = noise(3, 2, maps, 32, 16)
    built.train()(features)  # the norms see a batch
    built.eval().save_pretrained(tmp_path)
    again = model.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(built(features).event_logits, again(features).event_logits)
    encoder = getattr(again, again.base_model_prefix)
    assert encoder.log_mel_norm is None and len(encoder.map_norm.running_mean) == maps
    normal = encoder.train().normalized(features)
    torch.testing.assert_close(normal.mean((0, 2, 3)), torch.zeros(maps), atol=1e-5, rtol=0)
    for wrong in (
        {"patch_stem": "none"},
        {"decoding": "mean"},
        {"drop_time_patches": 1.0},
        {"mask_mels": -1},
        {"readout": "x"},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            config(**(small | wrong))


def test_pooled_heads_hear_every_row_of_frequencies_and_any_length() -> None:
    torch.manual_seed(0)
    config = SpatialASTConfig(**(SMALL_BINAURAL | {"readout": "pooled"}))
    readout = Readout(config, 12).eval()
    rows = config.grid[1]
    tokens = torch.randn(2, config.num_cls_tokens + 5 * rows, 12)
    with torch.no_grad():
        first = readout(tokens, 0)
        shuffled = tokens.clone()
        patches = tokens[:, config.num_cls_tokens :].unflatten(1, (5, rows))
        shuffled[:, config.num_cls_tokens :] = patches[:, torch.randperm(5)].flatten(1, 2)
        torch.testing.assert_close(readout(shuffled, 0), first)  # time is averaged over
        shuffled[:, config.num_cls_tokens :] = patches.flip(2).flatten(1, 2)
        assert not torch.allclose(readout(shuffled, 0), first, atol=1e-3)  # frequency is not
    with pytest.raises(ConfigError, match="every row"):
        SpatialASTConfig(**(SMALL_BINAURAL | {"readout": "pooled", "drop_mel_patches": 0.5}))


def test_linear_heads_instead_of_cosines() -> None:
    model = DSpASTForSoundEventLocalization(DSpASTConfig(**(SMALL_DSPAST | {"adacos": False}))).train()
    labels = {"azimuth_deg": torch.zeros(4), "distance_m": torch.ones(4)}
    output = model(noise(3, 4, 6, 32, 16), labels=labels)
    expected = F.cross_entropy(output.distance_logits, torch.full((4,), 2))
    torch.testing.assert_close(output.loss_components["distance"], expected)
    assert not hasattr(model.distance_head, "scale") and output.azimuth_logits.abs().max() < 1e-2  # they begin at zero


def test_labels_may_spread_over_neighbouring_bins() -> None:
    bins = SpatialASTConfig(**(SMALL_BINAURAL | {"num_elevation_bins": 36})).bins
    spread = bins.spread("azimuth", torch.tensor([-179.0, 30.0]), 10.0)
    angles = bins.azimuth_deg(torch.arange(bins.num_azimuth_bins))
    for row, true in enumerate((-179.0, 30.0)):
        away = (angles - true + 180) % 360 - 180
        expected = torch.exp(-0.5 * (away / 10) ** 2)
        torch.testing.assert_close(spread[row], (expected / expected.sum()).to(spread), atol=1e-6, rtol=1e-4)
    distance = bins.spread("distance", torch.tensor([1.2]), 0.3)
    assert float((distance * bins.distance_m(torch.arange(bins.num_distance_bins))).sum()) == pytest.approx(
        1.2, abs=0.02
    )
    elevation = bins.spread("elevation", torch.tensor([-20.0]), 8.0)
    assert float((elevation * bins.elevation_deg(torch.arange(bins.num_elevation_bins))).sum()) == pytest.approx(
        -20, abs=0.3
    )
    # the loss is the cross-entropy with these
    model = SpatialASTForSoundEventLocalization(
        SpatialASTConfig(**(SMALL_BINAURAL | {"label_spread_deg": 10.0}))
    ).eval()
    output = model(noise(3, 2, 4, 32, 16), labels={"azimuth_deg": torch.tensor([-179.0, 30.0])})
    expected = -(spread * output.azimuth_logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(output.loss_components["azimuth"], expected.to(output.loss.dtype))


def test_answers_lie_between_bins() -> None:
    """Two neighbouring bins of equal weight: the answer is between them, also where the circle closes."""
    settings = {"num_azimuth_bins": 72, "num_elevation_bins": 36, "angle_convention": "house", "num_labels": 3}
    model = SpatialASTForSoundEventLocalization(SpatialASTConfig(**(SMALL_BINAURAL | settings))).eval()
    azimuth, elevation, distance = (torch.full((2, count), -30.0) for count in (72, 36, 21))
    azimuth[0, [0, 71]] = 5.0
    azimuth[1, [10, 11]] = 5.0
    azimuth[1, 40] = 5.3  # the single most probable bin; its neighbourhood holds less
    elevation[0, [18, 19]] = 5.0
    elevation[1, 0] = 5.0
    distance[0, [4, 5]] = 5.0
    distance[1, 20] = 5.0
    outputs = EventLocalizationOutput(
        event_logits=torch.zeros(2, 3), azimuth_logits=azimuth, elevation_logits=elevation, distance_logits=distance
    )
    assert model.place(outputs)["azimuth_deg"].tolist() == [0.0, -160.0]
    model.config.decoding = "local_mean"
    place = model.place(outputs)
    assert place["azimuth_deg"].tolist() == pytest.approx([-2.5, 52.5], abs=1e-3)
    assert place["elevation_deg"].tolist() == pytest.approx([2.5, -90.0], abs=1e-3)
    elevation[1, [26, 27]] = 4.6  # each less probable than straight below, together more
    assert model.place(outputs)["elevation_deg"].tolist() == pytest.approx([2.5, 42.5], abs=1e-3)
    assert place["distance_m"].tolist() == pytest.approx([2.25, 10.0], abs=1e-3)
    assert place["direction_confidence"][0] == pytest.approx(1.0, abs=1e-6)
