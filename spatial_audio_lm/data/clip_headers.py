"""What the headers of clips say, before a training begins: what cannot be read, which rates, how long they are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from spatial_audio_lm.errors import DataError, SpatialAudioError
from spatial_audio_lm.signal.sound_files import audio_info

MOST_FILES = 50_000  # in larger folders a header is read when its file is
_SHOWN = 10


@dataclass
class ClipHeaders:
    """Of the files of a folder.

    Attributes:
        folder: of them.
        files: how many there are.
        unreadable: why not, by name.
        rates: files of each sample rate in Hz.
        several_channels: files with more than one.
        durations_s: of those that can be read.
        were_read: False for a folder of more than `MOST_FILES`, of which nothing else is known.
    """

    folder: Path
    files: int
    unreadable: dict[str, str] = field(default_factory=dict)
    rates: Counter[int] = field(default_factory=Counter)
    several_channels: int = 0
    durations_s: list[float] = field(default_factory=list)
    were_read: bool = True

    def require_readable(self) -> None:
        """Refuses a folder with files that cannot be read.

        Raises:
            DataError: how many, which (the first ones), why, and what to do.
        """
        if self.unreadable:
            raise DataError(
                f"{self.folder}: {len(self.unreadable)} of {self.files} files cannot be read: "
                f"{first_of(list(self.unreadable.values()))}. Put readable ones in their places (under the same names, "
                "if a training is to be resumed), take them out before it begins, or set skip_unreadable"
            )

    def notes(self, sample_rate: int, heard_s: float | None) -> list[str]:
        """What is done to clips, a sentence each.

        Args:
            sample_rate: in Hz, that they are given at.
            heard_s: what is cut of them or filled up to; None for nothing.
        """
        if not self.were_read:
            return [f"{self.folder}: {self.files} files, whose headers are read as they are drawn"]
        found = []
        if self.unreadable:
            found.append(f"{len(self.unreadable)} cannot be read and give their places to the next ones")
        if others := {rate: count for rate, count in sorted(self.rates.items()) if rate != sample_rate}:
            rates = ", ".join(f"{count} of {rate} Hz" for rate, count in others.items())
            found.append(f"{sum(others.values())} are resampled to {sample_rate} Hz ({rates})")
        if self.several_channels:
            found.append(f"{self.several_channels} have several channels, of which the first is taken")
        if heard_s is not None and (short := sum(duration < heard_s for duration in self.durations_s)):
            found.append(f"{short} are shorter than {heard_s:g} s and filled up with silence")
        return [f"{self.folder}: of {self.files} clips {said}" for said in found]


def read_headers(folder: Path, paths: Sequence[Path]) -> ClipHeaders:
    """The headers of a folder's files, with a bar where somebody looks on."""
    found = ClipHeaders(folder, len(paths))
    if len(paths) > MOST_FILES:
        found.were_read = False
        return found
    for path in tqdm(paths, "reading headers", disable=None, leave=False):
        name = path.relative_to(folder).as_posix()
        try:
            info = audio_info(path)
        except SpatialAudioError as error:
            found.unreadable[name] = f"{name}: {str(error).removeprefix(f'{path.name}: ')}"
            continue
        found.rates[info.sample_rate] += 1
        found.several_channels += info.channels > 1
        found.durations_s.append(info.duration_s)
    return found


def first_of(said: Sequence[str]) -> str:
    """A list that may be long, in a sentence."""
    more = f", and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more


def clip_notes(*sources: object, heard_s: float | None = None) -> list[str]:
    """What is done to the clips of sources that are folders (`AudioFolder`), for a recipe to print."""
    notes: list[str] = []
    for source in sources:
        headers = getattr(source, "headers", None)
        if isinstance(headers, ClipHeaders):
            notes += headers.notes(source.sample_rate, heard_s)  # type: ignore[attr-defined]
    return notes
