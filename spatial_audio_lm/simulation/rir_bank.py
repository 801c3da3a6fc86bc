"""A bank of room impulse responses on disk: rooms in shards, one metadata row a response.

    bank.json             settings and versions; written first, so that a restarted job knows what it is making
    shard-00000.safetensors + shard-00000.json      the responses of some rooms and their rows
    complete.json         written last: number of responses and one digest over all shards

Shard k is a pure function of (settings, k). A job may be killed anywhere and started again with the same settings: it
makes what is missing and ends with the same bytes. Training and test rooms come from different random streams.
"""

import hashlib
from collections import OrderedDict
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.fft import rfft

from spatial_audio_lm.errors import BankError
from spatial_audio_lm.files import read_json, remove_unfinished, sha256_of_file, write_json, write_whole
from spatial_audio_lm.simulation.binaural_rirs import simulate_binaural_rirs
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.receivers import microphones
from spatial_audio_lm.simulation.records import Head
from spatial_audio_lm.simulation.rirs import simulate_rirs
from spatial_audio_lm.simulation.room_acoustics import clarity_db, direct_to_reverberant_db, t30_s
from spatial_audio_lm.simulation.rooms import Placement, Room, sample_placement, sample_room

BANK_VERSION = 1
SPLITS = ("train", "validation", "test")
ELEVATIONS = ("captions", "isotropic")
SPECTRA_CACHE_BYTES = 512 * 1024**2
SPHERE_RADII_M = tuple(round(0.075 + 0.0025 * step, 4) for step in range(11))  # of heads whose radius is drawn


@dataclass(frozen=True)
class BankSettings:
    """Everything the content of a bank depends on.

    A binaural bank draws one of `heads` for each room (see `HeadStore.record`; one that is named twice is drawn twice
    as often), and for a spherical head without a radius one of `SPHERE_RADII_M`. `elevations` is how high sources are:
    see `rooms.sample_placement`.
    """

    split: Literal["train", "validation", "test"] = "train"
    num_rooms: int = 1600
    sources_per_room: int = 4
    sample_rate: int = 16_000  # Hz
    receiver_format: Literal["foa", "binaural"] = "foa"
    rooms_per_shard: int = 40
    seed: int = 0
    elevations: Literal["captions", "isotropic"] = "captions"
    heads: tuple[Head, ...] = ()

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise BankError(f"split is {self.split!r}; one of {SPLITS} is wanted")
        if self.elevations not in ELEVATIONS:
            raise BankError(f"elevations is {self.elevations!r}; one of {ELEVATIONS} is wanted")
        if min(self.num_rooms, self.sources_per_room, self.rooms_per_shard) < 1:
            raise BankError(f"num_rooms, sources_per_room and rooms_per_shard must be at least 1, got {self}")
        microphones(self.receiver_format)
        if bool(self.heads) != (self.receiver_format == "binaural"):
            raise BankError(
                f"receiver_format is {self.receiver_format!r} with {len(self.heads)} heads: binaural banks need at "
                "least one (the spherical one needs no data), others none"
            )

    @property
    def num_shards(self) -> int:
        return -(-self.num_rooms // self.rooms_per_shard)


@dataclass(frozen=True)
class RirRow:
    """One impulse response: where its source is (house convention) and what was measured of it.

    The measures are those of an omnidirectional microphone in the receiver's place: W, or without the head.
    """

    index: int
    room: int
    size_m: tuple[float, float, float]
    floor_area_m2: float
    volume_m3: float
    receiver_m: tuple[float, float, float]
    yaw_deg: float
    position_m: tuple[float, float, float]
    azimuth_deg: float
    elevation_deg: float
    distance_m: float
    t30_s: float
    c50_db: float
    drr_db: float
    shard: int
    head: Head | None = None  # of a binaural bank, with the radius that was drawn

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a row without a head has no such key."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def process_shard(shard: int, settings: BankSettings, folder: Path, heads: HeadStore | None = None) -> bool:
    """Make one shard unless it is there; returns whether there was work. The row file is written last."""
    heads = heads or HeadStore()
    rows_path, audio_path = folder / f"shard-{shard:05d}.json", folder / f"shard-{shard:05d}.safetensors"
    if rows_path.exists() and audio_path.exists():
        return False
    rows: list[dict[str, Any]] = []
    responses: dict[str, torch.Tensor] = {}
    first = shard * settings.rooms_per_shard
    for number in range(first, min(first + settings.rooms_per_shard, settings.num_rooms)):
        generator = np.random.default_rng([settings.seed, SPLITS.index(settings.split), number])
        head = _drawn_head(settings, generator) if settings.heads else None
        while True:
            room = sample_room(generator)
            placement = sample_placement(room, generator, settings.sources_per_room, settings.elevations)
            made, omnidirectional = _responses(room, placement, settings, generator, head, heads)
            decay = [t30_s(rir, settings.sample_rate) for rir in omnidirectional]
            if np.isfinite(decay).all():  # a room whose decay has no measurable T30 has no label: draw another
                break
        for source, rir in enumerate(made):
            index = number * settings.sources_per_room + source
            responses[f"{index:06d}"] = torch.from_numpy(rir)
            rows.append(
                RirRow(
                    index=index,
                    room=number,
                    size_m=room.size_m,
                    floor_area_m2=room.floor_area_m2,
                    volume_m3=room.volume_m3,
                    receiver_m=placement.receiver_m,
                    yaw_deg=placement.yaw_deg,
                    position_m=placement.sources_m[source],
                    azimuth_deg=placement.azimuth_deg[source],
                    elevation_deg=placement.elevation_deg[source],
                    distance_m=placement.distance_m[source],
                    t30_s=decay[source],
                    c50_db=clarity_db(omnidirectional[source], settings.sample_rate),
                    drr_db=direct_to_reverberant_db(omnidirectional[source], settings.sample_rate),
                    shard=shard,
                    head=head,
                ).to_dict()
            )
    write_whole(audio_path, lambda path: save_file(responses, path))
    write_json(rows_path, rows, indent=None)
    return True


def _drawn_head(settings: BankSettings, generator: np.random.Generator) -> Head:
    head = settings.heads[generator.integers(len(settings.heads))]
    if head.sha256 is not None or head.radius_m is not None:
        return head
    return replace(head, radius_m=SPHERE_RADII_M[generator.integers(len(SPHERE_RADII_M))])


def _responses(
    room: Room,
    placement: Placement,
    settings: BankSettings,
    generator: np.random.Generator,
    head: Head | None,
    heads: HeadStore,
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """The responses of a placement, and what an omnidirectional microphone in the receiver's place has."""
    if head is not None:
        return simulate_binaural_rirs(room, placement, settings.sample_rate, generator, heads.model(head))
    made = simulate_rirs(room, placement, settings.sample_rate, generator, settings.receiver_format)
    return made, [rir[0] for rir in made]


def begin_bank(folder: Path, settings: BankSettings) -> None:
    """Write the bank's settings, or check that the folder was begun with the same ones.

    Raises:
        BankError: the folder holds another bank; the first setting that differs is named.
    """
    head = _head(settings)
    path = folder / "bank.json"
    if not path.exists():
        write_json(path, head)
        return
    remove_unfinished(folder)
    found = read_json(path, error=BankError)
    for section in head:
        old, new = found.get(section), head[section]
        if section == "settings" and isinstance(old, dict):
            old = _OPTIONAL_SETTINGS | old  # a bank from before a setting existed has its default
        if old != new:
            if isinstance(old, dict) and isinstance(new, dict):
                key = next(k for k in sorted(set(old) | set(new)) if old.get(k) != new.get(k))
                section, old, new = f"{section}.{key}", old.get(key), new[key]
            raise BankError(
                f"{folder} was begun with {section} = {old!r}, this job has {new!r}: "
                "give the same settings, or another folder"
            )


def finish_bank(folder: Path, settings: BankSettings) -> "RirBank":
    """Check that every shard is there, write `complete.json`, and open the bank."""
    digest = hashlib.sha256()
    shards: dict[str, str] = {}
    count = 0
    for shard in range(settings.num_shards):
        for suffix in ("safetensors", "json"):
            path = folder / f"shard-{shard:05d}.{suffix}"
            if not path.exists():
                raise BankError(f"{path} is missing: run the job again with the same settings to make it")
            shards[path.name] = sha256_of_file(path)
            digest.update(shards[path.name].encode())
        count += len(read_json(folder / f"shard-{shard:05d}.json", error=BankError))
    write_json(folder / "complete.json", {"num_rirs": count, "sha256": digest.hexdigest(), "shards": shards})
    return RirBank(folder)


def make_bank(folder: str | Path, settings: BankSettings, heads: HeadStore | None = None) -> "RirBank":
    """Make a whole bank in this process (`recipes/simulate_rirs.py` does it over many)."""
    folder = Path(folder)
    begin_bank(folder, settings)
    if not (folder / "complete.json").exists():
        for shard in range(settings.num_shards):
            process_shard(shard, settings, folder, heads)
        finish_bank(folder, settings)
    return RirBank(folder)


def _head(settings: BankSettings) -> dict[str, Any]:
    return {
        "version": BANK_VERSION,
        "settings": {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(settings).items()},
        "made_with": {name: version(name) for name in ("pyroomacoustics", "numpy", "scipy")},
    }


_OPTIONAL_SETTINGS: dict[str, Any] = {"elevations": "captions", "heads": []}  # that older banks do not name


class RirBank:
    """A finished bank, opened for reading. Responses stay on disk (memory-mapped) until they are asked for.

    Args:
        folder: where the bank lies.

    Raises:
        BankError: no bank there, not finished, or made by a version whose layout this one does not read.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not (self.folder / "bank.json").exists():
            raise BankError(f"{self.folder} is no bank (it has no bank.json); recipes/simulate_rirs.py makes one")
        head = read_json(self.folder / "bank.json", error=BankError)
        if head.get("version") != BANK_VERSION:
            raise BankError(
                f"{self.folder} was made by bank version {head.get('version')!r}, this package reads version "
                f"{BANK_VERSION}: make it anew with recipes/simulate_rirs.py (its settings are in bank.json)"
            )
        settings = _OPTIONAL_SETTINGS | head["settings"]
        unknown = set(settings) ^ {f.name for f in fields(BankSettings)}
        if unknown:
            raise BankError(f"{self.folder}/bank.json has unexpected or missing settings: {sorted(unknown)}")
        self.settings = BankSettings(**settings | {"heads": tuple(Head(**head) for head in settings["heads"])})
        if not (self.folder / "complete.json").exists():
            raise BankError(f"{self.folder} is not finished: run its job again with the same settings")
        complete = read_json(self.folder / "complete.json", error=BankError)
        if not {"sha256", "shards"} <= set(complete):
            raise BankError(f"{self.folder}/complete.json is not whole: delete it and run the bank's job again")
        self.sha256: str = complete["sha256"]
        self._shard_sha256: dict[str, str] = complete["shards"]
        self._files: dict[int, Any] = {}
        self._spectra: OrderedDict[tuple[int, int], NDArray[np.complex64]] = OrderedDict()
        self._spectra_bytes = 0

    @cached_property
    def rows(self) -> list[RirRow]:
        """All rows, ordered by index."""
        names = {f.name for f in fields(RirRow) if f.default is MISSING}
        rows = []
        for shard in range(self.settings.num_shards):
            for row in read_json(self.folder / f"shard-{shard:05d}.json", error=BankError):
                values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
                found_head = values.pop("head", None)
                if set(values) != names or (found_head is not None) != bool(self.settings.heads):
                    raise BankError(f"{self.folder}/shard-{shard:05d}.json: row with keys {sorted(row)}")
                rows.append(RirRow(**values, head=None if found_head is None else Head(**found_head)))
        return sorted(rows, key=lambda r: r.index)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def reference(self) -> dict[str, Any]:
        """What a scene record writes down to find this bank again."""
        return {"version": BANK_VERSION, "name": self.folder.name, "sha256": self.sha256}

    def rir(self, index: int) -> NDArray[np.float32]:
        """The impulse response `(channels, time)`."""
        if not 0 <= index < len(self.rows):
            raise BankError(f"response {index} is not in {self.folder}: it holds {len(self.rows)}")
        shard = self.rows[index].shard
        if shard not in self._files:
            path = self.folder / f"shard-{shard:05d}.safetensors"
            if sha256_of_file(path) != self._shard_sha256.get(path.name):  # once; a scene's bits hang on it
                raise BankError(f"{path} is not the file the bank was finished with: make the bank anew")
            self._files[shard] = safe_open(path, framework="numpy")
        return self._files[shard].get_tensor(f"{index:06d}")

    def spectrum(self, index: int, length: int) -> NDArray[np.complex64]:
        """The response's real FFT of `length` samples, `(channels, length // 2 + 1)`; the latest ones are kept."""
        key = (index, length)
        if key in self._spectra:
            self._spectra.move_to_end(key)
            return self._spectra[key]
        spectrum = rfft(self.rir(index), length, axis=-1)
        self._spectra[key] = spectrum
        self._spectra_bytes += spectrum.nbytes
        while self._spectra_bytes > SPECTRA_CACHE_BYTES:
            self._spectra_bytes -= self._spectra.popitem(last=False)[1].nbytes
        return spectrum

    def __getstate__(self) -> dict[str, Any]:
        # A worker process opens the files and computes spectra for itself.
        return {**self.__dict__, "_files": {}, "_spectra": OrderedDict(), "_spectra_bytes": 0}
