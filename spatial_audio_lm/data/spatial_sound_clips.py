"""The clips of the SpatialSound data set (BAT, SpatialAST): a list of AudioSet's clips, their labels and weights.

What is read, as the authors lay it out (https://huggingface.co/datasets/zhisheng01/SpatialAudio):

- a list of clips, `[{"folder": ..., "id": ..., "label": [mid, ...]}, ...]`, with the sound in `<folder>/<id>.wav`;
- the table of labels, CSV with the columns `mid` and `display_name`: a label's number is its row (the column `index`
  still counts AudioSet's 527);
- weights of the clips, one number a line in the order of the list.

Everything that can be known without decoding a sound is checked here, before a training begins.
"""

import csv
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.data.list_entries import (
    finite_number,
    first_of,
    read_list,
    require_keys,
    stays_inside,
    text_lines,
)
from spatial_audio_lm.errors import DataError

_MAX_ID_CHARACTERS = 200


@dataclass(frozen=True, eq=False)
class ClipTable:
    """The clips of a list, in arrays: as Python objects two million of them would not fit into every worker.

    Args:
        folders: where clips lie.
        folder_of: `(clips,)`, which folder.
        ids: `(clips,)`, file names without their suffix.
        rows: `(clips,)`, places in the list; differs from counting where missing clips were left out.
        label_starts: `(clips + 1,)`, where the labels of each clip begin in
        label_indices: the numbers of the labels of one clip after the other.
        num_listed: entries of the list.
    """

    folders: tuple[Path, ...]
    folder_of: NDArray[np.int32]
    ids: NDArray[np.str_]
    rows: NDArray[np.int64]
    label_starts: NDArray[np.int64]
    label_indices: NDArray[np.int32]
    num_listed: int

    def __len__(self) -> int:
        return len(self.rows)

    def path(self, index: int) -> Path:
        """The sound file of a clip."""
        return self.folders[self.folder_of[index]] / f"{self.ids[index]}.wav"

    def labels(self, index: int) -> NDArray[np.int32]:
        """The numbers of a clip's labels, each once."""
        return self.label_indices[self.label_starts[index] : self.label_starts[index + 1]]


def read_event_labels(path: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """The table of labels.

    Returns:
        The number of each mid, and the names (`display_name`) in the order of these numbers.

    Raises:
        DataError: no such file, a missing column, a row of another length, a mid that stands there twice.
    """
    try:
        rows = [row for row in csv.reader(text_lines(path), strict=True) if row]
    except csv.Error as error:
        raise DataError(f"{path} is no CSV: {error}") from error
    header = rows[0] if rows else []
    if missing := {"mid", "display_name"} - set(header):
        raise DataError(f"{path} lacks the column {', '.join(sorted(missing))}; it has {', '.join(header) or 'none'}")
    numbers: dict[str, int] = {}
    names = []
    for number, cells in enumerate(rows[1:]):
        if len(cells) != len(header):
            raise DataError(f"{path}: row {number} has {len(cells)} cells under a header of {len(header)}")
        mid, name = cells[header.index("mid")], cells[header.index("display_name")]
        if mid in numbers:
            raise DataError(f"{path}: {mid} stands in row {numbers[mid]} and in row {number}; remove one of them")
        numbers[mid] = number
        names.append(name)
    if not names:
        raise DataError(f"{path} has a header and no rows")
    return numbers, tuple(names)


def read_clips(path: Path, sounds: Path, label_numbers: Mapping[str, int], skip_missing: bool = False) -> ClipTable:
    """The list of clips, each with an existing file and known labels.

    A folder `a/b/c` that is not there is looked for as `a/audio`, as DSpAST reads the unbalanced clips.

    Args:
        path: the JSON.
        sounds: what its folders are relative to.
        label_numbers: from `read_event_labels`.
        skip_missing: leave out clips without a file instead of refusing the list.

    Raises:
        DataError: no such file, another layout, unknown labels (the published code ends with a KeyError when it draws
            such a clip), or clips without a file.
    """
    entries = read_list(path, "clips, each with folder, id and label")
    folders: dict[str, tuple[int, Path, set[str]]] = {}
    folder_of, ids, rows, counts, indices = [], [], [], [], []
    unknown: Counter[str] = Counter()
    missing: list[Path] = []
    for row, entry in enumerate(entries):
        folder, clip_id, mids = _clip_entry(entry, f"{path}: entry {row}")
        if folder not in folders:
            place = _folder_of_sounds(sounds, folder)
            folders[folder] = (len(folders), place, set(os.listdir(place)) if place.is_dir() else set())
        number, place, files = folders[folder]
        strange = [mid for mid in mids if mid not in label_numbers]
        unknown.update(strange)
        if f"{clip_id}.wav" not in files:
            missing.append(place / f"{clip_id}.wav")
        elif not strange:
            labels = sorted({label_numbers[mid] for mid in mids})
            folder_of.append(number)
            ids.append(clip_id)
            rows.append(row)
            counts.append(len(labels))
            indices += labels
    if unknown:
        raise DataError(
            f"{path} has {len(unknown)} labels that are not among the {len(label_numbers)} of the table: "
            f"{first_of(sorted(unknown))}; take the table the list was made for, or take them out of the list"
        )
    if missing and not (skip_missing and rows):
        raise DataError(
            f"{path}: {len(missing)} of {len(entries)} clips have no file, the first is {missing[0]}: unpack the "
            "archive of the sounds (that of the unbalanced clips is not distributed), or leave such clips out with "
            "skip_missing_clips=True, which needs at least one that is there"
        )
    return ClipTable(
        tuple(place for _, place, _ in folders.values()),
        np.array(folder_of, np.int32),
        np.array(ids, np.str_),
        np.array(rows, np.int64),
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        np.array(indices, np.int32),
        len(entries),
    )


def read_weights(path: Path, num_listed: int) -> NDArray[np.float64]:
    """Weights of the clips of a list, `(num_listed,)`.

    Raises:
        DataError: no such file, something that is no number of at least 0, or not one number an entry of the list.
    """
    weights = []
    for line, text in enumerate(text_lines(path), start=1):
        if text.strip():
            weights.append(finite_number(text, f"{path}:{line}"))
            if weights[-1] < 0:
                raise DataError(f"{path}:{line}: the weight {weights[-1]:g}; expected 0 or more")
    if len(weights) != num_listed:
        raise DataError(
            f"{path} has {len(weights)} weights for a list of {num_listed} clips; expected one line a clip, in the "
            "order of the list: take the weights that belong to it"
        )
    return np.array(weights)


def _clip_entry(entry: Any, where: str) -> tuple[str, str, list[str]]:
    require_keys(entry, ("folder", "id", "label"), where)
    folder, clip_id, mids = entry["folder"], entry["id"], entry["label"]
    if not stays_inside(folder):
        raise DataError(f"{where}: folder is {folder!r}; expected a folder below that of the sounds")
    if not stays_inside(clip_id) or "/" in clip_id or len(clip_id) > _MAX_ID_CHARACTERS:
        raise DataError(f"{where}: id is {str(clip_id)[:_MAX_ID_CHARACTERS]!r}; expected a file name without suffix")
    if not isinstance(mids, list) or not mids or not all(isinstance(mid, str) for mid in mids):
        raise DataError(f"{where}: label is {mids!r}; expected a list of one or more mids, as ['/m/09x0r']")
    return folder, clip_id, mids


def _folder_of_sounds(sounds: Path, folder: str) -> Path:
    parts = PurePosixPath(folder).parts
    if len(parts) >= 3 and not (sounds / folder).is_dir():
        return sounds / parts[0] / "audio"
    return sounds / folder
