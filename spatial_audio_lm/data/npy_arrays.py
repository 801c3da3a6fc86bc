"""The door for NPY arrays: no pickle, and claimed sizes are checked against real ones before anything is allocated."""

import io
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from spatial_audio_lm.errors import DataError

# What numpy raises for a header that is cut off or garbled.
_BROKEN = (OSError, ValueError, EOFError, TokenError)
_FLOATS = (np.float16, np.float32, np.float64)
_HEADERS: dict[tuple[int, int], Callable] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


def open_npy(path: Path) -> NDArray:
    """A file's array, mapped: nothing is read or allocated until it is indexed.

    Raises:
        DataError: no such file, no NPY, an archive (NPZ), or Python objects.
    """
    try:
        with np.errstate(over="ignore"):  # a claimed shape beyond all numbers, which numpy then refuses
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _BROKEN as error:
        raise DataError(f"{path} cannot be read as an NPY array of numbers: {error}") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path} is an archive (NPZ); expected one NPY array")
    return array


def npy_from_bytes(content: bytes, name: str) -> NDArray:
    """The array in the bytes of an NPY file, without a copy.

    Args:
        content: all of the file.
        name: for messages.

    Raises:
        DataError: no NPY, Python objects, or more numbers claimed than there are bytes.
    """
    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"version {version} of the format is not read")
        shape, fortran, dtype = _HEADERS[version](stream)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        start = stream.tell()
        claimed = dtype.itemsize * int(np.prod([int(size) for size in shape], dtype=object))
        if claimed != len(content) - start:
            raise ValueError(f"{shape} of {dtype} are {claimed} bytes, there are {len(content) - start}")
        return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
    except _BROKEN as error:
        raise DataError(f"{name} cannot be read as an NPY array of numbers: {error}") from error


def finite_float32(array: NDArray, name: str) -> NDArray[np.float32]:
    """Real numbers as float32, in memory of their own.

    Raises:
        DataError: another type, or NaN or infinity; says where.
    """
    if array.dtype not in _FLOATS:
        raise DataError(
            f"{name} holds {array.dtype}; expected float32 (or float16, float64): divide integers by their full scale"
        )
    with np.errstate(over="ignore"):  # a double of 1e300 becomes infinite, which is refused
        values = np.array(array, dtype=np.float32, order="C")
    if not np.isfinite(values).all():
        place = np.argwhere(~np.isfinite(values))[0].tolist()
        raise DataError(f"{name}: the number at {place} is {values[tuple(place)]}: copy the file again")
    return values
