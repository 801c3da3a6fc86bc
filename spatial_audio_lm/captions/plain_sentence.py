"""The caption that is always true: the sound in its first words, then place and room in set phrases.

It stands in where no rewriting passed. Whatever the caption is, a sentence or a noun phrase, it can be said so: "A dog
barks at a car, far away, on the left, in a small, highly reverberant room." Several sentences become one ("A dog
barks; a man shouts, on the left."). Where the caption speaks of its place itself and says another word than the one
that is given, the given one is not said: "Rain in a large hall" is not put into a small room.
"""

import re
from dataclasses import replace

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.language.attributes import SpatialAttributes

_PHRASES = {
    "left": "on the left",
    "right": "on the right",
    "front": "in front of the listener",
    "back": "behind the listener",
    "up": "high up",
    "down": "low down",
    "near": "close by",
    "far": "far away",
}


# Not after "Mr." or an initial.
_SENTENCE_END = re.compile(r"(?<!\b[a-z])(?<!\b(?:mr|ms|dr|st|vs))(?<!\bmrs)[.!?]+\s+(\w+)", re.IGNORECASE)


def plain_sentence(facts: CaptionFacts) -> str:
    """The caption with each attribute that is stated, in one sentence; the caption itself where none is."""
    said = replace(facts.attributes, **dict.fromkeys(facts.contradicted()))
    if said == SpatialAttributes():
        return facts.caption
    caption = _SENTENCE_END.sub(lambda end: f"; {_inside(end[1])}", " ".join(facts.caption.split())).rstrip(" .,;:!?")
    places = [_PHRASES[word] for word in (said.distance, said.elevation, said.direction) if word]
    words = ", ".join(word for word in (said.size, said.reverberation) if word)
    room = [f"in {'an' if words.startswith('a') else 'a'} {words} room"] if words else []
    return ", ".join([caption, *places, *room]) + "."


def _inside(word: str) -> str:
    """A first word as it is written within a sentence; "I" and "TV" stay."""
    return word[0].lower() + word[1:] if word == "A" or word[1:].islower() else word
