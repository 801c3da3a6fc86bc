"""Pre-training of GRAM: it learns, resumes to the same bits, loads, and refuses what does not fit."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoFeatureExtractor

from spatial_audio_lm.errors import ChannelError, ConfigError
from spatial_audio_lm.metrics.mean_spectrum import MeanSpectrum
from spatial_audio_lm.models.gram.modeling_gram import GramModel
from spatial_audio_lm.models.gram.modeling_gram_pretraining import GramForPreTraining
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from tests.recipes import recipe_jobs
from tests.recipes.test_recipes import resumed_at, weights

run = partial(recipe_jobs.run, "gram_pretrain")
TINY = recipe_jobs.RECIPES / "configs" / "gram_pretrain" / "tiny.yaml"
SIZES = yaml.safe_load(TINY.read_text())["model"]
SHORT = ("--loop.steps", "2", "--batch_size", "2", "--crops_per_scene", "2", "--data.procedural_seeds", "1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with the tiny configuration and all its checkpoints."""
    folder = tmp_path_factory.mktemp("gram")
    run("--loop.output_dir", str(folder), "--loop.keep_checkpoints", "9")
    return folder


@pytest.fixture(scope="module")
def bank(trained: Path) -> tuple[str, ...]:
    """The option that names the bank which that training made."""
    return "--data.rirs", str(trained / "bank")


def test_the_masked_error_falls(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["masked_error"] < 0.85 * lines[0]["masked_error"]
    assert lines[-1]["ratio"] < 0.75 * lines[0]["ratio"]
    for line in lines:
        assert line["loss"] == pytest.approx(2 * line["masked_error"]) and 0 < line["mean_spectrum_error"] < 1.5


def test_it_resumes_bit_equal(tmp_path: Path, trained: Path, bank: tuple[str, ...]) -> None:
    found = sorted(path.name for path in trained.glob("checkpoint-*"))
    resumed_at(trained, found[0], tmp_path)
    (tmp_path / "bank").symlink_to(trained / "bank")
    run("--loop.output_dir", str(tmp_path), "--loop.resume", "true")
    assert weights(tmp_path) == weights(trained)
    first, again = (json.loads((f / "metrics.jsonl").read_text().splitlines()[-1]) for f in (trained, tmp_path))
    assert first["ratio"] == again["ratio"]  # the mean spectrum is resumed too


def test_the_encoder_loads_and_hears(trained: Path) -> None:
    model, extractor = (
        GramModel.from_pretrained(trained / "final"),
        AutoFeatureExtractor.from_pretrained(trained / "final"),
    )
    whole = GramForPreTraining.from_pretrained(trained / "final")
    for name, value in model.state_dict().items():
        assert torch.equal(value, whole.gram.state_dict()[name]), name
    sound = SpatialAudio(0.1 * torch.randn(2, 80_000, generator=torch.Generator().manual_seed(0)), 32_000, "binaural")
    heard = model.eval()(**extractor(sound))
    assert heard.scene_mean.shape == (1, 48) and torch.isfinite(heard.scene_mean).all()


@pytest.mark.parametrize("audio_format, maps", [("foa", 7), ("mono", 1)])
def test_other_recordings_and_patches(tmp_path: Path, audio_format: str, maps: int) -> None:
    options = ("--audio_format", audio_format, "--patches", "time", "--loop.output_dir", str(tmp_path))
    run(*SHORT, *options, "--model", json.dumps(SIZES | {"patch_bands": 32}), "--loop.mixed_precision", "bf16")
    model = GramForPreTraining.from_pretrained(tmp_path / "final")
    assert model.config.audio_format == audio_format and model.config.grid == (1, 100)
    assert model.config.patch_values == maps * 32 * 2
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["loss"] == pytest.approx(maps * line["masked_error"], rel=1e-5)


def test_folders_of_sounds_noises_and_responses(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for folder, number in (("clips", 3), ("noises", 2)):
        (tmp_path / folder).mkdir()
        for index in range(number):
            samples = torch.from_numpy(0.1 * generator.standard_normal((1, 64_000))).float()
            SpatialAudio(samples, 32_000, "mono").save(tmp_path / folder / f"{index}.wav")
    (tmp_path / "rirs").mkdir()
    for index in range(2):
        decay = np.exp(-np.arange(800) / 100.0)
        np.save(tmp_path / "rirs" / f"{index}.npy", (generator.standard_normal((4, 2, 800)) * decay).astype("float32"))
    options = [*SHORT, "--loop.output_dir", str(tmp_path / "out")]
    for name in ("clip_folder", "noise_folder", "rirs"):
        options += [
            f"--data.{name}",
            str(tmp_path / {"clip_folder": "clips", "noise_folder": "noises"}.get(name, name)),
        ]
    run(*options, "--data.rir_layout", "npy")
    assert not (tmp_path / "out" / "bank").exists() and weights(tmp_path / "out")


def test_held_out_clips_and_rooms_are_only_measured(tmp_path: Path, bank: tuple[str, ...], capsys: Any) -> None:
    options = (*SHORT, *bank, "--loop.log_every_steps", "1")
    run(*options, "--loop.output_dir", str(tmp_path / "without"))
    held_out = ("--data.held_out.unseen", "true", "--data.held_out.num_scenes", "5")
    run(*options, *held_out, "--loop.output_dir", str(tmp_path / "with"), "--loop.evaluate_every_steps", "1")
    assert weights(tmp_path / "without") == weights(tmp_path / "with")  # measuring changes nothing
    lines = [json.loads(line) for line in (tmp_path / "with" / "metrics.jsonl").read_text().splitlines()]
    measured = [line["evaluation"] for line in lines if "evaluation" in line]
    assert len(measured) == 2 and measured[0]["masked_error"] > measured[1]["masked_error"] > 0
    assert json.loads((tmp_path / "with" / "bank_held_out" / "bank.json").read_text())["settings"]["split"] == "test"
    assert f"held out: masked error {measured[1]['masked_error']:.4f}" in capsys.readouterr().out


def test_scenes_of_a_worker_are_those_of_this_process(
    tmp_path: Path, bank: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(recipe_jobs.RECIPES)  # where a worker finds the recipe, which is no script here
    for workers in ("0", "1"):
        run(*SHORT, *bank, "--data.num_workers", workers, "--loop.output_dir", str(tmp_path / workers))
    assert weights(tmp_path / "0") == weights(tmp_path / "1")


def test_crops_and_masks_are_the_items_own() -> None:
    recipe = recipe_jobs.load("gram_pretrain")
    config = recipe.load_config(recipe.Config, ["--config", str(TINY)])
    model = recipe.model_config(config)
    features = torch.randn(3, 2, 401, 32, generator=torch.Generator().manual_seed(0))
    seeds = torch.tensor([5, 6, 7])
    crops, masks = recipe.crops_and_masks(features, seeds, config, model)
    assert crops.shape == (24, 2, 200, 32) and masks.shape == (24, model.num_patches)
    assert (masks.sum(1) == model.num_masked_patches).all() and len(masks.unique(dim=0)) == 24
    alone = recipe.crops_and_masks(features[1:2], seeds[1:2], config, model)
    assert torch.equal(alone[0], crops[8:16]) and torch.equal(alone[1], masks[8:16])


def test_bands_are_those_of_the_patches() -> None:
    recipe = recipe_jobs.load("gram_pretrain")
    config = recipe.load_config(recipe.Config, ["--config", str(TINY)])
    model = GramForPreTraining(recipe.model_config(config))
    bands = recipe.band_numbers(model)
    assert bands.shape == (50, 256) and (torch.bincount(bands.flatten()) == 200).all() and bands.max() == 63
    maps = torch.randn(2, 1, 32, generator=torch.Generator().manual_seed(0))[None].expand(4, -1, 200, -1)
    hidden = torch.ones(4, 50, dtype=torch.bool)
    assert MeanSpectrum(bands)(model.gram.patches(maps), hidden) < 1e-12  # what is constant in time it knows


def test_base_is_the_published_size() -> None:
    recipe = recipe_jobs.load("gram_pretrain")
    config = recipe.load_config(recipe.Config, ["--config", str(TINY.with_name("base.yaml"))])
    model = recipe.model_config(config)
    recipe.check(config, model)
    assert (model.hidden_size, model.num_masked_patches, model.num_patches) == (768, 160, 200)
    assert (config.optim.lr, config.optim.warmup_steps, config.loop.steps) == (2e-4, 10_000, 500_000)


@pytest.mark.parametrize(
    "options, message",
    [
        (("--model", "{hidden_sise: 24}"), r"model has hidden_sise: did you mean hidden_size\? known are"),
        (("--model", "{audio_format: foa}"), "model has audio_format: .*known are"),
        (("--audio_format", "quad"), "audio_format"),
        (("--crops_per_scene", "0"), "crops_per_scene is 0"),
        (("--data.folds", "[a]"), "give clip_folder"),
        (("--data.noise_folder", "a", "--data.noise_shards", "b"), "come from one of them"),
        (("--data.procedural_seeds", "1000000001"), "those of unseen clips"),
        (("--data.rir_convention", "gram"), "a bank says its own"),
        (("--data.scenes.duration_s", "1.0"), "make scenes.duration_s longer"),
        (("--pad_to_frames", "400"), "a scene has 401 frames, a crop 200"),
        (("--data.scenes.clean_ratio", "2"), "clean_ratio"),
        (("--data.rir_layout", "zip"), "rir_layout"),
        (("--data.rir_layout", "houses"), "goes with the layout houses"),
        (("--data.held_out.num_scenes", "-1"), "num_scenes is -1"),
        (("--batch_size", "1000"), "choose a smaller batch_size"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, bank: tuple[str, ...], options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(*(bank if "gram" not in options else ()), "--loop.output_dir", str(tmp_path), *options)


def test_responses_that_do_not_fit_are_refused(tmp_path: Path, bank: tuple[str, ...]) -> None:
    with pytest.raises(ChannelError, match="4 are wanted"):
        run(*bank, "--audio_format", "foa", "--loop.output_dir", str(tmp_path))
    with pytest.raises(ConfigError, match=r"have 32000 Hz, the model hears 48000 Hz"):
        run(*bank, "--model", json.dumps(SIZES | {"sampling_rate": 48000}), "--loop.output_dir", str(tmp_path))
