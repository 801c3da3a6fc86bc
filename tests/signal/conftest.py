"""Sound files for the tests of the door, made as needed, down to the single chunk."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def write_sound(tmp_path: Path) -> Callable[..., Path]:
    """Writes ``(channels, time)`` to a file in the test's folder and gives its path."""

    def write(samples: np.ndarray, name: str = "sound.wav", rate: int = 16_000, **options: str) -> Path:
        path = tmp_path / name
        soundfile.write(path, np.asarray(samples).T, rate, **options)
        return path

    return write


class Riff:
    """Builds WAV files that libsndfile would not write."""

    pcm_guid = bytes.fromhex("0100000000001000800000aa00389b71")
    b_format_guid = bytes.fromhex("010000002107d3118644c8c1ca000000")

    @staticmethod
    def chunk(name: bytes, body: bytes, claim: int | None = None) -> bytes:
        """A chunk; ``claim`` is the size it claims to have."""
        return name + struct.pack("<I", len(body) if claim is None else claim) + body + b"\0" * (len(body) % 2)

    def fmt(self, channels: int = 1, rate: int = 16_000) -> bytes:
        """The plain fmt chunk, 16-bit PCM."""
        return self.chunk(b"fmt ", struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16))

    def fmt_extensible(self, channels: int, mask: int, guid: bytes, rate: int = 16_000) -> bytes:
        """The extensible fmt chunk, 16-bit PCM."""
        plain = struct.pack("<HHIIHH", 0xFFFE, channels, rate, rate * channels * 2, channels * 2, 16)
        return self.chunk(b"fmt ", plain + struct.pack("<HHI", 22, 16, mask) + guid)

    def data(self, samples: np.ndarray) -> bytes:
        """The data chunk of ``(channels, time)`` in -1..1, 16-bit PCM."""
        return self.chunk(b"data", np.round(np.asarray(samples).T * 32767).astype("<i2").tobytes())

    def lying_list(self, kind: bytes = b"INFO", size: int = 0xFFFFFFF8) -> bytes:
        """A LIST chunk with an unknown entry of "negative" size: libsndfile 1.2.2 never returns from it."""
        return self.chunk(b"LIST", kind + b"ABCD" + struct.pack("<I", size))

    @staticmethod
    def wav(*chunks: bytes) -> bytes:
        """The file of these chunks."""
        body = b"WAVE" + b"".join(chunks)
        return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.fixture(scope="session")
def riff() -> Riff:
    """A builder of WAV files."""
    return Riff()
