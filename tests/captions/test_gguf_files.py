"""Headers of GGUF files: a good one is read, and nothing that lies is believed."""

import struct
from pathlib import Path

import pytest

from spatial_audio_lm.captions.gguf_files import read_gguf_header
from spatial_audio_lm.errors import CheckpointError
from tests.captions.tiny_gguf import CONTEXT, write_gguf


@pytest.fixture(scope="module")
def gguf(tmp_path_factory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def head(num_keys: int) -> bytes:
    """The beginning of a file without tensors."""
    return b"GGUF" + struct.pack("<IQQ", 3, 0, num_keys)


def refused(path: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        read_gguf_header(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_a_good_header_is_read(gguf: Path) -> None:
    header = read_gguf_header(gguf)
    assert (header.architecture, header.context_length, header.num_tensors) == ("llama", CONTEXT, 21)
    assert header.values["general.name"] == "tiny" and "tokenizer.ggml.tokens" not in header.values


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no GGUF file"),
        (b"<!DOCTYPE html>", "no GGUF file: it begins with b'<!DO'; it is a web page"),
        (b"version https://git-lfs", "Git LFS pointer"),
        (b"PK\x03\x04" + bytes(100), "no GGUF file"),
        (b"GGUF", "cut off or damaged"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "GGUF version 1; 2 and 3 are read"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "damaged, or of a big-endian machine"),
        (b"GGUFxxxx", "there is no GGUF version 2021161080: the file is damaged"),
        (head(2**40), "claims 1099511627776 keys"),
        (head(60_000), "60000 keys would need"),
        (head(1) + struct.pack("<Q", 2**63) + bytes(50), "a key is said to have"),
        (head(1) + struct.pack("<Q3sIIQ", 3, b"key", 9, 0, 2**63) + bytes(9), "items of"),
        (head(1) + struct.pack("<Q3sIIQ", 3, b"key", 9, 8, 2**40) + bytes(9), "items of"),
        (head(1) + struct.pack("<Q3sIIQ", 3, b"key", 9, 9, 1) + bytes(9), "type 9"),
        (head(1) + struct.pack("<Q3sI", 3, b"key", 77) + bytes(9), "type 77"),
        (head(1) + struct.pack("<Q3sIQ", 3, b"key", 8, 2**50) + bytes(9), "would need"),
        (head(0), "does not name its architecture"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_no_gguf_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    refused(path, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"llama__block_count": 2**31}, "block_count is 2147483648; expected 1 to 512 layers"),
        ({"llama__block_count": 0}, "block_count is 0"),
        ({"llama__embedding_length": 2**30}, "embedding_length is 1073741824"),
        ({"llama__embedding_length": 33}, "33 numbers does not divide into 2 heads"),
        ({"llama__attention__head_count": 0}, "head_count is 0"),
        ({"llama__context_length": 0}, "context_length is 0"),
        ({"llama__context_length": "many"}, "context_length is 'many'"),
        ({"general__architecture": 3}, "does not name its architecture"),
        ({"general__alignment": 0}, "general.alignment is 0"),
    ],
)
def test_networks_that_cannot_be_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    refused(write_gguf(tmp_path / "model.gguf", **changes), message)


def test_a_key_is_missing_or_twice(tmp_path: Path, gguf: Path) -> None:
    refused(write_gguf(tmp_path / "model.gguf", without=["llama.block_count"]), "block_count is None")
    bos, eos = b"tokenizer.ggml.bos_token_id", b"tokenizer.ggml.eos_token_id"
    (tmp_path / "twice.gguf").write_bytes(gguf.read_bytes().replace(eos, bos, 1))
    refused(tmp_path / "twice.gguf", "key 'tokenizer.ggml.bos_token_id' stands twice")


def test_a_file_is_refused_wherever_it_is_cut(tmp_path: Path, gguf: Path) -> None:
    whole, path = gguf.read_bytes(), tmp_path / "cut.gguf"
    for length in [*range(0, 400, 7), *range(400, len(whole), 4001), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path, "cut off or damaged|no GGUF file")


def test_flipped_bytes_end_in_a_header_or_in_our_error(tmp_path: Path, gguf: Path) -> None:
    whole, path = gguf.read_bytes(), tmp_path / "flipped.gguf"
    kept = 0
    for place in range(0, 7000, 13):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_gguf_header(path)
            kept += 1
        except CheckpointError:
            continue
    assert 0 < kept < 500


def test_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.gguf", "no such file; expected the path of a GGUF file")
    refused(tmp_path, "not a regular file")
