import json
from pathlib import Path
from typing import Any

import pytest

from spatial_audio_lm.errors import ConfigError, DataError, RecordError, SpatialAudioError
from spatial_audio_lm.question_answering.question_files import (
    STAGES,
    evaluation_files,
    read_evaluation_questions,
    training_file,
    write_evaluation_questions,
    write_training_questions,
)
from spatial_audio_lm.question_answering.records import SpatialQuestion, letters_of, read_questions, write_questions

PUBLISHED: dict[str, Any] = {
    "audio_id": "eval/audio/Y0",
    "reverb_id": "house/0.npy",
    "audio_id2": None,
    "reverb_id2": None,
    "question_id": 3,
    "question_type": "DOA",
    "question": "Where?",
    "answer": "left, front, above; 2.5m",
}
TWO = PUBLISHED | {"audio_id2": "eval/audio/Y1", "reverb_id2": "house/1.npy", "question_type": "MIXUP_DIRECTION"}


def written(folder: Path, *entries: Any, name: str = "eval.json") -> Path:
    path = folder / name
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    else:
        path.write_text(json.dumps({"data": list(entries)}))
    return path


@pytest.mark.parametrize("name", ["eval.json", "eval.jsonl"])
def test_the_published_layouts_are_read(tmp_path: Path, name: str) -> None:
    one, two = read_questions(written(tmp_path, PUBLISHED, TWO, name=name))
    assert one.to_dict() == PUBLISHED and two.to_dict() == TWO
    assert one.kind.letter == "B" and one.audio_id2 is None and two.reverb_id2 == "house/1.npy"
    assert letters_of([one, two, two]) == {"A": 0, "B": 1, "C": 0, "D": 0, "E": 2}


@pytest.mark.parametrize("nothing", [None, "", "left out"])
def test_null_empty_and_missing_are_the_same(tmp_path: Path, nothing: str | None) -> None:
    entry = {name: value for name, value in PUBLISHED.items() if name not in ("audio_id2", "reverb_id2")}
    if nothing != "left out":
        entry |= {"audio_id2": nothing, "reverb_id2": nothing}
    (question,) = read_questions(written(tmp_path, entry | {"of_another_version": 1}))
    assert question.audio_id2 is None and question.reverb_id2 is None
    assert question.to_dict() == PUBLISHED


def test_question_ids_need_not_be_unique_nor_numbers(tmp_path: Path) -> None:
    questions = read_questions(written(tmp_path, PUBLISHED, PUBLISHED, PUBLISHED | {"question_id": "a"}))
    assert [question.question_id for question in questions] == [3, 3, "a"]


def test_questions_are_written_as_they_are_read(tmp_path: Path) -> None:
    questions = read_questions(written(tmp_path, PUBLISHED, TWO))
    questions.append(SpatialQuestion("audio/s-0", "CLASSIFICATION", "What?", "bell", scene_id="s-0"))
    write_questions(tmp_path / "again.json", questions)
    assert read_questions(tmp_path / "again.json") == questions
    data = json.loads((tmp_path / "again.json").read_text())["data"]
    assert data[:2] == [PUBLISHED, TWO] and data[2]["scene_id"] == "s-0" and data[2]["reverb_id"] is None
    with pytest.raises(RecordError, match="no question to write"):
        write_questions(tmp_path / "none.json", [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question_type": "DOO"}, "no question type is called 'DOO'; the nearest is DOA"),
        ({"question_type": None}, "no question type is called 'None'"),
        ({"question": " "}, "question is ' '; expected a text"),
        ({"answer": None}, "answer is None; expected a text"),
        ({"answer": 3}, "answer is 3; expected a text"),
        ({"audio_id": "../eval/Y0"}, "audio_id is .* stays in its folder"),
        ({"audio_id": ""}, "audio_id is '' .*|audio_id is ''; expected a relative path"),
        ({"audio_id": None}, "audio_id is None; expected a relative path"),
        ({"reverb_id": "/etc/passwd"}, "reverb_id is '/etc/passwd'"),
        ({"reverb_id": 7}, "reverb_id is 7"),
        ({"reverb_id2": "house/1.npy"}, "reverb_id2 is 'house/1.npy' without audio_id2"),
        ({"scene_id": "s"}, "scene_id stands for a whole recording"),
        ({"question_id": [1]}, "question_id is .* expected a number or a text"),
    ],
)
def test_a_broken_entry_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = written(tmp_path, PUBLISHED, PUBLISHED | changes)
    with pytest.raises(RecordError, match=rf"eval\.json: question 1: .*({message})"):
        read_questions(path)


def test_files_of_another_layout_are_named(tmp_path: Path) -> None:
    for content, message in (
        ('{"data": []}', "expected an object whose 'data' is a list of questions"),
        ('{"questions": [1]}', "expected an object whose 'data'"),
        ('{"data": [1]}', "question 0 is 1; expected an object with audio_id"),
        ('{"data": [{"audio_id": "a"}]}', "question 0 lacks question_type, question, answer"),
        ("{", "not valid JSON"),
    ):
        (tmp_path / "broken.json").write_text(content)
        with pytest.raises(DataError, match=message):
            read_questions(tmp_path / "broken.json")
    for content, message in (("", "holds no question"), ('{"a": 1}\n{', r"broken\.jsonl:2 is no JSON")):
        (tmp_path / "broken.jsonl").write_text(content)
        with pytest.raises(SpatialAudioError, match=message):
            read_questions(tmp_path / "broken.jsonl")
    with pytest.raises(DataError, match="no such file"):
        read_questions(tmp_path / "nothing.json")


def question(kind: str) -> SpatialQuestion:
    return SpatialQuestion("audio/s", kind, "What?", "bell", scene_id="s")


def test_stages_are_cumulative_and_cover_every_type(tmp_path: Path) -> None:
    kinds = [kind for stage in STAGES.values() for kind in stage.adds]
    questions = [question(kind) for kind in kinds]
    assert len(kinds) == len(set(kinds)) == 9
    assert write_training_questions(tmp_path, questions) == [training_file(tmp_path, number) for number in STAGES]
    sizes = [len(read_questions(training_file(tmp_path, number))) for number in STAGES]
    assert sizes == [2, 4, 9]
    assert training_file("data").as_posix() == "data/closed-end/stage3-mixup/train.json"
    assert write_evaluation_questions(tmp_path, questions) == list(evaluation_files(tmp_path))
    assert read_evaluation_questions(tmp_path) == questions
    names = {path.name for path in evaluation_files(tmp_path)}
    assert names == {
        "eval-stage1-classification.json", "eval-stage1-doa.json", "eval-stage2-classification.json",
        "eval-stage2-doa.json", "eval-stage3-direction.json", "eval-stage3-distance.json", "eval-stage3-nonbinary.json",
    }  # fmt: skip


def test_files_without_a_question_are_not_made(tmp_path: Path) -> None:
    (path,) = write_evaluation_questions(tmp_path, [question("DOA")])
    assert path.name == "eval-stage1-doa.json" and read_evaluation_questions(tmp_path) == [question("DOA")]
    assert len(write_training_questions(tmp_path, [question("MIXUP_SINGLE_DOA")])) == 2
    with pytest.raises(DataError, match="has no file of evaluation"):
        read_evaluation_questions(tmp_path / "closed-end")
    with pytest.raises(ConfigError, match="stage is 4; expected one of 1, 2, 3"):
        training_file(tmp_path, 4)
