"""How questions and answers name a class of the vocabulary: "the barking dog", "dog barking"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from spatial_audio_lm.language.vocabulary import SOUND_CLASSES, sound_class

Draw = Callable[[], float]

_SOUND_OF_RATE = 0.4  # of phrases read "the sound of a dog barking" rather than "the barking dog"
_LABEL_RATE = 0.3  # take the class label, the others any spoken form


def _bare(phrase: str) -> str:
    return re.sub(r"^(?:an?|the) ", "", phrase)


ANSWER_NAMES: dict[str, str] = {sound.id: _bare(sound.label) for sound in SOUND_CLASSES}
"""The name of each class in answers: its label without an article."""


@lru_cache(maxsize=16)
def _forms_of(names: frozenset[str]) -> dict[str, str]:
    forms: dict[str, str] = {}
    for sound in SOUND_CLASSES:
        if ANSWER_NAMES[sound.id] in names:
            spoken = (*map(_bare, sound.spoken), sound.id.replace("_", " "))
            forms |= dict.fromkeys(spoken, ANSWER_NAMES[sound.id])
    return forms


def spoken_forms(names: Iterable[str]) -> dict[str, str]:
    """How else one says the vocabulary's sounds: "barking dog" and "dog" are forms of the name "dog barking".

    Args:
        names: of sounds; those that are not `ANSWER_NAMES` have no other forms here.

    Returns:
        Each spoken form without its article, and each class id in words, with the name that it stands for.
    """
    return _forms_of(frozenset(names))


def answer_name(class_id: str) -> str:
    """The name of a class in answers.

    Raises:
        ConfigError: there is no such class.
    """
    return ANSWER_NAMES[sound_class(class_id).id]


def definite_phrase(class_id: str, draw: Draw, label_only: bool = False) -> tuple[str, bool]:
    """A phrase that speaks of a sound as known ("the barking dog", "the sound of rain"), and whether it takes "are".

    "Someone walking" is nobody in particular: there is no "the" for it, only "the sound of someone walking".

    Args:
        class_id: of the vocabulary.
        draw: gives numbers in [0, 1); called three times.
        label_only: use the class label alone.
    """
    sound = sound_class(class_id)
    of_sound, of_label, which = draw() < _SOUND_OF_RATE, draw() < _LABEL_RATE, draw()
    forms = sound.spoken[:1] if label_only or of_label else sound.spoken
    form = forms[int(which * len(forms))]
    if form.startswith("the "):
        return form, form in sound.plural
    if of_sound or form.startswith("someone"):
        return f"the sound of {form}", False
    return f"the {_bare(form)}", form in sound.plural
