"""How English says each attribute word: the phrases that captions are built of and that the parser reads.

A place word has three kinds of phrase. `origin` follows "coming" ("from the left"), `place` says where something is
("on the left"), `bare` stands alone between commas in a telegraphic query ("left"). A room word has adjectives that
stand before "room" and tails that stand behind it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlaceWording:
    """Phrases for one word of direction, elevation or distance."""

    origin: tuple[str, ...]
    place: tuple[str, ...]
    bare: tuple[str, ...]


@dataclass(frozen=True)
class RoomWording:
    """Phrases for one word of room size or reverberation."""

    adjectives: tuple[str, ...]
    tails: tuple[str, ...] = ()


def _side(side: str) -> PlaceWording:
    return PlaceWording(
        origin=tuple(
            phrase.format(side=side)
            for phrase in (
                "from the {side}",
                "from the {side}",
                "from my {side}",
                "from the {side} side",
                "from the {side}-hand side",
                "from the {side} of the listener",
            )
        ),
        place=tuple(
            phrase.format(side=side)
            for phrase in (
                "on the {side}",
                "on my {side}",
                "to the {side}",
                "to my {side}",
                "on the {side} side",
                "on the {side}-hand side",
                "at the {side}-hand side",
                "on my {side} hand side",
                "to the {side} of me",
                "off to the {side}",
            )
        ),
        bare=(side, side, f"{side} side", f"{side}-hand side"),
    )


PLACE_WORDINGS: dict[str, PlaceWording] = {
    "left": _side("left"),
    "right": _side("right"),
    "front": PlaceWording(
        origin=("from the front", "from the front", "from in front of me", "from ahead", "from straight ahead"),
        place=(
            "in front of me",
            "in front",
            "ahead of me",
            "straight ahead",
            "at the front",
            "in front of the listener",
        ),
        bare=("front", "front", "in front", "ahead"),
    ),
    "back": PlaceWording(
        origin=("from behind", "from behind", "from behind me", "from the back", "from the rear"),
        place=("behind me", "behind me", "at the back", "in the rear", "behind the listener", "behind my back"),
        bare=("behind", "back", "behind me", "rear"),
    ),
    "up": PlaceWording(
        origin=("from above", "from above", "from overhead", "from high up", "from up above", "from up"),
        place=("above me", "overhead", "high up", "up high", "up above", "above my head"),
        bare=("up", "above", "overhead", "high up"),
    ),
    "down": PlaceWording(
        origin=("from below", "from below", "from underneath", "from down low", "from down below", "from down"),
        place=("below me", "beneath me", "low down", "down low", "down below", "underneath me"),
        bare=("down", "below", "underneath", "low down"),
    ),
    "near": PlaceWording(
        origin=("from nearby", "from close by", "from right next to me", "from very near", "from near"),
        place=(
            "nearby",
            "close by",
            "close to me",
            "near me",
            "right next to me",
            "within arm's reach",
            "at close range",
        ),
        bare=("near", "nearby", "close", "close by"),
    ),
    "far": PlaceWording(
        origin=("from far away", "from far off", "from afar", "from a distance", "from a long way off", "from far"),
        place=("far away", "far away", "in the distance", "far off", "a long way off", "at a distance", "far from me"),
        bare=("far", "far away", "distant", "in the distance"),
    ),
}

LOOSE_PHRASES = frozenset({"from up", "from down", "from near", "from very near", "from far"})
"""Origins after which English wants a pause before the next phrase ("from near, on the left")."""

SOUND_ADJECTIVES: dict[str, tuple[str, ...]] = {
    "near": ("nearby",),
    "far": ("distant", "faraway", "far-off"),
}
"""How the distance is said before the noun: "the distant sound of a siren"."""

ROOM_WORDINGS: dict[str, RoomWording] = {
    "small": RoomWording(adjectives=("small", "small", "compact", "cramped")),
    "large": RoomWording(adjectives=("large", "large", "big", "spacious")),
    "highly reverberant": RoomWording(
        adjectives=("highly reverberant", "highly reverberant", "very reverberant", "reverberant", "echoing", "echoey"),
        tails=("with a lot of echo", "with long reverberation", "full of echoes", "with strong reverberation"),
    ),
    "acoustically dampened": RoomWording(
        adjectives=(
            "acoustically dampened",
            "acoustically dampened",
            "acoustically damped",
            "acoustically dry",
            "heavily damped",
            "acoustically dead",
        ),
        tails=("with hardly any echo", "with very little reverberation", "with almost no echo", "with dry acoustics"),
    ),
}

GENERIC_PHRASES = ("a sound", "a sound", "something", "a noise", "some sound")
"""Noun phrases for a sound that is not named."""

GENERIC_SOUNDS = ("a sound", "the sound", "a noise", "the noise")
"""The same where a named one would read "the sound of ..."; the noun is last, so that an adjective can precede it."""
