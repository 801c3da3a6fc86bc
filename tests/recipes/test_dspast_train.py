"""Training of DSpAST and SpatialAST: stage after stage, killed and resumed, from simulated scenes and SpatialSound."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from spatial_audio_lm.errors import CheckpointError, ConfigError, DataError
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.rir_bank import BankSettings, make_bank
from spatial_audio_lm.simulation.sounds import SOUND_KINDS
from tests.data.spatial_sound_copy import write_copy
from tests.recipes import recipe_jobs
from tests.recipes.test_recipes import resumed_at, weights

run = partial(recipe_jobs.run, "dspast_train")
SIZES = {"feature_size": 32, "sampling_rate": 16_000, "n_fft": 512, "frequency_max": 8000.0, "num_frames": 96}
SPATIAL_AST = ("--architecture", "spatial_ast", "--features", json.dumps(SIZES))
PUBLISHED_RATE = json.dumps({"features": ["log_mel", "gcc_phat"], "feature_size": 32, "num_frames": 48})
SMALL_BANK: dict[str, Any] = {"elevations": "isotropic", "num_rooms": 4, "sources_per_room": 2}


@pytest.fixture(scope="module")
def ingredients(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options that name a bank with two ears and a folder for the rendered scenes, which is filled once."""
    folder = tmp_path_factory.mktemp("ingredients")
    heads = (HeadStore().record("sphere"),)
    bank = make_bank(folder / "bank", BankSettings(receiver_format="binaural", heads=heads, **SMALL_BANK))
    return "--scenes.bank", str(bank.folder), "--scenes.cache", str(folder / "scenes")


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory: pytest.TempPathFactory, ingredients: tuple[str, ...]) -> Path:
    """A training of DSpAST with all its checkpoints."""
    folder = tmp_path_factory.mktemp("first_stage")
    run(*ingredients, "--loop.output_dir", str(folder), "--loop.keep_checkpoints", "9")
    return folder


@pytest.fixture(scope="module")
def spatial_sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options that name a small copy of SpatialSound, and a model for it."""
    root = write_copy(tmp_path_factory.mktemp("spatial_sound"))
    options = {
        "spatial_sound.root": root,
        "spatial_sound.duration_s": 0.5,
        "spatial_sound.response_duration_s": 0.05,
        "spatial_sound.weights_file": "AudioSet/metadata/weights/balanced_weight.csv",
        "samples_per_epoch": 2,
        "batch_size": 2,
        "features": PUBLISHED_RATE,
    }
    return tuple(str(part) for name, value in options.items() for part in (f"--{name}", value))


def answers_a_recording(folder: Path, architecture: str) -> None:
    """The folder loads with its feature extractor, and names one of the sounds it was trained on, and where."""
    make_model, make_extractor = recipe_jobs.load("dspast_train").ARCHITECTURES[architecture][1:]
    model, extractor = make_model.from_pretrained(folder).eval(), make_extractor.from_pretrained(folder)
    assert extractor.features == model.config.features and extractor.num_frames == model.config.num_frames == 96
    assert set(model.config.id2label.values()) == {kind.replace("_", " ") for kind in SOUND_KINDS}
    recording = SpatialAudio(
        0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0)), 16_000, "binaural"
    )
    mono = SpatialAudio(recording.waveform[:1].expand(2, -1).clone(), 16_000, "binaural")
    with torch.no_grad():
        (heard,), (alike,) = model.decode(model(**extractor([recording, mono])), threshold=1.0)
    assert heard.label in model.config.id2label.values() and 0 < heard.probability < 1
    assert -180 <= heard.azimuth_deg < 180 and -90 <= heard.elevation_deg <= 90 and 0 <= heard.distance_m <= 10
    assert alike.azimuth_deg is None and "both ears" in alike.no_direction_reason


def test_dspast_resumes_bit_equal_and_loads(tmp_path: Path, first_stage: Path, ingredients: tuple[str, ...]) -> None:
    resumed_at(first_stage, "checkpoint-2", tmp_path)
    run(*ingredients, "--loop.output_dir", str(tmp_path), "--loop.resume", "true")
    assert weights(tmp_path) == weights(first_stage)
    answers_a_recording(first_stage / "final", "dspast")


def test_spatial_ast_resumes_bit_equal_and_loads(tmp_path: Path, ingredients: tuple[str, ...]) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    run(*ingredients, *SPATIAL_AST, "--loop.output_dir", str(whole), "--loop.keep_checkpoints", "9")
    resumed_at(whole, "checkpoint-2", again)
    run(*ingredients, *SPATIAL_AST, "--loop.output_dir", str(again), "--loop.resume", "true")
    assert weights(whole) == weights(again)
    answers_a_recording(whole / "final", "spatial_ast")


def test_a_place_for_each_sound_begins_with_a_trained_model(
    tmp_path: Path, first_stage: Path, ingredients: tuple[str, ...]
) -> None:
    options = (
        *ingredients, "--architecture", "dspast_seld", "--init_from", str(first_stage / "final"), "--features", "{}",
        "--scenes.augmentation.mixup_rate", "1.0",
    )  # fmt: skip
    each = ("--model", '{"place_per_sound": true, "readout": "pooled", "drop_mel_patches": 0.0}')
    whole, again = tmp_path / "whole", tmp_path / "again"
    run(*options, *each, "--loop.output_dir", str(whole), "--loop.keep_checkpoints", "9")
    resumed_at(whole, "checkpoint-2", again)
    run(*options, *each, "--loop.output_dir", str(again), "--loop.resume", "true")
    assert weights(whole) == weights(again)
    answers_a_recording(whole / "final", "dspast_seld")
    with pytest.raises(ConfigError, match="place_per_sound is False"):
        run(*options, "--model", "{}", "--loop.output_dir", str(tmp_path / "none"))


def test_next_stage_begins_with_the_last_ones_weights(
    tmp_path: Path, first_stage: Path, ingredients: tuple[str, ...]
) -> None:
    """With a learning rate of nothing the weights stay; the settings that the stage changes do not."""
    changed = {"loss_weights": {"event": 7.0}, "mask_frames": 0, "drop_mel_patches": 0.0}
    run(
        *ingredients, "--loop.output_dir", str(tmp_path), "--init_from", str(first_stage / "final"),
        "--features", "{}", "--model", json.dumps(changed), "--optim.lr", "1e-30", "--loop.steps", "1",
    )  # fmt: skip
    before, after = (DSpASTForSoundEventLocalization.from_pretrained(f / "final") for f in (first_stage, tmp_path))
    trained = dict(after.named_parameters())
    for name, value in before.named_parameters():
        torch.testing.assert_close(trained[name], value, atol=1e-7, rtol=0, msg=name)
    assert after.config.loss_weights == {"event": 7.0, "distance": 2.0, "azimuth": 1.0, "elevation": 1.0}
    assert (after.config.mask_frames, after.config.mask_mels, after.config.drop_mel_patches) == (0, 8, 0.0)
    assert after.config.hidden_size == before.config.hidden_size == 24
    assert (tmp_path / "final" / "preprocessor_config.json").read_bytes() == (
        first_stage / "final" / "preprocessor_config.json"
    ).read_bytes()
    losses = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    parts = 7 * losses["event_loss"] + 2 * losses["distance_loss"] + losses["azimuth_loss"] + losses["elevation_loss"]
    assert losses["loss"] == pytest.approx(parts, rel=1e-4)


def test_a_stage_that_does_not_fit_is_refused(
    tmp_path: Path, first_stage: Path, ingredients: tuple[str, ...], spatial_sound: tuple[str, ...]
) -> None:
    begun = (*ingredients, "--loop.output_dir", str(tmp_path), "--init_from", str(first_stage / "final"))
    with pytest.raises(ConfigError, match="leave features empty"):
        run(*begun)
    begun += ("--features", "{}")
    with pytest.raises(CheckpointError, match="a checkpoint of dspast; expected one of spatial_ast"):
        run(*begun, "--model", "{}", "--architecture", "spatial_ast")
    with pytest.raises(ConfigError, match="batch_size is 1: batch norms"):
        run(*begun, "--model", "{}", "--batch_size", "1")
    with pytest.raises(ConfigError, match="mask_frames is -1"):
        run(*begun, "--model", "{mask_frames: -1}")
    with pytest.raises(ConfigError, match="SpatialSound has 32000 Hz, the model hears 16000"):
        run(*spatial_sound, *begun, "--model", "{}")
    recipe = recipe_jobs.load("dspast_train")
    config = recipe.Config(init_from=str(first_stage / "final"))
    labels = [kind.replace("_", " ") for kind in SOUND_KINDS]
    for others, message in (
        (["Speech", *labels[1:]], "Speech"),
        (labels[:3], f"{len(labels)} events apart, the data 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            recipe.build_model(config, others)


def test_events_that_nobody_has_named_get_the_datas_names(tmp_path: Path) -> None:
    """As those of a converted Audio-MAE; where their number differs, it is refused."""
    recipe = recipe_jobs.load("dspast_train")
    make_config, make_model, make_extractor = recipe.ARCHITECTURES["spatial_ast"]
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_frames": 96, "num_mel_bins": 32}
    begun = make_model(make_config(num_labels=3, **sizes))
    begun.save_pretrained(tmp_path)
    make_extractor(**SIZES).save_pretrained(tmp_path)
    config = recipe.Config("spatial_ast", init_from=str(tmp_path))
    model, extractor = recipe.build_model(config, ["bell", "siren", "horn"])
    assert model.config.id2label == {0: "bell", 1: "siren", 2: "horn"} and model.config.label2id["siren"] == 1
    assert torch.equal(model.event_head.weight, begun.event_head.weight) and extractor.num_frames == 96
    with pytest.raises(ConfigError, match=r"tells 3 events apart, the data 2; .*LABEL_0"):
        recipe.build_model(config, ["bell", "siren"])


def test_every_configuration_is_one_of_a_training() -> None:
    recipe = recipe_jobs.load("dspast_train")
    for path in (recipe_jobs.RECIPES / "configs" / "dspast_train").glob("*.yaml"):
        config = recipe.load_config(recipe.Config, ["--config", str(path)])
        recipe.check(config)
        make_config, _, make_extractor = recipe.ARCHITECTURES[config.architecture]
        extractor = make_extractor(**config.features)
        sizes = {"num_mel_bins": extractor.feature_size, "num_frames": extractor.num_frames}
        assert (
            make_config(**{"features": extractor.features, **sizes, **config.model}).num_frames == extractor.num_frames
        )
        assert config.optim.warmup_steps < config.loop.steps or path.stem == "tiny"
        if config.spatial_sound is None:
            assert config.scenes.settings.duration_s * extractor.sampling_rate <= extractor.max_samples


@pytest.mark.parametrize(
    "options, message",
    [
        (("--architecture", "beats"), "'beats'; expected one of dspast, dspast_seld, spatial_ast"),
        (("--model", "{hidden_sise: 24}"), r"model has hidden_sise: did you mean hidden_size\? known are"),
        (("--features", "{sample_rate: 16000}"), r"features has sample_rate: did you mean sampling_rate\? known are"),
        (("--scenes.procedural_share", "0"), "there is no clip_folder"),
        (("--scenes.procedural_seeds", "1000000001"), "are tests'"),
        (("--samples_per_epoch", "8"), "samples_per_epoch is of SpatialSound"),
        (("--samples_per_epoch", "8", "--spatial_sound.root", "no/copy"), "give spatial_sound.weights_file"),
        (("--spatial_sound.root", "no/copy"), "SpatialSound has 32000 Hz, the model hears 16000"),
        (("--architecture", "spatial_ast"), "levels between the ears need DSpAST"),
        (("--scenes.augmentation.mixup", "rooms"), "mixup"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, ingredients: tuple[str, ...], options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(*ingredients, "--loop.output_dir", str(tmp_path), *options)


def test_a_wrong_bank_is_refused(tmp_path: Path, ingredients: tuple[str, ...]) -> None:
    foa = make_bank(tmp_path / "foa", BankSettings(num_rooms=1, sources_per_room=1))
    with pytest.raises(ConfigError, match=r"the bank is foa at 16000 Hz, the model hears binaural at 16000 Hz: make"):
        run("--scenes.bank", str(foa.folder), "--loop.output_dir", str(tmp_path))
    with pytest.raises(ConfigError, match=r"the bank is binaural at 16000 Hz, the model hears binaural at 32000 Hz"):
        run(*ingredients, "--features", PUBLISHED_RATE, "--loop.output_dir", str(tmp_path))


def test_scenes_on_disk_and_in_another_process_are_those_in_memory(
    tmp_path: Path, first_stage: Path, ingredients: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(recipe_jobs.RECIPES)  # where a worker finds the recipe, which is no script here
    run(*ingredients, "--loop.output_dir", str(tmp_path), "--scenes.in_memory", "false", "--num_workers", "1")
    assert weights(tmp_path) == weights(first_stage)


def test_other_mixtures_are_other_trainings(tmp_path: Path, first_stage: Path, ingredients: tuple[str, ...]) -> None:
    found = {weights(first_stage)}
    for mixup in ("shared_rir", "none"):
        out = tmp_path / mixup
        run(*ingredients, "--loop.output_dir", str(out), "--scenes.augmentation.mixup", mixup)
        found.add(weights(out))
    assert len(found) == 3


def test_the_loops_seed_is_not_the_scenes(tmp_path: Path, first_stage: Path, ingredients: tuple[str, ...]) -> None:
    """Another model and other changes of the same rendered scenes; scenes of another seed need another folder."""
    run(*ingredients, "--loop.output_dir", str(tmp_path), "--loop.seed", "1")
    assert weights(tmp_path) != weights(first_stage)
    recipe = recipe_jobs.load("dspast_train")
    tiny = str(recipe_jobs.RECIPES / "configs" / "dspast_train" / "tiny.yaml")
    digests = []
    for option in ("--loop.seed=0", "--loop.seed=1", "--scenes.seed=1"):
        config = recipe.load_config(recipe.Config, ["--config", tiny, *ingredients, option])
        digests.append(recipe.scene_plan(config, 16_000)[0].digest())
    assert digests[0] == digests[1] != digests[2]
    assert digests[0] == json.loads((Path(ingredients[3]) / "plan.json").read_text())["digest"]
    with pytest.raises(DataError, match="other scenes or settings"):
        run(*ingredients, "--loop.output_dir", str(tmp_path), "--scenes.seed", "1")


def test_without_a_bank_a_small_one_is_made(tmp_path: Path) -> None:
    options = ("--loop.output_dir", str(tmp_path), "--scenes.num_scenes", "4", "--batch_size", "2", "--loop.steps", "1")
    run(*options)
    settings = json.loads((tmp_path / "bank" / "bank.json").read_text())["settings"]
    assert (settings["receiver_format"], settings["elevations"], settings["num_rooms"]) == ("binaural", "isotropic", 8)
    assert json.loads((tmp_path / "scenes" / "plan.json").read_text())["num_scenes"] == 4
    assert (tmp_path / "final" / "model.safetensors").is_file()


def test_spatial_sound_trains_alike_with_and_without_workers(tmp_path: Path, spatial_sound: tuple[str, ...]) -> None:
    for workers in ("0", "1"):
        run(*spatial_sound, "--num_workers", workers, "--loop.output_dir", str(tmp_path / workers))
    assert weights(tmp_path / "0") == weights(tmp_path / "1")
    assert not (tmp_path / "0" / "scenes").exists()  # nothing was simulated
    model = DSpASTForSoundEventLocalization.from_pretrained(tmp_path / "0" / "final")
    assert list(model.config.id2label.values()) == ["Speech", "Bell", "Knock, tap", "Siren"]
    first = json.loads((tmp_path / "0" / "metrics.jsonl").read_text().splitlines()[0])
    assert {"event_loss", "distance_loss", "azimuth_loss", "elevation_loss"} <= first.keys()
