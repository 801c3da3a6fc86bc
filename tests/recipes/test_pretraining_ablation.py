"""Ablations of pre-trainings: every step is one that its recipe knows, and from the steps' numbers the table comes."""

import json
from functools import partial
from pathlib import Path

import pytest

from spatial_audio_lm.data.clip_folders import read_metadata
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.files import write_json
from tests.recipes import recipe_jobs

run = partial(recipe_jobs.run, "pretraining_ablation")
recipe = recipe_jobs.load("pretraining_ablation")


@pytest.fixture
def config(tmp_path: Path) -> object:
    """The tiny configuration, in a new folder."""
    tiny = recipe_jobs.RECIPES / "configs" / "pretraining_ablation" / "tiny.yaml"
    return recipe.load_config(recipe.Config, ["--config", str(tiny), "--output_dir", str(tmp_path)])


def steps_of(config: object, clips: Path) -> list:
    """All steps of an ablation."""
    banks, scenes = recipe.preparation(clips, config)
    trainings = [recipe.pretraining(name, 0, clips, config) for name in config.arms]
    return [*banks, scenes, *trainings, *(recipe.probing(n, 0, clips, config) for n in (*config.arms, "log-mel"))]


def test_every_step_is_one_that_its_recipe_knows(config: object, tmp_path: Path) -> None:
    steps = steps_of(config, tmp_path / "clips")
    assert [step.recipe for step in steps].count("linear_probe") == 3
    settings = {step.name: recipe.load_config(recipe_jobs.load(step.recipe).Config, step.command()) for step in steps}
    assert settings["train"].bank.split == "train" and settings["test"].bank.num_rooms == 1
    parts = settings["scenes"].parts
    assert [Path(part.rirs).name for part in parts] == ["rooms_train", "rooms_train", "rooms_test"]
    trained = recipe.load_config(recipe_jobs.load("gram_pretrain").Config, steps[-4].command())
    assert trained.data.scenes.clean_ratio == 1.0 and trained.data.held_out.folds == ["3"] and trained.loop.steps == 2
    probe = settings["clean-0"]
    assert not probe.compare_untrained and probe.tasks[1].pooling == "cls" and probe.tasks[0].test_folds == ["3"]


def test_clips_are_synthesised_where_there_are_none(config: object, tmp_path: Path) -> None:
    rows = read_metadata(recipe.synthesised_clips(tmp_path / "clips", config))
    assert {row["fold"] for row in rows} == {"1", "2", "3"} and len(rows) == 33
    assert len({(tmp_path / "clips" / row["file_name"]).read_bytes() for row in rows}) == 33


def test_the_table_is_of_every_seed(config: object, tmp_path: Path) -> None:
    config.seeds = [0, 1]
    for seed in config.seeds:
        for name in (*config.arms, "log-mel"):
            scores = {"sounds of clean clips": {"score": 0.5 + 0.1 * seed}, "direction": {"score": 60.0}}
            encoders = {"final": scores} | ({"final, untrained": scores} if name == "naturalistic" else {})
            write_json(tmp_path / "probes" / f"{name}-{seed}" / "results.json", {"results": encoders})
            if name in config.arms:
                (tmp_path / f"{name}-{seed}").mkdir()
                line = json.dumps({"step": 2, "evaluation": {"ratio": 0.4 + 0.2 * seed}})
                (tmp_path / f"{name}-{seed}" / "metrics.jsonl").write_text(f"{{}}\n{line}\n")
    rows = recipe.collect(config)
    assert list(rows) == ["naturalistic", "naturalistic, untrained", "clean", "log-mel"]
    assert rows["clean"] == [
        {"sounds of clean clips": 0.5, "direction": 60.0, "held out": 0.4},
        {"sounds of clean clips": 0.6, "direction": 60.0, "held out": 0.6000000000000001},
    ]
    line = next(line for line in recipe.table_of(rows, config).splitlines() if line.startswith("| clean |"))
    assert line == "| clean | **0.500** (0.400, 0.600) | **0.550** (0.500, 0.600) | **60.0°** (60.0°, 60.0°) |"


def test_a_step_that_fails_says_why(config: object, tmp_path: Path) -> None:
    step = recipe.Step("linear_probe", "x", tmp_path / "x" / "results.json", {"encoders": ["nothing"]})
    with pytest.raises(DataError, match=r"linear_probe ended with 1; .*linear_probe-x\.log ends: (.|\n)*nothing"):
        recipe.run_all([step], config, "x")


@pytest.mark.parametrize(
    "options, message",
    [
        (("--seeds", "[]"), "some arms and seeds"),
        (("--test_fold", "1"), "another to test"),
        (("--untrained", "[dirty]"), "expected some of the arms"),
        (("--questions", "[{name: a, of: words}]"), "expected clips or scenes"),
        (("--rooms", "{train: 1}"), "keys train and test"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run("--output_dir", str(tmp_path), *options)


@pytest.mark.slow
def test_the_whole_way_and_what_a_second_call_leaves_alone(tmp_path: Path) -> None:
    run("--output_dir", str(tmp_path))
    rows = json.loads((tmp_path / "results.json").read_text())
    assert set(rows) == {"naturalistic", "clean", "naturalistic, untrained", "log-mel"}
    assert set(rows["clean"][0]) == {"sounds of clean clips", "direction", "held out"}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "probes" / "clean-0" / "results.json").unlink()
    run("--output_dir", str(tmp_path))
    changed = {path.relative_to(tmp_path).parts[0] for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"probes", "clips", "table.md", "results.json", "logs"}
    assert json.loads((tmp_path / "results.json").read_text()) == rows
