"""The door for NPY: arrays of numbers come through, and nothing that lies about its size or runs code."""

from pathlib import Path

import numpy as np
import pytest

from spatial_audio_lm.data.npy_arrays import finite_float32, npy_from_bytes, open_npy
from spatial_audio_lm.errors import DataError
from tests.data.shards import npy_bytes


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_what_was_saved(tmp_path: Path, dtype: str, order: str) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    for read in (open_npy(tmp_path / "a.npy"), npy_from_bytes((tmp_path / "a.npy").read_bytes(), "a")):
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


def lying(shape: str) -> bytes:
    """A header that claims a shape, and sixteen bytes."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(16)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an array",
        npy_bytes(np.zeros(4))[:-1],
        npy_bytes(np.zeros(4)) + b"more",
        npy_bytes(np.zeros(4))[:40],
        npy_bytes(np.array([{}], dtype=object)),
        lying("(99999999999, 99999999999, 9999)"),
        lying("(-1, -4)"),
        lying("('x',)"),
        npy_bytes(np.zeros(4)).replace(b"\x01\x00", b"\x09\x00", 1),
    ],
)
def test_what_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="a set cannot be read as an NPY array of numbers"):
        npy_from_bytes(content, "a set")
    (tmp_path / "a.npy").write_bytes(content)
    if not content.endswith(b"more"):  # a mapped file may be longer than its array
        with pytest.raises(DataError, match=r"a\.npy cannot be read"):
            open_npy(tmp_path / "a.npy")


def test_numbers_are_real_and_finite() -> None:
    assert finite_float32(np.array([1.5], dtype=np.float16), "a").dtype == np.float32
    with pytest.raises(DataError, match="a holds int16; expected float32"):
        finite_float32(np.array([1], dtype=np.int16), "a")
    with pytest.raises(DataError, match=r"a: the number at \[1, 0\] is nan"):
        finite_float32(np.array([[0.0, 1.0], [np.nan, np.inf]]), "a")
    with pytest.raises(DataError, match=r"the number at \[0\] is inf"):
        finite_float32(np.array([1e300]), "a")
