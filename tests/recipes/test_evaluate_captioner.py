"""The evaluation of the captioner: captions of unseen scenes beside those that never listened."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import CheckpointError, ConfigError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.language.attributes import SpatialAttributes
from spatial_audio_lm.language.sound_names import answer_name
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.metrics.spatial_captions import CaptionFacts, read_caption
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, make_bank
from tests.recipes import recipe_jobs

BESIDE = ["shuffled audio", "most frequent", "random facts", "true facts"]


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    return recipe_jobs.load("evaluate_captioner")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A captioner that has learned nothing yet."""
    folder = tmp_path_factory.mktemp("captioner")
    options = ("--loop.steps", "1", "--scenes.num_scenes", "16", "--held_out", "0")
    recipe_jobs.run("spatial_captioning", "--loop.output_dir", str(folder), *options)
    return str(folder / "final")


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a bank of unseen rooms."""
    settings = BankSettings(split="test", num_rooms=4)
    return str(make_bank(tmp_path_factory.mktemp("banks") / "rooms", settings).folder)


def test_tiny_config_runs_and_writes_everything(
    recipe: ModuleType, checkpoint: str, rooms: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--checkpoint", checkpoint, "--test_bank", rooms, "--name", "a model", "--num_beams", "2")
    for name in ("first", "second"):
        rows = recipe_jobs.run("evaluate_captioner", *options, "--output_dir", str(tmp_path / name))
    assert list(rows) == ["heard", *BESIDE]
    table = (tmp_path / "first" / "table.md").read_text()
    assert table in capsys.readouterr().out and "a model: captions of 14 scenes, synthesised sounds" in table
    assert "| measure | heard | shuffled audio | most frequent | random facts | true facts |" in table
    assert "Captions: 2 beams." in table
    for name in ("table.md", "results.json", "captions.jsonl"):
        first, second = ((tmp_path / run / name).read_bytes() for run in ("first", "second"))
        assert first == second and str(tmp_path).encode() not in first and checkpoint.encode() not in first, name
    results = read_json(tmp_path / "first" / "results.json")
    assert set(results["measures"]) == set(rows) and results["model-index"][0]["name"] == "a model"
    lines = [json.loads(line) for line in (tmp_path / "first" / "captions.jsonl").read_text().splitlines()]
    assert len(lines) == 14
    for line in lines:
        truth = CaptionFacts(
            frozenset([line["sound"]]), SpatialAttributes(**{n: line[n] for n in vars(SpatialAttributes())})
        )
        assert len(line["references"]) == 2 and set(line["captions"]) == set(rows)
        assert all(read_caption(text) == truth for text in (*line["references"], line["captions"]["true facts"]))


def test_a_model_that_knows_is_right_and_what_stands_beside_it_is_not(
    recipe: ModuleType, checkpoint: str, rooms: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[SpatialAudio] = []

    def knowing(captioner: Any, records: Sequence[SceneRecord], bank: Any, store: Any, config: Any) -> list[str]:
        heard.append(recipe.render_scene(records[0], bank, store))
        made = np.random.default_rng(0)
        return [write_caption(r.sources[0].sound_class, recipe.attributes_of(r), made) for r in records]

    monkeypatch.setattr(recipe, "listen", knowing)
    config = recipe.Config(checkpoint, test_bank=rooms, num_scenes=42, num_references=2, output_dir=str(tmp_path))
    rows = {name: {m.key: m for m in measures} for name, measures in recipe.main(config).items()}
    for name in ("heard", "true facts"):
        facts = [m for m in rows[name].values() if m.key.endswith(("_right", "_invented"))]
        assert all(m.value == (1.0 if m.better == "higher" else 0.0) for m in facts), name
    for name in BESIDE[:3]:
        assert rows[name]["sound_right"].value < 0.2 and rows[name]["direction_right"].value < 0.7, name
        assert rows[name]["all_right"].value < 0.2, name
    if "cider_d" in rows["heard"]:  # where aac-metrics is installed
        assert rows["heard"]["cider_d"].value > 2 * rows["shuffled audio"]["cider_d"].value
        assert rows["heard"]["bleu_4"].value > rows["random facts"]["bleu_4"].value
    else:
        assert "No bleu_1" in (tmp_path / "table.md").read_text()
    assert heard[0].format == "foa"


def test_no_scene_keeps_its_own_caption_when_recordings_are_exchanged(recipe: ModuleType) -> None:
    for seed in range(5):
        captions = [str(number) for number in range(9)]
        facts = [SpatialAttributes()] * 9
        made = recipe.beside(captions, ["rain"] * 9, facts, seed)
        assert sorted(made["shuffled audio"]) == captions
        assert all(a != b for a, b in zip(made["shuffled audio"], captions, strict=True))
    words = [
        SpatialAttributes(direction="left"),
        SpatialAttributes(direction="left", size="small"),
        SpatialAttributes(),
    ]
    assert recipe.most_frequent(["rain", "siren", "rain"], words) == ("rain", SpatialAttributes(direction="left"))
    assert read_caption(recipe.beside(["a"] * 3, ["rain"] * 3, words, 0)["most frequent"][0]).sounds == {
        answer_name("rain")
    }


def test_goals_stand_beside_recorded_sounds(recipe: ModuleType, checkpoint: str, rooms: str, tmp_path: Path) -> None:
    clip = 0.1 * torch.randn(1, 32_000, generator=torch.Generator().manual_seed(0))
    SpatialAudio.from_array(clip, 16_000).save(tmp_path / "rain.wav")
    (tmp_path / "metadata.csv").write_text("file_name,class,fold\nrain.wav,rain,4\n")
    config = recipe.Config(
        checkpoint, data=str(tmp_path), test_bank=rooms, num_scenes=8, max_new_tokens=4, num_references=1,
        output_dir=str(tmp_path / "out"),
    )  # fmt: skip
    goals = {measure.key: measure.goal for measure in recipe.main(config)["heard"] if measure.goal is not None}
    assert goals == recipe.GOALS
    assert "ESC-10 (fold 4)" in (tmp_path / "out" / "table.md").read_text()


def test_what_cannot_be_measured_is_refused(recipe: ModuleType, checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        recipe.Config(num_beams=0)
    with pytest.raises(ConfigError, match="num_scenes is 1"):
        recipe.Config(num_scenes=1)
    with pytest.raises(CheckpointError, match="captions need 'spatial_captioner'"):
        recipe.main(recipe.Config("elsa-tiny", output_dir=str(tmp_path)))
