"""Lists that come with a data set, entry by entry: every refusal names the file, the entry and what was expected."""

from pathlib import Path
from typing import Any

import numpy as np

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.files import read_json

_MAX_JSON_BYTES = 1024**3  # the list of AudioSet's unbalanced clips has 1.9 million entries
_SHOWN = 5


def read_list(path: Path, what: str, key: str | None = None) -> list[Any]:
    """A JSON file that is a list, or an object with a list under `key`.

    Raises:
        DataError: no such file, no valid JSON, another layout, or an empty list.
    """
    document = read_json(path, max_bytes=_MAX_JSON_BYTES, error=DataError)
    entries = document.get(key) if key and isinstance(document, dict) else document
    if not isinstance(entries, list) or not entries or (key and entries is document):
        layout = f"an object whose {key!r} is a list" if key else "a list"
        raise DataError(f"{path} holds {_kind(document)}; expected {layout} of {what}")
    return entries


def require_keys(entry: Any, keys: tuple[str, ...], where: str) -> None:
    """Refuses an entry that is no object with these keys; others may be there too.

    Raises:
        DataError: naming what is missing.
    """
    if not isinstance(entry, dict):
        raise DataError(f"{where} is {_kind(entry)}; expected an object with {', '.join(keys)}")
    if missing := [key for key in keys if key not in entry]:
        raise DataError(f"{where} lacks {', '.join(missing)}; it has {', '.join(entry) or 'nothing'}")


def stays_inside(name: Any) -> bool:
    """Whether a name of an entry is a relative path that cannot leave its folder."""
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        return False
    return not name.startswith("/") and ".." not in name.split("/")


def finite_number(text: str, where: str) -> float:
    """A number written as text.

    Raises:
        DataError: it is none, NaN or infinite.
    """
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise DataError(f"{where}: {text.strip()[:40]!r} is no finite number")
    return value


def text_lines(path: Path) -> list[str]:
    """The lines of a text in UTF-8.

    Raises:
        DataError: no such file, or another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text: {error}") from error


def first_of(items: list[str]) -> str:
    """The first few of a list of any length, for a message."""
    return ", ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {', '.join(list(value)[:_SHOWN]) or 'nothing'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return repr(value)[:60]
