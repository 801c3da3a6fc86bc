"""The evaluation of BAT: questions about unseen scenes, with and without hearing."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from spatial_audio_lm.errors import CheckpointError, ConfigError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.language.question_types import QUESTION_TYPES
from spatial_audio_lm.question_answering.controls import CONTROLS
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from tests.recipes import recipe_jobs

FILES = ("table.md", "results.json", "answers.jsonl", "scenes/eval.jsonl")


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    return recipe_jobs.load("evaluate_bat")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BAT that has learned nothing yet."""
    folder = tmp_path_factory.mktemp("bat")
    recipe_jobs.run("bat_lora", "--loop.output_dir", str(folder), "--loop.steps", "1", "--scenes.num_scenes", "16")
    return str(folder / "final")


@pytest.fixture(scope="module")
def unseen_rooms(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a bank of unseen rooms."""
    heads = (HeadStore().record("sphere"),)
    settings = BankSettings(split="test", num_rooms=4, receiver_format="binaural", elevations="isotropic", heads=heads)
    return str(make_bank(tmp_path_factory.mktemp("banks") / "rooms", settings).folder)


class TruthByTheLouderEar:
    """In place of the model: knows all answers, as long as one ear hears more than the other."""

    def __init__(self, questions: Sequence[SpatialQuestion]):
        self.truth = {question.question: question for question in questions}
        self.heard: list[SpatialAudio] = []

    def embeds(self, recordings: Sequence[SpatialAudio]) -> torch.Tensor:
        self.heard += recordings
        ears = torch.stack([r.waveform.square().sum(1) for r in recordings])
        return (ears[:, 0] - ears[:, 1]).sign()[:, None, None]

    def answers(self, questions: Sequence[str], embeds: torch.Tensor | None) -> list[str]:
        if embeds is None:
            return ["I hear nothing"] * len(questions)
        return [
            self.truth[text].answer if side else "I cannot tell"
            for text, side in zip(questions, embeds[:, 0, 0].tolist(), strict=True)
        ]


def test_tiny_config_runs_and_writes_everything(
    recipe: ModuleType, checkpoint: str, unseen_rooms: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--checkpoint", checkpoint, "--test_bank", unseen_rooms, "--name", "a model")
    for name in ("first", "second"):
        rows = recipe_jobs.run("evaluate_bat", *options, "--output_dir", str(tmp_path / name))
    assert set(rows) == {"heard", *CONTROLS, "swapped, turned over"}
    keys = {measure.key for measure in rows["heard"]}
    assert keys >= {*recipe.GOALS, "B_distance_error_rate"}
    assert all(measure.goal is None for measure in rows["heard"])  # goals are for recorded sounds
    table = (tmp_path / "first" / "table.md").read_text()
    assert table in capsys.readouterr().out and "unseen rooms" in table and "Answers: greedy." in table
    assert "| measure | heard | chance | silence | mono | swapped | text_only | swapped, turned over |" in table
    for name in FILES:
        first, second = ((tmp_path / run / name).read_bytes() for run in ("first", "second"))
        assert first == second and str(tmp_path).encode() not in first and checkpoint.encode() not in first, name
    results = read_json(tmp_path / "first" / "results.json")
    assert results["settings"]["num_scenes"] == 12 and results["model-index"][0]["name"] == "a model"
    assert all(measure["interval"] for measure in results["measures"]["heard"] if "unparsable" not in measure["key"])
    lines = [json.loads(line) for line in (tmp_path / "first" / "answers.jsonl").read_text().splitlines()]
    assert set(lines[0]["answers"]) == {"heard", *CONTROLS}
    assert len(lines) == len({(line["scene_id"], line["question_type"]) for line in lines})  # each type once a scene


def test_controls_reach_the_model_and_the_truth_is_of_the_scene(
    recipe: ModuleType, checkpoint: str, unseen_rooms: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = recipe.Config(checkpoint, test_bank=unseen_rooms, num_scenes=12, output_dir=str(tmp_path))
    made: list[Any] = []

    def listener(model: Any, processor: Any, config: Any) -> TruthByTheLouderEar:
        scenes = recipe.SceneRecordings(tmp_path, "eval", RirBank(unseen_rooms))
        made.append(TruthByTheLouderEar(recipe.questions_of(config, scenes.scenes)))
        return made[0]

    monkeypatch.setattr(recipe, "Listener", listener)
    rows = {name: {m.key: m for m in measures} for name, measures in recipe.main(config).items()}
    best = {"higher": 1.0, "lower": 0.0}
    assert all(m.value == best[m.better] for m in rows["heard"].values())
    for name in ("silence", "mono", "text_only"):  # the louder ear cannot be told
        assert rows[name]["B_direction_accuracy"].value == 0 and rows[name]["B_unparsable"].value == 1, name
    assert rows["swapped"]["B_left_right_accuracy"].value == 1  # it does not hear the exchange, and so
    assert rows["swapped, turned over"]["B_left_right_accuracy"].value == 0
    assert rows["swapped, turned over"]["B_front_behind_accuracy"].value == 1
    asked = {question.question_type for question in made[0].truth.values()}
    assert asked == set(QUESTION_TYPES)
    silent = [sound for sound in made[0].heard if not sound.waveform.any()]
    alike = [s for s in made[0].heard if s.waveform.any() and torch.equal(s.waveform[0], s.waveform[1])]
    assert len(silent) == len(alike) == len(made[0].heard) // 4


def test_goals_stand_beside_recorded_sounds(
    recipe: ModuleType, checkpoint: str, unseen_rooms: str, tmp_path: Path
) -> None:
    clip = 0.1 * torch.randn(1, 32_000, generator=torch.Generator().manual_seed(0))
    for name in ("rain", "dog_bark"):
        SpatialAudio.from_array(clip, 16_000).save(tmp_path / f"{name}.wav")
    (tmp_path / "metadata.csv").write_text("file_name,class,fold\nrain.wav,rain,4\ndog_bark.wav,dog_bark,4\n")
    config = recipe.Config(
        checkpoint, data=str(tmp_path), test_bank=unseen_rooms, num_scenes=14, controls=[], max_new_tokens=4,
        num_beams=2, output_dir=str(tmp_path / "out"),
    )  # fmt: skip
    (measures,) = recipe.main(config).values()
    goals = {measure.key: measure for measure in measures if measure.goal is not None}
    assert set(goals) == {*recipe.GOALS, "B_distance_error_rate"}
    assert any(measure.key == "B_clear_direction_accuracy" for measure in measures)
    distance = goals["B_distance_error_rate"]
    assert distance.goal == pytest.approx(0.65 * distance.beside["chance"])
    table = (tmp_path / "out" / "table.md").read_text()
    assert "ESC-10 (fold 4), unseen rooms" in table and "Answers: 2 beams." in table


def test_questions_of_a_folder_are_asked_as_they_stand(recipe: ModuleType, checkpoint: str, tmp_path: Path) -> None:
    made = str(tmp_path / "made")
    recipe_jobs.run("make_spatial_qa", "--split", "eval", "--output_dir", made, "--num_scenes", "6")
    asked = {question.question for question in recipe.read_evaluation_questions(made)}
    options = {"questions": made, "controls": ["mono"], "max_new_tokens": 4, "batch_size": 7}
    recipe.main(recipe.Config(checkpoint, output_dir=str(tmp_path / "out"), **options))  # from the recordings
    lines = [json.loads(line) for line in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()]
    assert {line["question"] for line in lines} == asked and set(lines[0]["answers"]) == {"heard", "mono"}
    rooms = str(tmp_path / "made" / "rooms-eval")
    recipe.main(recipe.Config(checkpoint, test_bank=rooms, output_dir=str(tmp_path / "again"), **options))  # rendered
    again = [json.loads(line) for line in (tmp_path / "again" / "answers.jsonl").read_text().splitlines()]
    assert [line["question"] for line in again] == [line["question"] for line in lines]


def test_what_cannot_be_measured_is_refused(recipe: ModuleType, checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        recipe.Config(num_beams=0)
    with pytest.raises(ConfigError, match="no control is called 'noise'"):
        recipe.Config(controls=["noise"])
    with pytest.raises(CheckpointError, match="is no folder"):
        recipe.main(recipe.Config(str(tmp_path / "nothing"), output_dir=str(tmp_path)))
