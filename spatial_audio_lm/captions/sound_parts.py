"""The words of a caption that name what sounds, and its parts: "a dog barks | while a car passes"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spatial_audio_lm.language.caption_words import FUNCTION_WORDS, MANNER_WORDS, TELLING_WORDS
from spatial_audio_lm.language.parsing import plain
from spatial_audio_lm.language.place_cues import PlaceCue, find_cues
from spatial_audio_lm.language.synonyms import same_meaning
from spatial_audio_lm.language.word_forms import stems, words

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_JOINT = re.compile(
    r"[,;.]|\b(?:while|whilst|as|and|then|with|before|after|when|over|amid|but|until|during|alongside"
    r"|(?:followed|accompanied|preceded) by|together with|along with)\b"
)
_SUBJECT_JOINTS = frozenset({"while", "whilst", "as", "with", "over", "amid", "when", "during", "alongside"})
# said of any sound: "rings out", not of a bell that rings; "rises from below", not of a pitch that rises
_RINGS_OUT = re.compile(
    r"r(?:ings?|inging|ang) out\b|(?:ris(?:es?|ing)|descend(?:s|ing)?) (?:up |down )?from\b|open(?=:)"
)
_PRONOUNS = frozenset(words("it they he she its their his her which that who this these them"))
_DETERMINERS = frozenset(
    words("a an the some several many two three four another other various multiple people someone")
)


@dataclass(frozen=True)
class Word:
    """A word in its place of `parsing.plain`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class SoundPart:
    """A part of a caption between two joints.

    Attributes:
        words: its words that name something.
        start: where it begins in the plain text.
        end: where it ends.
        own_subject: whether something else sounds than in the part before ("and stops" goes on with the same car).
    """

    words: tuple[Word, ...]
    start: int
    end: int
    own_subject: bool


def is_telling(word: str) -> bool:
    """Whether a word names nothing: a small word, or one that any caption is told with."""
    return word in FUNCTION_WORDS or bool(stems(word) & TELLING_WORDS)


def is_manner(word: str) -> bool:
    """Whether a word says how, how often or how many, rather than what."""
    return bool(stems(word) & MANNER_WORDS)


def said_words(text: str) -> list[Word]:
    """All words of a caption with their places in the plain text."""
    return [Word(match[0], *match.span()) for match in _WORD.finditer(plain(text))]


def naming_words(text: str, cues: list[PlaceCue] | None = None) -> list[Word]:
    """The words of a caption that name something, those of manner among them.

    Args:
        text: the caption.
        cues: its place cues where they are known already; words within a cue that says a place name nothing.
    """
    spans = [(cue.start, cue.end) for cue in (find_cues(text) if cues is None else cues) if cue.says]
    return [
        word
        for word in said_words(text)
        if not is_telling(word.text)
        and not any(start <= word.start < end for start, end in spans)
        and not _RINGS_OUT.match(plain(text), word.start)
    ]


def sound_parts(caption: str) -> list[SoundPart]:
    """Cut a caption at its joints; parts without a word that names something go to their neighbours unnoticed."""
    text = plain(caption)
    named = naming_words(caption)
    joints = [*_JOINT.finditer(text)]
    edges = [0, *(joint.end() for joint in joints)]
    ends = [*(joint.start() for joint in joints), len(text)]
    opened_by = ["", *(joint[0] for joint in joints)]
    parts: list[SoundPart] = []
    for start, end, joint in zip(edges, ends, opened_by, strict=True):
        inside = tuple(word for word in named if start <= word.start < end)
        if any(not is_manner(word.text) for word in inside):
            parts.append(SoundPart(inside, start, end, not parts or _own_subject(text[start:end], joint)))
    return parts


def _own_subject(part: str, joint: str) -> bool:
    """Whether a part after a joint has a subject of its own: "while birds chirp", not "while chirping", "and stops"."""
    said = _WORD.findall(part)
    first = next((word for word in said if not (word not in _DETERMINERS and word in FUNCTION_WORDS)), "")
    if not first or first in _PRONOUNS or said[0] in _PRONOUNS:
        return False
    if first in _DETERMINERS:
        return True
    if first.endswith(("ing", "ed")):
        return len(said) > 1 and not (said[1] in FUNCTION_WORDS or is_manner(said[1])) and joint != "while"
    if joint in _SUBJECT_JOINTS:
        return True
    rest = said[said.index(first) + 1 :]
    return not first.endswith("s") or (bool(rest) and rest[0] not in FUNCTION_WORDS and not is_manner(rest[0]))


def parts_of_word(word: str, parts: list[SoundPart]) -> set[int]:
    """In which parts a word, or another for the same, stands."""
    return {
        number
        for number, part in enumerate(parts)
        if any(same_meaning(word, own.text) for own in part.words)
    }  # fmt: skip
