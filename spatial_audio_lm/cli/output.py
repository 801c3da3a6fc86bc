"""What the commands print: strict JSON or text on stdout; errors, warnings and progress on stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from spatial_audio_lm.errors import SpatialAudioError
from spatial_audio_lm.files import shown_name

PROGRAM = "spatial-audio-lm"


def print_json(value: Any) -> None:
    """One line of strict JSON (ASCII, no NaN), handed on at once: a reader may be waiting for it."""
    sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")
    sys.stdout.flush()


def one_line(text: str) -> str:
    """A message on one line, with control characters escaped."""
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in joined)


def reason_of(error: BaseException) -> str:
    """What an exception says to a user, on one line."""
    if isinstance(error, SpatialAudioError):
        return one_line(str(error))
    if isinstance(error, OSError):
        name = one_line(os.fsdecode(error.filename)) + ": " if isinstance(error.filename, str | bytes) else ""
        return name + one_line(error.strerror or str(error) or type(error).__name__)
    if isinstance(error, MemoryError):
        return "out of memory: cut the recording into shorter files"
    return f"internal error ({type(error).__name__}): {one_line(str(error))[:300]}; --debug shows where"


def reason_of_file(file: str, error: BaseException) -> str:
    """What an exception says to a user, with the file that it is about in front, as it was given."""
    shown, reason = one_line(os.fsdecode(file)), reason_of(error)
    for name in (shown, shown_name(file)):
        reason = reason.removeprefix(f"{name}: ")
    return f"{shown}: {reason}"


def print_error(message: str) -> None:
    """One line on stderr."""
    print(f"{PROGRAM}: error: {message}", file=sys.stderr)


def print_warnings(warnings: tuple[str, ...]) -> None:
    """One line a warning on stderr."""
    for warning in warnings:
        print(f"{PROGRAM}: warning: {one_line(warning)}", file=sys.stderr)


@contextmanager
def progress_bar(label: str, unit: str = "s") -> Iterator[Callable[[float, float], None]]:
    """A bar on stderr that is there only if somebody looks: on a terminal, and where one waits for more than a moment.

    Args:
        label: What goes on.
        unit: What is counted.

    Yields:
        A function to call with what is done and what there is in all.
    """
    from tqdm import tqdm

    with tqdm(total=0, desc=label, unit=unit, disable=not sys.stderr.isatty(), delay=0.5, leave=False) as bar:

        def advance(done: float, total: float) -> None:
            bar.total = round(total)
            bar.update(round(done) - bar.n)

        yield advance
