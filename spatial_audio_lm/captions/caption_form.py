"""Whether a text has the form of a caption: one plain English sentence, without anything else of a model's answer."""

from __future__ import annotations

import re

from spatial_audio_lm.captions.rejections import Rejection
from spatial_audio_lm.language.word_forms import words

_TYPOGRAPHIC = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})
_FOREIGN = frozenset(
    words(
        "el la los las una unos del que por para con en y le les des du une et est dans sur avec der das und ein eine"
        " ist im mit von auf il lo gli uno di che nel della e um uma os do na com het een van op"
    )
)
_SENTENCE_END = re.compile(r"(?<!\b[a-z])(?<!\b[a-z]\.[a-z])[.!?]+[\"')]*\s+(?=\S)", re.IGNORECASE)
_TALK = re.compile(
    r"^\W*(?:sure|certainly|of course|okay|ok|here(?:'s| is| are)|absolutely|great|yes|no problem|answer|output|caption"
    r"|sentence|rephras\w*|rewrit\w*|response|result|note|the sound|original\w*|description|spatial caption)\s*[:,!.\-]"
    r"|^\W*(?:here(?:'s| is)|this is) (?:a|an|the|your|one) (?:\w+ ){0,4}(?:sentence|caption|version|description)\b"
    r"|\b(?:rephrase[ds]?|rephrasing|rewrit(?:e|es|ten|ing)|paraphras\w*|original caption|spatial caption|as an ai"
    r"|language model|instruction|i (?:cannot|can't|am unable)|i'm sorry|let me know|hope this)\b"
    r"|\b(?:option|version|caption|sentence) ?\d\b|</?\w+[^<>]*>?|<\||\|>|\[/?inst\]|```|https?:|www\.",
    re.IGNORECASE,
)
# "A dog could be heard" tells what was; "could be barking" supposes.
_SUPPOSED = re.compile(r"\b(?:if|unless|whether|would|could(?! be heard\b)|might|may)\b", re.IGNORECASE)
_ASKED = re.compile(
    r"\?|^\W*(?:is|are|was|were|do|does|did|can|could|will|would|has|have|should)(?:n't)?\b", re.IGNORECASE
)
_MARKUP = frozenset('"*_#`{}<>[]|\\~^=$@')


def form_rejections(text: str, caption: str, max_words: int) -> list[Rejection]:
    """What is wrong with a text before anybody asks what it says.

    Args:
        text: what the model answered.
        caption: the sound caption; signs and small words that it has itself are allowed in the text.
        max_words: more are too many.

    Returns:
        Rejections, none for a text of good form.
    """
    text, caption = text.translate(_TYPOGRAPHIC).strip(), caption.translate(_TYPOGRAPHIC).strip()
    said = words(text)
    if not said:
        return [Rejection("empty", None, "no words")]
    found: list[Rejection] = []
    if len(said) > max_words:
        found.append(Rejection("too long", None, f"{len(said)} words; at most {max_words}"))
    own = set(caption)
    strange = sorted({letter for letter in text if letter.isalpha() and not letter.isascii()} - own)
    foreign = [word for word in said if word in _FOREIGN and word not in words(caption)]
    if strange:
        found.append(Rejection("not English", None, f"the letters {' '.join(strange)}"))
    elif len(foreign) > 1:
        found.append(Rejection("not English", None, f"the words {' '.join(foreign)}"))
    if "\n" in text or len(_SENTENCE_END.findall(text)) > len(_SENTENCE_END.findall(caption)):
        found.append(Rejection("not one sentence", None, "several lines" if "\n" in text else "several sentences"))
    if _ASKED.search(text) and not _ASKED.search(caption):
        found.append(Rejection("not stated", None, "a question"))
    elif supposed := [word for word in _SUPPOSED.findall(text) if word.lower() not in words(caption)]:
        found.append(Rejection("not stated", None, f"supposed by {supposed[0]!r}"))
    signs = sorted(_MARKUP & set(text) - own)
    talk = _TALK.search(text)
    if signs:
        found.append(Rejection("talk left", None, f"the signs {' '.join(signs)}"))
    elif talk and not _TALK.search(caption):
        found.append(Rejection("talk left", None, f"the words {talk[0].strip()!r}"))
    return found
