"""Published layouts of WavJEPA: every key has a place or a reason, whatever stands in front of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from spatial_audio_lm.cli.main import app
from spatial_audio_lm.errors import CheckpointError, ConfigError
from spatial_audio_lm.files import read_json, write_json
from spatial_audio_lm.models.wavjepa.convert_wavjepa import convert_wavjepa, wavjepa_from_published
from spatial_audio_lm.models.wavjepa.convolutions_wavjepa import conv_layers_of
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel
from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining
from spatial_audio_lm.models.wavjepa.positions_wavjepa import frame_positions

CHANNELS, WIDTH, MLP, NARROW, NARROW_MLP = 8, 64, 96, 32, 48
KERNELS = (10, 3, 3, 3, 3, 2)
SPEC = "[(8, 10, 5)] + [(8, 3, 2)] * 4 + [(8,2,2)]"
Keys = dict[str, Tensor]


def numbers(seed: int, *shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def published(channels: int = 1, kernels: tuple[int, ...] = KERNELS) -> Keys:
    """A small model with the bare names of the published code, two layers in each encoder and one in the predictor."""
    shapes: dict[str, tuple[int, ...]] = {"mask_token": (1, 1, NARROW)}

    def layer(name: str, out: int, inputs: int) -> None:
        shapes.update({f"{name}weight": (out, inputs), f"{name}bias": (out,)})

    def norm(name: str, size: int) -> None:
        shapes.update({f"{name}.weight": (size,), f"{name}.bias": (size,)})

    for stack in ["cnn"] if channels == 1 else ["cnns.0", "cnns.1"]:
        for index, kernel in enumerate(kernels):
            shapes[f"extract_audio.{stack}.{index}.0.weight"] = (CHANNELS, CHANNELS if index else 1, kernel)
        norm(f"extract_audio.{stack}.0.2", CHANNELS)
    norm("feature_norms", CHANNELS)
    layer("post_extraction_mapper.", WIDTH, CHANNELS)
    for part, layers, width, mlp in (
        ("encoder", 2, WIDTH, MLP), ("teacher_encoder", 2, WIDTH, MLP), ("decoder", 1, NARROW, NARROW_MLP)
    ):  # fmt: skip
        for index in range(layers):
            name = f"{part}.layers.{index}"
            layer(f"{name}.self_attn.in_proj_", 3 * width, width)
            layer(f"{name}.self_attn.out_proj.", width, width)
            layer(f"{name}.linear1.", mlp, width)
            layer(f"{name}.linear2.", width, mlp)
            norm(f"{name}.norm1", width)
            norm(f"{name}.norm2", width)
        norm(f"{part}.norm", width)
    layer("encoder_to_decoder_mapper.", NARROW, WIDTH)
    layer("decoder_to_encoder_mapper.", WIDTH, NARROW)
    state = {name: numbers(seed, *shape) for seed, (name, shape) in enumerate(shapes.items())}
    for part, width in (("encoder", WIDTH), ("decoder", NARROW)):
        state[f"pos_encoding_{part}"] = frame_positions(channels, 200, width).flatten(0, 1)[None]
    return state


def hub(state: Keys) -> Keys:
    return {f"model.{key}": value for key, value in state.items()}


def compiled(state: Keys) -> Keys:
    """As a training with compiled modules names them."""
    parts = ("extract_audio.", "encoder.", "decoder.", "teacher_encoder.")
    part_of = {key: next((part for part in parts if key.startswith(part)), "") for key in state}
    return {key.replace(part_of[key], f"{part_of[key]}_orig_mod.", 1) if part_of[key] else key: value
            for key, value in state.items()}  # fmt: skip


LAYOUTS = {"hub": hub, "lightning": dict, "compiled": compiled}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout: str, channels: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = published(channels)
    source = LAYOUTS[layout](bare)
    if layout == "hub":
        file = tmp_path / "model.safetensors"
        save_file(source, file)
        write_json(tmp_path / "config.json", {"extractor_layers_spec": SPEC, "encoder_nhead": 1, "decoder_nhead": 4})
    else:
        file = tmp_path / "step=375000.ckpt"
        settings = {"transformer_encoder_layers_cfg": {"activation": nn.GELU(), "d_model": WIDTH}, "lr": 4e-4}
        torch.save({"state_dict": source, "epoch": 3, "hyper_parameters": settings, "loops": {"fit": None}}, file)
    account = convert_wavjepa(file, tmp_path / "out", variant="base" if channels == 1 else "nat-base")
    assert {*account.loaded, *account.dropped} == set(source) and not {*account.loaded} & {*account.dropped}
    assert set(account.dropped.values()) == {"constant, equal to what is computed here"} and len(account.dropped) == 2
    model = WavJEPAForPreTraining.from_pretrained(tmp_path / "out")
    filled = [target for targets in account.loaded.values() for target in targets]
    assert sorted([*filled, *account.computed]) == sorted(model.state_dict())
    assert model.predictor.stack.blocks[0].attn.num_heads == (4 if layout == "hub" else 1)
    # By hand, so that two wrong renames cannot agree.
    encoder, target, predictor = model.wavjepa.encoder, model.target_encoder.stack, model.predictor
    stack = "cnn" if channels == 1 else "cnns.1"
    last = model.wavjepa.waveform_encoders[-1]
    for ours, theirs in (
        (last.convs[5].weight, f"extract_audio.{stack}.5.0.weight"),
        (last.norm.bias, f"extract_audio.{stack}.0.2.bias"),
        (model.wavjepa.feature_norm.weight, "feature_norms.weight"),
        (model.wavjepa.projection.bias, "post_extraction_mapper.bias"),
        (encoder.blocks[1].attn.qkv.weight, "encoder.layers.1.self_attn.in_proj_weight"),
        (encoder.blocks[0].attn.proj.bias, "encoder.layers.0.self_attn.out_proj.bias"),
        (encoder.blocks[1].mlp.fc2.weight, "encoder.layers.1.linear2.weight"),
        (encoder.norm.weight, "encoder.norm.weight"),
        (target.blocks[1].norm2.bias, "teacher_encoder.layers.1.norm2.bias"),
        (target.norm.bias, "teacher_encoder.norm.bias"),
        (predictor.stack.blocks[0].mlp.fc1.bias, "decoder.layers.0.linear1.bias"),
        (predictor.embedding.weight, "encoder_to_decoder_mapper.weight"),
        (predictor.prediction.weight, "decoder_to_encoder_mapper.weight"),
        (predictor.mask_token, "mask_token"),
        (model.wavjepa.positions.table.flatten(0, 1)[None], "pos_encoding_encoder"),
    ):  # fmt: skip
        assert torch.equal(ours, bare[theirs]), theirs
    written = read_json(tmp_path / "out" / "conversion.json")
    assert written["layout"] == f"wavjepa {'base' if channels == 1 else 'nat-base'}" and "MIT" in written["terms"]
    assert "BSD 3-Clause" in capsys.readouterr().out
    extractor = WavJEPAFeatureExtractor.from_pretrained(tmp_path / "out")
    alone = WavJEPAModel.from_pretrained(tmp_path / "out")
    with torch.no_grad():  # the files of the folder fit together
        heard = alone(**extractor(numbers(0, channels, 40_000), sampling_rate=16_000))
    assert heard.frame_embeddings.shape == (1, 200 + 48, WIDTH)


def test_the_variant_is_told_by_the_names() -> None:
    for channels, found, other in ((1, "base", "nat-base"), (2, "nat-base", "base")):
        assert wavjepa_from_published(published(channels))[0].config.num_channels == channels
        with pytest.raises(CheckpointError, match=f"of WavJEPA {found}; expected {other}"):
            wavjepa_from_published(published(channels), other)
    with pytest.raises(ConfigError, match="nat-base"):
        wavjepa_from_published(published(), "nat")


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
        (changed(encoder__norm__bias=None), r"missing: wavjepa\.encoder\.norm\.bias"),
        (changed(encoder__norm__bias=torch.zeros(7)), r"wrong shapes: encoder\.norm\.bias \(7,\)"),
        (changed(teacher_encoder__norm__bias=None), r"missing: target_encoder\.stack\.norm\.bias"),
        (changed(decoder__layers__0__linear1__weight=None), r"not whole: decoder\.layers\.0\.linear1\.weight"),
        (changed(extract_audio__cnn__0__0__weight=None), "is not of WavJEPA"),
        (changed(extract_audio__cnn__0__0__bias=torch.zeros(8)), r"without a place: .*cnn\.0\.0\.bias"),
        (changed(pos_encoding_decoder=torch.zeros(1, 200, NARROW)), "pos_encoding_decoder is another table"),
        (changed(pos_encoding_encoder=torch.zeros(1, 100, WIDTH)), "positions are of 100 frames.* has 200"),
        (published(kernels=(10, 3, 3, 3, 3, 2, 2)), "another convolution stack: kernels .*config.json"),
        (published(kernels=(10, 8, 4, 4, 4)), "another convolution stack"),
        (changed(encoder__norm__bias=torch.full((64,), torch.nan)), r"not finite: encoder\.norm\.bias"),
        (changed(encoder__norm__bias=torch.full((64,), -torch.inf)), r"not finite: encoder\.norm\.bias"),
        (changed(pos_encoding_encoder=torch.full((1, 200, 64), torch.nan)), "pos_encoding_encoder is another table"),
        (changed(encoder__norm__bias=torch.ones(64, dtype=torch.int8)), r"encoder\.norm\.bias is of torch\.int8"),
        (changed(encoder__layers__0__linear1__weight=torch.zeros(96)), r"shape \(96,\); expected 2 dimensions"),
        (changed(pos_encoding_encoder=torch.zeros(5)), r"shape \(5,\); expected 3 dimensions"),
        (changed(extract_audio__cnn__0__0__weight=torch.zeros(8)), r"shape \(8,\); expected \(channels"),
        (compiled(published()) | published(), "twice, with and without _orig_mod"),
    ],
)
def test_keys_that_do_not_fit(state: Keys, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        wavjepa_from_published(state)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"extractor_layers_spec": "[(8, 10, 5)] + [(8, 3, 2)] * 4"}, "config.json says"),
        ({"extractor_layers_spec": "[(8, 10, 4)] + [(8, 3, 2)] * 4 + [(8,2,2)]"}, "another convolution stack"),
        ({"extractor_layers_spec": "__import__('os')"}, "is no list"),
        ({"encoder_norm_first": True}, "encoder_norm_first is True"),
        ({"extractor_mode": "layer_norm"}, "extractor_mode is 'layer_norm'"),
        ({"extractor_layers_spec": 5}, "extractor_layers_spec is '5'; expected lists .*no text"),
        ({"extractor_layers_spec": None}, "extractor_layers_spec is 'None'; expected lists"),
        *(
            ({"encoder_nhead": value}, "encoder_nhead is .*expected a divisor of 64")
            for value in (0, "x", 3, 1.0, True)
        ),
        ({"decoder_nhead": 5}, "decoder_nhead is 5 in config.json; expected a divisor of 32"),
        ({"sample_rate": 32_000}, "sample_rate is 32000 in config.json; only 16000"),
        ({"process_audio_seconds": 4.0}, r"process_audio_seconds is 4.0 in config.json; only 2\.01"),
        ({"in_channels": 2}, "in_channels is 2 in config.json; only 1"),
        ({"encoder_activation": "relu"}, "encoder_activation is 'relu' in config.json; only 'gelu'"),
        ({"encoder_num_layers": 12}, "encoder_num_layers is 12 in config.json, and 2 in the weights"),
        ({"decoder_mlp_ratio": 4.0}, r"decoder_mlp_ratio is 4.0 in config.json, and 1\.5 in the weights"),
        ({"encoder_d_model": "64"}, "encoder_d_model is '64' in config.json, and 64 in the weights"),
        ({"average_top_k_layers": 3}, "average_top_k_layers is 3 in config.json; expected .*2 at most"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        wavjepa_from_published(published(), settings=settings)


PUBLISHED_SETTINGS: dict[str, Any] = {
    "model_type": "wavjepa-base", "extractor_layers_spec": SPEC, "extractor_dropout": 0.0, "extractor_mode": "default",
    "extractor_conv_bias": False, "extractor_depthwise": False,
    "encoder_d_model": 64, "encoder_nhead": 1, "encoder_batch_first": True, "encoder_norm_first": False,
    "encoder_bias": True, "encoder_mlp_ratio": 1.5, "encoder_dropout": 0.0, "encoder_num_layers": 2,
    "encoder_enable_nested_tensor": False, "encoder_mask_check": True,
    "decoder_d_model": 32, "decoder_nhead": 4, "decoder_num_layers": 1, "decoder_mlp_ratio": 1.5,
}  # fmt: skip


def test_settings_that_nothing_depends_on_are_named(tmp_path: Path) -> None:
    save_file(hub(published()), tmp_path / "model.safetensors")
    write_json(tmp_path / "config.json", {**PUBLISHED_SETTINGS, "new_here": [1, 2]})
    convert_wavjepa(tmp_path / "model.safetensors", tmp_path / "out")
    assert read_json(tmp_path / "out" / "conversion.json")["settings_left_aside"] == [
        "encoder_batch_first", "encoder_dropout", "encoder_enable_nested_tensor", "encoder_mask_check",
        "extractor_dropout", "model_type", "new_here",
    ]  # fmt: skip
    write_json(tmp_path / "config.json", [1, 2])
    result = CliRunner().invoke(app, ["convert", "wavjepa", str(tmp_path), str(tmp_path / "other")])
    assert result.exit_code == 1 and "config.json holds a list; expected the settings by their names" in result.output


def test_layers_of_the_targets_that_the_settings_tell() -> None:
    assert wavjepa_from_published(published())[0].config.average_top_k == 2
    assert wavjepa_from_published(published(), settings={"average_top_k_layers": 1})[0].config.average_top_k == 1


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 2])
def test_weights_in_half_precision(kind: torch.dtype, channels: int) -> None:
    state = {name: value.to(kind) for name, value in published(channels).items()}
    model, _ = wavjepa_from_published(state)
    assert model.dtype == torch.float32
    assert torch.equal(model.wavjepa.encoder.norm.bias, state["encoder.norm.bias"].float())
    state["pos_encoding_encoder"] = state["pos_encoding_encoder"].roll(1, 1)
    with pytest.raises(CheckpointError, match="another table"):
        wavjepa_from_published(state)


def test_convolutions_are_read_without_being_run() -> None:
    expected = [(512, 10, 5), *[(512, 3, 2)] * 4, (512, 2, 2)]
    assert conv_layers_of("[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)]") == expected
    assert conv_layers_of(" 2 * [(4, 3, 2), [5, 2, 1]]\n") == [(4, 3, 2), (5, 2, 1)] * 2
    for expression in (
        "", "[", "(512, 10, 5)", "[(512, 10)]", "[(512, 10, 5.0)]", "[(512, 10, -5)]", "[(True, 1, 1)]", "[x]",
        "[(1, 1, 1)] * 10 ** 9", "[(1, 1, 1)] * 1000000000", "[(1, 1, 1)] - [(1, 1, 1)]", "[(1, 1, 1)] * [(1, 1, 1)]",
        "open('/etc/passwd').read()", "(" * 5000, "[(1,1,1)]+" * 1000 + "[(1,1,1)]",
    ):  # fmt: skip
        with pytest.raises(CheckpointError, match=r"extractor_layers_spec is .*expected lists"):
            conv_layers_of(expression)


def test_files_of_something_else(tmp_path: Path) -> None:
    def refused(file: Path, message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            convert_wavjepa(file, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    refused(tmp_path / "absent.ckpt", "no such file")
    torch.save([1, 2], tmp_path / "list.ckpt")
    refused(tmp_path / "list.ckpt", "holds no weights")
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, tmp_path / "other.ckpt")
    refused(tmp_path / "other.ckpt", "is not of WavJEPA")
    torch.save({"state_dict": published(), "hyper_parameters": {"loss": nn.MSELoss()}}, tmp_path / "code.ckpt")
    refused(tmp_path / "code.ckpt", "never loaded")
    torch.save({"state_dict": published() | {5: torch.zeros(1)}}, tmp_path / "number.ckpt")
    refused(tmp_path / "number.ckpt", "names a tensor 5; expected the names")
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "script.pt")
    refused(
        tmp_path / "script.pt",
        r"is a TorchScript archive, which holds code; expected weights as torch.save writes them$",
    )
    save_file(published(), tmp_path / "whole.safetensors")
    content = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
    refused(tmp_path / "cut.safetensors", "no whole safetensors")


def test_the_command(tmp_path: Path) -> None:
    save_file(hub(published(2)), tmp_path / "model.safetensors")
    result = CliRunner().invoke(
        app, ["convert", "wavjepa", str(tmp_path / "model.safetensors"), str(tmp_path / "out"), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["layout"] == "wavjepa nat-base" and "BSD 3-Clause" in result.stderr
