"""Archives are read where they lie: every way of writing them, and the ways in which they can be damaged or hostile."""

import io
import tarfile
from pathlib import Path

import pytest

from spatial_audio_lm.data.tar_members import TarCutShortError, TarMember, read_member, tar_members
from spatial_audio_lm.errors import DataError
from tests.data.shards import write_shard

CONTENT = {"000.npy": b"first", "folder/001.npy": b"", "a" * 150 + ".npy": bytes(range(256)) * 5}


def contents(path: Path) -> dict[str, bytes]:
    return {member.name: read_member(path, member, 10_000) for member in tar_members(path)}


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("mtime", [0, 0.25])
def test_members_of_every_format(tmp_path: Path, format: int, mtime: float) -> None:
    assert contents(write_shard(tmp_path / "a.tar", CONTENT, mtime, format)) == CONTENT


def test_old_and_split_names(tmp_path: Path) -> None:
    names = {"x" * 90 + "/" + "y" * 90: b"1", "short": b"2"}
    assert contents(write_shard(tmp_path / "a.tar", names, 0, tarfile.USTAR_FORMAT)) == names


def test_folders_are_left_out_and_names_lead_nowhere(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name in ("../../outside.npy", "/absolute.npy"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    before = sorted(tmp_path.parent.rglob("*"))
    assert contents(tmp_path / "a.tar") == {"../../outside.npy": b"abc", "/absolute.npy": b"abc"}
    assert sorted(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("trap.npy")
        info.type, info.linkname = kind, "/etc/hostname"
        archive.addfile(info)
    with pytest.raises(DataError, match=r"trap\.npy is a link or device"):
        tar_members(tmp_path / "a.tar")


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    """At each member's border too, where the rest would read as a whole archive."""
    whole = write_shard(tmp_path / "a.tar", {f"{k}.npy": bytes(700) for k in range(3)}).read_bytes()
    last_data = tar_members(tmp_path / "a.tar")[-1].offset + 700
    cut = tmp_path / "cut.tar"
    for length in [*range(0, last_data + 1, 256), last_data, last_data + 400, -(-last_data // 512) * 512 + 512]:
        cut.write_bytes(whole[:length])
        with pytest.raises(TarCutShortError, match="cut short"):
            tar_members(cut)


def test_room_that_was_reserved_and_not_filled_is_noticed(tmp_path: Path) -> None:
    members = {f"{k}.npy": bytes([1]) * 700_000 for k in range(3)}
    whole = write_shard(tmp_path / "a.tar", members).read_bytes()
    cut = tmp_path / "cut.tar"
    for length in (100_000, 700_000, 1_000_000):
        cut.write_bytes(whole[:length] + bytes(len(whole) - length))
        with pytest.raises(TarCutShortError, match="cut short"):
            tar_members(cut)
    cut.write_bytes(whole + whole)
    with pytest.raises(TarCutShortError, match="or are another archive"):
        tar_members(cut)
    cut.write_bytes(whole + bytes(50_000))  # records of another size
    assert len(tar_members(cut)) == 3


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"This is a text and no archive. " * 100)
    with pytest.raises(DataError, match="no tar header at byte 0: expected an uncompressed"):
        tar_members(path)
    whole = bytearray(write_shard(path, {"a.npy": b"abc"}, 0).read_bytes())
    whole[0] ^= 1  # the name no longer fits its checksum
    path.write_bytes(whole)
    with pytest.raises(DataError, match="no tar header"):
        tar_members(path)
    with pytest.raises(DataError, match="No such file"):
        tar_members(tmp_path / "none.tar")


def header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """A header with a fitting checksum, whatever it claims."""
    block = bytearray(512)
    block[: len(name)], block[124 : 124 + len(size)], block[156:157] = name, size, kind
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


@pytest.mark.parametrize(
    "content, message",
    [
        (header(b"a.npy", b"77777777777\0"), "cut short: a.npy has 8589934591 bytes"),
        (header(b"a.npy", b"\x80" + b"\xff" * 11), "cut short"),
        (header(b"a.npy", b"-0000000001\0"), "no tar header"),
        (header(b"a.npy", b"hello\0"), "no tar header"),
        (header(b"x", b"00000200000\0", b"x") + bytes(70_000), "garbled extra header"),
        (header(b"x", b"00000400000\0", b"x") + bytes(140_000), "an extra header of 131072 bytes; at most 65536"),
        (header(b"x", b"00000000013\0", b"x") + b"99 path=abc".ljust(512, b"\0"), "garbled extra header"),
        (header(b"x", b"00000000022\0", b"x") + b"18 size=999999999\n".ljust(512, b"\0"), "more than eight gigabytes"),
    ],
)
def test_headers_that_lie(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content + bytes(1024))
    with pytest.raises(DataError, match=message):
        tar_members(path)


def test_members_that_are_too_large_or_gone(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.tar", {"a.npy": bytes(5000)})
    (member,) = tar_members(path)
    with pytest.raises(DataError, match="has 5000 bytes; at most 4999 are read"):
        read_member(path, member, 4999)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(TarCutShortError, match="of its 5000 bytes"):
        read_member(path, TarMember("a.npy", member.offset, 5000), 5000)
