"""JSON lines: a JSON value a line, refused with the line of the file, where json would call each of them line 1."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatial_audio_lm.errors import DataError


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The value of every line with its number, from 1.

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
