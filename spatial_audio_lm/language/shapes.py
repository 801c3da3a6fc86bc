"""The sentence shapes of captions, as patterns with slots and optional parts.

Slots
    {np}         a noun phrase: "a dog barking", "something"
    {is}         "is" or "are", as the noun phrase wants it
    {bare}       the noun phrase without its article: "dog barking"
    {sound}      "the sound of a dog barking", "a distant noise"
    {from} {at}  the stated place: "from the left, far away", "far away on the left"
    {tele}       the stated place in single words: "left, far"
    {room}       "in a small, highly reverberant room"
    {a_room}     the same without "in"
    {tele_room}  "small reverberant room"

A part in square brackets is left out when it has nothing to say; a shape whose slots outside brackets have nothing to
say is not used. Each line begins with its weight: the phrasings people type most often stand highest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TRAIN_SHAPES = """
6 {np}[ {from}][ {room}]
5 {np}[ {at}][ {room}]
2 {np}[, {at}][, {room}]
2 {np}[ {from}][, {room}]
3 {sound}[ {from}][ {room}]
2 {sound}[ {at}][ {room}]
4 {sound} coming {from}[ {room}]
2 {np}, coming {from}[, {room}]
2 {sound} is coming {from}[ {room}]
2 {sound} comes {from}[ {room}]
1 {sound} arrives {from}[ {room}]
1 {sound} that comes {from}[ {room}]
1 {sound}, which comes {from}[, {room}]
1 {sound}, which is {at}[, {room}]
1 {sound} is {at}[ {room}]
1 {sound} coming from {a_room}[, {at}]
1 {sound} fills {a_room}[, coming {from}]
1 {from}, {np}[ {room}]
1 {from} comes {sound}[ {room}]
1 {from} I hear {np}[ {room}]
2 {at}, {np}[ {room}]
1 {at} there {is} {np}[ {room}]
2 {room}, {np}[ {from}]
1 {room}, {sound} is coming {from}
1 {room}, {np} can be heard[ {at}]
1 {room} there {is} {np}[ {at}]
2 {np} can be heard[ {from}][ {room}]
1 {sound} can be heard[ {at}][ {room}]
1 {np} that can be heard[ {at}][ {room}]
1 {np} {is} heard[ {from}][ {room}]
1 {np} {is} audible[ {at}][ {room}]
2 I hear {np}[ {at}][ {room}]
2 I can hear {np}[ {from}][ {room}]
2 hear {np}[ {at}][ {room}]
1 you can hear {np}[ {at}][, {room}]
1 we hear {np}[ {from}][, {room}]
2 there {is} {np}[ {at}][ {room}]
1 find {np}[ {at}][ {room}]
1 search for {sound}[ {from}][ {room}]
1 listen to {np}[ {from}][ {room}]
1 a recording of {np}[ {from}][ {room}]
1 {np} recorded {room}[, {at}]
4 {bare}[, {tele}][, {tele_room}]
1 {tele}, {bare}[, {tele_room}]
1 {tele}: {bare}[, {tele_room}]
1 {np}: {tele}[, {tele_room}]
1 {bare} ({tele}[, {tele_room}])
1 {bare}[ / {tele}][ / {tele_room}]
3 {bare}[ {from}][, {tele_room}]
2 {bare}[ {at}][ {room}]
"""

GENERIC_SHAPES = """
2 {from}[ {room}]
1 coming {from}[ {room}]
1 {at}[ {room}]
1 {tele}[, {tele_room}]
1 {room}
1 {tele_room}[, {tele}]
"""
"""Further training shapes that name no sound at all; only for captions without one."""

HELDOUT_SHAPES = """
1 what you notice {is} {np}[ {at}][ {room}]
1 it seems to be {np}[ {from}][ {room}]
1 the microphone[ stands {room} and] picks up {np}[ {from}]
1 somebody describes {np}[ {at}][, {room}]
1 is that {np}[ {at}][ {room}]?
1 imagine {np}[ {at}][, {room}]
1 this clip was made {room}, and {np} {is} in it[, {at}]
1 this clip has {np}[, {at}][, {room}]
1 {sound} drifts over[ {from}][, {room}]
1 {sound} was captured[ {room}] and reaches us[ {from}]
1 one notices {np}[, {at}][, {room}]
1 ears open: {np}[, {from}][, {room}]
"""
"""Shapes that no training caption has, for evaluation only."""


@dataclass(frozen=True)
class Piece:
    """A run of text with one slot after it; `slot` is empty at the end of a shape."""

    text: str
    slot: str


Shape = tuple[Piece, ...]

_PLACE_SLOTS = frozenset({"from", "at", "tele"})
_ROOM_SLOTS = frozenset({"room", "a_room", "tele_room"})


def shapes_for(lines: str, has_place: bool, has_room: bool, must_have: str = "") -> tuple[Shape, ...]:
    """Cut the shapes that fit down to what is stated.

    Args:
        lines: One of the tables above.
        has_place: Whether direction, elevation or distance is stated.
        has_room: Whether size or reverberation is stated.
        must_have: A slot that a shape needs in order to be taken.

    Returns:
        The shapes whose needs are met and that say all that is stated, each as often as its weight.
    """
    found: list[Shape] = []
    for line in filter(None, lines.splitlines()):
        weight, pattern = line.split(" ", 1)
        text = re.sub(r"\[([^\]]*)\]", lambda part: part[1] if _can_say(part[1], has_place, has_room) else "", pattern)
        slots = set(re.findall(r"{(\w+)}", text))
        says_all = bool(slots & _PLACE_SLOTS) == has_place and bool(slots & _ROOM_SLOTS) == has_room
        if says_all and (not must_have or must_have in slots):
            parts = re.split(r"{(\w+)}", text)
            shape = tuple(Piece(*pair) for pair in zip(parts[::2], [*parts[1::2], ""], strict=True))
            found.extend([shape] * int(weight))
    return tuple(found)


def _can_say(part: str, has_place: bool, has_room: bool) -> bool:
    slots = set(re.findall(r"{(\w+)}", part))
    return (has_place or not slots & _PLACE_SLOTS) and (has_room or not slots & _ROOM_SLOTS)
