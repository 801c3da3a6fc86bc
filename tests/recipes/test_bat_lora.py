"""Training of BAT: resumed, stage after stage, with other ears, and on a foreign language model."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from spatial_audio_lm.errors import CheckpointError, ConfigError, DataError
from spatial_audio_lm.language.question_types import QUESTION_TYPES
from spatial_audio_lm.language.tokenizer import byte_tokenizer_from_texts
from spatial_audio_lm.models.bat.ear_bat import Ear
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.bat.processing_bat import BatProcessor
from spatial_audio_lm.models.checkpoints import checkpoint_folder
from spatial_audio_lm.models.dspast.configuration_dspast import DSpASTConfig
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization
from spatial_audio_lm.question_answering.question_files import write_training_questions
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.training.question_sets import SceneSounds, held_out_items, types_of_stage
from tests.data.spatial_sound_copy import write_copy
from tests.recipes import recipe_jobs
from tests.recipes.test_recipes import resumed_at, weights

run = partial(recipe_jobs.run, "bat_lora")
SCENES = 32


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with all its checkpoints, its scenes, and what was heard of them."""
    folder = tmp_path_factory.mktemp("trained")
    run("--loop.output_dir", str(folder), "--loop.keep_checkpoints", "9")
    return folder


@pytest.fixture(scope="module")
def scenes(trained: Path) -> tuple[str, ...]:
    """Options that name the scenes that are there already."""
    folder = trained / "scenes"
    return "--scenes.folder", str(folder), "--scenes.bank", str(folder / "bank")


@pytest.fixture(scope="module")
def heard(trained: Path, scenes: tuple[str, ...]) -> tuple[str, ...]:
    """The same, and what dspast-tiny hears of them."""
    return *scenes, "--cache", str(trained / "heard")


@pytest.fixture(scope="module")
def spatial_ast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another ear, with random weights."""
    folder = tmp_path_factory.mktemp("spatial_ast")
    extractor = SpatialASTFeatureExtractor(
        feature_size=32, sampling_rate=16_000, n_fft=512, frequency_max=8000.0, num_frames=208
    )
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_frames": 208}
    torch.manual_seed(0)
    config = SpatialASTConfig(features=extractor.features, num_mel_bins=32, num_labels=3, **sizes)
    SpatialASTForSoundEventLocalization(config).save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A foreign language model, which knows nothing of placeholders."""
    folder = tmp_path_factory.mktemp("language_model")
    tokenizer = byte_tokenizer_from_texts(["where is the dog?"])
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    torch.manual_seed(0)
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **special, **sizes)).save_pretrained(folder)
    return folder


def answer_of(folder: Path) -> str:
    """What a trained folder answers about noise."""
    model, processor = BatForConditionalGeneration.from_pretrained(folder), BatProcessor.from_pretrained(folder)
    noise = 0.1 * torch.randn(2, 12_000, generator=torch.Generator().manual_seed(0))
    rate = processor.feature_extractor.sampling_rate
    inputs = processor("Where is the dog?", SpatialAudio(noise, rate, "binaural"))
    generated = model.eval().generate(**inputs, max_new_tokens=4)
    (answer,) = processor.decode_answers(generated, inputs["input_ids"])
    return answer


def test_resumes_bit_equal_and_loads(tmp_path: Path, trained: Path, heard: tuple[str, ...]) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    run(*heard, "--loop.output_dir", str(whole), "--loop.keep_checkpoints", "9")
    resumed_at(whole, "checkpoint-2", again)
    run(*heard, "--loop.output_dir", str(again), "--loop.resume", "true")
    assert weights(whole) == weights(again) == weights(trained)
    assert isinstance(answer_of(whole / "final"), str)
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line["evaluation"] for line in lines if "evaluation" in line]
    assert len(evaluations) == 2 and evaluations[1]["loss"] < evaluations[0]["loss"]
    # what is saved on the way is what is trained: no ear
    names = (whole / "checkpoint-4" / "model.json").read_text()
    assert "projector" in names and "audio_encoder" not in names


def test_cache_holds_what_the_ear_hears(trained: Path, scenes: tuple[str, ...]) -> None:
    recipe = recipe_jobs.load("bat_lora")
    sounds = SceneSounds(scenes[1], "train", scenes[3])
    folder = str(checkpoint_folder("dspast-tiny"))
    heard = recipe.fill_hearing(trained / "heard", recipe.HearingPlan(folder, sounds, "readout_and_tokens"))
    ear = Ear.from_pretrained(folder, "readout_and_tokens")
    tokens = ear.encode(ear.features([sounds(5), sounds(30)])).hidden_states
    again = heard[[5, 30]]["audio_hidden_states"]
    assert len(heard) == SCENES and again.shape == tokens.shape == (2, 56, 384)  # a readout, 3 and 52 tokens
    torch.testing.assert_close(again, tokens, atol=0.05, rtol=2e-3)
    with pytest.raises(DataError, match="what another ear heard, or other recordings"):
        recipe.fill_hearing(trained / "heard", recipe.HearingPlan(folder, sounds, "readout"))


def test_without_a_cache_the_same_is_learned_but_for_rounding(
    tmp_path: Path, trained: Path, scenes: tuple[str, ...]
) -> None:
    run(*scenes, "--cached", "false", "--loop.output_dir", str(tmp_path))
    live, cached = (BatForConditionalGeneration.from_pretrained(f / "final") for f in (tmp_path, trained))
    for (name, first), second in zip(live.state_dict().items(), cached.state_dict().values(), strict=True):
        torch.testing.assert_close(first, second, atol=5e-3, rtol=5e-2, msg=name)


def test_stages_follow_each_other(tmp_path: Path, heard: tuple[str, ...]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run(*heard, "--stage", "1", "--loop.output_dir", str(first))
    begun = (*heard, "--stage", "2", "--init_from", str(first / "final"), "--loop.output_dir", str(second))
    with pytest.raises(ConfigError, match="another model than the settings say: num_query_tokens 4, not 8"):
        run(*begun, "--model", "{num_query_tokens: 8, hears: readout_and_tokens}")
    with pytest.raises(ConfigError, match=r"text_config\.hidden_size 32, not 48"):
        run(*begun, "--language.model", "{hidden_size: 48}")
    run(*begun, "--optim.lr", "1e-30")  # weights stay as they are
    before, after = (BatForConditionalGeneration.from_pretrained(f / "final") for f in (first, second))
    for (name, value), other in zip(before.state_dict().items(), after.state_dict().values(), strict=True):
        torch.testing.assert_close(value, other, atol=1e-7, rtol=0, msg=name)
    assert answer_of(first / "final") == answer_of(second / "final")


def test_a_stage_asks_its_types_and_new_questions_every_epoch(heard: tuple[str, ...]) -> None:
    recipe = recipe_jobs.load("bat_lora")
    config = recipe.load_config(recipe.Config, heard)
    asked: dict[int, list[str]] = {}
    for stage in (1, 2, 3):
        config.stage = stage
        questions = recipe.questions_of(config, 16_000)
        found = {questions.question(item, epoch).question_type for item in range(len(questions)) for epoch in range(9)}
        assert found <= set(types_of_stage(stage)) and len(found) == {1: 2, 2: 4, 3: 9}[stage]
        assert (len(questions) < SCENES) == (stage == 1)  # scenes of two sounds allow neither A nor B
        asked[stage] = [questions.question(3, epoch).question for epoch in range(8)]
        assert asked[stage] == [questions.question(3, epoch).question for epoch in range(8)]
    assert all(len(set(several)) > 4 for several in asked.values())
    assert types_of_stage(3) == tuple(QUESTION_TYPES)
    with pytest.raises(ConfigError, match="stage is 4"):
        types_of_stage(4)


def test_nothing_of_a_recording_that_is_held_out_is_trained_on(heard: tuple[str, ...]) -> None:
    recipe = recipe_jobs.load("bat_lora")
    questions = recipe.questions_of(recipe.load_config(recipe.Config, heard), 16_000)
    kept, held_out = held_out_items(questions, 0.25, 0)
    assert len(held_out) == 8 and sorted(kept + held_out) == list(range(len(questions)))
    assert (kept, held_out) == held_out_items(questions, 0.25, 0) != held_out_items(questions, 0.25, 1)
    assert held_out_items(questions, 0.0, 0) == (list(range(len(questions))), [])
    with pytest.raises(ConfigError, match="leaves none to train on"):
        held_out_items(questions, 0.99, 0)


def test_another_ear(tmp_path: Path, scenes: tuple[str, ...], spatial_ast: Path, trained: Path) -> None:
    run(*scenes, "--ear", str(spatial_ast), "--loop.output_dir", str(tmp_path), "--loop.steps", "1")
    model = BatForConditionalGeneration.from_pretrained(tmp_path / "final")
    assert model.config.audio_config.model_type == "spatial_ast" and model.config.hears == "readout_and_tokens"
    assert isinstance(answer_of(tmp_path / "final"), str)
    changed = (*scenes, "--ear", str(spatial_ast), "--init_from", str(trained / "final"))
    with pytest.raises(ConfigError, match="hears with another ear"):
        run(*changed, "--loop.output_dir", str(tmp_path / "changed"))


def test_adapter_on_a_foreign_language_model_resumes_bit_equal(
    tmp_path: Path, heard: tuple[str, ...], language_model: Path
) -> None:
    options = (*heard, "--language.name", str(language_model), "--language.model", "{}")
    options += ("--gradient_checkpointing", "true", "--loop.keep_checkpoints", "9")
    whole, again = tmp_path / "whole", tmp_path / "again"
    run(*options, "--loop.output_dir", str(whole))
    resumed_at(whole, "checkpoint-2", again)
    run(*options, "--loop.output_dir", str(again), "--loop.resume", "true")
    adapter = "final/language_adapter/adapter_model.safetensors"
    assert weights(whole) == weights(again)
    assert (whole / adapter).read_bytes() == (again / adapter).read_bytes()
    state = (whole / "checkpoint-4" / "model.json").read_text()
    assert "lora_A" in state and "embed_tokens" not in state  # what is frozen is not saved on the way
    model = BatForConditionalGeneration.from_pretrained(whole / "final")
    assert model.config.lora_rank == 8 and model.config.language_model_name_or_path == str(language_model)
    assert isinstance(answer_of(whole / "final"), str)
    part = recipe_jobs.load("bat_lora").TrainedPart(model)
    with pytest.raises(CheckpointError, match="another part of the model was trained"):
        part.load_state_dict({})


def test_spatial_sound_qa_as_it_stands(tmp_path: Path) -> None:
    """Recordings are rendered and heard while training; two questions about one recording are one recording."""
    copy = write_copy(tmp_path / "copy")
    clip, response = "balanced_train/audio/Y0", "house_a/0.npy"
    both = {"audio_id2": "balanced_train/audio/Y1", "reverb_id2": "house_b/1.npy"}
    questions = [
        SpatialQuestion(clip, "CLASSIFICATION", "What sounds?", "dog", response),
        SpatialQuestion(clip, "DOA", "Where is it?", "left, front, below; 2.5m", response),
        SpatialQuestion(clip, "MIXUP_DIRECTION", "Is it left of the cat?", "Yes", response, **both),
    ] * 3
    write_training_questions(copy, questions)
    extractor = DSpASTFeatureExtractor(feature_size=32, num_frames=48)
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_frames": 48}
    ear = tmp_path / "ear"
    DSpASTForSoundEventLocalization(
        DSpASTConfig(features=extractor.features, num_mel_bins=32, num_labels=3, **sizes)
    ).save_pretrained(ear)
    extractor.save_pretrained(ear)
    options = {
        "ear": ear,
        "published.folder": copy,
        "published.clips_folder": copy / "AudioSet",
        "published.responses_folder": copy / "mp3d_reverb/binaural",
        "published.duration_s": 0.4,
        "batch_size": 2,
        "held_out": 0.5,
        "cached": "false",
        "loop.output_dir": tmp_path / "out",
    }
    flat = tuple(str(part) for name, value in options.items() for part in (f"--{name}", value))
    run(*flat)
    assert isinstance(answer_of(tmp_path / "out" / "final"), str)
    recipe = recipe_jobs.load("bat_lora")
    for stage, count in ((1, 6), (2, 6), (3, 9)):
        found = recipe.questions_of(recipe.load_config(recipe.Config, [*flat, "--stage", str(stage)]), 32_000)
        assert len(found) == count and len(found.recordings) == (2 if stage == 3 else 1)
    (copy / "AudioSet" / f"{clip}.wav").unlink()
    with pytest.raises(DataError, match="need 1 files that are not there"):
        run(*flat)


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, language_model: Path) -> None:
    for options, message in (
        (("--optim.schedule", "steps"), "expected one of linear, cosine"),
        (("--language.name", str(language_model)), "language.model is of a language model of our own"),
        (("--batch_size", "0"), "must be at least 1"),
        (("--held_out", "1"), r"held_out is 1\.0; expected a share of the recordings from 0 to below 1"),
        (("--held_out", "-0.1"), r"held_out is -0\.1"),
        (("--stage", "4"), "stage is 4; expected one of 1, 2, 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(*options, "--loop.output_dir", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
