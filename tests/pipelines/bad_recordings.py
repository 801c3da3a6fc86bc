"""Files that are no recording, or none that can be used, and what a user must be told of each.

Used through the engine, the Hugging Face pipeline and the commands alike.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from spatial_audio_lm.errors import (
    AudioFileError,
    AudioValueError,
    ChannelError,
    SampleRateError,
    SpatialAudioError,
    TextError,
)

RATE = 16_000


@dataclass(frozen=True)
class BadRecording:
    """One case: how to make it, the error it gives, and words that the message must hold."""

    make: Callable[[Path], str]
    error: type[SpatialAudioError]
    says: tuple[str, ...]
    locatable: bool = False
    """Whether `locate` answers it with nulls and a reason, instead of an error."""


def _write(folder: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_24") -> str:
    soundfile.write(folder / "bad.wav", samples, rate, subtype=subtype)
    return str(folder / "bad.wav")


def _noise(channels: int, frames: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((frames, channels))


def _with_value(value: float) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        samples = _noise(4)
        samples[1234, 2] = value
        return _write(folder, samples, subtype="FLOAT")

    return make


def _bytes(name: str, content: bytes) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return str(folder / name)

    return make


def _folder(folder: Path) -> str:
    (folder / "bad.wav").mkdir()
    return str(folder / "bad.wav")


# A LIST entry that claims a "negative" size: libsndfile 1.2.2 never returns from it.
_ENDLESS = (
    b"RIFF" + struct.pack("<I", 50) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    + b"LIST" + struct.pack("<I", 12) + b"INFOXXXX" + struct.pack("<I", 0xFFFFFFF8)
)  # fmt: skip

BAD_RECORDINGS: dict[str, BadRecording] = {
    "missing": BadRecording(
        lambda folder: str(folder / "nowhere.wav"), AudioFileError, ("nowhere.wav", "no such file")
    ),
    "folder": BadRecording(_folder, AudioFileError, ("bad.wav", "folder")),
    "empty file": BadRecording(_bytes("bad.wav", b""), AudioFileError, ("bad.wav", "empty")),
    "corrupt": BadRecording(_bytes("bad.wav", b"RIFF\x10\0\0\0WAVEgarbage"), AudioFileError, ("bad.wav",)),
    "binary": BadRecording(_bytes("bad.wav", bytes(range(256)) * 8), AudioFileError, ("bad.wav", "not a sound file")),
    "endless header": BadRecording(_bytes("bad.wav", _ENDLESS), AudioFileError, ("bad.wav",)),
    "text file": BadRecording(_bytes("bad.wav", b"a dog barking\n"), AudioFileError, ("bad.wav", "text")),
    "sentence": BadRecording(lambda _: "a dog barking from the left", TextError, ("sentence", "first")),
    "empty path": BadRecording(lambda _: " ", AudioFileError, ("empty",)),
    "address": BadRecording(lambda _: "https://example.org/clip.wav", AudioFileError, ("downloaded",)),
    "0 samples": BadRecording(lambda folder: _write(folder, _noise(4, 0)), SpatialAudioError, ("bad.wav",)),
    "1 sample": BadRecording(lambda folder: _write(folder, _noise(4, 1)), AudioValueError, ("bad.wav", "2")),
    "NaN": BadRecording(_with_value(float("nan")), AudioValueError, ("bad.wav", "1234", "channel 2", "NaN")),
    "infinity": BadRecording(_with_value(float("inf")), AudioValueError, ("bad.wav", "1234", "channel 2")),
    "silence": BadRecording(
        lambda folder: _write(folder, np.zeros((RATE, 4))), AudioValueError, ("bad.wav", "silent"), locatable=True
    ),
    "silent mono": BadRecording(
        lambda folder: _write(folder, np.zeros((RATE, 1))), AudioValueError, ("bad.wav", "silent"), locatable=True
    ),
    "2 channels": BadRecording(lambda folder: _write(folder, _noise(2)), ChannelError, ("2 channels", "mono")),
    "3 channels": BadRecording(lambda folder: _write(folder, _noise(3)), ChannelError, ("3 channels",)),
    "5 channels": BadRecording(lambda folder: _write(folder, _noise(5)), ChannelError, ("5 channels",)),
    "rate of 8 Hz": BadRecording(
        lambda folder: _write(folder, _noise(4), rate=8), SampleRateError, ("bad.wav", "8 Hz")
    ),
}
