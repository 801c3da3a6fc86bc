"""Lines of JSON, and the number of the one that is none."""

from pathlib import Path

import pytest

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.files import read_json_lines


def test_every_line_is_read_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('\ufeff{"a": "x\u2028y"}\n[1]'.encode())  # a line ends where the file says so
    assert list(read_json_lines(path)) == [(1, {"a": "x\u2028y"}), (2, [1])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}\n{}\n{no", "rows.jsonl:3: the line is no JSON: Expecting property name .* at column 2"),
        (b"{}\n\n{}", "rows.jsonl:2: the line is no JSON"),
        (b"[" * 100_000, "rows.jsonl:1: the line is no JSON: it is nested too deep"),
        (b"\xff", "is no UTF-8 text"),
    ],
)
def test_what_is_no_json_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_json_lines(tmp_path / "rows.jsonl"))
    with pytest.raises(DataError, match="No such file"):
        list(read_json_lines(tmp_path / "none.jsonl"))
