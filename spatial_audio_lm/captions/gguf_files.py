"""The header of a GGUF file, checked against the file before anything believes it.

llama.cpp allocates what a header claims, and ends the whole process where a claim is absurd. What is checked here: the
kind and version of the file, that every count and length fits into the bytes that are there, that every tensor lies
inside the file, and that the sizes of the network are sizes.

Layout: magic, version, number of tensors, number of keys; the keys with typed values; name, shape, type and place of
each tensor; padding; the tensors. Little-endian throughout.
"""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.files import shown_name

VERSIONS = (2, 3)
_NO_VERSION = 1000  # no format has had as many
MAX_KEYS = 65_536
MAX_TENSORS = 65_536
MAX_KEY_BYTES = 65_535
MAX_LAYERS = 512
MAX_DIMENSIONS = 4

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_KEPT_BYTES = 4096  # of a text value; longer ones (chat templates) are passed over
_SMALLEST_TENSOR_ENTRY = 8 + 4 + 8 + 4 + 8
# Numbers a block, bytes a block, by the number of the type. Types that are newer than this list are not measured.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54),
    35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says of itself.

    Attributes:
        architecture: of the network, as llama.cpp calls it.
        context_length: tokens that the model was trained to see at once.
        num_tensors: in this file; a model may be split over several.
        values: all single values of its keys, without lists and long texts.
    """

    architecture: str
    context_length: int
    num_tensors: int
    values: dict[str, Any] = field(repr=False)


def read_gguf_header(path: str | os.PathLike) -> GgufHeader:
    """Read and check the header of a GGUF file; none of its tensors is read.

    Raises:
        CheckpointError: it is missing, no GGUF, of a version that is not known, shorter than it claims to be, or of a
            network that cannot be.
    """
    if not os.path.isfile(path):
        there = "not a regular file" if os.path.exists(path) else "no such file"
        raise CheckpointError(f"{shown_name(path)}: {there}; expected the path of a GGUF file")
    try:
        with open(path, "rb") as file:
            return _Reader(Path(path), file).header()
    except OSError as error:
        raise CheckpointError(f"{shown_name(path)}: {error.strerror}") from error


class _Reader:
    def __init__(self, path: Path, file: BinaryIO):
        self._name, self._file = shown_name(path), file
        self._size = os.fstat(file.fileno()).st_size

    def header(self) -> GgufHeader:
        magic = self._file.read(4)
        if magic != b"GGUF":
            hint = "; it is a web page or a Git LFS pointer" if magic[:1] in (b"<", b"v") else ""
            raise self._refusal(f"no GGUF file: it begins with {magic!r}{hint}. Give a model in llama.cpp's format")
        version = self._scalar("<I")
        if version >= _NO_VERSION:
            raise self._refusal(
                f"there is no GGUF version {version}: the file is damaged, or of a big-endian machine; download it "
                "again"
            )
        if version not in VERSIONS:
            raise self._refusal(
                f"GGUF version {version}; {' and '.join(map(str, VERSIONS))} are read: convert the model anew"
            )
        num_tensors, num_keys = self._scalar("<Q"), self._scalar("<Q")
        self._require_count("keys", num_keys, MAX_KEYS, 8 + 4 + 1)
        values: dict[str, Any] = {}
        for _ in range(num_keys):
            key = self._name_of("a key")
            if key in values:
                raise self._refusal(f"key {key!r} stands twice: the file is damaged")
            values[key] = self._value(key)
        self._require_count("tensors", num_tensors, MAX_TENSORS, _SMALLEST_TENSOR_ENTRY)
        self._check_tensors(num_tensors, values)
        return self._checked(num_tensors, {key: value for key, value in values.items() if value is not None})

    def _checked(self, num_tensors: int, values: dict[str, Any]) -> GgufHeader:
        architecture = values.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise self._refusal("it does not name its architecture: this is no language model")

        def size(name: str, most: int, what: str) -> int:
            value = values.get(f"{architecture}.{name}")
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise self._refusal(f"{architecture}.{name} is {value!r}; expected 1 to {most} {what}")
            return value

        context = size("context_length", 2**31 - 1, "tokens")
        size("block_count", MAX_LAYERS, "layers")
        width = size("embedding_length", 2**20, "numbers a token")
        heads = values.get(f"{architecture}.attention.head_count")
        if heads is not None:  # a list where layers differ: that is llama.cpp's to judge
            heads = size("attention.head_count", 2**14, "heads")
            if f"{architecture}.attention.key_length" not in values and width % heads:
                raise self._refusal(f"an embedding of {width} numbers does not divide into {heads} heads")
        return GgufHeader(architecture, context, num_tensors, values)

    def _check_tensors(self, num_tensors: int, values: dict[str, Any]) -> None:
        ends = []
        for _ in range(num_tensors):
            name = self._name_of("a tensor's name")
            dimensions = self._scalar("<I")
            if not 1 <= dimensions <= MAX_DIMENSIONS:
                raise self._refusal(
                    f"tensor {name!r} has {dimensions} dimensions; at most {MAX_DIMENSIONS} are possible"
                )
            numbers = 1
            for _ in range(dimensions):
                numbers *= self._scalar("<Q")
            kind, offset = self._scalar("<I"), self._scalar("<Q")
            per_block, bytes_per_block = _BLOCKS.get(kind, (1, 0))
            if numbers % per_block:
                raise self._refusal(f"tensor {name!r} has {numbers} numbers, which are no whole blocks of {per_block}")
            ends.append((offset + numbers // per_block * bytes_per_block, name))
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 2**20:
            raise self._refusal(f"general.alignment is {alignment!r}; expected a small power of two")
        start = -(-self._file.tell() // alignment) * alignment
        end, name = max(ends, default=(-start, ""))  # the first of several files may hold no tensor
        if start + end > self._size:
            raise self._refusal(
                f"tensor {name!r} would end at byte {start + end} of {self._size}: the file is cut off or damaged; "
                "download it again"
            )

    def _value(self, key: str) -> Any:
        """A single value; None for lists and long texts, which are measured and passed over."""
        kind = self._scalar("<I")
        if kind == _STRING:
            return self._text(f"the value of {key!r}")
        if kind != _ARRAY:
            return self._scalar(self._layout(kind, key))
        kind, length = self._scalar("<I"), self._scalar("<Q")
        if kind == _STRING:
            self._require_count(f"items of {key!r}", length, None, 8)
            for _ in range(length):
                self._skip(self._scalar("<Q"), f"an item of {key!r}")
            return None
        item_bytes = struct.calcsize(self._layout(kind, key))
        self._require_count(f"items of {key!r}", length, None, item_bytes)
        self._skip(length * item_bytes, f"the list {key!r}")
        return None

    def _layout(self, kind: int, key: str) -> str:
        if kind not in _SCALARS:
            raise self._refusal(f"the value of {key!r} has type {kind}, which does not exist: the file is damaged")
        return _SCALARS[kind]

    def _name_of(self, what: str) -> str:
        length = self._scalar("<Q")
        if not 1 <= length <= MAX_KEY_BYTES:
            raise self._refusal(f"{what} is said to have {length} bytes; 1 to {MAX_KEY_BYTES} are possible")
        return self._bytes(length, what).decode("utf-8", "backslashreplace")

    def _text(self, what: str) -> str | None:
        length = self._scalar("<Q")
        if length > _KEPT_BYTES:
            self._skip(length, what)
            return None
        return self._bytes(length, what).decode("utf-8", "backslashreplace")

    def _scalar(self, layout: str) -> Any:
        return struct.unpack(layout, self._bytes(struct.calcsize(layout), "the header"))[0]

    def _bytes(self, count: int, what: str) -> bytes:
        self._require_bytes(count, what)
        return self._file.read(count)

    def _skip(self, count: int, what: str) -> None:
        self._require_bytes(count, what)
        self._file.seek(count, os.SEEK_CUR)

    def _require_count(self, what: str, count: int, most: int | None, smallest: int) -> None:
        if most is not None and count > most:
            raise self._refusal(f"it claims {count} {what}; at most {most} are read: the file is damaged")
        self._require_bytes(count * smallest, f"{count} {what}")

    def _require_bytes(self, count: int, what: str) -> None:
        left = self._size - self._file.tell()
        if count > left:
            raise self._refusal(
                f"{what} would need {count} bytes and {left} are left: the file is cut off or damaged; download it "
                "again"
            )

    def _refusal(self, problem: str) -> CheckpointError:
        return CheckpointError(f"{self._name}: {problem}")
