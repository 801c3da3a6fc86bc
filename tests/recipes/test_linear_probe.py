"""The linear probe, from configuration to files."""

import csv
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import ChannelError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.training.probe_heads import ProbeSettings
from tests.recipes import recipe_jobs

RATE = 16_000


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    return recipe_jobs.load("linear_probe")


def tone_folder(folder: Path, channels: int = 1) -> str:
    """High and low tones in three folds, seven of each a fold: even a mean spectrum tells them apart."""
    rows = []
    rng = np.random.default_rng(0)
    time = np.arange(RATE // 2) / RATE
    for number in range(42):
        name, pitch = ("high", 3000) if number % 2 else ("low", 300)
        tone = 0.3 * np.sin(2 * np.pi * pitch * rng.uniform(0.9, 1.1) * time) + 0.001 * rng.standard_normal(len(time))
        SpatialAudio.from_array(np.tile(tone.astype(np.float32), (channels, 1)), RATE).save(folder / f"{number}.wav")
        coin = "heads" if number * number % 7 < 3 else "tails"
        rows.append({"file_name": f"{number}.wav", "class": name, "fold": number // 2 % 3, "coin": coin})
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(folder)


def test_tiny_config_runs_and_writes_everything(
    recipe: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results: Any = recipe_jobs.run("linear_probe", "--output_dir", str(tmp_path / "out"))
    assert set(results) == {"new-gram", "log-mel"}
    for rows in results.values():
        assert set(rows) == {"sounds", "directions"} and set(rows["sounds"]["folds"]) == {"1", "2", "3"}
        assert 0 <= rows["sounds"]["score"] <= 1 and 0 < rows["directions"]["score"] < 180
        assert rows["sounds"]["clips"] == 36 and rows["sounds"]["classes"] == 4
        for found in rows.values():
            low, high = found["interval"]
            assert low <= found["score"] <= high and low < high
    assert results["new-gram"]["sounds"]["pooling"] == "raw" and results["new-gram"]["sounds"]["dim"] == 8 * 32
    assert results["new-gram"]["directions"]["pooling"] == "cls" and results["new-gram"]["directions"]["dim"] == 32
    assert results["log-mel"]["sounds"]["dim"] == 4 * 256
    shown = capsys.readouterr().out
    table = (tmp_path / "out" / "table.md").read_text()
    assert table in shown and "log-mel, sounds: 36 recordings were resampled to 44100 Hz" in shown
    assert "| encoder | sounds (accuracy) | directions (mean angle) | s(m) |" in table
    written = read_json(tmp_path / "out" / "results.json")  # strict: no NaN, no key twice
    assert written["results"] == results and written["s(m)"]["log-mel"] == 0.0
    assert str(tmp_path) not in (tmp_path / "out" / "results.json").read_text()


def test_intervals_of_scores_known_by_hand(recipe: ModuleType) -> None:
    """Sixty of eighty right: the normal interval. Twice the same clip is one clip: wider by the square root of two."""
    targets = torch.zeros(80, dtype=torch.long)
    answers = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]]).repeat(20, 1)
    tested = {"1": torch.arange(0, 40), "2": torch.arange(40, 80)}

    def width(groups: np.ndarray) -> float:
        found = recipe.interval_of(answers, targets, "multiclass", tested, groups, recipe.Config(resamples=3000))
        assert (found.low + found.high) / 2 == pytest.approx(0.75, abs=0.02)
        return found.high - found.low

    normal = 2 * 1.96 * (0.75 * 0.25 / 80) ** 0.5
    assert width(np.arange(80)) == pytest.approx(normal, rel=0.15)
    answers = torch.tensor([[1.0, 0.0]] * 6 + [[0.0, 1.0]] * 2).repeat(10, 1)
    assert width(np.arange(80) // 2) == pytest.approx(normal * 2**0.5, rel=0.15)


def test_clips_of_one_recording_are_drawn_together(recipe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tones").mkdir()
    folder = tone_folder(tmp_path / "tones")
    settings = ProbeSettings(hidden_size=8, max_epochs=3, grid_points=1)

    def run(column: str | None) -> Any:
        task = recipe.Task("tones", folder=folder, column="coin", test_folds=["0"], group_column=column)
        return recipe.main(recipe.Config(["log-mel"], tasks=[task], probe=settings, output_dir=str(tmp_path / "out")))

    alone, together = run(None)["log-mel"]["tones"], run("class")["log-mel"]["tones"]
    assert alone["score"] == together["score"] and alone["interval"] != together["interval"]
    assert " ± " not in (tmp_path / "out" / "table.md").read_text().splitlines()[2]  # one fold
    with pytest.raises(DataError, match="has no column recording"):
        run("recording")


def test_same_seed_same_files(recipe: ModuleType, tmp_path: Path) -> None:
    made = recipe.Synthesised(per_kind=6, num_kinds=2, num_folds=3, sample_rate=RATE)
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        settings = ProbeSettings(hidden_size=16, max_epochs=6, grid_points=2, seed=seed)
        recipe.main(
            recipe.Config(["log-mel"], synthesised=made, probe=settings, output_dir=str(tmp_path / name))
        )  # two default tasks
    for name in ("table.md", "results.json"):
        first, second, third = ((tmp_path / run / name).read_bytes() for run in ("first", "second", "third"))
        assert first == second != third, name


def test_a_folder_that_is_easy_is_learned(recipe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tones").mkdir()
    task = recipe.Task("tones", folder=tone_folder(tmp_path / "tones"), test_folds=["2"])
    settings = ProbeSettings(hidden_size=64, max_epochs=60, grid_points=4)
    config = recipe.Config(["log-mel"], tasks=[task], probe=settings, output_dir=str(tmp_path / "out"))
    found = recipe.main(config)["log-mel"]["tones"]
    assert found["score"] >= 0.95 and set(found["folds"]) == {"2"} and found["validation"] >= 0.95
    text = (tmp_path / "out" / "results.json").read_text()
    assert str(tmp_path) not in text and '"data": "tones"' in text


def test_folds_that_are_left_out_are_not_read(recipe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tones").mkdir()
    folder = tone_folder(tmp_path / "tones")
    lines = (tmp_path / "tones" / "metadata.csv").read_text().splitlines()
    (tmp_path / "tones" / "silent.wav").write_bytes(b"no sound")
    (tmp_path / "tones" / "metadata.csv").write_text("\n".join([*lines, "silent.wav,high,5,tails"]) + "\n")
    settings = ProbeSettings(hidden_size=16, max_epochs=3, grid_points=1)
    task = recipe.Task("tones", folder=folder, folds=["0", "1", "2"], test_folds=["2"])
    config = recipe.Config(["log-mel"], tasks=[task], probe=settings, output_dir=str(tmp_path / "out"))
    assert recipe.main(config)["log-mel"]["tones"]["clips"] == 42
    with pytest.raises(DataError, match=r"fold 7 asked for; there are \['0', '1', '2', '5'\]"):
        recipe.main(recipe.Config(tasks=[recipe.Task("tones", folder=folder, folds=["0", "7"])]))


def test_packaged_encoder_and_its_untrained_twin(recipe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tones").mkdir()
    task = recipe.Task("tones", folder=tone_folder(tmp_path / "tones"))
    settings = ProbeSettings(hidden_size=64, max_epochs=120, patience=40, grid_points=2)
    config = recipe.Config(["elsa-tiny"], True, tasks=[task], probe=settings, output_dir=str(tmp_path / "out"))
    results = recipe.main(config)
    assert list(results) == ["elsa-tiny", "elsa-tiny, untrained"]
    trained, untrained = (rows["tones"] for rows in results.values())
    assert trained["score"] > 0.9 and trained["dim"] == untrained["dim"] and trained["resampled"] == 0
    assert trained["validation"] >= untrained["validation"] and list(trained["folds"]) == ["0", "1", "2"]


def test_what_does_not_fit_is_refused(recipe: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "tones").mkdir()
    folder = tone_folder(tmp_path / "tones")
    out = tmp_path / "out"

    def run(encoder: str = "log-mel", mono: str = "refuse", **changes: Any) -> None:
        task = recipe.Task(**({"name": "tones", "folder": folder} | changes))
        recipe.main(recipe.Config([encoder], tasks=[task], mono=mono, output_dir=str(out)))

    with pytest.raises(ChannelError, match=r"is mono \(1 channels\), this dspast hears binaural .* or say mono='dupl"):
        run("dspast-tiny")
    with pytest.raises(CheckpointError, match="is no folder"):
        run("nothing")
    with pytest.raises(ConfigError, match="pooling is 'raw'; elsa has joint"):
        run("elsa-tiny", pooling="raw")
    with pytest.raises(DataError, match="tones has no column azimuth_deg; it has file_name, class, fold, coin"):
        run(kind="direction")
    with pytest.raises(DataError, match="has no column split"):
        run(fold_column="split")
    with pytest.raises(DataError, match="test_folds has 9; there are 0, 1, 2"):
        run(test_folds=["9"])
    with pytest.raises(DataError, match=r"has no metadata\.csv"):
        run(folder=str(tmp_path))
    with pytest.raises(ConfigError, match=r"kind of the task tones is 'pitch'"):
        run(kind="pitch")
    with pytest.raises(ConfigError, match="has a folder and a dataset"):
        run(dataset="here")
    with pytest.raises(ConfigError, match="each task's own name"):
        recipe.Config(tasks=[recipe.Task("a"), recipe.Task("a")])
    with pytest.raises(ConfigError, match="end in one name twice"):
        recipe.Config(["a/final", "b/final"])
    with pytest.raises(ConfigError, match="resamples 0; expected 1 or more"):
        recipe.Config(resamples=0)
    assert not out.exists()
