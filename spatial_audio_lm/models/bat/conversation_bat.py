"""A conversation in transformers' form, as the one question about one recording that BAT answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spatial_audio_lm.errors import AudioValueError, TextError
from spatial_audio_lm.features.audio_inputs import AudioInput


@dataclass(frozen=True)
class HeardQuestion:
    """What is asked.

    Args:
        text: the question.
        audio: the recording that it is about, with all its channels.
        answer: what is to be learned; None: it is to be generated.
    """

    text: str
    audio: AudioInput
    answer: str | None = None


def read_conversation(messages: Iterable[Any]) -> HeardQuestion:
    """Takes a conversation apart.

    Args:
        messages: the user's, whose content holds one `{"type": "audio", "path": ...}` (or "audio": an array, a
            dictionary, a `SpatialAudio`) and one `{"type": "text", "text": question}`; and perhaps the assistant's,
            the answer to learn.

    Raises:
        TextError: another kind of conversation.
        AudioValueError: a question without its recording, or a recording that is neither a path nor samples.
    """
    messages = list(messages)
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    if roles not in (["user"], ["user", "assistant"]):
        raise TextError(f"a conversation has the roles {roles}; expected one user's question, and perhaps an answer")
    content = messages[0]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    kinds = [part.get("type") for part in parts]
    if kinds.count("text") != 1 or kinds.count("audio") > 1 or len(kinds) != kinds.count("text") + kinds.count("audio"):
        raise TextError(f"the user's content has the parts {kinds}; expected one audio and one text")
    text = parts[kinds.index("text")]["text"]
    if "audio" not in kinds:
        raise AudioValueError(f"the question {text!r} has no recording: add {{'type': 'audio', 'path': ...}}")
    part = parts[kinds.index("audio")]
    sources = [part[key] for key in ("audio", "path") if key in part]
    if len(sources) != 1:
        raise AudioValueError(f"the audio part has {sorted(part)}; expected either 'path' or 'audio' besides 'type'")
    return HeardQuestion(text, sources[0], _answer(messages[1]["content"]) if len(messages) > 1 else None)


def _answer(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
