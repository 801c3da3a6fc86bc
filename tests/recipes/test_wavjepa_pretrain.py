"""Pre-training of WavJEPA: it learns without collapse, resumes to the same bits, loads, refuses what does not fit."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoFeatureExtractor

from spatial_audio_lm.errors import ChannelError, ConfigError, DataError
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel
from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.training.data_order import ItemKey
from spatial_audio_lm.training.state_files import read_state
from tests.recipes import recipe_jobs
from tests.recipes.test_recipes import resumed_at, weights

run = partial(recipe_jobs.run, "wavjepa_pretrain")
CONFIGS = recipe_jobs.RECIPES / "configs" / "wavjepa_pretrain"
TINY = CONFIGS / "tiny.yaml"
SIZES = yaml.safe_load(TINY.read_text())["model"]
SHORT = ("--loop.steps", "2", "--batch_size", "2", "--windows_per_scene", "2", "--data.procedural_seeds", "1")
CLEAN = ("--data.scenes.clean_ratio", "1.0")
HELD_OUT = (
    "--data.held_out.unseen",
    "true",
    "--data.held_out.procedural_seeds",
    "1",
    "--data.held_out.num_scenes",
    "5",
)
HALF = "checkpoint-20"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with the tiny configuration, all its checkpoints and a measurement of what it did not hear."""
    folder = tmp_path_factory.mktemp("wavjepa")
    run("--loop.output_dir", str(folder), "--loop.keep_checkpoints", "9", *HELD_OUT)
    return folder


@pytest.fixture(scope="module")
def bank(trained: Path) -> tuple[str, ...]:
    """The option that names the bank which that training made."""
    return "--data.rirs", str(trained / "bank")


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def windows_of(*options: str, seed: int = 0) -> Any:
    """The data set of a tiny training on dry clips."""
    recipe = recipe_jobs.load("wavjepa_pretrain")
    given = ("--config", str(TINY), "--data.procedural_seeds", "1", "--loop.seed", str(seed), *CLEAN, *options)
    config = recipe.load_config(recipe.Config, given)
    model = recipe.model_config(config)
    recipe.check(config, model)
    scenes, _ = recipe.pretraining_scenes(config.data, 16_000, 2, "nowhere")
    return recipe.MaskedWindows(scenes, config, model)


def test_the_loss_falls_and_the_targets_stay_apart(trained: Path) -> None:
    lines = [line for line in log_of(trained) if "loss" in line]
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert lines[-1]["ratio"] < 0.9 * lines[0]["ratio"]
    for line in lines:  # a collapse takes all of both
        assert 0.8 * lines[0]["target_variance"] < line["target_variance"] < 1.0
        assert 0.5 * lines[0]["variance_between_windows"] < line["variance_between_windows"] < line["target_variance"]
        assert line["ratio"] == pytest.approx(line["loss"] / line["target_variance"], rel=0.02)


def test_what_is_heard_collapses_where_the_waveforms_part_learns_as_fast(tmp_path: Path) -> None:
    """What the variance is logged for, and why the tiny configuration has a smaller rate there."""
    options = ("--loop.output_dir", str(tmp_path), "--optim.waveform_lr", "null", "--least_variance", "0.1")
    with pytest.raises(DataError, match=r"variance between windows is 0\.0\d+, below least_variance 0\.1:"):
        run(*CLEAN, *options, "--optim.lr", "2e-3")


def test_held_out_scenes_are_only_measured(trained: Path) -> None:
    (found,) = [line["evaluation"] for line in log_of(trained) if "evaluation" in line]
    assert 0.4 < found["loss"] < 0.8 and 0.15 < found["variance_between_windows"] < found["target_variance"]
    assert found["ratio"] == pytest.approx(found["loss"] / found["target_variance"], rel=1e-6)
    assert json.loads((trained / "bank_held_out" / "bank.json").read_text())["settings"]["split"] == "test"


def test_it_resumes_bit_equal(tmp_path: Path, trained: Path) -> None:
    resumed_at(trained, HALF, tmp_path)
    for name in ("bank", "bank_held_out"):
        (tmp_path / name).symlink_to(trained / name)
    run("--loop.output_dir", str(tmp_path), "--loop.resume", "true", *HELD_OUT)
    assert weights(tmp_path) == weights(trained)  # the target encoder's too
    assert read_state(trained / HALF, "ema") == {"updates": 20}
    first, again = (log_of(folder)[-1]["evaluation"] for folder in (trained, tmp_path))
    assert first == again


def test_the_target_encoder_follows_the_encoder(trained: Path) -> None:
    half, end = (read_state(trained / name, "model") for name in (HALF, "checkpoint-40"))
    names = [name for name in end if name.startswith("target_encoder.") and name.endswith("weight")]
    for name in names:
        source = name.replace("target_encoder.stack", "wavjepa.encoder")
        moved, to_go = (end[name] - half[name]).norm(), (end[source] - half[name]).norm()
        assert 0 < moved < to_go  # on its way, and behind
    assert len(names) > 10


def test_the_encoder_loads_and_hears(trained: Path) -> None:
    folder = trained / "final"
    model, whole = WavJEPAModel.from_pretrained(folder).eval(), WavJEPAForPreTraining.from_pretrained(folder)
    for name, value in model.state_dict().items():
        assert torch.equal(value, whole.wavjepa.state_dict()[name]), name
    sound = SpatialAudio(0.1 * torch.randn(2, 50_000, generator=torch.Generator().manual_seed(0)), 16_000, "binaural")
    heard = model(**AutoFeatureExtractor.from_pretrained(folder)(sound))
    assert heard.scene_mean.shape == (1, 48) and torch.isfinite(heard.scene_mean).all()


def test_one_channel_of_dry_clips_needs_no_rooms(tmp_path: Path) -> None:
    options = ("--num_channels", "1", *CLEAN, "--loop.mixed_precision", "bf16", "--loop.output_dir", str(tmp_path))
    run(*SHORT, *options, "--masks.context", "covered")
    assert not (tmp_path / "bank").exists()
    assert WavJEPAForPreTraining.from_pretrained(tmp_path / "final").config.num_channels == 1


def test_folders_of_sounds_noises_and_responses_at_another_rate(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for folder, number in (("clips", 3), ("noises", 2)):
        (tmp_path / folder).mkdir()
        for index in range(number):
            samples = torch.from_numpy(0.1 * generator.standard_normal((1, 64_000))).float()
            SpatialAudio(samples, 32_000, "mono").save(tmp_path / folder / f"{index}.wav")
    (tmp_path / "rirs").mkdir()
    for index in range(2):
        decay = np.exp(-np.arange(800) / 100.0)
        np.save(tmp_path / "rirs" / f"{index}.npy", (generator.standard_normal((4, 4, 800)) * decay).astype("float32"))
    options = ["--loop.output_dir", str(tmp_path / "out"), "--num_channels", "1", "--data.rir_convention", "ambix"]
    for name, folder in (("clip_folder", "clips"), ("noise_folder", "noises"), ("rirs", "rirs")):
        options += [f"--data.{name}", str(tmp_path / folder)]
    run(*SHORT, *options, "--data.rir_layout", "npy", "--data.scene_rate", "32000")
    assert weights(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"have 32000 Hz, the model hears 16000 Hz"):
        run(*SHORT, *options, "--data.rir_layout", "npy")


def test_windows_of_a_worker_are_those_of_this_process(
    tmp_path: Path, bank: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(recipe_jobs.RECIPES)  # where a worker finds the recipe, which is no script here
    for workers in ("0", "2"):
        run(*SHORT, *bank, "--data.num_workers", workers, "--loop.output_dir", str(tmp_path / workers))
    assert weights(tmp_path / "0") == weights(tmp_path / "2")


def test_windows_and_masks_are_functions_of_the_key() -> None:
    windows = windows_of()
    batch = windows.__getitems__([ItemKey(0, 3), ItemKey(0, 5), ItemKey(1, 3)])
    assert batch["input_values"].shape == (12, 2, 16_159)
    assert batch["context_mask"].shape == (12, 100) and batch["target_masks"].shape == (12, 4, 100)
    assert batch.pop("item").tolist() == [3] * 4 + [5] * 4 + [3] * 4
    for name in batch:
        alone = windows.__getitems__([ItemKey(0, 5)])[name]
        assert torch.equal(alone, batch[name][4:8]), name
        assert not torch.equal(batch[name][:4], batch[name][8:]), name  # another epoch, the same clip
        assert not torch.equal(alone, windows_of(seed=1).__getitems__([ItemKey(0, 5)])[name]), name
    assert len(batch["target_masks"].flatten(0, 1).unique(dim=0)) == 48
    sounding = batch["input_values"].flatten(1)
    assert sounding.mean(1).abs().max() < 1e-4 and (sounding.std(1) - 1).abs().max() < 1e-3


def test_a_clip_that_ends_within_the_scene_gives_silent_windows_and_no_harm() -> None:
    batch = windows_of("--data.scenes.duration_s", "9.0").__getitems__([ItemKey(0, item) for item in range(8)])
    silent = (batch["input_values"] == 0).flatten(1).all(1)
    assert 0 < silent.sum() < 32 and torch.isfinite(batch["input_values"]).all()


def test_a_collapse_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"in step 1 the targets' variance between windows is 0\.\d+, below .* 0\.9:"):
        run(*SHORT, *CLEAN, "--least_variance", "0.9", "--loop.output_dir", str(tmp_path / "stopped"))
    run(*SHORT, *CLEAN, "--least_variance", "0", "--loop.output_dir", str(tmp_path / "goes_on"))


def clip_folder(folder: Path, samples: torch.Tensor, number: int = 4) -> tuple[str, ...]:
    folder.mkdir()
    for index in range(number):
        SpatialAudio(samples * (1 + index) / 8, 16_000, "mono").save(folder / f"{index}.wav")
    return "--data.clip_folder", str(folder)


def test_silent_windows_are_not_blamed_on_the_optimizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--loop.output_dir", str(tmp_path / "out"), "--num_channels", "1")
    silent = clip_folder(tmp_path / "silent", torch.zeros(1, 64_000))
    with pytest.raises(DataError, match=r"in step 1 .* 4 of 4 windows are silent \(\d.wav; \d.wav\).*leave them out"):
        run(*SHORT, *CLEAN, *out, *silent)
    sound = 0.1 * torch.randn(1, 8_000, generator=torch.Generator().manual_seed(0))
    run(*SHORT, *CLEAN, *out, *clip_folder(tmp_path / "short", sound), "--least_variance", "0")
    said = capsys.readouterr().out
    assert "of 4 clips 4 are shorter than 4 s and filled up with silence" in said
    assert "of the windows were silent" in said


@pytest.mark.parametrize("name, total, windows", [("base", 111_012_864, 8), ("nat_base", 114_689_024, 8)])
def test_base_is_the_published_size(name: str, total: int, windows: int) -> None:
    recipe = recipe_jobs.load("wavjepa_pretrain")
    config = recipe.load_config(recipe.Config, ["--config", str(CONFIGS / f"{name}.yaml")])
    settings = recipe.model_config(config)
    recipe.check(config, settings)
    with torch.device("meta"):
        model = WavJEPAForPreTraining(settings)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == total
    assert (config.optim.lr, config.optim.warmup_steps, config.loop.steps) == (4e-4, 100_000, 375_000)
    assert config.windows_per_scene == windows and config.target_decay.at(100_000) == 0.99999
    assert config.masks == type(config.masks)()  # the published ones are the defaults


@pytest.mark.parametrize(
    "options, message",
    [
        (("--model", "{hidden_sise: 24}"), r"model has hidden_sise: did you mean hidden_size\? known are"),
        (("--model", "{num_channels: 1}"), "model has num_channels: .*known are"),
        (("--num_channels", "3"), "num_channels"),
        (("--windows_per_scene", "0"), "windows_per_scene is 0"),
        (("--batch_size", "0"), r"^batch_size is 0; it must be at least 1"),
        (("--optim.lr", "-1"), r"^optim.lr is -1.0; it must be at least 0"),
        (("--data.scene_rate", "0"), r"^data.scene_rate is 0; it must be at least 1"),
        (("--model.hidden_sise", "24"), r"model has hidden_sise: did you mean hidden_size\?"),
        (("--data.held_out.num_scenes", "-1"), "num_scenes is -1"),
        (("--least_variance", "-1"), "least_variance is -1.0"),
        (("--batch_size", "1", "--windows_per_scene", "1"), "a batch of one window has no variance between windows"),
        (("--data.scenes.duration_s", "1.0"), "a scene of 1 s is shorter than a window"),
        (("--masks.target_length", "150"), "a block must be shorter than the 100 steps"),
        (("--masks.contexts", "covered"), "did you mean 'masks.context"),
        (("--target_decay.last", "1.0"), "first <= last < 1"),
        (("--data.folds", "[a]"), "give clip_folder"),
        ((*CLEAN, "--batch_size", "1000"), "choose a smaller batch_size"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run("--loop.output_dir", str(tmp_path), *options)


def test_responses_that_do_not_fit_are_refused(tmp_path: Path, bank: tuple[str, ...]) -> None:
    with pytest.raises(ChannelError, match="4 are wanted"):
        run(*bank, "--num_channels", "1", "--loop.output_dir", str(tmp_path))
    with pytest.raises(ConfigError, match=r"have 16000 Hz, the model hears 32000 Hz"):
        run(*bank, "--model", json.dumps(SIZES | {"sampling_rate": 32_000}), "--loop.output_dir", str(tmp_path))
