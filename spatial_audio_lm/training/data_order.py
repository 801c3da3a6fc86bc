"""The order of the data and the seed of every item, as functions of (seed, epoch, item) and of nothing else.

Accelerate's shuffle and skip do not resume exactly. Here an epoch's order is drawn from (seed, epoch), so a training
that was killed finds its place by computing it, and augmentation is drawn from (seed, epoch, item), so it is the same
for any number of workers. A sampler yields whole batches of `ItemKey(epoch, item)`; the data set is indexed by such a
key, which is how it knows the epoch in a worker process too.
"""

from collections.abc import Callable, Iterator
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from spatial_audio_lm.errors import ConfigError

# Different first words keep the streams apart: numpy pads entropy with zeros, so (seed, epoch) alone is that of item 0.
_ORDER, _ITEM = 1, 2


class ItemKey(NamedTuple):
    """Which item of the data set, in which epoch."""

    epoch: int
    item: int


def item_generator(seed: int, key: ItemKey) -> np.random.Generator:
    """Random numbers for one item in one epoch: the same in every process and after every restart."""
    return np.random.default_rng([_ITEM, seed, key.epoch, key.item])


class Augmented(Dataset):
    """A data set of plain indices, indexed by `ItemKey`, each item changed by its own random numbers.

    Args:
        dataset: anything with `__len__` and `__getitem__(index)`.
        augment: `(item, generator) -> item`.
        seed: of the training.
    """

    def __init__(self, dataset: Any, augment: Callable[[Any, np.random.Generator], Any], seed: int) -> None:
        self.dataset, self.augment, self.seed = dataset, augment, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: ItemKey) -> Any:
        return self.augment(self.dataset[key.item], item_generator(self.seed, key))


class EpochSampler(Sampler[list[ItemKey]]):
    """Batches of an epoch in an order drawn from (seed, epoch); what does not fill a batch is left out of that epoch.

    With several processes the batch of step k is cut into equal shares, so that all together see what one process with
    a batch `num_processes` times as large would see. A recipe with an order of its own overrides `order`.

    Args:
        length: items in the data set.
        batch_size: items a batch and process.
        seed: of the training, >= 0.
        shuffle: False keeps the order of the data set.
        process_index: of this process.
        num_processes: that train together.

    Raises:
        ConfigError: no batch fits into the data set, or a number is out of range.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        process_index: int = 0,
        num_processes: int = 1,
    ) -> None:
        if batch_size < 1 or seed < 0 or not 0 <= process_index < num_processes:
            raise ConfigError(
                f"batch_size {batch_size} must be >= 1, seed {seed} >= 0, process_index {process_index} less than"
                f" num_processes {num_processes}"
            )
        self.length, self.batch_size, self.seed, self.shuffle = length, batch_size, seed, shuffle
        self.process_index, self.num_processes = process_index, num_processes
        self.batches_per_epoch = length // (batch_size * num_processes)
        if self.batches_per_epoch == 0:
            raise ConfigError(
                f"the data set has {length} items, a batch of all processes {batch_size * num_processes}: "
                "choose a smaller batch_size"
            )
        self._epoch = self._batch = 0

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the items in the order of an epoch; must depend on the seed and the epoch only."""
        if not self.shuffle:
            return np.arange(self.length)
        return np.random.default_rng([_ORDER, self.seed, epoch]).permutation(self.length)

    def seek(self, epoch: int, batch: int = 0) -> None:
        """Let the next pass be that of `epoch`, without its first `batch` batches."""
        self._epoch, self._batch = epoch, batch

    def batch_items(self, epoch: int, batch: int, order: np.ndarray | None = None) -> list[int]:
        """Indices of this process's items in a batch."""
        order = self.order(epoch) if order is None else order
        start = (batch * self.num_processes + self.process_index) * self.batch_size
        return order[start : start + self.batch_size].tolist()

    def __len__(self) -> int:
        return self.batches_per_epoch

    def __iter__(self) -> Iterator[list[ItemKey]]:
        epoch, order = self._epoch, self.order(self._epoch)
        batches = range(self._batch, self.batches_per_epoch)
        return ([ItemKey(epoch, item) for item in self.batch_items(epoch, batch, order)] for batch in batches)


class WeightedEpochSampler(EpochSampler):
    """Batches of a part of the data set that is drawn anew each epoch, heavier items more often, none twice.

    Items are drawn one after the other, each with a probability proportional to its weight among those that are left.

    Args:
        weights: `(items,)`, >= 0; an item of weight 0 is never drawn.
        num_samples: items an epoch; at most as many as have a weight above 0.
        batch_size: items a batch and process.
        seed: of the training, >= 0.
        process_index: of this process.
        num_processes: that train together.

    Raises:
        ConfigError: weights that are none, more samples than items, or as `EpochSampler`.
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        batch_size: int,
        seed: int,
        process_index: int = 0,
        num_processes: int = 1,
    ) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        if self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any():
            raise ConfigError(f"weights of shape {self.weights.shape}; expected (items,), finite numbers of at least 0")
        drawable = int((self.weights > 0).sum())
        if not batch_size * num_processes <= num_samples <= drawable:
            raise ConfigError(
                f"num_samples is {num_samples}; expected at least a batch of all processes, "
                f"{batch_size * num_processes}, and at most the {drawable} items with a weight above 0"
            )
        super().__init__(num_samples, batch_size, seed, True, process_index, num_processes)

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the drawn items; depends on the weights, the seed and the epoch only."""
        generator = np.random.default_rng([_ORDER, self.seed, epoch])
        # The first to arrive of exponential clocks with the weights as rates are such a draw.
        with np.errstate(divide="ignore"):
            arrival = generator.standard_exponential(len(self.weights)) / self.weights
        drawn = np.sort(np.argpartition(arrival, self.length - 1)[: self.length])
        return generator.permutation(drawn)  # in the order of arrival an epoch would begin with the heavy ones


def epoch_loader(
    dataset: Any,
    sampler: EpochSampler,
    num_workers: int = 0,
    collate_fn: Callable[[list], Any] | None = None,
    timeout_s: float = 300.0,
) -> DataLoader:
    """A DataLoader that leaves the training's random numbers alone and cannot wait for ever.

    It draws from a generator of its own (starting an epoch would otherwise move the model's dropout), spawns its
    workers (a fork after torch has used threads hangs) and keeps them over the epochs, one thread each.

    Args:
        dataset: indexed by `ItemKey` (or by a list of them, through `__getitems__`).
        sampler: the order.
        num_workers: 0 loads in this process.
        collate_fn: items to a batch; None stacks them, `as_it_is` is for `__getitems__` that give a batch.
        timeout_s: longest wait for a batch of a worker.
    """
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate_fn,
        generator=torch.Generator().manual_seed(sampler.seed),
        timeout=timeout_s if num_workers else 0,
        multiprocessing_context=get_context("spawn") if num_workers else None,
        persistent_workers=num_workers > 0,
        worker_init_fn=_start_worker,
    )


def as_it_is(batch: Any) -> Any:
    """A batch that a data set's `__getitems__` has made already."""
    return batch


def _start_worker(_index: int) -> None:
    torch.set_num_threads(1)
