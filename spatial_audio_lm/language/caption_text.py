"""Whether somebody's text can be the caption of a sound: one check for every door that captions come in by."""

from __future__ import annotations

import unicodedata
from typing import Any

from spatial_audio_lm.errors import LIMITS, TextError

MAX_WORD_CHARACTERS = 200  # a language that writes no spaces has a sentence in one
_MISSING = frozenset({"nan", "none", "null", "n/a", "na"})


def require_caption(text: Any) -> None:
    """Refuses what is no caption.

    Raises:
        TextError: it is no text, empty, without a letter, a program's word for nothing ("nan"), longer than the limit
            or with a word that is none for its length, or holds control characters or half of a character.
    """
    if not isinstance(text, str | None):
        raise TextError(f"the caption is {text!r:.40} ({type(text).__name__}); expected what sounds, in words")
    if text is None or not text.strip():
        raise TextError("the caption is empty; expected what sounds, in words")
    if len(text) > LIMITS.max_text_characters:
        raise TextError(f"the caption has {len(text)} characters; at most {LIMITS.max_text_characters} are read")
    if not any(letter.isalpha() for letter in text):
        raise TextError(f"the caption is {text[:40]!r}, without a word; expected what sounds, in words")
    if text.strip().lower() in _MISSING:
        raise TextError(f"the caption is {text.strip()!r}, which programs write where there is none")
    longest = max(text.split(), key=len)
    if len(longest) > MAX_WORD_CHARACTERS:
        raise TextError(
            f"the caption has a word of {len(longest)} characters, {longest[:20]!r} and so on; at most "
            f"{MAX_WORD_CHARACTERS} are read"
        )
    for letter in text:
        if unicodedata.category(letter) == "Cc" and not letter.isspace():
            raise TextError(f"the caption holds the control character U+{ord(letter):04X}: take it out of the text")
        if unicodedata.category(letter) == "Cs":
            raise TextError("the caption is no text: it has half of a character")
