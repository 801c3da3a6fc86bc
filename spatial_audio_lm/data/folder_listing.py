"""What lies in a folder: in one order on every machine, and as a digest."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from spatial_audio_lm.errors import DataError


def files_below(folder: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    """The files of a folder and of folders in it, by suffix (of any case), sorted; hidden ones are left out.

    Raises:
        DataError: no such folder, or none of them.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is {'a file' if folder.exists() else 'not there'}; expected a folder of {what}")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file()]
    found = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not found:
        raise DataError(f"{folder} has no {' or '.join(suffixes)} file; expected {what}")
    return sorted(found, key=lambda path: path.as_posix())


def listing_digest(sizes: Mapping[str, int]) -> str:
    """A digest of names and sizes. It does not see what changes within a file: that would be to read terabytes."""
    return hashlib.sha256("\n".join(f"{name} {size}" for name, size in sizes.items()).encode()).hexdigest()
