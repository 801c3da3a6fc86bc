"""The hearing half of BAT: a frozen encoder, and what turns its tokens into embeddings of the language model."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, Blip2QFormerModel, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.layers.event_localization import EventLocalizationMixin
from spatial_audio_lm.layers.whole_weights import WholeWeights
from spatial_audio_lm.models.bat.audio_tokens_bat import AudioTokens, audio_tokens, encoder_class
from spatial_audio_lm.models.bat.configuration_bat import BatConfig


class BatProjector(nn.Module):
    """Learned queries that read an encoder's tokens, then a linear layer and a norm to the language model's width."""

    def __init__(self, config: BatConfig):
        super().__init__()
        dim, text_dim = config.qformer_config.hidden_size, config.text_config.hidden_size
        self.norm_tokens = config.norm_audio_tokens
        self.query = nn.Parameter(torch.empty(1, config.num_query_tokens, dim))
        self.qformer = Blip2QFormerModel._from_config(config.qformer_config)
        self.linear = nn.Linear(dim, text_dim)
        self.norm = nn.LayerNorm(text_dim, eps=config.projector_norm_eps)

    def reset(self) -> None:
        """Queries of deviation 1 and PyTorch's own initial values, as published."""
        init.normal_(self.query, std=1.0)
        self.linear.reset_parameters()
        self.norm.reset_parameters()

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings `(batch, num_query_tokens, text width)` of tokens `(batch, tokens, dim)`.

        Args:
            tokens: of the encoder.
            mask: `(batch, tokens)`, zero on tokens that are not to be heard.
        """
        if self.norm_tokens:
            tokens = nn.functional.layer_norm(tokens, tokens.shape[-1:])
        heard = self.qformer(
            query_embeds=self.query.expand(len(tokens), -1, -1),
            encoder_hidden_states=tokens,
            encoder_attention_mask=None if mask is None else mask.to(self.query.dtype),
        ).last_hidden_state
        return self.norm(self.linear(heard))


class BatPreTrainedModel(WholeWeights):
    """Configuration, initial weights and abilities of BAT."""

    config_class = BatConfig
    base_model_prefix = "audio_model"
    input_modalities: tuple[str, ...] = ("audio", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = False  # the Q-Former has none
    _supports_attention_backend = True
    _no_split_modules = ["Blip2QFormerLayer", "TransformerBlock"]  # noqa: RUF012
    _skip_keys_device_placement = "past_key_values"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, BatProjector):
            module.reset()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, but weights that do not fit are refused, and what is not trained is frozen again."""
        loaded = super().from_pretrained(*args, **kwargs)
        (loaded[0] if isinstance(loaded, tuple) else loaded).freeze()
        return loaded


class BatAudioModel(BatPreTrainedModel):
    """Recordings to embeddings of the language model; the encoder is frozen and always in evaluation mode."""

    main_input_name = "input_features"
    input_modalities = ("audio",)

    def __init__(self, config: BatConfig, audio_encoder: PreTrainedModel | None = None):
        """Hearing with random weights, or with an encoder that is there already."""
        super().__init__(config)
        if audio_encoder is None:
            make = encoder_class(config.audio_config, config.hears)
            audio_encoder = (make.from_config if make is AutoModel else make._from_config)(config.audio_config)
        if isinstance(audio_encoder, EventLocalizationMixin) and config.hears == "tokens":
            raise ConfigError(
                "hears is 'tokens', and the encoder given has its heads: hear 'readout', or give its base"
            )
        self.audio_encoder = audio_encoder
        self.projector = BatProjector(config)
        self.freeze()
        self.post_init()

    def freeze(self) -> None:
        """Takes the gradients from the encoder, and holds it in evaluation mode."""
        self.audio_encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "BatAudioModel":
        """Training mode of everything but the encoder."""
        super().train(mode)
        self.audio_encoder.eval()
        return self

    def get_input_embeddings(self) -> nn.Module:
        return self.audio_encoder.get_input_embeddings()

    @torch.no_grad()
    def encode(self, inputs: Mapping[str, Tensor], keep_states: bool = False) -> AudioTokens:
        """The frozen encoder's tokens: what a training keeps on disk, and gives as `audio_hidden_states` afterwards.

        Args:
            inputs: those of the feature extractor, under the names of `AUDIO_INPUTS`.
            keep_states: also give the encoder's own hidden states.

        Raises:
            AudioValueError: inputs of another encoder.
        """
        return audio_tokens(self.audio_encoder, inputs, self.config.hears, keep_states)

    def forward(
        self,
        input_features: Tensor | None = None,
        input_values: Tensor | None = None,
        spatial_features: Tensor | None = None,
        audio_attention_mask: Tensor | None = None,
        audio_hidden_states: Tensor | None = None,
        audio_hidden_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPooling | tuple[Any, ...]:
        """Embeddings of a batch of recordings.

        Args:
            input_features, input_values, spatial_features, audio_attention_mask: those of them that the encoder's
                feature extractor gives.
            audio_hidden_states: in place of those, tokens `(batch, tokens, dim)` that `encode` gave before.
            audio_hidden_mask: `(batch, tokens)`, which of those tokens are of the recording; None: all.
            output_hidden_states: also give the encoder's hidden states.
            return_dict: False: a tuple.

        Returns:
            `pooler_output` `(batch, num_query_tokens, text width)`, `last_hidden_state` `(batch, tokens, dim)`.

        Raises:
            AudioValueError: neither inputs nor tokens, both, or such of another encoder.
        """
        given = {
            "input_features": input_features,
            "input_values": input_values,
            "spatial_features": spatial_features,
            "audio_attention_mask": audio_attention_mask,
        }
        inputs = {name: value for name, value in given.items() if value is not None}
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        if audio_hidden_states is None:
            tokens = self.encode(inputs, bool(keep))
        elif inputs:
            raise AudioValueError(
                f"give either audio_hidden_states or {', '.join(inputs)}: they are the same recording"
            )
        else:
            tokens = AudioTokens(audio_hidden_states, audio_hidden_mask)
            width = self.config.qformer_config.encoder_hidden_size
            if audio_hidden_states.dim() != 3 or audio_hidden_states.shape[2] != width:
                raise AudioValueError(
                    f"audio_hidden_states has shape {tuple(audio_hidden_states.shape)}; expected (batch, tokens, "
                    f"{width}), as encode() of a model that hears with {self.config.audio_config.model_type} gives them"
                )
        output = BaseModelOutputWithPooling(
            last_hidden_state=tokens.hidden_states,
            pooler_output=self.projector(tokens.hidden_states, tokens.mask),
            hidden_states=tokens.encoder_states,
        )
        as_tuple = return_dict is False or (return_dict is None and not self.config.return_dict)
        return output.to_tuple() if as_tuple else output
