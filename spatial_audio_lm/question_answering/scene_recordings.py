"""The recordings that questions about scenes are asked of: files, or rendered from their records when needed."""

import json
from collections.abc import Iterable
from pathlib import Path

from spatial_audio_lm.data.list_entries import text_lines
from spatial_audio_lm.errors import DataError, RecordError
from spatial_audio_lm.files import write_whole
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import RirBank
from spatial_audio_lm.simulation.scenes import render_scene


def scenes_file(folder: str | Path, split: str) -> Path:
    """Where the records of a split lie in a folder that `recipes/make_spatial_qa.py` made."""
    return Path(folder) / "scenes" / f"{split}.jsonl"


def write_scenes(path: str | Path, scenes: Iterable[SceneRecord]) -> None:
    """Write records as JSON lines, whole or not at all."""
    lines = [json.dumps(scene.to_dict(), allow_nan=False) + "\n" for scene in scenes]
    write_whole(path, "".join(lines).encode("utf-8"))


def read_scenes(path: str | Path) -> list[SceneRecord]:
    """Records written by `write_scenes`.

    Raises:
        DataError: no such file, or nothing in it.
        RecordError: a line that is no record; names it.
    """
    scenes = []
    for number, line in enumerate(text_lines(Path(path)), 1):
        try:
            scenes.append(SceneRecord.from_dict(json.loads(line)))
        except ValueError as error:
            raise RecordError(f"{path}:{number}: {error}") from error
    if not scenes:
        raise DataError(f"{path} holds no scene")
    return scenes


class SceneRecordings:
    """Gives the recording of a question: `recordings(question)`.

    Args:
        folder: made by `recipes/make_spatial_qa.py`.
        split: "train" or "eval".
        bank: the rooms of the scenes; None takes the files below `folder/audio`.
        clip_folder: the dry clips, where scenes are rendered from files.

    Attributes:
        scenes: the records, in the order of their file.

    Raises:
        DataError, RecordError: see `read_scenes`; or two scenes with one id.
    """

    def __init__(
        self,
        folder: str | Path,
        split: str = "train",
        bank: RirBank | None = None,
        clip_folder: str | Path | None = None,
    ):
        self.folder = Path(folder)
        self.scenes = read_scenes(scenes_file(folder, split))
        self._number = {scene.scene_id: number for number, scene in enumerate(self.scenes)}
        if len(self._number) != len(self.scenes):
            raise RecordError(f"{scenes_file(folder, split)}: {len(self.scenes) - len(self._number)} ids stand twice")
        self._bank = bank
        self._clips = None if bank is None else ClipStore(clip_folder, bank.settings.sample_rate)

    def __call__(self, question: SpatialQuestion) -> SpatialAudio:
        """The recording of a question, all channels.

        Raises:
            RecordError: the question is about no scene of this set.
            DataError: its file is missing, and there is no bank to render it from.
        """
        return self.recording(self.number_of(question))

    def recording(self, number: int) -> SpatialAudio:
        """The recording of a scene by its number."""
        scene = self.scenes[number]
        if self._bank is not None and self._clips is not None:
            return render_scene(scene, self._bank, self._clips)
        path = self._path(scene.scene_id)
        if not path.is_file():
            raise DataError(f"{path}: no such recording; give the bank of the scenes to render it")
        return SpatialAudio.load(path, format=scene.receiver.format)

    def number_of(self, question: SpatialQuestion) -> int:
        """Which scene a question is about.

        Raises:
            RecordError: none of this set.
        """
        number = self._number.get(question.scene_id or "")
        if number is None:
            raise RecordError(
                f"question about {question.audio_id} names the scene {question.scene_id!r}, which is not among the "
                f"{len(self.scenes)} of {self.folder}"
            )
        return number

    def files_of(self, question: SpatialQuestion) -> list[Path]:
        """The files that a question needs; none where recordings are rendered."""
        scene = self.scenes[self.number_of(question)]
        return [] if self._bank is not None else [self._path(scene.scene_id)]

    def _path(self, scene_id: str) -> Path:
        return recording_file(self.folder, scene_id)


def recording_file(folder: str | Path, scene_id: str) -> Path:
    """Where the recording of a scene lies, if it was written."""
    return Path(folder) / f"{recording_id(scene_id)}.wav"


def recording_id(scene_id: str) -> str:
    """The `audio_id` of a scene's recording."""
    return f"audio/{scene_id}"
