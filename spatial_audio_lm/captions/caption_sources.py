"""Captions and what is known of their sounds' places, read from a data set: the input of a rewriting job.

Captions come from anything that `datasets` loads. Where the sounds are is said by columns beside them, by scene
records, or drawn by seed for captions of recordings that are yet to be placed.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spatial_audio_lm.captions.chat_formats import require_no_marker
from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.errors import ConfigError, DataError, RecordError, SpatialAudioError, TextError
from spatial_audio_lm.files import read_json_lines
from spatial_audio_lm.language.attributes import (
    ATTRIBUTE_WORDS,
    DROP_RATES,
    SpatialAttributes,
    drop_attributes,
    spatial_attributes,
)
from spatial_audio_lm.language.place_cues import find_cues
from spatial_audio_lm.language.text_tables import DELIMITERS, read_text_table
from spatial_audio_lm.simulation.records import SceneRecord

NUMBERS = ("azimuth_deg", "elevation_deg", "distance_m", "floor_area_m2", "t30_s")
_NUMBER_OF = dict(zip(ATTRIBUTE_WORDS, NUMBERS, strict=True))
_LOADERS = {".json": "json", ".jsonl": "json", ".parquet": "parquet"}
_ROWS_AT_ONCE = 1000
_SHOWN = 300  # characters of what datasets says


@dataclass(frozen=True)
class SourceSettings:
    """Where captions and places are.

    Attributes:
        path: a CSV, JSON, JSON lines or Parquet file, a folder that `datasets` loads or wrote, or a name on the Hub.
        split: of the data set.
        text_columns: of captions; several captions of one sound are each rewritten, with the same place.
        id_column: copied to the result, to find a caption's recording again.
        attributes: "columns" reads words or numbers beside the captions, "records" scene records, "drawn" draws words.
        columns: the name of a column by what it holds, an attribute (`direction` ...: its word) or a number
            (`azimuth_deg` ...). Empty: all that are called so.
        records: JSON lines of scene records, one source each.
        record_column: holds the `scene_id` of a caption's record; None: record k belongs to row k.
        versions: places that are drawn for each caption.
        max_rows: rows to read; None for all.
    """

    path: str = ""
    split: str = "train"
    text_columns: tuple[str, ...] = ("caption",)
    id_column: str | None = None
    attributes: Literal["columns", "records", "drawn"] = "columns"
    columns: dict[str, str] = field(default_factory=dict)
    records: str | None = None
    record_column: str | None = None
    versions: int = 1
    max_rows: int | None = None

    def __post_init__(self) -> None:
        if not self.text_columns:
            raise ConfigError("text_columns is empty; name at least one column of captions")
        if (self.records is not None) != (self.attributes == "records"):
            raise ConfigError(f"attributes is {self.attributes!r} and records is {self.records!r}; the two go together")
        if self.max_rows is not None and self.max_rows < 1:
            raise ConfigError(f"max_rows is {self.max_rows}; expected at least 1, or null for all")
        if self.versions < 1 or (self.versions > 1 and self.attributes != "drawn"):
            raise ConfigError(f"versions is {self.versions} with attributes {self.attributes!r}; above 1 only if drawn")
        if unknown := sorted(set(self.columns) - {*ATTRIBUTE_WORDS, *NUMBERS}):
            known = [*ATTRIBUTE_WORDS, *NUMBERS]
            raise ConfigError(f"columns has {unknown[0]!r}: did you mean {_near(unknown[0], known)!r}? {_list(known)}")


@dataclass(frozen=True)
class CaptionItem:
    """One caption to be rewritten, or why it cannot be.

    Attributes:
        number: of all captions of the source, in order; that of a left out one is not given to another.
        id: from `id_column`.
        facts: what is to be said; None where there is a `problem`.
        problem: why not.
    """

    number: int
    id: str | None
    facts: CaptionFacts | None
    problem: str | None = None


def caption_items(settings: SourceSettings, seed: int) -> Iterator[CaptionItem]:
    """All captions of a source, in order, row by row.

    A caption that is none (`require_caption`), holds a marker of a chat format, or says another place than is given,
    comes with its problem; a place that cannot be read ends the reading. What a caption says itself is not drawn.

    Args:
        settings: where they are.
        seed: of places that are drawn.

    Raises:
        ConfigError: no such column; the nearest is named.
        DataError: no such data set, no caption in it, or places that are none; names the row.
        RecordError: a scene record that is none, or has no place for one caption.
    """
    table = _open(settings)
    ids = [name for name in (settings.id_column, settings.record_column) if name]
    _require_columns(table.column_names, [*settings.text_columns, *ids], settings.text_columns)
    columns = _attribute_columns(settings, table.column_names)
    _require_columns(table.column_names, [*columns.values()])
    table = table.select_columns(sorted({*settings.text_columns, *ids, *columns.values()}))
    places = _Places(settings, columns, seed, len(table))
    number = 0
    for row_number, row in enumerate(_rows(table)):
        where = f"{settings.path}, row {row_number + 1}"
        identity = row[settings.id_column] if settings.id_column else None
        for column in settings.text_columns:
            for _ in range(settings.versions):
                attributes = places(row_number, number, row, where, row[column])
                name = None if identity in (None, "") else str(identity)
                yield _item(number, name, row[column], attributes, where, column)
                number += 1
    if number == 0:
        raise DataError(f"{settings.path} has no rows: there is nothing to rewrite")


def record_attributes(record: SceneRecord) -> SpatialAttributes:
    """The words of a record's only source and its room.

    Raises:
        RecordError: it has no source or several, or is heard in mono, where nothing is anywhere.
    """
    if len(record.sources) != 1:
        raise RecordError(
            f"scene {record.scene_id} has {len(record.sources)} sources; a caption with one place needs exactly one"
        )
    if record.receiver.format == "mono":
        raise RecordError(f"scene {record.scene_id} is heard in mono: its sound has no place that could be told")
    source, room = record.sources[0], record.room
    return spatial_attributes(
        source.azimuth_deg, source.elevation_deg, source.distance_m, room.floor_area_m2, room.t30_s
    )


def drawn_attributes(seed: int, number: int, own: Collection[str] = ()) -> SpatialAttributes:
    """Words drawn for a caption: a function of (seed, number). At least one is stated.

    Args:
        seed: of all captions.
        number: of this one.
        own: attributes that the caption speaks of itself; of them nothing is said.
    """
    generator = np.random.default_rng([seed, number, 3])
    drawn = {name: words[int(generator.integers(len(words)))] for name, words in ATTRIBUTE_WORDS.items()}
    said = drop_attributes(SpatialAttributes(**drawn), generator, DROP_RATES)
    said = replace(said, **dict.fromkeys(own))
    free = [name for name in ATTRIBUTE_WORDS if name not in own]
    return said if said != SpatialAttributes() or not free else replace(said, **{free[0]: drawn[free[0]]})


class _Places:
    """What is said of the place of a caption."""

    def __init__(self, settings: SourceSettings, columns: Mapping[str, str], seed: int, rows: int):
        self._settings, self._columns, self._seed = settings, columns, seed
        self._records: list[SpatialAttributes] = []
        self._by_id: dict[str, SpatialAttributes] = {}
        if settings.records is None:
            return
        for scene_id, attributes in _read_records(Path(settings.records)):
            if settings.record_column is None:
                self._records.append(attributes)
            elif self._by_id.setdefault(scene_id, attributes) is not attributes:
                raise RecordError(f"{settings.records}: the scene {scene_id} stands twice")
        if settings.record_column is None and len(self._records) < rows:
            raise DataError(
                f"{settings.records} has {len(self._records)} records for {rows} rows of {settings.path}: make as "
                "many, or name the column of their scene_id (record_column)"
            )

    def __call__(
        self, row_number: int, number: int, row: Mapping[str, Any], where: str, text: Any
    ) -> SpatialAttributes:
        if self._settings.attributes == "drawn":
            own = {cue.attribute for cue in find_cues(text)} if isinstance(text, str) else set()
            return drawn_attributes(self._seed, number, own)
        if self._settings.attributes == "columns":
            return _column_attributes(row, self._columns, where)
        if self._settings.record_column is None:
            return self._records[row_number]
        wanted = row[self._settings.record_column]
        if wanted not in self._by_id:
            raise DataError(f"{where}: no record in {self._settings.records} has the scene_id {wanted!r}")
        return self._by_id[wanted]


def _column_attributes(row: Mapping[str, Any], columns: Mapping[str, str], where: str) -> SpatialAttributes:
    given = {
        name: row[column] for name, column in columns.items() if row[column] is not None and str(row[column]).strip()
    }
    try:
        numbers = {name: _number(value, columns[name]) for name, value in given.items() if name in NUMBERS}
        from_numbers = spatial_attributes(**numbers)
        words = {name: _word(name, value, columns[name]) for name, value in given.items() if name in ATTRIBUTE_WORDS}
    except SpatialAudioError as error:
        raise DataError(f"{where}: {error}") from error
    for (name, word), number in ((item, _NUMBER_OF[item[0]]) for item in words.items()):
        if getattr(from_numbers, name) not in (None, word):
            raise DataError(
                f"{where}: {columns[name]} is {word!r}, and {columns[number]} {given[number]} is "
                f"{getattr(from_numbers, name)!r}: correct one of them"
            )
    return replace(from_numbers, **words)


def _word(name: str, value: Any, column: str) -> str:
    word = " ".join(str(value).lower().split())
    if word not in ATTRIBUTE_WORDS[name]:
        known = ", ".join(map(repr, ATTRIBUTE_WORDS[name]))
        raise DataError(f"{column} is {str(value)[:40]!r}; expected one of {known}, or an empty cell")
    return word


def _number(value: Any, column: str) -> float:
    try:
        return float(None if isinstance(value, bool) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"column {column} holds {str(value)[:40]!r}; a number is wanted") from error


def _item(
    number: int, identity: str | None, text: Any, attributes: SpatialAttributes, where: str, column: str
) -> CaptionItem:
    place = f"{where}, column {column}"
    try:
        facts = CaptionFacts(text, attributes)
        require_no_marker(text, "the caption")
        for name, words in facts.contradicted().items():
            given = getattr(attributes, name)
            raise TextError(
                f"the caption itself says {' and '.join(sorted(words))}, and its {name} is given as {given}"
            )
    except TextError as error:
        return CaptionItem(number, identity, None, f"{place}: {error}")
    return CaptionItem(number, identity, facts)


def _open(settings: SourceSettings) -> Any:
    import datasets  # here: the workers of a job, which read facts that were written down, need none of it

    path = Path(settings.path)
    if not settings.path:
        raise ConfigError("no source is given; set source.path to a file, a folder or a name on the Hub")
    suffix = path.suffix.lower()
    if not path.exists() and (suffix in (*DELIMITERS, *_LOADERS) or settings.path.strip("./").count("/") > 1):
        raise DataError(f"{path}: no such file or folder")
    if path.is_file() and suffix in DELIMITERS:
        return _some(_text_table(path), settings)
    if path.is_dir():  # datasets takes the first cell of a row that is too long for its name
        for file in sorted(path.rglob("*.csv")):
            for _ in read_text_table(file):
                pass
    try:
        if path.is_file():
            if suffix not in _LOADERS:
                kinds = ", ".join((*DELIMITERS, *_LOADERS))
                raise DataError(f"{path} is of kind {path.suffix or 'none'!r}; read are {kinds}")
            table = datasets.load_dataset(_LOADERS[suffix], data_files=str(path), split="train")
        elif (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
            loaded = datasets.load_from_disk(str(path))
            table = loaded[settings.split] if isinstance(loaded, dict) else loaded
        else:
            table = datasets.load_dataset(settings.path, split=settings.split)
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetGenerationError) as error:
        if isinstance(error, SpatialAudioError):
            raise
        if suffix == ".jsonl":  # the readers below say another line, or none
            for _ in read_json_lines(path):
                pass
        if "corresponds to no data" in str(error):  # datasets' words for a table without a row
            raise DataError(f"{settings.path} has no rows: there is nothing to rewrite") from error
        # The first words are often general ones, and what is wrong stands below.
        reason = " ".join(str(error.__cause__ or error).split()) or "no reason given"
        raise DataError(f"{settings.path} cannot be loaded by datasets: {reason[:_SHOWN]}") from error
    return _some(table, settings)


def _some(table: Any, settings: SourceSettings) -> Any:
    return table if settings.max_rows is None else table.select(range(min(settings.max_rows, len(table))))


def _text_table(path: Path) -> Any:
    import datasets

    lines = read_text_table(path)
    header = next(lines)
    columns: list[list[str]] = [[] for _ in header]
    for cells in lines:
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell)
    return datasets.Dataset.from_dict(dict(zip(header, columns, strict=True)))


def _rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.iter(batch_size=_ROWS_AT_ONCE):
        names = list(batch)
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(names, values, strict=True))


def _attribute_columns(settings: SourceSettings, present: list[str]) -> dict[str, str]:
    if settings.attributes != "columns":
        return {}
    if settings.columns:
        return settings.columns
    found = {name: name for name in (*ATTRIBUTE_WORDS, *NUMBERS) if name in present}
    if not found:
        raise ConfigError(
            f"{settings.path} has no column that says where a sound is: expected some of "
            f"{', '.join((*ATTRIBUTE_WORDS, *NUMBERS))}, it has {', '.join(present)}. Name them (source.columns), give "
            "records, or let places be drawn (source.attributes)"
        )
    return found


def _require_columns(present: list[str], wanted: list[str], captions: Sequence[str] = ()) -> None:
    for name in wanted:
        if name in present:
            continue
        several = [other for other in present if re.fullmatch(rf"{re.escape(name)}_?\d+", other)]
        hint = f"did you mean {_near(name, present)!r}?"
        if name in captions and several:
            hint = f"give text_columns as [{_list(several)}];"
        raise ConfigError(f"no column {name!r}: {hint} there are {_list(present)}")


def _read_records(path: Path) -> Iterator[tuple[str, SpatialAttributes]]:
    for number, document in read_json_lines(path):
        try:
            record = SceneRecord.from_dict(document)
            found = record.scene_id, record_attributes(record)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{path}:{number}: {error}") from error
        yield found


def _near(name: str, known: list[str]) -> str:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]


def _list(names: list[str]) -> str:
    return ", ".join(names)
