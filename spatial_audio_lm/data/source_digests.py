"""Digests of files that a job has read, to notice later that one has changed: read again only where it looks so."""

from collections.abc import Iterable
from pathlib import Path

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.files import read_json, sha256_of_file, write_json


def write_digests(path: Path, folder: Path, names: Iterable[str]) -> None:
    """Write size and SHA-256 of files below a folder."""
    found = {name: [(folder / name).stat().st_size, sha256_of_file(folder / name)] for name in names}
    write_json(path, found, indent=None)


def changed_files(path: Path, folder: Path) -> list[str]:
    """The files of `write_digests` that have another content now.

    A file is read again where it is newer than its digest; one of the same size and an older date passes for unchanged.

    Raises:
        DataError: the digests are not there, or damaged.
    """
    written_ns = path.stat().st_mtime_ns if path.is_file() else 0
    changed = []
    for name, (size, digest) in read_json(path, error=DataError).items():
        now = (folder / name).stat()
        newer = now.st_mtime_ns > written_ns
        if now.st_size != size or (newer and sha256_of_file(folder / name) != digest):
            changed.append(name)
    return changed
