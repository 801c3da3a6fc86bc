"""Checkpoints that are whole or not there, and the newest whole one.

A checkpoint is written to `checkpoint-N.tmp`: every file synced, then `complete.json` with the size and SHA-256 of
each; then the folder is renamed to `checkpoint-N`, and only then older ones are deleted. A kill at any moment leaves
the last good one in place.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spatial_audio_lm.errors import CheckpointError, ConfigError
from spatial_audio_lm.files import read_json, remove_unfinished, sha256_of_file, write_json

COMPLETE = "complete.json"
_FINAL_NAME = re.compile(r"checkpoint-(\d+)")
_LEFTOVER_NAME = re.compile(r"checkpoint-\d+\.(tmp|old)")


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: output folder of the training.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int = 1) -> None:
        self.folder, self.keep = folder, keep

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return self.folder / f"checkpoint-{step}"

    def unfinished(self, step: int) -> Path:
        """Where the files of a checkpoint are written before it is whole."""
        return self.folder / f"checkpoint-{step}.tmp"

    def begin(self, step: int) -> Path:
        """Make the empty folder `unfinished(step)`; `finish` turns it into the checkpoint."""
        shutil.rmtree(self.unfinished(step), ignore_errors=True)
        self.unfinished(step).mkdir(parents=True)
        return self.unfinished(step)

    def finish(self, step: int) -> Path:
        """Seal what was written since `begin`, give it its name, delete checkpoints beyond `keep`."""
        temporary, final = self.unfinished(step), self.path(step)
        files = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_of_file(p)} for p in sorted(temporary.iterdir())}
        write_json(temporary / COMPLETE, {"version": 1, "step": step, "files": files})
        if final.exists():
            self._remove(final)  # damaged: a complete one would have been resumed from
        os.replace(temporary, final)
        _sync_folder(self.folder)
        for old in self._steps()[self.keep :]:
            self._remove(self.path(old))
        return final

    def newest(self) -> tuple[Path | None, tuple[str, ...]]:
        """The newest complete checkpoint, and what is wrong with each newer one that was passed over."""
        skipped: list[str] = []
        for step in self._steps():
            problem = _problem(self.path(step))
            if problem is None:
                return self.path(step), tuple(skipped)
            skipped.append(f"checkpoint-{step}: {problem}")
        return None, tuple(skipped)

    def sweep(self) -> None:
        """Remove what killed runs left half written or half deleted."""
        for entry in self.folder.iterdir():
            if _LEFTOVER_NAME.fullmatch(entry.name):
                shutil.rmtree(entry)
        remove_unfinished(self.folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other training writes into the folder meanwhile; the lock goes with the process, however it ends.

        Raises:
            ConfigError: another training is writing there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            import fcntl
        except ImportError:  # not on Windows
            yield
            return
        with open(self.folder / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(f"another training writes into {self.folder}: choose another output_dir") from error
            yield

    def _steps(self) -> list[int]:
        """Steps that have a folder with a final name, newest first."""
        names = (_FINAL_NAME.fullmatch(entry.name) for entry in self.folder.iterdir() if entry.is_dir())
        return sorted((int(name[1]) for name in names if name), reverse=True)

    def _remove(self, path: Path) -> None:
        # first out of its name: a kill in the middle of the deletion leaves no half checkpoint under a final name
        doomed = self.folder / f"{path.name}.old"
        os.replace(path, doomed)
        shutil.rmtree(doomed)


def _problem(path: Path) -> str | None:
    """Why a checkpoint is not whole; None if it is."""
    if not (path / COMPLETE).is_file():
        return f"no {COMPLETE}"
    try:
        listed = read_json(path / COMPLETE, error=CheckpointError)
        for name, entry in listed["files"].items():
            file = path / Path(name).name
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != entry["bytes"]:
                return f"{name} has {file.stat().st_size} bytes instead of {entry['bytes']}"
            if sha256_of_file(file) != entry["sha256"]:
                return f"the content of {name} has changed"
    except (CheckpointError, KeyError, TypeError, AttributeError) as error:
        return f"{COMPLETE} is damaged: {error}"
    return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
