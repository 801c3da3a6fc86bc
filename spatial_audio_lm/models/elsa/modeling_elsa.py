"""ELSA: language and spatial audio in one space (Devnani et al., "Learning Spatially-Aware Language and Audio Embeddings", 2024).

    log-mel of W ──► audio encoder ────┐
                                       ├─ join ─► audio projection ─┬─► L2-normalise ─► audio_embeds ─┐
    intensity vectors ─► spatial branch┘                            └─► heads: direction, distance,   ├─ cosine / temperature
                             └─► or the direction, from weighted vectors    floor area, T30           │
    caption ─► text encoder ─► pool ─► text projection ─► L2-normalise ─► text_embeds ────────────────┘

What is the paper's: the two branches joined, two-layer projections (ReLU), three heads of 64 hidden units, the sum of
contrastive and regression losses, clips without spatial labels masked in the latter. Ours, by configuration: a T30 head,
a direction that the spatial branch reads off weighted intensity vectors, and the concentration of a von Mises-Fisher distribution around it as its confidence.
Where the paper is silent: the heads see the projection before normalisation, and one temperature serves both
directions of the contrastive loss.
"""  # noqa: E501

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, ClapAudioModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import AudioValueError, DataError, TextError
from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig
from spatial_audio_lm.models.elsa.modeling_elsa_conv import ElsaConvModel, init_convolutional
from spatial_audio_lm.models.elsa.modeling_elsa_spatial import ElsaSpatialModel, ElsaSpatialModelForRegression
from spatial_audio_lm.objectives.contrastive import contrastive_loss
from spatial_audio_lm.objectives.spatial_regression import concentration_nll, direction_loss, regression_loss
from spatial_audio_lm.signal.conventions import unit_vector

__all__ = [
    "ElsaLocalization",
    "ElsaModel",
    "ElsaOutput",
    "ElsaPreTrainedModel",
    "ElsaSpatialModel",
    "ElsaSpatialModelForRegression",
]

# The concentration before any training (a spread of some 40 degrees), and the largest (half a degree).
INITIAL_CONCENTRATION, MAX_CONCENTRATION = 4.0, 1e4


@dataclass
class ElsaLocalization(ModelOutput):
    """Where the sound is, and the vector of its meaning.

    Args:
        audio_embeds: L2-normalised, `(batch, projection_dim)`.
        direction: unit vectors, x front, y left, z up, `(batch, 3)`.
        direction_concentration: von Mises-Fisher concentration of each direction, `(batch,)`; None without that head.
        distance_m: `(batch,)`.
        floor_area_m2: `(batch,)`.
        t30_s: `(batch,)`; None without that head.
    """

    audio_embeds: Tensor | None = None
    direction: Tensor | None = None
    direction_concentration: Tensor | None = None
    distance_m: Tensor | None = None
    floor_area_m2: Tensor | None = None
    t30_s: Tensor | None = None


@dataclass
class ElsaOutput(ElsaLocalization):
    """Answer of `ElsaModel`: that of `ElsaLocalization` and the comparison with the texts.

    Args:
        loss: weighted sum of the losses, if asked for.
        loss_components: each loss by name, before weighting.
        logits_per_audio: cosine times logit scale, `(recordings, texts)`.
        logits_per_text: its transpose.
        text_embeds: L2-normalised, `(texts, projection_dim)`.
    """

    loss: Tensor | None = None
    loss_components: dict[str, Tensor] | None = None
    logits_per_audio: Tensor | None = None
    logits_per_text: Tensor | None = None
    text_embeds: Tensor | None = None


class ElsaProjection(nn.Module):
    """Linear, ReLU, dropout, linear; under autocast too in the precision of its weights."""

    def __init__(self, in_size: int, hidden_size: int, out_size: int, dropout: float = 0.0):
        super().__init__()
        self.linear1 = nn.Linear(in_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(hidden_size, out_size)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.linear1.weight.dtype)
            return self.linear2(self.dropout(torch.relu(self.linear1(x))))


def _encoder(config: PretrainedConfig) -> PreTrainedModel:
    if config.model_type == "clap_audio_model":  # a part of CLAP, which AutoModel does not list
        # HTS-AT has one attention of its own; whatever is asked for the rest of the model does not concern it.
        config._attn_implementation = "eager"
        return ClapAudioModel(config)
    return ElsaConvModel(config) if config.model_type == "elsa_conv" else AutoModel.from_config(config)


class ElsaPreTrainedModel(PreTrainedModel):
    """Configuration, initial weights and abilities of ELSA."""

    config_class = ElsaConfig
    base_model_prefix = "elsa"
    main_input_name = "input_features"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["MaskedConvStage", "PaperStage"]  # noqa: RUF012

    def _init_weights(self, module: nn.Module) -> None:
        init_convolutional(module)
        if isinstance(module, ElsaModel):
            nn.init.constant_(module.logit_scale, module.config.logit_scale_init_value)


class ElsaModel(ElsaPreTrainedModel):
    """Recordings and sentences as vectors of one space, and where the sound is."""

    def __init__(self, config: ElsaConfig):
        super().__init__(config)
        self.audio_model = _encoder(config.audio_config)
        self.spatial_model = ElsaSpatialModel(config.spatial_config)
        self.text_model = _encoder(config.text_config)
        joined = config.audio_config.hidden_size + config.spatial_config.hidden_size
        dim, head = config.projection_dim, config.head_hidden
        self.audio_projection = ElsaProjection(
            joined, config.audio_projection_hidden or joined, dim, config.projection_dropout
        )
        self.text_projection = ElsaProjection(config.text_config.hidden_size, config.text_projection_hidden or dim, dim)
        outputs = {"angles": 2, "vector": 3, "attended": 0}[config.direction_representation]
        self.direction_head = ElsaProjection(dim, head, outputs) if outputs else None
        self.distance_head = ElsaProjection(dim, head, 1)
        self.area_head = ElsaProjection(dim, head, 1)
        self.reverberation_head = ElsaProjection(dim, head, 1) if config.use_reverberation_head else None
        self.concentration_head = ElsaProjection(dim, head, 1) if config.use_concentration_head else None
        self.logit_scale = nn.Parameter(torch.tensor(float(config.logit_scale_init_value)))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        if self.text_model is None:  # a captioner keeps what hears alone
            raise NotImplementedError("there is no text tower here, and no embeddings of words")
        return self.text_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.text_model.set_input_embeddings(value)

    def _encode_audio(
        self, input_features: Tensor, spatial_features: Tensor, audio_attention_mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The audio projection before normalisation, `(batch, projection_dim)`: what the heads see; and the spatial
        branch's own direction `(batch, 3)`, if it gives one."""
        input_features = input_features.to(self.audio_model.dtype)
        if audio_attention_mask is None:
            mel = self.audio_model(input_features)
        elif self.config.audio_config.model_type == "clap_audio_model":
            raise AudioValueError(
                "HTS-AT takes clips of one fixed length and no audio_attention_mask: use ElsaFeatureExtractor with "
                "max_length_s = min_length_s = 10"
            )
        else:
            mel = self.audio_model(input_features, attention_mask=audio_attention_mask)
        spatial = self.spatial_model(spatial_features, audio_attention_mask)
        pooled = mel.pooler_output.flatten(1).to(spatial.pooler_output.dtype)
        return self.audio_projection(torch.cat([pooled, spatial.pooler_output], dim=1)), spatial.direction

    def pool_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The text encoder's sentence vector before the projection, `(batch, text hidden size)`."""
        output = self.text_model(input_ids=input_ids, attention_mask=attention_mask)
        if self.config.text_pooling == "pooler":
            return output.pooler_output
        hidden = output.last_hidden_state
        if attention_mask is None:
            return hidden.mean(1)
        mask = attention_mask.to(hidden.dtype)[:, :, None]
        return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)

    def get_audio_features(
        self, input_features: Tensor, spatial_features: Tensor, audio_attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPooling:
        """Embed recordings: `pooler_output` is L2-normalised, `(batch, projection_dim)`, as CLAP's is."""
        projected = self._encode_audio(input_features, spatial_features, audio_attention_mask)[0]
        return BaseModelOutputWithPooling(pooler_output=F.normalize(projected.float(), dim=-1))

    def get_text_features(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPooling:
        """Embed sentences; `pooler_output` is L2-normalised, `(batch, projection_dim)`."""
        projected = self.text_projection(self.pool_text(input_ids, attention_mask))
        return BaseModelOutputWithPooling(pooler_output=F.normalize(projected.float(), dim=-1))

    def localize(
        self, input_features: Tensor, spatial_features: Tensor, audio_attention_mask: Tensor | None = None, **_: Any
    ) -> ElsaLocalization:
        """Direction, distance, floor area, reverberation time and embedding, without any text."""
        projected, direction = self._encode_audio(input_features, spatial_features, audio_attention_mask)
        return self._localization(projected, self._run_heads(projected, direction))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        spatial_features: Tensor | None = None,
        audio_attention_mask: Tensor | None = None,
        is_spatial: Tensor | None = None,
        pooled_text: Tensor | None = None,
        labels: dict[str, Tensor] | None = None,
        negatives: Tensor | None = None,
        return_loss: bool | None = None,
    ) -> ElsaOutput:
        """Compare recordings with sentences and say where the sounds are.

        Args:
            input_ids: tokens of the sentences, `(texts, tokens)`.
            attention_mask: their mask.
            input_features: log-mel spectrograms, `(recordings, 1, frames, mels)`.
            spatial_features: `(recordings, channels, frames, bands)`.
            audio_attention_mask: valid frames, `(recordings, frames)`, padding on the right.
            is_spatial: bool `(recordings,)`; False (mono copied to four channels) takes no part in regression losses.
            pooled_text: outputs of `pool_text` computed before, in place of `input_ids`: `(texts, text hidden size)`.
            labels: `azimuth_deg, elevation_deg, distance_m, floor_area_m2, t30_s, spatial_mask`, each `(recordings,)`;
                targets that are not given have no loss, items whose `spatial_mask` is False neither.
            negatives: bool `(recordings, texts)` of the whole gathered batch, True where a pair counts as negative.
            return_loss: compute the loss; None: if `labels` are given. Row i of the recordings belongs to row i of the
                texts then.

        Returns:
            `ElsaOutput`.

        Raises:
            TextError: neither `input_ids` nor `pooled_text`, or both.
            AudioValueError: no recording.
            DataError: labels with an unknown name.
        """
        if (input_ids is None) == (pooled_text is None):
            raise TextError("give either input_ids or pooled_text (for recordings alone: get_audio_features, localize)")
        if input_features is None or spatial_features is None:
            raise AudioValueError("give input_features and spatial_features (for texts alone: get_text_features)")
        if pooled_text is None:
            assert input_ids is not None
            pooled_text = self.pool_text(input_ids, attention_mask)
        text_embeds = F.normalize(self.text_projection(pooled_text).float(), dim=-1)
        projected, direction = self._encode_audio(input_features, spatial_features, audio_attention_mask)
        raw = self._run_heads(projected, direction)
        localization = self._localization(projected, raw)
        audio_embeds = localization["audio_embeds"]

        scale = self.logit_scale.float().exp()
        with torch.autocast(audio_embeds.device.type, enabled=False):
            logits = scale * audio_embeds @ text_embeds.T
        loss, components = None, None
        if return_loss or (return_loss is None and labels is not None):
            components = {"contrastive": contrastive_loss(audio_embeds, text_embeds, scale, negatives)}
            components |= self._regression_losses(raw, localization["direction"], labels or {}, is_spatial)
            loss = torch.stack([self.config.loss_weights[name] * value for name, value in components.items()]).sum()
        return ElsaOutput(
            loss=loss,
            loss_components=components,
            logits_per_audio=logits,
            logits_per_text=logits.T,
            text_embeds=text_embeds,
            **localization,
        )

    def _run_heads(self, projected: Tensor, direction: Tensor | None) -> dict[str, Tensor]:
        if self.direction_head is not None:
            direction = self.direction_head(projected)
        assert direction is not None
        raw = {
            "direction": direction.float(),
            "distance_m": self.distance_head(projected).float()[:, 0],
            "floor_area_m2": self.area_head(projected).float()[:, 0],
        }
        if self.reverberation_head is not None:
            raw["t30_s"] = self.reverberation_head(projected).float()[:, 0]
        if self.concentration_head is not None:
            # Detached: how sure the model is must not change where it looks.
            logit = self.concentration_head(projected.detach()).float()[:, 0]
            # An exponential: the gradient of its loss stays of the size of the others', so that clipping the norm does
            # not slow the whole model down on its account, and a head that began far off comes back.
            raw["concentration"] = (INITIAL_CONCENTRATION * logit.exp()).clamp(max=MAX_CONCENTRATION)
        return raw

    def _localization(self, projected: Tensor, raw: dict[str, Tensor]) -> ElsaLocalization:
        direction = raw["direction"]
        if self.config.direction_representation == "angles":
            azimuth, elevation = direction.unbind(-1)  # the head's own unit, radians, needs no conversion here
            level = elevation.cos()
            direction = torch.stack([level * azimuth.cos(), level * azimuth.sin(), elevation.sin()], dim=-1)
        statistics = self.config.target_statistics
        scaled = {
            name: torch.exp(raw[name] * spread + mean) for name, (mean, spread) in statistics.items() if name in raw
        }
        return ElsaLocalization(
            audio_embeds=F.normalize(projected.float(), dim=-1),
            direction=F.normalize(direction, dim=-1),
            direction_concentration=raw.get("concentration"),
            **scaled,
        )

    def _regression_losses(
        self,
        raw: dict[str, Tensor],
        direction: Tensor,
        labels: dict[str, Tensor],
        is_spatial: Tensor | None,
    ) -> dict[str, Tensor]:
        statistics = self.config.target_statistics
        unknown = set(labels) - {"azimuth_deg", "elevation_deg", "spatial_mask", *statistics}
        if unknown:
            raise DataError(
                f"labels has {sorted(unknown)}; known are azimuth_deg, elevation_deg, spatial_mask, "
                + ", ".join(statistics)
            )
        device = raw["direction"].device
        mask = torch.ones(len(raw["direction"]), dtype=torch.bool, device=device)
        for given in (labels.get("spatial_mask"), is_spatial):
            if given is not None:
                mask = mask & given.to(device=device, dtype=torch.bool)
        losses: dict[str, Tensor] = {}
        if "azimuth_deg" in labels:
            azimuth_deg, elevation_deg = labels["azimuth_deg"], labels["elevation_deg"]
            angles = self.config.direction_representation == "angles"
            losses["direction"] = direction_loss(
                raw["direction"], azimuth_deg, elevation_deg, mask, "angles" if angles else "vector"
            )
            if "concentration" in raw:
                truth = unit_vector(azimuth_deg.float(), elevation_deg.float())
                cos_error = (direction.detach() * truth).sum(-1).clamp(-1, 1)
                losses["concentration"] = concentration_nll(raw["concentration"], cos_error, mask)
        for name, (mean, spread) in statistics.items():
            if name in labels and name in raw:
                target = (torch.log(labels[name].float()) - mean) / spread
                losses[name] = regression_loss(raw[name], target, mask)
        return losses
