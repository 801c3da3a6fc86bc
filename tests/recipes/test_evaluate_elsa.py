"""The evaluation from configuration to files, with a model that has learned nothing."""

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import PreTrainedTokenizerFast

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.language.templates import training_words
from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.simulation.sounds import SOUND_KINDS, synthesize


@pytest.fixture(scope="module")
def recipe(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("evaluate_elsa", repository / "recipes" / "evaluate_elsa.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of a trained model, with random weights."""
    folder = tmp_path_factory.mktemp("untrained")
    words = ["[PAD]", "[UNK]", *sorted(training_words())]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    )
    text = {"model_type": "electra", "vocab_size": len(words), "embedding_size": 16, "hidden_size": 32}
    torch.manual_seed(0)
    model = ElsaModel(
        ElsaConfig.compact(
            text_config=text | {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        )
    )
    model.save_pretrained(folder)
    ElsaProcessor(ElsaFeatureExtractor.compact(), fast).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RirBank]:
    folder = tmp_path_factory.mktemp("banks")
    return {
        split: make_bank(folder / split, BankSettings(split=split, num_rooms=rooms))
        for split, rooms in (("test", 6), ("train", 6))
    }


def test_tiny_config_runs_and_writes_everything(recipe, checkpoint, repository, tmp_path, capsys):
    config = repository / "recipes" / "configs" / "evaluate_elsa" / "tiny.yaml"
    arguments = ["--config", str(config), "--checkpoint", str(checkpoint), "--output_dir", str(tmp_path)]
    measures = recipe.main(recipe.load_config(recipe.Config, arguments))

    by_key = {measure.key: measure for measure in measures}
    assert set(recipe.GOALS) <= set(by_key)
    assert by_key["class_balanced_accuracy"].value < 0.4  # it has learned nothing
    assert by_key["direction_balanced_accuracy"].beside["intensity vector"] > 0.8
    assert by_key["azimuth_mean_absolute_error_deg"].beside["intensity vector"] < 20
    assert by_key["azimuth_mean_absolute_error_deg"].value < 40  # it averages the intensity vectors evenly
    assert 0.5 <= by_key["size_balanced_accuracy"].beside["neighbour rule"] <= 1.0
    assert by_key["direction_given_without_one"].value == 0.0

    table = (tmp_path / "table.md").read_text()
    assert table in capsys.readouterr().out and "elevation up/down" in table
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results["measures"]) == len(measures)
    assert results["model-index"][0]["results"][0]["metrics"]
    text = (tmp_path / "results.json").read_text()
    assert str(tmp_path) not in text and str(checkpoint) not in text
    for name in ("class_confusion.png", "azimuth.png", "error_by_distance.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")

    # the records give the same sound again
    first = SceneRecord.from_dict(json.loads((tmp_path / "scenes.jsonl").read_text().splitlines()[5]))
    bank = RirBank(next(tmp_path.glob("rooms-test-*")))
    sounds = [render_scene(first, bank, ClipStore(None, bank.settings.sample_rate)) for _ in range(2)]
    assert torch.equal(sounds[0].waveform, sounds[1].waveform) and sounds[0].format == "foa"


def test_scenes_are_a_function_of_the_seed_and_take_turns(recipe, banks):
    clips, recording_of = recipe.unseen_clips(None, 4, 30, 16_000)
    assert len(clips) == 3 * len(SOUND_KINDS) and min(item.clip.seed for item in clips) >= recipe.FIRST_UNSEEN_SEED
    records, played = recipe.draw_scenes(clips, banks["test"], 30, 0)
    assert (records, played) == recipe.draw_scenes(clips, banks["test"], 30, 0)
    assert records != recipe.draw_scenes(clips, banks["test"], 30, 1)[0]
    classes = [record.sources[0].sound_class for record in records]
    assert sorted(classes[:14]) == sorted(SOUND_KINDS) and classes[14:28] == classes[:14]
    assert len({recording_of(item) for item in played}) == 30  # no clip twice before all have sounded
    for record, item in zip(records, played, strict=True):
        assert record.sources[0].events[0].clip == item.clip


def test_same_seed_same_files(recipe, checkpoint, banks, tmp_path):
    for name in ("first", "second"):
        config = recipe.Config(
            checkpoint=str(checkpoint),
            test_bank=str(banks["test"].folder),
            train_bank=str(banks["train"].folder),
            num_scenes=14,
            retrieval_draws=1,
            output_dir=str(tmp_path / name),
        )
        recipe.main(config)
    for name in ("results.json", "scenes.jsonl", "table.md", "azimuth.png"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert not list((tmp_path / "first").glob("rooms-*"))  # the given ones were taken


def test_the_packaged_model_answers_far_above_chance(recipe, banks, tmp_path):
    config = recipe.Config(
        test_bank=str(banks["test"].folder),
        train_bank=str(banks["train"].folder),
        num_scenes=70,
        output_dir=str(tmp_path),
    )
    reached = {measure.key: measure.value for measure in recipe.main(config)}
    assert reached["class_balanced_accuracy"] > 0.7
    assert reached["direction_balanced_accuracy"] > 0.85
    assert reached["azimuth_mean_absolute_error_deg"] < 15


def test_recordings_of_a_folder(recipe, banks, tmp_path):
    rows = []
    for number, (name, kind) in enumerate((("dog_bark", "clap"), ("rain", "wind"), ("rain", "wind"))):
        silence = torch.zeros(8_000)
        sound = torch.cat([silence, synthesize(kind, number, 16_000, 1.0), silence])
        SpatialAudio.from_array(sound[None], 16_000).save(tmp_path / f"{number}.wav")
        fold = 4 if number < 2 else 1
        rows.append({"file_name": f"{number}.wav", "class": name, "fold": fold, "freesound_id": 7 + number})
    with open(tmp_path / "metadata.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)

    clips, recording_of = recipe.unseen_clips(str(tmp_path), 4, 4, 16_000)
    assert [(item.sound_class, recording_of(item)) for item in clips] == [("dog_bark", "7"), ("rain", "8")]
    records, _ = recipe.draw_scenes(clips, banks["test"], 4, 0)
    audio = render_scene(records[3], banks["test"], ClipStore(tmp_path, 16_000))
    assert audio.waveform.shape == (4, 64_000) and records[3].noise
    with pytest.raises(DataError, match="9"):
        recipe.unseen_clips(str(tmp_path), 9, 4, 16_000)


def test_a_wrong_bank_is_refused(recipe, banks, tmp_path):
    wanted = BankSettings(split="test")
    assert len(recipe.bank_of_rooms(str(banks["test"].folder), tmp_path, wanted)) == 24
    with pytest.raises(ConfigError, match="split 'train'"):
        recipe.bank_of_rooms(str(banks["train"].folder), tmp_path, wanted)
    with pytest.raises(ConfigError, match="48000 Hz"):
        recipe.bank_of_rooms(str(banks["test"].folder), tmp_path, BankSettings(split="test", sample_rate=48_000))


def test_impossible_settings_are_refused(recipe):
    with pytest.raises(ConfigError, match="at least"):
        recipe.load_config(recipe.Config, ["--num_scenes", "1"])
    with pytest.raises(ConfigError, match="num_scenes"):
        recipe.load_config(recipe.Config, ["--num_scene", "5"])
