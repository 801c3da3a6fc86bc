"""`NaturalisticRecord`: everything a naturalistic scene is, as data. It re-renders the sound bit for bit.

A record of its own beside `SceneRecord`, because most sets of responses that people have are of unknown rooms: they
know neither the room's size nor where anything is in metres, which a `SceneRecord` promises to captions and questions.
And its levels follow another rule: every dry clip at -14 dBFS, noise by its ratio to the target while it is active.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from spatial_audio_lm.errors import ConfigError, RecordError
from spatial_audio_lm.files import read_json, write_json
from spatial_audio_lm.simulation.naturalistic_mixing import FADE_S, LEVEL_DBFS, SNR_OVER
from spatial_audio_lm.simulation.naturalistic_sources import RirRows, TargetPlace
from spatial_audio_lm.simulation.records import Clip, build_typed

NATURALISTIC_VERSION = 1


@dataclass(frozen=True)
class NaturalisticSettings:
    """How scenes are drawn; the defaults are GRAM's (paper section 3 and its published configuration).

    `clean_ratio` is the probability of a scene without room and noise, the dry clip in every channel. It is drawn for
    each clip; the published code draws it for a whole batch, which makes batches of one kind. `snr_over`: see
    `naturalistic_mixing.mix`.
    """

    duration_s: float = 10.0
    snr_db: tuple[float, float] = (5.0, 40.0)
    snr_over: Literal["all_channels", "each_channel"] = "all_channels"
    clean_ratio: float = 0.0
    level_dbfs: float = LEVEL_DBFS
    fade_s: float = FADE_S

    def __post_init__(self) -> None:
        if not 0 < self.duration_s < math.inf or not 0 <= self.fade_s < math.inf:
            raise ConfigError(f"duration_s {self.duration_s} must be above 0, fade_s {self.fade_s} at least 0")
        if not 0 <= self.clean_ratio <= 1:
            raise ConfigError(f"clean_ratio is {self.clean_ratio}; a probability is between 0 and 1")
        if not -math.inf < self.snr_db[0] <= self.snr_db[1] < math.inf or not math.isfinite(self.level_dbfs):
            raise ConfigError(f"snr_db {self.snr_db} is a range, low to high, level_dbfs {self.level_dbfs} a number")
        if self.snr_over not in SNR_OVER:
            raise ConfigError(f"snr_over is {self.snr_over!r}; one of {SNR_OVER} is wanted")


@dataclass(frozen=True)
class SceneNoise:
    """The noise of a scene: `crop` is the first sample heard of a clip longer than the scene, `begin` the sample of the
    scene at which a shorter one begins."""

    clip: Clip
    begin: int
    crop: int
    snr_db: float


@dataclass(frozen=True)
class SceneRirs:
    """The responses of a scene, where the target is, and which source they are of (its digest is checked)."""

    source: str
    sha256: str
    rows: RirRows
    place: TargetPlace


@dataclass(frozen=True)
class NaturalisticRecord:
    """A whole scene; it re-renders the sound bit for bit. Without room and noise (both None) it is a clean clip."""

    scene_id: str
    sample_rate: int
    duration_s: float
    clip: Clip
    sound_class: str | None = None
    rirs: SceneRirs | None = None
    noise: SceneNoise | None = None
    snr_over: Literal["all_channels", "each_channel"] = "all_channels"
    level_dbfs: float = LEVEL_DBFS
    fade_s: float = FADE_S
    made_with: dict[str, str] = field(default_factory=dict)
    version: int = NATURALISTIC_VERSION

    def __post_init__(self) -> None:
        if self.sample_rate <= 0 or self.duration_s <= 0 or self.fade_s < 0:
            raise RecordError(
                f"record has sample_rate {self.sample_rate}, duration_s {self.duration_s}, fade_s {self.fade_s}; "
                "the first two must be positive, the last not negative"
            )
        if (self.rirs is None) != (self.noise is None):
            raise RecordError("record has a room or a noise without the other: a scene has both, a clean clip neither")

    @property
    def num_samples(self) -> int:
        """Length of the scene."""
        return round(self.duration_s * self.sample_rate)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "NaturalisticRecord":
        """Build and check a record.

        Raises:
            RecordError: for another version, a missing or unknown key, or a value of the wrong type; names the place.
        """
        if not isinstance(data, dict) or data.get("version") != NATURALISTIC_VERSION:
            found = data.get("version") if isinstance(data, dict) else type(data).__name__
            raise RecordError(f"naturalistic record is of version {found!r}, this package reads {NATURALISTIC_VERSION}")
        record: NaturalisticRecord = build_typed(cls, data, "record")
        return record

    def save(self, path: str | Path) -> None:
        """Write JSON, whole or not at all."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> "NaturalisticRecord":
        """Read a record written by `save`."""
        return cls.from_dict(read_json(path, error=RecordError))
