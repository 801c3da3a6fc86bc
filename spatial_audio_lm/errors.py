"""Every error the package raises on purpose, and the limits its doors hold.

All errors derive from :class:`SpatialAudioError`, a ``ValueError``: one ``except`` catches what a user can put right.
A message says what came, what was expected and what to do.
"""

from dataclasses import dataclass


class SpatialAudioError(ValueError):
    """Anything this package refuses, with the reason and the way out in the message."""


class AudioFileError(SpatialAudioError):
    """A sound file is missing, corrupt, of an unsupported kind, or has a header that lies about sizes."""


class ChannelError(SpatialAudioError):
    """A wrong number of channels, or a channel format the receiver cannot hear."""


class SampleRateError(SpatialAudioError):
    """A sample rate that is missing, out of range, or not the one asked for."""


class AudioValueError(SpatialAudioError):
    """Samples that are no sound: none, a single one, NaN or infinity, silence where sound is needed."""


class TextError(SpatialAudioError):
    """An empty query, or something given as text that is not text."""


class FormatError(SpatialAudioError):
    """An unknown name of an audio format or ambisonic convention."""


class ConfigError(SpatialAudioError):
    """A configuration with an unknown key or a value out of range."""


class RecordError(SpatialAudioError):
    """A scene record or other JSON document that does not follow its schema."""


class BankError(SpatialAudioError):
    """A bank of room impulse responses that is damaged or made by another version."""


class CheckpointError(SpatialAudioError):
    """A checkpoint that is missing, incomplete, or does not fit the model."""


class DataError(SpatialAudioError):
    """A data set, or data to be written, that breaks the rules of its format."""


class MissingExtraError(SpatialAudioError, ImportError):
    """An optional dependency is not installed.

    Args:
        purpose: What needs it, as the beginning of a sentence ("reading SOFA files").
        extra: Name of the pip extra that installs it.
        detail: More on the failure, for example the message of the failed import.
    """

    def __init__(self, purpose: str, extra: str, detail: str | None = None):
        self.extra = extra
        reason = f" ({detail})" if detail else ""
        super().__init__(f"{purpose} needs an optional dependency{reason}: pip install 'spatial-audio-lm[{extra}]'")

    def __reduce__(self) -> tuple:  # ImportError's own would call __init__ with the message alone
        return _rebuild_missing_extra, (self.args[0], self.extra)


def _rebuild_missing_extra(message: str, extra: str) -> MissingExtraError:
    error = MissingExtraError("", extra)
    error.args = (message,)
    return error


class FormatWarning(UserWarning):
    """Audio that was read, but may not be what its declaration says."""


@dataclass(frozen=True)
class Limits:
    """Bounds that hold before anything is allocated or decoded."""

    min_sample_rate: int = 4_000
    max_sample_rate: int = 384_000
    max_duration_s: float = 4 * 3600.0
    # What one call may decode into memory: 4 channels at 48 kHz for 46 minutes. Longer files are streamed.
    max_decoded_bytes: int = 2 * 1024**3
    max_riff_chunks: int = 1_000
    max_riff_list_entries: int = 10_000
    max_json_bytes: int = 64 * 1024**2
    max_json_depth: int = 64
    max_text_characters: int = 20_000


LIMITS = Limits()
