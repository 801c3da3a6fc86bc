"""Rewritten captions with known faults, and right ones, made by rule over sound captions for `caption_verifier.py`.

The wordings are written for this benchmark and are not those that `spatial_audio_lm.language.wordings` writes captions
with; each list is cut in two halves, one to tune the verifier on and one to report on. English has few ways to say
"left", so the halves share words, though not phrases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.parsing import parse_attributes

HALVES = ("tune", "report")
# By word, phrases of the half to tune on, then of the half to report on.
PLACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "left": (
        ("to your left", "on the left-hand side of the listener", "over on the left", "from your left side"),
        ("on your left", "at the left side", "from the listener's left", "somewhere to the left"),
    ),
    "right": (
        ("to your right", "on the right-hand side of the listener", "over on the right", "from your right side"),
        ("on your right", "at the right side", "from the listener's right", "somewhere to the right"),
    ),
    "front": (
        ("directly in front of you", "just ahead", "in front of where you stand"),
        ("right in front of us", "straight in front", "up ahead of you", "from the front side"),
    ),
    "back": (
        ("directly behind you", "from somewhere behind", "at your back"),
        ("right behind us", "from behind your head", "toward the rear"),
    ),
    "up": (
        ("high above you", "from somewhere above", "up over your head", "high overhead"),
        ("directly above", "above the listener's head", "from way up high", "from higher up"),
    ),
    "down": (
        ("far beneath your feet", "from somewhere below", "down underneath you")[1:],
        ("directly below", "beneath the listener", "from way down low", "from lower down"),
    ),
    "near": (
        ("very close to you", "a short distance away", "right beside you", "at close quarters"),
        ("in close proximity", "a few steps away", "right up close", "immediately next to the listener"),
    ),
    "far": (
        ("way off in the distance", "from a great distance", "at a far remove")[:2],
        ("at a considerable distance", "quite far away", "from very far off", "a good distance away"),
    ),
}
SIZES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "small": (("tiny", "confined", "snug"), ("little", "cramped little", "rather small")),
    "large": (("vast", "enormous", "roomy"), ("huge", "expansive", "very big")),
}
REVERBERATION: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "highly reverberant": (("boomy", "strongly echoing"), ("echo-filled", "resonant", "intensely reverberant")),
    "acoustically dampened": (
        ("sound-absorbing", "well-damped"),
        ("anechoic", "muffled, dry", "acoustically deadened"),
    ),
}
TAILS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "highly reverberant": (("where echoes linger",), ("with plenty of reverb", "in which every sound echoes")),
    "acoustically dampened": (("with next to no echo",), ("with barely any reverberation", "free of echo")),
}
FRAMES: tuple[tuple[str, ...], tuple[str, ...]] = (
    ("{Place}, {sound}{ in_room}.", "{Sound}, {place}{ in_room}.", "{In_room, }{sound}, heard {place}."),
    ("{Place}{ in_room}, {sound}.", "{Sound}, all of it coming {place}{, in_room}.", "{In_room, }{place}, {sound}."),
)
SAME_SOUNDS: tuple[dict[str, str], dict[str, str]] = (
    {"speaks": "talks", "talks": "speaks", "speaking": "talking", "car": "automobile", "kids": "children"},
    {"talking": "speaking", "shouts": "yells", "engine": "motor", "airplane": "aeroplane", "someone": "somebody"},
)  # fmt: skip
OTHER_SOUNDS: tuple[dict[str, str], dict[str, str]] = (
    {"car": "cat", "dog": "rooster", "man": "woman", "rain": "fire", "birds": "sirens", "water": "glass",
     "music": "thunder", "train": "tractor", "people": "pigs", "engine": "drum", "wind": "choir", "door": "bell"},
    {"woman": "boy", "dogs": "cows", "bird": "baby", "vehicle": "violin", "crickets": "clocks", "bell": "whip",
     "cat": "owl", "machine": "monkey", "crowd": "cow", "person": "parrot", "motor": "piano", "truck": "trumpet",
     "men": "frogs"},
)  # fmt: skip
ADDED_SOUNDS: tuple[tuple[str, ...], tuple[str, ...]] = (
    ("and a cat meows", "as cards are shuffled", "with soft jazz playing", "while a kettle boils"),
    ("and an accordion plays", "as coins jingle", "with a parrot screeching", "while a zipper closes"),
)
TALK: tuple[tuple[str, ...], tuple[str, ...]] = (
    ("Sure! Here is the sentence: {}", "Rephrased: {}", '"{}"', "{}\nNote: the room is small."),
    ("Certainly, here's a short version: {}", "Output: {}", "**{}**", "<think>short</think>{}"),
)


@dataclass(frozen=True)
class Case:
    """A rewritten caption whose fault is known; `fault` is None for a right one."""

    caption: str
    attributes: SpatialAttributes
    text: str
    fault: str | None = None
    attribute: str | None = None


class Writer:
    """Writes right and faulty captions with the wordings of one half ("tune" or "report")."""

    def __init__(self, half: str, generator: np.random.Generator):
        self.half, self.generator = HALVES.index(half), generator

    def pick(self, options: tuple[str, ...]) -> str:
        """One of several wordings."""
        return options[int(self.generator.integers(len(options)))]

    def attributes(self) -> SpatialAttributes:
        """Facts with at least one word of place."""
        while True:
            drawn = {
                name: words[int(self.generator.integers(len(words)))] if self.generator.random() < 0.5 else None
                for name, words in ATTRIBUTE_WORDS.items()
            }
            if drawn["direction"] or drawn["elevation"] or drawn["distance"]:
                return SpatialAttributes(**drawn)

    def places(self, attributes: SpatialAttributes) -> list[str]:
        """Phrases of direction, elevation and distance in any order."""
        given = [attributes.direction, attributes.elevation, attributes.distance]
        phrases = [self.pick(PLACES[word][self.half]) for word in given if word]
        return [phrases[k] for k in self.generator.permutation(len(phrases))]

    def room(self, attributes: SpatialAttributes) -> str:
        """The room with its preposition, or nothing."""
        size, reverberation = attributes.size, attributes.reverberation
        if not size and not reverberation:
            return ""
        adjectives = [self.pick(SIZES[size][self.half])] if size else []
        tail = ""
        if reverberation and self.generator.random() < 0.4:
            tail = " " + self.pick(TAILS[reverberation][self.half])
        elif reverberation:
            adjectives.append(self.pick(REVERBERATION[reverberation][self.half]))
        noun = ", ".join(adjectives) + (" " if adjectives else "") + "room" + tail
        return f"in {'an' if noun[0] in 'aeiou' else 'a'} {noun}"

    def write(self, caption: str, places: list[str], room: str) -> str:
        """A sentence of a caption, places and a room."""
        sound = caption.strip().rstrip(".").strip()
        sound = sound[0].lower() + sound[1:] if not sound[:2].isupper() else sound
        text = self.pick(FRAMES[self.half]) if places else "{Sound}{ in_room}."
        slots = {
            "{sound}": sound, "{Sound}": _capital(sound),
            "{place}": ", ".join(places), "{Place}": _capital(", ".join(places)),
            "{ in_room}": f" {room}" if room else "", "{, in_room}": f", {room}" if room else "",
            "{In_room, }": f"{_capital(room)}, " if room else "",
        }  # fmt: skip
        for slot, value in slots.items():
            text = text.replace(slot, value)
        return _capital(text)

    def right(self, caption: str) -> Case:
        """A right paraphrase: other words for some of the sounds, and all of the facts."""
        attributes = self.attributes()
        sound = _exchanged(caption, SAME_SOUNDS[self.half], every=True)
        return Case(caption, attributes, self.write(sound, self.places(attributes), self.room(attributes)))

    def faulty(self, caption: str) -> Iterator[Case]:
        """One case of each kind of fault that the caption allows."""
        for fault, make in _FAULTS.items():
            case = make(self, caption)
            if case:
                yield replace(case, fault=fault)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _exchanged(caption: str, other: dict[str, str], every: bool = False) -> str:
    pattern = re.compile(rf"\b({'|'.join(other)})\b", re.IGNORECASE)
    return pattern.sub(lambda match: other[match[0].lower()], caption, count=0 if every else 1)


def _drawn(writer: Writer, names: list[str]) -> str:
    return names[int(writer.generator.integers(len(names)))]


def _given(attributes: SpatialAttributes, caption: str) -> list[str]:
    """The attributes of which the caption itself says nothing: of the others, a dropped word may still be said."""
    own = parse_attributes(caption)
    return [name for name in ATTRIBUTE_WORDS if getattr(attributes, name) and not getattr(own, name)]


def _dropped(writer: Writer, caption: str) -> Case | None:
    attributes = writer.attributes()
    if not (names := _given(attributes, caption)):
        return None
    name = _drawn(writer, names)
    said = replace(attributes, **{name: None})
    return Case(caption, attributes, writer.write(caption, writer.places(said), writer.room(said)), None, name)


def _swapped(writer: Writer, caption: str) -> Case | None:
    attributes = writer.attributes()
    if not (names := _given(attributes, caption)):
        return None
    name = _drawn(writer, names)
    others = [word for word in ATTRIBUTE_WORDS[name] if word != getattr(attributes, name)]
    said = replace(attributes, **{name: _drawn(writer, others)})
    return Case(caption, attributes, writer.write(caption, writer.places(said), writer.room(said)), None, name)


def _invented(writer: Writer, caption: str) -> Case | None:
    said = writer.attributes()
    if not (names := _given(said, caption)):
        return None
    name = _drawn(writer, names)
    attributes = replace(said, **{name: None})
    return Case(caption, attributes, writer.write(caption, writer.places(said), writer.room(said)), None, name)


def _negated(writer: Writer, caption: str) -> Case | None:
    attributes = writer.attributes()
    places, name = [], None
    for attribute in ("direction", "elevation", "distance"):
        word = getattr(attributes, attribute)
        if word and not name:
            name = attribute
            places.append("not " + writer.pick(PLACES[word][writer.half]))
        elif word:
            places.append(writer.pick(PLACES[word][writer.half]))
    if name not in _given(attributes, caption):
        return None
    return Case(caption, attributes, writer.write(caption, places, writer.room(attributes)), None, name)


def _moved(writer: Writer, caption: str) -> Case | None:
    joint = re.search(
        r",? (?:while|as) (?=(?:an?|the|some|people|men|women|birds|dogs|insects|music|rain|wind|water)\b)", caption
    )
    attributes = writer.attributes()
    places = writer.places(attributes)
    if joint is None or parse_attributes(caption) != SpatialAttributes():
        return None
    text = f"{caption[: joint.start()]} {' '.join(places)}{caption[joint.start() :].strip().rstrip('.')}"
    text = text.replace(places[-1] + "while", places[-1] + " while").replace(places[-1] + "as ", places[-1] + " as ")
    room = writer.room(attributes)
    return Case(caption, attributes, f"{_capital(room)}, {text}." if room else f"{_capital(text)}.")


def _sound_changed(writer: Writer, caption: str) -> Case | None:
    changed = _exchanged(caption, OTHER_SOUNDS[writer.half])
    attributes = writer.attributes()
    if changed == caption:
        return None
    return Case(caption, attributes, writer.write(changed, writer.places(attributes), writer.room(attributes)))


def _sound_lost(writer: Writer, caption: str) -> Case | None:
    parts = re.split(r",? (?:while|followed by|then|and then) ", caption)
    attributes = writer.attributes()
    if len(parts) < 2:
        return None
    return Case(caption, attributes, writer.write(parts[0], writer.places(attributes), writer.room(attributes)))


def _sound_added(writer: Writer, caption: str) -> Case | None:
    attributes = writer.attributes()
    more = f"{caption.strip().rstrip('.')} {writer.pick(ADDED_SOUNDS[writer.half])}"
    return Case(caption, attributes, writer.write(more, writer.places(attributes), writer.room(attributes)))


def _talk(writer: Writer, caption: str) -> Case | None:
    attributes = writer.attributes()
    text = writer.write(caption, writer.places(attributes), writer.room(attributes))
    return Case(caption, attributes, writer.pick(TALK[writer.half]).replace("{}", text))


_FAULTS: dict[str, Callable[[Writer, str], Case | None]] = {
    "dropped": _dropped,
    "swapped": _swapped,
    "invented": _invented,
    "negated": _negated,
    "moved": _moved,
    "sound changed": _sound_changed,
    "sound lost": _sound_lost,
    "sound added": _sound_added,
    "talk left": _talk,
}
