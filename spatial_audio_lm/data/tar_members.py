"""The door for tar archives: their files are listed and read where they lie; nothing is ever unpacked.

WebDataset's shards are such archives. A header of 512 bytes stands before each file, and two empty blocks at the end:
an archive without them was cut off, at whatever place. So was one with much behind them: room that a download reserved,
and did not live to fill, reads as an early end. Names are only names here, so none can lead anywhere.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from spatial_audio_lm.errors import DataError

_BLOCK = 512
_FILES, _FOLDER = (b"0", b"\0"), b"5"
_LONG_NAME, _RECORDS = b"L", b"x"  # headers that say more about the next file
_SHARED_RECORDS = b"g"  # about the whole archive, nothing that is needed here
_MAX_EXTRA_BYTES = 64 * 1024
_LONGEST_FILLING = 64 * 1024  # archives are filled with zeros to whole records, of 10 KB if nobody asks for more


class TarCutShortError(DataError):
    """An archive that ends before its end: an interrupted copy or download."""


@dataclass(frozen=True)
class TarMember:
    """A file within an archive."""

    name: str
    offset: int
    size: int


def tar_members(path: Path) -> list[TarMember]:
    """The files of an archive, in its order; folders are left out.

    Raises:
        TarCutShortError: it ends within a file, without the two empty blocks of its end, or goes on behind them.
        DataError: no such file, no (uncompressed) tar, or one with links or devices, which no data set needs.
    """
    found: list[TarMember] = []
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            position, long_name = 0, None
            while True:
                file.seek(position)
                header = file.read(_BLOCK)
                if len(header) < _BLOCK:
                    raise TarCutShortError(f"{path} is cut short at byte {end}: no end of the archive: copy it again")
                if not any(header):
                    if file.read(_BLOCK) != bytes(_BLOCK):
                        raise TarCutShortError(f"{path} is cut short at byte {end}, within its end: copy it again")
                    rest = end - file.tell()
                    if rest > _LONGEST_FILLING or any(file.read(rest)):
                        raise TarCutShortError(
                            f"{path} is cut short: {rest} bytes lie behind its end: they were reserved and never "
                            "written, or are another archive: copy it again"
                        )
                    return found
                name, size, kind = _header(header, path, position)
                position += _BLOCK
                if position + size > end:
                    raise TarCutShortError(
                        f"{path} is cut short: {name} has {size} bytes, {max(0, end - position)} are there: "
                        "copy it again"
                    )
                if kind in (_LONG_NAME, _RECORDS):
                    long_name = _said_of_next(file, kind, size, path) or long_name
                elif kind in _FILES:
                    found.append(TarMember(long_name or name, position, size))
                    long_name = None
                elif kind in (_FOLDER, _SHARED_RECORDS):
                    long_name = None
                else:
                    raise DataError(f"{path}: {name} is a link or device (type {kind!r}): pack plain files only")
                position += -(-size // _BLOCK) * _BLOCK
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def read_member(path: Path, member: TarMember, max_bytes: int) -> bytes:
    """The content of a file in an archive.

    Raises:
        DataError: it is larger than `max_bytes`, or the archive has changed.
    """
    if member.size > max_bytes:
        raise DataError(f"{path}: {member.name} has {member.size} bytes; at most {max_bytes} are read")
    try:
        with path.open("rb") as file:
            file.seek(member.offset)
            content = file.read(member.size)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if len(content) != member.size:
        raise TarCutShortError(f"{path}: {member.name} has {len(content)} of its {member.size} bytes: copy it again")
    return content


def _header(header: bytes, path: Path, position: int) -> tuple[str, int, bytes]:
    """Name, size and type of a header whose checksum fits."""
    try:
        claimed = int(header[148:156].strip(b" \0") or b"0", 8)
        if claimed != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
            raise ValueError
        # Sizes beyond eight gigabytes are written in binary, with the highest bit set.
        field = header[124:136]
        size = int.from_bytes(field[1:], "big") if field[0] & 0x80 else int(field.strip(b" \0") or b"0", 8)
        if size < 0:
            raise ValueError
        name = header[:100].split(b"\0")[0].decode()
        before = header[345:500].split(b"\0")[0].decode() if header[257:263] == b"ustar\0" else ""
    except ValueError as error:
        raise DataError(f"{path} has no tar header at byte {position}: expected an uncompressed .tar") from error
    return f"{before}/{name}" if before else name, size, header[156:157]


def _said_of_next(file: BinaryIO, kind: bytes, size: int, path: Path) -> str | None:
    """The name that an extra header gives the next file, if it does."""
    if size > _MAX_EXTRA_BYTES:
        raise DataError(f"{path}: an extra header of {size} bytes; at most {_MAX_EXTRA_BYTES} are read")
    content = file.read(size)
    name = None
    try:
        if kind == _LONG_NAME:
            return content.split(b"\0")[0].decode()
        while content:  # "<length> <key>=<value>\n", the length being that of the whole record
            length = int(content[: content.index(b" ")])
            if not 0 < length <= len(content):
                raise ValueError
            key, _, value = content[content.index(b" ") + 1 : length - 1].partition(b"=")
            content = content[length:]
            if key == b"size":
                raise DataError(f"{path}: a file of more than eight gigabytes: pack smaller ones")
            if key == b"path":
                name = value.decode()
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{path} has a garbled extra header: copy it again") from error
    return name
