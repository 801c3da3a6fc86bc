"""The model for two ears that ships in the package, on scenes it has never heard: a spherical head in unseen rooms."""

import json
from dataclasses import dataclass

import pytest
import torch
from typer.testing import CliRunner

import spatial_audio_lm
from spatial_audio_lm.cli.main import app
from spatial_audio_lm.models.checkpoints import DEFAULT_EVENTS_MODEL
from spatial_audio_lm.pipelines.locating import SoundEventLocator
from spatial_audio_lm.signal.conventions import great_circle_deg, lateral_angle_deg, unit_vector
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.records import SceneSource
from tests.pipelines.unseen_ears import RATE, unseen_scenes

MAX_BYTES = 8_000_000
SCENES = 40


@dataclass
class Heard:
    """A scene, its truth, and what was heard of it and of its mirror image."""

    audio: SpatialAudio
    truth: SceneSource
    answer: spatial_audio_lm.QueryResult
    mirrored: spatial_audio_lm.QueryResult

    @property
    def side_deg(self) -> float:
        """Angle to the left of the middle plane."""
        return side_deg(self.truth)


def side_deg(place) -> float:
    """Angle to the left of the middle plane: what two ears hear best."""
    return lateral_angle_deg([float(part) for part in unit_vector(place.azimuth_deg, place.elevation_deg)])


def error_with_front_and_back_alike_deg(place, truth) -> float:
    """Great-circle error of the answer or of its mirror image behind or before: to a sphere they are the same."""
    found, true = (
        unit_vector(place.azimuth_deg, place.elevation_deg),
        unit_vector(truth.azimuth_deg, truth.elevation_deg),
    )
    mirrored = (-found[0], found[1], found[2])
    return min(float(great_circle_deg(found, true)), float(great_circle_deg(mirrored, true)))


@pytest.fixture(scope="module")
def locator() -> SoundEventLocator:
    return SoundEventLocator.from_pretrained(DEFAULT_EVENTS_MODEL)


@pytest.fixture(scope="module")
def scenes(locator, tmp_path_factory) -> list[Heard]:
    scenes = unseen_scenes(tmp_path_factory.mktemp("banks") / "two-ears", 77, 5, SCENES)
    heard = [Heard(audio, truth, locator.locate(audio), locator.locate(mirror)) for audio, mirror, truth in scenes]
    return heard


def test_it_is_there_whole_and_small():
    folder = spatial_audio_lm.packaged(DEFAULT_EVENTS_MODEL)
    there = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"} <= there
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= MAX_BYTES


def test_left_is_told_from_right(scenes):
    lateral = [scene for scene in scenes if abs(scene.side_deg) > 20.0]
    assert len(lateral) > SCENES / 3
    right_side = [side_deg(scene.answer) * scene.side_deg > 0 for scene in lateral]
    assert sum(right_side) / len(right_side) >= 0.9


def test_the_mirrored_recording_has_the_mirrored_direction(scenes):
    lateral = [scene for scene in scenes if abs(scene.side_deg) > 20.0]
    swapped = [side_deg(scene.answer) * side_deg(scene.mirrored) < 0 for scene in lateral]
    assert sum(swapped) / len(swapped) >= 0.9
    sums = sorted(abs(side_deg(scene.answer) + side_deg(scene.mirrored)) for scene in scenes)
    assert sums[len(sums) // 2] < 15.0


def test_direction_and_name_are_far_better_than_chance(scenes):
    errors = sorted(error_with_front_and_back_alike_deg(scene.answer, scene.truth) for scene in scenes)
    assert errors[len(errors) // 2] < 30.0  # chance: 65
    named = [scene.answer.events[0].label == scene.truth.sound_class.replace("_", " ") for scene in scenes]
    assert sum(named) / len(named) > 0.6


def test_no_direction_where_there_is_none(locator, scenes):
    left = scenes[0].audio.waveform[:1]
    for ears, reason in ((left, "mono"), (left.expand(2, -1), "identical"), (torch.zeros(2, 4 * RATE), "silence")):
        answer = locator.locate(SpatialAudio.from_array(ears, RATE))
        assert answer.azimuth_deg is None and answer.confidence is None and answer.reason.startswith(reason)


def test_a_long_recording_is_answered_where_it_sounds(locator, scenes):
    silence = torch.zeros(2, 6 * RATE)
    whole = torch.cat([silence, scenes[0].audio.waveform, silence], dim=1)
    answer = locator.locate(SpatialAudio.from_array(whole, RATE))
    assert answer.start_s < 10.0 and answer.end_s > 6.0
    alone = scenes[0].answer
    assert answer.windows[3].events[0].label == alone.events[0].label
    assert answer.windows[3].azimuth_deg == pytest.approx(alone.azimuth_deg, abs=1e-3)


def test_the_command_takes_it_for_two_channels(scenes, tmp_path):
    scenes[0].audio.save(tmp_path / "ears.wav")
    result = CliRunner().invoke(app, ["locate", str(tmp_path / "ears.wav"), "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["events"][0]["label"] == scenes[0].answer.events[0].label
    assert answer["azimuth_deg"] == answer["events"][0]["azimuth_deg"] is not None
    assert DEFAULT_EVENTS_MODEL in CliRunner().invoke(app, ["models"]).stdout
