"""A conversation in transformers' form, as the one question about one recording that BAT answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spatial_audio_lm.errors import AudioValueError, TextError
from spatial_audio_lm.features.audio_inputs import AudioInput

_FORM = (
    "a conversation is [{'role': 'user', 'content': [{'type': 'audio', 'path': ...}, {'type': 'text', 'text': "
    "question}]}], and perhaps {'role': 'assistant', 'content': answer} behind"
)


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


def read_conversations(given: Any) -> tuple[list[HeardQuestion], bool]:
    """One conversation or many, and whether it was one.

    Args:
        given: a list of messages, see `read_conversation`, or a list of such lists.

    Raises:
        TextError: another kind of conversation, or none.
        AudioValueError: as `read_conversation`.
    """
    if not isinstance(given, list | tuple) or not given:
        raise TextError(f"the conversation is {_shown(given)}: {_FORM}")
    single = isinstance(given[0], Mapping)
    return [read_conversation(messages) for messages in ([given] if single else given)], single


def read_conversation(messages: Any) -> HeardQuestion:
    """Takes a conversation apart.

    Args:
        messages: the user's, whose content holds one `{"type": "audio", "path": ...}` (or "audio": an array, a
            dictionary, a `SpatialAudio`) and one `{"type": "text", "text": question}`; and perhaps the assistant's,
            the answer to learn.

    Raises:
        TextError: another kind of conversation.
        AudioValueError: a question without its recording, or a recording that is neither a path nor samples.
    """
    if not isinstance(messages, list | tuple):
        raise TextError(f"the conversation is {_shown(messages)}: {_FORM}")
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    if roles not in (["user"], ["user", "assistant"]):
        raise TextError(f"a conversation has the roles {roles}; expected one user's question, and perhaps an answer")
    parts = _parts(messages[0], "user")
    kinds = [part.get("type") for part in parts]
    if kinds.count("text") != 1 or kinds.count("audio") > 1 or len(kinds) != kinds.count("text") + kinds.count("audio"):
        raise TextError(f"the user's content has the parts {kinds}; expected one audio and one text")
    text = _text(parts[kinds.index("text")], "user")
    if "audio" not in kinds:
        raise AudioValueError(f"the question {text!r} has no recording: add {{'type': 'audio', 'path': ...}}")
    part = parts[kinds.index("audio")]
    sources = [part[key] for key in ("audio", "path") if key in part]
    if len(sources) != 1:
        raise AudioValueError(
            f"the audio part has {sorted(map(str, part))}; expected either 'path' or 'audio' besides 'type'"
        )
    if len(messages) == 1:
        return HeardQuestion(text, sources[0])
    return HeardQuestion(text, sources[0], "".join(_text(p, "assistant") for p in _parts(messages[1], "assistant")))


def _parts(message: Mapping[str, Any], role: str) -> list[Mapping[str, Any]]:
    """The parts of a message's content; words alone are one of them.

    Raises:
        TextError: no content, or another kind of it.
    """
    if "content" not in message:
        raise TextError(f"the {role}'s message has no content: {_FORM}")
    content = message["content"]
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list | tuple) or not content:
        raise TextError(f"the {role}'s content is {_shown(content)}: {_FORM}")
    strange = [part for part in content if not isinstance(part, Mapping)]
    if strange:
        raise TextError(f"a part of the {role}'s content is {_shown(strange[0])}: {_FORM}")
    return list(content)


def _text(part: Mapping[str, Any], role: str) -> str:
    text = part.get("text")
    if part.get("type") != "text" or not isinstance(text, str):
        raise TextError(f"a part of the {role}'s content is {_shown(part)}, where a text is expected: {_FORM}")
    return text


def _shown(value: Any) -> str:
    return f"{repr(value)[:80]} (of type {type(value).__name__})"
