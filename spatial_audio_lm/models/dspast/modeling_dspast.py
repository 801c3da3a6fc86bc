"""DSpAST (Wilkinghoff and Tan, "DSpAST: Disentangled Representations for Spatial Audio Reasoning with Large Language Models", 2025).

    feature maps ─┬─► distance:  weights, fusion ─► patches ─► 3 class tokens + 512 ─┐              ┌─► 256 ─► mean of class tokens ─► AdaCos: distance
                  ├─► direction: weights, fusion ─► patches ─► 3 class tokens + 512 ─┼─► 12 blocks ─┼─► 256 ─► mean of class tokens ─► AdaCos: azimuth, elevation
                  └─► event:     weights, fusion ─► patches ─► 3 class tokens + 512 ─┘   (shared)   └─► 256 ─► mean of class tokens ─► norm ─► event

Patch embedding, positions and blocks are shared; weights of the maps, fusion, class tokens and the last projection are
each branch's own. The branches never see each other, so that they run as one batch of three times the recordings, and
one of them alone costs a third. The projections joined, `(batch, 515, 768)` with the channels distance, direction,
event, are what a language model hears.

Distance and angles are classified by cosines (AdaCos); the logits are the plain cosines, as the published forward
gives them, and the scale comes in with the loss and with probabilities. The published code computes the level ratio
that few would recognise (features/interaural.py), and holds a second batch norm for the weights that it never uses.
"""  # noqa: E501

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
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
from spatial_audio_lm.models.dspast.configuration_dspast import BRANCHES, DSpASTConfig
from spatial_audio_lm.objectives.adacos import initial_adacos_scale, updated_adacos_scale


@dataclass
class DSpASTOutput(BaseModelOutput):
    """Tokens of `DSpASTModel`.

    Args:
        last_hidden_state: projections of the branches asked for, joined, `(batch, tokens, branches * branch_dim)`.
        hidden_states: tokens before and after every shared block, each `(batch, branches, tokens, hidden_size)`.
        feature_weights: each branch's weights of the feature maps, `(batch, branches, maps)`.
    """

    feature_weights: Tensor | None = None


class DSpASTBranch(nn.Module):
    """What a branch has of its own around the shared blocks."""

    def __init__(self, config: DSpASTConfig):
        super().__init__()
        self.fusion = FeatureFusion(config.num_feature_maps, attention=True, num_fused=config.fusion_channels)
        self.cls_tokens = nn.Parameter(torch.empty(1, config.num_cls_tokens, config.hidden_size).normal_(std=0.02))
        self.projection = nn.Linear(config.hidden_size, config.branch_dim)


class AdaCosHead(nn.Module):
    """Cosines of a token with one direction for each class, and the scale that AdaCos keeps for them.

    Args:
        dim: width of the token.
        num_classes: how many directions.
    """

    scale: Tensor

    def __init__(self, dim: int, num_classes: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, dim))
        nn.init.xavier_uniform_(self.weight)
        # Kept by the checkpoint for a training that goes on.
        self.register_buffer("scale", torch.full((1,), initial_adacos_scale(num_classes)))

    def reset(self) -> None:
        """Glorot's uniform directions and the scale of a training's begin."""
        init.xavier_uniform_(self.weight)
        init.constant_(self.scale, initial_adacos_scale(len(self.weight)))

    def forward(self, token: Tensor) -> Tensor:
        """Cosines `(batch, classes)` of tokens `(batch, dim)`, float32."""
        with torch.autocast(token.device.type, enabled=False):
            return F.linear(F.normalize(token.float(), dim=-1), F.normalize(self.weight.float(), dim=-1))


class DSpASTPreTrainedModel(PreTrainedModel):
    """Configuration, initial weights and abilities of DSpAST."""

    config_class = DSpASTConfig
    base_model_prefix = "dspast"
    main_input_name = "input_features"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["TransformerBlock", "FeatureFusion"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, PatchEmbedding | PositionTable | LocalizationHead | AdaCosHead):
            module.reset()
        elif isinstance(module, DSpASTBranch):
            init.normal_(module.cls_tokens, std=0.02)
        else:
            init_transformer(module)
            init_fusion(module)


class DSpASTModel(DSpASTPreTrainedModel):
    """The encoder: interaural feature maps to 515 tokens of three branches."""

    def __init__(self, config: DSpASTConfig):
        super().__init__(config)
        self.map_norm = nn.BatchNorm2d(config.num_feature_maps, affine=False) if config.normalize_all_maps else None
        self.log_mel_norm = None if config.normalize_all_maps else nn.BatchNorm2d(2, affine=False)
        has_level = self._level_at is not None and not config.normalize_all_maps
        self.level_norm = nn.BatchNorm2d(1, affine=False) if has_level else None
        self.branches = nn.ModuleDict({name: DSpASTBranch(config) for name in BRANCHES})
        self.patch_embedding = patch_layer(
            config.patch_stem, config.hidden_size, config.patch_size, config.fusion_channels
        )
        self.positions = PositionTable(*config.grid, config.hidden_size)
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

    @property
    def _level_at(self) -> int | None:
        """Which map is the level ratio (or difference), the only one besides the log-mels that is normalised."""
        ratio = self.config.map_of("level_ratio")
        return self.config.map_of("level_difference_db") if ratio is None else ratio

    def normalized(self, input_features: Tensor) -> Tensor:
        """Feature maps normalised as the configuration says, `(batch, maps, frames, mels)`, float32."""
        if self.map_norm is not None:
            return float32_batch_norm(self.map_norm, input_features)
        assert self.log_mel_norm is not None
        maps = list(input_features.float().split(1, dim=1))
        maps[:2] = float32_batch_norm(self.log_mel_norm, input_features[:, :2]).split(1, dim=1)
        if self.level_norm is not None and self._level_at is not None:
            maps[self._level_at] = float32_batch_norm(self.level_norm, maps[self._level_at])
        return torch.cat(maps, dim=1)

    def forward(
        self,
        input_features: Tensor,
        is_spatial: Tensor | None = None,
        branches: Sequence[str] = BRANCHES,
        output_hidden_states: bool = False,
        recording_index: Tensor | None = None,
        start_s: Tensor | None = None,
    ) -> DSpASTOutput:
        """Tokens of a batch of recordings.

        Args:
            input_features: of `DSpASTFeatureExtractor`, `(batch, maps, frames, mels)`.
            is_spatial: ignored here; the feature extractor gives it.
            branches: any of "distance", "direction", "event"; only those are computed, and joined in this order.
            output_hidden_states: also give the tokens before and after every block.
            recording_index, start_s: ignored here; the feature extractor gives them with `long_audio="chunks"`.

        Raises:
            AudioValueError: features of another shape.
            ConfigError: a branch that there is not, one named twice, or none.
        """
        require_feature_maps(input_features, self.config)
        own = [cast(DSpASTBranch, self.branches[name]) for name in require_branches(branches)]
        features = self.normalized(input_features)
        fused, weights = zip(*(branch.fusion(features) for branch in own), strict=True)
        tokens = self.positions(self.patch_embedding(hide_spans(torch.cat(fused), self.config, self.training)))
        tokens = hide_rows(tokens, self.config, self.training)
        batch = len(input_features)
        cls_tokens = [branch.cls_tokens.expand(batch, -1, -1) for branch in own]
        tokens = torch.cat([torch.cat(cls_tokens).to(tokens.dtype), tokens], dim=1)
        eager = self.config._attn_implementation == "eager"
        tokens, states = run_blocks(self.blocks, tokens, eager, output_hidden_states)
        parts = tokens.split(batch)
        joined = [branch.projection(part) for branch, part in zip(own, parts, strict=True)]
        return DSpASTOutput(
            last_hidden_state=torch.cat(joined, dim=-1),
            hidden_states=states and tuple(state.unflatten(0, (len(own), batch)).transpose(0, 1) for state in states),
            feature_weights=torch.stack(weights, dim=1),
        )


class DSpASTForSoundEventLocalization(EventLocalizationMixin, DSpASTPreTrainedModel):
    """What sounds, how far and from where."""

    def __init__(self, config: DSpASTConfig):
        super().__init__(config)
        self.dspast = DSpASTModel(config)
        self.clip_statistics = clip_statistics(config)
        self.readouts = nn.ModuleDict({name: Readout(config, config.branch_dim) for name in BRANCHES})

        def head(num_classes: int) -> AdaCosHead | LocalizationHead:
            if config.adacos:
                return AdaCosHead(config.branch_dim, num_classes)
            return LocalizationHead(config.branch_dim, num_classes, config.head_init_std)

        self.distance_head = head(config.num_distance_bins)
        self.azimuth_head = head(config.num_azimuth_bins)
        self.elevation_head = head(config.num_elevation_bins)
        self.event_norm = nn.LayerNorm(config.branch_dim, eps=config.layer_norm_eps)
        self.event_head = LocalizationHead(config.branch_dim, config.num_labels, config.head_init_std)
        self.post_init()

    def class_scores(self, head: str, logits: Tensor, target: Tensor | None = None) -> Tensor:
        """Cosines times AdaCos's scale, which in training first learns from the batch (see objectives/adacos.py).

        Args:
            head: "distance", "azimuth" or "elevation".
            logits: cosines `(batch, bins)`.
            target: true bins, if there are any.
        """
        if not self.config.adacos:
            return logits
        scale = getattr(self, f"{head}_head").scale
        if self.training and target is not None:
            scale.copy_(updated_adacos_scale(logits, target, scale))
        # A copy: the next step changes the scale before some backward passes have used this one.
        return scale.float().clone() * logits

    def _read(self, tokens: Tensor, input_features: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """What each branch's heads read, `(batch, branch_dim)`."""
        whole = self.clip_statistics and self.clip_statistics(input_features)
        parts = zip(names, tokens.split(self.config.branch_dim, dim=-1), strict=True)
        return {name: self.readouts[name](part, 0, self.config.num_cls_tokens, whole) for name, part in parts}

    def readout_tokens(self, tokens: Tensor, input_features: Tensor) -> Tensor:
        """What the heads read of a recording, as one token beside the encoder's.

        Args:
            tokens: `last_hidden_state` of all branches, `(batch, tokens, 3 * branch_dim)`.
            input_features: what they were made of, `(batch, maps, frames, mels)`.

        Returns:
            `(batch, 1, 3 * branch_dim)`, the branches joined as in `tokens`.
        """
        return torch.cat(list(self._read(tokens, input_features, BRANCHES).values()), dim=-1)[:, None]

    def forward(
        self,
        input_features: Tensor,
        labels: dict[str, Tensor] | None = None,
        is_spatial: Tensor | None = None,
        branches: Sequence[str] = BRANCHES,
        output_hidden_states: bool = False,
        recording_index: Tensor | None = None,
        start_s: Tensor | None = None,
    ) -> EventLocalizationOutput:
        """Logits of the heads, and the loss if there are labels.

        Args:
            input_features: of `DSpASTFeatureExtractor`, `(batch, maps, frames, mels)`.
            labels: see `localization_losses`. Labels of branches that are not computed have no loss.
            is_spatial: bool `(batch,)`; False where both ears hear the same: no angle loss, and no direction in
                `decode`.
            branches: any of "distance", "direction", "event"; the logits of the others are None.
            output_hidden_states: also give the tokens before and after every block.
            recording_index, start_s: ignored here; the feature extractor gives them with `long_audio="chunks"`.

        Returns:
            `EventLocalizationOutput`; the logits of distance and angles are cosines (`class_scores` scales them).

        Raises:
            AudioValueError: features of another shape.
            ConfigError: a branch that there is not, one named twice, or none.
            DataError: labels that do not fit.
        """
        names = require_branches(branches)
        encoded = self.dspast(input_features, branches=names, output_hidden_states=output_hidden_states)
        token = self._read(encoded.last_hidden_state, input_features, names)
        logits: dict[str, Tensor] = {}
        if "event" in token:
            logits["event"] = self.event_head(self.event_norm(token["event"]))
        if "distance" in token:
            logits["distance"] = self.distance_head(token["distance"])
        if "direction" in token:
            logits["azimuth"] = self.azimuth_head(token["direction"])
            logits["elevation"] = self.elevation_head(token["direction"])
        loss, components = (None, None) if labels is None else self.localization_losses(logits, labels, is_spatial)
        return EventLocalizationOutput(
            loss=loss,
            loss_components=components,
            **{f"{head}_logits": value for head, value in logits.items()},
            is_spatial=is_spatial,
            last_hidden_state=encoded.last_hidden_state,
            hidden_states=encoded.hidden_states,
            feature_weights=encoded.feature_weights,
        )


def require_branches(names: Sequence[str]) -> list[str]:
    """The names as a list.

    Raises:
        ConfigError: a branch that there is not, one named twice, or none.
    """
    listed = [names] if isinstance(names, str) else list(names)
    if not listed or set(listed) - set(BRANCHES) or len(set(listed)) != len(listed):
        raise ConfigError(f"branches is {listed}; expected one or more different names of {', '.join(BRANCHES)}")
    return listed
