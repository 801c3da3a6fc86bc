"""Put captioned sounds into rooms: ELSA's Spatial-Clotho, Spatial-AudioCaps, Spatial-Freesound from your own copies.

Devnani et al. (2024), section 3.2 and appendices A.1, A.2: silence is trimmed, short clips are repeated (or left out),
each training clip is heard in two rooms or more, those of a test in other rooms; the test has a small version of one
scene a clip and a large one of several.

    python recipes/make_spatial_dataset.py --config recipes/configs/make_spatial_dataset/tiny.yaml   (no data)
    python recipes/make_spatial_dataset.py --config recipes/configs/make_spatial_dataset/base.yaml --data CLOTHO
    python recipes/make_spatial_dataset.py --config recipes/configs/make_spatial_dataset/audiocaps.yaml --data AUDIOCAPS
    python recipes/make_spatial_dataset.py --config recipes/configs/make_spatial_dataset/freesound.yaml --data FREESOUND

Written to `output_dir`: <part>/audio/ (first-order ambisonics) with <part>/metadata.jsonl, an AudioFolder; originals/
(trimmed mono clips), scenes/<part>.jsonl (one `SceneRecord` a line, which renders its file again bit for bit),
sentences/<part>.jsonl (what recipes/rewrite_captions.py reads), README.md (the card), and complete.json last. The job
may be killed and started again with the same settings: shards that are there are kept, and the bytes are the same.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.plain_sentence import plain_sentence
from spatial_audio_lm.data.captioned_clips import CaptionedClip, CaptionedSource, present_clips, read_captioned_clips
from spatial_audio_lm.data.dry_originals import OriginalSettings
from spatial_audio_lm.data.list_entries import first_of
from spatial_audio_lm.data.spatial_dataset_card import spatial_dataset_card
from spatial_audio_lm.data.spatial_dataset_job import PartJob, begin_part, part_shards, run_part
from spatial_audio_lm.data.synthesised_captions import synthesised_source
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.files import sha256_of_file, write_json, write_whole
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.sounds import FIRST_UNSEEN_SEED
from spatial_audio_lm.training.config import load_config

SYNTHESISED_S = 1.2  # of sounds that are made where no data is given


@dataclass
class Part(CaptionedSource):
    """One part of the data set: its clips, and the rooms they are heard in."""

    name: str = "train"  # train, validation, test, test_small ...
    rooms: Literal["train", "validation", "test"] = "train"
    bank: str | None = None  # folder of a finished bank of that split (recipes/simulate_rirs.py); none: made here
    versions: int = 2  # scenes a clip
    rewritten: str | None = None  # folder of recipes/rewrite_captions.py; none: captions as `spatial_captions` says


@dataclass
class Config:
    name: str = "Spatial data set"
    output_dir: str = "runs/spatial_dataset"
    data: str | None = None  # what audio_folder and captions of the parts are relative to
    parts: list[Part] = field(default_factory=list)
    originals: OriginalSettings = field(default_factory=OriginalSettings)
    gap_s: tuple[float, float] = (0.0, 0.0)  # pause before a repetition of a short clip
    room_settings: BankSettings = field(default_factory=lambda: BankSettings(num_rooms=100))  # of rooms made here
    # plain: the caption, then place and room; templates: many wordings, for captions that are noun phrases
    spatial_captions: Literal["plain", "templates"] = "plain"
    audio_files: Literal["flac", "wav"] = "flac"  # 24 bits both
    skip_missing: bool = False  # files that the table names and the folder lacks
    skip_unreadable: bool = False  # files that are no sound, or have channels that `originals` refuses
    synthesised_clips: int = 6  # of a part without a source
    clips_per_shard: int = 100
    num_processes: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) < len(names) or not all(name.replace("_", "").isalnum() for name in names):
            raise ConfigError(
                f"parts are called {names}: expected one or more, each with a name of its own, in letters"
            )
        if reserved := {"originals", "scenes", "sentences", "shards"} & set(names):
            raise ConfigError(
                f"a part is called {sorted(reserved)[0]}: that folder has another use; choose another name"
            )
        if few := [part.name for part in self.parts if part.rooms == "train" and part.versions < 2]:
            raise ConfigError(f"{few[0]} has rooms of the training and one version a clip: give at least 2 versions")
        if (
            min([self.clips_per_shard, self.num_processes, self.synthesised_clips, *(p.versions for p in self.parts)])
            < 1
        ):
            raise ConfigError("versions, clips_per_shard, num_processes and synthesised_clips must be at least 1")


def bank_of(part: Part, config: Config) -> RirBank:
    """The bank that was given, or one made of `room_settings`."""
    if part.bank is None:
        folder = Path(config.output_dir) / "shards" / f"rooms-{part.rooms}"
        return make_bank(folder, replace(config.room_settings, split=part.rooms))
    bank = RirBank(part.bank)
    if bank.settings.split != part.rooms:
        raise ConfigError(f"{part.bank} holds rooms of split {bank.settings.split!r}; {part.name} wants {part.rooms!r}")
    return bank


def source_of(part: Part, config: Config, sample_rate: int) -> CaptionedSource:
    """The part's source with whole paths, or synthesised sounds, other ones for each split of the rooms."""
    if part.audio_folder is None or part.captions is None:
        first = 0 if part.rooms == "train" else FIRST_UNSEEN_SEED
        folder = Path(config.output_dir) / "shards" / f"synthesised-{part.rooms}"
        return synthesised_source(folder, config.synthesised_clips, first, sample_rate, SYNTHESISED_S)
    root = Path(config.data or ".")
    return replace(part, audio_folder=str(root / part.audio_folder), captions=str(root / part.captions))


def require_no_leak(clips: dict[str, tuple[str, str, Sequence[CaptionedClip]]]) -> None:
    """Refuses a file that is heard in parts of two splits.

    Raises:
        DataError: naming the parts and files.
    """
    heard: dict[str, tuple[str, str]] = {}
    for name, (split, folder, part_clips) in clips.items():
        both = [c.file_name for c in part_clips if heard.get(f"{folder}/{c.file_name}", (split,))[0] != split]
        if both:
            other = heard[f"{folder}/{both[0]}"][1]
            raise DataError(f"{len(both)} files are in {other} and in {name}, of two splits: {first_of(both)}")
        heard.update({f"{folder}/{clip.file_name}": (split, name) for clip in part_clips})


def spatial_captions_of(row: dict[str, Any], kind: str, generator: np.random.Generator) -> list[str]:
    """A scene's captions with its place and room, by rule."""
    said = SpatialAttributes(**{name: row[name] for name in ATTRIBUTE_WORDS})
    if kind == "templates":
        return [write_caption(caption, said, generator) for caption in row["captions"]]
    return [plain_sentence(CaptionFacts(caption, said)) for caption in row["captions"]]


def require_rewritten(folder: str | Path) -> None:
    """Refuses a folder in which captions are not yet rewritten."""
    if not (Path(folder) / "complete.json").is_file():
        raise DataError(f"{folder} has no complete.json: let recipes/rewrite_captions.py finish there first")


def rewritten_captions(folder: str | Path) -> dict[tuple[str, str], str]:
    """What recipes/rewrite_captions.py made, by scene and caption.

    Raises:
        DataError: it is not finished.
    """
    require_rewritten(folder)
    found: dict[tuple[str, str], str] = {}
    for path in sorted(Path(folder).glob("shard-*.parquet")):
        for row in pq.read_table(path, columns=["id", "caption", "spatial_caption"]).to_pylist():
            found[row["id"], row["caption"]] = row["spatial_caption"]
    return found


def how_rewritten(folder: str | Path) -> str:
    """Of how many captions a language model wrote, in words."""
    shards = sorted(Path(folder).glob("shard-*.parquet"))
    wrote = Counter(row["source"] for path in shards for row in pq.read_table(path, columns=["source"]).to_pylist())
    return f"{wrote['llm']} of {wrote.total()} rewritten by a language model, each checked, the others by rule"


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """JSON lines, one row in memory at a time."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)

    write_whole(path, write)


def captioned_rows(job: PartJob, part: Part, config: Config) -> Iterator[dict[str, Any]]:
    """The rows of a part whose sounds are there, with their spatial captions."""
    rewritten = None if part.rewritten is None else rewritten_captions(part.rewritten)
    rows = (row for shard in part_shards(job) for row in shard["rows"])
    for number, row in enumerate(rows):
        if rewritten is None:
            generator = np.random.default_rng([job.seed, number, 7])
            yield row | {"spatial_captions": spatial_captions_of(row, config.spatial_captions, generator)}
            continue
        keys = [(row["scene_id"], caption) for caption in row["captions"]]
        if lacking := [caption for caption in keys if caption not in rewritten]:
            raise DataError(f"{part.rewritten} has no caption of scene {lacking[0][0]} for {lacking[0][1]!r}")
        yield row | {"spatial_captions": [rewritten[key] for key in keys]}


def write_part(job: PartJob, part: Part, config: Config) -> dict[str, Any]:
    """The tables of a part whose sounds are there; returns what was counted. Shards are read one at a time."""
    write_lines(job.folder / "scenes" / f"{job.name}.jsonl", (s for shard in part_shards(job) for s in shard["scenes"]))
    sentences = (
        {"scene_id": row["scene_id"], "caption": caption}
        for shard in part_shards(job)
        for row in shard["rows"]
        for caption in row["captions"]
    )
    write_lines(job.folder / "sentences" / f"{job.name}.jsonl", sentences)
    write_lines(job.folder / job.name / "metadata.jsonl", captioned_rows(job, part, config))
    left_out: dict[str, str] = {}
    counts, licences = Counter[str](), Counter[str]()
    scenes, hours, trimmed_s = 0, 0.0, 0.0
    for shard in part_shards(job):
        left_out |= shard["left_out"]
        counts.update(shard["counts"])
        licences.update({row["source_file"]: row["licence"] for row in shard["rows"]}.values())  # one for each clip
        scenes += len(shard["rows"])
        hours += sum(row["duration_s"] for row in shard["rows"]) / 3600
        trimmed_s += shard["trimmed_s"]
    bank = RirBank(job.bank)
    return {
        "clips": licences.total(),
        "scenes": scenes,
        "hours": hours,
        "sample_rate": bank.settings.sample_rate,
        "versions": job.versions,
        "rooms": bank.settings.split,
        "bank": f"{bank.settings.num_rooms} rooms, SHA-256 {bank.sha256}",
        "licences": dict(licences),
        "left_out_files": left_out,
        "left_out": dict(Counter(reason.split(":")[0] for reason in left_out.values())),
        **{name: counts[name] for name in ("repeated", "cut", "mixed", "scaled")},
        "trimmed_s": trimmed_s,
        "originals": asdict(job.originals),
        "spatial_captions": how_rewritten(part.rewritten) if part.rewritten else config.spatial_captions,
    }


def main(config: Config) -> dict[str, Any]:
    folder = Path(config.output_dir)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: give another output_dir")
    for part in config.parts:
        if part.rewritten is not None:
            require_rewritten(part.rewritten)
    clips: dict[str, tuple[str, str, Sequence[CaptionedClip]]] = {}
    missing: dict[str, list[str]] = {}
    banks = {part.name: bank_of(part, config) for part in config.parts}
    for part in config.parts:
        source = source_of(part, config, banks[part.name].settings.sample_rate)
        audio = str(source.audio_folder)
        named = read_captioned_clips(source)
        present, missing[part.name] = present_clips(named, audio, config.skip_missing)
        clips[part.name] = (part.rooms, audio, present)
    require_no_leak(clips)
    jobs = []
    for number, part in enumerate(config.parts):
        job = PartJob(
            folder, part.name, Path(clips[part.name][1]), tuple(clips[part.name][2]), banks[part.name].folder,
            part.versions, config.originals, config.gap_s, config.audio_files, config.skip_unreadable,
            config.clips_per_shard, config.seed * len(config.parts) + number,
        )  # fmt: skip
        begin_part(job)
        jobs.append(job)
    (folder / "complete.json").unlink(missing_ok=True)
    summary: dict[str, Any] = {}
    for job, part in zip(jobs, config.parts, strict=True):
        run_part(job, config.num_processes)
        counted = write_part(job, part, config)
        gone = dict.fromkeys(missing[job.name], "missing")
        counted["left_out_files"] |= gone
        counted["left_out"] |= {"missing": len(gone)} if gone else {}
        summary[job.name] = counted
        print(f"{folder / job.name}: {counted['scenes']} scenes of {counted['clips']} clips, left out: "
              f"{counted['left_out'] or 'none'}")  # fmt: skip
    write_json(folder / "report.json", summary)
    command = "python recipes/make_spatial_dataset.py --config CONFIG --data DATA --output_dir FOLDER"
    write_whole(folder / "README.md", spatial_dataset_card(config.name, command, summary).encode("utf-8"))
    tables = [folder / job.name / "metadata.jsonl" for job in jobs] + [
        folder / "scenes" / f"{j.name}.jsonl" for j in jobs
    ]
    digests = {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in tables}
    digest = hashlib.sha256("".join(digests.values()).encode()).hexdigest()
    write_json(folder / "complete.json", {"sha256": digest, "tables": digests})
    return summary


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
