"""Published checkpoints of SpatialAST and DSpAST, and Audio-MAE as their beginning: strictly, and safely."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from spatial_audio_lm import (
    DSpASTFeatureExtractor,
    DSpASTForSoundEventLocalization,
    SpatialASTFeatureExtractor,
    SpatialASTForSoundEventLocalization,
)
from spatial_audio_lm.cli.main import app
from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.layers.binaural_checkpoints import LABELS_FILE, require_published_front_end
from spatial_audio_lm.layers.published_weights import KeyAccount
from spatial_audio_lm.models.dspast.convert_dspast import convert_dspast, dspast_from_audio_mae
from spatial_audio_lm.models.spatial_ast.convert_spatial_ast import convert_spatial_ast, spatial_ast_from_audio_mae
from tests.models.published_binaural import LABELS, audio_mae, dspast, save, spatial_ast, vit
from tests.parity.spatial_ast_parity import front_end_constants

Convert = Callable[..., KeyAccount]
SYSTEMS = {
    "spatial_ast": (convert_spatial_ast, spatial_ast, SpatialASTForSoundEventLocalization, SpatialASTFeatureExtractor),
    "dspast": (convert_dspast, dspast, DSpASTForSoundEventLocalization, DSpASTFeatureExtractor),
}


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> str:
    return request.param


def check_account(account: KeyAccount, source: dict[str, Tensor], model: torch.nn.Module) -> None:
    assert {*account.loaded, *account.dropped} == set(source) and not {*account.loaded} & {*account.dropped}
    filled = [target for targets in account.loaded.values() for target in targets]
    assert sorted([*filled, *account.computed]) == sorted(model.state_dict())


def test_a_published_file(system: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert, state, model_class, extractor_class = SYSTEMS[system]
    source = state() | front_end_constants()
    account = convert(save(tmp_path / "finetuned.pth", source), tmp_path / "out")
    model = model_class.from_pretrained(tmp_path / "out")
    check_account(account, source, model)
    assert not account.computed
    # Every tensor is where it belongs, and as it was; the first row of the positions alone is left behind.
    ours = model.state_dict()
    for key, (name,) in account.loaded.items():
        assert torch.equal(ours[name], source[key][:, 1:] if key == "pos_embed" else source[key]), key
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (64, 2, 96)
    assert (config.num_frames, config.num_mel_bins, config.patch_size, config.num_labels) == (32, 128, 16, LABELS)
    assert (config.num_distance_bins, config.num_azimuth_bins, config.num_elevation_bins) == (21, 36, 18)
    extractor = extractor_class.from_pretrained(tmp_path / "out")
    assert isinstance(extractor, extractor_class) and extractor.num_frames == 32
    with torch.no_grad():  # the two files of the folder fit together
        assert model(**extractor(0.1 * torch.ones(2, 9000), sampling_rate=32_000)).event_logits.shape == (1, LABELS)
    written = read_json(tmp_path / "out" / "conversion.json")
    assert written["layout"] == system and "CC BY-NC 4.0" in written["terms"]
    assert "CC BY-NC 4.0" in capsys.readouterr().out


def test_the_places_of_a_few_tensors(tmp_path: Path) -> None:
    """By hand, so that two wrong renames cannot agree."""
    convert_spatial_ast(save(tmp_path / "a.pth", spatial_ast()), tmp_path / "a")
    model = SpatialASTForSoundEventLocalization.from_pretrained(tmp_path / "a")
    assert torch.equal(model.distance_norm.bias, spatial_ast()["dis_norm.bias"])
    assert torch.equal(model.direction_norm.weight, spatial_ast()["doa_norm.weight"])
    assert torch.equal(model.event_head.weight, spatial_ast()["head.weight"])
    assert torch.equal(model.spatial_ast.blocks[1].attn.qkv.weight, spatial_ast()["blocks.1.attn.qkv.weight"])
    convert_dspast(save(tmp_path / "b.pth", dspast()), tmp_path / "b")
    other = DSpASTForSoundEventLocalization.from_pretrained(tmp_path / "b")
    assert torch.equal(other.dspast.branches["distance"].cls_tokens, dspast()["cls_tokens1"])
    assert torch.equal(other.dspast.branches["direction"].fusion.conv.weight, dspast()["conv_downsample2.1.weight"])
    assert torch.equal(other.dspast.branches["event"].projection.weight, dspast()["pre_head3.weight"])
    fc2 = other.dspast.branches["event"].fusion.attention.fc2
    assert torch.equal(fc2.weight, dspast()["conv_downsample3.0.fc.2.weight"])
    assert float(other.elevation_head.scale) == 27.0


def test_audio_mae_as_the_beginning(system: str, tmp_path: Path) -> None:
    convert, _, model_class, _ = SYSTEMS[system]
    file = save(tmp_path / "pretrained.pth", audio_mae())
    accounts = [convert(file, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    models = [model_class.from_pretrained(tmp_path / name) for name in "abc"]
    check_account(accounts[0], audio_mae(), models[0])
    assert set(accounts[0].loaded) == set(vit()) and len(vit()) == 12 * 2 + 3
    assert all("to be trained" in reason for reason in accounts[0].computed.values())
    written = read_json(tmp_path / "a" / "conversion.json")
    assert "AudioMAE" in written["terms"] and (written["layout"], written["seed"]) == ("audio_mae", 1)
    encoder = models[0].base_model
    assert torch.equal(encoder.positions.table, audio_mae()["pos_embed"][:, 1:])
    assert torch.equal(encoder.patch_embedding.weight, audio_mae()["patch_embed.proj.weight"])
    assert models[0].config.num_labels == 355
    heads = [model.event_head.weight for model in models]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize("start", [spatial_ast_from_audio_mae, dspast_from_audio_mae])
def test_the_full_size_takes_147_tensors_of_audio_mae(start: Callable) -> None:
    """By shapes alone: twelve blocks, 768 wide, in a model on the meta device."""
    state = {"pos_embed": (1, 513, 768), "patch_embed.proj.weight": (768, 1, 16, 16), "patch_embed.proj.bias": (768,)}
    for block in range(12):
        for key, value in vit().items():
            if key.startswith("blocks.0."):
                sizes = {64: 768, 192: 2304, 96: 3072}
                name = key.replace("blocks.0.", f"blocks.{block}.")
                state[name] = tuple(sizes[size] for size in value.shape)
    with torch.device("meta"):
        model, account = start({name: torch.empty(shape) for name, shape in state.items()})
    assert sum(len(targets) for targets in account.loaded.values()) == len(account.loaded) == 147
    taken = {target for targets in account.loaded.values() for target in targets}
    ours = model.state_dict()
    # 85,645,824 in the published code, whose table has one row more.
    assert sum(ours[name].numel() for name in taken) == 85_645_824 - 768
    assert model.config.num_tokens == 515 and model.config.num_attention_heads == 12


def test_names_of_the_events_beside_the_file(system: str, tmp_path: Path) -> None:
    convert, state, model_class, _ = SYSTEMS[system]
    file = save(tmp_path / "weights.pth", state())
    rows = "".join(f'{9 - index},/m/{index},"sound {index}, loud"\n' for index in range(LABELS))
    (tmp_path / LABELS_FILE).write_text("index,mid,display_name\n" + rows)
    convert(file, tmp_path / "out")
    config = model_class.from_pretrained(tmp_path / "out").config
    assert config.id2label[3] == "sound 3, loud" and config.label2id["sound 4, loud"] == 4  # the row, not the index
    (tmp_path / LABELS_FILE).write_text("index,mid,display_name\n0,/m/0,Speech\n")
    with pytest.raises(CheckpointError, match=r"1 rows .* 5 classes"):
        convert(file, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_command(system: str, tmp_path: Path) -> None:
    file = save(tmp_path / "weights.pth", SYSTEMS[system][1]())
    result = CliRunner().invoke(app, ["convert", system, str(file), str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["layout"] == system and "CC BY-NC" in result.stderr


def refuse(convert: Convert, file: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        convert(file, file.parent / "out")
    assert not (file.parent / "out").exists()


def test_keys_that_do_not_fit(system: str, tmp_path: Path) -> None:
    convert, state, _, _ = SYSTEMS[system]
    whole = state()
    left_over, missing, shape, half = dict(whole), dict(whole), dict(whole), dict(whole)
    left_over["blocks.0.extra"] = torch.zeros(1)
    del missing["fc_norm.bias"]
    shape["fc_norm.bias"] = torch.zeros(7)
    del half["blocks.0.mlp.fc1.weight"]
    other_mel = whole | {"logmel_extractor.melW": front_end_constants()["logmel_extractor.melW"] * 1.01}
    for name, changed, message in (
        ("left", left_over, r"without a place: blocks\.0\.extra"),
        ("missing", missing, r"missing: event_norm\.bias"),
        ("shape", shape, r"wrong shapes: fc_norm\.bias \(7,\)"),
        ("half", half, r"not whole: blocks\.0\.mlp\.fc1\.weight missing"),
        ("mel", other_mel, "melW is another front end"),
    ):
        refuse(convert, save(tmp_path / f"{name}.pth", changed), message)


def test_files_of_something_else(system: str, tmp_path: Path) -> None:
    convert, state, _, _ = SYSTEMS[system]
    other = "dspast" if system == "spatial_ast" else "spatial_ast"
    refuse(convert, save(tmp_path / "other.pth", SYSTEMS[other][1]()), f"use the converter {other}")
    refuse(convert, save(tmp_path / "none.pth", {"weight": torch.zeros(2)}), "of none of the models")
    torch.save(state(), tmp_path / "bare.pth")
    refuse(convert, tmp_path / "bare.pth", "no weights under 'model'")
    torch.save([1, 2], tmp_path / "list.pth")
    refuse(convert, tmp_path / "list.pth", "no weights under 'model'")
    refuse(convert, tmp_path / "absent.pth", "no such file")
    content = save(tmp_path / "whole.pth", state()).read_bytes()
    for share in (0.3, 0.9):
        (tmp_path / "cut.pth").write_bytes(content[: int(share * len(content))])
        refuse(convert, tmp_path / "cut.pth", "cut.pth")


class Anything:
    """Some object that a file may hold besides weights and settings."""


def test_more_than_weights_and_settings_is_never_loaded(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert, state, _, _ = SYSTEMS[system]
    monkeypatch.setattr(Anything, "__module__", "torch")  # a name that can be pickled, and is not on the list
    monkeypatch.setattr(torch, "Anything", Anything, raising=False)
    refuse(convert, save(tmp_path / "code.pth", state(), hook=Anything()), "never loaded")


def test_the_front_end_is_the_feature_extractors() -> None:
    constants = front_end_constants()
    assert set(require_published_front_end(constants)) == set(constants)
    assert require_published_front_end({}) == {}
    for key in constants:
        with pytest.raises(CheckpointError, match=key.split(".")[0]):
            require_published_front_end(constants | {key: constants[key].flip(0)})
