"""Published layouts of GRAM: every key has a place or a reason, whatever stands in front of it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from spatial_audio_lm.cli.main import app
from spatial_audio_lm.errors import CheckpointError, ConfigError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.layers.positions import sincos_table_2d
from spatial_audio_lm.models.gram.configuration_gram import GramConfig
from spatial_audio_lm.models.gram.convert_gram import convert_gram, gram_from_published
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.modeling_gram import GramModel
from spatial_audio_lm.models.gram.modeling_gram_pretraining import GramForPreTraining
from spatial_audio_lm.signal.mel import mel_filters

WIDTH, MLP, NARROW, NARROW_MLP = 64, 96, 32, 48
Keys = dict[str, Tensor]


def numbers(seed: int, *shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def published(variant: str = "binaural-patch") -> Keys:
    """A small model with the bare names of the published code, two blocks in the encoder and one in the decoder."""
    config = GramConfig.published(variant)
    maps, values = config.num_feature_maps, config.patch_values
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, WIDTH),
        "mask_token": (1, 1, NARROW),
        "patch_embed.proj.weight": (WIDTH, maps, config.patch_bands, config.patch_frames),
        "patch_embed.proj.bias": (WIDTH,),
    }

    def layer(name: str, out: int, inputs: int) -> None:
        shapes.update({f"{name}weight": (out, inputs), f"{name}bias": (out,)})

    def norm(name: str, size: int) -> None:
        shapes.update({f"{name}.weight": (size,), f"{name}.bias": (size,)})

    for block in (0, 1):
        name = f"encoder.layers.encoder_layer_{block}"
        norm(f"{name}.ln_1", WIDTH)
        norm(f"{name}.ln_2", WIDTH)
        layer(f"{name}.self_attention.in_proj_", 3 * WIDTH, WIDTH)
        layer(f"{name}.self_attention.out_proj.", WIDTH, WIDTH)
        layer(f"{name}.mlp.0.", MLP, WIDTH)
        layer(f"{name}.mlp.3.", WIDTH, MLP)
    norm("encoder.ln", WIDTH)
    layer("decoder_embed.", NARROW, WIDTH)
    norm("decoder_blocks.0.norm1", NARROW)
    norm("decoder_blocks.0.norm2", NARROW)
    layer("decoder_blocks.0.wmha.qkv.", 3 * NARROW, NARROW)
    layer("decoder_blocks.0.wmha.proj.", NARROW, NARROW)
    layer("decoder_blocks.0.mlp.fc1.", NARROW_MLP, NARROW)
    layer("decoder_blocks.0.mlp.fc2.", NARROW, NARROW_MLP)
    norm("decoder_norm", NARROW)
    layer("spec_pred.0.", values, NARROW)
    state = {name: numbers(seed, *shape) for seed, (name, shape) in enumerate(shapes.items())}
    for head, window in enumerate(config.decoder_windows):
        if window:
            name = f"decoder_blocks.0.wmha.attn_heads.{head}.relative_position"
            state[f"{name}_bias_table"] = numbers(100 + head, 2 * window - 1, 1)
            place = torch.arange(window)
            state[f"{name}_index"] = place[:, None] - place + window - 1
    encoder, decoder = sincos_table_2d(*config.grid, WIDTH), sincos_table_2d(*config.grid, NARROW)
    state["encoder.pos_embedding"] = torch.cat([torch.zeros(1, WIDTH), encoder])[None]
    state["decoder_pos_embed"] = decoder[None]
    return state | front_end()


def front_end() -> Keys:
    return {
        "melspec.spectrogram.window": torch.hann_window(1024),
        "melspec.mel_scale.fb": mel_filters(128, 1024, 32_000, 50.0, 16_000.0, "htk"),
    }


def wrapped(state: Keys, outer: str = "") -> Keys:
    """As the run-time wrapper names them, its own front end beside the model."""
    return {f"{outer}model.{key}": value for key, value in state.items()} | {
        f"{outer}mel_spec.{key}": value.clone() for key, value in front_end().items()
    }


def without(state: Keys, part: str) -> Keys:
    return {key: value for key, value in state.items() if part not in key}


LAYOUTS = {
    "lightning": lambda state: state,
    "wrapper": wrapped,
    "hub": lambda state: wrapped(state, "encoder."),
    "without_front_end": lambda state: without(state, "melspec"),
    "without_constants": lambda state: without(without(state, "melspec"), "relative_position_index"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = published()
    source = LAYOUTS[layout](bare)
    file = tmp_path / "model.safetensors"
    if layout == "lightning":
        file = tmp_path / "step=500000.ckpt"
        torch.save({"state_dict": source, "epoch": 3, "global_step": 500_000, "hyper_parameters": {"lr": 2e-4}}, file)
    else:
        save_file(source, file)
    account = convert_gram(file, tmp_path / "out", variant="binaural-patch")
    assert {*account.loaded, *account.dropped} == set(source) and not {*account.loaded} & {*account.dropped}
    assert set(account.dropped.values()) <= {"constant, equal to what is computed here"}
    model = GramForPreTraining.from_pretrained(tmp_path / "out")
    filled = [target for targets in account.loaded.values() for target in targets]
    assert sorted([*filled, *account.computed]) == sorted(model.state_dict())
    assert len(filled) == len(without(without(without(bare, "melspec"), "index"), "pos_embed"))
    # By hand, so that two wrong renames cannot agree.
    block, decoder = model.gram.blocks[1], model.decoder.blocks[0]
    name, heads = "encoder.layers.encoder_layer_1", "decoder_blocks.0.wmha.attn_heads"
    for ours, theirs in (
        (model.gram.cls_token, "cls_token"),
        (model.gram.patch_embedding.weight.view(-1, 2, 16, 8), "patch_embed.proj.weight"),
        (block.norm2.weight, f"{name}.ln_2.weight"),
        (block.attn.qkv.bias, f"{name}.self_attention.in_proj_bias"),
        (block.mlp.fc2.weight, f"{name}.mlp.3.weight"),
        (model.gram.norm.weight, "encoder.ln.weight"),
        (model.decoder.mask_token, "mask_token"),
        (decoder.attn.relative_bias["3"].table[:, None], f"{heads}.3.relative_position_bias_table"),
        (model.decoder.prediction.bias, "spec_pred.0.bias"),
    ):  # fmt: skip
        assert torch.equal(ours, bare[theirs]), theirs
    assert torch.equal(model.gram.positions.table, bare["encoder.pos_embedding"][:, 1:])
    assert torch.equal(model.decoder.positions.table, bare["decoder_pos_embed"])
    written = read_json(tmp_path / "out" / "conversion.json")
    assert written["layout"] == "gram binaural-patch" and "CC BY 4.0" in written["terms"]
    assert "CC BY 4.0" in capsys.readouterr().out
    extractor = GramFeatureExtractor.from_pretrained(tmp_path / "out")
    encoder = GramModel.from_pretrained(tmp_path / "out")
    with torch.no_grad():  # the files of the folder fit together
        heard = encoder(**extractor(0.1 * torch.ones(2, 70_000), sampling_rate=32_000))
    assert heard.scene_raw.shape == (1, 8 * WIDTH)


@pytest.mark.parametrize(
    ("variant", "audio_format"), [("binaural-time", "binaural"), ("ambisonics-patch", "foa"), ("mono-patch", "mono")]
)
def test_the_variant_is_told_by_the_shapes(variant: str, audio_format: str) -> None:
    state = published(variant)
    model, _ = gram_from_published(state)
    assert model.config.audio_format == audio_format
    assert model.config.to_dict().items() >= {"log_floor": GramConfig.published(variant).log_floor}.items()
    for other in ("binaural-patch", "mono-patch" if variant != "mono-patch" else "binaural-time"):
        with pytest.raises(CheckpointError, match=f"of GRAM {variant}; expected {other}"):
            gram_from_published(state, other)
    with pytest.raises(ConfigError, match="ambisonics-patch"):
        gram_from_published(state, "ambisonics")


def changed(**values: Tensor | None) -> Keys:
    state = published()
    for key, value in values.items():
        name = key.replace("__", ".")
        state.pop(name, None)
        if value is not None:
            state[name] = value
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed(extra=torch.zeros(1)), "without a place: extra"),
        (changed(encoder__ln__bias=None), r"missing: gram\.norm\.bias"),
        (changed(encoder__ln__bias=torch.zeros(7)), r"wrong shapes: encoder\.ln\.bias \(7,\)"),
        (changed(decoder_embed__weight=None), "not whole: decoder_embed.weight"),
        (changed(patch_embed__proj__weight=torch.zeros(64, 3, 16, 8)), r"\(64, 3, 16, 8\).*not known"),
        (changed(patch_embed__proj__weight=torch.zeros(64, 14, 16, 8)), "other feature maps"),
        (changed(patch_embed__proj__weight=None), "is not of GRAM"),
        (changed(decoder_pos_embed=torch.zeros(1, 200, 32)), "decoder_pos_embed is another constant"),
        (changed(encoder__pos_embedding=torch.ones(1, 201, 64)), "another constant"),
        (changed(melspec__spectrogram__window=torch.ones(1024)), "window is another constant"),
        (changed(melspec__mel_scale__fb=mel_filters(128, 1024, 32_000, 50.0, 14_000.0)), "fb is another constant"),
        (
            {key.replace("self_attention.", "mixer."): value for key, value in published().items()},
            r"without a place: encoder\.layers\.encoder_layer_0\.mixer",
        ),
    ],
)
def test_keys_that_do_not_fit(state: Keys, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        gram_from_published(state)


def test_files_of_something_else(tmp_path: Path) -> None:
    def refused(file: Path, message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            convert_gram(file, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    refused(tmp_path / "absent.ckpt", "no such file")
    torch.save([1, 2], tmp_path / "list.ckpt")
    refused(tmp_path / "list.ckpt", "holds no weights")
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, tmp_path / "other.ckpt")
    refused(tmp_path / "other.ckpt", "is not of GRAM")
    torch.save({"state_dict": published(), "callbacks": Path("x")}, tmp_path / "code.ckpt")
    refused(tmp_path / "code.ckpt", "never loaded")
    save_file(published(), tmp_path / "whole.safetensors")
    content = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
    refused(tmp_path / "cut.safetensors", "no whole safetensors")


def test_the_command(tmp_path: Path) -> None:
    save_file(wrapped(published()), tmp_path / "model.safetensors")
    result = CliRunner().invoke(
        app, ["convert", "gram", str(tmp_path / "model.safetensors"), str(tmp_path / "out"), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["layout"] == "gram binaural-patch" and "CC BY 4.0" in result.stderr
