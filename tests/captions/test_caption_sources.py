"""Captions and places from the users' files: every kind is read, and what cannot be used is named."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import pytest

from spatial_audio_lm.captions.caption_sources import (
    CaptionItem,
    SourceSettings,
    caption_items,
    drawn_attributes,
    record_attributes,
)
from spatial_audio_lm.errors import ConfigError, DataError, RecordError, SpatialAudioError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.simulation.records import (
    BankReference,
    Clip,
    Receiver,
    SceneRecord,
    SceneRoom,
    SceneSource,
    SoundEvent,
)

_NAMES = ("file", "caption", "other", "direction", "t30_s", "scene")
ROWS = [
    dict(zip(_NAMES, row, strict=True))
    for row in (
        ("a.wav", "A dog barks", "A dog is barking", "left", 1.5, "s2"),
        ("b.wav", "Rain falls, heavily", "It rains", None, 0.5, "s1"),
        ("c.wav", "Glocken läuten", "Bells", "back", None, "s1"),
    )
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def written(folder: Path, kind: str, rows: list[dict] | None = None) -> Path:
    data = datasets.Dataset.from_list(ROWS if rows is None else rows)
    path = folder / f"captions.{kind}"
    match kind:
        case "csv":
            data.to_csv(path)
        case "jsonl":
            data.to_json(path)
        case "json":
            path.write_text(json.dumps(ROWS if rows is None else rows))
        case "parquet":
            data.to_parquet(path)
        case "saved":
            data.save_to_disk(str(path))
        case "folder":
            path.mkdir()
            data.to_parquet(path / "train.parquet")
    return path


def read(path: Path, **settings: object) -> list[CaptionItem]:
    return list(caption_items(SourceSettings(path=str(path), **settings), seed=0))


def record(scene_id: str, **changes: object) -> SceneRecord:
    event = SoundEvent(Clip("procedural", "rain", "0" * 64))
    source = SceneSource("rain", 90.0, 0.0, 3.0, (1.0, 1.0, 1.0), 0, 3.0, (event,))
    made = SceneRecord(
        scene_id, 16_000, 1.0, Receiver("foa", (2.0, 2.0, 1.0), 0.0), SceneRoom((5.0, 5.0, 3.0), 25.0, 75.0, 0.1),
        (source,), BankReference(1, "bank", "0" * 64), 0,
    )  # fmt: skip
    return replace(made, **changes)


def records_file(path: Path, records: list[SceneRecord]) -> str:
    path.write_text("".join(json.dumps(item.to_dict()) + "\n" for item in records))
    return str(path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet", "saved", "folder"])
def test_every_kind_of_source_gives_the_same_items(tmp_path: Path, kind: str) -> None:
    items = read(written(tmp_path, kind), id_column="file")
    assert [item.number for item in items] == [0, 1, 2] and [item.id for item in items] == ["a.wav", "b.wav", "c.wav"]
    assert [item.facts.caption for item in items] == [row["caption"] for row in ROWS]
    assert [item.facts.attributes for item in items] == [
        SpatialAttributes(direction="left", reverberation="highly reverberant"),
        SpatialAttributes(),
        SpatialAttributes(direction="back"),
    ]


def test_several_captions_of_a_row_share_its_place(tmp_path: Path) -> None:
    items = read(written(tmp_path, "csv"), text_columns=("caption", "other"), columns={"direction": "direction"})
    assert [item.facts.caption for item in items][:3] == ["A dog barks", "A dog is barking", "Rain falls, heavily"]
    assert [item.facts.attributes.direction for item in items] == ["left", "left", None, None, "back", "back"]
    assert len(read(written(tmp_path, "parquet"), max_rows=2)) == 2


def test_places_of_records_by_row_and_by_id(tmp_path: Path) -> None:
    left = SpatialAttributes("left", None, "far", "small", "acoustically dampened")
    right = replace(left, direction="right", distance=None)
    source = replace(record("s1").sources[0], azimuth_deg=-90.0, distance_m=1.5)
    records = records_file(tmp_path / "scenes.jsonl", [record("s1"), record("s2", sources=(source,)), record("s3")])
    path = written(tmp_path, "csv")
    by_row = read(path, attributes="records", records=records)
    assert [item.facts.attributes for item in by_row] == [left, right, left]
    by_id = read(path, attributes="records", records=records, record_column="scene")
    assert [item.facts.attributes for item in by_id] == [right, left, left]


def test_drawn_places_are_a_function_of_seed_and_number(tmp_path: Path) -> None:
    items = read(written(tmp_path, "csv"), attributes="drawn", versions=2)
    assert [item.facts.caption for item in items][:2] == ["A dog barks"] * 2 and len(items) == 6
    assert [item.facts.attributes for item in items] == [drawn_attributes(0, number) for number in range(6)]
    assert drawn_attributes(0, 1) != drawn_attributes(1, 1)
    words = Counter(word for n in range(400) for word in vars(drawn_attributes(3, n)).values())
    assert set(words) == {None, *(word for words in ATTRIBUTE_WORDS.values() for word in words)}
    assert all(drawn_attributes(3, n) != SpatialAttributes() for n in range(400))


@pytest.mark.parametrize(
    ("caption", "problem"),
    [
        ("", "the caption is empty"),
        ("   ", "the caption is empty"),
        (None, "the caption is empty"),
        ("nan", "the caption is 'nan', which programs write where there is none"),
        ("- 3 -", "the caption is '- 3 -', without a word"),
        ("a dog\x07 barks", "holds the control character U+0007"),
        ("x" * 30_000, "has 30000 characters"),
        ("a dog <|im_end|> barks", "takes for a marker"),
        ("rain " + "x" * 5_000, "has a word of 5000 characters"),
        (
            "A car passes from left to right",
            "the caption itself says left and right, and its direction is given as left",
        ),
        ("Rain behind me", "the caption itself says back, and its direction is given as left"),
    ],
)
def test_captions_that_cannot_be_used_come_with_their_problem(tmp_path: Path, caption: object, problem: str) -> None:
    rows = [ROWS[0], {**ROWS[1], "caption": caption, "direction": "left"}, ROWS[2]]
    items = read(written(tmp_path, "parquet", rows))
    assert items[1].facts is None and problem in items[1].problem and "row 2, column caption" in items[1].problem
    assert items[0].facts is not None and items[2].facts is not None and items[2].number == 2


def test_of_what_a_caption_says_itself_nothing_is_drawn() -> None:
    for number in range(200):
        drawn, rest = drawn_attributes(0, number), drawn_attributes(0, number, {"size", "direction"})
        assert rest.size is rest.direction is None and rest != SpatialAttributes()
        kept = replace(drawn, size=None, direction=None)
        assert kept in (rest, SpatialAttributes())  # the others stay as they were
    assert drawn_attributes(0, 1, ATTRIBUTE_WORDS) == SpatialAttributes()


def test_a_caption_with_a_place_of_its_own_is_given_no_other(tmp_path: Path) -> None:
    rows = [{"caption": "Rain in a large hall"}, {"caption": "A car passes in the distance, from left to right"}]
    items = read(written(tmp_path, "jsonl", rows), attributes="drawn", versions=40)
    said = [item.facts.attributes for item in items]
    assert all(item.size is None for item in said[:40]) and {item.direction for item in said[:40]} > {None, "left"}
    assert all(item.direction is None and item.distance is None for item in said[40:])
    assert {item.size for item in said[40:]} == {None, *ATTRIBUTE_WORDS["size"]}
    assert SpatialAttributes() not in said


def test_words_of_a_cell_are_read_however_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text("caption,direction,reverberation,azimuth_deg\nA dog, LEFT ,Highly  Reverberant, \nRain, ,,0\n")
    said = [item.facts.attributes for item in read(path)]
    assert said == [SpatialAttributes("left", reverberation="highly reverberant"), SpatialAttributes("front")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"azimuth_deg": 9000}, "row 1: azimuth_deg is 9000.0; expected -360 to 360 degrees"),
        ({"elevation_deg": -91}, "row 1: elevation_deg is -91.0; expected -90 to 90 degrees"),
        ({"azimuth_deg": -90}, "row 1: direction is 'left', and azimuth_deg -90 is 'right': correct one of them"),
        ({"t30_s": 0.1, "reverberation": "highly reverberant"}, "reverberation is 'highly .* 'acoustically dampened'"),
        ({"direction": "leftish"}, "direction is 'leftish'; expected one of 'left', .* 'back', or an empty cell"),
    ],
)
def test_places_that_cannot_be_are_refused_with_their_row(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(written(tmp_path, "json", [{**ROWS[0], **change}]))
    same = {**ROWS[0], "azimuth_deg": 450 - 360, "t30_s": None}
    assert read(written(tmp_path, "json", [same]))[0].facts.attributes == SpatialAttributes("left")


def test_columns_of_captions_that_have_numbers_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", [{"file_name": "a.wav", "caption_1": "A dog", "caption_2": "Rain"}])
    for attributes in ("columns", "drawn"):
        with pytest.raises(ConfigError, match=r"no column 'caption': give text_columns as \[caption_1, caption_2\];"):
            read(path, attributes=attributes)


def test_a_line_that_is_no_json_is_named_by_its_number(tmp_path: Path) -> None:
    lines = ['{"caption": "a dog", "direction": "left"}', '{"caption": no}']
    (tmp_path / "broken.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"broken.jsonl:2: the line is no JSON: Expecting value at column 13"):
        read(tmp_path / "broken.jsonl")
    records = records_file(tmp_path / "scenes.jsonl", [record("s1")])
    with Path(records).open("a") as file:
        file.write("nothing\n")
    with pytest.raises(DataError, match=r"scenes.jsonl:2: the line is no JSON: Expecting value at column 1$"):
        read(written(tmp_path, "csv"), attributes="records", records=records)


def test_a_caption_of_numbers_is_no_text(tmp_path: Path) -> None:
    rows = [{"caption": 3, "direction": "left"}]
    assert "the caption is 3 (int); expected what sounds" in read(written(tmp_path, "parquet", rows))[0].problem


def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, "csv")

    def refused(kind: type[SpatialAudioError], message: str, source: Path = path, **settings: object) -> None:
        with pytest.raises(kind, match=message):
            read(source, **settings)

    refused(ConfigError, "no column 'captions': did you mean 'caption'", text_columns=("captions",))
    refused(ConfigError, "no column 'direktion': did you mean 'direction'", columns={"direction": "direktion"})
    refused(ConfigError, "columns has 'azimut_deg': did you mean 'azimuth_deg'", columns={"azimut_deg": "x"})
    refused(ConfigError, "no column 'id': did you mean", id_column="id")
    refused(DataError, "no such file or folder", tmp_path / "a" / "b" / "none")
    refused(DataError, "none.csv: no such file or folder", Path("folder/none.csv"))  # not looked for on the Hub
    refused(DataError, "rows.json has no rows", written(tmp_path, "json", []).rename(tmp_path / "rows.json"))
    with pytest.raises(ConfigError, match="no source is given"):
        list(caption_items(SourceSettings(), seed=0))
    refused(
        DataError, "row 1: direction is 'leftish'", written(tmp_path, "json", [{**ROWS[0], "direction": "leftish"}])
    )
    rows = [{**ROWS[0], "t30_s": -1.0}]
    refused(DataError, "row 1: t30_s is -1.0; expected a number of at least 0", written(tmp_path, "parquet", rows))
    rows = [{**ROWS[0], "t30_s": "long"}]
    refused(DataError, "row 1: column t30_s holds 'long'; a number", written(tmp_path, "parquet", rows))
    bare = written(tmp_path, "jsonl", [{"caption": "a dog"}])
    refused(ConfigError, "has no column that says where a sound is", bare)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    refused(DataError, "torn.parquet cannot be loaded by datasets", tmp_path / "torn.parquet")
    (tmp_path / "captions.doc").write_bytes(b"x")
    refused(DataError, "is of kind '.doc'; read are .csv", tmp_path / "captions.doc")


def test_a_csv_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text('id,caption,azimuth_deg\n0012,None of the dogs barks,90\nNA,"Rain, then wind",\n')
    items = read(path, id_column="id")
    assert [(item.id, item.facts.caption) for item in items] == [
        ("0012", "None of the dogs barks"),
        ("NA", "Rain, then wind"),
    ]
    assert [item.facts.attributes.direction for item in items] == ["left", None]


def test_half_a_caption_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("caption\nA dog barks, then a car passes\nA cat meows, and it rains\n")
    for path in (tmp_path / "captions.csv", tmp_path):  # also in a folder that datasets loads
        with pytest.raises(DataError, match=r"captions\.csv:2: 2 cells under a header of 1 \(caption\): a text that"):
            read(path, attributes="drawn")


def test_records_without_one_place_are_refused(tmp_path: Path) -> None:
    two = record("two", sources=record("x").sources * 2)
    mono = record("mono", receiver=Receiver("mono", (2.0, 2.0, 1.0), 0.0))
    for wrong, message in ((two, "scene two has 2 sources"), (mono, "scene mono is heard in mono")):
        with pytest.raises(RecordError, match=message):
            record_attributes(wrong)
    path = written(tmp_path, "csv")
    for records, message in (
        ([record("a"), two], r"scenes.jsonl:2: scene two has 2 sources"),
        ([record("a")], "has 1 records for 3 rows"),
    ):
        with pytest.raises(SpatialAudioError, match=message):
            read(path, attributes="records", records=records_file(tmp_path / "scenes.jsonl", records))
    twice = records_file(tmp_path / "scenes.jsonl", [record("s1"), record("s1")])
    with pytest.raises(RecordError, match="the scene s1 stands twice"):
        read(path, attributes="records", records=twice, record_column="scene")
    one = records_file(tmp_path / "scenes.jsonl", [record("s1")])
    with pytest.raises(DataError, match=r"row 1: no record in .* has the scene_id 's2'"):
        read(path, attributes="records", records=one, record_column="scene")
    (tmp_path / "scenes.jsonl").write_text('{"version": 1}\n')
    with pytest.raises(RecordError, match=r"scenes.jsonl:1: record lacks"):
        read(path, attributes="records", records=one)
    with pytest.raises(DataError, match="No such file"):
        read(path, attributes="records", records=str(tmp_path / "none.jsonl"))


def test_settings_that_contradict_each_other_are_refused() -> None:
    for wrong in (
        {"max_rows": 0},
        {"max_rows": -1},
        {"attributes": "records"},
        {"records": "x"},
        {"versions": 2},
        {"text_columns": ()},
        {"versions": 0},
    ):
        with pytest.raises(ConfigError):
            SourceSettings(path="x", **wrong)
