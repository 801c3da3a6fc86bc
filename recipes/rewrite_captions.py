"""Rewrite captions of sounds into spatial captions by a language model, check each, and keep no false one.

Devnani et al. (2024), section 3.2 and appendix A.2: a caption and the words of its place and room become one sentence.
The paper leaves what the model loses and invents as future work; here every answer is verified, tried again with
another seed, and after the last attempt written by rule.

    python recipes/rewrite_captions.py --config recipes/configs/rewrite_captions/tiny.yaml --source.path captions.csv \
        --engine.model MODEL.gguf
    python recipes/rewrite_captions.py --config recipes/configs/rewrite_captions/base.yaml --source.path captions.csv \
        --source.attributes records --source.records scenes/train.jsonl --engine.model MODEL.gguf

Captions come from any source that `datasets` loads; places from columns beside them, from scene records
(recipes/make_spatial_qa.py writes such), or drawn. llama.cpp needs the extra `rewrite`, datatrove the extra `cluster`.
Written to `output_dir`: shard-*.parquet (caption, spatial_caption, attributes, source, attempts, rejections), which
`datasets` loads, report.json and report.md. The job may be killed and started again with the same settings: shards
that are there are kept, and the bytes are the same.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from spatial_audio_lm.captions.caption_sources import SourceSettings, caption_items
from spatial_audio_lm.captions.checked_rewriting import RewritingSettings
from spatial_audio_lm.captions.checker_settings import WordListChecker
from spatial_audio_lm.captions.engine_settings import EngineSettings
from spatial_audio_lm.captions.rewriting_job import (
    CheckerChoice,
    RewritingJob,
    ShardsOfRank,
    begin_job,
    finish_job,
    run_job,
)
from spatial_audio_lm.captions.rewriting_report import report_table, rewriting_report
from spatial_audio_lm.captions.verification import VerifierSettings
from spatial_audio_lm.errors import ConfigError, MissingExtraError
from spatial_audio_lm.files import write_json, write_whole
from spatial_audio_lm.metrics.sentence_checker import SentenceChecker
from spatial_audio_lm.training.config import load_config


@dataclass
class Config:
    output_dir: str = "runs/spatial_captions"
    source: SourceSettings = field(default_factory=SourceSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    rewriting: RewritingSettings = field(default_factory=RewritingSettings)
    verifier: VerifierSettings = field(default_factory=VerifierSettings)
    similarity: bool = False  # check the likeness of sentences too
    encoder: str | None = None  # of sentences, folder or Hub id; none: MiniLM
    max_left_out: float = 0.0  # share of captions that may be empty or no text; they are listed in facts/facts.json
    captions_per_shard: int = 200
    seed: int = 0
    # processes: on this machine; datatrove: its local executor; none: only write down what other machines are to do
    executor: Literal["processes", "datatrove", "none"] = "processes"
    num_processes: int = 1  # llama.cpp uses several threads in each

    def __post_init__(self) -> None:
        if self.num_processes < 1:
            raise ConfigError(f"num_processes is {self.num_processes}; expected at least 1")
        if not 0 <= self.max_left_out < 1:
            raise ConfigError(f"max_left_out is {self.max_left_out}; expected a share from 0 to below 1")


def job_of(config: Config) -> RewritingJob:
    """The job as its processes see it."""
    checker: CheckerChoice = WordListChecker(config.verifier)
    if config.similarity:
        checker = SentenceChecker(config.verifier, config.encoder)
    return RewritingJob(
        Path(config.output_dir), config.engine, checker, config.rewriting, config.seed, config.captions_per_shard
    )


def run_datatrove(job: RewritingJob, workers: int) -> None:
    """The shards as tasks of datatrove on this machine; its logs lie below the job's folder.

    Raises:
        MissingExtraError: datatrove is not installed.
    """
    try:
        from datatrove.executor import LocalPipelineExecutor
    except ImportError as error:
        raise MissingExtraError("The datatrove executor", "cluster", str(error)) from error
    LocalPipelineExecutor(
        pipeline=[ShardsOfRank(job)],
        tasks=min(job.num_shards, 8 * workers),
        workers=workers,
        logging_dir=str(job.folder / "datatrove"),
        skip_completed=False,  # the shards themselves say what is done
    ).run()


def main(config: Config) -> dict[str, Any] | None:
    job = job_of(config)
    count = begin_job(job, caption_items(config.source, config.seed), config.max_left_out)
    print(f"{job.folder}: {count} captions in {job.num_shards} shards")
    if config.executor == "processes":
        run_job(job, config.num_processes)
    elif config.executor == "datatrove":
        run_datatrove(job, config.num_processes)
    else:
        return None
    report = rewriting_report(job.result(shard) for shard in range(job.num_shards))
    write_json(job.folder / "report.json", report)
    write_whole(job.folder / "report.md", (report_table(report) + "\n").encode("utf-8"))
    finish_job(job)
    print(report_table(report))
    return report


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
