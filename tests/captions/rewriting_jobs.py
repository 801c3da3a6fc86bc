"""A whole rewriting job as a function that can be called in another process, and killed there."""

import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spatial_audio_lm.captions.caption_sources import CaptionItem, drawn_attributes
from spatial_audio_lm.captions.checked_rewriting import RewritingSettings
from spatial_audio_lm.captions.checker_settings import WordListChecker
from spatial_audio_lm.captions.engines import Completion, Sampling
from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.prompts import Prompt
from spatial_audio_lm.captions.rewriting_job import RewritingJob, begin_job, finish_job, run_job
from spatial_audio_lm.captions.verification import VerifierSettings
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import write_json
from tests.captions.rule_engine import RuleEngine, RuleEngineChoice

_WHO = ("a dog", "a man", "a child", "an engine", "a bell", "the rain", "a crowd", "a bird")
_WHAT = ("is heard again and again", "starts and stops", "goes on for a while", "fades away", "can be heard")


def items(count: int, first: int = 0) -> Iterator[CaptionItem]:
    """Captions with drawn places."""
    for number in range(first, first + count):
        caption = f"{_WHO[number % len(_WHO)]} {_WHAT[number // len(_WHO) % len(_WHAT)]}"
        yield CaptionItem(number, f"{number}.wav", CaptionFacts(caption, drawn_attributes(0, number)))


def job(folder: Path, per_shard: int, engine: object | None = None) -> RewritingJob:
    return RewritingJob(
        folder, engine or RuleEngineChoice(), WordListChecker(VerifierSettings()), RewritingSettings(attempts=2),
        seed=3, captions_per_shard=per_shard,
    )  # fmt: skip


def rewrite(folder: str, count: int, per_shard: int, processes: int) -> None:
    """The whole job."""
    whole = job(Path(folder), per_shard)
    begin_job(whole, items(count))
    run_job(whole, processes)
    finish_job(whole)


def measured_rewrite(folder: str, count: int, per_shard: int, processes: int, measures: str) -> None:
    """The whole job, and a file of its seconds and of the largest memory (MB) of it and of its workers."""
    began = time.monotonic()
    rewrite(folder, count, per_shard, processes)
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    write_json(measures, {"seconds": time.monotonic() - began, "job_mb": peaks[0], "worker_mb": peaks[1]})


@dataclass(frozen=True)
class FaultyChoice(RuleEngineChoice):
    """An engine that fails at one caption: by an error, or by the end of its process."""

    how: str = "error"
    at: str = "a bell goes on"

    def open(self) -> RuleEngine:
        return _Faulty(self.how, self.at)


class _Faulty(RuleEngine):
    def __init__(self, how: str, at: str):
        self.how, self.at = how, at

    def complete(self, prompts: Sequence[Prompt], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        if any(self.at in prompt.text for prompt in prompts):
            if self.how == "error":
                raise ConfigError("the prompt has too many tokens")
            os.kill(os.getpid(), signal.SIGABRT)
        return super().complete(prompts, seeds, sampling)
