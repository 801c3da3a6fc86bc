"""A place in words that leave no doubt which sound of a scene is meant: "on the left, about 2.5 metres away"."""

from collections.abc import Sequence
from itertools import combinations

from spatial_audio_lm.language.answers import AXES, in_steps
from spatial_audio_lm.language.question_wordings import DISTANCE_PHRASES, PLACE_PHRASES, Draw, pick
from spatial_audio_lm.question_answering.scene_facts import Margins, PlacedSound, side_of

_FULL_RATE = 0.3  # of places are told in full, three sides and the distance, as the published ones are
_DISTANCE = "distance"


def tell_apart(
    asked: PlacedSound, sounds: Sequence[PlacedSound], margins: Margins, draw: Draw
) -> tuple[str, list[PlacedSound]]:
    """Some facts about a sound's place that no other sound's place fits, in words.

    A side tells two sounds apart if they lie on different sides and `side_of` agrees, a distance if it differs by
    `margins.place_m`. Where nothing does, all facts are told, and whatever has the same words is meant as well.

    Args:
        asked: one of `sounds`.
        sounds: all of the scene.
        margins: what is too close to tell apart.
        draw: gives numbers in [0, 1).

    Returns:
        The words, and the sounds that are meant.
    """
    facts: tuple[str, ...] = (*asked.sides, _DISTANCE)
    others = [sound for sound in sounds if sound is not asked]
    enough = [
        chosen
        for size in range(1, len(facts))
        for chosen in combinations(facts, size)
        if all(any(_excludes(fact, asked, other, margins) for fact in chosen) for other in others)
    ]
    in_full = draw() < _FULL_RATE
    which = draw()
    if not enough or in_full:
        told, meant = facts, [s for s in sounds if (s.sides, s.distance_in_steps) == _words(asked)]
    else:
        told, meant = enough[int(which * len(enough))], [asked]
    return ", ".join(_in_words(fact, asked, draw) for fact in told), meant


def _words(sound: PlacedSound) -> tuple[tuple[str, str, str], float]:
    return sound.sides, sound.distance_in_steps


def _excludes(fact: str, asked: PlacedSound, other: PlacedSound, margins: Margins) -> bool:
    """Whether a fact about the asked sound is clearly not one about the other."""
    if fact == _DISTANCE:
        return abs(asked.distance_m - other.distance_m) >= margins.place_m
    axis = next(number for number, words in enumerate(AXES) if fact in words)
    return fact not in other.sides and side_of(asked, other, axis, margins) == fact


def _in_words(fact: str, asked: PlacedSound, draw: Draw) -> str:
    if fact != _DISTANCE:
        return pick(PLACE_PHRASES[fact], draw)
    metres = in_steps(asked.distance_m)
    return pick(DISTANCE_PHRASES, draw).format(f"{metres:g}", "metre" if metres == 1 else "metres")
