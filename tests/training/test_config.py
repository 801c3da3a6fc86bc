"""Settings from YAML and the command line; whatever cannot be meant is refused with the nearest name."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import pytest

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.models.gram.configuration_gram import GramConfig
from spatial_audio_lm.training.config import MAY_CHANGE, as_dict, changed_keys, load_config, require_known, save_config
from spatial_audio_lm.training.loop_config import LoopConfig


@dataclasses.dataclass
class Optim:
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    kind: Literal["adamw", "sgd"] = "adamw"


@dataclasses.dataclass
class Recipe:
    name: str = "tiny"
    layers: int = 2
    sounds: list[str] = dataclasses.field(default_factory=list)
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    shares: dict[str, float] = dataclasses.field(default_factory=lambda: {"bell": 0.5, "rain": 0.5})
    data: str | None = dataclasses.field(default=None, metadata=MAY_CHANGE)
    optim: Optim = dataclasses.field(default_factory=Optim)
    teacher: Optim | None = None
    loop: LoopConfig = dataclasses.field(default_factory=LoopConfig)


@pytest.fixture
def from_yaml(tmp_path: Path):
    def load(text: str, *overrides: str) -> Recipe:
        (tmp_path / "recipe.yaml").write_text(text)
        return load_config(Recipe, ["--config", str(tmp_path / "recipe.yaml"), *overrides])

    return load


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(from_yaml):
    text = (
        "layers: 4\nsounds: [bell, rain]\noptim:\n  learning_rate: 1e-4\n  betas: [0.8, 0.95]\nteacher: {kind: sgd}\n"
    )
    found = from_yaml(text, "--optim.learning_rate", "3e-5", "--loop.steps=7", "--data", "somewhere")
    assert found == Recipe(
        layers=4,
        sounds=["bell", "rain"],
        data="somewhere",
        optim=Optim(learning_rate=3e-5, betas=(0.8, 0.95)),
        teacher=Optim(kind="sgd"),
        loop=LoopConfig(steps=7),
    )
    assert load_config(Recipe, []) == Recipe()


SIZES = "model: {hidden_size: 48, layers: 2, text: {size: 8, width: 3}}"


def test_one_key_of_a_dict_is_set_on_top_of_the_files(from_yaml, caplog: pytest.LogCaptureFixture):
    found = from_yaml(SIZES, "--model.hidden_size", "16", "--model.eps=1e-6", "--model.text.size", "4", "--layers", "3")
    assert found.model == {"hidden_size": 16, "layers": 2, "text": {"size": 4, "width": 3}, "eps": 1e-6}
    assert found.layers == 3 and not caplog.text
    assert from_yaml("layers: 4", "--model.sizes", "[1, 2]").model == {"sizes": [1, 2]}
    assert from_yaml("layers: 4", "--shares.bell", "0.25").shares == {"bell": 0.25, "rain": 0.5}
    assert Recipe().shares == {"bell": 0.5, "rain": 0.5}


def test_a_dict_given_whole_replaces_the_files_and_says_so(from_yaml, caplog: pytest.LogCaptureFixture):
    assert from_yaml(SIZES, "--model", "{hidden_size: 16}").model == {"hidden_size": 16}
    assert "--model gives the section whole: layers, text of it no longer count" in caplog.text
    assert from_yaml(SIZES, "--model={hidden_size: 16}", "--model.layers", "3").model == {
        "hidden_size": 16,
        "layers": 3,
    }
    assert from_yaml(SIZES, "--model", "{}").model == {}


def test_numbers_and_words_are_read_as_meant(from_yaml):
    found = from_yaml("name: no\nsounds: ['1', off, 2024-01-01]\noptim: {learning_rate: 1e-4}\ndata: null\n")
    assert (found.name, found.sounds, found.optim.learning_rate, found.data) == (
        "no",
        ["1", "off", "2024-01-01"],
        1e-4,
        None,
    )


def test_saved_settings_are_read_back(tmp_path: Path):
    config = Recipe(sounds=["a", "yes"], optim=Optim(learning_rate=1e-7), loop=LoopConfig(clip_norm=2.0))
    save_config(config, tmp_path / "config.yaml")
    assert load_config(Recipe, ["--config", str(tmp_path / "config.yaml")]) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer: 3", "unknown config key 'layer': did you mean 'layers'?"),
        ("optim: {learning_rat: 1}", "unknown config key 'optim.learning_rat': did you mean 'optim.learning_rate'?"),
        ("loop: {step: 1}", "unknown config key 'loop.step': did you mean 'loop.steps'?"),
        ("teacher: {beta: [1, 2]}", "unknown config key 'teacher.beta': did you mean 'teacher.betas'?"),
        ("optim: 3", "config key optim is a section with learning_rate, betas, kind, got 3"),
        ("layers: 2\nname: a\nlayers: 3", "recipe.yaml: line 3: key 'layers' appears twice"),
        ("optim:\n  kind: sgd\n  kind: adamw", "recipe.yaml: line 3: key 'kind' appears twice"),
        ("name: &x a\ndata: *x", "recipe.yaml: line 1: anchors and aliases are not read"),
        ("optim: {<<: {kind: sgd}}", "unknown config key 'optim.<<'"),
        ("name: !!python/object:os.system {}", "recipe.yaml: line 1: could not determine a constructor"),
        ("1: 2", "recipe.yaml: line 1: key 1 is not text"),
        ("- a", "expected keys and values, got list"),
        ("", "expected keys and values, got NoneType"),
        ("a: [", "recipe.yaml: line 1: expected the node content"),
        ("layers: two", 'config key "layers": expected a whole number, got two'),
        ("layers: 2.5", 'config key "layers": expected a whole number, got 2.5'),
        ("layers: true", 'config key "layers"'),
        ("optim: {kind: lamb}", "config key \"optim.kind\": expected one of 'adamw', 'sgd', got lamb"),
        ("loop: {clip_norm: x}", 'config key "loop.clip_norm": expected a number, or null, got x'),
        ("loop: {resume: 3}", 'config key "loop.resume": expected true or false, got 3'),
        ("sounds: 3", 'config key "sounds": expected a list, got 3'),
        ("loop: {steps: 0}", "steps is 0, expected at least 1"),
        ("loop: {clip_norm: -1}", "clip_norm is -1.0, expected more than 0"),
        ("a: " + "[" * 5000, "recipe.yaml"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(from_yaml, text: str, message: str):
    with pytest.raises(ConfigError) as error:
        from_yaml(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--layer", "3"], "unknown config key 'layer': did you mean 'layers'?"),
        (["--optim.lerning_rate", "3"], "unknown config key 'optim.lerning_rate': did you mean 'optim.learning_rate'?"),
        (["--optm.learning_rate", "3"], "did you mean 'optim'?"),
        (["--layers.x", "3"], "did you mean 'layers'?"),
        (["--optim", "other.yaml"], "optim is a section: set its keys, for example --optim.learning_rate"),
        (["--layers", "many"], 'config key "layers"'),
        (["--model", "3"], 'config key "model": expected keys and values, got 3'),
        (["--model.hidden_size"], "--model.hidden_size needs a value"),
        (["--model.hidden_size", "--layers", "2"], "--model.hidden_size needs a value"),
        (["--model.", "3"], "unknown config key 'model.'"),
        (["--model.a", "[1"], "model.a: expected ',' or ']'"),
        (["--model.a", "1", "--model.a.b", "2"], "--model.a.b sets a key in a, which is no section but 1"),
        (["--shares.bell", "much"], 'config key "shares": expected a number, got much'),
        (["--config", "/nowhere/missing.yaml"], "/nowhere/missing.yaml: No such file or directory"),
        (["stray"], "unrecognized arguments: stray"),
        (["--config"], "--config needs the path of a YAML file"),
        (["--config", "missing.yaml"], "missing.yaml: No such file or directory"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_refused(argv: list[str], message: str):
    with pytest.raises(ConfigError) as error:
        load_config(Recipe, argv)
    assert message in str(error.value)


def test_a_models_own_settings_are_known():
    known = GramConfig().to_dict()
    require_known("model", {"hidden_size": 24, "id2label": {}}, known)
    with pytest.raises(
        ConfigError, match=r"^model has hidden: did you mean hidden_size\? known are audio_format, "
    ) as error:
        require_known("model", {"hidden": 3}, known)
    assert "return_dict" not in str(error.value)
    with pytest.raises(ConfigError, match=r"^model has xyzzy: known are"):
        require_known("model", {"xyzzy": 3}, known)


@dataclasses.dataclass
class Numbers:
    weight_decay: float = 0.0
    waveform_lr: float | None = None


@dataclasses.dataclass
class Ranged:
    optim: Numbers = dataclasses.field(default_factory=Numbers)
    model: dict[str, Any] = dataclasses.field(default_factory=lambda: {"lr": -1})  # a model's own: not looked at
    num_threads: int | None = None
    batch_size: int = 1
    num_workers: int = 0


@pytest.mark.parametrize(
    ("key", "value", "least"),
    [
        ("optim.weight_decay", "-0.1", 0),
        ("optim.waveform_lr", "-1.0", 0),
        ("num_threads", "0", 1),
        ("batch_size", "-1", 1),
        ("num_workers", "-1", 0),
    ],
)
def test_numbers_that_no_recipe_can_mean_are_refused(key: str, value: str, least: int):
    assert load_config(Ranged, []) == Ranged()
    with pytest.raises(ConfigError, match=rf"^{key} is {value}; it must be at least {least}$"):
        load_config(Ranged, [f"--{key}={value}"])


def test_help_lists_every_key(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        load_config(Recipe, ["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--config", "--optim.learning_rate", "--loop.save_every_steps"))


def test_changed_settings_are_listed_except_those_that_may():
    saved = as_dict(Recipe(data="here", loop=LoopConfig(output_dir="a", seed=1)))
    now = Recipe(
        layers=3, data="there", optim=Optim(betas=(0.9, 0.9)), loop=LoopConfig(output_dir="b", seed=1, resume=True)
    )
    assert changed_keys(now, saved) == ["layers: 2 -> 3", "optim.betas: [0.9, 0.98] -> [0.9, 0.9]"]
    del saved["layers"]
    saved["old"] = None
    assert changed_keys(Recipe(loop=LoopConfig(seed=1)), saved) == ["layers: 'not set' -> 2", "old: None -> 'not set'"]
