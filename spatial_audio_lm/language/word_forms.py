"""The forms of English words, without a dictionary: "barked", "barks" and "barking" have "bark" in common.

A word is given all stems that its ending allows ("taping" could come from "tap" and from "tape"); two words are forms
of one where they share a stem. That is looser than a lemmatiser and needs no list of words beside the irregular ones.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_VOWELS = "aeiouy"

_IRREGULAR_FORMS = """
be am is are was were been being; beat beaten; become became; begin began begun; bite bit bitten; blow blew blown
break broke broken; bring brought; build built; burn burnt; burst; buy bought; catch caught; choose chose chosen
child children; come came; creep crept; cut; deal dealt; dig dug; do does did done; draw drew drawn; drink drank drunk
drive drove driven; eat ate eaten; fall fell fallen; feed fed; feel felt; fight fought; find found; fling flung
fly flies flew flown; foot feet; freeze froze frozen; get got gotten; give gave given; go goes went gone; goose geese
grind ground; grow grew grown; hang hung; have has had; hear heard; hide hid hidden; hit; hold held; keep kept
know knew known; lay laid; lead led; leaf leaves; leave left; leap leapt; light lit; lose lost; make made; man men
meet met; mouse mice; pay paid; put; read; ride rode ridden; ring rang rung; rise rose risen; run ran; say says said
see saw seen; sell sold; send sent; shake shook shaken; shine shone; shoot shot; show shown; shut; sing sang sung
sink sank sunk; sit sat; sleep slept; slide slid; speak spoke spoken; speed sped; spin spun; spit spat; split
spread; spring sprang sprung; stand stood; steal stole; stick stuck; sting stung; stride strode; strike struck
string strung; swear swore; sweep swept; swim swam swum; swing swung; take took taken; tear tore torn; tell told
think thought; throw threw thrown; tooth teeth; wake woke woken; wear wore; weave wove woven; weep wept; whir whirr
wind wound; woman women; wolf wolves; knife knives; wring wrung; write wrote written; bleed bled; ox oxen
buzz buzzes; gas gases; bus buses; quiz quizzes; hoof hooves; calf calves; shelf shelves; wife wives; life lives
half halves; tom-tom tom-toms; axe axes ax; tyre tire tyres tires; grey gray
"""
_STEMS_OF_IRREGULAR: dict[str, set[str]] = {}
for _line in re.split(r"[;\n]", _IRREGULAR_FORMS):
    for _form in _line.split():
        _STEMS_OF_IRREGULAR.setdefault(_form, set()).add(_line.split()[0])


def words(text: str) -> list[str]:
    """The words of a text in lower case; "high-pitched" is two, "dog's" is one."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


@lru_cache(maxsize=65536)
def stems(word: str) -> frozenset[str]:
    """All that a word may be a form of, itself included.

    Args:
        word: one word in lower case, with or without a possessive ending.

    Returns:
        Its stems; "hopping" gives "hopping", "hopp", "hoppe" and "hop". Some are no words: they match nothing.
    """
    word = re.sub(r"'(?:s|ll|re|ve|d|m)?$", "", word)
    found = {word} | _STEMS_OF_IRREGULAR.get(word, set())
    if len(word) > 4 and word.endswith("ly"):
        found |= {word[:-2]} | ({word[:-3] + "y"} if word.endswith("ily") else {word[:-1] + "e"})
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        found.add(word[:-1])
        if word.endswith("es"):
            found.add(word[:-2])
        if word.endswith("ies"):
            found.add(word[:-3] + "y")
    for ending in ("ed", "ing"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            found |= _without(word.removesuffix(ending))
    if word.endswith("ied"):
        found.add(word[:-3] + "y")
    return frozenset(found)


def _without(rest: str) -> set[str]:
    """What stands before -ed or -ing, with the e that it may have lost and without the letter it may have doubled."""
    if not any(letter in _VOWELS for letter in rest):
        return set()
    found = {rest, rest + "e"}
    if len(rest) > 2 and rest[-1] == rest[-2] and rest[-1] not in _VOWELS:
        found.add(rest[:-1])
    return found
