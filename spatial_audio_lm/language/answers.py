"""How answers about spatial sound are written and read: SpatialSoundQA's grammar.

- What sounds: names in lower case, parted by "; " (a name may itself hold commas): "dog barking; rain".
- Where: three words and a distance in steps of half a metre: "left, front, below; 2.5m".
- Comparisons: "Yes" or "No", one word of a side, a distance, or a name.

Reading forgives what does not change the meaning (case, "2.5 metres", a sentence around the words), and believes
neither of two contradicting words. What it cannot read is None, which every score counts as wrong and as unparsable.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.sound_names import spoken_forms
from spatial_audio_lm.signal.conventions import unit_vector

AXES: tuple[tuple[str, str], ...] = (("front", "behind"), ("left", "right"), ("above", "below"))
"""The two sides of each axis x, y, z of the house's unit vectors; the first is the positive one."""

_SPOKEN_ORDER = (1, 0, 2)  # left or right, front or behind, above or below
_STEPS_PER_METRE = 2
_ON_PLANE = 1e-9  # the sine of 180 degrees is 1e-16, and straight behind is not on the left
_SYNONYMS = {"back": "behind", "rear": "behind", "ahead": "front", "beneath": "below", "underneath": "below"}
_SIDE = re.compile(rf"\b(?:{'|'.join([word for axis in AXES for word in axis] + list(_SYNONYMS))})\b")
_NUMBER = re.compile(r"(?<![\w.,-])(\d{1,4}(?:\.\d{1,6})?) ?(?:m|met(?:er|re)s?)\b")
_RANGE = re.compile(r"\d ?(?:-|\u2013|to|or|and) ?\d")  # "2 or 3 metres" is no distance
_YES_OR_NO = re.compile(r"\b(?:yes|no)\b")

Sides = tuple[str, str, str]


@dataclass(frozen=True)
class NamedSounds:
    """What an answer names.

    Attributes:
        names: those that are known, each once, as they stand in the list of names.
        unknown: parts of the answer in which no name was found.
    """

    names: tuple[str, ...]
    unknown: tuple[str, ...]


def sides_of(azimuth_deg: float, elevation_deg: float) -> Sides:
    """Left or right, front or behind, above or below; on the plane between counts as the second, as published.

    Args:
        azimuth_deg: 0 = front, positive = left.
        elevation_deg: positive = up.
    """
    vector = unit_vector(azimuth_deg, elevation_deg)
    first, second, third = (AXES[axis][0 if vector[axis] > _ON_PLANE else 1] for axis in _SPOKEN_ORDER)
    return first, second, third


def in_steps(distance_m: float) -> float:
    """A distance in metres to the nearest half; halfway between goes to the even number of steps, as published.

    Raises:
        DataError: a distance that is negative or not finite.
    """
    if not 0 <= distance_m < float("inf"):
        raise DataError(f"the distance is {distance_m}; expected a finite number of metres of at least 0")
    return round(_STEPS_PER_METRE * distance_m) / _STEPS_PER_METRE


def write_distance(distance_m: float) -> str:
    """Written "2.5m", or "2m" for whole metres."""
    return f"{in_steps(distance_m):g}m"


def write_place(azimuth_deg: float, elevation_deg: float, distance_m: float) -> str:
    """Written "left, front, below; 2.5m"."""
    return f"{', '.join(sides_of(azimuth_deg, elevation_deg))}; {write_distance(distance_m)}"


def write_names(names: Sequence[str]) -> str:
    """Written "dog barking; rain"."""
    return "; ".join(names)


def write_yes_no(answer: bool) -> str:
    """Written "Yes" or "No"."""
    return "Yes" if answer else "No"


def read_yes_no(text: str) -> bool | None:
    """Whether the answer is yes; None if it holds neither word, or both."""
    found = set(_YES_OR_NO.findall(_plain(text)))
    return found == {"yes"} if len(found) == 1 else None


def read_side(text: str, axis: Sequence[str]) -> str | None:
    """Which of two opposite sides the answer names; None if neither, or both.

    Args:
        text: the answer.
        axis: one of `AXES`.
    """
    words = {_SYNONYMS.get(word, word) for word in _SIDE.findall(_plain(text))}
    found = words & set(axis)
    return found.pop() if len(found) == 1 else None


def read_sides(text: str) -> Sides | None:
    """The side on each axis, in the order in which they are written; None if an axis has none, or both."""
    found = [read_side(text, AXES[axis]) for axis in _SPOKEN_ORDER]
    first, second, third = found
    return None if first is None or second is None or third is None else (first, second, third)


def read_distance(text: str) -> float | None:
    """Metres; None unless the answer has exactly one number with a unit of metres, and no range of numbers."""
    plain = _plain(text)
    found = _NUMBER.findall(plain)
    return float(found[0]) if len(found) == 1 and not _RANGE.search(plain) else None


def read_names(text: str, names: Collection[str]) -> NamedSounds:
    """The known names that an answer holds.

    A part between two semicolons that is a name counts as it stands; in any other, names are looked for as whole words,
    the longest first ("the sound of a car alarm" names "car alarm", and no "car"). A name of the vocabulary is known by
    its spoken forms too, unless such a form is another name of the list: "a barking dog" is "dog barking".

    Args:
        text: the answer.
        names: all that may be named; capital letters make no difference.
    """
    canonical, pattern = _finder(tuple(names))
    found: dict[str, None] = {}
    unknown = []
    for part in _plain(text).split(";"):
        part = part.strip(" .")
        hits = [part] if part in canonical else pattern.findall(part)
        found.update(dict.fromkeys(canonical[hit] for hit in hits))
        if not hits and part:
            unknown.append(part)
    return NamedSounds(tuple(found), tuple(unknown))


@lru_cache(maxsize=16)
def _finder(names: tuple[str, ...]) -> tuple[dict[str, str], re.Pattern[str]]:
    canonical = {_plain(name): name for name in names}
    if not canonical or "" in canonical:
        raise DataError("names must be one or more texts, none of them empty")
    canonical = {_plain(form): name for form, name in spoken_forms(names).items()} | canonical
    longest_first = sorted(canonical, key=len, reverse=True)
    return canonical, re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
