"""`SceneRecord`: everything a scene is, as data. It re-renders the audio bit for bit, and is label and answer key too.

A scene is a room with a receiver, sources at places (each playing clips at times), and rows of noise with a level
against the sources. Angles are the receiver's (house convention: degrees, azimuth positive to the left), positions are
metres from the room's corner. JSON, versioned; unknown keys are refused, so that a newer record is not half read.
"""

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from spatial_audio_lm.errors import RecordError
from spatial_audio_lm.files import read_json, write_json

RECORD_VERSION = 1

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Clip:
    """A dry sound: synthesised (`name` is its kind) or a file (`name` is its path below the clip folder).

    `sha256` is that of the file's bytes, or of the synthesised float32 samples: a changed clip is noticed.
    `start_s` and `duration_s` cut a file before `speed` is applied (2.0 plays twice as fast and an octave higher); a
    synthesised sound is made `duration_s` long (None: four seconds).
    """

    kind: Literal["procedural", "file"]
    name: str
    sha256: str
    seed: int = 0
    start_s: float = 0.0
    duration_s: float | None = None
    speed: float = 1.0


@dataclass(frozen=True)
class SoundEvent:
    """One playing of a clip: when (seconds into the scene; negative: it began before) and how loud (dB)."""

    clip: Clip
    onset_s: float = 0.0
    gain_db: float = 0.0


@dataclass(frozen=True)
class SceneSource:
    """A place in the room and what sounds there. `equalizer_db`: gains at `rooms.BAND_CENTRES_HZ`, empty for none."""

    sound_class: str
    azimuth_deg: float
    elevation_deg: float
    distance_m: float
    position_m: Triple
    rir_index: int
    drr_db: float
    events: tuple[SoundEvent, ...]
    gain_db: float = 0.0
    equalizer_db: tuple[float, ...] = ()


@dataclass(frozen=True)
class NoiseRow:
    """Noise at `snr_db` below the sources (energy over all channels).

    `isotropic`: from everywhere at once, the late field of a room; `sensor`: independent in every channel, as a
    preamplifier's; both with `color`. `placed`: clips at places in the room (`sources`), one for localized noise,
    several for diffuse noise, rendered as sources are.
    """

    kind: Literal["isotropic", "sensor", "placed"]
    snr_db: float
    seed: int = 0
    color: Literal["white", "pink"] = "white"
    sources: tuple[SceneSource, ...] = ()


@dataclass(frozen=True)
class Head:
    """The head of a binaural receiver; None for ambisonics."""

    name: str
    radius_m: float | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Receiver:
    """Who hears the scene, where, and turned how far to the left (degrees)."""

    format: Literal["foa", "binaural", "mono"]
    position_m: Triple
    yaw_deg: float
    head: Head | None = None


@dataclass(frozen=True)
class SceneRoom:
    """The room as captions and questions speak of it."""

    size_m: Triple
    floor_area_m2: float
    volume_m3: float
    t30_s: float


@dataclass(frozen=True)
class BankReference:
    """Which bank of impulse responses `rir_index` counts in."""

    version: int
    name: str
    sha256: str


@dataclass(frozen=True)
class SceneRecord:
    """A whole scene; see the module docstring. `peak` is the largest absolute sample after rendering (None: as is)."""

    scene_id: str
    sample_rate: int
    duration_s: float
    receiver: Receiver
    room: SceneRoom
    sources: tuple[SceneSource, ...]
    bank: BankReference
    seed: int
    noise: tuple[NoiseRow, ...] = ()
    peak: float | None = 0.5
    made_with: dict[str, str] = field(default_factory=dict)
    version: int = RECORD_VERSION

    def __post_init__(self) -> None:
        for name in ("sample_rate", "duration_s"):
            if getattr(self, name) <= 0:
                raise RecordError(f"record.{name} is {getattr(self, name)}; it must be positive")
        if self.peak is not None and self.peak <= 0:
            raise RecordError(f"record.peak is {self.peak}; it must be positive, or null to leave the level as it is")
        if not self.sources and not any(row.sources for row in self.noise):
            raise RecordError("record has no source: something must sound, a source or a placed noise")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SceneRecord":
        """Build and check a record.

        Raises:
            RecordError: for another version, a missing or unknown key, or a value of the wrong type; names the place.
        """
        if not isinstance(data, dict):
            raise RecordError(f"a scene record is a JSON object, got {type(data).__name__}")
        if data.get("version") != RECORD_VERSION:
            raise RecordError(
                f"scene record has version {data.get('version')!r}, this package reads version {RECORD_VERSION}"
            )
        return build_typed(cls, data, "record")

    def save(self, path: str | Path) -> None:
        """Write JSON, whole or not at all."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> "SceneRecord":
        """Read a record written by `save`."""
        return cls.from_dict(read_json(path, error=RecordError))


def build_typed(kind: Any, value: Any, where: str) -> Any:
    """Typed reading of plain data: strings and booleans are never numbers, nothing unknown passes."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return build_typed(next(a for a in arguments if a is not type(None)), value, where)
    if origin is Literal:
        if value not in arguments:
            raise RecordError(f"{where} is {value!r}; one of {arguments} is wanted")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise RecordError(f"{where} is {value!r}; a list is wanted")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise RecordError(f"{where} has {len(value)} values; {len(kinds)} are wanted")
        return tuple(build_typed(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise RecordError(f"{where} wants names and text, got {value!r}")
        return dict(value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise RecordError(f"{where} is {value!r}; an object is wanted")
        hints, required = _layout(kind)
        if missing := sorted(required - set(value)):
            raise RecordError(f"{where} lacks {', '.join(missing)}")
        if unknown := sorted(set(value) - set(hints)):
            raise RecordError(f"{where} has unknown keys: {', '.join(unknown)}")
        return kind(**{name: build_typed(hints[name], v, f"{where}.{name}") for name, v in value.items()})
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise RecordError(f"{where} is {value!r}; {kind.__name__} is wanted")
    return value


@lru_cache
def _layout(kind: type[Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """The types of a dataclass's fields, and which of them have no default: resolved once, not for every object."""
    fields = dataclasses.fields(kind)
    required = (f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
    return typing.get_type_hints(kind), frozenset(required)
