"""BAT (Zheng et al., "BAT: Learning to Reason about Spatial Sounds with Large Language Models", 2024).

    recording ─► encoder (frozen) ─► tokens ─► Q-Former: 64 queries ─► linear, norm ─┐
                                                                                     ▼
    question ─► tokenizer ─► [64 placeholders, <s>, prompt with the question, answer, </s>] ─► language model + LoRA

The published code was followed where the paper says otherwise (the paper describes another adapter for Llama; code and
weights have LoRA). The recording's embeddings stand before the token that begins the text. Positions are counted from
the first token that is not padding, in training as in `generate`; the published training counts the padding too, which
a language model with rotary positions does not notice. The encoder is any one of the house (audio_tokens_bat.py), the
language model any causal one of transformers.
"""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationConfig, GenerationMixin, PreTrainedModel
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.models.bat.audio_tokens_bat import AUDIO_INPUTS, AudioTokens, load_encoder
from spatial_audio_lm.models.bat.configuration_bat import BatConfig
from spatial_audio_lm.models.bat.language_adapter_bat import add_language_adapter, merge_language_adapter
from spatial_audio_lm.models.bat.modeling_bat_audio import BatAudioModel, BatPreTrainedModel
from spatial_audio_lm.models.bat.saving_bat import (
    HUB_OPTIONS,
    load_with_foreign_language_model,
    save_without_language_model,
)
from spatial_audio_lm.models.bat.text_lengths_bat import require_readable

_HEARD = (*AUDIO_INPUTS, "audio_hidden_states", "audio_hidden_mask")


@dataclass
class BatOutput(ModelOutput):
    """Answer of `BatForConditionalGeneration`.

    Args:
        loss: mean cross-entropy over the labelled tokens, if labels were given.
        logits: `(batch, tokens, vocabulary)`.
        past_key_values: cache of the language model.
        hidden_states, attentions: of the language model, if asked for.
        audio_embeds: what the recordings became, `(batch, num_query_tokens, text width)`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    audio_embeds: Tensor | None = None


class BatForConditionalGeneration(BatPreTrainedModel, GenerationMixin):
    """A language model that hears."""

    def __init__(
        self,
        config: BatConfig,
        audio_model: BatAudioModel | None = None,
        language_model: PreTrainedModel | None = None,
    ):
        """BAT with random weights, but for the parts that are there already.

        Args:
            config: of the whole.
            audio_model: the hearing half.
            language_model: without an adapter; it gets one here if the configuration has one.
        """
        super().__init__(config)
        self.audio_model = BatAudioModel(config) if audio_model is None else audio_model
        if language_model is None:
            language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.language_model = language_model
        if config.lora_rank:
            add_language_adapter(language_model, config)
        self.freeze()
        self.post_init()
        self.generation_config = _greedy(config)

    def freeze(self) -> None:
        """Takes the gradients from the encoder, and from a language model that has an adapter or lies elsewhere."""
        self.audio_model.freeze()
        if self.config.lora_rank or not self.config.has_own_language_model:
            for name, parameter in self.language_model.named_parameters():
                parameter.requires_grad_("lora_" in name)

    @classmethod
    def from_audio_text_pretrained(
        cls,
        audio_encoder: str | PathLike[str] | PreTrainedModel,
        language_model: str | PathLike[str] | PreTrainedModel,
        language_model_kwargs: dict[str, Any] | None = None,
        **settings: Any,
    ) -> "BatForConditionalGeneration":
        """A BAT to be trained: an encoder and a language model that are there, and a new Q-Former between them.

        Args:
            audio_encoder: an encoder of the house, or its folder.
            language_model: a name or folder, whose weights then stay where they are; or a model, which becomes part of
                the checkpoint.
            language_model_kwargs: of the language model's `from_pretrained` (`dtype`, `quantization_config`, ...).
            settings: further ones of `BatConfig`.
        """
        if not isinstance(audio_encoder, PreTrainedModel):
            audio_encoder = load_encoder(audio_encoder, settings.get("hears", "tokens"))
        if not isinstance(language_model, PreTrainedModel):
            settings.setdefault("language_model_name_or_path", str(language_model))
            language_model = AutoModelForCausalLM.from_pretrained(language_model, **(language_model_kwargs or {}))
        text_config = language_model.config.to_dict()
        text_config.pop("quantization_config", None)  # how it was loaded this time
        config = BatConfig(audio_config=audio_encoder.config, text_config=text_config, **settings)
        for part in (config.audio_config, config.text_config):
            if Path(part._name_or_path).exists():  # a folder of this machine: it says nothing on another
                part._name_or_path = ""
        audio_model = BatAudioModel(config, audio_encoder).to(language_model.dtype).to(language_model.device)
        return cls(config, audio_model, language_model)

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    def get_audio_features(self, *args: Any, **inputs: Any) -> Any:
        """Embeddings of recordings as `pooler_output`; arguments and answer of `BatAudioModel`."""
        return self.audio_model(*args, **inputs)

    def encode(self, **inputs: Tensor) -> AudioTokens:
        """Tokens of the frozen encoder, to be kept and given as `audio_hidden_states` afterwards."""
        return self.audio_model.encode(inputs)

    def merge_adapter(self) -> "BatForConditionalGeneration":
        """Makes the language model and its adapter one, in place; `save_pretrained` then writes all of it.

        Raises:
            ConfigError: there is no adapter.
        """
        merge_language_adapter(self.language_model)
        self.config.lora_rank = 0
        self.config.language_model_name_or_path = self.config.language_model_revision = None
        return self

    def require_placeholders(self, input_ids: Tensor, audio_embeds: Tensor | None) -> Tensor:
        """Which tokens stand for a recording, bool `(batch, tokens)`.

        Raises:
            AudioValueError: questions and recordings that do not fit each other.
        """
        places = input_ids == self.config.audio_token_id
        counts, size = places.sum(1).tolist(), self.config.num_query_tokens
        wrong = [index for index, count in enumerate(counts) if count not in (0, size)]
        if wrong:
            raise AudioValueError(
                f"question {wrong[0] + 1} has {counts[wrong[0]]} placeholders; a recording is {size} of them: use the "
                "processor saved with this model, and do not cut what it gives"
            )
        asked, heard = sum(count > 0 for count in counts), 0 if audio_embeds is None else len(audio_embeds)
        if asked != heard:
            raise AudioValueError(
                f"{asked} questions have placeholders for a recording ({asked * size} tokens), and {heard} recordings "
                f"were given ({heard * size} embeddings): give one recording a question, in the same order"
            )
        return places

    def merged_embeds(self, input_ids: Tensor, audio_embeds: Tensor | None = None) -> Tensor:
        """Inputs of the language model: the embeddings of the tokens, those of the recordings at their places.

        Args:
            input_ids: `(batch, tokens)`.
            audio_embeds: `(recordings, num_query_tokens, text width)`.

        Returns:
            `(batch, tokens, text width)`.

        Raises:
            AudioValueError: questions and recordings that do not fit each other.
        """
        places = self.require_placeholders(input_ids, audio_embeds)
        embeds = self.get_input_embeddings()(input_ids.masked_fill(places, 0))
        if audio_embeds is None:
            return embeds
        return embeds.masked_scatter(places[:, :, None], audio_embeds.to(embeds.device, embeds.dtype))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        input_features: Tensor | None = None,
        input_values: Tensor | None = None,
        spatial_features: Tensor | None = None,
        audio_attention_mask: Tensor | None = None,
        audio_hidden_states: Tensor | None = None,
        audio_hidden_mask: Tensor | None = None,
        audio_embeds: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> BatOutput | tuple[Any, ...]:
        """Logits of the next token, and the loss if there are labels.

        Args:
            input_ids: `(batch, tokens)` of `BatProcessor`, with placeholders where the recordings go.
            attention_mask: `(batch, tokens)`, 0 on padding on either side.
            position_ids: `(batch, tokens)`; None: counted from the first token that is not padding.
            past_key_values: cache of the tokens before.
            inputs_embeds: in place of `input_ids`, what `merged_embeds` gave.
            labels: `(batch, tokens)`, -100 on all tokens that are not learned.
            use_cache, logits_to_keep: of the language model.
            input_features, input_values, spatial_features, audio_attention_mask: the recordings, as the processor
                gives them.
            audio_hidden_states, audio_hidden_mask: in place of those, what `encode` gave before.
            audio_embeds: in place of all of those, what `get_audio_features` gave before.
            return_dict: False: a tuple.
            kwargs: of the language model (`output_hidden_states`, `output_attentions`, ...).

        Raises:
            AudioValueError: questions and recordings that do not fit each other.
            TextError: more tokens than the language model has positions for.
            ConfigError: neither `input_ids` nor `inputs_embeds`, or both.
        """
        given = (input_features, input_values, spatial_features, audio_attention_mask, audio_hidden_states)
        named = zip(_HEARD, (*given, audio_hidden_mask), strict=True)
        inputs = {name: value for name, value in named if value is not None}
        if (input_ids is None) == (inputs_embeds is None):
            raise ConfigError("give either input_ids or inputs_embeds")
        if inputs and audio_embeds is None:
            audio_embeds = self.get_audio_features(**inputs, return_dict=True).pooler_output
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds = self.merged_embeds(input_ids, audio_embeds)
        elif audio_embeds is not None:
            raise AudioValueError(
                "inputs_embeds has no placeholders: give input_ids, or what merged_embeds() gave alone"
            )
        if past_key_values is None:
            require_readable(self.config.text_config, inputs_embeds.shape[1], attention_mask)
        if (
            position_ids is None
            and past_key_values is None
            and attention_mask is not None
            and attention_mask.dim() == 2
        ):
            position_ids = (attention_mask.long().cumsum(1) - 1).clamp(min=0)
        output = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            return_dict=True,
            **kwargs,
        )
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=output.logits, labels=labels, vocab_size=output.logits.shape[-1], **kwargs)
        answer = BatOutput(
            loss=loss,
            logits=output.logits,
            past_key_values=output.get("past_key_values"),
            hidden_states=output.get("hidden_states"),
            attentions=output.get("attentions"),
            audio_embeds=audio_embeds,
        )
        as_tuple = return_dict is False or (return_dict is None and not self.config.return_dict)
        return answer.to_tuple() if as_tuple else answer

    @torch.no_grad()
    def generate(self, inputs: Tensor | None = None, audio_embeds: Tensor | None = None, **kwargs: Any) -> Any:
        """Tokens of the answers behind those of the prompts; greedy unless told otherwise.

        The recordings are heard once, however many beams or steps there are. Given `inputs_embeds` in place of
        `input_ids`, the answers come alone.

        Args:
            inputs: `input_ids`, if they are not given by name.
            audio_embeds: what `get_audio_features` gave before, in place of the recordings.
            kwargs: what the processor gives, and options of transformers' `generate`.

        Raises:
            AudioValueError: questions and recordings that do not fit each other.
            TextError: a prompt that is too long for the language model, its answer of `max_new_tokens` included.
            ConfigError: a penalty on tokens of the prompt, of which the placeholders are none of the vocabulary.
        """
        prompts = next(
            (p for p in (inputs, kwargs.get("input_ids"), kwargs.get("inputs_embeds")) if p is not None), None
        )
        if prompts is not None:
            new_tokens = kwargs.get("max_new_tokens") or 0
            require_readable(self.config.text_config, prompts.shape[1], kwargs.get("attention_mask"), new_tokens)
        heard = {name: kwargs.pop(name) for name in _HEARD if kwargs.get(name) is not None}
        if heard and audio_embeds is None:
            audio_embeds = self.get_audio_features(**heard, return_dict=True).pooler_output
        outside = self.config.audio_token_id >= self.config.text_config.vocab_size
        if outside and kwargs.get("inputs_embeds") is None and kwargs.get("repetition_penalty") not in (None, 1.0):
            raise ConfigError(
                "repetition_penalty looks every token of the prompt up in the vocabulary, and the placeholders are not "
                "in it: give inputs_embeds=model.merged_embeds(input_ids, audio_embeds) in place of input_ids"
            )
        return super().generate(inputs, audio_embeds=audio_embeds, **kwargs)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        inputs_embeds: Tensor | None = None,
        audio_embeds: Tensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """As in transformers; the recordings go in with the prompt alone, or every time without a cache."""
        model_inputs = super().prepare_inputs_for_generation(
            input_ids, inputs_embeds=inputs_embeds, is_first_iteration=is_first_iteration, **kwargs
        )
        has_prompt = is_first_iteration or not kwargs.get("use_cache", True)
        if has_prompt and model_inputs.get("inputs_embeds") is None:
            model_inputs["audio_embeds"] = audio_embeds
        return model_inputs

    def save_pretrained(self, save_directory: str | PathLike[str], **kwargs: Any) -> None:
        """Writes the whole model; with a foreign language model what hears, the adapter, and that model's name.

        Args:
            save_directory: the folder.
            kwargs: of transformers' `save_pretrained`, among them `state_dict`: the weights of the whole model, where
                they were gathered from many processes.
        """
        if self.config.has_own_language_model:
            super().save_pretrained(save_directory, **kwargs)
        else:
            state = kwargs.pop("state_dict", None)
            save_without_language_model(self, super().save_pretrained, save_directory, state, **kwargs)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | PathLike[str],
        *args: Any,
        language_model: str | PathLike[str] | PreTrainedModel | None = None,
        **kwargs: Any,
    ) -> Any:
        """The working model out of one folder; a foreign language model is loaded from where it is at home.

        Args:
            pretrained_model_name_or_path: the folder.
            args: of transformers' `from_pretrained`.
            language_model: another place of the foreign language model's weights, or the model itself.
            kwargs: of transformers' `from_pretrained`; `quantization_config`, `device_map` and `max_memory` are the
                foreign language model's.

        Raises:
            CheckpointError: another model's checkpoint, or one that does not fit the language model.
        """
        config = kwargs.get("config")
        if not isinstance(config, BatConfig):
            options = {name: kwargs[name] for name in (*HUB_OPTIONS, "revision", "subfolder") if name in kwargs}
            config = BatConfig.from_pretrained(pretrained_model_name_or_path, **options)
        if not config.has_own_language_model:
            kwargs.pop("config", None)
            return load_with_foreign_language_model(
                cls, pretrained_model_name_or_path, config, language_model, **kwargs
            )
        if language_model is not None:
            raise ConfigError("this checkpoint holds its language model: leave language_model out")
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)


def _greedy(config: BatConfig) -> GenerationConfig:
    """How answers are generated: greedily, whatever the language model's own settings are, and never a placeholder."""
    text = config.text_config
    pad = text.eos_token_id if text.pad_token_id is None else text.pad_token_id
    inside = config.audio_token_id < text.vocab_size
    return GenerationConfig(
        do_sample=False,
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=pad[0] if isinstance(pad, list) else pad,
        suppress_tokens=[config.audio_token_id] if inside else None,
    )
