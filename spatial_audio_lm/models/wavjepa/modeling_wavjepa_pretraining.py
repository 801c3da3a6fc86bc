"""Pre-training of WavJEPA: what a moving average of the encoder makes of the whole window is predicted from a part.

The published code runs the context encoder over all tokens under a mask, and the predictor over all tokens once for
each group of targets. Here both hear only the tokens that count, with the same numbers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import AudioValueError, ConfigError, DataError
from spatial_audio_lm.layers.post_norm import PostNormStack
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel, WavJEPAPreTrainedModel, encoder_stack
from spatial_audio_lm.models.wavjepa.positions_wavjepa import FramePositions
from spatial_audio_lm.models.wavjepa.windows_wavjepa import require_finite
from spatial_audio_lm.objectives.latent_prediction import (
    averaged_targets,
    latent_prediction_loss,
    target_variance,
    variance_between_items,
)


@dataclass
class WavJEPAForPreTrainingOutput(ModelOutput):
    """A prediction of what the target encoder makes of a window.

    Tokens are the frames of the left channel, then those of the right one.

    Args:
        loss: scalar: the mean squared error of all targets of all groups.
        target_variance, variance_between_items: scalars without gradient that fall to 0 if the encoder collapses, see
            objectives/latent_prediction.py.
        logits: `(batch, groups, most targets of a group, hidden_size)`: the predictions.
        target_index: `(batch, groups, most targets of a group)`: the token that each is of.
        target_mask: bool, likewise: False where a group has fewer.
        targets: `(batch, tokens, hidden_size)`, of all tokens.
        context: `(batch, most tokens of a context, hidden_size)`: the encoder's answer, after its last norm.
        context_mask: bool `(batch, most tokens of a context)`: False where an item has fewer.
        local_features: `(batch, tokens, hidden_size)`, what both encoders are given.
    """

    loss: Tensor | None = None
    target_variance: Tensor | None = None
    variance_between_items: Tensor | None = None
    logits: Tensor | None = None
    target_index: Tensor | None = None
    target_mask: Tensor | None = None
    targets: Tensor | None = None
    context: Tensor | None = None
    context_mask: Tensor | None = None
    local_features: Tensor | None = None


class WavJEPATargetEncoder(nn.Module):
    """A copy of the context encoder that follows it slowly.

    Its weights are buffers: nothing trains them, and a loaded model's are as untrainable as a new one's.
    """

    def __init__(self, config: WavJEPAConfig):
        super().__init__()
        self.top_k, self.target_norm = config.average_top_k, config.target_norm
        self.stack = encoder_stack(config)
        for module in self.stack.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.detach())

    @torch.no_grad()
    def forward(self, tokens: Tensor, eager: bool = False) -> Tensor:
        """Targets of all tokens `(batch, tokens, hidden_size)`, from the outputs of the last layers; float32."""
        states = []
        for block in self.stack.blocks:
            tokens = block(tokens, eager)
            states.append(tokens)
        return averaged_targets(states[-self.top_k :], self.target_norm)


class WavJEPAPredictor(nn.Module):
    """From the encoder's tokens of the context to the target encoder's of other places."""

    def __init__(self, config: WavJEPAConfig):
        super().__init__()
        dim = config.predictor_hidden_size
        self.embedding = nn.Linear(config.hidden_size, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        self.positions = FramePositions(config.num_channels, config.num_frames, dim)
        self.stack = PostNormStack(
            config.predictor_num_hidden_layers,
            dim,
            config.predictor_num_attention_heads,
            config.predictor_intermediate_size,
            config.layer_norm_eps,
            config.final_norm_eps,
        )
        self.prediction = nn.Linear(dim, config.hidden_size)

    def reset(self) -> None:
        """First value of the mask token."""
        init.normal_(self.mask_token, std=0.02)

    def forward(
        self,
        context: Tensor,
        context_index: Tensor,
        context_mask: Tensor,
        target_index: Tensor,
        target_mask: Tensor,
        eager: bool = False,
    ) -> Tensor:
        """Predictions of each group of targets, of which a group hears only the context and itself.

        Args:
            context: `(batch, context, hidden_size)`, of the encoder.
            context_index, context_mask: `(batch, context)`: which token each is of, and whether it is one.
            target_index, target_mask: `(batch, groups, targets)`, likewise.
            eager: write the attention out.

        Returns:
            `(batch, groups, targets, hidden_size)`.
        """
        groups = target_index.shape[1]
        x = self.embedding(context)
        table = self.positions.table.flatten(0, 1).to(x.dtype)
        known = (x + table[context_index])[:, None].expand(-1, groups, -1, -1)
        asked = self.mask_token.to(x.dtype) + table[target_index]
        heard = torch.cat([context_mask[:, None].expand(-1, groups, -1), target_mask], dim=2)
        tokens = torch.cat([known, asked], dim=2)
        answer, _ = self.stack(tokens.flatten(0, 1), eager, heard.flatten(0, 1))
        answer = answer[:, context.shape[1] :].unflatten(0, (-1, groups))
        return self.prediction(answer)


class WavJEPAForPreTraining(WavJEPAPreTrainedModel):
    """Context encoder, target encoder and predictor."""

    _new_on_load = r"^(target_encoder|predictor)\."  # when it goes on from an encoder alone

    def __init__(self, config: WavJEPAConfig):
        super().__init__(config)
        self.wavjepa = WavJEPAModel(config)
        self.target_encoder = WavJEPATargetEncoder(config)
        self.predictor = WavJEPAPredictor(config)
        self.post_init()

    def initialize_weights(self) -> None:
        """As in transformers; then what the target encoder was not given by a checkpoint begins as a copy."""
        super().initialize_weights()
        for target, source in self._pairs():
            init.copy_(target, source)

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Every weight of the target encoder with that of the context encoder."""
        sources = dict(self.wavjepa.encoder.named_parameters())
        return [(target, sources[name]) for name, target in self.target_encoder.stack.named_buffers()]

    @torch.no_grad()
    def update_target_encoder(self, decay: float) -> None:
        """One step of the moving average: `decay` of the target encoder stays, the rest comes from the encoder.

        The published code does it after every forward pass, before the optimizer's step.

        Raises:
            ConfigError: a decay outside of 0 to 1.
        """
        if not 0.0 <= decay <= 1.0:
            raise ConfigError(f"the decay of the target encoder is {decay}; expected a number from 0 to 1")
        for target, source in self._pairs():
            target.lerp_(source.to(target.dtype), 1.0 - decay)

    def tokens_of(self, mask: Tensor) -> Tensor:
        """A mask over time `(..., time)` as one over the tokens of all channels, by the config's `mask_alignment`."""
        channels = self.config.num_channels
        if self.config.mask_alignment == "interleaved":
            return mask.repeat_interleave(channels, dim=-1)
        return torch.cat([mask] * channels, dim=-1)

    def forward(self, input_values: Tensor, context_mask: Tensor, target_masks: Tensor) -> WavJEPAForPreTrainingOutput:
        """The loss of a batch of windows, and what was predicted.

        Args:
            input_values: `(batch, channels, window_samples)`, each brought to mean 0 and deviation 1 as
                `WavJEPAFeatureExtractor.extract` does.
            context_mask: bool `(batch, time)`: True where the encoder hears a time step; at least one an item.
            target_masks: bool `(batch, groups, time)`: True where a time step is to be predicted.

        Raises:
            AudioValueError: values of another kind or shape, or not finite.
            DataError: masks that do not fit, without a context or a target, or with a target in the context.
        """
        self.wavjepa.require_values(input_values)
        if input_values.shape[2] != self.config.window_samples:
            raise AudioValueError(
                f"input_values has {input_values.shape[2]} samples; pre-training takes windows of exactly "
                f"{self.config.window_samples}"
            )
        require_finite(input_values, torch.full_like(input_values[:, 0, 0], input_values.shape[2]))
        self._require_masks(len(input_values), context_mask, target_masks)
        eager = self.wavjepa.eager
        local = self.wavjepa.embedded(input_values).flatten(1, 2)
        context_index, context_mask = _places(self.tokens_of(context_mask.to(local.device)))
        target_index, target_mask = _places(self.tokens_of(target_masks.to(local.device)))
        visible = local.gather(1, context_index[:, :, None].expand(-1, -1, local.shape[2]))
        context, _ = self.wavjepa.encoder(visible, eager, context_mask)
        targets = self.target_encoder(local.detach(), eager)
        logits = self.predictor(context, context_index, context_mask, target_index, target_mask, eager)
        item = torch.arange(len(targets), device=targets.device)[:, None, None]
        return WavJEPAForPreTrainingOutput(
            loss=latent_prediction_loss(logits, targets[item, target_index], target_mask),
            target_variance=target_variance(targets),
            variance_between_items=variance_between_items(targets),
            logits=logits,
            target_index=target_index,
            target_mask=target_mask,
            targets=targets,
            context=context,
            context_mask=context_mask,
            local_features=local,
        )

    def _require_masks(self, batch: int, context: Tensor, targets: Tensor) -> None:
        time = self.config.num_frames
        for name, mask in (("context_mask", context), ("target_masks", targets)):
            if not isinstance(mask, Tensor):
                raise DataError(f"{name} is a {type(mask).__name__}; expected a bool tensor, as time_block_masks gives")
        if context.dtype != torch.bool or context.shape != (batch, time):
            raise DataError(
                f"context_mask is {context.dtype} {tuple(context.shape)}; expected torch.bool {(batch, time)}, True "
                "where the encoder hears a time step"
            )
        if targets.dtype != torch.bool or targets.ndim != 3 or (targets.shape[0], targets.shape[2]) != (batch, time):
            raise DataError(
                f"target_masks is {targets.dtype} {tuple(targets.shape)}; expected torch.bool ({batch}, groups, {time})"
            )
        if not targets.shape[1]:
            raise DataError("target_masks has no groups; expected one or more: there is nothing to predict")
        if not context.any(1).all() or not targets.any(2).all():
            raise DataError("an item has no context, or a group of it no target: draw its masks anew")
        if (context[:, None] & targets).any():
            raise DataError("a time step is context and target: it would be predicted from itself")


def _places(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where a bool mask `(..., tokens)` is True, `(..., most)` in their order, and which of these places are real."""
    counts = mask.sum(-1, keepdim=True)
    most = int(counts.max())
    index = (~mask).to(torch.uint8).argsort(dim=-1, stable=True)[..., :most]
    return index, torch.arange(most, device=mask.device) < counts
