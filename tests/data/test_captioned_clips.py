"""Tables of captions in every kind of file, and what is refused, by row."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatial_audio_lm.data.captioned_clips import CaptionedClip, CaptionedSource, present_clips, read_captioned_clips
from spatial_audio_lm.errors import ConfigError, DataError

ROWS = [
    {"id": "a", "first": "None barks", "second": "A dog,  barking", "licence": "CC0"},
    {"id": "b", "first": "Rain", "second": "Wind \u2013 strong", "licence": ""},
    {"id": "a", "first": "It barks", "second": "A bark", "licence": "CC0"},
]
SOURCE = {"file_name": "x/{id}.wav", "caption_columns": ("first", "second"), "licence_column": "licence"}


def write(path: Path, rows: list[dict]) -> CaptionedSource:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    else:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows))
    return CaptionedSource(str(path.parent), str(path), **SOURCE)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_rows_of_one_file_are_one_clip(tmp_path: Path, suffix: str) -> None:
    assert read_captioned_clips(write(tmp_path / f"t.{suffix}", ROWS)) == [
        CaptionedClip("x/a.wav", ("None barks", "A dog, barking", "It barks", "A bark"), "CC0"),
        CaptionedClip("x/b.wav", ("Rain", "Wind \u2013 strong"), "not stated"),
    ]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"second": " "}, "row 1, column second: the caption is empty; expected what sounds"),
        ({"second": 5}, r"row 1, column second: the caption is 5 \(int\); expected what sounds"),
        ({"second": "42"}, "row 1, column second: the caption is '42', without a word"),
        ({"second": "nan"}, "row 1, column second: the caption is 'nan', which programs write"),
        ({"id": "../a"}, r"row 1: 'x/\.\./a\.wav' is no path below"),
        ({"licence": "CC-BY"}, r"row 3: x/a\.wav has the licence 'CC0' here and 'CC-BY' above"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_captioned_clips(write(tmp_path / "t.jsonl", [ROWS[0] | change, *ROWS[1:]]))


def test_tables_and_settings_that_are_none(tmp_path: Path) -> None:
    lacking = [{name: value for name, value in ROWS[0].items() if name != "second"}]
    with pytest.raises(DataError, match="row 1 has no column second; it has id, first, licence"):
        read_captioned_clips(write(tmp_path / "t.csv", lacking))
    (tmp_path / "t.csv").write_text("id,first,second,licence\na,b\n")
    with pytest.raises(DataError, match=r"t\.csv:2: 2 cells under a header of 4"):
        read_captioned_clips(CaptionedSource(str(tmp_path), str(tmp_path / "t.csv"), **SOURCE))
    for name, content, message in (
        (
            "t.jsonl",
            b'{"id": "a", "first": "A", "second": "B", "licence": ""}\n{no',
            r"t\.jsonl:2: the line is no JSON: .*column 2",
        ),
        ("t.parquet", b"no", "is no parquet table"),
        ("t.csv", b"id,first,second,licence\n\xff,a,b,c\n", "is no table in UTF-8"),
        ("t.txt", b"", "is of kind '.txt'; tables of captions are read from .csv"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_captioned_clips(CaptionedSource(str(tmp_path), str(tmp_path / name), **SOURCE))
    with pytest.raises(DataError, match="no such file"):
        read_captioned_clips(CaptionedSource(str(tmp_path), str(tmp_path / "gone.csv"), **SOURCE))
    with pytest.raises(ConfigError, match="a file name made of columns"):
        CaptionedSource(file_name="a.wav")


def test_missing_files_are_an_error_or_named(tmp_path: Path) -> None:
    clips = [CaptionedClip("a.wav", ("A",)), CaptionedClip("b.wav", ("B",))]
    with pytest.raises(DataError, match=r"lacks 2 of the 2 files that the table names: a\.wav, b\.wav"):
        present_clips(clips, tmp_path, skip_missing=True)  # all of them: the folder is wrong
    (tmp_path / "b.wav").touch()
    with pytest.raises(DataError, match=r"lacks 1 of the 2 .* by skip_missing"):
        present_clips(clips, tmp_path, skip_missing=False)
    assert present_clips(clips, tmp_path, skip_missing=True) == (clips[1:], ["a.wav"])
