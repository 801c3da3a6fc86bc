"""The captioner that ships in the package, about scenes it has never heard: synthesised sounds in unseen rooms."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import pipeline
from typer.testing import CliRunner

import spatial_audio_lm
from spatial_audio_lm.cli.main import app
from spatial_audio_lm.language.attributes import SpatialAttributes, spatial_attributes
from spatial_audio_lm.language.sound_names import answer_name
from spatial_audio_lm.models.checkpoints import DEFAULT_CAPTION_MODEL
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
    SpatialCaptionerForConditionalGeneration,
)
from spatial_audio_lm.pipelines.captioning import RecordingCaptioner
from spatial_audio_lm.pipelines.captioning_answers import WrittenCaption
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ClipStore, procedural_clip
from spatial_audio_lm.simulation.rir_bank import BankSettings, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED, SOUND_KINDS

RATE = 16_000
MAX_BYTES = 10_000_000
SCENES = 40
MIRRORED = {"left": "right", "right": "left", "front": "front", "back": "back"}


@dataclass
class Captioned:
    """A scene, what is true of it, and what was said of it and of its mirror image."""

    audio: SpatialAudio
    sound: str
    truth: SpatialAttributes
    said: WrittenCaption
    mirrored: WrittenCaption


@pytest.fixture(scope="module")
def packaged_captioner() -> RecordingCaptioner:
    return RecordingCaptioner.from_pretrained()


@pytest.fixture(scope="module")
def scenes(packaged_captioner: RecordingCaptioner, tmp_path_factory: pytest.TempPathFactory) -> list[Captioned]:
    settings = BankSettings(split="test", num_rooms=10, sample_rate=RATE, seed=79)
    bank = make_bank(tmp_path_factory.mktemp("banks") / "rooms", settings)
    clips = {kind: [procedural_clip(kind, FIRST_UNSEEN_SEED + 7, RATE)] for kind in SOUND_KINDS}
    store = ClipStore(None, RATE)
    flip_left_and_right = torch.tensor([[1.0], [-1.0], [1.0], [1.0]])  # W, Y, Z, X
    captioned = []
    for index in range(SCENES):
        record = sample_scene(SceneSettings(), bank, clips, seed=79, index=index)
        source, room = record.sources[0], record.room
        place = source.azimuth_deg, source.elevation_deg, source.distance_m
        audio = render_scene(record, bank, store)
        mirror = SpatialAudio.from_array(audio.waveform * flip_left_and_right, RATE, format="foa")
        captioned.append(
            Captioned(
                audio,
                answer_name(source.sound_class),
                spatial_attributes(*place, room.floor_area_m2, room.t30_s),
                packaged_captioner.caption(audio).best,
                packaged_captioner.caption(mirror).best,
            )
        )
    return captioned


def test_it_is_there_whole_and_small(tmp_path: Path) -> None:
    folder = spatial_audio_lm.packaged(DEFAULT_CAPTION_MODEL)
    there = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "README.md"} <= there
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= MAX_BYTES
    shutil.copytree(folder, tmp_path / "alone")
    model = SpatialCaptionerForConditionalGeneration.from_pretrained(tmp_path / "alone", local_files_only=True)
    ear = ElsaModel.from_pretrained(spatial_audio_lm.packaged("elsa-tiny")).state_dict()
    inside = model.audio_encoder.state_dict()
    assert inside and all(torch.equal(value, ear[name]) for name, value in inside.items())


def test_directions_are_right_and_turn_over_with_the_recording(scenes: list[Captioned]) -> None:
    told = [scene for scene in scenes if scene.truth.direction]
    assert len(told) > SCENES / 2
    right = [scene.said.attributes.direction == scene.truth.direction for scene in told]
    assert sum(right) / len(told) >= 0.8
    turned = [scene.mirrored.attributes.direction == MIRRORED[scene.truth.direction] for scene in told]
    assert sum(turned) / len(told) >= 0.8


def test_sounds_heights_and_rooms_are_better_than_chance(scenes: list[Captioned]) -> None:
    assert sum(scene.said.sounds == (scene.sound,) for scene in scenes) / SCENES >= 0.6
    for attribute, more_than in (("elevation", 0.5), ("distance", 0.5), ("size", 0.5)):
        told = [scene for scene in scenes if getattr(scene.truth, attribute)]
        right = [getattr(s.said.attributes, attribute) == getattr(s.truth, attribute) for s in told]
        assert told and sum(right) / len(told) > more_than, attribute


def test_captions_end_by_themselves_and_are_read_whole(scenes: list[Captioned]) -> None:
    assert all(scene.said.complete and scene.said.sounds and 0.1 < scene.said.confidence <= 1 for scene in scenes)
    assert len({scene.said.caption for scene in scenes}) > SCENES / 2


def test_what_has_no_direction_gets_none(packaged_captioner: RecordingCaptioner, scenes: list[Captioned]) -> None:
    mono = packaged_captioner.caption(SpatialAudio.from_array(scenes[0].audio.waveform[:1], RATE)).best
    assert mono.attributes.direction is None and mono.reason.startswith("mono")
    same = SpatialAudio.from_array(scenes[0].audio.waveform[:1].expand(4, -1), RATE)
    assert packaged_captioner.caption(same).best.attributes.direction is None


def test_every_door_answers_at_once_and_the_same(scenes: list[Captioned], tmp_path: Path) -> None:
    scene = scenes[0]
    scene.audio.save(tmp_path / "clip.wav")
    result = CliRunner().invoke(app, ["caption", str(tmp_path / "clip.wav"), "--json"])
    assert result.exit_code == 0, result.output
    line = json.loads(result.stdout)
    assert line["caption"] == scene.said.caption and line["direction"] == scene.said.attributes.direction
    door = pipeline("spatial-audio-captioning")
    assert door(str(tmp_path / "clip.wav"))["caption"] == scene.said.caption
    assert DEFAULT_CAPTION_MODEL in CliRunner().invoke(app, ["models"]).stdout
