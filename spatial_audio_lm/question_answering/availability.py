"""Which questions can be heard: a file that is missing is named and counted, never passed over in silence."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spatial_audio_lm.data.list_entries import first_of
from spatial_audio_lm.errors import DataError
from spatial_audio_lm.question_answering.records import SpatialQuestion

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Availability:
    """Which questions can be heard.

    Attributes:
        present: those whose files are all there.
        missing: the files that are not, each once.
        left_out: number of questions that need one of them.
    """

    present: list[SpatialQuestion]
    missing: list[Path]
    left_out: int


def available_questions(
    questions: Sequence[SpatialQuestion],
    files_of: Callable[[SpatialQuestion], Sequence[Path]],
    skip_missing: bool = False,
) -> Availability:
    """Look for the file of every question before any is rendered.

    Args:
        questions: of one set.
        files_of: the files that a question needs: `SpatialSoundRenderer.files_of` or `SceneRecordings.files_of`.
        skip_missing: leave out questions without a file, with a warning, instead of refusing them all.

    Raises:
        DataError: files are missing, or with `skip_missing` no question is left; counts them and names the first.
    """
    known: dict[Path, bool] = {}
    present = []
    for question in questions:
        files = files_of(question)
        for path in files:
            if path not in known:
                known[path] = path.is_file()
        if all(known[path] for path in files):
            present.append(question)
    missing = sorted(path for path, there in known.items() if not there)
    left_out = len(questions) - len(present)
    if missing:
        message = (
            f"{left_out} of {len(questions)} questions need {len(missing)} files that are not there: "
            f"{first_of([str(path) for path in missing])}"
        )
        if not skip_missing or not present:
            raise DataError(f"{message}; copy them, or leave such questions out with skip_missing=True")
        log.warning("%s; such questions are left out", message)
    return Availability(present, missing, left_out)
