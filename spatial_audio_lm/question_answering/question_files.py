"""SpatialSoundQA's folder of questions: three stages, each with one file to train on and some to measure on.

    closed-end/stage1-clsdoa/train.json     A and B;  eval-stage1-classification.json, eval-stage1-doa.json
    closed-end/stage2-single/train.json     A to D;   eval-stage2-classification.json, eval-stage2-doa.json
    closed-end/stage3-mixup/train.json      all;      eval-stage3-direction.json, -distance.json, -nonbinary.json

Training files hold those of the stages before them too: who trains in a single stage needs the last one alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.question_answering.records import SpatialQuestion, read_questions, write_questions

QUESTIONS_FOLDER = "closed-end"
LAST_STAGE = 3


@dataclass(frozen=True)
class Stage:
    """A stage of the curriculum: its folder, what its training adds, and its files of evaluation."""

    folder: str
    evaluation: dict[str, tuple[str, ...]]

    @property
    def adds(self) -> tuple[str, ...]:
        """The question types that its training has beyond that of the stage before."""
        return tuple(name for names in self.evaluation.values() for name in names)


STAGES: dict[int, Stage] = {
    1: Stage(
        "stage1-clsdoa",
        {"eval-stage1-classification": ("CLASSIFICATION",), "eval-stage1-doa": ("DOA",)},
    ),
    2: Stage(
        "stage2-single",
        {
            "eval-stage2-classification": ("MIXUP_SINGLE_CLASSIFICATION",),
            "eval-stage2-doa": ("MIXUP_SINGLE_DOA",),
        },
    ),
    3: Stage(
        "stage3-mixup",
        {
            "eval-stage3-direction": ("MIXUP_DIRECTION",),
            "eval-stage3-distance": ("MIXUP_DISTANCE_BOTH",),
            "eval-stage3-nonbinary": (
                "MIXUP_NONBINARY_DIRECTION",
                "MIXUP_NONBINARY_DISTANCE",
                "MIXUP_NONBINARY_SOURCE",
            ),
        },
    ),
}


def training_file(folder: str | Path, stage: int = LAST_STAGE) -> Path:
    """The file of the questions that a stage trains on.

    Raises:
        ConfigError: there is no such stage.
    """
    if stage not in STAGES:
        raise ConfigError(f"stage is {stage}; expected one of {', '.join(map(str, STAGES))}")
    return Path(folder) / QUESTIONS_FOLDER / STAGES[stage].folder / "train.json"


def evaluation_files(folder: str | Path) -> dict[Path, tuple[str, ...]]:
    """The files of the questions that are measured on, and the types of question in each."""
    return {
        Path(folder) / QUESTIONS_FOLDER / stage.folder / f"{name}.json": types
        for stage in STAGES.values()
        for name, types in stage.evaluation.items()
    }


def read_evaluation_questions(folder: str | Path) -> list[SpatialQuestion]:
    """The questions of all files of evaluation that are there.

    Raises:
        DataError: there is none.
        RecordError: see `read_questions`.
    """
    found = [path for path in evaluation_files(folder) if path.is_file()]
    if not found:
        names = ", ".join(path.name for path in evaluation_files(folder))
        raise DataError(f"{folder}/{QUESTIONS_FOLDER} has no file of evaluation; expected some of {names}")
    return [question for path in found for question in read_questions(path)]


def write_training_questions(folder: str | Path, questions: Sequence[SpatialQuestion]) -> list[Path]:
    """Write the training files of all stages; a stage without a question gets none. Returns what was written."""
    written, wanted = [], set()
    for number, stage in STAGES.items():
        wanted |= set(stage.adds)
        chosen = [question for question in questions if question.question_type in wanted]
        if chosen:
            write_questions(training_file(folder, number), chosen)
            written.append(training_file(folder, number))
    return written


def write_evaluation_questions(folder: str | Path, questions: Sequence[SpatialQuestion]) -> list[Path]:
    """Write the files of evaluation; one without a question is not made. Returns what was written."""
    written = []
    for path, types in evaluation_files(folder).items():
        chosen = [question for question in questions if question.question_type in types]
        if chosen:
            write_questions(path, chosen)
            written.append(path)
    return written
