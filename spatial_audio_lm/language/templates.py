"""Captions from facts: what sounds, where, and in what room, in many wordings.

The sentence shapes stand in `spatial_audio_lm.language.shapes`, the phrases in `spatial_audio_lm.language.wordings`.
`spatial_audio_lm.language.parsing` reads every caption written here back into its attributes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from spatial_audio_lm.errors import ConfigError, TextError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.shapes import GENERIC_SHAPES, HELDOUT_SHAPES, TRAIN_SHAPES, Shape, shapes_for
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.language.wordings import (
    GENERIC_PHRASES,
    GENERIC_SOUNDS,
    LOOSE_PHRASES,
    PLACE_WORDINGS,
    ROOM_WORDINGS,
    SOUND_ADJECTIVES,
)

Draw = Callable[[], float]
Option = TypeVar("Option")

_DRAWS = 32  # more than any caption needs; one call of the generator costs as much as a single draw
_FORMS = {"train": (TRAIN_SHAPES, TRAIN_SHAPES + GENERIC_SHAPES), "heldout": (HELDOUT_SHAPES, HELDOUT_SHAPES)}
_SHAPES: dict[tuple[str, bool, bool, bool, bool], tuple[Shape, ...]] = {
    (forms, named, place, room, adjective): shapes_for(
        tables[0] if named else tables[1], place, room, must_have="sound" if adjective else ""
    )
    for forms, tables in _FORMS.items()
    for named in (True, False)
    for place in (True, False)
    for room in (True, False)
    for adjective in (True, False)
}
_SPOKEN = {sound.id: sound.spoken for sound in SOUND_CLASSES}
_PLURAL = frozenset(phrase for sound in SOUND_CLASSES for phrase in sound.plural)

_ADJECTIVE_RATE = 0.15  # of captions with a distance: "the distant sound of"
_LABEL_RATE = 0.3  # of captions take the class label, the others any spoken form
_TIGHT_RATE = 0.6  # of places that allow it read "far away on the left" rather than "far away, on the left"
_CAPITAL_RATE = 0.3
_FULL_STOP_RATE = 0.5  # of captions that begin with a capital letter


def write_caption(
    sound: str | None, attributes: SpatialAttributes, generator: np.random.Generator, forms: str = "train"
) -> str:
    """Write one caption that says these things and nothing else.

    Args:
        sound: The id of a class in the vocabulary (one of its spoken forms is taken at random), any other noun phrase
            ("two dogs barking at each other"), or None for a sound that is not named.
        attributes: What to say about place and room; None fields are not mentioned.
        generator: Source of chance; the caption is a function of its state, which advances by the same amount for
            every caption.
        forms: "train", or "heldout" for sentence shapes that training never shows.

    Returns:
        One line of English, with or without a capital letter and a full stop.

    Raises:
        ConfigError: `forms` is neither of the two.
        TextError: `sound` is empty.
    """
    if forms not in _FORMS:
        raise ConfigError(f"forms is {forms!r}; expected 'train' or 'heldout'")
    draw = iter(generator.random(_DRAWS).tolist()).__next__
    adjective = None
    if draw() < _ADJECTIVE_RATE and attributes.distance and forms == "train":
        adjective = _pick(SOUND_ADJECTIVES[attributes.distance], draw)
    words = [attributes.direction, attributes.elevation, None if adjective else attributes.distance]
    place = [word for word in words if word]
    has_room = bool(attributes.size or attributes.reverberation)
    shape = _pick(_SHAPES[forms, sound is not None, bool(place), has_room, adjective is not None], draw)
    phrase = _noun_phrase(sound, draw)

    parts: list[str] = []
    from_or_at = False
    for piece in shape:
        # a place of several phrases is closed by a comma where the sentence goes on: "behind me, far off, in a room"
        closed = piece.text.startswith(" ") and from_or_at and "," in parts[-1]
        parts.append(f",{piece.text}" if closed else piece.text)
        from_or_at = piece.slot in ("from", "at")
        match piece.slot:
            case "np":
                parts.append(phrase)
            case "is":
                parts.append("are" if phrase in _PLURAL else "is")
            case "bare":
                parts.append(_without_article(phrase))
            case "sound":
                parts.append(_sound_of(None if sound is None else phrase, adjective, draw))
            case "from" | "at":
                parts.append(_place(place, piece.slot == "from", draw))
            case "tele":
                parts.append(", ".join(_pick(PLACE_WORDINGS[word].bare, draw) for word in _shuffled(place, draw)))
            case "room" | "a_room":
                preposition = "" if piece.slot == "a_room" else _pick(("in ", "in ", "inside "), draw)
                parts.append(preposition + _room(attributes, draw))
            case "tele_room":
                parts.append(_telegraphic_room(attributes, draw))
    text = "".join(parts)
    if draw() < _CAPITAL_RATE:
        text = text[0].upper() + text[1:]
        if draw() < _FULL_STOP_RATE and text[-1] != "?":
            text += "."
    return text


def probe_sentences(attribute: str) -> dict[str, tuple[str, ...]]:
    """Sentences that name one word of an attribute, for zero-shot classification.

    Args:
        attribute: A key of `ATTRIBUTE_WORDS`.

    Returns:
        By word, one or more sentences; the first is ELSA's form "A sound coming from ...", the others say the same in
        other words for those who average over several.

    Raises:
        ConfigError: There is no such attribute.

    Source:
        ELSA (arXiv 2409.11369), zero-shot evaluation of spatial attributes.
    """
    if attribute not in ATTRIBUTE_WORDS:
        raise ConfigError(f"no attribute {attribute!r}; expected one of {', '.join(ATTRIBUTE_WORDS)}")
    return {word: _probes(attribute, word) for word in ATTRIBUTE_WORDS[attribute]}


def training_words() -> frozenset[str]:
    """Every word, in lower case, that a training caption of a vocabulary class can contain."""
    texts = [re.sub(r"{\w+}", " ", TRAIN_SHAPES + GENERIC_SHAPES), *GENERIC_PHRASES, *GENERIC_SOUNDS]
    texts += [phrase for sound in SOUND_CLASSES for phrase in sound.spoken]
    texts += [phrase for wording in PLACE_WORDINGS.values() for phrase in wording.origin + wording.place + wording.bare]
    texts += [phrase for wording in ROOM_WORDINGS.values() for phrase in wording.adjectives + wording.tails]
    texts += [phrase for phrases in SOUND_ADJECTIVES.values() for phrase in phrases]
    texts += ["the sound of", "are", "in inside", "a an that is and room"]
    return frozenset(re.findall(r"[a-z']+", " ".join(texts).lower()))


def _probes(attribute: str, word: str) -> tuple[str, ...]:
    if attribute in ("size", "reverberation"):
        room = f"{_article(word)} {word} room"
        return f"A sound coming from {room}", f"a sound in {room}", f"something heard in {room}"
    side = f"the {word}" if attribute == "direction" else word
    origin, place = PLACE_WORDINGS[word].origin[0], PLACE_WORDINGS[word].place[0]
    return f"A sound coming from {side}", f"a sound {origin}", f"a sound {place}", f"something heard {place}"


def _pick(options: Sequence[Option], draw: Draw) -> Option:
    return options[int(draw() * len(options))]


def _shuffled(words: list[str], draw: Draw) -> list[str]:
    return [word for _, word in sorted((draw(), word) for word in words)]


def _noun_phrase(sound: str | None, draw: Draw) -> str:
    if sound is None:
        return _pick(GENERIC_PHRASES, draw)
    spoken = _SPOKEN.get(sound)
    if spoken:
        return spoken[0] if draw() < _LABEL_RATE else _pick(spoken, draw)
    phrase = " ".join(sound.split()).rstrip(".")
    if not phrase:
        raise TextError("the sound to caption is an empty text; pass a noun phrase, a class id, or None for no name")
    return phrase


def _without_article(phrase: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", phrase)


def _sound_of(phrase: str | None, adjective: str | None, draw: Draw) -> str:
    if phrase is None:
        article, noun = _pick(GENERIC_SOUNDS, draw).split(" ")
        return f"{article} {adjective} {noun}" if adjective else f"{article} {noun}"
    if phrase.startswith("the ") and " of " in phrase:  # "the bark of a dog" is a sound already
        return f"the {adjective} {phrase[4:]}" if adjective else phrase
    return f"the {adjective} sound of {phrase}" if adjective else f"the sound of {phrase}"


def _place(words: list[str], origin: bool, draw: Draw) -> str:
    order = _shuffled(words, draw)
    text = _pick(PLACE_WORDINGS[order[0]].origin if origin else PLACE_WORDINGS[order[0]].place, draw)
    loose = text in LOOSE_PHRASES
    for previous, word in itertools.pairwise(order):
        # "far away on the left" needs no comma; "on the left far away" does
        tight = not loose and word in ATTRIBUTE_WORDS["direction"] and previous not in ATTRIBUTE_WORDS["direction"]
        phrase = _pick(PLACE_WORDINGS[word].place, draw)
        clash = text.endswith(" me") or phrase.startswith("off ")  # "near me behind me", "far off off to the left"
        text += (" " if tight and not clash and draw() < _TIGHT_RATE else ", ") + phrase
    return text


def _article(phrase: str) -> str:
    return "an" if phrase[0] in "aeiou" else "a"


def _room(attributes: SpatialAttributes, draw: Draw) -> str:
    """A noun phrase such as "a small, highly reverberant room"."""
    size = _pick(ROOM_WORDINGS[attributes.size].adjectives, draw) if attributes.size else ""
    if not attributes.reverberation:
        return _pick((f"a {size} room", f"a {size} room", f"a {size} room", f"a room that is {size}"), draw)
    wording = ROOM_WORDINGS[attributes.reverberation]
    reverberation, tail = _pick(wording.adjectives, draw), _pick(wording.tails, draw)
    article = _article(reverberation)
    if not size:
        return _pick(
            (
                f"{article} {reverberation} room",
                f"{article} {reverberation} room",
                f"a room {tail}",
                f"a room that is {reverberation}",
            ),
            draw,
        )
    return _pick(
        (
            f"a {size}, {reverberation} room",
            f"a {size} and {reverberation} room",
            f"{article} {reverberation}, {size} room",
            f"a {size} room {tail}",
            f"a {size} room that is {reverberation}",
            f"a room that is {size} and {reverberation}",
        ),
        draw,
    )


def _telegraphic_room(attributes: SpatialAttributes, draw: Draw) -> str:
    size = _pick(ROOM_WORDINGS[attributes.size].adjectives, draw) if attributes.size else ""
    if not attributes.reverberation:
        return f"{size} room"
    reverberation = _pick(ROOM_WORDINGS[attributes.reverberation].adjectives, draw)
    if not size:
        return _pick((f"{reverberation} room", reverberation), draw)
    return _pick((f"{size} {reverberation} room", f"{size} room, {reverberation}"), draw)
