"""Controls: the same questions with a recording that cannot, or can no longer, tell the answer.

A score means something only beside what is reached without hearing. Four recordings take the hearing away:

- `silence`: the same length, nothing in it.
- `mono`: all channels mixed into one (ears: their mean in both; ambisonics: W alone). What sounds stays, where is gone.
- `swapped`: left and right exchanged (ears, or the sign of Y): answers about left and right must turn over.
- `text_only`: no recording at all; the language model answers the bare question.
"""

import re
from collections.abc import Callable

import torch

from spatial_audio_lm.errors import ChannelError, ConfigError
from spatial_audio_lm.language.answers import AXES, read_yes_no, write_yes_no
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.signal.ambisonics import mirror_foa
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

_LATERAL = re.compile(rf"\b(?:{'|'.join(AXES[1])})\b", flags=re.IGNORECASE)
_OTHER = dict(zip(AXES[1], AXES[1][::-1], strict=True))


def silence(recording: SpatialAudio) -> SpatialAudio:
    """As long, as many channels, nothing in them."""
    return _with(recording, torch.zeros_like(recording.waveform))


def mono(recording: SpatialAudio) -> SpatialAudio:
    """The recording without directions, in its own format.

    Raises:
        ChannelError: it is neither binaural nor ambisonics.
    """
    if _is_foa(recording):
        without = torch.zeros_like(recording.waveform)
        without[0] = recording.waveform[0]
        return _with(recording, without)
    return _with(recording, recording.waveform.mean(dim=0, keepdim=True).expand(2, -1).contiguous())


def swapped(recording: SpatialAudio) -> SpatialAudio:
    """The recording with left and right exchanged.

    Raises:
        ChannelError: it is neither binaural nor ambisonics.
    """
    if _is_foa(recording):
        return _with(recording, mirror_foa(recording.waveform, "left_right"))
    return _with(recording, recording.waveform.flip(0))


def text_only(recording: SpatialAudio) -> None:
    """No recording."""
    return None


CONTROLS: dict[str, Callable[[SpatialAudio], SpatialAudio | None]] = {
    "silence": silence,
    "mono": mono,
    "swapped": swapped,
    "text_only": text_only,
}
"""The controls by name."""


def control(name: str) -> Callable[[SpatialAudio], SpatialAudio | None]:
    """The control of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in CONTROLS:
        raise ConfigError(f"no control is called {name!r}; there are {', '.join(CONTROLS)}")
    return CONTROLS[name]


def mirrored_answer(question: SpatialQuestion) -> str | None:
    """What is true once left and right are exchanged, as `swapped` does.

    A model that hears the exchange gives these answers, and loses by the original ones.

    Returns:
        The answer; None where it does not follow from question and answer: which sound is on the left afterwards is
        known to the scene alone.
    """
    kind = question.kind
    if kind.answer in ("place", "side"):
        return _LATERAL.sub(lambda word: _OTHER[word[0].lower()], question.answer)
    if kind.name == "CLASSIFICATION" or kind.answer == "distance" or not _LATERAL.search(question.question):
        return question.answer
    truth = read_yes_no(question.answer) if kind.answer == "yes_no" else None
    return None if truth is None else write_yes_no(not truth)


def _is_foa(recording: SpatialAudio) -> bool:
    if recording.format not in ("binaural", "foa"):
        raise ChannelError(
            f"the recording is {recording.format}; left and right are there in binaural and foa recordings only"
        )
    return recording.format == "foa"


def _with(recording: SpatialAudio, waveform: torch.Tensor) -> SpatialAudio:
    return SpatialAudio.from_array(waveform, recording.sample_rate, recording.format)
