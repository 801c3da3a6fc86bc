from pathlib import Path

import pytest
import torch

from spatial_audio_lm.errors import DataError, RecordError
from spatial_audio_lm.question_answering.availability import available_questions
from spatial_audio_lm.question_answering.balance import answer_balance, balance_table
from spatial_audio_lm.question_answering.generation import SceneQuestions
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.question_answering.scene_recordings import (
    SceneRecordings,
    read_scenes,
    recording_file,
    scenes_file,
    write_scenes,
)
from tests.question_answering.placed_scenes import scene


@pytest.mark.parametrize("format", ["binaural", "foa"])
def test_recordings_from_files_and_from_records_are_the_same(banks, simulated, tmp_path: Path, format: str) -> None:
    scenes = simulated[format][:4]
    write_scenes(scenes_file(tmp_path, "train"), scenes)
    assert read_scenes(scenes_file(tmp_path, "train")) == scenes
    rendered = SceneRecordings(tmp_path, "train", banks[format])
    questions = list(SceneQuestions(scenes))
    for question in questions:
        sound = rendered(question)
        assert sound.format == format and sound.num_channels == (2 if format == "binaural" else 4)
        sound.save(recording_file(tmp_path, str(question.scene_id)))
    files = SceneRecordings(tmp_path, "train")
    for number, question in enumerate(questions):
        assert files.number_of(question) == number and rendered.files_of(question) == []
        again = files(question)
        assert again.format == format
        torch.testing.assert_close(again.waveform, rendered(question).waveform, atol=2e-7, rtol=0)


def test_missing_recordings_are_named_and_counted(simulated, tmp_path: Path) -> None:
    scenes = simulated["binaural"][:3]
    write_scenes(scenes_file(tmp_path, "eval"), scenes)
    recordings, questions = SceneRecordings(tmp_path, "eval"), list(SceneQuestions(scenes, per_scene=2))
    with pytest.raises(DataError, match=r"6 of 6 questions need 3 files .*train-0-0000000\.wav"):
        available_questions(questions, recordings.files_of)
    with pytest.raises(DataError, match="no such recording; give the bank of the scenes to render it"):
        recordings(questions[0])
    stranger = SpatialQuestion("audio/x", "DOA", "Where?", "left", scene_id="x")
    with pytest.raises(RecordError, match=r"names the scene 'x', which is not among the 3"):
        recordings(stranger)


def test_broken_files_of_scenes_are_named(tmp_path: Path) -> None:
    path = scenes_file(tmp_path, "train")
    path.parent.mkdir()
    path.write_text('{"version": 1}\n')
    with pytest.raises(RecordError, match=r"train\.jsonl:1: record lacks"):
        read_scenes(path)
    path.write_text("{\n")
    with pytest.raises(RecordError, match=r"train\.jsonl:1"):
        read_scenes(path)
    path.write_text("")
    with pytest.raises(DataError, match="holds no scene"):
        read_scenes(path)
    write_scenes(path, [scene(("bell", 0, 0, 1)), scene(("rain", 0, 0, 1))])
    with pytest.raises(RecordError, match="1 ids stand twice"):
        SceneRecordings(tmp_path, "train")


def test_the_balance_counts_what_is_there() -> None:
    def asks(kind: str, answer: str, question: str = "?") -> SpatialQuestion:
        return SpatialQuestion("audio/s", kind, question, answer, scene_id="s")

    questions = [
        asks("MIXUP_DIRECTION", "Yes"),
        asks("MIXUP_DIRECTION", "Yes"),
        asks("MIXUP_DIRECTION", "No", "Is it?"),
    ]
    questions += [asks("DOA", "left, front, above; 2m"), asks("DOA", "left, behind, below; 1m")]
    balances = answer_balance(questions)
    assert list(balances) == ["DOA", "MIXUP_DIRECTION"]  # in the order of the types
    place, yes = balances.values()
    assert (yes.questions, yes.wordings, yes.answers, yes.commonest) == (3, 2, 2, "Yes")
    assert yes.commonest_share == yes.shares["yes"] == pytest.approx(2 / 3)
    assert yes.evenness == pytest.approx(0.9183, abs=1e-4)  # entropy of 2/3 and 1/3 in bits
    assert yes.mean_distance_m is None
    assert place.shares == {"front": 0.5, "left": 1.0, "above": 0.5} and place.mean_distance_m == 1.5
    assert place.evenness == 1.0
    table = balance_table(balances)
    assert "| B: DOA | 2 | 1 | 2 |" in table and "yes 0.667" in table and len(table.splitlines()) == 4
    assert answer_balance([]) == {} and answer_balance(questions[:2])["MIXUP_DIRECTION"].evenness == 1.0
