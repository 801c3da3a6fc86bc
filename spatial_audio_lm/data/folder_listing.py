"""What lies in a folder: in one order on every machine, and as a digest."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from spatial_audio_lm.errors import DataError


def files_below(folder: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    """The files of a folder and of folders in it, by suffix (of any case), sorted; hidden ones are left out.

    Links are followed: caches and shared disks often hold nothing else.

    Raises:
        DataError: no such folder, or none of them.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is {'a file' if folder.exists() else 'not there'}; expected a folder of {what}")
    found = [path for path in _files(folder) if path.suffix.lower() in suffixes and path.is_file()]
    if not found:
        raise DataError(f"{folder} has no {' or '.join(suffixes)} file; expected {what}")
    return sorted(found, key=lambda path: path.as_posix())


def _files(folder: Path) -> Iterator[Path]:
    """What is not hidden and no folder, without end only where the disk is: a link to a folder above is not entered."""
    for place, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        above = {here, *(str(parent) for parent in Path(here).parents)}
        folders[:] = [f for f in folders if f[0] != "." and os.path.realpath(os.path.join(place, f)) not in above]
        yield from (Path(place, name) for name in names if name[0] != ".")


def listing_digest(sizes: Mapping[str, int]) -> str:
    """A digest of names and sizes. It does not see what changes within a file: that would be to read terabytes."""
    return hashlib.sha256("\n".join(f"{name} {size}" for name, size in sizes.items()).encode()).hexdigest()
