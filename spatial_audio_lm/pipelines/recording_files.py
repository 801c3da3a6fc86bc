"""A recording's file, looked at before anything is loaded to hear it: is there one, and what does its header say?"""

import os
from collections.abc import Iterable

from spatial_audio_lm.errors import AudioFileError, SpatialAudioError, TextError
from spatial_audio_lm.files import shown_name
from spatial_audio_lm.signal.sound_files import AudioInfo, audio_info


def recording_info(path: str | bytes | os.PathLike[str]) -> AudioInfo:
    """The format and length of a recording, without decoding it.

    Args:
        path: What was given where a recording is expected.

    Raises:
        TextError: A sentence.
        AudioFileError: An address, no such file, no sound file, an unsupported kind, or a header that lies.
        SampleRateError: A sample rate out of range.
    """
    name = os.fspath(path)
    text = os.fsdecode(name)
    if not text.strip():
        raise AudioFileError("the path of the recording is empty")
    if text.startswith(("http://", "https://")):
        raise AudioFileError(f"{text}: nothing is downloaded here: save the recording and give its path")
    try:
        exists = os.path.lexists(name)
    except ValueError as error:  # a NUL byte
        raise AudioFileError(f"{shown_name(text)}: is not a possible file name: {error}") from error
    if not exists and " " in text and not os.path.splitext(text)[1]:
        raise TextError(f"{text!r} is a sentence, not a file: the recording comes first, the sentences after it")
    return audio_info(name)


def unusable_files(paths: Iterable[str]) -> dict[str, SpatialAudioError]:
    """The recordings whose file cannot be heard, whatever hears it, each with what `recording_info` raises."""
    unusable: dict[str, SpatialAudioError] = {}
    for path in paths:
        try:
            recording_info(path)
        except SpatialAudioError as error:
            unusable[path] = error
    return unusable
