"""`convert`: a published layout becomes a folder, with the terms of its weights; an unfinished model is not asked."""

import json

import pytest
import torch
from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig
from typer.testing import CliRunner

from spatial_audio_lm import GramConfig, GramModel
from spatial_audio_lm.cli.main import app
from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.models.checkpoints import (
    CONVERTERS,
    PUBLISHED,
    checkpoint_folder,
    converter,
    packaged,
    packaged_names,
)
from spatial_audio_lm.signal.spatial_audio import SpatialAudio


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory):
    """A small CLAP as transformers saves it."""
    folder = tmp_path_factory.mktemp("clap") / "source"
    audio = ClapAudioConfig(
        patch_embeds_hidden_size=8, hidden_size=32, depths=[1, 1, 1], num_attention_heads=[1, 1, 1], num_hidden_layers=3
    )
    text = ClapTextConfig(
        vocab_size=50, hidden_size=64, num_hidden_layers=1, num_attention_heads=1, intermediate_size=32
    )
    torch.manual_seed(0)
    ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=16)).save_pretrained(
        folder
    )
    return folder


def test_a_clap_folder_is_converted(clap, tmp_path):
    result = CliRunner().invoke(app, ["convert", "clap", str(clap), str(tmp_path / "elsa"), "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["layout"] == "transformers" and "Apache-2.0" in report["terms"] and report["loaded"]
    assert "Apache-2.0" in result.stderr
    clip = tmp_path / "clip.wav"
    SpatialAudio.from_array(0.1 * torch.ones(4, 1600), 16_000).save(clip)
    asked = CliRunner().invoke(app, ["query", str(clip), "rain", "--model", str(tmp_path / "elsa")])
    assert asked.exit_code == 1 and "train it first" in asked.stderr
    again = CliRunner().invoke(app, ["convert", "clap", str(clap), str(tmp_path / "elsa")])
    assert again.exit_code == 1 and "not an empty folder" in again.stderr


def test_people_see_the_terms(clap, tmp_path):
    result = CliRunner().invoke(app, ["convert", "clap", str(clap), str(tmp_path / "elsa")])
    assert "Apache-2.0" in result.stdout and "loaded" in result.stdout


def test_the_tables_fit_together():
    assert {checkpoint.converter for checkpoint in PUBLISHED} <= set(CONVERTERS)
    assert all(callable(converter(system)) for system in CONVERTERS)


def test_packaged_names(tmp_path):
    with pytest.raises(CheckpointError, match="there are"):
        packaged("no-such-model")
    for name in packaged_names():
        assert (packaged(name) / "config.json").is_file() and checkpoint_folder(name) == packaged(name)
    with pytest.raises(CheckpointError, match="no folder"):
        checkpoint_folder(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        checkpoint_folder(tmp_path)


def refusal(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    assert result.exit_code == 1, result.output
    return result.stderr


def test_what_is_no_published_checkpoint_is_named(tmp_path):
    (tmp_path / "text.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVE")
    assert "text.wav is no PyTorch checkpoint: it begins with b'RIFF'" in refusal(
        "gram", tmp_path / "text.wav", tmp_path / "out"
    )
    (tmp_path / "empty").mkdir()
    assert "holds no model.safetensors: give the file" in refusal("gram", tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_stands_for_the_published_file_in_it(tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    for stage in (1, 2):
        torch.save({"model": {"weight": torch.zeros(1)}}, folder / f"DSpAST-stage{stage}.pth")
        said = refusal("dspast", folder, tmp_path / "out")
        expected = (
            "DSpAST-stage1.pth is of none of the models known" if stage == 1 else "stage1.pth and DSpAST-stage2.pth"
        )
        assert expected in said


@pytest.mark.parametrize("part", ["", "model.safetensors"])
def test_what_is_in_our_layout_needs_no_conversion(tmp_path, part):
    config = GramConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48)
    GramModel(config).save_pretrained(tmp_path / "gram")
    said = refusal("gram", tmp_path / "gram" / part, tmp_path / "out")
    assert "in this package's layout already (gram): load it with from_pretrained" in said
