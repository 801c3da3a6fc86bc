"""What a frozen ear hears of many recordings, on disk: heard once, asked about as often as a training likes.

An ear that is not trained gives the same tokens every time. They are smaller than what they cost: rendering a scene and
hearing it takes a CPU longer than a small model takes to learn from it. Shard k is a pure function of (plan, k): the
job may be killed and started again, over any number of processes, and ends with the same bytes.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.files import read_json, remove_unfinished, sha256_of_file, write_json, write_whole
from spatial_audio_lm.models.bat.ear_bat import Ear
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.worker_processes import start_worker

CACHE_VERSION = 2  # to be raised when what an ear hears of a recording changes: caches of before are refused then
_AT_ONCE = 8  # recordings an ear hears in one batch


class Recordings(Protocol):
    """Recordings by number, that can be told from others by their digest and sent to another process."""

    def __len__(self) -> int: ...

    def __call__(self, number: int) -> SpatialAudio: ...

    def digest(self) -> str: ...


@dataclass(frozen=True)
class HearingPlan:
    """Everything that the content of a cache depends on.

    Args:
        ear: folder of the encoder with its feature extractor.
        hears: see `BatConfig`.
        recordings: what is heard.
        per_shard: recordings a file.
    """

    ear: str
    recordings: Recordings
    hears: str = "tokens"
    per_shard: int = 200

    @property
    def num_shards(self) -> int:
        return -(-len(self.recordings) // self.per_shard)

    def digest(self) -> str:
        """Changes when anything changes that the tokens depend on."""
        files = sorted(path for path in Path(self.ear).iterdir() if path.suffix in (".json", ".safetensors"))
        parts = {
            "version": CACHE_VERSION,
            "ear": {path.name: sha256_of_file(path) for path in files},
            "hears": self.hears,
            "recordings": self.recordings.digest(),
            "numbers": (len(self.recordings), self.per_shard),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=2)
def _opened(folder: str, hears: str) -> Ear:
    """The ear, read once a process."""
    return Ear.from_pretrained(folder, hears)


def hear(ear: Ear, recordings: Sequence[SpatialAudio]) -> dict[str, Tensor]:
    """Tokens of some recordings of one length, and their mask if the ear has one, under BAT's names."""
    tokens = ear.encode(ear.features(recordings))
    heard = {"audio_hidden_states": tokens.hidden_states}
    return heard if tokens.mask is None else heard | {"audio_hidden_mask": tokens.mask}


def process_hearing_shard(shard: int, plan: HearingPlan, folder: Path) -> bool:
    """Make one shard unless it is there; returns whether there was work."""
    path = _shard_file(folder, shard)
    if path.exists():
        return False
    ear = _opened(plan.ear, plan.hears)
    first = shard * plan.per_shard
    last = min(first + plan.per_shard, len(plan.recordings))
    parts = [
        hear(ear, [plan.recordings(number) for number in range(start, min(start + _AT_ONCE, last))])
        for start in range(first, last, _AT_ONCE)
    ]
    tensors = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    states = tensors["audio_hidden_states"].half()
    if not states.isfinite().all():
        raise DataError(f"{plan.ear} hears recordings {first} to {last - 1} as numbers that float16 does not hold")
    write_whole(path, lambda temporary: save_file(tensors | {"audio_hidden_states": states}, temporary))
    return True


def fill_hearing(folder: str | Path, plan: HearingPlan, num_processes: int = 1) -> "HeardRecordings":
    """The cache of a plan in a folder; what is missing of it is made first.

    Args:
        folder: of the cache, begun for this plan or not yet.
        plan: what is heard, and by what.
        num_processes: that make shards.

    Raises:
        DataError: the folder holds the tokens of other recordings or of another ear.
    """
    folder = Path(folder)
    path, digest = folder / "plan.json", plan.digest()
    if not path.exists():
        write_json(path, {"digest": digest, "recordings": len(plan.recordings), "per_shard": plan.per_shard})
    elif (found := read_json(path, error=DataError).get("digest")) != digest:
        raise DataError(
            f"{folder} holds what another ear heard, or other recordings ({str(found)[:12]} instead of {digest[:12]}): "
            "choose another cache folder, or delete this one"
        )
    remove_unfinished(folder)
    missing = [shard for shard in range(plan.num_shards) if not _shard_file(folder, shard).exists()]
    work = partial(process_hearing_shard, plan=plan, folder=folder)
    if num_processes > 1 and len(missing) > 1:
        with ProcessPoolExecutor(num_processes, get_context("spawn"), start_worker) as pool:
            list(tqdm(pool.map(work, missing), total=len(missing), desc="hearing", unit="shard"))
    else:
        for shard in tqdm(missing, desc="hearing", unit="shard", disable=not missing):
            work(shard)
    return HeardRecordings(folder)


class HeardRecordings:
    """A finished cache: tokens of recordings by their numbers, from memory-mapped files.

    Args:
        folder: filled by `fill_hearing`.

    Raises:
        DataError: a file is missing.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        plan = read_json(self.folder / "plan.json", error=DataError)
        self._length, self._per_shard = int(plan["recordings"]), int(plan["per_shard"])
        paths = [_shard_file(self.folder, shard) for shard in range(-(-self._length // self._per_shard))]
        if missing := [path.name for path in paths if not path.exists()]:
            raise DataError(f"{self.folder} is not finished ({missing[0]} is missing): run its job again")
        self._paths, self._open = paths, list[Any]()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, numbers: Sequence[int]) -> dict[str, Tensor]:
        """Tokens of some recordings as the model takes them (states were rounded to float16 on the way)."""
        if not self._open:
            self._open = [safe_open(path, framework="pt") for path in self._paths]
        rows: dict[str, list[Tensor]] = {name: [] for name in sorted(self._open[0].keys())}
        for number in numbers:
            shard, row = divmod(number, self._per_shard)
            for name, values in rows.items():
                values.append(self._open[shard].get_slice(name)[row : row + 1])
        batch = {name: torch.cat(values) for name, values in rows.items()}
        return batch | {"audio_hidden_states": batch["audio_hidden_states"].float()}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": []}


def _shard_file(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:05d}.safetensors"
