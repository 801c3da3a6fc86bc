"""Mono originals of a spatial data set: a user's files with one channel, and without silence at their ends."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spatial_audio_lm.errors import ChannelError, ConfigError
from spatial_audio_lm.files import sha256_of_file
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ACTIVE_RANGE_DB, sounding_part
from spatial_audio_lm.simulation.records import Clip


@dataclass(frozen=True)
class OriginalSettings:
    """What becomes of a file before it is placed in a room.

    Attributes:
        silence_db: what is quieter than this below the loudest 20 ms is cut off at both ends.
        min_s: what the sound has to last after that, in seconds.
        short: clips that do not: left out, or repeated until they do, as in ELSA.
        longest_s: of a longer sound a part of this length is placed, drawn for each version; None: all of it.
        channels: of a file with several: it is refused, the first is taken, or their mean.
    """

    silence_db: float = ACTIVE_RANGE_DB
    min_s: float = 4.0
    short: Literal["leave_out", "repeat"] = "leave_out"
    longest_s: float | None = None
    channels: Literal["refuse", "first", "mean"] = "refuse"

    def __post_init__(self) -> None:
        if not 0 < self.silence_db < 200 or not self.min_s > 0:
            raise ConfigError(
                f"silence_db is {self.silence_db}, min_s {self.min_s}: expected 0 to 200 dB and more than 0 s"
            )
        if self.longest_s is not None and not self.longest_s >= self.min_s:
            raise ConfigError(f"longest_s is {self.longest_s}, shorter than min_s ({self.min_s})")
        if self.short not in ("leave_out", "repeat") or self.channels not in ("refuse", "first", "mean"):
            raise ConfigError(
                f"short is {self.short!r}, channels {self.channels!r}; expected leave_out or repeat, and refuse, first "
                "or mean"
            )


@dataclass(frozen=True)
class Original:
    """A mono original that was written, or why none was.

    Attributes:
        clip: a reference to the file, with its length; None where it is left out.
        left_out: "silent" or "short".
        trimmed_s: silence that was cut off, both ends together.
        mixed: it had several channels.
        scaled: its peak was above full scale and was brought below.
    """

    clip: Clip | None = None
    left_out: str | None = None
    trimmed_s: float = 0.0
    mixed: bool = False
    scaled: bool = False


def write_original(path: str | Path, folder: Path, name: str, settings: OriginalSettings) -> Original:
    """Trim a sound file and write it as mono PCM of 24 bits at its own rate.

    Args:
        path: the user's file.
        folder: of the data set.
        name: of the new file below it.
        settings: see there.

    Raises:
        ChannelError: several channels, and they are to be refused.
        AudioFileError: the file cannot be read.
    """
    audio = SpatialAudio.load(path)
    if audio.num_channels > 1 and settings.channels == "refuse":
        raise ChannelError(
            f"{path} has {audio.num_channels} channels; a dry clip has one: set originals.channels to first or mean"
        )
    samples = audio.waveform.mean(0) if settings.channels == "mean" else audio.waveform[0]
    part = sounding_part(samples.numpy(), audio.sample_rate, settings.silence_db)
    if part is None:
        return Original(left_out="silent")
    trimmed_s = (len(samples) - (part[1] - part[0])) / audio.sample_rate
    duration_s = (part[1] - part[0]) / audio.sample_rate
    if duration_s < settings.min_s and settings.short == "leave_out":
        return Original(left_out="short", trimmed_s=trimmed_s)
    kept = SpatialAudio(samples[part[0] : part[1]].contiguous()[None], audio.sample_rate, "mono")
    kept.save(folder / name, normalize=True)
    clip = Clip("file", name, sha256_of_file(folder / name), duration_s=duration_s)
    return Original(clip, None, trimmed_s, audio.num_channels > 1, float(kept.waveform.abs().max()) > 1.0)
