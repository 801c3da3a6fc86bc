"""Every recipe runs with its tiny configuration, resumes exactly, and leaves a folder that loads."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModel, BertConfig, BertModel

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import sha256_of_file
from spatial_audio_lm.language.tokenizer import tokenizer_from_texts
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from tests import kill_resume
from tests.data.test_wordnet import DATA, LICENCE
from tests.recipes import recipe_jobs

CONFIGS = sorted(recipe_jobs.RECIPES.glob("configs/*/*.yaml"))


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> RirBank:
    return make_bank(tmp_path_factory.mktemp("banks") / "tiny", BankSettings(num_rooms=4, sources_per_room=2))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """A sentence encoder of BERT's family, small and untrained, with its tokenizer."""
    folder = tmp_path_factory.mktemp("teacher")
    tokenizer = tokenizer_from_texts(["a dog barking from the left", "the siren far away in a large room"] * 3)
    torch.manual_seed(0)
    sizes = {"hidden_size": 48, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wordnet")
    for part in ("noun", "verb", "adj", "adv"):
        (folder / f"index.{part}").write_text(LICENCE + "".join(f"{part}_{i} n 1\n" for i in range(300)))
        (folder / f"data.{part}").write_text(LICENCE + "".join(DATA.replace("dog", f"dog {i}") for i in range(300)))
    return folder


def weights(folder: Path) -> str:
    return sha256_of_file(folder / "final" / "model.safetensors")


def resumed_at(folder: Path, checkpoint: str, again: Path) -> None:
    """Let `again` be the training of `folder` as it stood at a checkpoint."""
    shutil.copytree(folder / checkpoint, again / checkpoint)


def test_every_configuration_is_read_by_its_recipe():
    assert len(CONFIGS) >= 8
    for path in CONFIGS:
        recipe = recipe_jobs.load(path.parent.name)
        config = recipe.load_config(recipe.Config, ["--config", str(path)])
        assert config == recipe.load_config(recipe.Config, ["--config", str(path)])
        first = path.read_text().splitlines()[0]
        assert first.startswith("# ") and f"recipes/{path.parent.name}.py" in path.read_text()
        assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_simulate_rirs_with_several_processes_gives_the_same_bytes(tmp_path):
    recipe_jobs.run("simulate_rirs", "--output_dir", str(tmp_path / "two"), "--num_processes", "2")
    recipe_jobs.run("simulate_rirs", "--output_dir", str(tmp_path / "one"), "--num_processes", "1")
    assert kill_resume.hashes(tmp_path / "one") == kill_resume.hashes(tmp_path / "two")
    assert len(RirBank(tmp_path / "two")) == 16


def test_killed_simulation_ends_bit_equal(tmp_path):
    begun = time.monotonic()
    recipe_jobs.simulate(str(tmp_path / "whole"))
    seconds = time.monotonic() - begun
    out = tmp_path / "killed"
    story = kill_resume.run_through_kills(recipe_jobs.simulate, (str(out),), out, 4, 1, seconds + 2)
    assert kill_resume.hashes(out) == kill_resume.hashes(tmp_path / "whole"), story


def test_elsa_resumes_bit_equal_and_loads(tmp_path, bank):
    out = tmp_path / "run"
    options = ("--data.bank", str(bank.folder), "--loop.keep_checkpoints", "9")
    recipe_jobs.run("elsa_contrastive", "--loop.output_dir", str(out), *options)
    resumed_at(out, "checkpoint-2", tmp_path / "again")
    recipe_jobs.run("elsa_contrastive", "--loop.output_dir", str(tmp_path / "again"), "--loop.resume", "true", *options)
    assert weights(out) == weights(tmp_path / "again")
    model, processor = ElsaModel.from_pretrained(out / "final"), ElsaProcessor.from_pretrained(out / "final")
    inputs = processor(text=["a bell"], audio=torch.randn(4, 64_000) * 0.1, sampling_rate=16_000)
    assert torch.isfinite(model.eval()(**inputs).logits_per_audio).all()


def test_killed_training_ends_bit_equal(tmp_path, bank):
    arguments = (str(bank.folder),)
    begun = time.monotonic()
    recipe_jobs.train(str(tmp_path / "whole"), *arguments)
    seconds = time.monotonic() - begun
    out = tmp_path / "killed"
    story = kill_resume.run_through_kills(recipe_jobs.train, (str(out), *arguments), out, 3, 2, seconds + 3)
    assert weights(out) == weights(tmp_path / "whole"), story


def test_elsa_trains_from_a_cache_as_from_live_scenes_but_for_rounding(tmp_path, bank):
    options = ("--data.bank", str(bank.folder), "--data.num_processes", "1")
    recipe_jobs.run("elsa_contrastive", "--loop.output_dir", str(tmp_path / "live"), *options)
    cache = ("--data.cache", str(tmp_path / "features"))
    recipe_jobs.run("elsa_contrastive", "--loop.output_dir", str(tmp_path / "cached"), *cache, *options)
    live, cached = (AutoModel.from_pretrained(tmp_path / name / "final") for name in ("live", "cached"))
    for (name, first), second in zip(live.state_dict().items(), cached.state_dict().values(), strict=True):
        torch.testing.assert_close(first.float(), second.float(), atol=2e-3, rtol=2e-2, msg=name)


@pytest.mark.parametrize("train_text", ["false", "true"])
def test_distilled_tower_goes_into_elsa(tmp_path, teacher, wordnet, bank, train_text):
    options = ("--teacher", str(teacher), "--data.wordnet", str(wordnet), "--student.embedding_size", "16")
    recipe_jobs.run("distill_text", "--loop.output_dir", str(tmp_path / "text"), *options)
    tower = tmp_path / "text" / "final"
    recipe_jobs.run(
        "elsa_contrastive", "--loop.output_dir", str(tmp_path / "elsa"), "--data.bank", str(bank.folder),
        "--text.tower", str(tower), "--text.train", train_text,
    )  # fmt: skip
    model = ElsaModel.from_pretrained(tmp_path / "elsa" / "final")
    distilled = AutoModel.from_pretrained(tower).state_dict()
    same = all(torch.equal(value, distilled[name]) for name, value in model.text_model.state_dict().items())
    assert same == (train_text == "false")


def test_noise_on_captions_is_another_training_and_resumes_bit_equal(tmp_path, bank):
    begun, noisy = tmp_path / "begun", tmp_path / "noisy"
    recipe_jobs.run("elsa_contrastive", "--loop.output_dir", str(begun), "--data.bank", str(bank.folder))
    options = ("--data.bank", str(bank.folder), "--loop.keep_checkpoints", "9", "--init_from", str(begun / "final"))
    options += ("--text.train", "false", "--model", "{}")
    recipe_jobs.run("elsa_contrastive", "--loop.output_dir", str(tmp_path / "plain"), *options)
    options += ("--text.noise", "1.0")
    recipe_jobs.run("elsa_contrastive", "--loop.output_dir", str(noisy), *options)
    resumed_at(noisy, "checkpoint-2", tmp_path / "again")
    recipe_jobs.run("elsa_contrastive", "--loop.output_dir", str(tmp_path / "again"), "--loop.resume", "true", *options)
    assert weights(noisy) == weights(tmp_path / "again") != weights(tmp_path / "plain")
    with pytest.raises(ConfigError, match="frozen"):
        recipe_jobs.run("elsa_contrastive", "--text.train", "true", "--text.noise", "1.0")


def test_distillation_resumes_bit_equal(tmp_path, teacher, wordnet):
    options = ("--teacher", str(teacher), "--data.wordnet", str(wordnet), "--student.embedding_size", "16")
    keep = ("--loop.keep_checkpoints", "9")
    recipe_jobs.run("distill_text", "--loop.output_dir", str(tmp_path / "a"), *options, *keep)
    resumed_at(tmp_path / "a", "checkpoint-2", tmp_path / "b")
    recipe_jobs.run("distill_text", "--loop.output_dir", str(tmp_path / "b"), "--loop.resume", "true", *options, *keep)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_student_begins_near_its_teacher(teacher):
    """Nearer with more columns and layers, and nearer than a student that was not built from its teacher."""
    recipe = recipe_jobs.load("distill_text")
    source = AutoModel.from_pretrained(teacher).eval()
    batch = {"input_ids": torch.randint(4, 30, (16, 9)), "attention_mask": torch.ones(16, 9, dtype=torch.long)}

    def loss(student: torch.nn.Module) -> float:
        return float(recipe.distillation_loss(recipe.Distiller(student).eval(), source, batch)[0])

    full = recipe.Student(embedding_size=40, teacher_layers=(0, 1, 2, 3, 4, 5), max_position_embeddings=64)
    small = recipe.Student(embedding_size=8, teacher_layers=(0, 2, 4), max_position_embeddings=64)
    built = recipe.build_student(source, full)
    stranger = type(built)(built.config)
    assert loss(built) < 0.05 < loss(recipe.build_student(source, small)) < 0.5 < loss(stranger)


def test_accelerate_launch_is_the_command(tmp_path, bank, repository):
    """The command of the documentation, typed as it stands there."""
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--cpu", "recipes/elsa_contrastive.py",
        "--config", "recipes/configs/elsa_contrastive/tiny.yaml", "--optim.lr", "1e-4",
        "--loop.output_dir", str(tmp_path), "--data.bank", str(bank.folder),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=repository,
        env=os.environ | {"ACCELERATE_USE_CPU": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "lr: 0.0001" in (tmp_path / "config.yaml").read_text()
    assert (tmp_path / "final" / "model.safetensors").is_file()
