"""`SpatialQuestion` and the files it lies in: SpatialSoundQA's layout, read strictly and written alike.

A file is a JSON object `{"data": [...]}`, or JSON lines (`.jsonl`), one object a question:

    audio_id, reverb_id      clip below the clip folder, without suffix; response "<house>/<n>.npy"
    audio_id2, reverb_id2    those of a second source; null for one
    question_id, question_type, question, answer

`question_id` is not unique in the published files, and is not used as a key. Questions that this toolkit makes have
one more field: `scene_id` says that `audio_id` is the recording of a whole scene, with all its channels, and not a dry
clip; both `reverb_id`s are null then.

Source: zhisheng01/SpatialAudio (BAT, arXiv 2402.01591), as X-LANCE/SLAM-LLM reads it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatial_audio_lm.data.list_entries import read_list, require_keys, stays_inside, text_lines
from spatial_audio_lm.errors import ConfigError, RecordError
from spatial_audio_lm.files import write_json
from spatial_audio_lm.language.question_types import QuestionType, question_type

_NEEDED = ("audio_id", "question_type", "question", "answer")
_PATHS = ("audio_id", "reverb_id", "audio_id2", "reverb_id2")


@dataclass(frozen=True, slots=True)
class SpatialQuestion:
    """A question about a recording, and its answer.

    Attributes:
        audio_id: the first source's clip, or the recording of a scene; a relative path without suffix.
        question_type: one of `language.question_types.QUESTION_TYPES`.
        question: in words.
        answer: in the grammar of `language.answers`.
        reverb_id: the response that the first clip is heard through; None for none.
        audio_id2, reverb_id2: those of a second source; None for none.
        question_id: of the file, not unique.
        scene_id: of the scene whose recording `audio_id` is; None for clips and responses.

    Raises:
        RecordError: an empty text, a path that leaves its folder, or parts that do not belong together.
        ConfigError: there is no such question type.
    """

    audio_id: str
    question_type: str
    question: str
    answer: str
    reverb_id: str | None = None
    audio_id2: str | None = None
    reverb_id2: str | None = None
    question_id: int | str = 0
    scene_id: str | None = None

    def __post_init__(self) -> None:
        question_type(self.question_type)
        for name in ("question", "answer"):
            if not isinstance(text := getattr(self, name), str) or not text.strip():
                raise RecordError(f"{name} is {text!r}; expected a text that is not empty")
        for name in _PATHS:
            path = getattr(self, name)
            if not (stays_inside(path) or (path is None and name != "audio_id")):
                raise RecordError(f"{name} is {path!r}; expected a relative path that stays in its folder")
        if self.reverb_id2 is not None and self.audio_id2 is None:
            raise RecordError(f"reverb_id2 is {self.reverb_id2!r} without audio_id2: a response needs a clip")
        if self.scene_id is not None and (self.reverb_id or self.audio_id2):
            raise RecordError("scene_id stands for a whole recording: reverb_id, audio_id2 and reverb_id2 must be null")

    @property
    def kind(self) -> QuestionType:
        """What kind of question it is."""
        return question_type(self.question_type)

    def to_dict(self) -> dict[str, Any]:
        """As the files have it; `scene_id` only where there is one."""
        values = asdict(self)
        if self.scene_id is None:
            del values["scene_id"]
        return values


def read_questions(path: str | Path) -> list[SpatialQuestion]:
    """The questions of a file, in its order.

    A field of a second source or of a response may be null, empty or missing, which is all the same. Keys that are
    not known are passed over: the published files of different stages differ in them.

    Raises:
        DataError: no such file, no valid JSON, another layout, or no question in it.
        RecordError: an entry that is no question; names the file and the entry.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        entries = [_json_line(line, f"{path}:{number}") for number, line in enumerate(text_lines(path), 1) if line]
        if not entries:
            raise RecordError(f"{path} holds no question; expected one JSON object a line")
    else:
        entries = read_list(path, "questions", key="data")
    return [_question(entry, f"{path}: question {row}") for row, entry in enumerate(entries)]


def write_questions(path: str | Path, questions: Iterable[SpatialQuestion]) -> None:
    """Write a file of questions, whole or not at all.

    Raises:
        RecordError: there are none: such a file could not be read.
    """
    data = [question.to_dict() for question in questions]
    if not data:
        raise RecordError(f"{path}: no question to write")
    write_json(path, {"data": data}, indent=None)


def letters_of(questions: Sequence[SpatialQuestion]) -> dict[str, int]:
    """How many questions there are of each of the five types."""
    counts = dict.fromkeys("ABCDE", 0)
    for question in questions:
        counts[question.kind.letter] += 1
    return counts


def _json_line(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise RecordError(f"{where} is no JSON: {error}") from error


def _question(entry: Any, where: str) -> SpatialQuestion:
    require_keys(entry, _NEEDED, where)
    optional: dict[str, Any] = {name: entry.get(name) or None for name in (*_PATHS[1:], "scene_id")}
    identifier = entry.get("question_id", 0)
    if not isinstance(identifier, int | str):
        raise RecordError(f"{where}: question_id is {identifier!r}; expected a number or a text")
    try:
        return SpatialQuestion(**{name: entry[name] for name in _NEEDED}, **optional, question_id=identifier)
    except (RecordError, ConfigError) as error:
        raise RecordError(f"{where}: {error}") from error
