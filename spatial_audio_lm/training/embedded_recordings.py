"""One vector of each of many recordings, by a frozen ear, on disk: heard once, captioned as often as a training likes.

As in `heard_recordings.py` shard k is a pure function of (plan, k): the job may be killed and started again, over any
number of processes, and ends with the same bytes. Vectors are small: all of them are in memory afterwards.
"""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.files import read_json, remove_unfinished, write_json, write_whole
from spatial_audio_lm.models.spatial_captioner.ear_spatial_captioner import EmbeddingEar
from spatial_audio_lm.simulation.worker_processes import start_worker
from spatial_audio_lm.training.heard_recordings import HearingPlan

EMBEDDINGS_VERSION = 1  # to be raised when the vector of a recording changes: caches of before are refused then
_AT_ONCE = 8  # recordings an ear hears in one batch


@dataclass(frozen=True)
class EmbeddingPlan(HearingPlan):
    """Everything that the content of a cache of vectors depends on; see `HearingPlan`."""

    per_shard: int = 500

    def digest(self) -> str:
        """Changes when anything changes that the vectors depend on."""
        return hashlib.sha256(f"embeddings {EMBEDDINGS_VERSION} {super().digest()}".encode()).hexdigest()


@lru_cache(maxsize=2)
def _opened(folder: str) -> EmbeddingEar:
    """The ear, read once a process."""
    return EmbeddingEar.from_pretrained(folder)


def process_embedding_shard(shard: int, plan: EmbeddingPlan, folder: Path) -> bool:
    """Make one shard unless it is there; returns whether there was work.

    Raises:
        DataError: a vector that is not finite.
    """
    path = _shard_file(folder, shard)
    if path.exists():
        return False
    ear = _opened(plan.ear)
    first = shard * plan.per_shard
    last = min(first + plan.per_shard, len(plan.recordings))
    parts = []
    for start in range(first, last, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, last))
        parts.append(ear.embed([plan.recordings(number) for number in numbers]).float())
        if not parts[-1].isfinite().all():
            raise DataError(f"{plan.ear} hears one of the recordings {numbers[0]} to {numbers[-1]} as NaN or infinity")
    write_whole(path, lambda temporary: save_file({"audio_embeds": torch.cat(parts)}, temporary))
    return True


def fill_embeddings(folder: str | Path, plan: EmbeddingPlan, num_processes: int = 1) -> Tensor:
    """The vectors of a plan, `(recordings, dim)`, kept in a folder; what is missing there is made first.

    Args:
        folder: of the cache, begun for this plan or not yet.
        plan: what is heard, and by what.
        num_processes: that make shards.

    Raises:
        DataError: the folder holds the vectors of other recordings or of another ear.
    """
    folder = Path(folder)
    path, digest = folder / "plan.json", plan.digest()
    if not path.exists():
        write_json(path, {"digest": digest, "recordings": len(plan.recordings), "per_shard": plan.per_shard})
    elif (found := read_json(path, error=DataError).get("digest")) != digest:
        raise DataError(
            f"{folder} holds the embeddings of other recordings or of another ear ({str(found)[:12]} instead of "
            f"{digest[:12]}): choose another cache folder, or delete this one"
        )
    remove_unfinished(folder)
    missing = [shard for shard in range(plan.num_shards) if not _shard_file(folder, shard).exists()]
    work = partial(process_embedding_shard, plan=plan, folder=folder)
    if num_processes > 1 and len(missing) > 1:
        with ProcessPoolExecutor(num_processes, get_context("spawn"), start_worker) as pool:
            list(tqdm(pool.map(work, missing), total=len(missing), desc="embedding", unit="shard"))
    else:
        for shard in tqdm(missing, desc="embedding", unit="shard", disable=not missing):
            work(shard)
    shards = [load_file(_shard_file(folder, shard))["audio_embeds"] for shard in range(plan.num_shards)]
    return torch.cat(shards)


def _shard_file(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:05d}.safetensors"
