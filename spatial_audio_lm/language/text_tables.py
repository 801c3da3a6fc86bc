"""Tables as text (CSV, TSV): every row is as long as the header, and every cell is the text that stands there.

Readers that guess take "0012" for a number and "None" for nothing, and a row with a comma too many for one whose first
cell is its name: a caption would lose its first half without a word.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from spatial_audio_lm.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_OTHERS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}


def read_text_table(path: Path) -> Iterator[list[str]]:
    """The header of a table, then its rows. The file's suffix says what stands between the cells.

    Raises:
        DataError: no such file, no UTF-8, no header, a name that stands twice in it, or a row that is longer or
            shorter; names the line.
    """
    delimiter = DELIMITERS[path.suffix.lower()]
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            _require_header(path, header, delimiter)
            yield header
            blank = 0
            for cells in reader:
                if not cells:  # at the end of a file a blank line is no row
                    blank = blank or reader.line_num
                    continue
                if blank or len(cells) != len(header):
                    line, count = (blank, 0) if blank else (reader.line_num, len(cells))
                    raise DataError(
                        f"{path}:{line}: {count} cells under a header of {len(header)} ({', '.join(header)}): a text "
                        f"that holds {_OTHERS[delimiter]} or line breaks has to stand in double quotes"
                    )
                yield cells
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is no table in UTF-8: {error}; save it as UTF-8") from error
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: the table cannot be read: {error}") from error


def _require_header(path: Path, header: list[str], delimiter: str) -> None:
    if not header:
        raise DataError(f"{path} is empty: expected a line with the names of the columns, then rows")
    if twice := [name for name in header if name and header.count(name) > 1]:
        raise DataError(f"{path} has {header.count(twice[0])} columns called {twice[0]!r}: give each a name of its own")
    other = next((mark for mark in _OTHERS if mark != delimiter and mark in header[0]), None)
    if len(header) == 1 and other is not None:
        raise DataError(
            f"{path} has one column, {header[0]!r}: its cells stand between {_OTHERS[other]}, and {path.suffix} is "
            f"read with {_OTHERS[delimiter]}; save it with those"
        )
