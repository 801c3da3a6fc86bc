"""The packaged model that answers questions, about scenes it has never heard: a spherical head in unseen rooms."""

import json
from dataclasses import dataclass

import pytest
import torch
from transformers import pipeline
from typer.testing import CliRunner

import spatial_audio_lm
from spatial_audio_lm.cli.main import app
from spatial_audio_lm.errors import AudioValueError
from spatial_audio_lm.language.sound_names import answer_name
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.checkpoints import DEFAULT_QUESTION_MODEL
from spatial_audio_lm.pipelines.answering import QuestionAnswerer
from spatial_audio_lm.pipelines.spoken_answers import AnsweredQuestion
from spatial_audio_lm.signal.conventions import lateral_angle_deg, unit_vector
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.records import SceneSource
from tests.pipelines.unseen_ears import RATE, unseen_scenes

MAX_BYTES = 20_000_000
SCENES = 40
WHAT = "What do you hear?"
WHERE = "In which direction and at what distance is the sound?"


@dataclass
class Asked:
    """A scene, its truth, and what was said of it and of its mirror image."""

    audio: SpatialAudio
    truth: SceneSource
    what: AnsweredQuestion
    where: AnsweredQuestion
    mirrored: AnsweredQuestion

    @property
    def side_deg(self) -> float:
        """Angle to the left of the middle plane."""
        return lateral_angle_deg(
            [float(part) for part in unit_vector(self.truth.azimuth_deg, self.truth.elevation_deg)]
        )

    @property
    def side(self) -> str:
        return "left" if self.side_deg > 0 else "right"


@pytest.fixture(scope="module")
def answerer() -> QuestionAnswerer:
    return QuestionAnswerer.from_pretrained(DEFAULT_QUESTION_MODEL)


@pytest.fixture(scope="module")
def scenes(answerer: QuestionAnswerer, tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    asked = []
    for audio, mirror, truth in unseen_scenes(tmp_path_factory.mktemp("banks") / "two-ears", 78, 6, SCENES):
        what, where = answerer.ask(audio, [WHAT, WHERE])
        asked.append(Asked(audio, truth, what, where, *answerer.ask(mirror, [WHERE])))
    return asked


def test_it_is_there_whole_and_small() -> None:
    folder = spatial_audio_lm.packaged(DEFAULT_QUESTION_MODEL)
    there = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "README.md"} <= there
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= MAX_BYTES
    assert BatForConditionalGeneration.from_pretrained(folder).config.language_model_name_or_path is None


def test_left_is_told_from_right_and_turns_over_with_the_ears(scenes: list[Asked]) -> None:
    lateral = [scene for scene in scenes if abs(scene.side_deg) > 20.0]
    assert len(lateral) > SCENES / 3
    assert sum(scene.where.best.left_right == scene.side for scene in lateral) / len(lateral) >= 0.9
    other = {"left": "right", "right": "left"}
    assert sum(scene.mirrored.best.left_right == other[scene.side] for scene in lateral) / len(lateral) >= 0.9


def test_names_and_distances_are_better_than_chance(scenes: list[Asked]) -> None:
    named = [scene.what.best.sounds == (answer_name(scene.truth.sound_class),) for scene in scenes]
    assert sum(named) / SCENES > 0.5
    distances = [(scene.where.best.distance_m, scene.truth.distance_m) for scene in scenes]
    assert all(said is not None for said, _ in distances)
    far = [said for said, true in distances if true > 2.5]
    near = [said for said, true in distances if true < 1.2]
    assert sum(far) / len(far) > sum(near) / len(near)


def test_what_has_no_direction_gets_none(answerer: QuestionAnswerer, scenes: list[Asked]) -> None:
    left = scenes[0].audio.waveform[:1]
    (same,) = answerer.ask(SpatialAudio.from_array(left.expand(2, -1), RATE), [WHERE])
    assert same.best.left_right is None and same.best.distance_m is None and same.best.reason.startswith("identical")
    with pytest.raises(AudioValueError, match="silent from begin to end"):
        answerer.ask(SpatialAudio.from_array(torch.zeros(2, 4 * RATE), RATE), [WHERE])


def test_every_door_answers_at_once_and_the_same(scenes: list[Asked], tmp_path) -> None:
    scene = scenes[0]
    scene.audio.save(tmp_path / "ears.wav")
    result = CliRunner().invoke(app, ["ask", str(tmp_path / "ears.wav"), WHAT, WHERE, "--json"])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.strip().split("\n")]
    assert [line["text"] for line in lines] == [scene.what.best.text, scene.where.best.text]
    door = pipeline("spatial-audio-question-answering")
    assert door(str(tmp_path / "ears.wav"), question=WHERE)["text"] == scene.where.best.text
    assert DEFAULT_QUESTION_MODEL in CliRunner().invoke(app, ["models"]).stdout
