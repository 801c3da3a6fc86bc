"""A part of a spatial data set (its training, its test) as a job that may be killed at any moment: shards in a folder.

    shards/<part>.plan.json       all that the part depends on
    originals/<part>/000000.flac  mono originals, trimmed: what the scenes play
    <part>/audio/000000-0.flac    first-order ambisonics, one file a scene
    shards/<part>-00000.digests   of the user's files, as they were read
    shards/<part>-00000.json      records and labels of the scenes of some clips, written after their sounds

Shard k is a pure function of (plan, k): started again with the same settings the job makes what is missing and ends
with the same bytes, over any number of processes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from spatial_audio_lm.data.captioned_clips import CaptionedClip
from spatial_audio_lm.data.dry_originals import Original, OriginalSettings, write_original
from spatial_audio_lm.data.list_entries import first_of
from spatial_audio_lm.data.source_digests import changed_files, write_digests
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

    def digests(self, index: int) -> Path:
        """The file that says what a shard was made of."""
        return self.shard(index).with_suffix(".digests")

    def is_made(self, index: int) -> bool:
        """Whether a shard is whole."""
        return self.shard(index).exists() and self.digests(index).exists()

    def clips_of(self, index: int) -> tuple[CaptionedClip, ...]:
        """The clips of a shard."""
        return self.clips[index * self.clips_per_shard : (index + 1) * self.clips_per_shard]

    def settings(self) -> dict[str, Any]:
        """What is not a place or a clip."""
        others = ("folder", "name", "audio_folder", "bank", "clips")
        return {key: value for key, value in asdict(replace(self, clips=())).items() if key not in others}


def begin_part(job: PartJob) -> None:
    """Write down what is made, or check that the folder was begun with the same.

    Raises:
        DataError: it was begun otherwise, or a file has changed since its scenes were made.
        BankError: rooms that are not heard in ambisonics.
    """
    bank = RirBank(job.bank)
    if bank.settings.receiver_format != "foa":
        raise BankError(
            f"{job.bank} is heard as {bank.settings.receiver_format}; a spatial data set wants first-order "
            "ambisonics: make a bank without heads (recipes/simulate_rirs.py)"
        )
    SceneSettings(duration_s=job.originals.min_s, gap_s=job.gap_s)  # raises before anything is written down
    parts = {"bank": bank.sha256, "clips": _digest(job.clips), **job.settings()}
    plan = json.loads(json.dumps(parts))  # tuples as they are read again
    path = job.folder / "shards" / f"{job.name}.plan.json"
    if not path.exists():
        write_json(path, plan)
        return
    for folder in (".", "shards", "scenes", "sentences", f"originals/{job.name}", job.name, f"{job.name}/audio"):
        remove_unfinished(job.folder / folder)
    found = read_json(path, error=DataError)
    if job.skip_unreadable and found.get("skip_unreadable") is False:
        # What is finished had no unreadable file: a job that one of them ended goes on without it.
        found["skip_unreadable"] = True
        write_json(path, found)
    if different := [name for name in plan if found.get(name) != plan[name]]:
        raise DataError(
            f"{path} was begun with other {', '.join(different)}: give the same settings, or another output_dir"
        )
    _require_unchanged(job)


def _digest(clips: tuple[CaptionedClip, ...]) -> str:
    """Of a list of clips as JSON, without a copy of it: there may be hundreds of thousands."""
    digest, separator = hashlib.sha256(b"["), b""
    for clip in clips:
        digest.update(separator + json.dumps(vars(clip)).encode())
        separator = b", "
    digest.update(b"]")
    return digest.hexdigest()


def _require_unchanged(job: PartJob) -> None:
    finished = [index for index in range(job.num_shards) if job.is_made(index)]
    changed = {index: changed_files(job.digests(index), job.audio_folder) for index in finished}
    if files := [name for names in changed.values() for name in names]:
        shards = [job.shard(index).name for index, names in changed.items() if names]
        raise DataError(
            f"{len(files)} files in {job.audio_folder} have changed since their scenes were made: {first_of(files)}. "
            f"Put them back, delete {first_of(shards)} in {job.folder / 'shards'} to make those scenes anew, or give "
            "another output_dir"
        )


def process_shard(index: int, job: PartJob, clips: tuple[CaptionedClip, ...]) -> bool:
    """Make one shard unless it is there; returns whether there was work.

    Args:
        index: of the shard.
        job: its own clips are not looked at.
        clips: of the shard.
    """
    if job.is_made(index):
        return False
    write_digests(job.digests(index), job.audio_folder, [clip.file_name for clip in clips])
    bank, store = _opened(job.bank), ClipStore(job.folder, _opened(job.bank).settings.sample_rate, cache_bytes=0)
    rows: list[dict[str, Any]] = []
    scenes: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    counts: Counter[str] = Counter()
    trimmed_s = 0.0
    for number, captioned in enumerate(clips, index * job.clips_per_shard):
        original = _original(job, number, captioned, left_out)
        trimmed_s += original.trimmed_s
        counts.update(mixed=original.mixed, scaled=original.scaled)
        if original.clip is None:
            left_out.setdefault(captioned.file_name, original.left_out or "")
            _remove_scenes(job, number)
            continue
        duration_s = _duration(original.clip, job.originals)
        length_s = original.clip.duration_s or 0.0
        counts.update(repeated=length_s < duration_s, cut=length_s > duration_s)
        for version in range(job.versions):
            record = _record(job, bank, original.clip, number, version, duration_s)
            name = _audio_name(job, number, version)
            render_scene(record, bank, store).save(job.folder / job.name / name)
            scenes.append(record.to_dict())
            rows.append(_row(job, captioned, original.clip, record, name))
    shard = {"rows": rows, "scenes": scenes, "left_out": left_out, "counts": dict(counts), "trimmed_s": trimmed_s}
    write_json(job.shard(index), shard, indent=None)
    return True


def run_part(job: PartJob, num_processes: int = 1) -> None:
    """Make what is missing of a part that was begun; raises what goes wrong, and keeps what is finished.

    Raises:
        DataError: a process died.
    """
    missing = [index for index in range(job.num_shards) if not job.is_made(index)]
    bar = tqdm(total=job.num_shards, initial=job.num_shards - len(missing), desc=job.name, unit="shard")
    with bar:
        if num_processes == 1:
            for index in missing:
                process_shard(index, job, job.clips_of(index))
                bar.update()
            return
        # A process is sent the clips of its shard alone: of hundreds of thousands it would else hold a copy.
        with ProcessPoolExecutor(num_processes, get_context("spawn"), _start, (replace(job, clips=()),)) as pool:
            try:
                for _ in pool.map(_process, missing, map(job.clips_of, missing)):
                    bar.update()
            except BrokenProcessPool as error:
                raise DataError(
                    "a process that made scenes died, most often for want of memory. The shards that are finished are "
                    "kept: start again with the same settings, or with fewer processes"
                ) from error


class _Worker:
    """The job of a worker process, without its clips."""

    job: PartJob


def _start(job: PartJob) -> None:
    start_worker()
    _Worker.job = job


def _process(index: int, clips: tuple[CaptionedClip, ...]) -> bool:
    return process_shard(index, _Worker.job, clips)


def part_shards(job: PartJob) -> Iterator[dict[str, Any]]:
    """What the shards of a finished part hold, in order, one at a time.

    Raises:
        DataError: one is missing, or (after the last) none has a scene.
    """
    scenes, reasons = 0, Counter[str]()
    for index in range(job.num_shards):
        if not job.is_made(index):
            raise DataError(f"{job.shard(index)} is missing: run the job again with the same settings to make it")
        shard = read_json(job.shard(index), max_bytes=1024**3, error=DataError)
        scenes += len(shard["rows"])
        reasons.update(shard["left_out"].values())
        yield shard
    if not scenes:
        raise DataError(f"{job.name}: no clip is left to be placed ({dict(reasons)}); see originals.min_s and short")


def _remove_scenes(job: PartJob, number: int) -> None:
    """What was made of a clip that has since been changed, and is left out now."""
    (job.folder / _original_name(job, number)).unlink(missing_ok=True)
    for version in range(job.versions):
        (job.folder / job.name / _audio_name(job, number, version)).unlink(missing_ok=True)


def _original_name(job: PartJob, number: int) -> str:
    return f"originals/{job.name}/{number:06d}.flac"


def _audio_name(job: PartJob, number: int, version: int) -> str:
    return f"audio/{_scene_id(job, number, version)}.{job.suffix}"


def _scene_id(job: PartJob, number: int, version: int) -> str:
    return f"{job.name}-{number:06d}-{version}"


def _original(job: PartJob, number: int, captioned: CaptionedClip, left_out: dict[str, str]) -> Original:
    path = job.audio_folder / captioned.file_name
    try:
        return write_original(path, job.folder, _original_name(job, number), job.originals)
    except _UNREADABLE as error:
        if not job.skip_unreadable:
            raise type(error)(str(error) if str(path) in str(error) else f"{path}: {error}") from error
        left_out[captioned.file_name] = f"unreadable: {error}"
        return Original()


def _duration(clip: Clip, settings: OriginalSettings) -> float:
    duration_s = max(clip.duration_s or 0.0, settings.min_s)
    return duration_s if settings.longest_s is None else min(duration_s, settings.longest_s)


def _record(job: PartJob, bank: RirBank, clip: Clip, number: int, version: int, duration_s: float) -> SceneRecord:
    settings = SceneSettings(duration_s=duration_s, gap_s=job.gap_s)
    index = number * job.versions + version
    drawn = sample_scene(settings, bank, {SOUND_CLASS: [clip]}, job.seed, index, SOUND_CLASS, 0)
    return replace(drawn, scene_id=_scene_id(job, number, version))


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
