"""What may be asked and answered: texts that hold words, and no token that means something else to the model."""

from collections.abc import Iterable, Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from spatial_audio_lm.errors import TextError

_SAY = {
    "question": "ask something, as in 'What do you hear?'",
    "answer": "say what is to be learned, or give no answers at all",
}


def checked_texts(given: Any, kind: str, tokenizer: PreTrainedTokenizerBase, audio_token: str) -> list[str]:
    """One text or many as a list.

    Args:
        given: a text, or a list of them.
        kind: "question" or "answer", for the message; texts are counted from 1 there.
        tokenizer: reads its special tokens in a text as what they stand for, not as words.
        audio_token: that which stands for the recording.

    Raises:
        TextError: no text at all, something else, an empty one, or one with a special token.
    """
    if given is not None and (not isinstance(given, Iterable) or isinstance(given, Mapping | bytes)):
        raise TextError(f"the {kind} is of type {type(given).__name__}; expected a text, or a list of texts")
    texts = [given] if isinstance(given, str) else list(() if given is None else given)
    if not texts:
        raise TextError(f"no {kind} was given: {_SAY[kind]}")
    special = special_tokens(tokenizer)
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise TextError(f"{kind} {number} is of type {type(text).__name__}; expected a text")
        if not text.strip():
            raise TextError(f"{kind} {number} is empty: {_SAY[kind]}")
        _refuse_tokens(text, f"{kind} {number}", special, audio_token)
    return texts


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """All tokens that are no words, the longest first."""
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    return sorted({*tokenizer.all_special_tokens, *added}, key=lambda token: (-len(token), token))


def _refuse_tokens(text: str, name: str, special: Iterable[str], audio_token: str) -> None:
    if audio_token in text:
        raise TextError(f"{name} holds {audio_token!r}, which stands for the recording: leave it out")
    for token in special:
        if token in text:
            raise TextError(f"{name} holds {token!r}, which is no word to the language model: leave it out")
