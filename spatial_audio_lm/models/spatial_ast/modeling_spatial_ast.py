"""SpatialAST (Zheng et al., "BAT: Learning to Reason about Spatial Sounds with Large Language Models", ICML 2024).

    feature maps ─► fusion (3x3) ─► patches ─► + positions ─► [3 class tokens | 512 patches] ─► 12 blocks ─► 515 tokens
                                                                    │
                       token 0 ─► norm ─► distance;  token 1 ─► norm ─► azimuth, elevation;  token 2 ─► norm ─► event

The 515 tokens, without a norm after the last block, are what BAT's language model hears. Where paper and published code
differ the code was followed: class tokens stand before the patches (the paper: "appended") and have no position.
The front end lives in the feature extractor; the batch norm of the spectrograms is a layer here, since the checkpoint
brings its statistics. The published code normalises before it stretches the frames, here it is after: with fixed
statistics both are the same, because the stretch is linear and keeps constants.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.event_localization import (
    EventLocalizationMixin,
    EventLocalizationOutput,
    LocalizationHead,
    Readout,
    clip_statistics,
    hide_rows,
    hide_spans,
    require_feature_maps,
)
from spatial_audio_lm.layers.feature_fusion import FeatureFusion, float32_batch_norm, init_fusion
from spatial_audio_lm.layers.patch_embedding import PatchEmbedding, patch_layer
from spatial_audio_lm.layers.positions import PositionTable
from spatial_audio_lm.layers.transformer import init_transformer, run_blocks, transformer_blocks
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig

# Which class token each head reads.
DISTANCE_TOKEN, DIRECTION_TOKEN, EVENT_TOKEN = 0, 1, 2


class SpatialASTPreTrainedModel(PreTrainedModel):
    """Configuration, initial weights and abilities of SpatialAST."""

    config_class = SpatialASTConfig
    base_model_prefix = "spatial_ast"
    main_input_name = "input_features"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["TransformerBlock", "FeatureFusion"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, PatchEmbedding | PositionTable | LocalizationHead):
            module.reset()
        elif isinstance(module, SpatialASTModel):
            init.normal_(module.cls_tokens, std=0.02)
        else:
            init_transformer(module)
            init_fusion(module)


class SpatialASTModel(SpatialASTPreTrainedModel):
    """The encoder: interaural feature maps to 515 tokens."""

    def __init__(self, config: SpatialASTConfig):
        super().__init__(config)
        self.map_norm = nn.BatchNorm2d(config.num_feature_maps, affine=False) if config.normalize_all_maps else None
        self.log_mel_norm = None if config.normalize_all_maps else nn.BatchNorm2d(2, affine=False)
        self.fusion = FeatureFusion(config.num_feature_maps, num_fused=config.fusion_channels)
        self.patch_embedding = patch_layer(
            config.patch_stem, config.hidden_size, config.patch_size, config.fusion_channels
        )
        self.positions = PositionTable(*config.grid, config.hidden_size)
        self.cls_tokens = nn.Parameter(torch.empty(1, config.num_cls_tokens, config.hidden_size).normal_(std=0.02))
        self.blocks = transformer_blocks(
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            config.layer_norm_eps,
            config.drop_path_rate,
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_embedding

    def normalized(self, input_features: Tensor) -> Tensor:
        """Feature maps normalised as the configuration says, `(batch, maps, frames, mels)`, float32."""
        if self.map_norm is not None:
            return float32_batch_norm(self.map_norm, input_features)
        assert self.log_mel_norm is not None
        log_mel = float32_batch_norm(self.log_mel_norm, input_features[:, :2])
        return torch.cat([log_mel, input_features[:, 2:].float()], dim=1)

    def forward(
        self,
        input_features: Tensor,
        is_spatial: Tensor | None = None,
        output_hidden_states: bool = False,
        recording_index: Tensor | None = None,
        start_s: Tensor | None = None,
    ) -> BaseModelOutput:
        """Tokens of a batch of recordings.

        Args:
            input_features: of `SpatialASTFeatureExtractor`, `(batch, maps, frames, mels)`.
            is_spatial: ignored here; the feature extractor gives it.
            output_hidden_states: also give the tokens before and after every block.
            recording_index, start_s: ignored here; the feature extractor gives them with `long_audio="chunks"`.

        Returns:
            `last_hidden_state` `(batch, tokens, hidden_size)`: class tokens, then patches (time by time, low bands
            first), after the last block without a norm; `hidden_states`, a tuple of that shape.

        Raises:
            AudioValueError: features of another shape.
        """
        require_feature_maps(input_features, self.config)
        fused = self.fusion(self.normalized(input_features))[0]
        tokens = self.positions(self.patch_embedding(hide_spans(fused, self.config, self.training)))
        tokens = hide_rows(tokens, self.config, self.training)
        cls_tokens = self.cls_tokens.to(tokens.dtype).expand(len(tokens), -1, -1)
        tokens = torch.cat([cls_tokens, tokens], dim=1)
        eager = self.config._attn_implementation == "eager"
        tokens, states = run_blocks(self.blocks, tokens, eager, output_hidden_states)
        return BaseModelOutput(last_hidden_state=tokens, hidden_states=states)


class SpatialASTForSoundEventLocalization(EventLocalizationMixin, SpatialASTPreTrainedModel):
    """What sounds, how far and from where."""

    def __init__(self, config: SpatialASTConfig):
        super().__init__(config)
        if config.num_cls_tokens < 3:
            raise ConfigError(f"num_cls_tokens is {config.num_cls_tokens}; the heads read three class tokens")
        dim, eps = config.hidden_size, config.layer_norm_eps
        self.spatial_ast = SpatialASTModel(config)
        self.clip_statistics = clip_statistics(config)
        self.distance_readout = Readout(config, dim)
        self.direction_readout = Readout(config, dim)
        self.event_readout = Readout(config, dim)
        self.distance_norm = nn.LayerNorm(dim, eps=eps)
        self.direction_norm = nn.LayerNorm(dim, eps=eps)
        self.event_norm = nn.LayerNorm(dim, eps=eps)
        self.distance_head = LocalizationHead(dim, config.num_distance_bins, config.head_init_std)
        self.azimuth_head = LocalizationHead(dim, config.num_azimuth_bins, config.head_init_std)
        self.elevation_head = LocalizationHead(dim, config.num_elevation_bins, config.head_init_std)
        self.event_head = LocalizationHead(dim, config.num_labels, config.head_init_std)
        self.post_init()

    def readout_tokens(self, tokens: Tensor, input_features: Tensor) -> Tensor:
        """What the heads read of a recording, as three tokens beside the encoder's.

        Args:
            tokens: `last_hidden_state`, `(batch, tokens, hidden_size)`.
            input_features: what they were made of, `(batch, maps, frames, mels)`.

        Returns:
            `(batch, 3, hidden_size)`: distance, direction, event.
        """
        whole = self.clip_statistics and self.clip_statistics(input_features)
        heard = [
            self.distance_norm(self.distance_readout(tokens, DISTANCE_TOKEN, statistics=whole)),
            self.direction_norm(self.direction_readout(tokens, DIRECTION_TOKEN, statistics=whole)),
            self.event_norm(self.event_readout(tokens, EVENT_TOKEN, statistics=whole)),
        ]
        return torch.stack(heard, dim=1)

    def forward(
        self,
        input_features: Tensor,
        labels: dict[str, Tensor] | None = None,
        is_spatial: Tensor | None = None,
        output_hidden_states: bool = False,
        recording_index: Tensor | None = None,
        start_s: Tensor | None = None,
    ) -> EventLocalizationOutput:
        """Logits of the four heads, and the loss if there are labels.

        Args:
            input_features: of `SpatialASTFeatureExtractor`, `(batch, maps, frames, mels)`.
            labels: see `localization_losses`.
            is_spatial: bool `(batch,)`; False where both ears hear the same: no angle loss, and no direction in
                `decode`.
            output_hidden_states: also give the tokens before and after every block.
            recording_index, start_s: ignored here; the feature extractor gives them with `long_audio="chunks"`.

        Raises:
            AudioValueError: features of another shape.
            DataError: labels that do not fit.
        """
        encoded = self.spatial_ast(input_features, output_hidden_states=output_hidden_states)
        tokens = encoded.last_hidden_state
        distance, direction, event = self.readout_tokens(tokens, input_features).unbind(1)
        logits = {
            "event": self.event_head(event),
            "distance": self.distance_head(distance),
            "azimuth": self.azimuth_head(direction),
            "elevation": self.elevation_head(direction),
        }
        loss, components = (None, None) if labels is None else self.localization_losses(logits, labels, is_spatial)
        return EventLocalizationOutput(
            loss=loss,
            loss_components=components,
            **{f"{head}_logits": value for head, value in logits.items()},
            is_spatial=is_spatial,
            last_hidden_state=tokens,
            hidden_states=encoded.hidden_states,
        )
