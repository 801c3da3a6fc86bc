"""Jobs of many captions: the same bytes however they are run and killed, and a report that counts right."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from spatial_audio_lm.captions import rewriting_job
from spatial_audio_lm.captions.caption_sources import CaptionItem
from spatial_audio_lm.captions.rewriting_job import ShardsOfRank, begin_job, finish_job, run_job
from spatial_audio_lm.captions.rewriting_report import report_table, rewriting_report
from spatial_audio_lm.captions.verification import VerifierSettings
from spatial_audio_lm.errors import CheckpointError, ConfigError, DataError
from spatial_audio_lm.files import read_json, write_json
from tests import kill_resume
from tests.captions import rewriting_jobs
from tests.captions.rule_engine import RuleEngineChoice

COUNT, PER_SHARD = 110, 20


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A finished job, over two processes."""
    folder = tmp_path_factory.mktemp("jobs") / "made"
    rewriting_jobs.rewrite(str(folder), COUNT, PER_SHARD, 2)
    return folder


def rows_of(folder: Path) -> list[dict]:
    return [row for path in sorted(folder.glob("shard-*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_every_caption_is_there_once_and_in_order(made: Path) -> None:
    rows = rows_of(made)
    assert [row["number"] for row in rows] == list(range(COUNT))
    expected = list(rewriting_jobs.items(COUNT))
    assert [row["caption"] for row in rows] == [item.facts.caption for item in expected]
    assert [row["attributes"] for row in rows] == [vars(item.facts.attributes) for item in expected]
    assert {row["source"] for row in rows} == {"llm", "template"}
    assert all(len(row["rejections"]) == row["attempts"] - (row["source"] == "llm") for row in rows)


def test_ranks_of_many_machines_give_the_same_bytes_and_resume(made: Path, tmp_path: Path) -> None:
    job = rewriting_jobs.job(tmp_path, PER_SHARD)
    begin_job(job, rewriting_jobs.items(COUNT))
    for rank in (2, 0):  # rank 1 has not run yet
        assert ShardsOfRank(job)(["document"], rank, 3) == ["document"]
    with pytest.raises(DataError, match=r"shard-00001.parquet is missing: run the job again"):
        finish_job(job)
    before = kill_resume.hashes(tmp_path)
    begin_job(job, rewriting_jobs.items(COUNT))
    ShardsOfRank(job)(None)
    assert finish_job(job)["captions"] == COUNT
    assert kill_resume.hashes(tmp_path) == kill_resume.hashes(made)
    assert before.items() <= kill_resume.hashes(made).items()


def test_a_job_that_was_finished_does_nothing_more(made: Path) -> None:
    before = kill_resume.listing(made)
    job = rewriting_jobs.job(made, PER_SHARD)
    begin_job(job, rewriting_jobs.items(COUNT))
    run_job(job)
    assert kill_resume.listing(made) == before


def test_the_result_loads_as_a_data_set(made: Path, tmp_path: Path) -> None:
    data = datasets.load_dataset(
        "parquet", data_files=str(made / "shard-*.parquet"), split="train", cache_dir=str(tmp_path)
    )
    assert data.num_rows == COUNT and data.to_list() == rows_of(made)


def test_another_job_in_the_same_folder_is_refused(made: Path) -> None:
    before = kill_resume.hashes(made)
    job = rewriting_jobs.job(made, PER_SHARD)
    checker = replace(job.checker, settings=VerifierSettings(min_recall=0.5))
    for other, message in (
        (replace(job, seed=4), "begun with another seed: give the same settings"),
        (replace(job, engine=RuleEngineChoice("another")), "another engine"),
        (replace(job, checker=checker), "another checker"),
        (replace(job, rewriting=replace(job.rewriting, attempts=3)), "another rewriting"),
    ):
        with pytest.raises(DataError, match=message):
            begin_job(other, rewriting_jobs.items(COUNT))
    for items in (rewriting_jobs.items(COUNT - 1), rewriting_jobs.items(COUNT, first=1)):
        with pytest.raises(DataError, match=r"begun with other captions or places \(110 then"):
            begin_job(job, items)
    assert kill_resume.hashes(made) == before


def test_facts_without_a_plan_are_not_taken_for_those_of_other_settings(tmp_path: Path, monkeypatch) -> None:
    class Killed(BaseException):
        pass

    def killed(path: Path, *arguments: object) -> None:
        write_json(path, *arguments)
        if path.name == "plan.json":
            raise Killed

    monkeypatch.setattr(rewriting_job, "write_json", killed)
    with pytest.raises(Killed):  # while the job is written down, after its plan
        begin_job(rewriting_jobs.job(tmp_path, PER_SHARD), rewriting_jobs.items(COUNT))
    monkeypatch.undo()
    with pytest.raises(DataError, match="begun with another captions_per_shard"):
        begin_job(rewriting_jobs.job(tmp_path, 2 * PER_SHARD), rewriting_jobs.items(COUNT))
    assert begin_job(rewriting_jobs.job(tmp_path, PER_SHARD), rewriting_jobs.items(COUNT)) == COUNT


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "job").touch()
    with pytest.raises(DataError, match="job is a file: give another output_dir"):
        begin_job(rewriting_jobs.job(tmp_path / "job", PER_SHARD), rewriting_jobs.items(COUNT))


def test_captions_with_a_problem_end_the_job_or_are_counted(tmp_path: Path) -> None:
    def broken(share: int) -> list[CaptionItem]:
        return [
            CaptionItem(item.number, item.id, None, f"row {item.number}: the caption is empty")
            if item.number % share == 0
            else item
            for item in rewriting_jobs.items(40)
        ]

    job = rewriting_jobs.job(tmp_path, 15)
    with pytest.raises(DataError, match=r"row 0: the caption is empty. \d of the first \d+ captions cannot"):
        begin_job(job, broken(10))
    with pytest.raises(DataError, match=r"10 of the first 40 captions .*max_left_out, now 0.2"):
        begin_job(job, broken(4), max_left_out=0.2)
    assert not (tmp_path / "plan.json").exists()
    assert begin_job(job, broken(10), max_left_out=0.2) == 36
    left_out = read_json(tmp_path / "facts" / "facts.json")["left_out"]
    assert [entry["number"] for entry in left_out] == [0, 10, 20, 30]
    ShardsOfRank(job)(None)
    assert [row["number"] for row in rows_of(tmp_path)] == [n for n in range(40) if n % 10]
    with pytest.raises(DataError, match="no caption is left"):
        begin_job(rewriting_jobs.job(tmp_path / "none", 15), [])


@pytest.mark.parametrize("how", ["error", "death"])
def test_a_model_that_fails_costs_no_finished_shard(tmp_path: Path, made: Path, how: str) -> None:
    job = rewriting_jobs.job(tmp_path, PER_SHARD)
    begin_job(job, rewriting_jobs.items(COUNT))
    faulty = replace(job, engine=rewriting_jobs.FaultyChoice(how=how, at="a bell goes on"))
    kind, message = (ConfigError, "too many tokens") if how == "error" else (CheckpointError, "are kept: start again")
    with pytest.raises(kind, match=message):
        run_job(faulty)
    assert (tmp_path / "shard-00000.parquet").exists() and not (tmp_path / "shard-00001.parquet").exists()
    ShardsOfRank(job)(None)
    finish_job(job)
    assert kill_resume.hashes(tmp_path) == kill_resume.hashes(made)


def test_the_report_counts_what_is_in_the_shards(made: Path) -> None:
    rows = rows_of(made)
    report = rewriting_report(sorted(made.glob("shard-*.parquet")))
    assert report["captions"] == COUNT == report["rewritten"] + report["by_template"]
    assert report["rewritten"] == sum(row["source"] == "llm" for row in rows)
    assert report["accepted_at_attempt"] == {
        str(attempt): sum(row["source"] == "llm" and row["attempts"] == attempt for row in rows) for attempt in (1, 2)
    }
    assert report["answers"] == sum(row["attempts"] for row in rows)
    assert report["rejected"] == sum(len(row["rejections"]) for row in rows)
    stated = Counter(name for row in rows for name, word in row["attributes"].items() if word)
    assert {name: counts["stated"] for name, counts in report["attributes"].items()} == stated
    assert report["reasons"]["cut off"]["sentence"] > 0 and report["reasons"]["attribute missing"]
    assert report["attributes"]["direction"]["rejected"] > 0
    table = report_table(report)
    assert f"| all | {COUNT} | |" in table and "| cut off | sentence |" in table
    assert f"| written by rule | {report['by_template']} |" in table


def test_datatrove_runs_the_same_job(made: Path, tmp_path: Path) -> None:
    executor = pytest.importorskip("datatrove.executor", reason="needs the extra cluster")
    job = rewriting_jobs.job(tmp_path / "job", PER_SHARD)
    begin_job(job, rewriting_jobs.items(COUNT))
    executor.LocalPipelineExecutor(
        pipeline=[ShardsOfRank(job)], tasks=3, workers=2, logging_dir=str(tmp_path / "logs"), skip_completed=False
    ).run()
    finish_job(job)
    assert kill_resume.hashes(tmp_path / "job") == kill_resume.hashes(made)


@pytest.mark.slow
def test_a_hundred_thousand_captions_killed_a_dozen_times(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    whole, killed, measures = tmp_path / "whole", tmp_path / "killed", tmp_path / "measures.json"
    arguments = (100_000, 200, 2)
    assert kill_resume.finish(rewriting_jobs.measured_rewrite, str(whole), *arguments, str(measures), limit_s=3600) == 0
    found = read_json(measures)
    # A quarter of a run at most each time: a dozen kills all find it at work.
    run_s = found["seconds"] / 4
    story = kill_resume.run_through_kills(
        rewriting_jobs.rewrite, (str(killed), *arguments), killed, kills=12, seed=7, run_s=run_s, limit_s=3600
    )
    with capsys.disabled():
        print(
            f"\n{arguments[0] / found['seconds']:.0f} captions/s over two processes; at most {found['job_mb']:.0f} MB "
            f"the job, {found['worker_mb']:.0f} MB a worker; killed by {', '.join(story)}"
        )
    assert len(story) == 12
    assert kill_resume.hashes(killed) == kill_resume.hashes(whole)
