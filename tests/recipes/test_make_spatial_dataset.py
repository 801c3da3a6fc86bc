"""Captioned sounds to a spatial data set: whole channels, other rooms for tests, records that render it again."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import load_dataset
from huggingface_hub import DatasetCard

from spatial_audio_lm.captions.caption_sources import SourceSettings, caption_items
from spatial_audio_lm.data.spatial_dataset import row_audio
from spatial_audio_lm.errors import AudioFileError, ChannelError, ConfigError, DataError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.question_answering.scene_recordings import read_scenes
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.scenes import render_scene
from tests import kill_resume
from tests.recipes import recipe_jobs

RATE = 16_000


def run(*options: str) -> object:
    return recipe_jobs.run("make_spatial_dataset", *options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set of the tiny configuration."""
    folder = tmp_path_factory.mktemp("set") / "tiny"
    run("--output_dir", str(folder))
    return folder


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> RirBank:
    return make_bank(tmp_path_factory.mktemp("bank") / "train", BankSettings(num_rooms=2, sources_per_room=2))


def rows_of(folder: Path, part: str) -> list[dict]:
    return [json.loads(line) for line in (folder / part / "metadata.jsonl").read_text().splitlines()]


def user_copy(folder: Path, files: dict[str, np.ndarray], captions: dict[str, list[str]]) -> Path:
    """Sounds and a table in AudioCaps' way: a row a caption."""
    for name, samples in files.items():
        SpatialAudio.from_array(samples.astype(np.float32), RATE).save(folder / "audio" / f"{name}.wav")
    with (folder / "captions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["youtube_id", "caption", "licence"])
        writer.writerows([name, text, "CC0"] for name, texts in captions.items() for text in texts)
    return folder


def tone(seconds: float, channels: int = 1, amplitude: float = 0.3) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return amplitude * np.stack([np.sin(2 * np.pi * 300 * (c + 1) * time) for c in range(channels)])


def options(data: Path, out: Path, bank: RirBank, **part: object) -> list[str]:
    settings = {
        "name": "train", "rooms": "train", "bank": str(bank.folder), "audio_folder": "audio",
        "captions": "captions.csv", "file_name": "{youtube_id}.wav", "licence_column": "licence",
    }  # fmt: skip
    return ["--parts", json.dumps([settings | part]), "--data", str(data), "--output_dir", str(out)]


def test_it_loads_with_its_channels_whole_and_each_record_renders_its_file(made: Path, tmp_path: Path) -> None:
    rows = load_dataset("json", data_files=str(made / "test/metadata.jsonl"), split="train", cache_dir=str(tmp_path))
    scenes = {scene.scene_id: scene for scene in read_scenes(made / "scenes" / "test.jsonl")}
    bank = RirBank(made / "shards" / "rooms-test")
    assert len(rows) == len(scenes) == 6 and read_json(made / "complete.json")["sha256"]
    for row in rows:
        audio = row_audio(made / "test", row)
        assert audio.format == "foa" and audio.num_channels == 4 and audio.sample_rate == row["sample_rate"]
        assert (audio.waveform[0] - audio.waveform[1]).abs().max() > 0.01  # four channels, not one four times
        again = render_scene(scenes[row["scene_id"]], bank, ClipStore(made, RATE))
        again.save(tmp_path / "again.flac")
        assert (tmp_path / "again.flac").read_bytes() == (made / "test" / row["file_name"]).read_bytes()
        original = SpatialAudio.load(made / row["original"], format="mono")
        assert original.duration_s == pytest.approx(row["duration_s"]) and original.duration_s >= 1.0


def test_parts_versions_and_rooms(made: Path) -> None:
    parts = {part: rows_of(made, part) for part in ("train", "test", "test_small")}
    report = read_json(made / "report.json")
    for part, rows in parts.items():
        sources = [row["source_file"] for row in rows]
        wanted = 1 if part == "test_small" else 2
        assert set(map(sources.count, sources)) == {wanted}
        assert len(set(sources)) + len(report[part]["left_out_files"]) == 4
        assert report[part]["trimmed_s"] > 4 * 0.49  # the silence that was put around the sounds
        assert all(len(row["spatial_captions"]) == len(row["captions"]) == 2 for row in rows)
        assert all(row["spatial_captions"][0].startswith(row["captions"][0]) for row in rows)
    assert {r["source_file"] for r in parts["test"]} == {r["source_file"] for r in parts["test_small"]}
    assert not {r["source_file"] for r in parts["test"]} & {r["source_file"] for r in parts["train"]}
    rooms = {part: {s.room for s in read_scenes(made / "scenes" / f"{part}.jsonl")} for part in parts}
    assert not rooms["train"] & (rooms["test"] | rooms["test_small"])
    card = (made / "README.md").read_text()
    assert DatasetCard(card).data.to_dict()["license"] == "apache-2.0" and "45 dB below" in card


def test_same_bytes_after_a_kill_and_over_processes(made: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    (again / "shards").mkdir(parents=True)
    for bank in ("rooms-train", "rooms-test"):
        shutil.copytree(made / "shards" / bank, again / "shards" / bank)
    story = kill_resume.run_through_kills(run, ("--output_dir", str(again)), again, kills=2, seed=1, run_s=1.0)
    assert story and kill_resume.hashes(again) == kill_resume.hashes(made)
    for path in (*again.glob("shards/t*-0000?.json"), *again.glob("*/audio/*1-*.flac"), again / "complete.json"):
        path.unlink()
    run("--output_dir", str(again), "--num_processes", "2")
    assert kill_resume.hashes(again) == kill_resume.hashes(made)


def test_what_is_left_out_is_named_and_counted(bank: RirBank, tmp_path: Path) -> None:
    silence = np.zeros((1, RATE))
    files = {
        "long": np.concatenate([silence, tone(4.5), silence, silence], axis=1),
        "short": np.concatenate([silence, tone(1.0), silence, silence, silence], axis=1),  # six seconds with silence
        "still": np.zeros((1, 5 * RATE)),
        "two": tone(4.2, channels=2),
    }
    captions = {"long": ["A tone.", "A steady tone"], "short": ["A beep"], "still": ["Silence"], "two": ["Two tones"]}
    data = user_copy(tmp_path / "data", files, captions | {"gone": ["A car"]})
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"lacks 1 of the 5 files that the table names: gone\.wav"):
        run(*options(data, out, bank))
    with pytest.raises(ChannelError, match=r"has 2 channels; a dry clip has one: set originals\.channels"):
        run(*options(data, out, bank), "--skip_missing", "true", "--originals.min_s", "4.0")
    shutil.rmtree(out)
    always = ("--skip_missing", "true", "--originals.min_s", "4.0", "--originals.channels", "first")
    run(*options(data, out, bank), *always)
    report = read_json(out / "report.json")["train"]
    assert report["left_out_files"] == {"short.wav": "short", "still.wav": "silent", "gone.wav": "missing"}
    assert (report["clips"], report["scenes"], report["mixed"], report["licences"]) == (2, 4, 1, {"CC0": 2})
    row = rows_of(out, "train")[0]
    assert row["captions"] == ["A tone.", "A steady tone"] and row["duration_s"] == pytest.approx(4.5, abs=0.05)
    assert "license: other" in (out / "README.md").read_text()
    # as in the paper, short ones are repeated instead; longer ones are heard in part
    repeated = tmp_path / "repeated"
    run(*options(data, repeated, bank), *always, "--originals.short", "repeat", "--originals.longest_s", "4.1")
    report = read_json(repeated / "report.json")["train"]
    assert (report["repeated"], report["cut"], report["clips"]) == (1, 2, 3)
    short = next(s for s in read_scenes(repeated / "scenes" / "train.jsonl") if len(s.sources[0].events) > 1)
    assert len(short.sources[0].events) == 4 and short.duration_s == 4.0
    with pytest.raises(DataError, match="was begun with other originals: give the same settings"):
        run(*options(data, repeated, bank), *always)
    # another threshold of silence keeps more
    quiet = tmp_path / "quiet"
    faint = np.concatenate([tone(2.0, amplitude=1e-4), tone(3.0), tone(2.0, amplitude=1e-4)], axis=1)
    data = user_copy(tmp_path / "faint", {"hum": faint}, {"hum": ["A hum"]})
    with pytest.raises(DataError, match=r"no clip is left to be placed \(\{'short': 1\}\)"):
        run(*options(data, quiet, bank), "--originals.min_s", "4.0")
    shutil.rmtree(quiet)
    run(*options(data, quiet, bank), "--originals.min_s", "4.0", "--originals.silence_db", "90", "--audio_files", "wav")
    assert row_audio(quiet / "train", rows_of(quiet, "train")[0]).num_channels == 4
    assert rows_of(quiet, "train")[0]["duration_s"] == pytest.approx(7.0, abs=0.05)


def test_a_file_that_changed_after_its_scenes_were_made_is_refused(bank: RirBank, tmp_path: Path) -> None:
    captions = {"a": ["A tone"], "b": ["A hum"]}
    data, out = user_copy(tmp_path / "data", {"a": tone(1.5), "b": tone(1.2)}, captions), tmp_path / "out"
    always = (*options(data, out, bank), "--originals.min_s", "1.0", "--clips_per_shard", "1")
    run(*always)
    before, written = kill_resume.hashes(out), (out / "shards" / "train-00000.digests").stat().st_mtime

    def rewrite(samples: np.ndarray) -> None:
        user_copy(data, {"a": samples}, captions)
        os.utime(data / "audio" / "a.wav", (written + 10, written + 10))

    rewrite(tone(1.5))  # newer, and the same
    run(*always)
    assert kill_resume.hashes(out) == before
    for changed in (tone(1.5, amplitude=0.2), tone(0.5)):
        rewrite(changed)
        fix = r"1 files in .*audio have changed .*: a\.wav\. Put them back, delete train-00000\.json in .*shards"
        with pytest.raises(DataError, match=fix):
            run(*always)
    assert kill_resume.hashes(out) == before
    (out / "shards" / "train-00000.json").unlink()
    run(*always)
    assert read_json(out / "report.json")["train"]["left_out_files"] == {"a.wav": "short"}
    assert {path.name for path in (out / "train" / "audio").iterdir()} == {
        Path(row["file_name"]).name for row in rows_of(out, "train")
    }
    (out / "shards" / "train-00001.digests").unlink()  # of what that shard was made nobody knows
    run(*always)
    assert (out / "shards" / "train-00001.digests").exists()


def test_an_unreadable_file_costs_nothing_that_was_made(bank: RirBank, tmp_path: Path) -> None:
    data = user_copy(tmp_path / "data", {"a": tone(1.5)}, {"a": ["A tone"], "torn": ["A hum"]})
    (data / "audio" / "torn.wav").write_bytes(b"RIFF and no more")
    out = tmp_path / "out"
    always = (*options(data, out, bank), "--originals.min_s", "1.0", "--clips_per_shard", "1")
    with pytest.raises(AudioFileError, match=r"torn\.wav"):
        run(*always)
    made = (out / "shards" / "train-00000.json").stat().st_mtime_ns
    run(*always, "--skip_unreadable", "true")
    assert (out / "shards" / "train-00000.json").stat().st_mtime_ns == made
    assert list(read_json(out / "report.json")["train"]["left_out_files"]) == ["torn.wav"]
    with pytest.raises(DataError, match="was begun with other skip_unreadable"):
        run(*always)


def test_captions_rewritten_elsewhere_are_joined_back(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    for part in ("train", "test", "test_small"):  # what rewrite_captions.py is given, and would write
        source = SourceSettings(
            str(out / "sentences" / f"{part}.jsonl"), id_column="scene_id", attributes="records",
            records=str(out / "scenes" / f"{part}.jsonl"), record_column="scene_id",
        )  # fmt: skip
        items = list(caption_items(source, 0))
        table = {"id": [i.id for i in items], "caption": [i.facts.caption for i in items if i.facts]}
        table["spatial_caption"] = [f"Rewritten: {text}" for text in table["caption"]]
        table["source"] = ["template", *["llm"] * (len(items) - 1)]
        (tmp_path / part).mkdir()
        pq.write_table(pa.table(table), tmp_path / part / "shard-00000.parquet")
    parts = [
        {"name": "train", "rooms": "train", "versions": 2, "rewritten": str(tmp_path / "train")},
        {"name": "test", "rooms": "test", "versions": 2, "rewritten": str(tmp_path / "test")},
        {"name": "test_small", "rooms": "test", "versions": 1, "rewritten": str(tmp_path / "test_small")},
    ]
    with pytest.raises(DataError, match=r"has no complete\.json: let recipes/rewrite_captions\.py finish"):
        run("--output_dir", str(out), "--parts", json.dumps(parts))
    for part in ("train", "test", "test_small"):
        (tmp_path / part / "complete.json").write_text("{}")
    run("--output_dir", str(out), "--parts", json.dumps(parts))
    for row in rows_of(out, "train"):
        assert row["spatial_captions"] == [f"Rewritten: {text}" for text in row["captions"]]
    count = sum(len(row["captions"]) for row in rows_of(out, "train"))
    said = f"`train`: {count - 1} of {count} rewritten by a language model, each checked, the others by rule."
    assert said in (out / "README.md").read_text()


def test_mono_where_ambisonics_are_declared_is_refused_with_the_fix(made: Path, tmp_path: Path) -> None:
    row = rows_of(made, "test")[0]
    mixed = row_audio(made / "test", row).waveform.mean(0)
    SpatialAudio.from_array(mixed, RATE).save(tmp_path / row["file_name"])
    fix = r"has 1 channel, where foa \(4 channels\) is declared.*without converting, or declare what they are"
    with pytest.raises(ChannelError, match=fix):
        row_audio(tmp_path, row)
    content = (tmp_path / row["file_name"]).read_bytes()
    with pytest.raises(ChannelError, match=fix):
        row_audio(tmp_path, {"format": "foa", "audio": {"bytes": content, "path": "a.flac"}})
    whole = (made / "test" / row["file_name"]).read_bytes()
    heard = row_audio(tmp_path, {"format": "foa", "audio": {"bytes": whole, "path": "a.flac"}})
    assert torch.equal(heard.waveform, row_audio(made / "test", row).waveform)
    with pytest.raises(DataError, match="no such recording"):
        row_audio(tmp_path / "elsewhere", row)


def test_what_cannot_be_made_is_refused(bank: RirBank, tmp_path: Path) -> None:
    data = user_copy(tmp_path / "data", {"a": tone(4.5)}, {"a": ["A tone"]})
    out = tmp_path / "out"
    for message, extra in (
        ("give at least 2 versions", options(data, out, bank, versions=1)),
        ("holds rooms of split 'train'; test wants 'test'", options(data, out, bank, name="test", rooms="test")),
        ("that folder has another use", options(data, out, bank, name="scenes")),
        ("belong together", options(data, out, bank, captions=None)),
    ):
        with pytest.raises(ConfigError, match=message):
            run(*extra)
    with pytest.raises(ConfigError, match=r"gap_s .* are ranges: low, high"):
        run(*options(data, out, bank), "--gap_s", "[3, 1]")
    assert not list(out.glob("shards/*.plan.json"))  # other settings are still free
    with pytest.raises(DataError, match=r"captions\.csv is a file: give another output_dir"):
        run(*options(data, data / "captions.csv", bank))
    leak = json.loads(options(data, out, bank)[1]) * 2
    leak[1] = leak[0] | {"name": "test", "rooms": "test", "bank": None}
    with pytest.raises(DataError, match=r"1 files are in train and in test, of two splits: a\.wav"):
        run("--parts", json.dumps(leak), "--data", str(data), "--output_dir", str(out))
    assert not (out / "complete.json").exists()
