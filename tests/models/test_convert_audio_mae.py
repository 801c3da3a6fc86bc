"""Published checkpoints of Audio-MAE in both layouts: strictly, and safely."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoFeatureExtractor
from typer.testing import CliRunner

from spatial_audio_lm import AudioMAEForAudioClassification, AudioMAEForPreTraining
from spatial_audio_lm.cli.main import app
from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.layers.published_weights import KeyAccount
from spatial_audio_lm.models.audio_mae.convert_audio_mae import LABELS_FILE, convert_audio_mae
from spatial_audio_lm.models.dspast.convert_dspast import convert_dspast
from spatial_audio_lm.models.spatial_ast.convert_spatial_ast import convert_spatial_ast
from tests.models.published_audio_mae import DECODER_DEPTH, LABELS, finetuned, pretrained
from tests.models.published_binaural import save, spatial_ast, vit

LAYOUTS = {
    "pretrained": (pretrained, AudioMAEForPreTraining),
    "global": (lambda: pretrained(local=False), AudioMAEForPreTraining),
    "finetuned": (finetuned, AudioMAEForAudioClassification),
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    return request.param


def check_account(account: KeyAccount, source: dict[str, Tensor], model: torch.nn.Module) -> None:
    assert set(account.loaded) == set(source) and not account.dropped and not account.computed
    assert sorted(target for targets in account.loaded.values() for target in targets) == sorted(model.state_dict())


def test_a_published_file(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, model_class = LAYOUTS[layout]
    source = state()
    account = convert_audio_mae(save(tmp_path / "weights.pth", source), tmp_path / "out")
    model = model_class.from_pretrained(tmp_path / "out").eval()
    check_account(account, source, model)
    ours = model.state_dict()
    for key, (name,) in account.loaded.items():  # in place and as it was, but for the zero row of the tables
        assert torch.equal(ours[name], source[key][:, 1:] if key.endswith("pos_embed") else source[key]), key
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (64, 2, 96)
    assert (config.num_frames, config.num_mel_bins, config.patch_size) == (64, 128, 16)
    assert config.position_table == "published"
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "out")
    assert extractor.num_frames == 64 and extractor.mean == -4.2677393
    with torch.no_grad():  # the two files of the folder fit together
        logits = model(**extractor(0.1 * torch.ones(9000), sampling_rate=16_000)).logits
    if layout == "finetuned":
        assert logits.shape == (1, LABELS) and not config.final_norm
    else:
        assert logits.shape == (1, 32, 256)
        assert (config.decoder_hidden_size, config.decoder_num_hidden_layers) == (64, DECODER_DEPTH)
        assert config.decoder_attention == ("global" if layout == "global" else "local")
        assert config.decoder_num_attention_heads == (2 if layout == "global" else 4)
        assert config.decoder_intermediate_size == 80
    written = read_json(tmp_path / "out" / "conversion.json")
    assert written["layout"] == ("audio_mae_finetuned" if layout == "finetuned" else "audio_mae_pretrained")
    assert "CC BY-NC 4.0" in written["terms"] and "CC BY-NC 4.0" in capsys.readouterr().out


def test_the_places_of_a_few_tensors(tmp_path: Path) -> None:
    """By hand, so that two wrong renames cannot agree."""
    convert_audio_mae(save(tmp_path / "a.pth", pretrained()), tmp_path / "a")
    model, source = AudioMAEForPreTraining.from_pretrained(tmp_path / "a"), pretrained()
    assert torch.equal(model.audio_mae.patch_embedding.weight, source["patch_embed.proj.weight"])
    assert torch.equal(model.audio_mae.norm.weight, source["norm.weight"])
    assert torch.equal(model.decoder.norm.weight, source["decoder_norm.weight"])
    assert torch.equal(model.decoder.embed.weight, source["decoder_embed.weight"])
    assert torch.equal(model.decoder.prediction.bias, source["decoder_pred.bias"])
    assert torch.equal(model.decoder.mask_token, source["mask_token"])
    assert torch.equal(
        model.decoder.blocks[1].attn.meta_mlp.fc2.weight, source["decoder_blocks.1.attn.meta_mlp.fc2.weight"]
    )
    assert torch.equal(model.decoder.positions.table, source["decoder_pos_embed"][:, 1:])
    convert_audio_mae(save(tmp_path / "b.pth", finetuned()), tmp_path / "b")
    classifier = AudioMAEForAudioClassification.from_pretrained(tmp_path / "b")
    assert torch.equal(classifier.fc_norm.bias, finetuned()["fc_norm.bias"])
    assert torch.equal(classifier.audio_mae.cls_token, finetuned()["cls_token"])


@pytest.mark.parametrize("convert", [convert_spatial_ast, convert_dspast])
def test_the_same_file_begins_a_two_eared_encoder(convert, tmp_path: Path) -> None:
    account = convert(save(tmp_path / "pretrained.pth", pretrained()), tmp_path / "out")
    assert set(account.loaded) == set(vit())
    assert set(account.dropped) == set(pretrained()) - set(vit())


def test_names_of_the_classes_beside_the_file(tmp_path: Path) -> None:
    file = save(tmp_path / "finetuned.pth", finetuned())
    rows = "".join(f'{index},/m/{index},"sound {index}, loud"\n' for index in range(LABELS))
    (tmp_path / LABELS_FILE).write_text("index,mid,display_name\n" + rows)
    convert_audio_mae(file, tmp_path / "out")
    config = AudioMAEForAudioClassification.from_pretrained(tmp_path / "out").config
    assert config.id2label[3] == "sound 3, loud" and config.label2id["sound 4, loud"] == 4
    convert_audio_mae(save(tmp_path / "pretrained.pth", pretrained()), tmp_path / "decoder")  # has no classes
    (tmp_path / LABELS_FILE).write_text("index,mid,display_name\n0,/m/0,Speech\n")
    with pytest.raises(CheckpointError, match=r"1 rows .* 5 classes"):
        convert_audio_mae(file, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_command(layout: str, tmp_path: Path) -> None:
    file = save(tmp_path / "weights.pth", LAYOUTS[layout][0]())
    result = CliRunner().invoke(app, ["convert", "audio_mae", str(file), str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["layout"].startswith("audio_mae_") and "CC BY-NC" in result.stderr


def refuse(file: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        convert_audio_mae(file, file.parent / "out")
    assert not (file.parent / "out").exists()


def without(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (pretrained() | {"blocks.0.extra": torch.zeros(1)}, r"without a place: blocks\.0\.extra"),
        (pretrained() | {"extra": torch.zeros(1)}, "without a place: extra"),
        (finetuned() | {"norm.weight": torch.zeros(64)}, r"without a place: norm\.weight"),
        (finetuned() | {"mask_token": torch.zeros(1, 1, 64)}, "without a place: mask_token"),
        (without(finetuned(), "fc_norm.bias"), r"missing: fc_norm\.bias"),
        (without(pretrained(), "decoder_blocks.1.attn.tau"), r"missing: decoder\.blocks\.1\.attn\.tau"),
        (without(pretrained(), "decoder_pos_embed"), r"missing: decoder\.positions\.table"),
        (without(pretrained(), "decoder_blocks.0.mlp.fc1.weight"), "not whole: decoder_blocks.0.mlp"),
        (without(pretrained(), "pos_embed"), "not whole: pos_embed"),
        (without(finetuned(), "head.weight"), "neither decoder_embed.weight nor head.weight"),
        (finetuned() | {"fc_norm.bias": torch.zeros(7)}, r"wrong shapes: fc_norm\.bias \(7,\)"),
        (finetuned() | {"pos_embed": torch.ones(1, 33, 64)}, "first row of pos_embed is not zero"),
        (pretrained() | {"decoder_pos_embed": torch.ones(1, 33, 64)}, "first row of decoder_pos_embed"),
        (spatial_ast(), "checkpoint of SpatialAST; expected one of Audio-MAE: use the converter spatial_ast"),
        ({"weight": torch.zeros(2)}, "of none of the models"),
    ],
)
def test_what_does_not_fit_is_refused(state: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    refuse(save(tmp_path / "weights.pth", state), message)


def test_damaged_files_and_more_than_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = save(tmp_path / "whole.pth", finetuned()).read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    refuse(tmp_path / "cut.pth", "cut.pth")
    refuse(tmp_path / "absent.pth", "no such file")
    anything = type("Anything", (), {"__module__": "torch"})
    monkeypatch.setattr(torch, "Anything", anything, raising=False)
    refuse(save(tmp_path / "code.pth", finetuned(), hook=anything()), "never loaded")
