"""The caption that is always true: the sound in its first words, then place and room in set phrases.

It stands in where no rewriting passed. Whatever the caption is, a sentence or a noun phrase, it can be said so: "A dog
barks at a car, far away, on the left, in a small, highly reverberant room."
"""

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


def plain_sentence(facts: CaptionFacts) -> str:
    """The caption with each attribute that is stated, in one sentence; the caption itself where none is."""
    if facts.attributes == SpatialAttributes():
        return facts.caption
    said = facts.attributes
    caption = " ".join(facts.caption.split()).rstrip(" .,;:")
    places = [_PHRASES[word] for word in (said.distance, said.elevation, said.direction) if word]
    words = ", ".join(word for word in (said.size, said.reverberation) if word)
    room = [f"in {'an' if words.startswith('a') else 'a'} {words} room"] if words else []
    return ", ".join([caption, *places, *room]) + "."
