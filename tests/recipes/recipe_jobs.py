"""Recipes as functions that a test can call, also in another process."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

RECIPES = Path(__file__).parents[2] / "recipes"


def load(name: str) -> ModuleType:
    """A recipe as a module."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and spawned workers look their module up
        spec.loader.exec_module(module)
    return sys.modules[name]


def run(name: str, *options: str) -> object:
    """Run a recipe with its tiny configuration and options on top."""
    recipe = load(name)
    config = RECIPES / "configs" / name / "tiny.yaml"
    return recipe.main(recipe.load_config(recipe.Config, ["--config", str(config), *options]))


def simulate(folder: str) -> None:
    """A small bank, one process."""
    run("simulate_rirs", "--output_dir", folder, "--bank.num_rooms", "12", "--num_processes", "1")


def train(folder: str, bank: str) -> None:
    """A small training that continues where it was."""
    run(
        "elsa_contrastive", "--loop.output_dir", folder, "--loop.resume", "true", "--data.bank", bank,
        "--loop.steps", "12", "--loop.save_every_steps", "3",
    )  # fmt: skip
