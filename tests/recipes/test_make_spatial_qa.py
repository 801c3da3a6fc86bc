"""Scenes to question files: all that is written belongs together, twice the same, and cannot be mixed up."""

import csv
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from huggingface_hub import DatasetCard

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.question_answering.availability import available_questions
from spatial_audio_lm.question_answering.generation import SceneQuestions
from spatial_audio_lm.question_answering.question_files import (
    STAGES,
    evaluation_files,
    read_evaluation_questions,
    training_file,
)
from spatial_audio_lm.question_answering.records import read_questions
from spatial_audio_lm.question_answering.scene_recordings import SceneRecordings
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.rir_bank import RirBank
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED, synthesize
from tests import kill_resume
from tests.recipes import recipe_jobs
from tests.test_data_cards import CREATORS, HEADINGS, LICENSES, SIZES, TASKS


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    return recipe_jobs.load("make_spatial_qa")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Both splits in one folder, the training with recordings."""
    out = tmp_path_factory.mktemp("spatial_qa") / "both"
    recipe_jobs.run("make_spatial_qa", "--output_dir", str(out))
    recipe_jobs.run("make_spatial_qa", "--output_dir", str(out), "--split", "eval", "--audio", "false", "--seed", "1")
    return out


def test_questions_scenes_and_recordings_belong_together(made: Path) -> None:
    questions = read_questions(training_file(made))
    assert len(questions) == 24 * 3
    recordings = SceneRecordings(made, "train")
    assert available_questions(questions, recordings.files_of).left_out == 0
    rendered = SceneRecordings(made, "train", RirBank(made / "rooms-train"))
    for question in questions[:4]:
        sound = recordings(question)
        assert sound.format == "binaural" and sound.waveform.shape == (2, 16_000)
        torch.testing.assert_close(sound.waveform, rendered(question).waveform, atol=2e-7, rtol=0)
    again = SceneQuestions(recordings.scenes, per_scene=3)
    assert [again[index] for index in range(len(again))] == questions
    for number, stage in STAGES.items():
        kinds = {kind for n in range(1, number + 1) for kind in STAGES[n].adds}
        assert read_questions(training_file(made, number)) == [q for q in questions if q.question_type in kinds]
        assert (made / "closed-end" / stage.folder).is_dir()


def test_the_evaluation_asks_each_type_once_about_each_scene(made: Path) -> None:
    questions = read_evaluation_questions(made)
    scenes = SceneRecordings(made, "eval", RirBank(made / "rooms-eval")).scenes
    single = sum(len(scene.sources) == 1 for scene in scenes)
    counts = {
        kind: sum(q.question_type == kind for q in questions)
        for _, kinds in evaluation_files(made).items()
        for kind in kinds
    }
    assert counts["CLASSIFICATION"] == counts["DOA"] == single
    assert counts["MIXUP_SINGLE_CLASSIFICATION"] == counts["MIXUP_SINGLE_DOA"] == len(scenes) - single
    assert counts["MIXUP_NONBINARY_DISTANCE"] == len(scenes) - single
    assert 0 < counts["MIXUP_DIRECTION"] <= len(scenes) - single
    pairs = [(q.scene_id, q.question_type) for q in questions]
    assert len(set(pairs)) == len(pairs)


def test_splits_share_neither_rooms_nor_sounds(made: Path) -> None:
    seeds = {}
    for split in ("train", "eval"):
        scenes = SceneRecordings(made, split).scenes
        seeds[split] = {event.clip.seed for scene in scenes for source in scene.sources for event in source.events}
    assert max(seeds["train"]) < FIRST_UNSEEN_SEED <= min(seeds["eval"])
    banks = [RirBank(made / f"rooms-{split}") for split in ("train", "eval")]
    assert [bank.settings.split for bank in banks] == ["train", "test"] and banks[0].sha256 != banks[1].sha256


def test_the_card_has_the_form_of_the_house_and_counts_what_is_there(made: Path) -> None:
    text = (made / "README.md").read_text()
    header = DatasetCard(text).data.to_dict()
    assert header["license"] in LICENSES and set(header["size_categories"]) <= SIZES
    assert set(header["task_categories"]) <= TASKS and set(header["annotations_creators"]) <= CREATORS
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == HEADINGS
    assert "| train | 24 | 72 | 1 | 16000 | binaural | files |" in text and "| eval | 24 |" in text
    assert "28 synthesised sounds; rooms of the bank's split `test`" in text and str(made) not in text
    summary = read_json(made / "train.summary.json")
    assert summary["questions"] == sum(balance["questions"] for balance in summary["balance"].values()) == 72
    assert summary["files"][-1] == "closed-end/stage3-mixup/train.json"


def test_same_settings_same_bytes_also_over_processes_and_after_a_kill(made: Path, tmp_path: Path) -> None:
    recipe_jobs.run(
        "make_spatial_qa", "--output_dir", str(tmp_path), "--num_processes", "2", "--bank", str(made / "rooms-train")
    )
    names = [path for path in kill_resume.hashes(tmp_path) if not path.startswith("README")]
    first, second = kill_resume.hashes(made), kill_resume.hashes(tmp_path)
    assert len(names) > 28 and all(first[name] == second[name] for name in names)
    # what a killed job leaves behind: some recordings, no questions
    for path in sorted(tmp_path.glob("audio/*.wav"))[::2]:
        path.unlink()
    training_file(tmp_path).unlink()
    recipe_jobs.run("make_spatial_qa", "--output_dir", str(tmp_path), "--bank", str(made / "rooms-train"))
    assert kill_resume.hashes(tmp_path) == second


def test_another_set_in_the_same_folder_is_refused(made: Path) -> None:
    before = kill_resume.hashes(made)
    for option, value, named in (
        ("--num_scenes", "25", "numbers"), ("--scenes.duration_s", "2.0", "scenes"),
        ("--procedural_seeds", "3", "clips"), ("--questions.forms", "heldout", "questions"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=f"begun with other {named}: give the same settings"):
            recipe_jobs.run("make_spatial_qa", "--output_dir", str(made), option, value)
    assert kill_resume.hashes(made) == before


def test_ambisonics(tmp_path: Path) -> None:
    recipe_jobs.run("make_spatial_qa", "--output_dir", str(tmp_path), "--heads", "[]", "--num_scenes", "6")
    recordings = SceneRecordings(tmp_path, "train")
    question = read_questions(training_file(tmp_path))[0]
    sound = recordings(question)
    assert sound.format == "foa" and sound.waveform.shape == (4, 16_000)


def clip_folder(folder: Path) -> Path:
    rows = []
    for number, (name, licence) in enumerate(
        [("rain", "CC0"), ("dog_bark", "CC0"), ("rooster", "CC-BY"), ("rain", "NC")]
    ):
        samples = np.asarray(0.5 * synthesize("clap", number, 16_000, 1.0)[None])
        SpatialAudio.from_array(samples, 16_000).save(folder / f"{number}.wav")
        rows.append({"file_name": f"{number}.wav", "class": name, "fold": "1" if number else "4", "licence": licence})
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_recorded_clips_are_chosen_by_fold_and_licence(made: Path, tmp_path: Path) -> None:
    clips = clip_folder(tmp_path)
    out = tmp_path / "out"
    options = ("--output_dir", str(out), "--bank", str(made / "rooms-train"), "--clip_folder", str(clips))
    only = ("--folds", '["1"]', "--licences", "[CC0, CC-BY]", "--procedural_seeds", "0")
    recipe_jobs.run("make_spatial_qa", *options, *only)
    scenes = SceneRecordings(out, "train").scenes
    names = {event.clip.name for scene in scenes for source in scene.sources for event in source.events}
    assert names == {"1.wav", "2.wav"}
    assert read_json(out / "train.summary.json")["licences"] == {"CC0": 1, "CC-BY": 1}
    header = DatasetCard((out / "README.md").read_text()).data.to_dict()
    assert header["license"] == "other" and "dry clips keep their own licences" in header["license_details"]
    rendered = SceneRecordings(out, "train", RirBank(made / "rooms-train"), clips)
    assert torch.isfinite(rendered.recording(0).waveform).all()


def test_what_cannot_be_made_is_refused(recipe: ModuleType, made: Path, tmp_path: Path) -> None:
    def refused(message: str, *options: str) -> None:
        with pytest.raises(ConfigError, match=message):
            recipe_jobs.run("make_spatial_qa", "--output_dir", str(tmp_path / "none"), *options)

    refused("holds rooms of split 'train'; 'test' is wanted", "--split", "eval", "--bank", str(made / "rooms-train"))
    refused("holds rooms of split 'test'; 'train' is wanted", "--bank", str(made / "rooms-eval"))
    refused("split is 'test'; expected one of train, eval", "--split", "test")
    refused("nothing to be heard", "--procedural_seeds", "0")
    refused("must be at least 1", "--questions_per_scene", "0")
    refused("2 or more", "--scenes.num_sources", "1")
    refused("nearest is MIXUP_DIRECTION", "--questions.weights", "{MIXUP_DIRECTIONS: 1.0}")
    assert not (tmp_path / "none").exists()
