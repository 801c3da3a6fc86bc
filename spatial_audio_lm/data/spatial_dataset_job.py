"""A part of a spatial data set (its training, its test) as a job that may be killed at any moment: shards in a folder.

    shards/<part>.plan.json       all that the part depends on
    originals/<part>/000000.flac  mono originals, trimmed: what the scenes play
    <part>/audio/000000-0.flac    first-order ambisonics, one file a scene
    shards/<part>-00000.json      records and labels of the scenes of some clips, written after their sounds

Shard k is a pure function of (plan, k): started again with the same settings the job makes what is missing and ends
with the same bytes, over any number of processes.
"""

import hashlib
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from spatial_audio_lm.data.captioned_clips import CaptionedClip
from spatial_audio_lm.data.dry_originals import Original, OriginalSettings, write_original
from spatial_audio_lm.errors import AudioFileError, AudioValueError, BankError, ChannelError, DataError
from spatial_audio_lm.files import read_json, remove_unfinished, sha256_of_file, write_json
from spatial_audio_lm.language.attributes import spatial_attributes
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.records import Clip, SceneRecord
from spatial_audio_lm.simulation.rir_bank import RirBank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.simulation.worker_processes import start_worker

SOUND_CLASS = "captioned sound"  # of all sources: what sounds is said by captions, not by a class
_UNREADABLE = (AudioFileError, AudioValueError, ChannelError)


@dataclass(frozen=True)
class PartJob:
    """All that a part depends on, and where it lies.

    Attributes:
        folder: of the data set.
        name: of the part.
        audio_folder: of the clips.
        clips: in order; the number of a clip is its place here.
        bank: folder of the rooms.
        versions: scenes a clip, each in a room drawn anew.
        originals: what becomes of a file before it is placed.
        gap_s: pause before a repetition of a short clip, drawn between these.
        suffix: "flac" or "wav".
        skip_unreadable: leave out files that are no sound, named and counted, instead of ending.
        clips_per_shard: what a kill can cost, for each process.
        seed: of the scenes.
    """

    folder: Path
    name: str
    audio_folder: Path
    clips: tuple[CaptionedClip, ...]
    bank: Path
    versions: int = 1
    originals: OriginalSettings = field(default_factory=OriginalSettings)
    gap_s: tuple[float, float] = (0.0, 0.0)
    suffix: str = "flac"
    skip_unreadable: bool = False
    clips_per_shard: int = 100
    seed: int = 0

    @property
    def num_shards(self) -> int:
        return -(-len(self.clips) // self.clips_per_shard)

    def shard(self, index: int) -> Path:
        """The file that says that a shard is whole."""
        return self.folder / "shards" / f"{self.name}-{index:05d}.json"


def begin_part(job: PartJob) -> None:
    """Write down what is made, or check that the folder was begun with the same.

    Raises:
        DataError: it was begun otherwise.
        BankError: rooms that are not heard in ambisonics.
    """
    bank = RirBank(job.bank)
    if bank.settings.receiver_format != "foa":
        raise BankError(
            f"{job.bank} is heard as {bank.settings.receiver_format}; a spatial data set wants first-order "
            "ambisonics: make a bank without heads (recipes/simulate_rirs.py)"
        )
    settings = {k: v for k, v in asdict(job).items() if k not in ("folder", "name", "audio_folder", "bank", "clips")}
    clips = json.dumps([asdict(clip) for clip in job.clips]).encode()
    parts = {"bank": bank.sha256, "clips": hashlib.sha256(clips).hexdigest(), **settings}
    plan = json.loads(json.dumps(parts))  # tuples as they are read again
    path = job.folder / "shards" / f"{job.name}.plan.json"
    if not path.exists():
        write_json(path, plan)
        return
    for folder in (".", "shards", "scenes", "sentences", f"originals/{job.name}", job.name, f"{job.name}/audio"):
        remove_unfinished(job.folder / folder)
    found = read_json(path, error=DataError)
    if different := [name for name in plan if found.get(name) != plan[name]]:
        raise DataError(
            f"{path} was begun with other {', '.join(different)}: give the same settings, or another output_dir"
        )


def process_shard(index: int, job: PartJob) -> bool:
    """Make one shard unless it is there; returns whether there was work."""
    if job.shard(index).exists():
        return False
    bank, store = _opened(job.bank), ClipStore(job.folder, _opened(job.bank).settings.sample_rate, cache_bytes=0)
    first = index * job.clips_per_shard
    rows: list[dict[str, Any]] = []
    scenes: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    counts: Counter[str] = Counter()
    trimmed_s = 0.0
    for number in range(first, min(first + job.clips_per_shard, len(job.clips))):
        captioned = job.clips[number]
        original = _original(job, number, left_out)
        trimmed_s += original.trimmed_s
        counts.update(mixed=original.mixed, scaled=original.scaled)
        if original.clip is None:
            left_out.setdefault(captioned.file_name, original.left_out or "")
            continue
        duration_s = _duration(original.clip, job.originals)
        length_s = original.clip.duration_s or 0.0
        counts.update(repeated=length_s < duration_s, cut=length_s > duration_s)
        for version in range(job.versions):
            record = _record(job, bank, original.clip, number, version, duration_s)
            name = f"audio/{record.scene_id}.{job.suffix}"
            render_scene(record, bank, store).save(job.folder / job.name / name)
            scenes.append(record.to_dict())
            rows.append(_row(job, captioned, original.clip, record, name))
    shard = {"rows": rows, "scenes": scenes, "left_out": left_out, "counts": dict(counts), "trimmed_s": trimmed_s}
    write_json(job.shard(index), shard, indent=None)
    return True


def run_part(job: PartJob, num_processes: int = 1) -> None:
    """Make what is missing of a part that was begun; raises what goes wrong, and keeps what is finished."""
    missing = [index for index in range(job.num_shards) if not job.shard(index).exists()]
    bar = tqdm(total=job.num_shards, initial=job.num_shards - len(missing), desc=job.name, unit="shard")
    with bar:
        if num_processes == 1:
            for index in missing:
                process_shard(index, job)
                bar.update()
            return
        with ProcessPoolExecutor(num_processes, get_context("spawn"), _start, (job,)) as pool:
            for _ in pool.map(_process, missing):
                bar.update()


class _Worker:
    """The job of a worker process, which is sent there once: its clips may be hundreds of thousands."""

    job: PartJob


def _start(job: PartJob) -> None:
    start_worker()
    _Worker.job = job


def _process(index: int) -> bool:
    return process_shard(index, _Worker.job)


def part_shards(job: PartJob) -> list[dict[str, Any]]:
    """What the shards of a finished part hold, in order.

    Raises:
        DataError: one is missing, or none has a scene.
    """
    shards = []
    for index in range(job.num_shards):
        if not job.shard(index).exists():
            raise DataError(f"{job.shard(index)} is missing: run the job again with the same settings to make it")
        shards.append(read_json(job.shard(index), max_bytes=1024**3, error=DataError))
    if not any(shard["rows"] for shard in shards):
        reasons = Counter(reason for shard in shards for reason in shard["left_out"].values())
        raise DataError(f"{job.name}: no clip is left to be placed ({dict(reasons)}); see originals.min_s and short")
    return shards


def _original(job: PartJob, number: int, left_out: dict[str, str]) -> Original:
    captioned = job.clips[number]
    try:
        name = f"originals/{job.name}/{number:06d}.flac"
        return write_original(job.audio_folder / captioned.file_name, job.folder, name, job.originals)
    except _UNREADABLE as error:
        if not job.skip_unreadable:
            raise type(error)(f"{job.audio_folder / captioned.file_name}: {error}") from error
        left_out[captioned.file_name] = f"unreadable: {error}"
        return Original()


def _duration(clip: Clip, settings: OriginalSettings) -> float:
    duration_s = max(clip.duration_s or 0.0, settings.min_s)
    return duration_s if settings.longest_s is None else min(duration_s, settings.longest_s)


def _record(job: PartJob, bank: RirBank, clip: Clip, number: int, version: int, duration_s: float) -> SceneRecord:
    settings = SceneSettings(duration_s=duration_s, gap_s=job.gap_s)
    index = number * job.versions + version
    drawn = sample_scene(settings, bank, {SOUND_CLASS: [clip]}, job.seed, index, SOUND_CLASS, 0)
    return replace(drawn, scene_id=f"{job.name}-{number:06d}-{version}")


def _row(job: PartJob, captioned: CaptionedClip, clip: Clip, record: SceneRecord, name: str) -> dict[str, Any]:
    source, room = record.sources[0], record.room
    numbers = {
        "azimuth_deg": source.azimuth_deg,
        "elevation_deg": source.elevation_deg,
        "distance_m": source.distance_m,
        "floor_area_m2": room.floor_area_m2,
        "t30_s": room.t30_s,
    }
    return {
        "file_name": name,
        "scene_id": record.scene_id,
        "format": record.receiver.format,
        "sample_rate": record.sample_rate,
        "duration_s": record.duration_s,
        "sha256": sha256_of_file(job.folder / job.name / name),
        "original": clip.name,
        "source_file": captioned.file_name,
        "licence": captioned.licence,
        "captions": list(captioned.captions),
        **numbers,
        **asdict(spatial_attributes(**numbers)),
    }


@lru_cache(maxsize=1)
def _opened(folder: Path) -> RirBank:
    """The bank, read once a process."""
    return RirBank(folder)
