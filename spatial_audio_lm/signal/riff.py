"""A walk over the chunks of a WAV file before libsndfile opens it.

libsndfile 1.2.2, the newest there is, never returns from a WAV of 58 bytes in which an entry of a LIST chunk claims a
"negative" size (libsndfile issue 1118); no exception and no timeout can reach it there. It also forgets what the
header says about the channels: a loudspeaker mask, or that the file is B-format. So the header is read here first,
with hard bounds: at most ``LIMITS.max_riff_chunks`` chunks, every size compared with the bytes that are there.

Sources: Microsoft, "Multiple Channel Audio Data and WAVE Files" (2001) for the mask and sub-formats; Dobson,
"The AMB Ambisonic File Format" (2000) for the B-format GUIDs; EBU Tech 3306 for RF64.
"""

import mmap
import struct
from dataclasses import dataclass

from spatial_audio_lm.errors import LIMITS, AudioFileError

_EXTENSIBLE = 0xFFFE
# {0000000X-0721-11D3-8644-C8C1CA000000}; X = 1 for PCM, 3 for float.
_B_FORMAT_GUID_TAIL = bytes.fromhex("2107d3118644c8c1ca000000")
_UNKNOWN_SIZE = 0xFFFFFFFF  # writers that cannot seek back leave this; in RF64 the ds64 chunk has the true one


@dataclass(frozen=True)
class RiffHeader:
    """What a WAV header says.

    Args:
        channels: Number of channels.
        block_align: Bytes of one frame (of one block for compressed sub-types).
        sample_tag: Format tag: 1 PCM, 3 float, otherwise compressed.
        channel_mask: Loudspeaker positions of an extensible header, 0 for none.
        is_b_format: Whether the sub-format says classic B-format (FuMa) ambisonics.
        claimed_data_bytes: Size of the data as the header gives it; ``None`` if left open by the writer.
        present_data_bytes: Bytes that are there from the begin of the data to the end of the file, at most the claim.
    """

    channels: int
    block_align: int
    sample_tag: int
    channel_mask: int
    is_b_format: bool
    claimed_data_bytes: int | None
    present_data_bytes: int

    @property
    def missing_frames(self) -> int:
        """Frames that the header claims and the file lacks (0 where frames cannot be counted in bytes)."""
        if self.claimed_data_bytes is None or self.sample_tag not in (1, 3) or self.block_align == 0:
            return 0
        return self.claimed_data_bytes // self.block_align - self.present_data_bytes // self.block_align


def walk_riff(data: bytes | mmap.mmap, name: str) -> RiffHeader:
    """Reads the header of a RIFF, RIFX or RF64 WAVE file and checks every chunk's size.

    Args:
        data: The whole file (memory-mapped: only headers are touched).
        name: How errors call the file.

    Returns:
        What the header says.

    Raises:
        AudioFileError: A size that lies, too many chunks, no ``fmt`` or no ``data`` chunk.
    """
    return _Walk(data, name).run()


class _Walk:
    def __init__(self, data: bytes | mmap.mmap, name: str):
        self.data = data
        self.size = len(data)
        self.name = name
        self.order = ">" if data[:4] == b"RIFX" else "<"
        self.entries = 0

    def run(self) -> RiffHeader:
        position, fmt, large_size = 12, None, None
        for _ in range(LIMITS.max_riff_chunks):
            if position + 8 > self.size:
                raise AudioFileError(f"{self.name}: a WAV file without a data chunk: it is damaged or cut off")
            chunk, claim = self._chunk(position)
            body = position + 8
            if chunk == b"data":
                if fmt is None:
                    raise AudioFileError(f"{self.name}: a WAV file without a fmt chunk before its data: it is damaged")
                return self._header(fmt, body, claim, large_size)
            if body + claim > self.size:
                raise AudioFileError(
                    f"{self.name}: chunk {_shown(chunk)} claims {claim} bytes, {self.size - body} are left: "
                    "the header is damaged"
                )
            if chunk == b"fmt ":
                fmt = self.data[body : body + claim]
                if claim < 16:
                    raise AudioFileError(f"{self.name}: a fmt chunk of {claim} bytes; at least 16 are needed")
            elif chunk == b"ds64" and claim >= 16:
                large_size = struct.unpack_from(f"{self.order}Q", self.data, body + 8)[0]
            elif chunk == b"LIST":
                self._check_list(body, claim)
            position = body + claim + (claim & 1)
        raise AudioFileError(f"{self.name}: more than {LIMITS.max_riff_chunks} chunks before the data")

    def _chunk(self, position: int) -> tuple[bytes, int]:
        chunk, claim = struct.unpack_from(f"{self.order}4sI", self.data, position)
        return chunk, claim

    def _header(self, fmt: bytes, body: int, claim: int, large_size: int | None) -> RiffHeader:
        tag, channels, _, _, block_align = struct.unpack_from(f"{self.order}HHIIH", fmt)
        mask, is_b_format = 0, False
        if tag == _EXTENSIBLE and len(fmt) >= 40:
            mask, tag = struct.unpack_from(f"{self.order}IH", fmt, 20)
            is_b_format = fmt[28:40] == _B_FORMAT_GUID_TAIL
        claimed: int | None = claim
        if claim == _UNKNOWN_SIZE:
            claimed = large_size
        left = self.size - body
        present = left if claimed is None else min(claimed, left)
        end = body + present
        self._check_tail(end + (end & 1))
        return RiffHeader(channels, block_align, tag, mask, is_b_format, claimed, present)

    def _check_tail(self, position: int) -> None:
        """Chunks behind the data: libsndfile reads them as well, and hangs there as well.

        What is no chunk is left alone (many writers leave zeros or a half-written chunk there), but as libsndfile
        looks for the next chunk in it, it is searched for lists.
        """
        for _ in range(LIMITS.max_riff_chunks):
            if position + 8 > self.size:
                return
            chunk, claim = self._chunk(position)
            fits = position + 8 + claim <= self.size
            if chunk == b"LIST":
                self._check_list(position + 8, claim)
            if not fits or not all(32 <= byte < 127 for byte in chunk):
                break
            position += 8 + claim + (claim & 1)
        while (position := self.data.find(b"LIST", position)) >= 0:
            if self.data[position + 8 : position + 12] in (b"INFO", b"adtl"):
                self._check_list(position + 8, self._chunk(position)[1])
            position += 4

    def _check_list(self, body: int, claim: int) -> None:
        # The first four bytes name the kind of list; then come entries like chunks.
        position, end = body + 4, min(body + claim, self.size)
        while position + 8 <= end:
            self.entries += 1
            if self.entries > LIMITS.max_riff_list_entries:
                raise AudioFileError(f"{self.name}: more than {LIMITS.max_riff_list_entries} entries in LIST chunks")
            entry, size = self._chunk(position)
            if size >= 2**31:  # negative to a reader with signed sizes: it goes back, and round for ever
                raise AudioFileError(
                    f"{self.name}: entry {_shown(entry)} of a LIST chunk claims {size} bytes, {end - position - 8} are "
                    "left: the header is damaged; write the file anew with an audio tool"
                )
            position += 8 + size + (size & 1)


def _shown(chunk: bytes) -> str:
    return ascii(chunk)[1:]
