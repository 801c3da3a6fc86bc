"""Dry mono clips for scenes: folders with a `metadata.csv` (ESC-10's layout), and synthesised kinds.

`metadata.csv` has a header and at least `file_name` (relative to the folder) and `class`; `fold` and `licence` are used
when asked for. The format is the audio folder of `datasets`, so `load_dataset("audiofolder")` reads it too.
"""

import csv
import hashlib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from spatial_audio_lm.data.clip_headers import first_of
from spatial_audio_lm.errors import DataError, SpatialAudioError
from spatial_audio_lm.files import write_whole
from spatial_audio_lm.language.vocabulary import sound_class
from spatial_audio_lm.simulation.clips import file_clip, procedural_clip
from spatial_audio_lm.simulation.records import Clip
from spatial_audio_lm.simulation.sounds import SOUND_KINDS


@dataclass(frozen=True)
class LabelledClip:
    """A dry clip and the id of what it sounds like (see `language.vocabulary`)."""

    clip: Clip
    sound_class: str


def read_metadata(folder: str | Path) -> list[dict[str, str]]:
    """The rows of a folder's `metadata.csv`.

    Raises:
        DataError: no such file, a missing column, or a row with more or fewer cells than the header; names the line.
    """
    path = Path(folder) / "metadata.csv"
    if not path.is_file():
        raise DataError(f"{folder} has no metadata.csv: a clip folder needs one with the columns file_name and class")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        if missing := {"file_name", "class"} - set(header):
            raise DataError(f"{path} lacks the column {', '.join(sorted(missing))}; it has {', '.join(header)}")
        rows = []
        for cells in reader:
            if len(cells) != len(header):
                raise DataError(f"{path}:{reader.line_num}: {len(cells)} cells under a header of {len(header)}")
            rows.append(dict(zip(header, cells, strict=True)))
    if not rows:
        raise DataError(f"{path} has a header and no rows")
    return rows


def write_metadata(folder: str | Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes `metadata.csv`, whole or not at all; write it last, so that a folder which has one is complete.

    Args:
        folder: of the files.
        rows: all with the same keys, among them file_name and class.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(Path(folder) / "metadata.csv", text.getvalue().encode())


def folder_clips(
    folder: str | Path, folds: Collection[str] | None = None, licences: Collection[str] | None = None
) -> list[LabelledClip]:
    """Clips of a folder, each cut to the part that sounds.

    Args:
        folder: holds `metadata.csv`.
        folds: values of the column `fold` to take; None takes all.
        licences: values of the column `licence` to take; None takes all.

    Raises:
        DataError: no clip is left, a class is not in the vocabulary, or the column asked for is missing.
    """
    rows = read_metadata(folder)
    for column, wanted in (("fold", folds), ("licence", licences)):
        if wanted is not None:
            if column not in rows[0]:
                raise DataError(
                    f"{folder}/metadata.csv has no column {column}, which is to be in {sorted(wanted)}: "
                    "add the column, or do not choose by it"
                )
            rows = [row for row in rows if row[column] in wanted]
    if not rows:
        raise DataError(f"{folder}: no clip with folds {folds} and licences {licences}")
    found, failed = [], []
    for row in rows:
        kind = sound_class(row["class"]).id
        try:
            found.append(LabelledClip(file_clip(folder, row["file_name"]), kind))
        except SpatialAudioError as error:
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise DataError(
            f"{folder}: {len(failed)} of {len(rows)} clips cannot be used: {first_of(list(map(str, failed)))}"
        )
    return found


def procedural_clips(kinds: Collection[str], seeds: Collection[int], sample_rate: int) -> list[LabelledClip]:
    """Synthesised clips: every kind with every seed."""
    return [LabelledClip(procedural_clip(kind, seed, sample_rate), kind) for kind in kinds for seed in seeds]


def training_clips(
    folder: str | None,
    folds: Collection[str] | None,
    licences: Collection[str] | None,
    procedural_seeds: int,
    procedural_share: float,
    sample_rate: int,
) -> tuple[list[LabelledClip], dict[str, float]]:
    """Synthesised and recorded clips, and how often each class is to be drawn.

    Args:
        folder: of recorded clips; None for synthesised ones alone.
        folds: see `folder_clips`.
        licences: see `folder_clips`.
        procedural_seeds: synthesised clips a kind: seeds 0 to n - 1.
        procedural_share: of the drawings, where there is a folder too; classes of one source share evenly.
        sample_rate: Hz of the synthesised ones.
    """
    kinds = SOUND_KINDS if procedural_share > 0 else ()
    clips = procedural_clips(kinds, range(procedural_seeds), sample_rate)
    weights = {item.sound_class: procedural_share / len(SOUND_KINDS) for item in clips}
    if folder is not None:
        recorded = folder_clips(folder, folds, licences)
        names = {item.sound_class for item in recorded}
        for name in names:
            weights[name] = weights.get(name, 0.0) + (1 - procedural_share) / len(names)
        clips += recorded
    return clips, weights


def clips_digest(clips: list[LabelledClip]) -> str:
    """One digest over a list of clips: what a cache of scenes made from them depends on."""
    return hashlib.sha256(json.dumps([asdict(item) for item in clips], sort_keys=True).encode()).hexdigest()
