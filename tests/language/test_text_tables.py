"""Tables as text: cells come as they stand, and a table that is not one is named by its line."""

from pathlib import Path

import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.text_tables import read_text_table


def rows(path: Path, content: bytes) -> list[list[str]]:
    path.write_bytes(content)
    return list(read_text_table(path))


def test_cells_are_the_text_that_stands_there(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfid,caption,\r\n0012,"Rain, \nthen ""wind""",\r\nNA,None,1e5\r\n\r\n\r\n'
    assert rows(tmp_path / "a.CSV", content) == [
        ["id", "caption", ""],
        ["0012", 'Rain, \nthen "wind"', ""],
        ["NA", "None", "1e5"],
    ]
    assert rows(tmp_path / "a.tsv", b"a\tb\nx, y\t\n") == [["a", "b"], ["x, y", ""]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"caption\nA dog, then rain\n", r":2: 2 cells under a header of 1 \(caption\): a text that"),
        ("a.csv", b"a,b\n\nx,y\n", r"a\.csv:2: 0 cells under a header of 2"),
        ("a.csv", b"file;caption\na.wav;A dog\n", "one column, 'file;caption': its cells stand between semicolons"),
        ("a.tsv", b"file,caption\na.wav,A dog\n", r"\.tsv is read with tabs"),
        ("a.csv", b"caption,caption\na,b\n", "has 2 columns called 'caption'"),
        ("a.csv", b"", "is empty: expected a line with the names of the columns"),
        ("a.csv", b"a,b\ncaf\xe9,b\n", "is no table in UTF-8"),
        ("a.csv", b'a,b\n"x" y,b\n', r"a\.csv:2: the table cannot be read"),
        ("a.csv", b'a,b\n"never closed,b\nx,y\n', r"a\.csv:3: the table cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(tmp_path / name, content)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv: no such file"):
        list(read_text_table(tmp_path / "gone.csv"))
