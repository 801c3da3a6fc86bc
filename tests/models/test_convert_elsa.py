"""CLAP checkpoints of both layouts into ELSA, strictly."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import ClapConfig, ClapModel

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.models.elsa.convert_elsa import clap_from_laion, clap_model, convert_clap, read_clap
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel

RENAMES = (
    (r"^text_model\.", "text_branch."),
    (r"^audio_model\.audio_encoder\.", "audio_branch."),
    (r"projection\.linear1\.", "projection.0."),
    (r"projection\.linear2\.", "projection.2."),
)
AUDIO_RENAMES = (
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.attention\.self\.", ".attn."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.batch_norm\.", ".bn0."),
)


@pytest.fixture(scope="module")
def clap() -> ClapModel:
    """CLAP with few and narrow layers, but HTS-AT's own image size."""
    torch.manual_seed(0)
    text = {"vocab_size": 40, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    text |= {"intermediate_size": 32, "max_position_embeddings": 20, "layer_norm_eps": 1e-5}
    audio = {"patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [2, 2], "num_attention_heads": [2, 4]}
    config = ClapConfig(text_config=text, audio_config=audio | {"num_hidden_layers": 2}, projection_dim=24)
    model = ClapModel(config).eval()
    torch.nn.init.normal_(model.logit_scale_t)  # so that the two temperatures can be told apart
    torch.nn.init.normal_(model.audio_model.audio_encoder.batch_norm.running_mean)
    return model


def laion_state(clap: ClapModel) -> dict[str, Tensor]:
    """The weights under LAION's names, with some of the tensors that have no counterpart."""
    state: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in clap.state_dict().items():
        for pattern, replacement in RENAMES + (AUDIO_RENAMES if name.startswith("audio_model.") else ()):
            name = re.sub(pattern, replacement, name)
        if match := re.fullmatch(r"(audio_branch.*\.attn\.)(query|key|value)(\..*)", name):
            parts.setdefault(f"{match[1]}qkv{match[3]}", {})[match[2]] = value
        elif not re.search(r"embeddings\.token_type_ids$", name):
            state[name] = value
    state |= {name: torch.cat([p["query"], p["key"], p["value"]]) for name, p in parts.items()}
    state["audio_branch.spectrogram_extractor.stft.conv_real.weight"] = torch.zeros(3, 1, 4)
    state["audio_branch.tscam_conv.weight"] = torch.zeros(2, 2)
    state["text_transform.sequential.0.weight"] = torch.zeros(2, 2)
    return {f"module.{name}": value for name, value in state.items()}


def inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "input_features": torch.randn(2, 1, 1001, 64, generator=generator),
        "input_ids": torch.tensor([[0, 5, 6, 2], [0, 7, 2, 1]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    }


@torch.no_grad()
def check_towers(elsa: ElsaModel, clap: ClapModel) -> None:
    given = inputs()
    audio = elsa.audio_model(given["input_features"]).pooler_output
    assert torch.allclose(audio, clap.audio_model(given["input_features"]).pooler_output, atol=1e-6)
    text = elsa.get_text_features(given["input_ids"], given["attention_mask"]).pooler_output
    expected = clap.get_text_features(given["input_ids"], given["attention_mask"]).pooler_output
    assert torch.allclose(text, expected, atol=1e-6)
    assert torch.equal(elsa.logit_scale, clap.logit_scale_a)


def test_laions_file(clap: ClapModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = laion_state(clap)
    file = tmp_path / "clap.pt"
    content = {"epoch": 3, "name": "clap", "best": np.float64(0.4), "state_dict": source}
    torch.save(content, file)
    account = convert_clap(file, tmp_path / "out")

    elsa = ElsaModel.from_pretrained(tmp_path / "out")
    check_towers(elsa, clap)
    assert elsa.config.audio_config.depths == [2, 2]
    assert elsa.config.audio_projection_hidden is None
    assert isinstance(ElsaFeatureExtractor.from_pretrained(tmp_path / "out"), ElsaFeatureExtractor)
    # Both directions: every tensor of the file, and every tensor of the model, once.
    assert {*account.loaded, *account.dropped} == {name.removeprefix("module.") for name in source}
    assert not {*account.loaded} & {*account.dropped}
    filled = [target for targets in account.loaded.values() for target in targets]
    assert sorted([*filled, *account.computed]) == sorted(elsa.state_dict())
    assert "CC0" in capsys.readouterr().out
    written = read_json(tmp_path / "out" / "conversion.json")
    assert written["layout"] == "laion"
    assert "CC0" in written["terms"]
    assert "audio projection" in written["dropped"]["audio_projection.0.weight"]


def test_new_layers_depend_on_the_seed_alone(clap: ClapModel, tmp_path: Path) -> None:
    torch.save({"state_dict": laion_state(clap)}, tmp_path / "clap.pt")
    models = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(len(models))
        convert_clap(tmp_path / "clap.pt", tmp_path / folder, seed=seed)
        models.append(ElsaModel.from_pretrained(tmp_path / folder).audio_projection.linear1.weight)
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


@pytest.mark.parametrize("safe", [True, False])
def test_a_folder_of_transformers(clap: ClapModel, tmp_path: Path, safe: bool) -> None:
    folder = tmp_path / "clap"
    clap.save_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").unlink()
        torch.save(clap.state_dict(), folder / "pytorch_model.bin")
    convert_clap(folder, tmp_path / "out")
    check_towers(ElsaModel.from_pretrained(tmp_path / "out"), clap)
    assert "Apache-2.0" in read_json(tmp_path / "out" / "conversion.json")["terms"]


def test_plain_clap_is_whole(clap: ClapModel) -> None:
    again, account = clap_model(clap_from_laion(laion_state(clap)))
    with torch.no_grad():
        first, second = clap(**inputs()), again(**inputs())
    for name in ("logits_per_audio", "logits_per_text", "audio_embeds", "text_embeds"):
        assert torch.allclose(first[name], second[name], atol=1e-6), name
    assert set(account.computed) == {f"text_model.embeddings.{name}" for name in ("position_ids", "token_type_ids")}


def broken(clap: ClapModel, change: str) -> Any:
    state = laion_state(clap)
    if change == "missing":
        del state["module.text_branch.embeddings.LayerNorm.bias"]
    elif change == "left over":
        state["module.audio_branch.layers.0.blocks.0.extra"] = torch.zeros(1)
    elif change == "shape":
        state["module.text_projection.0.weight"] = torch.zeros(24, 63)
    elif change == "fusion":
        state["module.audio_branch.patch_embed.mel_conv2d.weight"] = torch.zeros(1)
    elif change == "another model":
        state = {"weight": torch.zeros(1)}
    return {"state_dict": state}


@pytest.mark.parametrize(
    "change, message",
    [
        ("missing", "missing: text_model.embeddings.LayerNorm.bias"),
        ("left over", "without a place: audio_branch.layers.0.blocks.0.extra"),
        ("shape", r"wrong shapes: text_projection.0.weight \(24, 63\) for \(24, 64\)"),
        ("fusion", "fusion"),
        ("another model", "expected LAION-CLAP"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(clap: ClapModel, tmp_path: Path, change: str, message: str) -> None:
    torch.save(broken(clap, change), tmp_path / "clap.pt")
    with pytest.raises(CheckpointError, match=message):
        convert_clap(tmp_path / "clap.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Anything:
    """Some object a checkpoint may hold besides weights."""


def test_files_that_are_no_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.pt").write_text("not weights")
    (tmp_path / "empty.pt").write_bytes(b"")
    monkeypatch.setattr(Anything, "__module__", "torch")  # a name that can be pickled, and is not on the list
    monkeypatch.setattr(torch, "Anything", Anything, raising=False)
    torch.save({"state_dict": {}, "args": Anything()}, tmp_path / "object.pt")
    for name in ("text.pt", "empty.pt", "object.pt", "absent.pt"):
        with pytest.raises(CheckpointError, match=name):
            read_clap(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="state_dict"):
        read_clap(tmp_path / "list.pt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError):
        read_clap(tmp_path / "folder")
    (tmp_path / "folder" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError):
        read_clap(tmp_path / "folder")
