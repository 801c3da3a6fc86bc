"""The one door through which sound files come in: everything is checked before a byte is decoded.

Containers and encodings are an allow-list, recognised by content and not by name: libsndfile knows many more, and its
decoders for the rare ones are where its memory errors were found (CVE-2018-19758, CVE-2021-3246, CVE-2024-50612, ...).
Decoding goes in blocks, so that neither a long file nor a header that lies about its length can fill the memory.
"""

import codecs
import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import soundfile

from spatial_audio_lm.errors import LIMITS, AudioFileError, AudioValueError, SampleRateError
from spatial_audio_lm.files import shown_name
from spatial_audio_lm.signal.riff import RiffHeader, walk_riff

_CONTAINERS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "AIFF", "CAF", "MP3")
_ENCODINGS = (
    *("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    *("ULAW", "ALAW", "VORBIS", "OPUS", "MPEG_LAYER_III", "ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32"),
)
_READABLE = "WAV, FLAC, OGG, AIFF, CAF, W64 or MP3"
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_BLOCK_FRAMES = 65_536


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file's header says, after it was checked.

    Args:
        sample_rate: In Hz.
        frames: Samples of each channel, as claimed (a file that was cut off has fewer).
        channels: Number of channels.
        duration_s: ``frames / sample_rate``.
        format: The container, as libsndfile calls it: ``"WAV"``, ``"FLAC"``, ...
        subtype: The encoding, likewise: ``"PCM_16"``, ``"VORBIS"``, ...
        channel_mask: Loudspeaker positions of an extensible WAV header; 0 for none.
        is_b_format: Whether an extensible WAV header says that this is B-format (FuMa) ambisonics.
    """

    sample_rate: int
    frames: int
    channels: int
    duration_s: float
    format: str
    subtype: str
    channel_mask: int = 0
    is_b_format: bool = False


def audio_info(path: str | bytes | os.PathLike) -> AudioInfo:
    """The format and length of a sound file, without decoding it.

    Raises:
        AudioFileError: No such file, no sound file, an unsupported kind, or a header that lies.
        SampleRateError: A sample rate out of range.
    """
    with SoundReader(path) as reader:
        return reader.info


@dataclass
class SoundReader:
    """An open sound file; a context manager.

    Args:
        path: A regular file. Names that are no UTF-8 are welcome.

    Raises:
        AudioFileError: No such file, no sound file, an unsupported kind, or a header that lies.
        SampleRateError: A sample rate out of range.
    """

    path: str | bytes | os.PathLike
    info: AudioInfo = field(init=False)
    missing_frames: int = field(init=False, default=0)
    """Frames that the header of a WAV claims and the file lacks, or that decoding did not give up to where one read."""

    def __post_init__(self) -> None:
        self.name = shown_name(self.path)
        riff = _check_before_opening(self.path, self.name)
        try:
            # As bytes: soundfile cannot encode a str with surrogates. Never as a Python file object: errors in its
            # callbacks print tracebacks of their own.
            self._file = soundfile.SoundFile(os.fsencode(self.path))
        except (soundfile.SoundFileError, RuntimeError, OSError, TypeError, ValueError) as error:
            raise AudioFileError(f"{self.name}: cannot be read as {_READABLE}: {_reason(error)}") from error
        try:
            self.info = self._checked_info(riff)
        except BaseException:
            self._file.close()
            raise
        self.missing_frames = riff.missing_frames if riff else 0

    def _checked_info(self, riff: RiffHeader | None) -> AudioInfo:
        file = self._file
        if file.format not in _CONTAINERS or file.subtype not in _ENCODINGS:
            raise AudioFileError(
                f"{self.name}: {file.format} with encoding {file.subtype} is not supported: convert it to WAV or FLAC"
            )
        if not LIMITS.min_sample_rate <= file.samplerate <= LIMITS.max_sample_rate:
            raise SampleRateError(
                f"{self.name}: sample rate {file.samplerate} Hz; expected {LIMITS.min_sample_rate} to "
                f"{LIMITS.max_sample_rate} Hz: the header is damaged, or resample the file"
            )
        if file.frames <= 0:
            raise AudioValueError(f"{self.name}: holds no audio (0 samples)")
        duration_s = file.frames / file.samplerate
        if duration_s > LIMITS.max_duration_s:
            raise AudioFileError(
                f"{self.name}: {duration_s / 3600:.1f} hours; at most {LIMITS.max_duration_s / 3600:g} are read: "
                "cut it into shorter files"
            )
        return AudioInfo(
            sample_rate=file.samplerate,
            frames=file.frames,
            channels=file.channels,
            duration_s=duration_s,
            format=file.format,
            subtype=file.subtype,
            channel_mask=riff.channel_mask if riff else 0,
            is_b_format=riff.is_b_format if riff else False,
        )

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """The samples in pieces of bounded size.

        Args:
            start: First frame.
            stop: Frame after the last; the end if not given.

        Yields:
            ``(frames, channels)`` float32, finite.

        Raises:
            AudioFileError: Nothing at all can be decoded there.
            AudioValueError: A sample is NaN or infinite.
        """
        stop = self.info.frames if stop is None else min(stop, self.info.frames)
        position, failure = start, None
        try:
            if start:
                self._file.seek(start)
        except (soundfile.SoundFileError, RuntimeError) as error:
            failure = error
        while position < stop and failure is None:
            block, failure = self._read(min(_BLOCK_FRAMES, stop - position))
            if not len(block):
                break
            self._require_finite(block, position)
            position += len(block)
            yield block
        if position == start and start < stop:
            reason = _reason(failure) if failure else "the file ends before"
            raise AudioFileError(f"{self.name}: no sample could be decoded, {self.info.frames} are claimed: {reason}")
        if position < stop:
            self.missing_frames = max(self.missing_frames, stop - position)

    def _read(self, frames: int) -> tuple[np.ndarray, Exception | None]:
        # A decoder that fails within the block has filled its begin, and soundfile does not tell how far: NaN does.
        block = np.full((frames, self.info.channels), np.nan, dtype=np.float32)
        try:
            # A double of 1e300 becomes infinite as float32, and numpy would say so on stderr.
            with np.errstate(over="ignore"):
                return self._file.read(out=block), None
        except (soundfile.SoundFileError, RuntimeError) as error:
            missing = np.flatnonzero(np.isnan(block).any(axis=1))
            return block[: missing[0] if len(missing) else frames], error

    def _require_finite(self, block: np.ndarray, first_frame: int) -> None:
        finite = np.isfinite(block)
        if not finite.all():
            frame, channel = np.argwhere(~finite)[0]
            kind = "NaN" if np.isnan(block[frame, channel]) else "infinite"
            raise AudioValueError(
                f"{self.name}: the sample at frame {first_frame + frame}, channel {channel} is {kind}: "
                "the file is damaged or was written by a faulty program"
            )

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> "SoundReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_before_opening(path: str | bytes | os.PathLike, name: str) -> RiffHeader | None:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise AudioFileError(f"{name}: is a folder; expected a sound file ({_READABLE})")
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for its writer for ever
            raise AudioFileError(f"{name}: is not a regular file; expected a sound file ({_READABLE})")
        if status.st_size == 0:
            raise AudioFileError(f"{name}: is empty (0 bytes); expected a sound file ({_READABLE})")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _recognise(data, name)
    except FileNotFoundError as error:
        raise AudioFileError(f"{name}: no such file") from error
    except (OSError, ValueError) as error:
        if isinstance(error, AudioFileError):
            raise
        reason = getattr(error, "strerror", None) or str(error)  # ValueError: a NUL in the name
        raise AudioFileError(f"{name}: cannot be opened: {reason}") from error


def _recognise(data: mmap.mmap, name: str) -> RiffHeader | None:
    head = data[:64]
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return walk_riff(data, name)
    known = (
        head[:4] in (b"fLaC", b"OggS", b"caff")
        or (head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"))
        or head[:16] == _W64_RIFF
        or _is_mp3(data)
    )
    if known:
        return None
    if head.startswith(b"version https://git-lfs"):
        raise AudioFileError(f"{name}: is a git-lfs pointer, not the sound itself: run `git lfs pull`")
    if _is_text(data[:1024]):
        raise AudioFileError(f"{name}: is a text, not a sound file; expected {_READABLE}")
    raise AudioFileError(f"{name}: is not a sound file of a kind that is read here: convert it to {_READABLE}")


def _is_text(begin: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(begin)  # a character cut by the end is no error
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


def _is_mp3(data: mmap.mmap) -> bool:
    position = 0
    if data[:3] == b"ID3" and len(data) > 10:  # a tag whose length is given in four bytes of seven bits
        length = 0
        for byte in data[6:10]:
            length = (length << 7) | (byte & 0x7F)
        position = 10 + length
    sync = data[position : position + 2]
    return len(sync) == 2 and sync[0] == 0xFF and sync[1] & 0xE0 == 0xE0 and sync[1] & 0x06 != 0


def _reason(error: BaseException) -> str:
    # libsndfile's own sentence, without the path that soundfile puts before it.
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(text.split()).rstrip(".")[:200]
