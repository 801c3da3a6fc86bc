"""Runs a function in two processes that train together, and never waits for ever."""

import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any


def run_together(function: Callable, *arguments: Any, processes: int = 2, limit_s: float = 120.0) -> None:
    """Call `function(rank, *arguments)` in spawned processes of one gloo group.

    Args:
        function: importable; its group is there when it is called.
        arguments: the same for all.
        processes: how many.
        limit_s: longest wait, after which all are killed.

    Raises:
        AssertionError: a process failed (its traceback is on stderr) or was still running.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    context, deadline = get_context("spawn"), time.monotonic() + limit_s
    started = [
        context.Process(target=_one, args=(function, rank, processes, port, arguments)) for rank in range(processes)
    ]
    for process in started:
        process.start()
    while any(process.exitcode is None for process in started) and time.monotonic() < deadline:
        if any(process.exitcode for process in started):
            break  # the others would wait for it
        started[0].join(0.05)
    status = [process.exitcode for process in started]
    for process in started:
        process.kill()
    assert status == [0] * processes, f"exit status of the processes: {status} (None: still running)"


def _one(function: Callable, rank: int, processes: int, port: int, arguments: tuple) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    try:
        torch.distributed.init_process_group("gloo")
        function(rank, *arguments)
        torch.distributed.barrier()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    # Not by way of the destructors: one of torch's gloo group waits for a thread that waits for Python's lock, now and
    # then for ever, when a data-parallel model holds the last reference to the group.
    os._exit(0)
