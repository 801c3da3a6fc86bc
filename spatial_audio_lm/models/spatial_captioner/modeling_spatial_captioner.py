"""Captions of spatial recordings (ELSA, arXiv 2409.11369, section 5.5 and appendix A.15; after ClipCap, Mokady et al. 2021).

    recording ─► encoder (frozen) ─► embedding ─► linear, no bias ─► prefix ─┐
                                                                             ├─► language model ─► caption
    caption ─► tokenizer ─► [token, ..., end] ─► embeddings of the tokens ───┘

The paper gives the sizes: GPT-2 of 12 layers and 12 heads with 163M parameters (its output matrix counted beside the
embeddings that it is tied to), and a dense layer of 393k: 512 x 768 without a bias, hence one position. The language
model is trained with it, the encoder is not. The prefix stands where a text begins and has no label; the caption is
learned to its end token. Prefix length and mapper are settings, as is the language model: any causal one of
transformers, which stays part of the checkpoint.
"""  # noqa: E501

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, AutoModelForCausalLM, GenerationConfig, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.layers.encoder_inputs import AUDIO_INPUTS
from spatial_audio_lm.layers.whole_weights import WholeWeights
from spatial_audio_lm.models.spatial_captioner.audio_embedding_spatial_captioner import (
    audio_embeddings,
    hearing_part,
    new_encoder,
)
from spatial_audio_lm.models.spatial_captioner.configuration_spatial_captioner import SpatialCaptionerConfig

IGNORED = -100  # a label that is not learned
_HEARD = (*AUDIO_INPUTS, "audio_embeds")


@dataclass
class SpatialCaptionerOutput(ModelOutput):
    """Answer of `SpatialCaptionerForConditionalGeneration`.

    Args:
        loss: mean cross-entropy over the labelled tokens, if labels were given.
        logits: `(batch, prefix_length + tokens, vocabulary)`.
        past_key_values: cache of the language model.
        hidden_states, attentions: of the language model, if asked for.
        audio_embeds: the encoder's vectors, `(batch, embedding_dim)`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    audio_embeds: Tensor | None = None


class PrefixMapper(nn.Module):
    """From an embedding to positions of the language model."""

    def __init__(self, config: SpatialCaptionerConfig):
        super().__init__()
        dim, self.width = config.embedding_dim, config.text_config.hidden_size
        size = config.prefix_length * self.width
        if config.mapper == "linear":
            self.layers = nn.Sequential(nn.Linear(dim, size, bias=False))
        else:
            self.layers = nn.Sequential(nn.Linear(dim, size // 2), nn.Tanh(), nn.Linear(size // 2, size))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Prefixes `(batch, prefix_length, text width)` of embeddings `(batch, dim)`."""
        return self.layers(embeddings).unflatten(1, (-1, self.width))


class SpatialCaptionerForConditionalGeneration(WholeWeights, GenerationMixin):
    """A language model that says what a recording holds."""

    config_class = SpatialCaptionerConfig
    base_model_prefix = "captioner"
    input_modalities: tuple[str, ...] = ("audio", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["TransformerBlock"]  # noqa: RUF012
    _skip_keys_device_placement = "past_key_values"

    def __init__(
        self,
        config: SpatialCaptionerConfig,
        audio_encoder: PreTrainedModel | None = None,
        language_model: PreTrainedModel | None = None,
    ):
        """A captioner with random weights, but for the parts that are there already.

        Args:
            config: of the whole.
            audio_encoder: what hears; loses what no recording passes through (ELSA's text tower).
            language_model: what writes.
        """
        super().__init__(config)
        self.audio_encoder = new_encoder(config.audio_config) if audio_encoder is None else hearing_part(audio_encoder)
        self.prefix_mapper = PrefixMapper(config)
        if language_model is None:
            language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.language_model = language_model
        self.freeze()
        self.post_init()
        self.generation_config = _greedy(config)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, PrefixMapper):
            for layer in module.layers:
                if isinstance(layer, nn.Linear):
                    # As GPT-2's own layers; ELSA's vectors have length 1, so that a prefix begins as tokens do.
                    init.normal_(layer.weight, std=getattr(self.config.text_config, "initializer_range", 0.02))
                    if layer.bias is not None:
                        init.zeros_(layer.bias)

    def freeze(self) -> None:
        """Takes the gradients from the encoder, and from a language model that is not to be trained."""
        self.audio_encoder.requires_grad_(False).eval()
        if self.config.freeze_language_model:
            self.language_model.requires_grad_(False)

    def train(self, mode: bool = True) -> "SpatialCaptionerForConditionalGeneration":
        """Training mode of everything but the encoder."""
        super().train(mode)
        self.audio_encoder.eval()
        return self

    @classmethod
    def from_audio_text_pretrained(
        cls,
        audio_encoder: str | PathLike[str] | PreTrainedModel,
        language_model: str | PathLike[str] | PreTrainedModel,
        language_model_kwargs: dict[str, Any] | None = None,
        **settings: Any,
    ) -> "SpatialCaptionerForConditionalGeneration":
        """A captioner to be trained: an encoder and a language model that are there, and a new mapper between them.

        Args:
            audio_encoder: an encoder of the house, or its folder.
            language_model: the language model, or its name or folder.
            language_model_kwargs: of the language model's `from_pretrained` (`dtype`, ...).
            settings: further ones of `SpatialCaptionerConfig`.
        """
        if not isinstance(audio_encoder, PreTrainedModel):
            audio_encoder = AutoModel.from_pretrained(audio_encoder)
        if not isinstance(language_model, PreTrainedModel):
            language_model = AutoModelForCausalLM.from_pretrained(language_model, **(language_model_kwargs or {}))
        config = SpatialCaptionerConfig(
            audio_config=audio_encoder.config, text_config=language_model.config, **settings
        )
        for part in (config.audio_config, config.text_config):
            if Path(part._name_or_path).exists():  # a folder of this machine: it says nothing on another
                part._name_or_path = ""
        return cls(config, audio_encoder.to(language_model.dtype), language_model)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, but weights that do not fit are refused, and what is not trained is frozen again."""
        loaded = super().from_pretrained(*args, **kwargs)
        (loaded[0] if isinstance(loaded, tuple) else loaded).freeze()
        return loaded

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    @torch.no_grad()
    def encode(self, **inputs: Tensor) -> Tensor:
        """Vectors of the frozen encoder `(batch, embedding_dim)`, to be kept and given as `audio_embeds` afterwards.

        Args:
            inputs: what the processor gives for recordings.

        Raises:
            AudioValueError: inputs of another encoder.
        """
        return audio_embeddings(self.audio_encoder, inputs)

    def prefix_embeds(self, audio_embeds: Tensor) -> Tensor:
        """What recordings become, `(batch, prefix_length, text width)`.

        Args:
            audio_embeds: of `encode`, `(batch, embedding_dim)`.

        Raises:
            AudioValueError: vectors of another shape.
        """
        width = self.config.embedding_dim
        if audio_embeds.dim() != 2 or audio_embeds.shape[1] != width:
            raise AudioValueError(
                f"audio_embeds has shape {tuple(audio_embeds.shape)}; expected (batch, {width}), as encode() of a "
                f"model that hears with {self.config.audio_config.model_type} gives them"
            )
        weight = next(self.prefix_mapper.parameters())
        return self.prefix_mapper(audio_embeds.to(weight.device, weight.dtype))

    def _heard(self, inputs: dict[str, Any]) -> Tensor | None:
        """The vectors of what was given; None if nothing was."""
        given = {name: value for name, value in inputs.items() if value is not None}
        audio_embeds = given.pop("audio_embeds", None)
        if audio_embeds is not None and given:
            raise AudioValueError(f"give either audio_embeds or {', '.join(given)}: they are the same recording")
        return self.encode(**given) if given else audio_embeds

    def _prefixed(
        self, audio_embeds: Tensor, input_ids: Tensor | None, attention_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Embeddings of prefix and tokens `(batch, prefix_length + tokens, text width)`, and their mask."""
        prefix = self.prefix_embeds(audio_embeds)
        if input_ids is None:
            return prefix, prefix.new_ones(prefix.shape[:2], dtype=torch.long)
        if len(input_ids) != len(prefix):
            raise AudioValueError(f"{len(input_ids)} texts and {len(prefix)} recordings: give one text a recording")
        tokens = self.get_input_embeddings()(input_ids)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return (
            torch.cat([prefix.to(tokens.dtype), tokens], dim=1),
            F.pad(mask, (self.config.prefix_length, 0), value=1),
        )

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
        audio_embeds: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> SpatialCaptionerOutput | tuple[Any, ...]:
        """Logits of the next token, and the loss if there are labels.

        With a recording its prefix stands before the tokens; without one this is the language model alone, as
        generation calls it for what follows.

        Args:
            input_ids: tokens of the captions, `(batch, tokens)`, without the prefix; None: the prefix alone.
            attention_mask: `(batch, tokens)`, 0 on padding on either side.
            position_ids: of prefix and tokens; None: counted from the first one that is not padding.
            past_key_values: cache of the tokens before.
            inputs_embeds: in place of tokens and recording, embeddings of both.
            labels: `(batch, tokens)`, as `input_ids`, -100 on padding; the prefix has none.
            use_cache, logits_to_keep: of the language model.
            input_features, input_values, spatial_features, audio_attention_mask: the recordings, as the processor
                gives them.
            audio_embeds: in place of those, what `encode` gave before.
            return_dict: False: a tuple.
            kwargs: of the language model (`output_hidden_states`, ...).

        Raises:
            AudioValueError: recordings of another encoder, or not as many as texts.
            ConfigError: neither recording nor tokens, or embeddings beside them.
        """
        given = (input_features, input_values, spatial_features, audio_attention_mask, audio_embeds)
        heard = self._heard(dict(zip(_HEARD, given, strict=True)))
        if inputs_embeds is not None:
            if heard is not None or input_ids is not None:
                raise ConfigError("inputs_embeds stand for recording and tokens: give them alone")
        elif heard is not None:
            inputs_embeds, attention_mask = self._prefixed(heard, input_ids, attention_mask)
            if labels is not None:
                labels = F.pad(labels, (self.config.prefix_length, 0), value=IGNORED)
        elif input_ids is None:
            raise ConfigError("give a recording (what the processor gives, or audio_embeds), or tokens")
        else:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        if position_ids is None and past_key_values is None and attention_mask is not None:
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
        answer = SpatialCaptionerOutput(
            loss=loss,
            logits=output.logits,
            past_key_values=output.get("past_key_values"),
            hidden_states=output.get("hidden_states"),
            attentions=output.get("attentions"),
            audio_embeds=heard,
        )
        as_tuple = return_dict is False or (return_dict is None and not self.config.return_dict)
        return answer.to_tuple() if as_tuple else answer

    @torch.no_grad()
    def generate(self, inputs: Tensor | None = None, **kwargs: Any) -> Any:
        """Tokens of the captions; greedy, and at most 96 where the language model has so many, unless told otherwise.

        The recordings are heard once, however many beams or steps there are. Given `input_ids`, which a caption is to
        begin with, what follows them comes alone.

        Args:
            inputs: `input_ids`, if they are not given by name.
            kwargs: what the processor gives (or `audio_embeds`), and options of transformers' `generate`.

        Raises:
            AudioValueError: recordings of another encoder.
            ConfigError: no recording, or `use_cache` False: what begins a caption is embedded once.
        """
        if kwargs.get("use_cache") is False:
            raise ConfigError("use_cache is False; the prefix is read once, and kept in the cache: leave it out")
        heard = self._heard({name: kwargs.pop(name, None) for name in _HEARD})
        if heard is None:
            if kwargs.get("inputs_embeds") is None:
                raise ConfigError("there is no recording to caption: give what the processor gives, or audio_embeds")
            return super().generate(**kwargs)
        begin = kwargs.pop("input_ids", inputs)
        embeds, mask = self._prefixed(heard, begin, kwargs.pop("attention_mask", None))
        return super().generate(inputs_embeds=embeds, attention_mask=mask, **kwargs)


def _greedy(config: SpatialCaptionerConfig) -> GenerationConfig:
    """How captions are generated: greedily, whatever the language model's own settings are."""
    text = config.text_config
    pad = text.eos_token_id if text.pad_token_id is None else text.pad_token_id
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=config.caption_tokens,
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=pad[0] if isinstance(pad, list) else pad,
    )
