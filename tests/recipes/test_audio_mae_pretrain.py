"""Pre-training of Audio-MAE: it learns, resumes to the same bits, loads, and refuses what does not fit."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.models.audio_mae.modeling_audio_mae import (
    AudioMAEForAudioClassification,
    AudioMAEForPreTraining,
    AudioMAEModel,
)
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.training.data_order import ItemKey
from tests.recipes import recipe_jobs
from tests.recipes.test_recipes import resumed_at, weights

run = partial(recipe_jobs.run, "audio_mae_pretrain")
TINY = recipe_jobs.RECIPES / "configs" / "audio_mae_pretrain" / "tiny.yaml"
SHORT = ("--loop.steps", "2", "--batch_size", "2", "--data.procedural_seeds", "1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with the tiny configuration and all its checkpoints."""
    folder = tmp_path_factory.mktemp("audio_mae")
    run("--loop.output_dir", str(folder), "--loop.keep_checkpoints", "9")
    return folder


def write_clips(folder: Path, lengths: tuple[int, ...]) -> Path:
    """A folder of noises of as many samples, at 16 kHz."""
    folder.mkdir()
    for index, length in enumerate(lengths):
        samples = 0.1 * torch.randn(1, length, generator=torch.Generator().manual_seed(index))
        SpatialAudio(samples, 16_000, "mono").save(folder / f"{index}.wav")
    return folder


def test_the_masked_error_falls_below_the_mean_spectrums(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    assert lines[-1]["ratio"] < 0.8 < 1 < lines[0]["ratio"]


def test_it_resumes_bit_equal(tmp_path: Path, trained: Path) -> None:
    resumed_at(trained, "checkpoint-20", tmp_path)
    run("--loop.output_dir", str(tmp_path), "--loop.resume", "true")
    assert weights(tmp_path) == weights(trained)
    first, again = (json.loads((f / "metrics.jsonl").read_text().splitlines()[-1]) for f in (trained, tmp_path))
    assert first["ratio"] == again["ratio"]  # the mean spectrum is resumed too


def test_encoder_and_classifier_load(trained: Path) -> None:
    folder = trained / "final"
    whole, encoder = AudioMAEForPreTraining.from_pretrained(folder), AudioMAEModel.from_pretrained(folder).eval()
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, whole.audio_mae.state_dict()[name]), name
    sound = SpatialAudio(0.1 * torch.randn(1, 40_000, generator=torch.Generator().manual_seed(0)), 16_000, "mono")
    inputs = AutoFeatureExtractor.from_pretrained(folder)(sound)
    heard = encoder(**inputs).pooler_output
    assert heard.shape == (1, 48) and torch.isfinite(heard).all()
    classifier = AudioMAEForAudioClassification.from_pretrained(folder, id2label=dict(enumerate("abc")))
    for name, value in classifier.audio_mae.state_dict().items():
        assert torch.equal(value, whole.audio_mae.state_dict()[name]), name
    assert classifier.eval()(**inputs).logits.shape == (1, 3)


def test_a_folder_of_any_lengths_and_bf16(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", (8_000, 41_000, 90_000))
    options = ("--data.clip_folder", str(folder), "--data.roll", "true", "--loop.mixed_precision", "bf16")
    run(*SHORT, *options, "--loop.output_dir", str(tmp_path / "out"))
    assert weights(tmp_path / "out")


def test_a_clip_shorter_than_a_frame_is_named(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", (8_000, 300))
    with pytest.raises(AudioValueError, match=r"clip 1\.wav: 300 samples are too few .* leave the file out"):
        run(*SHORT, "--data.clip_folder", str(folder), "--loop.output_dir", str(tmp_path / "out"))


def test_clips_of_a_worker_are_those_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(recipe_jobs.RECIPES)  # where a worker finds the recipe, which is no script here
    for workers in ("0", "1"):
        run(*SHORT, "--data.num_workers", workers, "--loop.output_dir", str(tmp_path / workers))
    assert weights(tmp_path / "0") == weights(tmp_path / "1")


def test_items_are_functions_of_their_key(tmp_path: Path) -> None:
    recipe = recipe_jobs.load("audio_mae_pretrain")
    config = recipe.load_config(recipe.Config, ["--config", str(TINY), "--data.procedural_seeds", "1"])
    model, extractor = recipe.build_model(config)
    clips = recipe.dry_clips(config.data, 16_000)

    def item(key: ItemKey, **changed: bool) -> dict[str, torch.Tensor]:
        data = recipe.Data(**changed)
        return recipe.Spectrograms(clips, extractor, model.config, data, seed=3)[key]

    first, again, later = item(ItemKey(0, 0)), item(ItemKey(0, 0)), item(ItemKey(1, 0))
    assert first["input_features"].shape == (1, 256, 32) and first["mask"].sum() == model.config.num_hidden == 103
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], later[name]) for name in first)
    louder = (first["input_features"] - item(ItemKey(0, 0), gain=False)["input_features"]) * 2 * extractor.std
    gain = np.exp(float(louder.median()) / 2)  # a power's logarithm
    assert 0.5 < gain < 1.5 and gain != pytest.approx(1, abs=1e-3)
    assert not torch.equal(item(ItemKey(0, 0), roll=True)["input_features"], first["input_features"])


def test_base_is_the_published_size() -> None:
    recipe = recipe_jobs.load("audio_mae_pretrain")
    config = recipe.load_config(recipe.Config, ["--config", str(TINY.with_name("base.yaml"))])
    recipe.check(config)
    with torch.device("meta"):
        model, extractor = recipe.build_model(config)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 136_336_128
    assert (extractor.num_frames, config.optim.lr, model.config.num_hidden) == (1024, 4e-4, 410)


@pytest.mark.parametrize(
    "options, message",
    [
        (("--model", "{hidden_sise: 24}"), r"model has hidden_sise: did you mean hidden_size\? known are"),
        (("--model", "{num_frames: 256}"), "so set num_frames in features"),
        (("--model", "{num_mel_bins: 32}"), "so set feature_size in features"),
        (("--model", "{decoder_attention: none}"), "decoder_attention is 'none'"),
        (("--features", "{sample_rate: 16000}"), r"features has sample_rate: did you mean sampling_rate\? known are"),
        (("--data.folds", "[a]"), "give clip_folder"),
        (("--data.procedural_seeds", "1000000001"), "those of unseen clips"),
        (("--data.procedural_seeds", "0"), "expected 1 to"),
        (("--batch_size", "1000"), "choose a smaller batch_size"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run("--loop.output_dir", str(tmp_path), *options)
