"""The data cards: a header that the Hub reads, and statements about the data that are true of the code."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import DatasetCard

from spatial_audio_lm.language.question_types import QUESTION_TYPES
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.signal.conventions import direction_of
from spatial_audio_lm.simulation.sounds import SOUND_KINDS

CARDS = sorted((Path(__file__).parents[1] / "data_cards").glob("*.md"))
# The Hub's own words for these fields.
SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M"}
LICENSES = {"apache-2.0", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0", "mit", "other"}
TASKS = {"audio-classification", "zero-shot-classification", "audio-to-audio", "text-to-audio", "question-answering"}
CREATORS = {"expert-generated", "machine-generated", "crowdsourced", "found", "no-annotation"}
HEADINGS = ["Composition", "Spatial annotation", "Splits", "Licences", "Known flaws", "Source"]


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_header_is_one_the_hub_reads(path: Path) -> None:
    header = DatasetCard(path.read_text(encoding="utf-8")).data.to_dict()
    assert header["pretty_name"]
    assert header["license"] in LICENSES
    assert set(header["size_categories"]) <= SIZES
    assert set(header["task_categories"]) <= TASKS
    assert set(header["annotations_creators"]) <= CREATORS
    assert header["source_datasets"]
    assert header["tags"]
    assert all({"config_name", "data_files"} <= config.keys() for config in header.get("configs", []))


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_card_answers_the_same_questions(path: Path) -> None:
    assert re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE) == HEADINGS


SPATIAL = ["spatial_clotho", "spatial_audiocaps", "spatial_freesound", "spatial_rwd", "naturalistic_scenes",
           "packaged_training_scenes", "spatial_sound_qa"]  # fmt: skip
MADE_BY = {
    "spatial_clotho": "base", "spatial_audiocaps": "audiocaps", "spatial_freesound": "freesound",
}  # fmt: skip


def test_every_spatial_set_has_a_card_that_says_the_house_convention() -> None:
    for name in SPATIAL:
        text = " ".join((CARDS[0].parent / f"{name}.md").read_text(encoding="utf-8").split())
        assert "0 = front, positive = left" in text, name
    assert direction_of(np.array([1.0, 0.0, 0.0])) == (0.0, 0.0)  # x is front, y is left, z is up
    assert direction_of(np.array([0.0, 1.0, 0.0]))[0] == 90.0 and direction_of(np.array([0.0, 0.0, 1.0]))[1] == 90.0


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_commands_of_a_card_name_recipes_and_configurations_that_are_there(path: Path) -> None:
    named = re.findall(r"recipes/[\w/]+\.(?:py|yaml)", path.read_text(encoding="utf-8"))
    assert all((path.parents[1] / name).is_file() for name in named)
    assert named or path.stem in ("esc10", "procedural_sounds", "spatial_rwd")


@pytest.mark.parametrize("name, config", MADE_BY.items())
def test_a_card_names_the_parts_that_its_configuration_makes(name: str, config: str) -> None:
    root = CARDS[0].parents[1]
    text = (CARDS[0].parent / f"{name}.md").read_text(encoding="utf-8")
    assert f"make_spatial_dataset/{config}.yaml" in text
    settings = yaml.safe_load((root / f"recipes/configs/make_spatial_dataset/{config}.yaml").read_text())
    assert settings["name"] == DatasetCard(text).data.to_dict()["pretty_name"]
    versions = {part["name"]: part["versions"] for part in settings["parts"]}
    assert versions["train"] == 2 and "two scenes of each" in text.lower()
    assert versions.get("test_small", 1) == 1 and ("`test_small`" in text) == ("test_small" in versions)
    assert settings["originals"].get("silence_db", 45) == 45 and "45 dB below" in text


def test_esc10_card_names_the_classes_of_the_vocabulary() -> None:
    text = (CARDS[0].parent / "esc10.md").read_text(encoding="utf-8")
    named = re.search(r"Classes:\s+(.*?)\.\n", text, flags=re.DOTALL)
    assert named is not None
    expected = [sound.id for sound in SOUND_CLASSES if sound.source == "esc10"]
    assert re.findall(r"`(\w+)`", named[1]) == expected


def test_procedural_sounds_card_has_a_row_for_every_kind() -> None:
    text = (CARDS[0].parent / "procedural_sounds.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) == tuple(SOUND_KINDS)


def test_spatial_sound_qa_card_has_a_row_for_every_type_and_all_fields() -> None:
    text = (CARDS[0].parent / "spatial_sound_qa.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w) \|.*\| ([^|]+) \|$", text, flags=re.MULTILINE)
    said = {
        "classes": "names", "place": "three sides, distance", "yes_no": "yes or no", "side": "a side",
        "distance": "distance",
    }  # fmt: skip
    assert rows == [(kind.name, kind.letter, said[kind.answer]) for kind in QUESTION_TYPES.values()]
    question = SpatialQuestion("audio/s", "DOA", "Where?", "left, front, below; 2.5m", scene_id="s")
    assert all(f"`{name}`" in text for name in question.to_dict())
