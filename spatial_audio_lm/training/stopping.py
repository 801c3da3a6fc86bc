"""SIGTERM and SIGINT ask a training to stop after its step; a second one ends it at once."""

import signal
import threading
from types import FrameType
from typing import Any


class StopRequest:
    """Context in which the first SIGTERM or SIGINT is noted instead of obeyed.

    Attributes:
        signal: number of the signal that came, 0 if none; the process should exit with 128 + that number.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():  # elsewhere signals cannot be handled
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
