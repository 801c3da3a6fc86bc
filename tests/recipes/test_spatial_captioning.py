"""Training of the captioner: resumed, from scenes and from a user's data set, on a foreign language model, refused."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from spatial_audio_lm.errors import ChannelError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.language.tokenizer import byte_tokenizer_from_texts
from spatial_audio_lm.metrics.spatial_captions import read_caption
from spatial_audio_lm.models.spatial_captioner.ear_spatial_captioner import EmbeddingEar
from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
    SpatialCaptionerForConditionalGeneration,
)
from spatial_audio_lm.models.spatial_captioner.processing_spatial_captioner import SpatialCaptionerProcessor
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.training.caption_sets import held_out_recordings
from tests.models.captioner_cases import small_captioner
from tests.models.model_cases import noise
from tests.recipes import recipe_jobs
from tests.recipes.test_recipes import resumed_at, weights

run = partial(recipe_jobs.run, "spatial_captioning")
RATE = 16_000


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with all its checkpoints, its rooms, and what was heard of its scenes."""
    folder = tmp_path_factory.mktemp("trained")
    run("--loop.output_dir", str(folder), "--loop.keep_checkpoints", "9")
    return folder


@pytest.fixture(scope="module")
def heard(trained: Path) -> tuple[str, ...]:
    """Options that name the rooms and vectors that are there already."""
    return "--scenes.bank", str(trained / "bank"), "--cache", str(trained / "heard")


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A foreign language model."""
    folder = tmp_path_factory.mktemp("language_model")
    tokenizer = byte_tokenizer_from_texts(["a dog barking on the left"])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"n_embd": 24, "n_layer": 1, "n_head": 2, "n_positions": 96}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **special, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture
def data_set(tmp_path: Path) -> Callable[..., Path]:
    """An audio folder of eight recordings with captions in two columns."""

    def make(
        name: str = "set", channels: int = 4, rate: int = RATE, caption: str = "a dog barking on the left"
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        lines = ["file_name,class,caption_1,caption_2"]
        for number in range(8):
            sound = SpatialAudio.from_array(0.1 * noise(number, channels, 2 * rate), rate)
            sound.save(folder / f"{number}.wav")
            lines.append(f"{number}.wav,dog_bark,{caption if number == 5 else 'A dog barks to the left.'},")
        (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
        return folder

    return make


def caption_of(folder: Path) -> str:
    """What a trained folder says of noise."""
    model = SpatialCaptionerForConditionalGeneration.from_pretrained(folder)
    processor = SpatialCaptionerProcessor.from_pretrained(folder)
    inputs = processor(SpatialAudio.from_array(0.1 * noise(0, 4, 2 * RATE), RATE))
    (caption,) = processor.decode_captions(model.generate(**inputs, max_new_tokens=4))
    return caption


def test_resumes_bit_equal_and_loads(tmp_path: Path, trained: Path, heard: tuple[str, ...]) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    run(*heard, "--loop.output_dir", str(whole), "--loop.keep_checkpoints", "9")
    resumed_at(whole, "checkpoint-2", again)
    run(*heard, "--loop.output_dir", str(again), "--loop.resume", "true")
    assert weights(whole) == weights(again) == weights(trained)
    assert isinstance(caption_of(whole / "final"), str)
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line["evaluation"] for line in lines if "evaluation" in line]
    assert len(evaluations) == 2 and evaluations[1]["loss"] < evaluations[0]["loss"]
    assert 0 <= evaluations[1]["sound_right"] <= 1
    names = (trained / "checkpoint-4" / "model.json").read_text()  # what is trained alone: no ear
    assert "prefix_mapper" in names and "audio_encoder" not in names


def test_the_cache_holds_what_the_ear_hears(trained: Path, heard: tuple[str, ...]) -> None:
    recipe = recipe_jobs.load("spatial_captioning")
    config = recipe_jobs.RECIPES / "configs/spatial_captioning/tiny.yaml"
    captions = recipe.captions_of(recipe.load_config(recipe.Config, ["--config", str(config), *heard]), RATE)
    folder = str(recipe.checkpoint_folder("elsa-tiny"))
    vectors = recipe.fill_embeddings(trained / "heard", recipe.EmbeddingPlan(folder, captions.recordings))
    ear = EmbeddingEar.from_pretrained(folder)
    assert vectors.shape == (32, 256)
    for number in (3, 17):
        torch.testing.assert_close(vectors[number], ear.embed([captions.recordings(number)])[0], atol=1e-5, rtol=1e-4)
    with pytest.raises(DataError, match="embeddings of other recordings or of another ear"):
        recipe.fill_embeddings(trained / "heard", recipe.EmbeddingPlan(folder, captions.recordings, per_shard=7))


def test_several_processes_and_a_second_begin_give_the_same_vectors(
    tmp_path: Path, trained: Path, heard: tuple[str, ...]
) -> None:
    recipe = recipe_jobs.load("spatial_captioning")
    config = recipe_jobs.RECIPES / "configs/spatial_captioning/tiny.yaml"
    captions = recipe.captions_of(recipe.load_config(recipe.Config, ["--config", str(config), *heard]), RATE)
    folder = str(recipe.checkpoint_folder("elsa-tiny"))
    whole = recipe.fill_embeddings(trained / "heard", recipe.EmbeddingPlan(folder, captions.recordings))
    plan = recipe.EmbeddingPlan(folder, captions.recordings, per_shard=16)
    assert torch.equal(recipe.fill_embeddings(tmp_path, plan, num_processes=2), whole)
    before = (tmp_path / "shard-00001.safetensors").read_bytes()
    (tmp_path / "shard-00001.safetensors").unlink()
    assert torch.equal(recipe.fill_embeddings(tmp_path, plan), whole)
    assert (tmp_path / "shard-00001.safetensors").read_bytes() == before


def test_captions_are_true_and_new_in_every_epoch(heard: tuple[str, ...]) -> None:
    recipe = recipe_jobs.load("spatial_captioning")
    config = recipe_jobs.RECIPES / "configs/spatial_captioning/tiny.yaml"
    settings = recipe.load_config(recipe.Config, ["--config", str(config), *heard, "--scenes.mono_rate", "0.3"])
    captions = recipe.captions_of(settings, RATE)
    mono = 0
    for item in range(32):
        sound, attributes = captions.facts(item)
        texts = [captions.caption(item, epoch) for epoch in range(6)]
        assert texts == [captions.caption(item, epoch) for epoch in range(6)] and len(set(texts)) > 2
        for text in texts:
            said = read_caption(text)
            assert said.attributes == attributes and said.sounds == {recipe.answer_name(sound)}, text
        waveform = captions.recordings(item).waveform
        alike = bool(torch.equal(waveform, waveform[:1].expand(4, -1)))
        assert alike == (captions.recordings.plan.record(item)[1])
        mono += alike and all(value is None for value in vars(attributes).values())
    assert mono > 3
    settings.scenes.drop_rates = {"direction": 1.0}
    assert all(
        read_caption(recipe.captions_of(settings, RATE).caption(n, 0)).attributes.direction is None for n in range(9)
    )
    settings.scenes.drop_rates = {"loudness": 0.5}
    with pytest.raises(ConfigError, match=r"'loudness': 0.5.*expected probabilities of direction"):
        recipe.captions_of(settings, RATE)


def test_the_mapper_has_a_learning_rate_of_its_own() -> None:
    recipe = recipe_jobs.load("spatial_captioning")
    model = small_captioner(prefix_length=4, mapper="mlp")
    optim = recipe.Optim(lr=1e-3, mapper_lr_scale=10.0, weight_decay=0.5)
    name_of = {parameter: name for name, parameter in model.named_parameters() if parameter.requires_grad}
    met = set()
    for group in recipe.parameter_groups(model, optim):
        for parameter in group["params"]:
            name = name_of[parameter]
            met.add(name)
            assert group["lr"] == pytest.approx(1e-2 if name.startswith("prefix_mapper") else 1e-3), name
            assert group["weight_decay"] == (0.5 if parameter.ndim > 1 else 0.0), name
    assert met == set(name_of.values()) and len(met) > 10


def test_what_is_held_out_is_not_trained_on() -> None:
    kept, held_out = held_out_recordings(40, 0.25, 0)
    assert len(held_out) == 10 and sorted(kept + held_out) == list(range(40))
    assert (kept, held_out) == held_out_recordings(40, 0.25, 0) != held_out_recordings(40, 0.25, 1)
    assert held_out_recordings(40, 0.0, 0) == (list(range(40)), [])
    with pytest.raises(ConfigError, match="leaves none to train on"):
        held_out_recordings(40, 0.99, 0)


def test_a_users_data_set_on_a_foreign_language_model(
    tmp_path: Path, data_set: Callable[..., Path], language_model: Path
) -> None:
    folder = data_set(rate=24_000)  # resampled, and said
    options = ("--captioned.source", str(folder), "--captioned.columns", "[caption_1, caption_2]", "--batch_size", "4")
    options += ("--language.name", str(language_model), "--language.model", "{}", "--gradient_checkpointing", "true")
    options += ("--model", "{prefix_length: 3, mapper: mlp, freeze_language_model: true}", "--loop.steps", "2")
    run(*options, "--loop.output_dir", str(tmp_path / "out"))
    model = SpatialCaptionerForConditionalGeneration.from_pretrained(tmp_path / "out" / "final")
    assert model.config.prefix_length == 3 and model.prefix_mapper.layers[0].out_features == 36
    frozen = GPT2LMHeadModel.from_pretrained(language_model).state_dict()
    assert all(torch.equal(value, frozen[name]) for name, value in model.language_model.state_dict().items())
    assert isinstance(caption_of(tmp_path / "out" / "final"), str)
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    evaluation = next(json.loads(line)["evaluation"] for line in lines if "evaluation" in line)
    assert set(evaluation) == {"loss", "token_accuracy"}  # nobody knows what is true of these recordings


def test_data_sets_that_cannot_be_used(tmp_path: Path, data_set: Callable[..., Path]) -> None:
    def train(folder: Path, columns: str = "[caption_1]") -> None:
        name = str(tmp_path / f"out-{folder.name}")
        run("--captioned.source", str(folder), "--captioned.columns", columns, "--loop.output_dir", name)

    with pytest.raises(ChannelError, match=r"declared as foa: .*1 channel"):
        train(data_set("mono", channels=1))
    with pytest.raises(DataError, match=r"recording 5 of .* has no caption in caption_1, and 1 have none"):
        train(data_set("empty", caption=" "))
    with pytest.raises(DataError, match="lacks the columns caption; it has file_name, class, caption_1, caption_2"):
        train(data_set("column"), "[caption]")
    with pytest.raises(DataError, match="cannot be loaded"):
        train(tmp_path / "nowhere")


def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, language_model: Path, heard: tuple[str, ...]
) -> None:
    for options, message in (
        (("--optim.schedule", "steps"), "expected one of linear, cosine"),
        (("--language.name", str(language_model)), "language.model is of a language model of our own"),
        (("--batch_size", "0"), "must be at least 1"),
        (("--optim.mapper_lr_scale", "0"), "expected more than 0"),
        (("--scenes.procedural_seeds", "2000000000"), "are for tests"),
        (("--scenes.procedural_share", "0"), "no sound to place"),
        (("--model", "{prefix_length: 0}", *heard), "prefix_length is 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(*options, "--loop.output_dir", str(tmp_path / "out"))
    with pytest.raises(CheckpointError, match="is no folder"):
        run("--ear", str(tmp_path / "nothing"), "--loop.output_dir", str(tmp_path / "out"))
