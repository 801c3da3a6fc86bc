"""A user's copy of a captioned data set: a folder of sound files, and a table that says which caption belongs to which.

Clotho's table has a row a file and five columns of captions; AudioCaps' has a row a caption, and names a file by its
video: both are read here, and rows of one file become one clip.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial_audio_lm.data.list_entries import first_of, read_list, stays_inside
from spatial_audio_lm.errors import ConfigError, DataError, TextError
from spatial_audio_lm.files import read_json_lines
from spatial_audio_lm.language.caption_text import require_caption
from spatial_audio_lm.language.text_tables import DELIMITERS, read_text_table

_KINDS = (*DELIMITERS, ".json", ".jsonl", ".parquet")
_COLUMN = re.compile(r"\{([^{}]+)\}")


@dataclass
class CaptionedSource:
    """Where sounds and captions lie, and what the columns are called."""

    audio_folder: str | None = None  # none: sounds that are synthesised, to see that all runs
    captions: str | None = None  # a table: .csv, .tsv, .json, .jsonl or .parquet
    file_name: str = (
        "{file_name}"  # of a row's file below the folder, by its columns: "{file_name}", "{youtube_id}.wav"
    )
    caption_columns: tuple[str, ...] = ("caption",)  # Clotho: caption_1 to caption_5
    licence_column: str | None = None  # copied, and counted on the card

    def __post_init__(self) -> None:
        if (self.audio_folder is None) != (self.captions is None):
            raise ConfigError("audio_folder and captions belong together: give both, or none for synthesised sounds")
        if not self.caption_columns or not _COLUMN.search(self.file_name):
            raise ConfigError(
                f"caption_columns is {list(self.caption_columns)}, file_name {self.file_name!r}: expected one column "
                "of captions or more, and a file name made of columns, such as '{file_name}'"
            )


@dataclass(frozen=True)
class CaptionedClip:
    """A sound file by its path below the audio folder, and its captions in the table's order."""

    file_name: str
    captions: tuple[str, ...]
    licence: str = "not stated"


def read_captioned_clips(source: CaptionedSource) -> list[CaptionedClip]:
    """The clips of a table, in the order of their first rows.

    Raises:
        DataError: no such table or column, a cell that is no caption, a file name that leaves its folder, one file with
            two licences; names the row.
    """
    path = Path(source.captions or "")
    licence_columns = [source.licence_column] if source.licence_column else []
    wanted = [*_COLUMN.findall(source.file_name), *source.caption_columns, *licence_columns]
    captions: dict[str, list[str]] = {}
    licences: dict[str, str] = {}
    for number, row in enumerate(_rows(path), 1):
        where = f"{path}, row {number}"
        if missing := [name for name in wanted if name not in row]:
            raise DataError(f"{where} has no column {', '.join(missing)}; it has {', '.join(map(str, row))}")
        name = _COLUMN.sub(lambda found, row=row: str(row[found[1]]), source.file_name)  # type: ignore[misc]
        if not stays_inside(name):
            raise DataError(f"{where}: {name!r} is no path below {source.audio_folder}")
        for column in source.caption_columns:
            try:
                require_caption(row[column])
            except TextError as error:
                raise DataError(f"{where}, column {column}: {error}") from error
            captions.setdefault(name, []).append(" ".join(row[column].split()))
        licence = str(row[source.licence_column] or "not stated") if source.licence_column else "not stated"
        if licences.setdefault(name, licence) != licence:
            raise DataError(f"{where}: {name} has the licence {licence!r} here and {licences[name]!r} above")
    if not captions:
        raise DataError(f"{path} has no rows: there is nothing to place")
    return [CaptionedClip(name, tuple(said), licences[name]) for name, said in captions.items()]


def present_clips(
    clips: list[CaptionedClip], folder: str | Path, skip_missing: bool
) -> tuple[list[CaptionedClip], list[str]]:
    """Clips whose file is there, and the names of the others.

    Raises:
        DataError: files are missing and may not be, or all are.
    """
    root = Path(folder)
    missing = [clip.file_name for clip in clips if not (root / clip.file_name).is_file()]
    if missing and (not skip_missing or len(missing) == len(clips)):
        raise DataError(
            f"{folder} lacks {len(missing)} of the {len(clips)} files that the table names: {first_of(missing)}. Fetch "
            "them, correct audio_folder or file_name, or leave them out, named and counted, by skip_missing"
        )
    gone = set(missing)
    return [clip for clip in clips if clip.file_name not in gone], missing


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    suffix = path.suffix.lower()
    if suffix not in _KINDS:
        raise DataError(f"{path} is of kind {suffix or 'none'!r}; tables of captions are read from {', '.join(_KINDS)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if suffix in DELIMITERS:
        lines = read_text_table(path)
        header = next(lines)
        yield from (dict(zip(header, cells, strict=True)) for cells in lines)
    elif suffix == ".parquet":
        import pyarrow.parquet as pq  # here: the other tables need none of it

        try:
            for batch in pq.ParquetFile(path).iter_batches(1000):
                yield from batch.to_pylist()
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is no parquet table: {str(error).splitlines()[0]}") from error
    else:
        rows = read_list(path, "rows") if suffix == ".json" else (row for _, row in read_json_lines(path))
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise DataError(f"{path}, row {number} is {str(row)[:40]!r}; expected an object with columns")
            yield row
