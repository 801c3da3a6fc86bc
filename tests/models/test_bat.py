"""BAT: what it hears with, what it learns, how it answers; saved and loaded; refused in words."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMultimodalLM, LlamaForCausalLM

from spatial_audio_lm.errors import AudioValueError, CheckpointError, ConfigError
from spatial_audio_lm.models.bat.configuration_bat import BatConfig
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.bat.modeling_bat_audio import BatAudioModel
from spatial_audio_lm.models.dspast.modeling_dspast_seld import DSpASTForSELD
from tests.models.model_cases import (
    SMALL_BINAURAL,
    SMALL_CONV,
    SMALL_DSPAST,
    SMALL_GRAM,
    SMALL_HTSAT,
    SMALL_SPATIAL,
    SMALL_TEXT,
    learned_adapter,
    noise,
    small_bat,
)

ENCODERS: dict[str, tuple[dict[str, Any], Any]] = {
    "spatial_ast": (SMALL_BINAURAL, lambda batch: {"input_features": noise(0, batch, 4, 32, 16)}),
    "dspast": (SMALL_DSPAST, lambda batch: {"input_features": noise(0, batch, 6, 32, 16)}),
    "gram": (SMALL_GRAM, lambda batch: {"input_features": noise(0, batch, 2, 40, 16)}),
    "elsa": (
        {
            "audio_config": {"model_type": "elsa_conv", **SMALL_CONV},
            "spatial_config": SMALL_SPATIAL,
            "text_config": {"model_type": "electra", "embedding_size": 8, **SMALL_TEXT},
            "projection_dim": 16,
        },
        lambda batch: {
            "input_features": noise(0, batch, 1, 40, 64),
            "spatial_features": noise(1, batch, 7, 40, 16).clamp(-1, 1),
        },
    ),
    "elsa_paper": (
        {
            "audio_config": {"model_type": "clap_audio_model", **SMALL_HTSAT},
            "spatial_config": {"num_bands": 17, "num_frames": 35, "conv_channels": [4, 4, 4], "hidden_size": 12},
            "text_config": {"model_type": "roberta", **SMALL_TEXT},
            "projection_dim": 16,
        },
        lambda batch: {
            "input_features": noise(0, batch, 1, 101, 32),
            "spatial_features": noise(1, batch, 6, 35, 17).clamp(-1, 1),
        },
    ),
    "wavjepa": (
        {
            "num_channels": 2,
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "predictor_hidden_size": 16,
            "predictor_num_attention_heads": 2,
            "average_top_k": 1,
        },
        lambda batch: {"input_values": noise(0, batch, 2, 4000)},
    ),
}
MASKED = {"gram": 24, "elsa": 24, "wavjepa": 2000}  # samples or frames of the shorter clip
QUESTION = torch.tensor([[60, 60, 60, 60, 1, 7, 8, 9], [60, 60, 60, 60, 1, 17, 18, 19]])


def bat(encoder: str = "spatial_ast", **settings: Any) -> BatForConditionalGeneration:
    """A small BAT in evaluation mode that listens, and whose adapter, if it has one, has learned something."""
    torch.manual_seed(0)
    model = small_bat(audio_config={"model_type": encoder.removesuffix("_paper"), **ENCODERS[encoder][0]}, **settings)
    for name, parameter in model.named_parameters():
        if "crossattention" in name and parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.5)
    return learned_adapter(model).eval()


def heard(encoder: str = "spatial_ast", batch: int = 2) -> dict[str, Tensor]:
    return ENCODERS[encoder][1](batch)


def answers(model: BatForConditionalGeneration, batch: int = 2, **options: Any) -> Tensor:
    """Eight tokens each."""
    given = {"input_ids": QUESTION, "attention_mask": torch.ones_like(QUESTION), **heard()} | options
    return model.generate(**given, min_new_tokens=8, max_new_tokens=8)[:, QUESTION.shape[1] :]


@torch.no_grad()
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_of_the_house_can_be_the_ear(encoder: str) -> None:
    model, inputs = bat(encoder), heard(encoder)
    tokens = model.encode(**inputs)
    width = model.config.qformer_config.encoder_hidden_size
    assert tokens.hidden_states.shape[0::2] == (2, width) and tokens.hidden_states.shape[1] > 1
    output = model(QUESTION, **inputs)
    assert output.audio_embeds.shape == (2, 4, 24) and output.logits.shape == (2, 8, 60)
    kept = model(QUESTION, audio_hidden_states=tokens.hidden_states, audio_hidden_mask=tokens.mask)
    assert torch.equal(kept.logits, output.logits)
    other = model(QUESTION, **{name: value.flip(0) for name, value in inputs.items()})
    assert (other.logits - output.logits).abs().max() > 1e-3  # it does hear


@torch.no_grad()
@pytest.mark.parametrize(("encoder", "count"), [("spatial_ast", 3), ("dspast", 1)])
def test_what_trained_heads_read_can_be_heard(encoder: str, count: int, tmp_path: Path) -> None:
    model, plain, inputs = bat(encoder, hears="readout_and_tokens"), bat(encoder), heard(encoder)
    ear = model.audio_model.audio_encoder
    tokens = model.encode(**inputs).hidden_states
    read = ear(**inputs)
    assert tokens.shape[1] == plain.encode(**inputs).hidden_states.shape[1] + count
    assert torch.equal(tokens[:, count:], read.last_hidden_state)
    parts = tokens[:, :count].reshape(2, 3, -1)  # distance, direction, event
    assert torch.equal(ear.distance_head(parts[:, 0]), read.distance_logits)
    assert torch.equal(ear.azimuth_head(parts[:, 1]), read.azimuth_logits)
    assert torch.equal(ear.elevation_head(parts[:, 1]), read.elevation_logits)
    alone = bat(encoder, hears="readout")
    assert alone.config.qformer_config.encoder_hidden_size == count * tokens.shape[2]
    assert alone.encode(**inputs).hidden_states.shape == (2, 1, count * tokens.shape[2])
    model.save_pretrained(tmp_path)
    again = BatForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(again(QUESTION, **inputs).logits, model(QUESTION, **inputs).logits)
    assert not any(parameter.requires_grad for parameter in again.audio_model.audio_encoder.parameters())
    with pytest.raises(ConfigError, match="hears is 'tokens', and the encoder given has its heads"):
        BatAudioModel(plain.config, ear)


@torch.no_grad()
def test_a_place_for_each_sound_can_be_heard(tmp_path: Path) -> None:
    settings = SMALL_DSPAST | {"model_type": "dspast", "readout": "pooled", "place_per_sound": True}
    torch.manual_seed(0)
    model, inputs = small_bat(audio_config=settings, hears="readout").eval(), heard("dspast")
    ear = model.audio_model.audio_encoder
    assert isinstance(ear, DSpASTForSELD)
    told = ear.readout_tokens(ear(**inputs).last_hidden_state, inputs["input_features"])
    assert torch.equal(model.encode(**inputs).hidden_states, told.flatten(1)[:, None])
    assert model.config.qformer_config.encoder_hidden_size == told[0].numel()
    model.save_pretrained(tmp_path)
    again = BatForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(again(QUESTION, **inputs).logits, model(QUESTION, **inputs).logits)
    with pytest.raises(ConfigError, match="not as wide as its tokens: hear 'readout', or 'tokens'"):
        small_bat(audio_config=settings, hears="readout_and_tokens")


@torch.no_grad()
def test_tokens_of_the_same_size() -> None:
    """With a norm of the tokens, a louder encoder is the same to the Q-Former."""
    states = noise(4, 2, 9, 64)
    for norm in (True, False):
        model = bat(norm_audio_tokens=norm)
        first, second = (model(QUESTION, audio_hidden_states=scale * states).logits for scale in (1.0, 30.0))
        assert ((first - second).abs().max() < 1e-3) == norm
        assert (first - model(QUESTION, audio_hidden_states=states.flip(2)).logits).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("encoder", MASKED)
def test_clips_of_two_lengths_answer_as_each_does_alone(encoder: str) -> None:
    model, inputs, length = bat(encoder), heard(encoder), MASKED[encoder]
    longest = next(iter(inputs.values())).shape[2]
    mask = (torch.arange(longest) < torch.tensor([[longest], [length]])).long()
    together = model.get_audio_features(**inputs, audio_attention_mask=mask).pooler_output
    alone = model.get_audio_features(**{name: value[1:, :, :length] for name, value in inputs.items()}).pooler_output
    assert (together[1:] - alone).abs().max() < 1e-5


def test_the_ear_is_frozen_and_the_rest_learns() -> None:
    own, adapted = bat(lora_rank=0), bat(lora_rank=2)
    for model in (own, adapted):
        model.train()
        assert not model.audio_model.audio_encoder.training and model.audio_model.projector.training
        model(QUESTION, labels=QUESTION.masked_fill(QUESTION == 60, -100), **heard()).loss.backward()
        learning = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
        assert not any(name.startswith("audio_model.audio_encoder.") for name in learning)
        assert {n for n, _ in model.named_parameters() if n.startswith("audio_model.projector.")} <= learning
    language = {n for n, p in adapted.named_parameters() if n.startswith("language_model.") and p.grad is not None}
    assert len(language) == 8 and all(".lora_" in name for name in language)
    assert all(p.grad is not None for n, p in own.named_parameters() if n.startswith("language_model."))


def test_the_published_sizes_are_the_defaults() -> None:
    config = BatConfig()
    with torch.device("meta"):
        model = BatForConditionalGeneration(config)
    trained = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    assert (len(trained), sum(trained)) == (303, 73_561_600)
    assert config.audio_token_id == 32_000 == model.get_input_embeddings().num_embeddings


@torch.no_grad()
def test_a_batch_answers_as_its_items() -> None:
    model = bat()
    long, short = torch.tensor([[60] * 4 + [1, 7, 8, 9, 10]]), torch.tensor([[60] * 4 + [1, 17]])
    padded = torch.cat([long, torch.tensor([[0, 0, 0, 60, 60, 60, 60, 1, 17]])])
    mask = (padded != 0).long()
    together = model.generate(input_ids=padded, attention_mask=mask, **heard(), min_new_tokens=8, max_new_tokens=8)
    for row, ids in enumerate((long, short)):
        features = heard()["input_features"][row : row + 1]
        alone = model.generate(input_ids=ids, input_features=features, min_new_tokens=8, max_new_tokens=8)
        assert torch.equal(together[row, padded.shape[1] :], alone[0, ids.shape[1] :])
        logits = model(ids, input_features=features).logits[0]
        in_batch = model(padded, attention_mask=mask, **heard()).logits[row, -ids.shape[1] :]
        assert (in_batch - logits).abs().max() < 1e-5


@torch.no_grad()
def test_answers_are_the_same_with_and_without_a_cache_and_for_what_was_heard_before() -> None:
    model = bat()
    expected = answers(model)
    tokens = model.encode(**heard()).hidden_states
    embeds = model.get_audio_features(**heard()).pooler_output
    ask = {"attention_mask": torch.ones_like(QUESTION), "min_new_tokens": 8, "max_new_tokens": 8}
    for beams in (1, 3):
        expected = answers(model, num_beams=beams)
        assert torch.equal(answers(model, num_beams=beams, use_cache=False), expected)
        for given in ({"audio_hidden_states": tokens}, {"audio_embeds": embeds}):
            again = model.generate(input_ids=QUESTION, **given, num_beams=beams, **ask)
            assert torch.equal(again[:, QUESTION.shape[1] :], expected)
        merged = model.merged_embeds(QUESTION, embeds)
        assert torch.equal(model.generate(inputs_embeds=merged, num_beams=beams, **ask), expected)
    other = answers(model, input_features=heard()["input_features"].flip(0))
    assert not torch.equal(other, answers(model))


@torch.no_grad()
def test_beams_hear_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = bat(), []
    model.audio_model.audio_encoder.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    answers(model, num_beams=4, use_cache=False)
    assert calls == [2]


def test_a_placeholder_is_never_an_answer() -> None:
    model = bat(audio_token_id=59)
    model.language_model.lm_head.weight.data.zero_()
    model.language_model.lm_head.weight.data[59] = 1000 * torch.sign(torch.randn(24))
    ids = torch.where(QUESTION == 60, 59, QUESTION)
    assert not (model.generate(input_ids=ids, **heard(), max_new_tokens=12)[:, 8:] == 59).any()


@torch.no_grad()
@pytest.mark.parametrize("language_model", ["llama", "gpt2", "qwen3", "granite"])
def test_any_causal_language_model_can_answer(language_model: str, tmp_path: Path) -> None:
    names = {"gpt2": {"n_embd": 24, "n_layer": 2, "n_head": 2}}.get(
        language_model,
        {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 2},
    )  # fmt: skip
    config = AutoConfig.for_model(
        language_model, vocab_size=60, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True, **names
    )
    layers = ["c_attn"] if language_model == "gpt2" else ["q_proj", "v_proj"]
    model = bat(text_config=config, lora_target_modules=layers)
    expected = answers(model)
    model.save_pretrained(tmp_path)
    assert torch.equal(answers(BatForConditionalGeneration.from_pretrained(tmp_path)), expected)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of an encoder and of a language model that somebody else saved."""
    folder, model = tmp_path_factory.mktemp("parts"), bat(lora_rank=0)
    model.audio_model.audio_encoder.save_pretrained(folder / "ear")
    model.language_model.save_pretrained(folder / "language_model")
    return folder / "ear", folder / "language_model"


def put_together(parts: tuple[Path, Path], **settings: Any) -> BatForConditionalGeneration:
    torch.manual_seed(1)
    small = {"qformer_config": small_bat().config.qformer_config.to_dict(), "num_query_tokens": 4, "lora_rank": 2}
    del small["qformer_config"]["encoder_hidden_size"]
    return learned_adapter(BatForConditionalGeneration.from_audio_text_pretrained(*parts, **(small | settings))).eval()


def test_a_foreign_language_model_is_saved_as_its_adapter_and_its_name(
    parts: tuple[Path, Path], tmp_path: Path
) -> None:
    model = put_together(parts)
    weights = LlamaForCausalLM.from_pretrained(parts[1]).state_dict()
    kept = {name.replace(".base_layer", ""): value for name, value in model.language_model.state_dict().items()}
    assert all(torch.equal(kept[name], value) for name, value in weights.items())
    model.save_pretrained(tmp_path / "bat")
    written = sorted(path.relative_to(tmp_path / "bat").as_posix() for path in (tmp_path / "bat").rglob("*.*"))
    assert written == [
        "config.json", "generation_config.json", "language_adapter/adapter_config.json",
        "language_adapter/adapter_model.safetensors", "model.safetensors",
    ]  # fmt: skip
    loaded = BatForConditionalGeneration.from_pretrained(tmp_path / "bat")
    before, after = model.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in model.parameters()]
    assert torch.equal(answers(loaded), answers(model))


def test_peft_alone_can_use_the_adapter(parts: tuple[Path, Path], tmp_path: Path) -> None:
    from peft import PeftModel

    model = put_together(parts)
    model.save_pretrained(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(parts[1])
    adapted = PeftModel.from_pretrained(base, tmp_path / "language_adapter").eval()
    ids = QUESTION[:, 4:]
    with torch.no_grad():
        assert torch.equal(adapted(ids).logits, model(ids).logits)


@torch.no_grad()
def test_merging_keeps_the_answers_and_needs_no_other_folder(parts: tuple[Path, Path], tmp_path: Path) -> None:
    model = put_together(parts)
    expected, ids = model(QUESTION, **heard()).logits, answers(model)
    model.merge_adapter().save_pretrained(tmp_path)
    assert not (tmp_path / "language_adapter").exists()
    assert str(parts[0].parent) not in (tmp_path / "config.json").read_text()
    loaded = BatForConditionalGeneration.from_pretrained(tmp_path)
    assert (loaded(QUESTION, **heard()).logits - expected).abs().max() < 1e-5 and torch.equal(answers(loaded), ids)
    with pytest.raises(ConfigError, match="nothing to merge"):
        loaded.merge_adapter()


def test_a_training_step_of_adapter_and_projector_survives_saving(parts: tuple[Path, Path], tmp_path: Path) -> None:
    model = put_together(parts).train()
    trained = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.0)
    model(QUESTION, labels=QUESTION.masked_fill(QUESTION == 60, -100), **heard()).loss.backward()
    optimizer.step()
    model.eval().save_pretrained(tmp_path)
    loaded = dict(BatForConditionalGeneration.from_pretrained(tmp_path).named_parameters())
    for name, value in model.named_parameters():
        assert torch.equal(loaded[name], value), name
        assert (name in trained) == value.requires_grad and (
            name not in trained or not torch.equal(value, trained[name])
        )


ASK_AGAIN = """
import sys, torch, spatial_audio_lm
from transformers import AutoModelForMultimodalLM
from safetensors.torch import load_file
given = load_file(sys.argv[2])
model = AutoModelForMultimodalLM.from_pretrained(sys.argv[1])
print(model.generate(**given, min_new_tokens=8, max_new_tokens=8).tolist())
"""


@pytest.mark.parametrize("foreign", [False, True])
def test_a_fresh_process_gives_the_same_answers(parts: tuple[Path, Path], tmp_path: Path, foreign: bool) -> None:
    from safetensors.torch import save_file

    model = put_together(parts) if foreign else bat()
    model.save_pretrained(tmp_path / "bat")
    given = {"input_ids": QUESTION, "attention_mask": torch.ones_like(QUESTION), **heard()}
    save_file(given, tmp_path / "question.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", ASK_AGAIN, str(tmp_path / "bat"), str(tmp_path / "question.safetensors")],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(model.generate(**given, min_new_tokens=8, max_new_tokens=8).tolist())


def test_bfloat16_and_gradient_checkpointing(parts: tuple[Path, Path], tmp_path: Path) -> None:
    put_together(parts).save_pretrained(tmp_path)
    model = BatForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    whole = BatForConditionalGeneration.from_pretrained(tmp_path)
    with torch.no_grad():
        difference = model(QUESTION, **heard()).logits.float() - whole(QUESTION, **heard()).logits
    assert difference.abs().max() < 0.1
    model.train().activation_checkpointing_enable()
    model(QUESTION, labels=QUESTION.masked_fill(QUESTION == 60, -100), **heard()).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_auto_classes_know_it(tmp_path: Path) -> None:
    bat().save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), BatConfig)
    loaded, again = AutoModelForMultimodalLM.from_pretrained(tmp_path), bat()
    assert isinstance(loaded, BatForConditionalGeneration) and torch.equal(answers(loaded), answers(again))


@torch.no_grad()
def test_attention_implementations_agree(tmp_path: Path) -> None:
    bat().save_pretrained(tmp_path)
    logits = {}
    for attention in ("eager", "sdpa"):
        model = BatForConditionalGeneration.from_pretrained(tmp_path, attn_implementation=attention)
        parts = (model.audio_model.audio_encoder, model.audio_model.projector.qformer, model.language_model)
        assert {part.config._attn_implementation for part in parts} == {attention}
        logits[attention] = model(QUESTION, **heard()).logits
    assert (logits["eager"] - logits["sdpa"]).abs().max() < 1e-5


def test_an_adapter_for_another_language_model_is_refused(parts: tuple[Path, Path], tmp_path: Path) -> None:
    put_together(parts).save_pretrained(tmp_path / "bat")
    text = small_bat().config.text_config
    text.num_hidden_layers = 3
    LlamaForCausalLM(text).save_pretrained(tmp_path / "other")
    with pytest.raises(CheckpointError, match="num_hidden_layers 3 where 2 is expected"):
        BatForConditionalGeneration.from_pretrained(tmp_path / "bat", language_model=tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"say where it is, model = BatForC.*bat', language_model=FOLDER\)"):
        BatForConditionalGeneration.from_pretrained(tmp_path / "bat", language_model=tmp_path / "nowhere")
    put_together(parts, lora_rank=3).save_pretrained(tmp_path / "rank")
    (tmp_path / "rank" / "language_adapter").rename(tmp_path / "bat" / "wrong")
    (tmp_path / "bat" / "language_adapter").rename(tmp_path / "bat" / "right")
    with pytest.raises(CheckpointError, match="no whole language_adapter"):
        BatForConditionalGeneration.from_pretrained(tmp_path / "bat")
    (tmp_path / "bat" / "wrong").rename(tmp_path / "bat" / "language_adapter")
    with pytest.raises(CheckpointError, match=r"config.json disagree: r is 3 there and 2 by config.json"):
        BatForConditionalGeneration.from_pretrained(tmp_path / "bat")
    right, wrong = (tmp_path / "bat" / name / "adapter_config.json" for name in ("right", "language_adapter"))
    wrong.write_text(right.read_text())
    with pytest.raises(CheckpointError, match=r"adapter of another language model.* 8 of another shape"):
        BatForConditionalGeneration.from_pretrained(tmp_path / "bat")


def test_settings_of_adapter_and_configuration_have_to_agree(parts: tuple[Path, Path], tmp_path: Path) -> None:
    put_together(parts).save_pretrained(tmp_path)
    file = tmp_path / "language_adapter" / "adapter_config.json"
    written = json.loads(file.read_text())
    for change, message in (
        ({"lora_alpha": 64}, "lora_alpha is 64 there and 32 by config.json"),
        ({"target_modules": ["k_proj"]}, r"target_modules is \['k_proj'\] there and \['q_proj', 'v_proj'\]"),
        ({"use_rslora": True}, "use_rslora is True there and False"),
    ):
        file.write_text(json.dumps(written | change))
        with pytest.raises(CheckpointError, match=message):
            BatForConditionalGeneration.from_pretrained(tmp_path)


def test_the_language_model_itself_can_be_given(parts: tuple[Path, Path], tmp_path: Path) -> None:
    model = put_together(parts)
    model.save_pretrained(tmp_path / "bat")
    given = AutoModelForCausalLM.from_pretrained(parts[1])
    loaded = BatForConditionalGeneration.from_pretrained(tmp_path / "bat", language_model=given)
    assert loaded.language_model is given and torch.equal(answers(loaded), answers(model))
    bat().save_pretrained(tmp_path / "own")
    with pytest.raises(ConfigError, match="holds its language model"):
        BatForConditionalGeneration.from_pretrained(tmp_path / "own", language_model=given)


def test_questions_and_recordings_have_to_fit() -> None:
    model, inputs = bat(), heard()
    with pytest.raises(AudioValueError, match=r"2 questions have placeholders .* \(8 tokens\), and 0 recordings"):
        model(QUESTION)
    with pytest.raises(AudioValueError, match=r"2 questions .* and 1 recordings were given \(4 embeddings\)"):
        model(QUESTION, input_features=inputs["input_features"][:1])
    with pytest.raises(AudioValueError, match=r"0 questions have placeholders .* and 2 recordings"):
        model(QUESTION[:, 4:], **inputs)
    more = QUESTION.clone()
    more[1, 4] = 60
    with pytest.raises(AudioValueError, match="question 2 has 5 placeholders; a recording is 4"):
        model(more, **inputs)
    with pytest.raises(AudioValueError, match="either audio_hidden_states or input_features"):
        model(QUESTION, **inputs, audio_hidden_states=torch.zeros(2, 11, 64))
    with pytest.raises(AudioValueError, match=r"\(2, 11, 63\); expected \(batch, tokens, 64\)"):
        model(QUESTION, audio_hidden_states=torch.zeros(2, 11, 63))
    with pytest.raises(AudioValueError, match="input_features missing: spatial_ast hears input_features"):
        model(QUESTION, input_values=torch.zeros(2, 2, 100))
    with pytest.raises(AudioValueError, match="no placeholders"):
        model(inputs_embeds=torch.zeros(2, 8, 24), **inputs)
    with pytest.raises(ConfigError, match="either input_ids or inputs_embeds"):
        model(**inputs)
    with pytest.raises(ConfigError, match="repetition_penalty"):
        answers(model, repetition_penalty=1.3)
    with torch.no_grad():  # nothing heard, nothing asked to be heard: the control that answers from the text alone
        assert model(QUESTION[:, 4:]).logits.shape == (2, 4, 60)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"qformer_config": {"encoder_hidden_size": 5}},
            "encoder_hidden_size of the Q-Former is 5",
        ),
        ({"qformer_config": {"use_qformer_text_input": True}}, "use_qformer_text_input"),
        ({"text_config": {"model_type": "lama"}}, "text_config is of type 'lama'"),
        (
            {"hears": "readout", "audio_config": {"model_type": "gram", **SMALL_GRAM}},
            "gram has no heads that read: those of spatial_ast, dspast do",
        ),
        ({"num_query_tokens": 0}, "num_query_tokens is 0"),
        ({"lora_target_modules": ["query"]}, "has the layers down_proj, gate_proj, k_proj, lm_head"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_bat(**settings)
    if "lora_target_modules" not in settings:
        with pytest.raises(ConfigError, match=message):
            BatConfig(**settings)
