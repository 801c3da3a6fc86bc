"""What sounds and where, from the logits of four heads: the losses, and the answer in words and degrees."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import AudioValueError, ConfigError, DataError
from spatial_audio_lm.layers.clip_statistics import ClipStatistics
from spatial_audio_lm.layers.event_localization_config import LOCALIZATION_HEADS, EventLocalizationConfig
from spatial_audio_lm.layers.feature_fusion import float32_batch_norm
from spatial_audio_lm.layers.masking import drop_rows, mask_spans

LABELS = ("events", "distance_m", "azimuth_deg", "elevation_deg")
# Half-width of the sector whose probability is the confidence of a direction, and in which answers between bins are
# looked for: the 20 degrees of the papers' error rate.
_SECTOR_DEG = 20.0


@dataclass
class SoundEvent:
    """One sound that is heard, and where.

    Args:
        label: its name.
        probability: of its being there; sounds do not exclude each other.
        azimuth_deg: 0 front, +90 left, in [-180, 180); None without a direction.
        elevation_deg: positive up; None without a direction.
        distance_m: in metres; None if the distance was not computed.
        direction_confidence: probability of the azimuths within 20 degrees of the answer; None without a direction.
        no_direction_reason: why there is no direction; None if there is one.
    """

    label: str
    probability: float
    azimuth_deg: float | None = None
    elevation_deg: float | None = None
    distance_m: float | None = None
    direction_confidence: float | None = None
    no_direction_reason: str | None = None


@dataclass
class EventLocalizationOutput(ModelOutput):
    """Logits of the heads; those of branches that were not asked for are None.

    Args:
        loss: weighted sum of the losses, if labels were given.
        loss_components: each loss by name, before weighting.
        event_logits: `(batch, labels)`; a sigmoid of them is the probability.
        distance_logits: `(batch, distance bins)`.
        azimuth_logits: `(batch, azimuth bins)`.
        elevation_logits: `(batch, elevation bins)`.
        is_spatial: as given, `(batch,)`.
        last_hidden_state: the encoder's tokens, `(batch, tokens, dim)`.
        hidden_states: tokens before and after every block, on request.
        feature_weights: weights of the feature maps, where the encoder has them, `(batch, branches, maps)`.
    """

    loss: Tensor | None = None
    loss_components: dict[str, Tensor] | None = None
    event_logits: Tensor | None = None
    distance_logits: Tensor | None = None
    azimuth_logits: Tensor | None = None
    elevation_logits: Tensor | None = None
    is_spatial: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    feature_weights: Tensor | None = None


class LocalizationHead(nn.Linear):
    """A linear classifier that begins at nearly zero, as published, unless `init_std` says otherwise."""

    def __init__(self, dim: int, num_classes: int, init_std: float = 2e-5):
        super().__init__(dim, num_classes)
        self.init_std = init_std

    def reset(self) -> None:
        """Normal weights of `init_std` cut at two deviations, and no bias."""
        init.trunc_normal_(self.weight, std=self.init_std, a=-2 * self.init_std, b=2 * self.init_std)
        init.zeros_(self.bias)


def require_feature_maps(input_features: Tensor, config: EventLocalizationConfig) -> None:
    """Refuses features of another shape than the model takes.

    Raises:
        AudioValueError: not `(batch, maps, frames, mels)` as the config has them.
    """
    expected = (config.num_feature_maps, config.num_frames, config.num_mel_bins)
    if input_features.ndim != 4 or tuple(input_features.shape[1:]) != expected:
        raise AudioValueError(
            f"input_features has shape {tuple(input_features.shape)}; {config.model_type} takes (batch, maps, frames, "
            f"mels) = (batch, {', '.join(map(str, expected))}) with the maps {config.features}: use its own feature "
            "extractor"
        )


def hide_spans(fused: Tensor, config: EventLocalizationConfig, training: bool) -> Tensor:
    """Fused maps `(batch, maps, frames, bands)`; in training, with the spans hidden that the configuration names."""
    if not training or not (config.mask_frames or config.mask_mels):
        return fused
    return mask_spans(fused, config.mask_frames, config.mask_mels)


def hide_rows(tokens: Tensor, config: EventLocalizationConfig, training: bool) -> Tensor:
    """Tokens of patches; in training, without the rows that the configuration leaves out."""
    if not training or not (config.drop_time_patches or config.drop_mel_patches):
        return tokens
    return drop_rows(tokens, config.grid, config.drop_time_patches, config.drop_mel_patches)


class Readout(nn.Module):
    """What a head reads of the last tokens, and of the clip as a whole, by the config's `readout`.

    Args:
        config: of the model.
        dim: width of the tokens.
    """

    def __init__(self, config: EventLocalizationConfig, dim: int):
        super().__init__()
        self.num_cls_tokens = config.num_cls_tokens
        self.pooled = config.readout == "pooled"
        if self.pooled:
            self.rows = config.grid[1]
            self.score = nn.Linear(dim, 1)
            statistics = clip_statistics(config)
            inputs = self.rows * dim + (statistics.size if statistics else 0)
            self.input_norm = nn.BatchNorm1d(inputs, affine=False)
            drop = nn.Dropout(config.readout_dropout)
            self.mlp = nn.Sequential(nn.Linear(inputs, 4 * dim), nn.GELU(), drop, nn.Linear(4 * dim, dim))
            self.norm = nn.BatchNorm1d(dim, affine=False)

    def forward(
        self,
        tokens: Tensor,
        first: int,
        count: int = 1,
        statistics: Tensor | None = None,
        sound_scores: Tensor | None = None,
    ) -> Tensor:
        """Of tokens `(batch, tokens, dim)` the mean of `count` class tokens from `first` on: `(batch, dim)`.

        The pooled readout adds what it makes of the patches and of the clip's statistics `(batch, numbers)`. With
        scores of the patches for each of several sounds, `(batch, patches, sounds)`, it looks for each where that sound
        is: `(batch, sounds, dim)`.
        """
        token = tokens[:, first : first + count].mean(1)
        if not self.pooled:
            return token
        patches = tokens[:, self.num_cls_tokens :].unflatten(1, (-1, self.rows))  # (batch, time, frequency, dim)
        scores = self.score(patches)
        if sound_scores is not None:
            scores = scores + sound_scores.unflatten(1, (-1, self.rows))
        heard = torch.einsum("btfs,btfd->bsfd", scores.softmax(1), patches).flatten(2)
        if statistics is not None:
            heard = torch.cat([heard.float(), statistics[:, None].expand(-1, heard.shape[1], -1)], dim=2)
        shape = heard.shape[:2]
        heard = float32_batch_norm(self.input_norm, heard.flatten(0, 1)).to(token.dtype)
        read = token[:, None] + self.mlp(heard).unflatten(0, shape)
        read = float32_batch_norm(self.norm, read.flatten(0, 1)).to(token.dtype).unflatten(0, shape)
        return read[:, 0] if sound_scores is None else read


def clip_statistics(config: EventLocalizationConfig) -> ClipStatistics | None:
    """What makes the statistics that the readouts hear; None where they hear none."""
    coherence_at = config.map_of("coherence")
    if not config.clip_statistics or coherence_at is None:
        return None
    return ClipStatistics(config.num_mel_bins, coherence_at)


class EventLocalizationMixin:
    """Losses and answers of a model with the four heads; its config is an `EventLocalizationConfig`."""

    config: Any
    training: bool

    def class_scores(self, head: str, logits: Tensor, target: Tensor | None = None) -> Tensor:
        """Logits of a distance or angle head as a softmax takes them, `(batch, bins)`.

        Args:
            head: "distance", "azimuth" or "elevation".
            logits: `(batch, bins)`.
            target: true bins, if there are any: a scale that follows the training may learn from them.
        """
        return logits

    def localization_losses(
        self, logits: dict[str, Tensor], labels: dict[str, Tensor], is_spatial: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the losses, and each of them.

        Args:
            logits: by head.
            labels: any of "events" `(batch, labels)`, numbers from 0 to 1; "distance_m", "azimuth_deg",
                "elevation_deg", each `(batch,)`, in the house's convention. Heads without labels have no loss.
            is_spatial: bool `(batch,)`; items where it is False take no part in the losses of the angles.

        Raises:
            DataError: an unknown label, one of a wrong shape or outside of the bins, or none that fits a head.
        """
        unknown = set(labels) - set(LABELS)
        if unknown:
            raise DataError(f"labels has {sorted(unknown)}; known are {', '.join(LABELS)}")
        bins = self.config.bins
        losses: dict[str, Tensor] = {}
        for head, name in zip(LOCALIZATION_HEADS, LABELS, strict=True):
            if name not in labels or head not in logits:
                continue
            score, label = logits[head].float(), labels[name].to(logits[head].device)
            expected = score.shape if head == "event" else score.shape[:1]
            if label.shape != expected:
                raise DataError(f"labels[{name!r}] has shape {tuple(label.shape)}; expected {tuple(expected)}")
            if head == "event":
                if not ((label >= 0) & (label <= 1)).all():
                    raise DataError("labels['events'] has numbers outside of 0 to 1")
                losses[head] = F.binary_cross_entropy_with_logits(score, label.float())
                continue
            if is_spatial is not None and head != "distance":
                kept = is_spatial.to(device=label.device, dtype=torch.bool)
                score, label = score[kept], label[kept]
            target = getattr(bins, f"{head}_bin")(label)
            # Without a single item a loss of zero, which still reaches the head's weights.
            score = self.class_scores(head, score, target if len(target) else None)
            spread = self.config.label_spread_m if head == "distance" else self.config.label_spread_deg
            likely = target if spread == 0 else bins.spread(head, label, spread).to(score.dtype)
            losses[head] = F.cross_entropy(score, likely) if len(target) else 0.0 * logits[head].float().sum()
        if not losses:
            raise DataError(f"no label fits a head that was computed: labels {sorted(labels)}, heads {sorted(logits)}")
        total = torch.stack([self.config.loss_weights[head] * loss for head, loss in losses.items()]).sum()
        return total, losses

    @torch.no_grad()
    def decode(
        self, outputs: EventLocalizationOutput, threshold: float = 0.5, at_least: int = 1
    ) -> list[list[SoundEvent]]:
        """The answer for each recording, most probable sound first.

        The published heads hear one direction for a recording: all its events have the same. Those of SELD models
        (models/dspast/modeling_dspast_seld.py) hear one for each event.

        Args:
            outputs: of the forward pass.
            threshold: sounds of at least this probability are given,
            at_least: and this many in any case.

        Raises:
            ConfigError: outputs without the event branch, or a threshold outside of 0 to 1.
        """
        if outputs.event_logits is None:
            raise ConfigError("decode names the sounds: compute the branch 'event' as well")
        if not 0.0 <= threshold <= 1.0 or at_least < 0:
            raise ConfigError(f"threshold is {threshold}, at_least {at_least}; expected 0 to 1, and 0 or more")
        places = self._places(outputs)
        names = self.config.id2label
        answers = []
        for probabilities, place in zip(outputs.event_logits.float().sigmoid().cpu(), places, strict=True):
            ranked = probabilities.argsort(descending=True, stable=True).tolist()
            count = max(int((probabilities >= threshold).sum()), min(at_least, len(ranked)))
            answers.append([SoundEvent(names[k], float(probabilities[k]), **place[k]) for k in ranked[:count]])
        return answers

    def place(self, outputs: EventLocalizationOutput) -> dict[str, Tensor]:
        """Where the sound is, as numbers `(batch,)`: those of "distance_m", "azimuth_deg", "elevation_deg" and
        "direction_confidence" (the probability of the azimuths within 20 degrees of the answer) that were computed.

        Every recording gets a direction here; `decode` takes it back where `is_spatial` is False. How bins become
        numbers is the config's `decoding`.
        """
        bins, place = self.config.bins, {}
        if outputs.distance_logits is not None:
            probabilities = self.class_scores("distance", outputs.distance_logits.float()).softmax(-1)
            place["distance_m"] = bins.distance_m(self._position(probabilities, 1, circular=False))
        if outputs.azimuth_logits is not None and outputs.elevation_logits is not None:
            probabilities = self.class_scores("azimuth", outputs.azimuth_logits.float()).softmax(-1)
            reach = _SECTOR_DEG * bins.num_azimuth_bins / 360.0
            position = self._position(probabilities, reach, circular=True)
            place["azimuth_deg"] = bins.azimuth_deg(position)
            place["direction_confidence"] = _within(probabilities, position, reach)
            probabilities = self.class_scores("elevation", outputs.elevation_logits.float()).softmax(-1)
            reach = _SECTOR_DEG * bins.num_elevation_bins / 180.0
            place["elevation_deg"] = bins.elevation_deg(self._position(probabilities, reach, circular=False))
        return place

    def _position(self, probabilities: Tensor, reach: float, circular: bool) -> Tensor:
        """Answers `(batch,)` in bins, whole ones for "argmax", from probabilities `(batch, bins)`.

        The neighbourhood of "local_mean" reaches so many bins to either side.
        """
        if self.config.decoding == "argmax":
            return probabilities.argmax(-1)
        # The neighbourhood that holds most, and its centre of gravity.
        count = probabilities.shape[-1]
        offsets = torch.arange(-int(reach), int(reach) + 1, device=probabilities.device)
        around = torch.arange(count, device=probabilities.device)[:, None] + offsets
        inside = torch.ones_like(around, dtype=torch.bool) if circular else (around >= 0) & (around < count)
        windows = probabilities[:, around % count] * inside
        masses = windows.sum(-1)
        best = masses.argmax(-1)
        chosen = windows[torch.arange(len(best), device=best.device), best]
        shift = (chosen * offsets).sum(-1) / chosen.sum(-1).clamp(min=1e-12)
        return best + shift

    def _places(self, outputs: EventLocalizationOutput) -> list[list[dict[str, Any]]]:
        """Of each recording, the place of each of its events: here all are where the recording is."""
        assert outputs.event_logits is not None
        return [[place] * outputs.event_logits.shape[-1] for place in self._place_of_rows(outputs)]

    def _place_of_rows(self, outputs: EventLocalizationOutput) -> list[dict[str, Any]]:
        """The place of each row of logits."""
        assert outputs.event_logits is not None
        columns = {name: values.tolist() for name, values in self.place(outputs).items()}
        places: list[dict[str, Any]] = [
            {name: values[row] for name, values in columns.items()} for row in range(len(outputs.event_logits))
        ]
        directed = {"azimuth_deg", "elevation_deg", "direction_confidence"}
        for row, place in enumerate(places):
            if "azimuth_deg" not in place:
                place["no_direction_reason"] = "the direction was not computed"
            elif outputs.is_spatial is not None and not bool(outputs.is_spatial[row]):
                reason = "both ears hear the same, or nothing"
                places[row] = {name: place[name] for name in place.keys() - directed} | {"no_direction_reason": reason}
        return places


def _within(probabilities: Tensor, position: Tensor, reach: float) -> Tensor:
    """Probability `(batch,)` of the bins of a circle that are at most `reach` away from a position."""
    count = probabilities.shape[-1]
    steps = (torch.arange(count, device=position.device) - position[:, None]).remainder(count)
    near = torch.minimum(steps, count - steps) <= reach + 1e-4
    return (probabilities * near).sum(-1).clamp(max=1.0)
