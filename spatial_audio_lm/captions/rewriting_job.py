"""Many captions rewritten, as a job that may be killed at any moment: shards in a folder.

    facts/shard-00000.jsonl      what each caption has to say; facts/facts.json last: how many, and one digest
    plan.json                    settings, and a digest of all that the results depend on
    shard-00000.parquet          the rewritten captions of facts/shard-00000.jsonl
    report.json, report.md       rates of acceptance and rejection
    complete.json                written last: one digest over all shards

Shard k is a pure function of (facts, settings, k). Started again with the same settings the job makes what is missing
and ends with the same bytes, over any number of processes or machines.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from spatial_audio_lm.captions.caption_sources import CaptionItem
from spatial_audio_lm.captions.checked_rewriting import CaptionChecker, RewritingSettings, rewrite_captions
from spatial_audio_lm.captions.engines import Engine
from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.prompts import PromptWriter
from spatial_audio_lm.errors import CheckpointError, ConfigError, DataError
from spatial_audio_lm.files import read_json, remove_unfinished, sha256_of_file, write_json, write_whole
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.simulation.worker_processes import start_worker

JOB_VERSION = 1  # to be raised when what is asked, read or checked changes: folders of before are refused then
_LONGEST = 64  # prompts that are measured before the job begins
_AT_ONCE = 64  # captions that an engine is given together

_PROBLEM = pa.struct([("reason", pa.string()), ("attribute", pa.string()), ("detail", pa.string())])
_REJECTED = pa.struct([("attempt", pa.int32()), ("text", pa.string()), ("reasons", pa.list_(_PROBLEM))])
RESULT_SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("id", pa.string()),
        ("caption", pa.string()),
        ("spatial_caption", pa.string()),
        ("attributes", pa.struct([(name, pa.string()) for name in ATTRIBUTE_WORDS])),
        ("source", pa.string()),
        ("attempts", pa.int32()),
        ("rejections", pa.list_(_REJECTED)),
    ]
)
"""Columns of the result."""


class EngineChoice(Protocol):
    """A language model that can be sent to another process and opened there: `EngineSettings`."""

    def open(self) -> Engine: ...

    def identity(self) -> dict[str, Any]: ...

    def check(self, prompts: list[str], max_tokens: int) -> None: ...


class CheckerChoice(Protocol):
    """A verifier that can be sent to another process and opened there: `CheckerSettings`."""

    def open(self) -> CaptionChecker: ...

    def identity(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class RewritingJob:
    """All that a job's results depend on, besides the captions, and its folder.

    Attributes:
        folder: of the results.
        engine: the language model.
        checker: of what it answers.
        rewriting: how captions are asked for.
        seed: of all chance.
        captions_per_shard: what a kill can cost, for each process.
    """

    folder: Path
    engine: EngineChoice
    checker: CheckerChoice
    rewriting: RewritingSettings = field(default_factory=RewritingSettings)
    seed: int = 0
    captions_per_shard: int = 200

    def __post_init__(self) -> None:
        if self.captions_per_shard < 1:
            raise ConfigError(f"captions_per_shard is {self.captions_per_shard}; expected at least 1")

    def plan(self) -> dict[str, Any]:
        """What the results depend on, besides the captions."""
        return {
            "version": JOB_VERSION,
            "engine": self.engine.identity(),
            "checker": self.checker.identity(),
            "rewriting": asdict(self.rewriting),
            "seed": self.seed,
            "captions_per_shard": self.captions_per_shard,
        }

    @property
    def num_captions(self) -> int:
        return int(read_json(self.folder / "facts" / "facts.json", error=DataError)["captions"])

    @property
    def num_shards(self) -> int:
        return -(-self.num_captions // self.captions_per_shard)

    def result(self, shard: int) -> Path:
        """The file of a shard's results."""
        return self.folder / f"shard-{shard:05d}.parquet"

    def facts(self, shard: int) -> Path:
        """The file of what a shard's captions have to say."""
        return self.folder / "facts" / f"shard-{shard:05d}.jsonl"


def begin_job(job: RewritingJob, items: Iterable[CaptionItem], max_left_out: float = 0.0) -> int:
    """Write down what is to be done, or check that the folder was begun for the same.

    Captions are all read, prompts written, and the longest measured by the model, before anything is rewritten.

    Args:
        job: where and how.
        items: captions with their facts, in order.
        max_left_out: largest share of captions that may be left out because of a problem of theirs.

    Returns:
        How many captions there are to rewrite.

    Raises:
        DataError: too many captions with a problem (the first is named), none without, or the folder is none or holds
            another job.
        MissingExtraError, CheckpointError, ConfigError: the model cannot be used, or its context is too small.
    """
    if job.folder.exists() and not job.folder.is_dir():
        raise DataError(f"{job.folder} is a file: give another output_dir")
    _require_same_plan(job)
    facts_file = job.folder / "facts" / "facts.json"
    begun = read_json(facts_file, error=DataError) if facts_file.exists() else None
    digest, count = hashlib.sha256(), 0
    left_out: list[dict[str, Any]] = []
    longest: list[str] = []
    for shard, lines in enumerate(_shards(job, items, left_out, longest)):
        data = "".join(lines).encode("utf-8")
        digest.update(data)
        count += len(lines)
        if begun is None:
            write_whole(job.facts(shard), data)
        if max_left_out == 0 and left_out:
            break
    if left_out and len(left_out) > max_left_out * (count + len(left_out)):
        raise DataError(
            f"{left_out[0]['problem']}. {len(left_out)} of the first {count + len(left_out)} captions cannot be "
            f"rewritten; put them right, or allow a share of them to be left out (max_left_out, now {max_left_out})"
        )
    if not count:
        raise DataError("no caption is left to rewrite")
    found = {"digest": digest.hexdigest(), "captions": count, "left_out": left_out}
    if begun is not None and begun != found:
        raise DataError(
            f"{job.folder} was begun with other captions or places ({begun.get('captions')} then, {count} now): give "
            "the same, or another output_dir"
        )
    if begun is None or any(not job.result(shard).exists() for shard in range(job.num_shards)):
        job.engine.check(longest, job.rewriting.sampling.max_tokens)
    if not (job.folder / "plan.json").exists():
        # Before facts.json: without it, facts of a run that was killed here would pass for those of other settings.
        write_json(job.folder / "plan.json", job.plan())
    if begun is None:
        write_json(facts_file, found)
    remove_unfinished(job.folder)
    remove_unfinished(job.folder / "facts")
    return count


def _require_same_plan(job: RewritingJob) -> None:
    path = job.folder / "plan.json"
    if not path.exists():
        return
    found, plan = read_json(path, error=DataError), json.loads(json.dumps(job.plan()))  # tuples as they come back
    if different := [name for name in plan if found.get(name) != plan[name]]:
        raise DataError(
            f"{job.folder} was begun with another {' and '.join(different)}: give the same settings, or another "
            "output_dir"
        )


def _shards(
    job: RewritingJob, items: Iterable[CaptionItem], left_out: list[dict[str, Any]], longest: list[str]
) -> Iterator[list[str]]:
    """Lines of each shard's facts; notes what is left out and the longest prompts on the way."""
    write = PromptWriter(job.rewriting.prompt, job.rewriting.chat_format)
    lines: list[str] = []
    for item in items:
        if item.facts is None:
            left_out.append({"number": item.number, "id": item.id, "problem": item.problem})
            continue
        longest.append(write(item.facts).text)
        if len(longest) > 16 * _LONGEST:
            _keep_longest(longest)
        said = {name: word for name, word in asdict(item.facts.attributes).items() if word}
        line = {"number": item.number, "id": item.id, "caption": item.facts.caption, "attributes": said}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
        if len(lines) == job.captions_per_shard:
            yield lines
            lines = []
    _keep_longest(longest)
    if lines:
        yield lines


def _keep_longest(prompts: list[str]) -> None:
    prompts[:] = sorted(prompts, key=lambda text: len(text.encode()))[-_LONGEST:]


def process_shard(shard: int, job: RewritingJob, engine: Engine, checker: CaptionChecker) -> bool:
    """Rewrite one shard unless it is there; returns whether there was work."""
    if job.result(shard).exists():
        return False
    lines = [json.loads(line) for line in job.facts(shard).read_text(encoding="utf-8").splitlines()]
    rows: list[dict[str, Any]] = []
    for first in range(0, len(lines), _AT_ONCE):
        batch = lines[first : first + _AT_ONCE]
        facts = [CaptionFacts(line["caption"], SpatialAttributes(**line["attributes"])) for line in batch]
        numbers = [line["number"] for line in batch]
        made = rewrite_captions(facts, numbers, engine, checker, job.rewriting, job.seed)
        rows += [
            {"number": line["number"], "id": line["id"], **result.to_dict()}
            for line, result in zip(batch, made, strict=True)
        ]
    table = pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)
    write_whole(job.result(shard), lambda path: pq.write_table(table, path))
    return True


def run_job(job: RewritingJob, num_processes: int = 1) -> None:
    """Make what is missing of a job that was begun, over processes of this machine, with a bar that knows the end.

    Raises:
        CheckpointError: a process died: the model ended it, or the machine's memory did.
        SpatialAudioError: what went wrong in a shard; finished ones are kept.
    """
    shards = range(job.num_shards)
    missing = [shard for shard in shards if not job.result(shard).exists()]
    bar = tqdm(total=job.num_captions, initial=_captions_of(job, len(shards) - len(missing)), desc="captions")
    with bar, ProcessPoolExecutor(num_processes, get_context("spawn"), _start, (job,)) as pool:
        waiting = [pool.submit(_process, shard) for shard in missing]
        try:
            for done in as_completed(waiting):
                bar.update(done.result())
        except BrokenProcessPool as error:
            raise CheckpointError(
                "a process that rewrote captions died, by a fault of the model's engine or for want of memory. "
                "The shards that are finished are kept: start again with the same settings, or with fewer processes"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def finish_job(job: RewritingJob) -> dict[str, Any]:
    """Check that every shard is there and write `complete.json`.

    Raises:
        DataError: a shard is missing.
    """
    digest, shards = hashlib.sha256(), dict[str, str]()
    for shard in range(job.num_shards):
        path = job.result(shard)
        if not path.exists():
            raise DataError(f"{path} is missing: run the job again with the same settings to make it")
        shards[path.name] = sha256_of_file(path)
        digest.update(shards[path.name].encode())
    complete = {"captions": job.num_captions, "sha256": digest.hexdigest(), "shards": shards}
    write_json(job.folder / "complete.json", complete)
    return complete


class ShardsOfRank:
    """A job's share of one of many tasks, as a step of a datatrove pipeline: rank k makes every n-th shard.

    Args:
        job: begun by `begin_job`, in a folder that all tasks see.
    """

    def __init__(self, job: RewritingJob):
        self.job = job

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        """Make the shards of a rank that are missing; documents that came in go out."""
        missing = [n for n in range(rank, self.job.num_shards, world_size) if not self.job.result(n).exists()]
        if missing:
            engine, checker = self.job.engine.open(), self.job.checker.open()
            for shard in missing:
                process_shard(shard, self.job, engine, checker)
        return data


@dataclass
class _Worker:
    """What a worker process opens once."""

    job: RewritingJob
    opened: tuple[Engine, CaptionChecker] | None = None


_worker: _Worker | None = None


def _start(job: RewritingJob) -> None:
    global _worker
    start_worker()
    _worker = _Worker(job)


def _process(shard: int) -> int:
    """One shard in a worker; how many captions it has."""
    assert _worker is not None
    job = _worker.job
    if _worker.opened is None:  # not where the process starts: an error there would not come back
        _worker.opened = (job.engine.open(), job.checker.open())
    process_shard(shard, job, *_worker.opened)
    return min(job.captions_per_shard, job.num_captions - shard * job.captions_per_shard)


def _captions_of(job: RewritingJob, num_shards: int) -> int:
    return min(num_shards * job.captions_per_shard, job.num_captions)
