"""What BAT is trained on: recordings, and questions about them, by the numbers of a training's order.

Two sets with one face: scenes of this toolkit, which are asked something else in other words every time they are met,
and SpatialSoundQA's files, whose questions are as they stand. A stage of the published curriculum takes some types of
questions alone. What is held out for validation is held out by recording: no question about it is trained on.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.files import sha256_of_file
from spatial_audio_lm.question_answering.availability import available_questions
from spatial_audio_lm.question_answering.generation import SceneQuestions
from spatial_audio_lm.question_answering.question_files import STAGES, training_file
from spatial_audio_lm.question_answering.question_settings import QuestionSettings
from spatial_audio_lm.question_answering.records import SpatialQuestion, read_questions
from spatial_audio_lm.question_answering.rendering import SpatialSoundRenderer
from spatial_audio_lm.question_answering.scene_recordings import SceneRecordings, scenes_file
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.rir_bank import RirBank
from spatial_audio_lm.training.heard_recordings import Recordings

_STREAM = 8  # first word of the seed of what is held out
_EPOCHS = 2**24  # for which there are other questions


class QuestionSet(Protocol):
    """Items of a training: each is one question at a time about one recording."""

    @property
    def recordings(self) -> Recordings:
        """What is asked about."""

    def __len__(self) -> int: ...

    def recording_of(self, item: int) -> int:
        """The number of an item's recording."""

    def question(self, item: int, epoch: int) -> SpatialQuestion:
        """What an item asks in an epoch."""


def types_of_stage(stage: int) -> tuple[str, ...]:
    """The types of question that a stage of the curriculum trains on: its own and those of the stages before.

    Raises:
        ConfigError: there is no such stage.
    """
    if stage not in STAGES:
        raise ConfigError(f"stage is {stage}; expected one of {', '.join(map(str, STAGES))}")
    return tuple(name for number, part in STAGES.items() if number <= stage for name in part.adds)


@dataclass(frozen=True)
class SceneSounds:
    """The recordings of a folder that `recipes/make_spatial_qa.py` made.

    Args:
        folder: the folder.
        split: "train" or "eval".
        bank: folder of the rooms, from which scenes are rendered; None takes the files below `folder/audio`.
        clip_folder: the dry clips of the scenes; None for synthesised ones alone.
    """

    folder: str
    split: str
    bank: str | None = None
    clip_folder: str | None = None

    @cached_property
    def scenes(self) -> SceneRecordings:
        """The records, and what renders them."""
        bank = None if self.bank is None else RirBank(self.bank)
        return SceneRecordings(self.folder, self.split, bank, self.clip_folder)

    def __len__(self) -> int:
        return len(self.scenes.scenes)

    def __call__(self, number: int) -> SpatialAudio:
        return self.scenes.recording(number)

    def digest(self) -> str:
        """That of the records, which say what is heard to the last bit."""
        return sha256_of_file(scenes_file(self.folder, self.split))

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "scenes"}  # read anew where it is used


class SceneQuestionSet:
    """Scenes, each asked something new in every epoch. Scenes that allow no question of the stage are left out.

    Args:
        sounds: the scenes.
        settings: how questions are drawn.
        stage: see `types_of_stage`.
        seed: of the questions.

    Raises:
        DataError: no scene allows a question of the stage.
        ConfigError: no type of the stage has a weight.
    """

    def __init__(self, sounds: SceneSounds, settings: QuestionSettings, stage: int, seed: int):
        weights = {name: settings.weights[name] for name in types_of_stage(stage) if settings.weights.get(name)}
        if not weights:
            raise ConfigError(f"no type of question of stage {stage} has a weight above 0")
        settings = replace(settings, weights=weights)
        self.recordings = sounds
        scenes = sounds.scenes.scenes
        self._questions = SceneQuestions(scenes, settings, seed, _EPOCHS)
        self._items = [number for number in range(len(scenes)) if self._allows(number)]
        if not self._items:
            raise DataError(f"none of the {len(scenes)} scenes of {sounds.folder} allows {', '.join(weights)}")

    def __len__(self) -> int:
        return len(self._items)

    def recording_of(self, item: int) -> int:
        """The number of an item's scene."""
        return self._items[item]

    def question(self, item: int, epoch: int) -> SpatialQuestion:
        """What an item asks in an epoch."""
        return self._questions[epoch % _EPOCHS * len(self._questions.scenes) + self._items[item]]

    def _allows(self, number: int) -> bool:
        try:
            self._questions[number]
        except DataError:
            return False
        return True


class PublishedSounds:
    """The recordings that SpatialSoundQA's questions are about, each once.

    Args:
        renderer: of the user's copy of SpatialSound.
        questions: about them.
    """

    def __init__(self, renderer: SpatialSoundRenderer, questions: Sequence[SpatialQuestion]):
        self.renderer = renderer
        numbers: dict[tuple[str | None, ...], int] = {}
        self._asked: list[SpatialQuestion] = []
        self.number_of: list[int] = []
        for question in questions:
            key = (question.audio_id, question.reverb_id, question.audio_id2, question.reverb_id2)
            if key not in numbers:
                numbers[key] = len(numbers)
                self._asked.append(question)
            self.number_of.append(numbers[key])
        self._keys = list(numbers)

    def __len__(self) -> int:
        return len(self._asked)

    def __call__(self, number: int) -> SpatialAudio:
        return self.renderer(self._asked[number])

    def digest(self) -> str:
        """That of the names of clips and responses, and of the length."""
        return hashlib.sha256(json.dumps([self._keys, self.renderer.duration_s]).encode()).hexdigest()


class PublishedQuestionSet:
    """The training questions of SpatialSoundQA up to a stage, as they stand; the same in every epoch.

    Args:
        folder: holds `closed-end`.
        renderer: of the user's copy of SpatialSound.
        stage: whose file is read; it holds the questions of the stages before too.
        skip_missing: leave out questions without a file, with a warning.

    Raises:
        DataError: files that are missing; see `available_questions`.
    """

    def __init__(self, folder: str | Path, renderer: SpatialSoundRenderer, stage: int, skip_missing: bool = False):
        found = available_questions(read_questions(training_file(folder, stage)), renderer.files_of, skip_missing)
        self._questions = found.present
        self.recordings = PublishedSounds(renderer, self._questions)

    def __len__(self) -> int:
        return len(self._questions)

    def recording_of(self, item: int) -> int:
        """The number of a question's recording."""
        return self.recordings.number_of[item]

    def question(self, item: int, epoch: int) -> SpatialQuestion:
        """The question; the epoch makes no difference."""
        return self._questions[item]


def held_out_items(questions: QuestionSet, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Items to train on and items to validate with, no recording among both.

    Args:
        questions: all of them.
        share: of the recordings that are held out, at least one; 0: none.
        seed: draws them.

    Raises:
        ConfigError: nothing is left to train on.
    """
    asked = sorted({questions.recording_of(item) for item in range(len(questions))})
    count = 0 if share == 0 else max(1, round(share * len(asked)))
    if not 0 <= share < 1 or count >= len(asked):
        raise ConfigError(f"a share of {share} of {len(asked)} recordings leaves none to train on")
    chosen = np.random.default_rng([_STREAM, seed]).choice(asked, size=count, replace=False)
    held_out = set(chosen.tolist())
    items = range(len(questions))
    return (
        [item for item in items if questions.recording_of(item) not in held_out],
        [item for item in items if questions.recording_of(item) in held_out],
    )
