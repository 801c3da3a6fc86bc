"""What a captioner is trained on: recordings, and captions of them, by the numbers of a training's order.

Two sets with one face: scenes of this toolkit, of which something true is written anew every time they are met, and a
user's data set whose captions stand in its columns, of which one is taken each time.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from spatial_audio_lm.data.labelled_clips import LabelledRecordings, dataset_recordings, folder_recordings
from spatial_audio_lm.data.scene_features import AsSound, FeaturePlan, scene_batch
from spatial_audio_lm.errors import ConfigError, DataError, SpatialAudioError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes, drop_attributes, spatial_attributes
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank
from spatial_audio_lm.training.data_order import ItemKey, item_generator
from spatial_audio_lm.training.heard_recordings import Recordings

_STREAM = 9  # first word of the seed of what is held out
log = logging.getLogger(__name__)


class CaptionSet(Protocol):
    """Items of a training: each is a recording, and what can be said of it."""

    @property
    def recordings(self) -> Recordings:
        """What is captioned, by the numbers of the items."""

    def __len__(self) -> int: ...

    def caption(self, item: int, epoch: int) -> str:
        """What is said of an item in an epoch."""


@dataclass(frozen=True)
class SceneSounds:
    """The sound of drawn scenes.

    Args:
        plan: which scenes; what it says of features is not asked for.
    """

    plan: FeaturePlan

    def __len__(self) -> int:
        return self.plan.num_scenes

    @cached_property
    def sound_plan(self) -> FeaturePlan:
        """The same scenes, kept as sound."""
        return replace(self.plan, extractor=AsSound())

    @cached_property
    def bank_settings(self) -> BankSettings:
        """Of the rooms, which say rate and format."""
        return RirBank(self.plan.bank_folder).settings

    def __call__(self, number: int) -> SpatialAudio:
        waveform = scene_batch(self.sound_plan, [number])["waveform"][0]
        settings = self.bank_settings
        return SpatialAudio.from_array(waveform, settings.sample_rate, format=settings.receiver_format)

    def digest(self) -> str:
        """That of everything that the scenes depend on."""
        return self.sound_plan.digest()


class SceneCaptions:
    """Scenes of one sound, each with a caption from templates that is true of it, another one in every epoch.

    Args:
        plan: the scenes.
        drop_rates: how often an attribute that is known is not said, by name; those that are not named are always
            said. The sound is always named.
        seed: of the captions.

    Raises:
        ConfigError: a rate of an attribute that there is not, or one that is no probability.
    """

    def __init__(self, plan: FeaturePlan, drop_rates: Mapping[str, float], seed: int):
        wrong = {name: rate for name, rate in drop_rates.items() if name not in ATTRIBUTE_WORDS or not 0 <= rate <= 1}
        if wrong:
            raise ConfigError(f"drop_rates has {wrong}; expected probabilities of {', '.join(ATTRIBUTE_WORDS)}")
        self.recordings = SceneSounds(plan)
        self.drop_rates, self.seed = dict(drop_rates), seed
        self._facts: dict[int, tuple[str, SpatialAttributes]] = {}

    def __len__(self) -> int:
        return len(self.recordings)

    def facts(self, item: int) -> tuple[str, SpatialAttributes]:
        """The class of the sound, and all words of place and room that are true of the scene; none of mono."""
        if item not in self._facts:
            record, is_mono = self.recordings.plan.record(item)
            source, room = record.sources[0], record.room
            attributes = SpatialAttributes()
            if not is_mono:
                place = source.azimuth_deg, source.elevation_deg, source.distance_m
                attributes = spatial_attributes(*place, room.floor_area_m2, room.t30_s)
            self._facts[item] = source.sound_class, attributes
        return self._facts[item]

    def caption(self, item: int, epoch: int) -> str:
        """A caption of the scene: a function of (seed, item, epoch)."""
        generator = item_generator(self.seed, ItemKey(epoch, item))
        sound, attributes = self.facts(item)
        return write_caption(sound, drop_attributes(attributes, generator, self.drop_rates), generator)


@dataclass(frozen=True)
class DataSetSounds:
    """The recordings of a user's data set, at the rate of an ear.

    Args:
        source: an audio folder with `metadata.csv`, or what `data.labelled_clips.dataset_recordings` takes.
        sample_rate: Hz; recordings at other rates are resampled, which is logged once.
        split: of a data set of `datasets`.
        format: of the recordings; one that is something else is refused.
    """

    source: str
    sample_rate: int
    split: str = "train"
    format: str = "foa"

    @cached_property
    def opened(self) -> LabelledRecordings:
        """Its rows, and what reads its sounds."""
        folder = Path(self.source)
        if (folder / "metadata.csv").is_file():
            return folder_recordings(folder, self.format)
        return dataset_recordings(self.source, self.split, self.format)

    def __len__(self) -> int:
        return len(self.opened.rows)

    def __call__(self, number: int) -> SpatialAudio:
        try:
            recording = self.opened.load(number)
        except SpatialAudioError as error:
            raise type(error)(
                f"recording {number} of {self.source}, which is declared as {self.format}: {error}"
            ) from error
        if recording.sample_rate != self.sample_rate and "told" not in self.__dict__:
            self.__dict__["told"] = True
            log.warning("recordings at %d Hz are resampled to %d Hz", recording.sample_rate, self.sample_rate)
        return recording.resample(self.sample_rate)

    def digest(self) -> str:
        """That of the rows, which name the files, and of how they are read."""
        parts = [self.opened.rows, self.sample_rate, self.split, self.format]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name not in ("opened", "told")}


class DataSetCaptions:
    """A user's recordings with their captions, of which one is drawn in every epoch.

    Args:
        sounds: the recordings.
        columns: that hold captions; an empty cell is no caption, but a recording needs one.
        seed: of the drawing.

    Raises:
        DataError: a column that is missing, or a recording without a caption.
    """

    def __init__(self, sounds: DataSetSounds, columns: Sequence[str], seed: int):
        self.recordings, self.seed = sounds, seed
        rows = sounds.opened.rows
        if not columns or (missing := [name for name in columns if rows and name not in rows[0]]):
            raise DataError(
                f"{sounds.source} lacks the columns {', '.join(missing) if columns else '(none was named)'}; it has "
                f"{', '.join(rows[0])}: name those that hold captions"
            )
        self._captions = [tuple(row[name] for name in columns if row[name].strip()) for row in rows]
        if without := [number for number, captions in enumerate(self._captions) if not captions]:
            raise DataError(
                f"recording {without[0]} of {sounds.source} has no caption in {', '.join(columns)}, and {len(without)} "
                "have none in all: give them one, or leave them out"
            )

    def __len__(self) -> int:
        return len(self._captions)

    def captions(self, item: int) -> tuple[str, ...]:
        """All of a recording."""
        return self._captions[item]

    def caption(self, item: int, epoch: int) -> str:
        """One of them: a function of (seed, item, epoch)."""
        generator = item_generator(self.seed, ItemKey(epoch, item))
        return self._captions[item][int(generator.integers(len(self._captions[item])))]


def held_out_recordings(count: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Items to train on, and items to validate with.

    Args:
        count: of all items.
        share: of them that is held out, at least one; 0: none.
        seed: draws them.

    Raises:
        ConfigError: nothing is left to train on.
    """
    number = 0 if share == 0 else max(1, round(share * count))
    if not 0 <= share < 1 or number >= count:
        raise ConfigError(f"a share of {share} of {count} recordings leaves none to train on")
    held_out = set(np.random.default_rng([_STREAM, seed]).choice(count, size=number, replace=False).tolist())
    return [item for item in range(count) if item not in held_out], sorted(held_out)
