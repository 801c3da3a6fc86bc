"""The evaluation of encoders with two ears, from configuration to files, with models that have learned nothing."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import CheckpointError, ConfigError, DataError
from spatial_audio_lm.files import read_json, write_json
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.simulation.sounds import SOUND_KINDS, synthesize
from tests.recipes import recipe_jobs
from tests.simulation.sampled_heads import write_npz

RATE = 16_000
KINDS = [kind.replace("_", " ") for kind in SOUND_KINDS]
HEARD = {"feature_size": 32, "sampling_rate": RATE, "n_fft": 512, "frequency_max": 8000.0}
SIZES = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
BINAURAL: dict[str, Any] = {"receiver_format": "binaural", "elevations": "isotropic", "num_rooms": 4}
FILES = ("table.md", "results.json", "scenes.jsonl", "azimuth.png")
# (file, azimuth, room) of the measured responses; those of the hall are not asked for
RESPONSES = [
    ("left.wav", 90, "lab_a"),
    ("right.wav", -90, "lab_a"),
    ("half.wav", 30, "lab_b"),
    ("far.wav", -30, "hall"),
]


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    return recipe_jobs.load("evaluate_dspast")


def untrained(folder: Path, kind: str = "dspast", labels: Sequence[str] = KINDS, num_frames: int = 192) -> Path:
    """A folder like that of a trained model, with random weights."""
    make_config, make_model, make_extractor = recipe_jobs.load("dspast_train").ARCHITECTURES[kind]
    extractor = make_extractor(**HEARD, num_frames=num_frames)
    torch.manual_seed(0)
    sizes = {"features": extractor.features, "num_mel_bins": 32, "num_frames": num_frames, "head_init_std": 0.1} | SIZES
    make_model(make_config(id2label=dict(enumerate(labels)), **sizes)).save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("checkpoints") / "untrained")


@pytest.fixture(scope="module")
def unseen_rooms(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a bank of unseen rooms."""
    settings = BankSettings(split="test", heads=(HeadStore().record("sphere"),), **BINAURAL)
    return str(make_bank(tmp_path_factory.mktemp("banks") / "rooms", settings).folder)


def write_responses(folder: Path, **changes: str) -> Path:
    """Measured responses: a click that is earlier and louder at the nearer ear; cells of the first row changed."""
    rows = []
    for name, azimuth, room in RESPONSES:
        ears = np.zeros((2, 2000), np.float32)
        near, far = (0, 1) if azimuth > 0 else (1, 0)
        ears[near, 100], ears[far, 100 + abs(azimuth) // 3] = 0.8, 0.8 - abs(azimuth) / 200
        SpatialAudio.from_array(ears, 48_000, "binaural").save(folder / name)
        place = {"azimuth_deg": azimuth, "elevation_deg": 0, "distance_m": 1.5, "room": room, "licence": "CC0"}
        rows.append({"file_name": name, "format": "binaural", **place})
    SpatialAudio.from_array(np.full((1, 200), 0.5, np.float32), RATE, "mono").save(folder / "mono.wav")
    rows.append({**dict.fromkeys(rows[0], ""), "file_name": "mono.wav", "format": "mono", "room": "lab_a"})
    rows[0] |= changes
    with (folder / "rirs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


class LouderEar:
    """In place of the model: every sound comes from the louder ear's side. Keeps what it heard."""

    def __init__(self) -> None:
        self.sounds: list[Any] = []

    def __call__(self, model: Any, extractor: Any, sounds: Sequence[Any]) -> dict[str, Any]:
        self.sounds += sounds
        ears = [np.asarray(s["array"] if isinstance(s, dict) else s.waveform, np.float64) for s in sounds]
        left = np.array([np.square(pair[0]).sum() > np.square(pair[1]).sum() for pair in ears])
        zeros = np.zeros(len(sounds))
        place = {"azimuth_deg": np.where(left, 90.0, -90.0), "elevation_deg": zeros, "distance_m": zeros + 1.5}
        return {"event_logits": np.zeros((len(sounds), len(KINDS))), **place}


def test_tiny_config_runs_and_writes_everything(
    recipe: ModuleType,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "sphere_measured.npz")  # a file, whatever its name begins with
    rows = recipe_jobs.run(
        "evaluate_dspast", "--checkpoint", str(checkpoint), "--output_dir", str(tmp_path / "out"),
        "--heads", "[sphere, sphere_measured.npz]", "--name", "a model",
    )  # fmt: skip
    by_key = {measure.key: measure for measure in rows["simulated"]}
    assert by_key.keys() >= {"event_mean_average_precision", *recipe.GOALS} and "measured" not in rows
    assert by_key["event_accuracy"].value < 0.4  # it has learned nothing
    assert by_key["great_circle_mean_error_deg"].value > 45
    assert all(measure.goal is None for measure in rows["simulated"])  # goals are for recorded sounds

    out = tmp_path / "out"
    table = (out / "table.md").read_text()
    assert table in capsys.readouterr().out and table.startswith(
        "# a model: 28 scenes, synthesised sounds (seeds from "
    )
    assert "in 4 unseen simulated rooms" in table
    assert "## By azimuth sector" in table and "## By head" in table and "sphere_measured" in table
    results = read_json(out / "results.json")  # strict: no NaN, no key twice
    assert set(results["report"]["by_condition"]["head"]) == {"sphere", "sphere_measured"}
    assert results["settings"]["num_scenes"] == 28 and results["settings"]["name"] == "a model"
    assert results["model-index"][0]["name"] == "a model" and results["model-index"][0]["results"][0]["metrics"]
    assert len(results["measures"]["simulated"]) == len(rows["simulated"])
    weights = np.array(results["feature_weights"]["mean"])
    assert weights.shape == (3, 6) and (weights > 0).all() and (weights < 1).all()
    assert results["feature_weights"]["branches"] == ["distance", "direction", "event"]
    assert results["feature_weights"]["maps"][1:5] == ["log-mel right", "GCC-PHAT", "level ratio", "cos phase"]
    for text in ((out / "results.json").read_text(), (out / "scenes.jsonl").read_text(), table):
        assert str(tmp_path) not in text and str(checkpoint) not in text and "sphere_measured.npz" not in text
    assert (out / "azimuth.png").read_bytes().startswith(b"\x89PNG")


def test_records_give_what_was_heard_again(
    recipe: ModuleType, checkpoint: Path, unseen_rooms: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "hear", heard := LouderEar())
    config = recipe.Config(
        str(checkpoint), test_bank=unseen_rooms, num_scenes=14, batch_size=4, output_dir=str(tmp_path)
    )
    (measures,) = recipe.main(config).values()
    bank, store = RirBank(unseen_rooms), ClipStore(None, RATE)
    lines = (tmp_path / "scenes.jsonl").read_text().splitlines()
    assert len(lines) == len(heard.sounds) == 14
    for line, sound in zip(lines, heard.sounds, strict=True):
        again = render_scene(SceneRecord.from_dict(json.loads(line)), bank, store)
        assert torch.equal(again.waveform, sound.waveform) and again.format == sound.format == "binaural"
    side = next(measure for measure in measures if measure.key == "side_accuracy")
    assert side.value > 0.8 > side.beside["chance"]  # the truth is of the sound that was heard
    assert (
        not list(tmp_path.glob("rooms-test-*")) and not (tmp_path / "bank.json").exists()
    )  # the given ones were taken
    assert "feature_weights" not in read_json(tmp_path / "results.json")


@pytest.mark.parametrize("kind", ["dspast", "spatial_ast"])
def test_same_seed_same_files(recipe: ModuleType, unseen_rooms: str, tmp_path: Path, kind: str) -> None:
    folder = str(untrained(tmp_path / kind, kind))
    brirs = tmp_path / "brirs"
    brirs.mkdir()
    write_responses(brirs)
    common = {
        "test_bank": unseen_rooms,
        "brirs": str(brirs),
        "brirs_room": "lab",
        "clips_per_brir": 2,
        "num_scenes": 14,
    }
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        recipe.main(recipe.Config(folder, seed=seed, output_dir=str(tmp_path / name), **common))
    for name in FILES:
        first, second, third = ((tmp_path / run / name).read_bytes() for run in ("first", "second", "third"))
        assert first == second != third, name
    text = (tmp_path / "first" / "results.json").read_text()
    assert str(tmp_path) not in text and set(json.loads(text)["measures"]) == {"simulated", "measured"}
    assert ("feature_weights" in json.loads(text)) == (kind == "dspast")


def test_measured_rooms_are_heard_from_where_the_table_says(
    recipe: ModuleType, checkpoint: Path, unseen_rooms: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "hear", heard := LouderEar())
    write_responses(tmp_path)
    common = {"test_bank": unseen_rooms, "brirs": str(tmp_path), "clips_per_brir": 3, "num_scenes": 14, "batch_size": 5}
    config = recipe.Config(str(checkpoint), brirs_room="lab", output_dir=str(tmp_path / "out"), **common)
    measured = {measure.key: measure for measure in recipe.main(config)["measured"]}
    sounds = heard.sounds[14:]
    assert len(sounds) == 9 and all(sound["array"].shape == (2, 64_000) for sound in sounds)
    assert all(np.abs(sound["array"]).max() == pytest.approx(0.5) for sound in sounds)
    assert measured["side_accuracy"].value == 1.0 and measured["side_accuracy"].items == 9
    assert measured["great_circle_mean_error_deg"].value == pytest.approx(20.0)  # 0, 0 and 60 degrees, three times each
    assert measured["distance_error_rate"].value == 0.0
    assert "# untrained: measured binaural room responses" in (tmp_path / "out" / "table.md").read_text()
    # the response stands in the sound: the right ear hears 90 degrees on the left 0.625 ms later, and softer
    left, right = sounds[0]["array"].astype(np.float64)
    factor = (left[:-10] @ right[10:]) / (left[:-10] @ left[:-10])
    assert np.abs(right[10:] - factor * left[:-10]).max() < 0.02 and factor == pytest.approx(0.35 / 0.8, abs=0.01)


def test_recordings_of_a_folder_have_goals(recipe: ModuleType, unseen_rooms: str, tmp_path: Path) -> None:
    rows = []
    for number, (name, kind) in enumerate((("dog_bark", "clap"), ("rain", "wind"), ("rain", "wind"))):
        SpatialAudio.from_array(0.5 * synthesize(kind, number, RATE, 1.0)[None], RATE).save(tmp_path / f"{number}.wav")
        rows.append({"file_name": f"{number}.wav", "class": name, "fold": 4 if number < 2 else 1})
    with (tmp_path / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    write_responses(tmp_path)
    model = untrained(tmp_path / "model", labels=["siren", "dog bark", "rain"])
    config = recipe.Config(
        str(model), data=str(tmp_path), test_bank=unseen_rooms, num_scenes=6, brirs=str(tmp_path), clips_per_brir=1,
        output_dir=str(tmp_path / "out"),
    )  # fmt: skip
    measures = recipe.main(config)
    assert {m.key for m in measures["simulated"] if m.goal is not None} == set(recipe.GOALS)
    assert {m.key for m in measures["measured"] if m.goal is not None} == set(recipe.MEASURED_GOALS)
    assert "6 scenes, ESC-10 (fold 4)" in (tmp_path / "out" / "table.md").read_text()
    classes = {json.loads(line)["sources"][0]["sound_class"] for line in (tmp_path / "out/scenes.jsonl").open()}
    assert classes == {"dog_bark", "rain"}  # of the fold, and the siren is not asked for


def test_what_cannot_be_measured_is_refused_before_anything_is_made(
    recipe: ModuleType, checkpoint: Path, unseen_rooms: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def evaluate(folder: Path = checkpoint, **changes: Any) -> None:
        recipe.main(recipe.Config(**{"checkpoint": str(folder), "num_scenes": 14, "output_dir": str(out), **changes}))

    with pytest.raises(ConfigError, match=r"does not know alarm, bell, .*: it tells siren, dog bark apart"):
        evaluate(untrained(tmp_path / "others", labels=["siren", "dog bark"]))
    with pytest.raises(ConfigError, match=r"the scenes last 4 s, the model hears 2\.22 s at once: train"):
        evaluate(untrained(tmp_path / "brief", num_frames=96))
    elsa = tmp_path / "elsa"
    elsa.mkdir()
    write_json(elsa / "config.json", {"model_type": "elsa"})
    with pytest.raises(CheckpointError, match=r"a model of type 'elsa'; .* needs one of dspast, spatial_ast"):
        evaluate(elsa)
    with pytest.raises(CheckpointError, match="is no folder"):
        evaluate(tmp_path / "nothing")

    foa = make_bank(tmp_path / "foa", BankSettings(split="test", num_rooms=1, sources_per_room=1))
    with pytest.raises(ConfigError, match="is foa at 16000 Hz; the model hears binaural at 16000 Hz"):
        evaluate(test_bank=str(foa.folder))
    heads = (HeadStore().record("sphere"),)
    seen = make_bank(tmp_path / "seen", BankSettings(heads=heads, **{**BINAURAL, "num_rooms": 1}))
    with pytest.raises(ConfigError, match="holds rooms of split 'train'; 'test' is wanted"):
        evaluate(test_bank=str(seen.folder))
    with pytest.raises(DataError, match=r"ears\.sofa: no such file"):
        evaluate(heads=["ears.sofa"])

    brirs = tmp_path / "brirs"
    brirs.mkdir()
    with pytest.raises(DataError, match=r"has no rirs\.csv"):
        evaluate(brirs=str(brirs))
    write_responses(brirs)
    with pytest.raises(DataError, match="no binaural response of the room cellar"):
        evaluate(brirs=str(brirs), brirs_room="cellar")
    write_responses(brirs, distance_m="")
    with pytest.raises(DataError, match=r"does not say where the source of left\.wav was"):
        evaluate(brirs=str(brirs))
    write_responses(brirs, azimuth_deg="left")
    with pytest.raises(DataError, match=r"rirs\.csv:2: .*'left'; azimuth_deg, elevation_deg, distance_m are numbers"):
        evaluate(brirs=str(brirs))
    assert not out.exists()


@pytest.mark.parametrize("name", ["num_scenes", "num_rooms", "clips_per_brir", "batch_size"])
def test_impossible_settings_are_refused(recipe: ModuleType, name: str) -> None:
    with pytest.raises(ConfigError, match="must be at least 1"):
        recipe.load_config(recipe.Config, [f"--{name}", "0"])
