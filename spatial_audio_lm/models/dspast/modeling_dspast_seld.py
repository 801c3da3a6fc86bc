"""DSpAST that gives each sound a place of its own: sound event localisation and detection (SELD).

The published heads hear one direction and one distance for all that sounds. Here the pooled readout looks at the
patches once for each sound that the model knows, each time with that sound's own weights, which all three branches
share: where a sound is found, there its direction and its distance are read. The same heads are asked of each: is it
there, how far, from where. Two sounds at once have two places.

An addition of this toolkit. Encoder, readouts and heads are those of `DSpASTForSoundEventLocalization`, whose weights
it begins with: at first every sound is where the recording is.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.layers.event_localization import EventLocalizationOutput
from spatial_audio_lm.models.dspast.configuration_dspast import BRANCHES, DSpASTConfig
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization
from spatial_audio_lm.models.dspast.told_sounds import told_sounds

PLACE = ("azimuth_deg", "elevation_deg", "distance_m")  # of data/binaural_scenes.py


@dataclass
class SELDOutput(ModelOutput):
    """Logits for each sound that the model knows.

    Args:
        loss: weighted sum of the losses, if labels were given.
        loss_components: each loss by name, before weighting.
        event_logits: `(batch, labels)`; a sigmoid of them is the probability.
        distance_logits: `(batch, labels, distance bins)`.
        azimuth_logits: `(batch, labels, azimuth bins)`.
        elevation_logits: `(batch, labels, elevation bins)`.
        is_spatial: as given, `(batch,)`.
        last_hidden_state: the encoder's tokens, `(batch, tokens, 3 * branch_dim)`.
        sound_tokens: what the heads read of each sound, `(batch, labels, 3 * branch_dim)`.
    """

    loss: Tensor | None = None
    loss_components: dict[str, Tensor] | None = None
    event_logits: Tensor | None = None
    distance_logits: Tensor | None = None
    azimuth_logits: Tensor | None = None
    elevation_logits: Tensor | None = None
    is_spatial: Tensor | None = None
    last_hidden_state: Tensor | None = None
    sound_tokens: Tensor | None = None


class SoundScores(nn.Linear):
    """How much each sound looks at a patch, of the patch's joined tokens; at first all look alike.

    Args:
        dim: width of the joined tokens.
        num_labels: how many sounds.
    """

    def __init__(self, dim: int, num_labels: int):
        super().__init__(dim, num_labels, bias=False)  # the softmax over time would take no notice of one

    def reset(self) -> None:
        """Zeros."""
        init.zeros_(self.weight)


class DSpASTForSELD(DSpASTForSoundEventLocalization):
    """What sounds, and of each sound how far and from where.

    Args:
        config: with `place_per_sound`.

    Raises:
        ConfigError: a configuration without it.
    """

    def __init__(self, config: DSpASTConfig):
        super().__init__(config)
        if not config.place_per_sound:
            raise ConfigError("place_per_sound is False: set it for a model that gives each sound a place")
        self.sound_scores = SoundScores(len(BRANCHES) * config.branch_dim, config.num_labels)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, SoundScores):
            module.reset()
        else:
            super()._init_weights(module)

    def readout_tokens(self, tokens: Tensor, input_features: Tensor) -> Tensor:
        """What the heads answer of the most probable sounds, as one token each (see told_sounds.py).

        Args:
            tokens: `last_hidden_state` of all branches, `(batch, tokens, 3 * branch_dim)`.
            input_features: what they were made of, `(batch, maps, frames, mels)`.

        Returns:
            `(batch, num_told_sounds, told_dim(config))`, the most probable sound first.
        """
        logits = self._logits(self._sounds(tokens, input_features))
        heads = ("azimuth", "elevation", "distance")
        probabilities = {head: self.class_scores(head, logits[head]).softmax(-1) for head in heads}
        return told_sounds(self.config, logits["event"], probabilities)

    def _sounds(self, tokens: Tensor, input_features: Tensor) -> Tensor:
        """What the heads read of each sound, `(batch, labels, 3 * branch_dim)`."""
        whole = self.clip_statistics and self.clip_statistics(input_features)
        count = self.config.num_cls_tokens
        scores = self.sound_scores(tokens[:, count:])
        parts = zip(BRANCHES, tokens.split(self.config.branch_dim, dim=-1), strict=True)
        return torch.cat([self.readouts[name](part, 0, count, whole, scores) for name, part in parts], dim=-1)

    def _logits(self, sounds: Tensor) -> dict[str, Tensor]:
        """Of each head, for each sound."""
        distance, direction, event = sounds.split(self.config.branch_dim, dim=-1)
        return {
            # Of the head for all sounds, to what is read of each its own row.
            "event": (self.event_norm(event) * self.event_head.weight).sum(-1) + self.event_head.bias,
            "distance": self.distance_head(distance),
            "azimuth": self.azimuth_head(direction),
            "elevation": self.elevation_head(direction),
        }

    def forward(  # type: ignore[override]
        self,
        input_features: Tensor,
        labels: dict[str, Tensor] | None = None,
        is_spatial: Tensor | None = None,
        **_: Any,
    ) -> SELDOutput:
        """Logits for each sound, and the loss if there are labels.

        Args:
            input_features: of `DSpASTFeatureExtractor`, `(batch, maps, frames, mels)`.
            labels: "events" `(batch, labels)`, 0 or 1, and "azimuth_deg", "elevation_deg", "distance_m", each
                `(batch, labels)`; places of sounds that are not there are not looked at.
            is_spatial: bool `(batch,)`; False where both ears hear the same: no angle loss.

        Raises:
            AudioValueError: features of another shape.
            DataError: labels that do not fit.
        """
        tokens = self.dspast(input_features).last_hidden_state
        sounds = self._sounds(tokens, input_features)
        logits = self._logits(sounds)
        loss, components = (None, None) if labels is None else self._losses(logits, labels, is_spatial)
        return SELDOutput(
            loss=loss,
            loss_components=components,
            **{f"{head}_logits": value for head, value in logits.items()},
            is_spatial=is_spatial,
            last_hidden_state=tokens,
            sound_tokens=sounds,
        )

    def _places(self, outputs: Any) -> list[list[dict[str, Any]]]:
        """Of each recording, the place of each of its events."""
        count = outputs.event_logits.shape[-1]
        heads = {
            name: outputs[name].flatten(0, 1) for name in ("distance_logits", "azimuth_logits", "elevation_logits")
        }
        spatial = None if outputs.is_spatial is None else outputs.is_spatial.repeat_interleave(count)
        rows = self._place_of_rows(
            EventLocalizationOutput(event_logits=outputs.event_logits.flatten(), is_spatial=spatial, **heads)
        )
        return [rows[first : first + count] for first in range(0, len(rows), count)]

    def _losses(
        self, logits: dict[str, Tensor], labels: dict[str, Tensor], is_spatial: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As of one place, over the sounds that are there."""
        expected = {"events", *PLACE}
        shapes = {name: tuple(value.shape) for name, value in labels.items()}
        if set(labels) != expected or set(shapes.values()) != {tuple(logits["event"].shape)}:
            raise DataError(f"labels has {shapes}; expected {sorted(expected)}, each {tuple(logits['event'].shape)}")
        there = labels["events"] > 0
        spatial = None if is_spatial is None else is_spatial[:, None].expand_as(there)[there]
        of_places = {name: labels[name][there] for name in PLACE}
        heard = {head: value[there] for head, value in logits.items() if head != "event"}
        total, losses = self.localization_losses(
            heard | {"event": logits["event"]}, of_places | {"events": labels["events"]}, spatial
        )
        return total, losses
