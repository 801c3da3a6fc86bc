"""Many scenes as network inputs, or as sound, on disk: rendered once, trained on many times.

Rendering and the STFT cost a CPU about as much as training on the result once, so a small model that sees each scene
several times is better fed from a cache; rotation, mirroring and masking happen later, on the features
(`feature_augmentation.py`), or on the sound (`binaural_scenes.py`). Shard k is a pure function of (plan, k): the job
may be killed and started again, over any number of processes, and ends with the same bytes.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from spatial_audio_lm.data.clip_folders import LabelledClip, clips_digest
from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.files import read_json, remove_unfinished, write_json, write_whole
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import RirBank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene
from spatial_audio_lm.simulation.scenes import render_scene
from spatial_audio_lm.simulation.worker_processes import start_worker

LABELS = ("azimuth_deg", "elevation_deg", "distance_m", "floor_area_m2", "t30_s")
CLASS_INDEX = {sound.id: index for index, sound in enumerate(SOUND_CLASSES)}
FEATURES_VERSION = 2  # to be raised when rendering or the features change: caches of before are refused then


class Extractor(Protocol):
    """What makes features of waveforms: the feature extractor of a system, or `AsSound`."""

    def extract(self, waveform: Tensor) -> dict[str, Tensor]: ...

    def to_dict(self) -> dict[str, Any]: ...


class AsSound:
    """Keeps the sound itself: for trainings that mix scenes, and make features of the mixture."""

    def extract(self, waveform: Tensor) -> dict[str, Tensor]:
        return {"waveform": waveform}

    def to_dict(self) -> dict[str, Any]:
        return {"keeps": "waveform"}


@dataclass(frozen=True)
class FeaturePlan:
    """Everything the content of a feature cache depends on, and where its ingredients lie."""

    bank_folder: str
    clip_folder: str | None
    clips: tuple[LabelledClip, ...]
    extractor: Extractor
    scenes: SceneSettings = field(default_factory=SceneSettings)
    num_scenes: int = 30_000
    class_weights: tuple[tuple[str, float], ...] = ()  # of drawing a class; empty: all alike
    mono_rate: float = 0.0  # of scenes given as mono, copied to four channels: no spatial labels
    seed: int = 0
    scenes_per_shard: int = 500

    def __post_init__(self) -> None:
        if self.scenes.num_sources != 1:
            raise ConfigError(
                f"num_sources is {self.scenes.num_sources}; labels and captions here are those of one source a scene"
            )

    @property
    def num_shards(self) -> int:
        return -(-self.num_scenes // self.scenes_per_shard)

    def digest(self) -> str:
        """Changes when anything changes that the features depend on."""
        parts = {
            "version": FEATURES_VERSION,
            "classes": list(CLASS_INDEX),
            "bank": RirBank(self.bank_folder).sha256,
            "clips": clips_digest(list(self.clips)),
            "extractor": self.extractor.to_dict(),
            "scenes": asdict(self.scenes),
            "class_weights": self.class_weights,
            "numbers": (self.num_scenes, self.mono_rate, self.seed, self.scenes_per_shard),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def record(self, index: int) -> tuple[SceneRecord, bool]:
        """Scene `index` and whether it is given as mono."""
        bank, _, by_class = _ingredients(self.bank_folder, self.clip_folder, self.clips)
        generator = np.random.default_rng([self.seed, index, 1])
        names = sorted(by_class)
        weights = dict(self.class_weights) or dict.fromkeys(names, 1.0)
        rates = np.array([weights.get(name, 0.0) for name in names])
        name = names[generator.choice(len(names), p=rates / rates.sum())]
        is_mono = bool(generator.random() < self.mono_rate)
        return sample_scene(self.scenes, bank, by_class, self.seed, index, sound_class=name), is_mono


@lru_cache(maxsize=4)
def _ingredients(
    bank_folder: str, clip_folder: str | None, clips: tuple[LabelledClip, ...]
) -> tuple[RirBank, ClipStore, dict[str, list[Any]]]:
    bank = RirBank(bank_folder)
    by_class: dict[str, list[Any]] = {}
    for item in clips:
        by_class.setdefault(item.sound_class, []).append(item.clip)
    return bank, ClipStore(clip_folder, bank.settings.sample_rate), by_class


def scene_batch(plan: FeaturePlan, numbers: Sequence[int]) -> dict[str, Tensor]:
    """Render scenes and make their features.

    Returns:
        The extractor's features, `labels` `(batch, 5)` in the order of `LABELS`, `sound_class` `(batch,)` (index into
        the vocabulary), `rir_index` `(batch,)` (into the bank) and `is_spatial` `(batch,)`.
    """
    bank, store, _ = _ingredients(plan.bank_folder, plan.clip_folder, plan.clips)
    features: dict[str, list[Tensor]] = {}
    labels, classes, places, spatial = [], [], [], []
    for index in numbers:
        record, is_mono = plan.record(index)
        waveform = render_scene(record, bank, store).waveform[None]
        if is_mono:
            waveform = waveform[:, :1].expand_as(waveform)
        for name, value in plan.extractor.extract(waveform).items():
            features.setdefault(name, []).append(value[0])
        source = record.sources[0]
        values = {**asdict(source), "floor_area_m2": record.room.floor_area_m2, "t30_s": record.room.t30_s}
        labels.append([values[name] for name in LABELS])
        classes.append(CLASS_INDEX[source.sound_class])
        places.append(source.rir_index)
        spatial.append(not is_mono)
    return {name: torch.stack(rows) for name, rows in features.items()} | {
        "labels": torch.tensor(labels, dtype=torch.float32),
        "sound_class": torch.tensor(classes),
        "rir_index": torch.tensor(places),
        "is_spatial": torch.tensor(spatial),
    }


def process_feature_shard(shard: int, plan: FeaturePlan, folder: Path) -> bool:
    """Make one shard unless it is there; returns whether there was work."""
    path = folder / f"shard-{shard:05d}.safetensors"
    if path.exists():
        return False
    first = shard * plan.scenes_per_shard
    batch = scene_batch(plan, range(first, min(first + plan.scenes_per_shard, plan.num_scenes)))
    # Labels keep their precision; of features, and of sound with its peak at a half, 11 bits are enough.
    tensors = {name: value.half() if value.ndim > 2 else value for name, value in batch.items()}
    write_whole(path, lambda temporary: save_file(tensors, temporary))
    return True


class LiveScenes:
    """Scenes as batches without a cache, rendered whenever they are asked for: for features too large to keep."""

    def __init__(self, plan: FeaturePlan):
        self.plan = plan

    def __len__(self) -> int:
        return self.plan.num_scenes

    def __getitem__(self, indices: list[int]) -> dict[str, Tensor]:
        return scene_batch(self.plan, indices)


def begin_features(folder: Path, plan: FeaturePlan) -> None:
    """Write down what the folder is for, or check that it was begun for the same plan.

    Raises:
        DataError: it holds the features of another plan.
    """
    path = folder / "plan.json"
    digest = plan.digest()
    if not path.exists():
        write_json(path, {"digest": digest, "num_scenes": plan.num_scenes, "num_shards": plan.num_shards})
    elif (found := read_json(path, error=DataError).get("digest")) != digest:
        raise DataError(
            f"{folder} holds features of other scenes or settings ({str(found)[:12]} instead of {digest[:12]}): "
            "choose another cache folder, or delete this one"
        )
    remove_unfinished(folder)


def fill_features(
    folder: str | Path, plan: FeaturePlan, num_processes: int = 1, in_memory: bool = False
) -> "SceneFeatures":
    """The cache of a plan in a folder; what is missing of it is made first.

    Args:
        folder: of the cache, begun for this plan or not yet.
        plan: which scenes, and what is kept of them.
        num_processes: that make shards.
        in_memory: see `SceneFeatures`.

    Raises:
        DataError: the folder holds the features of another plan.
    """
    folder = Path(folder)
    begin_features(folder, plan)
    missing = [k for k in range(plan.num_shards) if not (folder / f"shard-{k:05d}.safetensors").exists()]
    work = partial(process_feature_shard, plan=plan, folder=folder)
    if num_processes > 1 and len(missing) > 1:
        with ProcessPoolExecutor(num_processes, get_context("spawn"), start_worker) as pool:
            list(tqdm(pool.map(work, missing), total=len(missing), desc="scenes", unit="shard"))
    else:
        for shard in tqdm(missing, desc="scenes", unit="shard", disable=not missing):
            work(shard)
    return SceneFeatures(folder, in_memory)


class SceneFeatures:
    """The finished cache: `len`, and batches by index, read from memory-mapped shards.

    Args:
        folder: made by `begin_features` and `process_feature_shard`.
        in_memory: read all of it now, where it fits: batches of large items from a disk wait for it.

    Raises:
        DataError: a shard is missing.
    """

    def __init__(self, folder: str | Path, in_memory: bool = False):
        self.folder = Path(folder)
        plan = read_json(self.folder / "plan.json", error=DataError)
        self.num_scenes: int = plan["num_scenes"]
        self._paths = [self.folder / f"shard-{k:05d}.safetensors" for k in range(plan["num_shards"])]
        if missing := [path.name for path in self._paths if not path.exists()]:
            raise DataError(f"{self.folder} is not finished ({missing[0]} is missing): run its job again")
        self._per_shard = 0
        self._names: list[str] = []
        self._open: list[Any] = []
        self._in_memory = in_memory
        self._memory: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return self.num_scenes

    def __getitem__(self, indices: list[int]) -> dict[str, Tensor]:
        """Scenes as one batch, as `scene_batch` gives it (features were rounded to float16 on the way)."""
        self._begin_reading()
        if self._in_memory:
            return _without_half({name: values[indices] for name, values in self._memory.items()})
        rows: dict[str, list[Tensor]] = {name: [] for name in self._names}
        for index in indices:
            shard, row = divmod(index, self._per_shard)
            for name, values in rows.items():
                values.append(self._open[shard].get_slice(name)[row : row + 1])
        return _without_half({name: torch.cat(values) for name, values in rows.items()})

    def column(self, name: str) -> Tensor:
        """One label of all scenes, `(scenes,)` or `(scenes, 5)`."""
        self._begin_reading()
        if self._in_memory:
            return self._memory[name]
        return torch.cat([shard.get_tensor(name) for shard in self._open])

    def _begin_reading(self) -> None:
        if self._names:  # has begun
            return
        shards = [safe_open(path, framework="pt") for path in self._paths]
        self._per_shard = shards[0].get_slice("labels").get_shape()[0]
        self._names = sorted(shards[0].keys())
        if not self._in_memory:
            self._open = shards
            return
        # Mapped files would count beside what was read from them: none stays open.
        for name in self._names:
            first = shards[0].get_tensor(name)
            whole = self._memory[name] = torch.empty(self.num_scenes, *first.shape[1:], dtype=first.dtype)
            for number, shard in enumerate(shards):  # one at a time: all twice might not fit
                part = shard.get_tensor(name)
                whole[number * self._per_shard :][: len(part)] = part

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": [], "_memory": {}, "_names": []}


def _without_half(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() if value.dtype == torch.float16 else value for name, value in batch.items()}
