"""Shards as WebDataset writes them: tar archives of `.npy` files."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def npy_bytes(array: NDArray) -> bytes:
    """What a file of this array holds."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=array.dtype.hasobject)
    return stream.getvalue()


def write_shard(
    path: Path, members: Mapping[str, bytes], mtime: float = 0.25, format: int = tarfile.PAX_FORMAT
) -> Path:
    """An archive; a time with a fraction, as WebDataset writes it, needs an extra header before each file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), mtime
            archive.addfile(info, io.BytesIO(content))
    return path


def responses(
    places: int = 2, channels: int = 2, taps: int = 400, slots: int = 5, seed: int = 0
) -> NDArray[np.float32]:
    """A set in the published layout: the target, noise from `places`, and zeros in the slots that are left."""
    generator = np.random.default_rng(seed)
    array = generator.standard_normal((1 + slots, channels, taps)) * np.exp(-np.linspace(0, 6, taps))
    array[1 + places :] = 0
    return array.astype(np.float32)
