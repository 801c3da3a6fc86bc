"""Files that are whole or not there, and JSON without surprises.

A final name means a complete file: it is written beside, synced and renamed, so that a kill at any moment leaves
either the old content or the new one. JSON is read and written strictly: no NaN, no duplicate keys, bounded size
and depth.
"""

import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from spatial_audio_lm.errors import LIMITS, DataError, RecordError, SpatialAudioError

_UNFINISHED = ".unfinished-"


def shown_name(path: str | bytes | os.PathLike) -> str:
    """The last part of ``path`` as it can be printed: bytes that are no UTF-8 and control characters are escaped."""
    name = os.path.basename(os.fsdecode(path).rstrip("/")) or os.fsdecode(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in name)


def write_whole(path: str | os.PathLike, content: bytes | Callable[[Path], object]) -> None:
    """Writes a file so that its name never holds a part of it.

    Missing parent folders are made.

    Args:
        path: The final name; an existing file is replaced.
        content: The bytes, or a function that is given a temporary path on the same disk (with the suffix of
            ``path``) and writes the file there.

    Raises:
        OSError: The disk refuses; the temporary file is removed and what was at ``path`` stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own: some writers (safetensors) put temporary files beside what they write, which a kill leaves.
    workplace = path.parent / f"{_UNFINISHED}{os.getpid()}-{secrets.token_hex(6)}"
    temporary = workplace / f"file{path.suffix}"
    try:
        try:
            workplace.mkdir()
        except OSError as error:
            # Named for what was asked for: nobody outside knows of the folder.
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from error
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content)
        _sync(temporary)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    _sync(path.parent)  # the rename itself must reach the disk, or a power cut can undo it


def remove_unfinished(folder: str | os.PathLike) -> int:
    """Removes what killed writers left in ``folder``; call it only where no other writer is at work.

    Returns:
        How many writers' leftovers were removed.
    """
    leftovers = list(Path(folder).glob(f"{_UNFINISHED}*"))
    for entry in leftovers:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    return len(leftovers)


def sha256_of_file(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's content as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | os.PathLike, obj: Any, indent: int | None = 2) -> None:
    """Writes strict JSON (UTF-8, no NaN or infinity) by :func:`write_whole`.

    Raises:
        DataError: ``obj`` holds something JSON cannot carry.
    """
    try:
        text = json.dumps(obj, indent=indent, ensure_ascii=False, allow_nan=False)
        data = (text + "\n").encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{shown_name(path)}: cannot be written as JSON: {error}") from error
    write_whole(path, data)


def read_json(
    path: str | os.PathLike,
    max_bytes: int = LIMITS.max_json_bytes,
    max_depth: int = LIMITS.max_json_depth,
    error: type[SpatialAudioError] = RecordError,
) -> Any:
    """Reads strict JSON: no duplicate keys, no NaN or infinity, no lone surrogates, bounded size and depth.

    Args:
        path: A regular file.
        max_bytes: A longer file is refused before it is read.
        max_depth: Deepest nesting of objects and arrays.
        error: The kind of error to raise.

    Raises:
        SpatialAudioError: The given kind, naming the file and what is wrong with it.
    """
    name = shown_name(path)
    try:
        if not os.path.isfile(path):
            raise error(f"{name}: {'not a regular file' if os.path.exists(path) else 'no such file'}")
        size = os.path.getsize(path)
        if size > max_bytes:
            raise error(f"{name}: {size} bytes of JSON; at most {max_bytes} are read")
        data = Path(path).read_bytes()
    except OSError as failure:
        raise error(f"{name}: {failure.strerror}") from failure
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
        _check_tree(value, max_depth)
    except RecursionError as failure:
        raise error(f"{name}: not valid JSON: nested deeper than {max_depth} levels") from failure
    except ValueError as failure:  # a syntax error, wrong UTF-8, an integer of thousands of digits, or one of our own
        raise error(f"{name}: not valid JSON: {failure}") from failure
    return value


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The JSON value of every line with its number, from 1; json itself would call each of them line 1.

    Raises:
        DataError: no such file, no UTF-8, or a line that is no JSON; names the line.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                yield number, json.loads(line)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text: {error}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{number}: the line is no JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise DataError(f"{path}:{number}: the line is no JSON: it is nested too deep") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} appears twice")
    return result


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond the range of a float")
    return value


def _check_tree(root: Any, max_depth: int) -> None:
    # With a stack of its own, so that depth is bounded by our rule and not by the interpreter's.
    stack = [(root, 1)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, str):
            value.encode("utf-8")  # "\ud800" is good JSON, but no text: later writers would fail on it
        elif isinstance(value, dict | list):
            if depth > max_depth:
                raise ValueError(f"nested deeper than {max_depth} levels")
            children = value if isinstance(value, list) else [*value.keys(), *value.values()]
            stack.extend((child, depth + 1) for child in children)
