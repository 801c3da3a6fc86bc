"""One function an answer: which sounds are asked about, what is true of them, and what the question says.

Each returns question and answer, or None where the sounds of a scene do not allow the question. Where the answer is
one of two, it is drawn first and the words are chosen to fit.
"""

from collections.abc import Callable, Sequence
from itertools import permutations

from spatial_audio_lm.language.answers import AXES, write_distance, write_names, write_place, write_yes_no
from spatial_audio_lm.language.question_wordings import (
    COMPARATIVES,
    EITHER_WORDS,
    RELATIONS,
    Draw,
    pick,
    write_question,
)
from spatial_audio_lm.language.sound_names import answer_name, definite_phrase
from spatial_audio_lm.question_answering.place_wordings import tell_apart
from spatial_audio_lm.question_answering.question_settings import QuestionSettings
from spatial_audio_lm.question_answering.scene_facts import PlacedSound, is_closer, metres_between, side_of

QuestionAndAnswer = tuple[str, str]


def _classification(
    kind: str, sounds: Sequence[PlacedSound], settings: QuestionSettings, draw: Draw
) -> QuestionAndAnswer | None:
    if len(sounds) != 1:
        return None
    return write_question(kind, {}, draw, settings.forms), _names(sounds)


def _place(
    kind: str, sounds: Sequence[PlacedSound], settings: QuestionSettings, draw: Draw
) -> QuestionAndAnswer | None:
    """Where the only sound is, or one that no other of the scene could be taken for."""
    candidates = _unmistakable(sounds)
    if not candidates or (len(sounds) == 1) != (kind == "DOA"):
        return None
    asked = candidates[int(draw() * len(candidates))]
    question = write_question(kind, _speaking_of(asked, settings, draw), draw, settings.forms)
    return question, write_place(asked.azimuth_deg, asked.elevation_deg, asked.distance_m)


def _sound_at(
    kind: str, sounds: Sequence[PlacedSound], settings: QuestionSettings, draw: Draw
) -> QuestionAndAnswer | None:
    """What is to be heard at a place that is told from those of the other sounds."""
    if len(sounds) < 2:
        return None
    asked = sounds[int(draw() * len(sounds))]
    place, meant = tell_apart(asked, sounds, settings.margins, draw)
    return write_question(kind, {"place": place}, draw, settings.forms), _names(meant)


def _comparison(
    kind: str, sounds: Sequence[PlacedSound], settings: QuestionSettings, draw: Draw
) -> QuestionAndAnswer | None:
    """Yes or no, drawn first: then the words for which that is the answer."""
    found = _pair(kind, sounds, settings, draw)
    if found is None:
        return None
    first, second, true_word, false_word = found
    answer = draw() < 0.5
    relation = pick(RELATIONS[true_word if answer else false_word], draw)
    slots = _speaking_of(first, settings, draw) | {"relation": relation, "other": _phrase(second, settings, draw)}
    return write_question(kind, slots, draw, settings.forms), write_yes_no(answer)


def _which_side(
    kind: str, sounds: Sequence[PlacedSound], settings: QuestionSettings, draw: Draw
) -> QuestionAndAnswer | None:
    found = _pair(kind, sounds, settings, draw)
    if found is None:
        return None
    first, second, true_word, false_word = found
    sides = (true_word, false_word) if draw() < 0.5 else (false_word, true_word)
    slots = _speaking_of(first, settings, draw) | {"other": _phrase(second, settings, draw)}
    slots |= {name: RELATIONS[side][0] for name, side in zip(("first", "second"), sides, strict=True)}
    slots |= {name: pick(EITHER_WORDS[side], draw) for name, side in zip(("either", "or"), sides, strict=True)}
    return write_question(kind, slots, draw, settings.forms), true_word


def _which_sound(
    kind: str, sounds: Sequence[PlacedSound], settings: QuestionSettings, draw: Draw
) -> QuestionAndAnswer | None:
    found = _pair(kind, sounds, settings, draw)
    if found is None:
        return None
    first, second, true_word, false_word = found
    is_first = draw() < 0.5
    more = pick(COMPARATIVES[true_word if is_first else false_word], draw)
    slots = _speaking_of(first, settings, draw) | {"more": more, "other": _phrase(second, settings, draw)}
    return write_question(kind, slots, draw, settings.forms), _names([first if is_first else second])


def _distance_between(
    kind: str, sounds: Sequence[PlacedSound], settings: QuestionSettings, draw: Draw
) -> QuestionAndAnswer | None:
    pairs = list(permutations(_unmistakable(sounds), 2))
    if not pairs:
        return None
    first, second = pairs[int(draw() * len(pairs))]
    slots = _speaking_of(first, settings, draw) | {"other": _phrase(second, settings, draw)}
    return write_question(kind, slots, draw, settings.forms), write_distance(metres_between(first, second))


MAKERS: dict[str, Callable[[str, Sequence[PlacedSound], QuestionSettings, Draw], QuestionAndAnswer | None]] = {
    "CLASSIFICATION": _classification,
    "DOA": _place,
    "MIXUP_SINGLE_CLASSIFICATION": _sound_at,
    "MIXUP_SINGLE_DOA": _place,
    "MIXUP_DIRECTION": _comparison,
    "MIXUP_DISTANCE_BOTH": _comparison,
    "MIXUP_NONBINARY_DIRECTION": _which_side,
    "MIXUP_NONBINARY_DISTANCE": _distance_between,
    "MIXUP_NONBINARY_SOURCE": _which_sound,
}
"""By question type: kind, sounds, settings and a source of chance give question and answer, or None if not possible."""


def _pair(
    kind: str, sounds: Sequence[PlacedSound], settings: QuestionSettings, draw: Draw
) -> tuple[PlacedSound, PlacedSound, str, str] | None:
    """Two sounds that can be compared, with the word that is true of the first one and its opposite."""
    by_direction, by_distance = (
        kind != "MIXUP_DISTANCE_BOTH",
        kind not in ("MIXUP_DIRECTION", "MIXUP_NONBINARY_DIRECTION"),
    )
    possible: dict[str, list[tuple[PlacedSound, PlacedSound, str, str]]] = {}
    for first, second in permutations(_unmistakable(sounds), 2):
        for axis, words in enumerate(AXES if by_direction else ()):
            if side := side_of(first, second, axis, settings.margins):
                opposite = words[words.index(side) - 1]
                possible.setdefault(words[0], []).append((first, second, side, opposite))
        closer = is_closer(first, second, settings.margins) if by_distance else None
        if closer is not None:
            words = ("closer", "farther") if closer else ("farther", "closer")
            possible.setdefault("distance", []).append((first, second, *words))
    if not possible:
        return None
    chosen = possible[pick(sorted(possible), draw)]  # what is compared first, so that every axis has its share
    return chosen[int(draw() * len(chosen))]


def _unmistakable(sounds: Sequence[PlacedSound]) -> list[PlacedSound]:
    """The sounds whose class no other one has."""
    classes = [sound.sound_class for sound in sounds]
    return [sound for sound in sounds if classes.count(sound.sound_class) == 1]


def _names(sounds: Sequence[PlacedSound]) -> str:
    return write_names(sorted({answer_name(sound.sound_class) for sound in sounds}))


def _phrase(sound: PlacedSound, settings: QuestionSettings, draw: Draw) -> str:
    return definite_phrase(sound.sound_class, draw, settings.forms == "heldout")[0]


def _speaking_of(sound: PlacedSound, settings: QuestionSettings, draw: Draw) -> dict[str, str]:
    phrase, plural = definite_phrase(sound.sound_class, draw, settings.forms == "heldout")
    return {"sound": phrase, "is": "are" if plural else "is", "do": "do" if plural else "does"}
