"""Which sounds a caption names: the names of a list in free English, in their plural too, and not those it denies.

Answers to questions keep to a grammar and are read by `language.answers`; a caption is a sentence. "Two sirens wail"
names "siren", and "no dog, only rain" names "rain" alone. Idioms are taken at their words.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.parsing import plain
from spatial_audio_lm.language.sound_names import spoken_forms

# What denies the name behind it; "not only a siren" does not.
_DENIAL = re.compile(
    r"(?:\b(?:no|not|without|nor|neither|never|instead of|rather than|except(?: for)?|unlike|absence of|lack of)|n't)"
    r"(?: (?:an?|the|any|single|more|other|hear|heard|sounds?|noises?|of)){0,4} \Z"
)
_OR = re.compile(r",? or(?: (?:an?|the|any))? \Z")


def read_caption_sounds(caption: str, names: Collection[str]) -> tuple[str, ...]:
    """The names of sounds that a caption says.

    Names are looked for as whole words, the longest first ("a car alarm" names "car alarm", and no "car"), each of
    their words also in the plural. A name of the vocabulary is known by its spoken forms too, unless such a form is
    another name of the list: "a barking dog" is "dog barking".

    Args:
        caption: English.
        names: all that may be named; capital letters make no difference.

    Returns:
        Each name once, as it stands in the list, in the order of the caption.

    Raises:
        TextError: the caption is no text.
        DataError: no names, or one that is empty or no text.
    """
    text = plain(caption)
    canonical, pattern = _finder(tuple(names))
    found: dict[str, None] = {}
    denied_until = -1
    for match in pattern.finditer(text):
        listed = denied_until >= 0 and _OR.fullmatch(text, denied_until, match.start())  # "no siren or bell"
        if listed or _DENIAL.search(text, 0, match.start()):
            denied_until = match.end()
        else:
            found[canonical[match[0]]] = None
    return tuple(found)


@lru_cache(maxsize=16)
def _finder(names: tuple[str, ...]) -> tuple[dict[str, str], re.Pattern[str]]:
    own = {plain(name) if isinstance(name, str) else "": name for name in names}
    if not own or "" in own:
        raise DataError("names must be one or more texts, none of them empty")
    forms = {plain(form): name for form, name in spoken_forms(names).items()} | own
    plurals = {plural: name for form, name in forms.items() for plural in _plurals(form)}
    canonical = plurals | forms
    longest_first = sorted(canonical, key=len, reverse=True)
    return canonical, re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _plurals(form: str) -> list[str]:
    """The form with one of its words in the plural: "dogs barking"."""
    words = form.split()
    return [" ".join([*words[:k], _plural(word), *words[k + 1 :]]) for k, word in enumerate(words) if word.isalpha()]


def _plural(word: str) -> str:
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    if re.search(r"(?:ss|x|z|ch|sh)$", word):
        return word + "es"
    return word if word.endswith("s") else word + "s"
