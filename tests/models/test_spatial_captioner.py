"""The captioner: its published sizes, what it hears with, what is learned, how it writes; saved, loaded, refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForMultimodalLM, AutoProcessor, GPT2LMHeadModel, LlamaForCausalLM

from spatial_audio_lm.errors import AudioValueError, ChannelError, CheckpointError, ConfigError, TextError
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.spatial_captioner.configuration_spatial_captioner import SpatialCaptionerConfig
from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
    SpatialCaptionerForConditionalGeneration,
)
from spatial_audio_lm.models.spatial_captioner.processing_spatial_captioner import SpatialCaptionerProcessor
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from tests.models.byte_tokenizer import byte_tokenizer
from tests.models.captioner_cases import SMALL_EAR, SMALL_GPT2, caption_inputs, small_captioner
from tests.models.model_cases import (
    SMALL_AUDIO_MAE,
    SMALL_BINAURAL,
    SMALL_DSPAST,
    SMALL_GRAM,
    SMALL_LLAMA,
    SMALL_SPATIAL,
    SMALL_WAVJEPA,
    compact_elsa,
    noise,
    small_bat,
)

# Settings of an encoder, width of its vectors, inputs.
ENCODERS: dict[str, tuple[dict[str, Any], int, dict[str, Tensor]]] = {
    "gram": (SMALL_GRAM, 64, {"input_features": noise(0, 2, 2, 40, 16)}),
    "wavjepa": ({"num_channels": 2, **SMALL_WAVJEPA}, 64, {"input_values": noise(0, 2, 2, 700)}),
    "audio_mae": (SMALL_AUDIO_MAE, 64, {"input_features": noise(0, 2, 1, 64, 32)}),
    "spatial_ast": (SMALL_BINAURAL, 192, {"input_features": noise(0, 2, 4, 32, 16)}),
    "dspast": (SMALL_DSPAST, 180, {"input_features": noise(0, 2, 6, 32, 16)}),
    "elsa_conv": (
        {"stem_channels": 4, "stage_channels": [[4], [6, 6], [8]]},
        8,
        {"input_features": noise(0, 2, 1, 41, 64)},
    ),
}
MASKED = {"gram": 24, "wavjepa": 500}


def captioner(**settings: Any) -> SpatialCaptionerForConditionalGeneration:
    torch.manual_seed(0)
    model = small_captioner(**settings)
    for parameter in model.prefix_mapper.parameters():  # loud enough to change what is written
        torch.nn.init.normal_(parameter, std=1.0)
    return model.eval()


def heard(batch: int = 2) -> dict[str, Tensor]:
    return {name: value for name, value in caption_inputs(batch).items() if name != "input_ids"}


def processor() -> SpatialCaptionerProcessor:
    return SpatialCaptionerProcessor(ElsaFeatureExtractor.compact(), byte_tokenizer())


def test_published_sizes() -> None:
    """Section 5.5: a dense layer of 393k, GPT-2 of 163M; and no text tower of ELSA."""
    with torch.device("meta"):
        model = SpatialCaptionerForConditionalGeneration(SpatialCaptionerConfig())
    assert [tuple(p.shape) for p in model.prefix_mapper.parameters()] == [(768, 512)]
    assert sum(p.numel() for p in model.prefix_mapper.parameters()) == 393_216
    language = model.language_model
    assert isinstance(language, GPT2LMHeadModel) and (language.config.n_layer, language.config.n_head) == (12, 12)
    assert sum(p.numel() for p in language.parameters()) == 124_439_808
    assert sum(p.numel() for _, p in language.named_parameters(remove_duplicate=False)) == 163_037_184
    assert model.config.audio_config.model_type == "elsa"
    assert not any("text" in name for name, _ in model.audio_encoder.named_parameters())


def test_length_and_mapper_of_the_prefix() -> None:
    for mapper, length, count in (("linear", 4, 16 * 96), ("mlp", 10, 16 * 120 + 120 + 120 * 240 + 240)):
        model = captioner(mapper=mapper, prefix_length=length)
        assert sum(p.numel() for p in model.prefix_mapper.parameters()) == count
        assert model.prefix_embeds(noise(2, 3, 16)).shape == (3, length, 24)
    for settings in ({"mapper": "transformer"}, {"prefix_length": 0}):
        with pytest.raises(ConfigError, match="expected 1 or more, and one of linear, mlp"):
            small_captioner(**settings)


@torch.no_grad()
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_of_the_house_can_be_the_ear(encoder: str, tmp_path: Path) -> None:
    settings, width, inputs = ENCODERS[encoder]
    model = captioner(audio_config={"model_type": encoder, **settings})
    ids = caption_inputs(2)["input_ids"]
    output = model(ids, **inputs)
    assert output.audio_embeds.shape == (2, width) == (2, model.config.embedding_dim)
    kept = model(ids, audio_embeds=model.encode(**inputs))
    assert torch.equal(kept.logits, output.logits)
    other = model(ids, **{name: value.flip(0) for name, value in inputs.items()})
    assert (other.logits - output.logits).abs().max() > 1e-3  # it does hear
    model.save_pretrained(tmp_path)
    again = SpatialCaptionerForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(again(ids, **inputs).logits, output.logits)
    with pytest.raises(AudioValueError, match=r"missing: .* hears input_"):
        model(ids, spatial_features=torch.zeros(2, 1, 1, 1))


@torch.no_grad()
@pytest.mark.parametrize("encoder", MASKED)
def test_clips_of_two_lengths_are_heard_as_each_alone(encoder: str) -> None:
    settings, _, inputs = ENCODERS[encoder]
    model, length = captioner(audio_config={"model_type": encoder, **settings}), MASKED[encoder]
    longest = next(iter(inputs.values())).shape[2]
    mask = (torch.arange(longest) < torch.tensor([[longest], [length]])).long()
    together = model.encode(**inputs, audio_attention_mask=mask)
    alone = model.encode(**{name: value[1:, :, :length] for name, value in inputs.items()})
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_vector_is_elsas_own() -> None:
    torch.manual_seed(0)
    ear = compact_elsa().eval()
    expected = ear.get_audio_features(**heard()).pooler_output
    model = SpatialCaptionerForConditionalGeneration.from_audio_text_pretrained(ear, captioner().language_model)
    assert torch.equal(model.encode(**heard()), expected)
    torch.testing.assert_close(expected.norm(dim=1), torch.ones(2))


@torch.no_grad()
@pytest.mark.parametrize(("mapper", "length"), [("linear", 1), ("mlp", 3)])
def test_the_prefix_stands_first_and_has_no_label(mapper: str, length: int) -> None:
    """The loss is the mean cross-entropy of the caption's tokens, each given the prefix and those before."""
    model, inputs = captioner(mapper=mapper, prefix_length=length), caption_inputs(3)
    ids = inputs["input_ids"]
    mask = torch.ones_like(ids)
    mask[1, 3:] = 0
    output = model(**inputs, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100))
    words = model.get_input_embeddings()(ids)
    prefix = model.prefix_embeds(output.audio_embeds)
    logits = model.language_model(inputs_embeds=torch.cat([prefix, words], 1)).logits  # nothing masked comes before
    predicted = logits[:, length - 1 : -1].log_softmax(-1).gather(2, ids[:, :, None])[:, :, 0]
    assert float(output.loss) == pytest.approx(float(-predicted[mask == 1].mean()), rel=1e-5)
    alone = model(**{name: value[1:2, :3] if name == "input_ids" else value[1:2] for name, value in inputs.items()})
    torch.testing.assert_close(output.logits[1:2, : length + 3], alone.logits, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_padding_before_changes_nothing_either() -> None:
    model, inputs = captioner(), caption_inputs(2)
    ids = inputs["input_ids"]
    padded = {**inputs, "input_ids": torch.cat([torch.zeros(2, 2, dtype=torch.long), ids], 1)}
    mask = torch.cat([torch.zeros(2, 2, dtype=torch.long), torch.ones_like(ids)], 1)
    with_padding = model(**padded, attention_mask=mask).logits[:, 3:]
    torch.testing.assert_close(with_padding, model(**inputs).logits[:, 1:], atol=1e-5, rtol=1e-4)


def test_only_mapper_and_language_model_are_trained() -> None:
    for frozen in (False, True):
        model = captioner(freeze_language_model=frozen).train()
        assert not model.audio_encoder.training and model.language_model.training
        model(**caption_inputs(2), labels=caption_inputs(2)["input_ids"]).loss.backward()
        moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
        assert moved == ({"prefix_mapper"} if frozen else {"prefix_mapper", "language_model"})


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_generation_takes_the_likeliest_tokens(options: dict[str, Any]) -> None:
    model = captioner(prefix_length=2)
    said = model.generate(**heard(3), max_new_tokens=6, min_new_tokens=6, **options)
    assert said.shape == (3, 6)  # the captions alone
    assert torch.equal(said, model.generate(audio_embeds=model.encode(**heard(3)), max_new_tokens=6, min_new_tokens=6,
                                            **options))  # fmt: skip
    for row in range(3):
        one = {name: value[row : row + 1] for name, value in heard(3).items()}
        assert torch.equal(model.generate(**one, max_new_tokens=6, min_new_tokens=6, **options)[0], said[row])
    if not options:
        ids = torch.empty(3, 0, dtype=torch.long)
        for _ in range(6):  # without a cache, from the beginning every time
            scores = model(ids, **heard(3)).logits[:, -1]
            scores[:, 2] = -torch.inf
            ids = torch.cat([ids, scores.argmax(-1, keepdim=True)], 1)
        assert torch.equal(ids, said)


@torch.no_grad()
def test_captions_end_where_the_language_model_has_no_position_left() -> None:
    model = captioner(prefix_length=4)
    assert model.config.positions_for_captions == 60 == model.config.caption_tokens
    assert model.generate(**heard(), min_new_tokens=60).shape == (2, 60)
    assert SpatialCaptionerConfig().caption_tokens == 96
    with pytest.raises(ConfigError, match="prefix_length is 64, and the language model has 64 positions"):
        small_captioner(prefix_length=64)


@torch.no_grad()
def test_a_caption_may_be_begun() -> None:
    model = captioner()
    whole = model.generate(**heard(), max_new_tokens=8, min_new_tokens=8)
    rest = model.generate(input_ids=whole[:, :3], **heard(), max_new_tokens=5, min_new_tokens=5)
    assert torch.equal(rest, whole[:, 3:])


def test_parts_that_are_there_become_one_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    compact_elsa().eval().save_pretrained(tmp_path / "ear")
    small_bat(lora_rank=0).language_model.save_pretrained(tmp_path / "llama")
    make = SpatialCaptionerForConditionalGeneration.from_audio_text_pretrained
    model = make(tmp_path / "ear", tmp_path / "llama", prefix_length=2).eval()
    assert isinstance(model.language_model, LlamaForCausalLM) and model.config.text_config.model_type == "llama"
    kept = ElsaModel.from_pretrained(tmp_path / "ear").state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in model.audio_encoder.state_dict().items())
    model.save_pretrained(tmp_path / "whole")
    for name in ("ear", "llama"):  # nothing else is needed
        for path in (tmp_path / name).iterdir():
            path.unlink()
    assert str(tmp_path) not in (tmp_path / "whole" / "config.json").read_text()
    again = AutoModelForMultimodalLM.from_pretrained(tmp_path / "whole")
    assert isinstance(again, SpatialCaptionerForConditionalGeneration)
    assert isinstance(AutoConfig.from_pretrained(tmp_path / "whole"), SpatialCaptionerConfig)
    assert torch.equal(again(**caption_inputs(2)).logits, model(**caption_inputs(2)).logits)
    assert not any(p.requires_grad for p in again.audio_encoder.parameters())


@torch.no_grad()
def test_attention_implementations_agree(tmp_path: Path) -> None:
    captioner(prefix_length=2).save_pretrained(tmp_path)
    answers = []
    for attention in ("eager", "sdpa"):
        model = SpatialCaptionerForConditionalGeneration.from_pretrained(tmp_path, attn_implementation=attention)
        assert model.language_model.config._attn_implementation == attention
        answers.append(model(**caption_inputs(2)).logits)
    torch.testing.assert_close(*answers, atol=1e-5, rtol=1e-4)


def test_half_precision_writes() -> None:
    model = captioner().to(torch.bfloat16)
    assert model.generate(**heard(), max_new_tokens=3, min_new_tokens=3).shape == (2, 3)


def test_checkpoints_of_other_models_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    small_bat(lora_rank=0).save_pretrained(tmp_path / "bat")
    with pytest.raises(CheckpointError, match="expected one of spatial_captioner: use BatForConditionalGeneration"):
        SpatialCaptionerForConditionalGeneration.from_pretrained(tmp_path / "bat")
    captioner().save_pretrained(tmp_path / "own")
    with pytest.raises(CheckpointError, match="a checkpoint of spatial_captioner; expected one of bat"):
        BatForConditionalGeneration.from_pretrained(tmp_path / "own")
    with pytest.raises(CheckpointError, match="prefix_mapper"):
        SpatialCaptionerForConditionalGeneration.from_pretrained(tmp_path / "own", prefix_length=3)
    model = captioner()
    state = {name: value for name, value in model.state_dict().items() if "prefix" not in name}
    model.save_pretrained(tmp_path / "half", state_dict=state)
    with pytest.raises(CheckpointError, match=r"missing: .*prefix_mapper"):
        SpatialCaptionerForConditionalGeneration.from_pretrained(tmp_path / "half")


def test_inputs_that_contradict_each_other_are_refused() -> None:
    model, inputs = captioner(), caption_inputs(2)
    with pytest.raises(AudioValueError, match="give either audio_embeds or input_features"):
        model(**inputs, audio_embeds=torch.zeros(2, 16))
    with pytest.raises(AudioValueError, match=r"has shape \(2, 15\); expected \(batch, 16\).*elsa"):
        model(audio_embeds=torch.zeros(2, 15))
    with pytest.raises(AudioValueError, match="2 texts and 3 recordings"):
        model(inputs["input_ids"], audio_embeds=torch.zeros(3, 16))
    with pytest.raises(ConfigError, match="give a recording"):
        model()
    with pytest.raises(ConfigError, match="no recording to caption"):
        model.generate(input_ids=inputs["input_ids"])
    with pytest.raises(ConfigError, match="use_cache is False"):
        model.generate(**heard(), use_cache=False)
    with pytest.raises(ConfigError, match="give them alone"):
        model(inputs_embeds=torch.zeros(2, 3, 24), **heard())
    with pytest.raises(ConfigError, match="'whale', which transformers does not know"):
        small_captioner(text_config={"model_type": "whale"})
    with pytest.raises(ConfigError, match="clip is no encoder of sound"):
        small_captioner(audio_config={"model_type": "clip"})
    with pytest.raises(ConfigError, match="no eos_token_id"):
        small_captioner(text_config={**SMALL_GPT2, "eos_token_id": None})


@pytest.mark.parametrize("text_config", [SMALL_GPT2, SMALL_LLAMA], ids=["gpt2", "llama"])
def test_the_processor_makes_what_the_model_takes(text_config: dict[str, Any], tmp_path: Path) -> None:
    made = processor()
    ear = {**SMALL_EAR, "spatial_config": {**SMALL_SPATIAL, "num_bands": 32}}  # as the extractor's
    model = captioner(audio_config=ear, text_config={**text_config, "vocab_size": len(made.tokenizer)})
    recordings = [SpatialAudio.from_array(0.1 * noise(n, 4, 64_000 + 8000 * n), 16_000) for n in range(2)]
    inputs = made(recordings, ["A dog", "rain, far away"])
    assert set(inputs) == {"input_ids", "attention_mask", "labels", "input_features", "spatial_features",
                           "audio_attention_mask"}  # fmt: skip
    end = made.tokenizer.eos_token_id
    assert inputs["labels"][0].tolist() == [*inputs["input_ids"][0, :6].tolist(), *[-100] * 9]
    assert inputs["input_ids"][0, 5] == end == inputs["input_ids"][1, -1] and inputs["attention_mask"][0].sum() == 6
    assert torch.isfinite(model(**inputs).loss)
    assert made.decode_captions(inputs["input_ids"]) == ["A dog", "rain, far away"]
    assert len(made.decode_captions(model.generate(**made(recordings), max_new_tokens=3))) == 2
    made.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(again, SpatialCaptionerProcessor)
    assert all(
        torch.equal(value, again(recordings, ["A dog", "rain, far away"])[name]) for name, value in inputs.items()
    )


def test_captions_and_recordings_that_cannot_be_used() -> None:
    made = processor()
    recording = SpatialAudio.from_array(0.1 * noise(0, 4, 64_000), 16_000)
    for text, says in (
        (["a dog", " "], "caption 1 is empty"),
        ([3], "caption 0 is a int, not a text"),
        ([None], "not a text"),
        ([], "there is no caption"),
    ):
        with pytest.raises(TextError, match=says):
            made.tokenize_captions(text)
    made.tokenizer.model_max_length = 8
    with pytest.raises(TextError, match=r"caption 1 has 11 tokens, 'a dog, far'.*writes 8: shorten it"):
        made.tokenize_captions(["a dog", "a dog, far"])
    with pytest.raises(AudioValueError, match="2 captions and 1 recordings"):
        made(recording, ["a dog", "rain"])
    with pytest.raises(AudioValueError, match="no recording"):
        made(text="a dog")
    with pytest.raises(ConfigError, match="return_tensors"):
        made(recording, return_tensors="tf")
    with pytest.raises(ChannelError, match="binaural"):
        made(SpatialAudio.from_array(0.1 * noise(0, 2, 64_000), 16_000))
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ConfigError, match="no token that ends a text"):
        SpatialCaptionerProcessor(ElsaFeatureExtractor.compact(), tokenizer)
