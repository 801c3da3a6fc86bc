"""Binaural scenes from a cache of sound, mixed and changed anew in every epoch, as examples of a training.

Changes are made to the sound, before there are any features, so that they are what they would be in a room:

- **Two sources at two places** (`mixup="places"`): to the scene another one is added that was rendered in the same room
  by the same head, softer by up to `-second_level_db[0]` dB at the ears. Both events are there (label 1); distance and
  direction are those of the louder one, which is what one set of heads can answer, and `places` has those of each.
- **Two sources at one place** (`mixup="shared_rir"`, as published): a scene with the same impulse response is added in
  shares L and 1 - L, L from Beta(10, 10), and so are the labels of the events. For linear rooms this is the published
  mixture of dry sounds under one response.
- **Gain** by 0.5 + Beta(10, 10), as published.
- **Mirror**: the ears exchanged and the azimuth's sign with them; exact for a symmetric head in a symmetric room, and
  another head in another room otherwise.
- **Roll**: the scene begins at another moment and goes round, so that events fall everywhere among the patches. (The
  published code has one too, which rolls by 0.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spatial_audio_lm.data.scene_features import CLASS_INDEX, LABELS, SceneFeatures
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.signal.conventions import wrap_azimuth_deg

PLACE = ("azimuth_deg", "elevation_deg", "distance_m")


@dataclass(frozen=True)
class BinauralAugmentation:
    """What is done to the scenes of a batch; rates are probabilities a scene."""

    mixup: Literal["places", "shared_rir", "none"] = "places"
    mixup_rate: float = 0.5
    second_level_db: tuple[float, float] = (-12.0, 0.0)  # of the second source; for "places"
    gain: bool = True
    mirror: bool = True
    roll: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.mixup_rate <= 1 or not self.second_level_db[0] <= self.second_level_db[1] <= 0:
            raise ConfigError(
                f"mixup_rate {self.mixup_rate} and second_level_db {self.second_level_db}: a rate is in [0, 1], levels "
                "are a range up to 0 dB"
            )


class BinauralScenes:
    """Examples by number and random generator.

    Args:
        scenes: a cache that keeps sound (`AsSound`), one source a scene.
        sound_classes: ids of the classes, in the order of the model's labels.
        sources_per_room: of the bank that the scenes were rendered with.
        augmentation: what to do.
    """

    def __init__(
        self,
        scenes: SceneFeatures,
        sound_classes: Sequence[str],
        sources_per_room: int,
        augmentation: BinauralAugmentation,
    ):
        self.scenes, self.augmentation = scenes, augmentation
        self._label_of = {CLASS_INDEX[name]: label for label, name in enumerate(sound_classes)}
        place = scenes.column("rir_index").numpy()
        self._place = place
        group = place // sources_per_room if augmentation.mixup == "places" else place
        # A mono scene has one place only, between the ears: it is not mixed.
        spatial = scenes.column("is_spatial").numpy()
        members: dict[int, list[int]] = {}
        for item in np.flatnonzero(spatial):
            members.setdefault(int(group[item]), []).append(int(item))
        self._companions = {item: others for others in members.values() for item in others}

    def __len__(self) -> int:
        return len(self.scenes)

    def examples(self, items: Sequence[int], generators: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        """A batch.

        Args:
            items: numbers of scenes.
            generators: one a scene: what becomes of it does not depend on its neighbours.

        Returns:
            `waveform` `(batch, 2, time)`, `events` `(batch, labels)`, `azimuth_deg`, `elevation_deg`, `distance_m`
            and `is_spatial` `(batch,)`; and `places` `(batch, labels, 3)`: azimuth, elevation and distance of each
            event (of two of one name the louder's), NaN where it is not there.
        """
        settings = self.augmentation
        partners = [self._partner(item, generator) for item, generator in zip(items, generators, strict=True)]
        mixed, added_items = [], []
        for row, partner in enumerate(partners):
            if partner is not None:
                mixed.append(row)
                added_items.append(partner)
        batch = self.scenes[[*items, *added_items]]
        waveform, added = batch["waveform"][: len(items)].clone(), batch["waveform"][len(items) :]
        of_sources = torch.stack([batch["labels"][:, LABELS.index(name)] for name in PLACE], dim=1)
        events = torch.zeros(len(batch["sound_class"]), len(self._label_of))
        for row, index in enumerate(batch["sound_class"].tolist()):
            events[row, self._label_of[index]] = 1.0
        places = torch.where(events[:, :, None] > 0, of_sources[:, None], torch.nan)
        events, added_events = events[: len(items)], events[len(items) :]
        labels, places, added_places = of_sources[: len(items)], places[: len(items)], places[len(items) :]
        for number, row in enumerate(mixed):
            generator = generators[row]
            if settings.mixup == "places":
                level = 10 ** (generator.uniform(*settings.second_level_db) / 20)
                ratio = waveform[row].square().mean().sqrt() / added[number].square().mean().sqrt().clamp(min=1e-8)
                waveform[row] += level * ratio.clamp(max=1e4) * added[number]
                events[row] = torch.maximum(events[row], added_events[number])
            else:
                share = float(generator.beta(10, 10))
                waveform[row] = share * waveform[row] + (1 - share) * added[number]
                events[row] = share * events[row] + (1 - share) * added_events[number]
            places[row] = torch.where(places[row].isnan(), added_places[number], places[row])
        azimuth, elevation, distance = labels.clone().unbind(1)
        for row, generator in enumerate(generators):
            gain, mirror, roll = 0.5 + generator.beta(10, 10), generator.random() < 0.5, generator.random()
            if settings.gain:
                waveform[row] *= gain
            if settings.mirror and mirror:
                waveform[row] = waveform[row].flip(0)
                azimuth[row] = -azimuth[row]
                places[row, :, 0] = -places[row, :, 0]
            if settings.roll:
                waveform[row] = waveform[row].roll(int(roll * waveform.shape[-1]), dims=-1)
        places[..., 0] = wrap_azimuth_deg(places[..., 0])
        return {
            "waveform": waveform,
            "events": events,
            "azimuth_deg": wrap_azimuth_deg(azimuth),
            "elevation_deg": elevation,
            "distance_m": distance,
            "places": places,
            "is_spatial": batch["is_spatial"][: len(items)],
        }

    def _partner(self, item: int, generator: np.random.Generator) -> int | None:
        """Another scene to mix with; None for none."""
        settings = self.augmentation
        if settings.mixup == "none" or generator.random() >= settings.mixup_rate or item not in self._companions:
            return None
        others = self._companions[item]
        for _ in range(4):  # a scene from the same place is no second place; a few draws find another, if there is one
            other = others[generator.integers(len(others))]
            if other != item and (settings.mixup != "places" or self._place[other] != self._place[item]):
                return other
        return None
