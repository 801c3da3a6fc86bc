"""Labelled recordings with all their channels: an audio folder, any source of `datasets`, or synthesised ones.

A row is a dictionary of texts: `class` (several classes parted by ";"), `azimuth_deg` and `elevation_deg` (0 = front,
positive = left and up), `fold`, and whatever else the source has. `datasets` itself would average channels, so its
sounds are taken undecoded and read here.
"""

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spatial_audio_lm.data.clip_folders import read_metadata
from spatial_audio_lm.data.list_entries import stays_inside
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.signal.ambisonics import encode_foa
from spatial_audio_lm.signal.conventions import direction_of, unit_vector
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.sounds import SOUND_KINDS, synthesize

PARTING = ";"  # between the classes of one clip
SYNTHESISED_S = 2.0


@dataclass(frozen=True)
class LabelledRecordings:
    """Rows of labels, and the recording of each, read when it is asked for.

    Attributes:
        rows: one dictionary a recording; all have the same keys.
        load: gives the recording of a row's number.
        name: for messages and tables.
    """

    rows: Sequence[dict[str, str]]
    load: Callable[[int], SpatialAudio]
    name: str

    def column(self, name: str) -> list[str]:
        """One column.

        Raises:
            DataError: there is none of this name.
        """
        if name not in self.rows[0]:
            raise DataError(f"{self.name} has no column {name}; it has {', '.join(self.rows[0])}")
        return [row[name] for row in self.rows]

    def chosen(self, name: str, values: Collection[str]) -> "LabelledRecordings":
        """Those with one of the values in a column; the others are not even read.

        Raises:
            DataError: there is no such column, or a value that no recording has.
        """
        column = self.column(name)
        if unknown := [value for value in values if value not in column] or (["none"] if not values else []):
            raise DataError(f"{self.name}: {name} {', '.join(unknown)} asked for; there are {sorted(set(column))}")
        kept = [index for index, value in enumerate(column) if value in values]
        return LabelledRecordings([self.rows[i] for i in kept], lambda index: self.load(kept[index]), self.name)


def folder_recordings(folder: str | Path, format: str | None = None) -> LabelledRecordings:
    """An audio folder with `metadata.csv` (see `read_metadata`).

    Args:
        folder: holds it and the files.
        format: of the files, where the number of channels does not tell it (see `SpatialAudio.load`).

    Raises:
        DataError: what `read_metadata` refuses, or a file that is not there or leaves the folder.
    """
    root = Path(folder).absolute()
    rows = read_metadata(folder)
    for name in (row["file_name"] for row in rows):
        if not stays_inside(name) or not (root / name).is_file():
            raise DataError(f"{folder}/metadata.csv names {name}: no such file in the folder")
    return LabelledRecordings(
        rows, lambda index: SpatialAudio.load(root / rows[index]["file_name"], format=format), root.name
    )


def dataset_recordings(source: str, split: str = "train", format: str | None = None) -> LabelledRecordings:
    """A data set of `datasets`, with the channels of its column `audio` whole.

    Args:
        source: a folder written by `save_to_disk`, or what `load_dataset` takes: a folder, or a name on the Hub.
        split: of it.
        format: of the sounds, as in `folder_recordings`.

    Raises:
        DataError: it cannot be loaded, is empty, or has no column `audio` of sounds.
    """
    import datasets

    try:
        saved = (Path(source) / "dataset_info.json").is_file()
        data = datasets.load_from_disk(source) if saved else datasets.load_dataset(source, split=split)
    except Exception as error:  # datasets raises all kinds
        raise DataError(f"the data set {source} (split {split}) cannot be loaded: {error}") from error
    if not isinstance(data.features.get("audio"), datasets.Audio) or not len(data):
        raise DataError(f"{source} has {len(data)} rows of {', '.join(data.features)}; expected some, and audio")
    undecoded = data.cast_column("audio", datasets.Audio(decode=False))
    labels = data.remove_columns("audio")
    rows = [{name: _text(labels.features[name], value) for name, value in row.items()} for row in labels]

    def load(index: int) -> SpatialAudio:
        sound = undecoded[index]["audio"]
        if sound["bytes"] is None:
            return SpatialAudio.load(sound["path"], format=format)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"row_{index}{Path(sound['path'] or '.wav').suffix}"
            path.write_bytes(sound["bytes"])
            return SpatialAudio.load(path, format=format)

    return LabelledRecordings(rows, load, Path(source).name)


def synthesised_recordings(
    per_kind: int, num_folds: int, sample_rate: int, first_seed: int, num_kinds: int | None = None
) -> LabelledRecordings:
    """Synthesised sounds of two seconds as plane waves in ambisonics, from directions all over the sphere.

    Args:
        per_kind: sounds of each kind.
        num_folds: the sounds of a kind go to the folds "1", "2", ... in turn.
        sample_rate: Hz.
        first_seed: of the sounds, which also draw the directions.
        num_kinds: the first kinds alone; None: all.
    """
    if min(per_kind, num_folds) < 1 or (num_kinds is not None and not 2 <= num_kinds <= len(SOUND_KINDS)):
        raise ConfigError(
            f"per_kind {per_kind}, num_folds {num_folds}, num_kinds {num_kinds}; expected 1 or more, and 2 to "
            f"{len(SOUND_KINDS)} kinds"
        )
    rows = []
    for number, kind in enumerate(SOUND_KINDS[:num_kinds]):
        for turn in range(per_kind):
            rng = np.random.default_rng((first_seed, number, turn))
            azimuth, elevation = direction_of(rng.standard_normal(3))  # no direction is likelier than another
            row = {"class": kind, "azimuth_deg": f"{azimuth:.3f}", "elevation_deg": f"{elevation:.3f}"}
            rows.append(row | {"fold": str(turn % num_folds + 1), "seed": str(first_seed + turn)})

    def load(index: int) -> SpatialAudio:
        row = rows[index]
        sound = synthesize(row["class"], int(row["seed"]), sample_rate, SYNTHESISED_S)
        waves = encode_foa(sound, float(row["azimuth_deg"]), float(row["elevation_deg"]))
        return SpatialAudio(waves, sample_rate, "foa")

    return LabelledRecordings(rows, load, "synthesised sounds")


def targets_of(recordings: LabelledRecordings, kind: str, column: str = "class") -> tuple[Tensor, list[str]]:
    """What is to be learned, and the names of the classes.

    Args:
        recordings: labelled.
        kind: "multiclass", "multilabel" or "direction".
        column: of the classes; a direction is read from `azimuth_deg` and `elevation_deg`.

    Returns:
        Class numbers `(clips,)` int64; or 0 and 1 `(clips, classes)` float32; or unit vectors `(clips, 3)` float32
        (x front, y left, z up) without names.

    Raises:
        ConfigError: another kind.
        DataError: a missing column, an angle that is no number, or only one class.
    """
    if kind == "direction":
        angles = []
        for name in ("azimuth_deg", "elevation_deg"):
            texts = recordings.column(name)
            try:
                angles.append(np.array([float(text) for text in texts]))
            except ValueError as error:
                raise DataError(f"{recordings.name}: {name} must be numbers in degrees: {error}") from error
            if not np.isfinite(angles[-1]).all():
                raise DataError(f"{recordings.name}: {name} has a value that is not finite; leave the clip out")
        return torch.from_numpy(unit_vector(*angles)).float(), []
    if kind not in ("multiclass", "multilabel"):
        raise ConfigError(f"the task is {kind!r}; expected multiclass, multilabel or direction")
    texts = recordings.column(column)
    several = [[part.strip() for part in text.split(PARTING) if part.strip()] for text in texts]
    labels = several if kind == "multilabel" else [[text] for text in texts]
    names = sorted({name for row in labels for name in row})
    if len(names) < 2:
        raise DataError(f"{recordings.name}: the column {column} has {len(names)} classes; expected 2 or more")
    number = {name: index for index, name in enumerate(names)}
    if kind == "multiclass":
        return torch.tensor([number[row[0]] for row in labels]), names
    table = torch.zeros(len(labels), len(names))
    for index, row in enumerate(labels):
        table[index, [number[name] for name in row]] = 1.0
    return table, names


def _text(feature: Any, value: Any) -> str:
    """A cell as the text that it would be in `metadata.csv`; numbers of classes by their names."""
    if isinstance(value, list):
        inner = getattr(feature, "feature", None)
        return PARTING.join(_text(inner, item) for item in value)
    return feature.int2str(value) if hasattr(feature, "int2str") and isinstance(value, int) else str(value)
