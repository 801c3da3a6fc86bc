"""Worker processes of long jobs: they end with their parent, and use one thread each."""

import ctypes
import multiprocessing
import os
import signal
import sys

import torch

_PR_SET_PDEATHSIG = 1  # prctl option of Linux


def start_worker() -> None:
    """Initializer for a `ProcessPoolExecutor`: without it, workers outlive a parent that was killed."""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        parent = multiprocessing.parent_process()
        if parent is not None and os.getppid() != parent.pid:  # it was gone before the request was made
            os._exit(1)
