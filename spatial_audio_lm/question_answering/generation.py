"""Questions and answers from scene records: the answer is computed from the geometry, never given by a model.

All of SpatialSoundQA's kinds are made, for any receiver that hears directions, in wordings of the toolkit's own. What
is asked does not tell the answer: of yes and no, and of the two sides of an axis, the answer is drawn first and the
question is made to fit, so that a model that only reads does no better than chance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.language.question_types import question_type
from spatial_audio_lm.question_answering.question_makers import MAKERS
from spatial_audio_lm.question_answering.question_settings import QuestionSettings
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.question_answering.scene_facts import placed_sounds
from spatial_audio_lm.question_answering.scene_recordings import recording_id
from spatial_audio_lm.simulation.records import SceneRecord

_STREAM = 6  # first word of the seeds of questions


@dataclass(frozen=True)
class SceneQuestions:
    """Questions about many scenes; number k is a pure function of the settings, the scenes and (seed, k).

    `len(scenes) * per_scene` of them, scene by scene in turn: the first `len(scenes)` questions ask about one scene
    each. A training that wants another wording every time it meets a scene makes `per_scene` as large as it likes:
    nothing is kept.

    Args:
        scenes: what is asked about.
        settings: how.
        seed: 0 or more.
        per_scene: questions a scene.
    """

    scenes: Sequence[SceneRecord]
    settings: QuestionSettings = field(default_factory=QuestionSettings)
    seed: int = 0
    per_scene: int = 1

    def __post_init__(self) -> None:
        if not self.scenes or self.per_scene < 1 or self.seed < 0:
            raise ConfigError(
                f"{len(self.scenes)} scenes, per_scene {self.per_scene}, seed {self.seed}; expected at least one "
                "scene, one question each, and a seed of 0 or more"
            )

    def __len__(self) -> int:
        return len(self.scenes) * self.per_scene

    def __getitem__(self, index: int) -> SpatialQuestion:
        if not 0 <= index < len(self):
            raise IndexError(f"question {index} of {len(self)}")
        return self._question(index, None)

    def of_type(self, name: str, index: int) -> SpatialQuestion | None:
        """Question `index` if it is to be of one type; None where its scene does not allow that."""
        try:
            return self._question(index, name)
        except DataError:
            return None

    def scene_of(self, index: int) -> int:
        """Which scene a question is about."""
        return index % len(self.scenes)

    def __iter__(self) -> Iterator[SpatialQuestion]:
        return (self[index] for index in range(len(self)))

    def _question(self, index: int, name: str | None) -> SpatialQuestion:
        scene = self.scenes[self.scene_of(index)]
        generator = np.random.default_rng([_STREAM, self.seed, index])
        return question_about(scene, generator, self.settings, name, index)


def question_about(
    scene: SceneRecord,
    generator: np.random.Generator,
    settings: QuestionSettings | None = None,
    name: str | None = None,
    question_id: int = 0,
) -> SpatialQuestion:
    """One question about a scene.

    Args:
        scene: binaural or ambisonics, with one source or several.
        generator: draws type, sounds, answer and wording.
        settings: how.
        name: of the question type; None draws one that the scene allows.
        question_id: as it is.

    Raises:
        DataError: the scene does not allow such a question (too few sounds, or too close to compare).
        RecordError: the scene is mono or has no source.
        ConfigError: there is no such type.
    """
    settings = settings or QuestionSettings()
    sounds = placed_sounds(scene)
    draw = generator.random
    for kind in [question_type(name).name] if name else _in_random_order(settings.weights, generator):
        if made := MAKERS[kind](kind, sounds, settings, draw):
            question, answer = made
            return SpatialQuestion(
                audio_id=recording_id(scene.scene_id),
                question_type=kind,
                question=question,
                answer=answer,
                question_id=question_id,
                scene_id=scene.scene_id,
            )
    wanted = name or "none of the types that are asked for"
    raise DataError(f"scene {scene.scene_id} has {len(sounds)} sounds; {wanted} can be asked about it")


def _in_random_order(weights: dict[str, float], generator: np.random.Generator) -> list[str]:
    """Types by weighted drawing without replacement: the first of them that the scene allows has its fair share."""
    names = [name for name, weight in weights.items() if weight > 0]
    waiting = generator.exponential(size=len(names)) / np.array([weights[name] for name in names])
    return [names[index] for index in np.argsort(waiting)]
