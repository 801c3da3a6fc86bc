"""Kill a job at random moments, start it again, and let it finish: what it leaves must equal an undisturbed run.

The job runs in a process of its own, forked from a server that has imported the heavy modules once. Kills alternate
between a random moment in time and a moment while the job writes into its folder.
"""

import hashlib
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["spatial_audio_lm.training.loop", "spatial_audio_lm.training.config"])


def start(target: Callable, *arguments: Any) -> BaseProcess:
    """Run an importable function in another process."""
    process = _CONTEXT.Process(target=target, args=arguments)
    process.start()
    return process


def finish(target: Callable, *arguments: Any, limit_s: float = 120.0) -> int:
    """Run a function in another process and wait for its exit status."""
    process = start(target, *arguments)
    process.join(limit_s)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{target.__name__} still ran after {limit_s} s")
    return process.exitcode


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything now in a folder; files and folders may vanish while one looks."""
    found = {}
    for parent, folders, files in os.walk(folder):  # unlike rglob, it passes over a folder that has just gone
        for path in (Path(parent, name) for name in (*folders, *files)):
            try:
                found[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
            except OSError:
                continue
    return found


def run_through_kills(
    target: Callable, arguments: tuple, folder: Path, kills: int, seed: int, run_s: float, limit_s: float = 120.0
) -> list[str]:
    """Start a job, kill it (SIGKILL) and start it again until it has been killed `kills` times, then let it finish.

    Args:
        target: the job; a run that is started again continues.
        arguments: of the job.
        folder: that it writes into.
        kills: how many.
        seed: of the moments.
        run_s: how long an undisturbed run takes.
        limit_s: how long the last run may take.

    Returns:
        Each kill in words.

    Raises:
        AssertionError: a restarted run failed.
    """
    generator, story = random.Random(seed), []
    while len(story) < kills:
        by_change = len(story) % 2 == 1
        before, wanted = listing(folder), generator.randint(1, 12)
        after_s, delay_s = generator.uniform(0, run_s), generator.choice([0.0, 0.0, 0.002])
        process, began, seen = start(target, *arguments), time.monotonic(), 0
        while process.exitcode is None:
            now = listing(folder) if by_change else before
            seen, before = seen + (now != before), now
            if seen >= wanted if by_change else time.monotonic() - began > after_s:
                time.sleep(delay_s)
                break
            time.sleep(0.0005)
        if process.exitcode is not None:  # it was faster than the kill
            assert process.exitcode == 0, f"a restarted run ended with {process.exitcode} after {story}"
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        story.append(f"{'write' if by_change else 'time'} at {time.monotonic() - began:.2f} s")
    status = finish(target, *arguments, limit_s=limit_s)
    assert status == 0, f"the last run ended with {status} after {story}"
    return story


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path in the folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
