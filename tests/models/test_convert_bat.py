"""BAT's published layout, in the small: onto an encoder and a language model that lie in folders; strictly."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoProcessor, LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from spatial_audio_lm.cli.main import app
from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.models.bat.convert_bat import convert_bat
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from tests.models.byte_tokenizer import byte_tokenizer
from tests.models.model_cases import SMALL_LLAMA, noise, small_bat

EAR = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48, "num_labels": 5}
QFORMER = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 48}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ear` and `llama` as their owners save them, and `model.pt` as BAT's authors name its tensors."""
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    SpatialASTForSoundEventLocalization(SpatialASTConfig(**EAR)).save_pretrained(folder / "ear")
    SpatialASTFeatureExtractor().save_pretrained(folder / "ear")
    llama = {name: value for name, value in SMALL_LLAMA.items() if name not in ("model_type", "pad_token_id")}
    LlamaForCausalLM(LlamaConfig(**(llama | {"vocab_size": 259}))).save_pretrained(folder / "llama")
    byte_tokenizer().save_pretrained(folder / "llama")
    torch.save(published_state(), folder / "model.pt")
    return folder


def published_state() -> dict[str, Tensor]:
    """What was trained, by its published names."""
    model = small_bat(audio_config={"model_type": "spatial_ast", **EAR}, qformer_config=QFORMER)
    state = {}
    for index, (name, value) in enumerate(model.named_parameters()):
        if value.requires_grad:
            name = name.replace("audio_model.projector.", "encoder_projector.")
            state[name.replace("language_model.", "llm.base_model.model.")] = 0.3 * noise(index, *value.shape)
    return state


def converted(folder: Path, out: Path, file: str = "model.pt") -> BatForConditionalGeneration:
    convert_bat(folder / file, out, folder / "ear", folder / "llama")
    return BatForConditionalGeneration.from_pretrained(out)


def test_every_tensor_finds_its_place(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = converted(folder, tmp_path)
    weights, published = dict(model.named_parameters()), published_state()
    assert {name for name, value in weights.items() if value.requires_grad} == {
        name.replace("encoder_projector.", "audio_model.projector.").replace("llm.base_model.model.", "language_model.")
        for name in published
    }
    for name, value in published.items():
        mine = name.replace("encoder_projector.", "audio_model.projector.")
        assert torch.equal(weights[mine.replace("llm.base_model.model.", "language_model.")], value), name
    llama = LlamaForCausalLM.from_pretrained(folder / "llama").state_dict()
    assert torch.equal(weights["language_model.model.layers.1.self_attn.k_proj.weight"].data,
                       llama["model.layers.1.self_attn.k_proj.weight"])  # fmt: skip
    printed = capsys.readouterr().out
    assert "CC BY-NC 4.0" in printed and f"{len(published)} tensors loaded, 0 dropped" in printed
    about = json.loads((tmp_path / "conversion.json").read_text(encoding="utf-8"))
    assert len(about["loaded"]) == len(published) and "Meta" in about["terms"]
    assert (model.config.lora_rank, model.config.lora_alpha, model.config.num_query_tokens) == (2, 32, 4)


def test_a_converted_folder_answers(folder: Path, tmp_path: Path) -> None:
    model, processor = converted(folder, tmp_path), AutoProcessor.from_pretrained(tmp_path)
    assert model.config.audio_token_id == processor.audio_token_id == 259
    inputs = processor("Where is the dog?", SpatialAudio(0.1 * noise(0, 2, 32_000), 32_000, "binaural"))
    generated = model.generate(**inputs, max_new_tokens=5)
    assert len(processor.decode_answers(generated, inputs["input_ids"])) == 1


def test_names_of_parallel_trainings_and_of_older_peft_are_understood(folder: Path, tmp_path: Path) -> None:
    state = {f"module.{name.replace('.default.', '.')}": value for name, value in published_state().items()}
    torch.save(state, folder / "parallel.pt")
    first, second = converted(folder, tmp_path / "a"), converted(folder, tmp_path / "b", "parallel.pt")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    state = published_state()
    lora = next(name for name in state if "lora_A" in name)
    wrong = {
        "missing: audio_model.projector.norm.bias": {
            k: v for k, v in state.items() if k != "encoder_projector.norm.bias"
        },
        "missing: language_model": {name: value for name, value in state.items() if name != lora},
        "keys without a place: llm.extra": state | {"llm.extra": torch.zeros(1)},
        "wrong shapes: encoder_projector.linear.weight": state
        | {"encoder_projector.linear.weight": torch.zeros(32, 64)},
        "not of BAT, or not whole: llm. ... .lora_A. missing": {k: v for k, v in state.items() if ".lora_" not in k},
        "holds more than named tensors": state | {"epoch": 3},
    }
    for number, (message, content) in enumerate(wrong.items()):
        torch.save(content, folder / f"wrong{number}.pt")
        with pytest.raises(CheckpointError) as error:
            converted(folder, tmp_path / str(number), f"wrong{number}.pt")
        assert message in str(error.value)
        assert not (tmp_path / str(number) / "conversion.json").exists()


def test_the_command_needs_both_other_models(folder: Path, tmp_path: Path) -> None:
    command = ["convert", "bat", str(folder / "model.pt"), str(tmp_path / "out")]
    alone = CliRunner().invoke(app, command)
    assert alone.exit_code == 1 and "neither its encoder nor its language model" in alone.stderr
    other = CliRunner().invoke(app, ["convert", "gram", *command[2:], "--language-model", "x"])
    assert other.exit_code == 2 and "only bat is put onto other models" in other.stderr
    parts = ["--audio-encoder", str(folder / "ear"), "--language-model", str(folder / "llama")]
    done = CliRunner().invoke(app, [*command, *parts, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["layout"] == "bat"
