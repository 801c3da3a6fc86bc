"""The wordings of questions, as patterns: alternatives in parentheses, slots in braces.

Slots
    {sound} {other}   a sound that is known: "the barking dog", "the sound of rain"
    {is} {do}         "is" or "are", "does" or "do", as {sound} wants it
    {place}           "on the left, in front of me, about 2.5 metres away"
    {relation}        "to the left of", "closer than"
    {first} {second}  the two sides of an axis as they stand before {other}: "to the left of", "behind"
    {either} {or}     the two sides alone: "left", "behind"
    {more}            "further to the left", "closer"

An empty alternative leaves its word out. Each pattern is as likely as any other, whatever it expands to. The patterns
are the toolkit's own: SpatialSoundQA's were not published apart from its data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from spatial_audio_lm.errors import ConfigError

Draw = Callable[[], float]

_COMPARISON = """
{is} {sound} {relation} {other}?
{is} {sound} (really|indeed|) {relation} {other} (in this recording|here|in this clip)?
{do} {sound} come from (somewhere|a place) {relation} {other}?
would you say (that|) {sound} {is} {relation} {other}?
can you (tell|hear|say) (whether|if) {sound} {is} {relation} {other}?
(listening to this|in this recording|in this clip|from what you hear), {is} {sound} {relation} {other}?
{sound} {is} {relation} {other}: (yes or no|true|is that so|correct)?
is it (true|correct|the case) that {sound} {is} {relation} {other}?
compare the two sounds: {is} {sound} {relation} {other}?
(please say|tell me) (whether|if) {sound} {is} {relation} {other}.
"""
_COMPARISON_HELDOUT = """
I think {sound} {is} {relation} {other}, do you agree?
going by ear alone, {is} {sound} {relation} {other}?
someone claims that {sound} {is} {relation} {other}. Does that hold?
"""

TRAIN_WORDINGS: dict[str, str] = {
    "CLASSIFICATION": """
what (do|can) you hear (in this recording|in this clip|here|)?
what (is to be heard|sounds|can be heard) (in this recording|in this clip|here)?
(which|what) sounds (are there|occur|are to be heard|can be heard|are present) (in this recording|in this clip|here)?
(name|list|identify|give) (the sounds|every sound|all sounds) (in this recording|in the clip|that you hear).
what is (making the sound|making this noise|sounding) (here|in this recording|)?
what (makes|is the source of|causes) (this sound|the sound|this noise)?
(tell me|say) what (you hear|sounds here|is to be heard).
what (kind|sort) of sound is (this|it|in this recording)?
(classify|label|recognise) (this|the) (sound|recording|clip).
""",
    "DOA": """
where does (the sound|it) come from, and how far away is it?
where is (the sound|it), and how (far away|far off) is it?
in (which|what) direction and (how far away|at what distance) is the sound?
from (which|what) direction, and from how far away, does (the sound|it) come?
where is the (source|source of the sound), and how (far away|distant|far off) is it?
(give|tell me|state|name) the direction and the distance of the (sound|source).
(locate|localise) the (sound|source of the sound): (which|what) direction, (which|what) distance?
(say|tell me) where the sound is and how far away.
where {is} {sound}, and how far away?
from which direction, and from how far away, {do} {sound} come?
(give|state) the place of the sound: left or right, front or behind, above or below, and its distance.
""",
    "MIXUP_SINGLE_CLASSIFICATION": """
(what|which sound) is {place}?
(what|which sound) (do|can) you hear {place}?
(which|what) sound (is located|is to be heard|can be heard) {place}?
what (is sounding|makes a sound|makes the sound) {place}?
(name|identify) (what sounds|what you hear|the sound) {place}.
which of the sounds is {place}?
there is a sound {place}: (what|which one) is it?
(something|one of the sounds) is {place}. What is it?
{place}: what (sounds|is|can be heard) there?
""",
    "MIXUP_SINGLE_DOA": """
where {is} {sound}, and how far away?
in (which|what) direction and (how far away|at what distance) {is} {sound}?
from (which|what) direction, and from how far away, {do} {sound} come?
from where, and from what distance, (do|can) you hear {sound}?
(give|tell me|state|name) the direction and the distance of {sound}.
(locate|localise) {sound}: (which|what) direction, (which|what) distance?
(say|tell me) where {sound} {is} and how far away.
{sound}: where, and how far away?
of the two sounds, where {is} {sound} and at what distance?
(give|state) the place of {sound}: left or right, front or behind, above or below, and its distance.
""",
    "MIXUP_DIRECTION": _COMPARISON,
    "MIXUP_DISTANCE_BOTH": _COMPARISON,
    "MIXUP_NONBINARY_DIRECTION": """
{is} {sound} {first} or {second} {other}?
where {is} {sound} (compared to|relative to|in relation to) {other}: {either} or {or}?
{either} or {or}: where {is} {sound} (compared to|relative to) {other}?
compared to {other}, {is} {sound} {either} or {or}?
(tell me|say) whether {sound} {is} {first} or {second} {other}.
""",
    "MIXUP_NONBINARY_DISTANCE": """
how far (away|) {is} {sound} from {other}?
how many metres (lie|are there|are) between {sound} and {other}?
(what|how large) is the distance (between|separating) {sound} and {other}?
how far apart are {sound} and {other}?
(estimate|give|tell me) the distance between {sound} and {other}.
""",
    "MIXUP_NONBINARY_SOURCE": """
which is {more}: {sound} or {other}?
which (sound|of the sounds|of the two) is {more}, {sound} or {other}?
{sound} or {other}: which is {more}?
what is {more}, {sound} or {other}?
(tell me|say) which is {more}, {sound} or {other}.
""",
}
"""Patterns by question type, one a line."""

HELDOUT_WORDINGS: dict[str, str] = {
    "CLASSIFICATION": """
describe the contents of the audio by name.
I wonder what that was?
put a name to whatever sounds here.
""",
    "DOA": """
point me to the sound: which way and how many metres?
where would I have to look, and how far would I have to walk, to find the source?
report position and range of what you hear.
""",
    "MIXUP_SINGLE_CLASSIFICATION": """
imagine turning to what is {place}: what do you find?
who or what produces the sound {place}?
I notice something {place}; put a name to it.
""",
    "MIXUP_SINGLE_DOA": """
point me to {sound}: which way and how many metres?
where would I have to look, and how far would I have to walk, to find {sound}?
report position and range of {sound}.
""",
    "MIXUP_DIRECTION": _COMPARISON_HELDOUT,
    "MIXUP_DISTANCE_BOTH": _COMPARISON_HELDOUT,
    "MIXUP_NONBINARY_DIRECTION": """
taking {other} as the reference, {is} {sound} {either} or {or}?
choose one for {sound} beside {other}: {either}, {or}.
""",
    "MIXUP_NONBINARY_DISTANCE": """
what gap in metres separates {sound} and {other}?
a string from {sound} to {other} would be how long?
""",
    "MIXUP_NONBINARY_SOURCE": """
of {sound} and {other}, pick the one that is {more}.
{sound}, {other}: I want the one that is {more}.
""",
}
"""Patterns that no training question has, for evaluation only."""

WORDINGS = {"train": TRAIN_WORDINGS, "heldout": HELDOUT_WORDINGS}

PLACE_PHRASES: dict[str, tuple[str, ...]] = {
    "left": ("on the left", "to the left", "on my left", "on the left side"),
    "right": ("on the right", "to the right", "on my right", "on the right side"),
    "front": ("in front", "in front of me", "at the front"),
    "behind": ("behind me", "at the back", "at the rear"),
    "above": ("above me", "above", "above ear height"),
    "below": ("below me", "below", "below ear height"),
}
"""How a question says that a sound is on a side of the listener."""

DISTANCE_PHRASES = ("about {} {} away", "{} {} away", "at a distance of {} {}", "{} {} from me")

RELATIONS: dict[str, tuple[str, ...]] = {
    "left": ("to the left of", "left of", "further to the left than", "more to the left than"),
    "right": ("to the right of", "right of", "further to the right than", "more to the right than"),
    "front": ("in front of", "further to the front than", "more to the front than"),
    "behind": ("behind", "further to the back than", "more to the back than"),
    "above": ("above", "higher than", "higher up than"),
    "below": ("below", "lower than", "lower down than"),
    "closer": ("closer than", "nearer than", "closer to me than", "nearer to me than"),
    "farther": ("farther away than", "further away than", "more distant than", "farther from me than"),
}
"""How a question says that a sound stands to another; the first one of a side is for {first} and {second}."""

COMPARATIVES: dict[str, tuple[str, ...]] = {
    "left": ("further to the left", "more to the left"),
    "right": ("further to the right", "more to the right"),
    "front": ("further to the front", "more to the front"),
    "behind": ("further to the back", "more to the back"),
    "above": ("higher", "higher up"),
    "below": ("lower", "lower down"),
    "closer": ("closer", "nearer", "closer to me"),
    "farther": ("farther away", "further away", "more distant"),
}
"""How a question says which of two sounds it means."""

EITHER_WORDS: dict[str, tuple[str, ...]] = {
    "left": ("left", "to the left"),
    "right": ("right", "to the right"),
    "front": ("in front",),
    "behind": ("behind",),
    "above": ("above",),
    "below": ("below",),
}

_SPACES = re.compile(r" +(?=[?.,:;]|$)|(?<= ) +")
_CHOICE = re.compile(r"\(([^()]*)\)")


def patterns_of(question_type: str, forms: str = "train") -> tuple[str, ...]:
    """The patterns of a question type.

    Raises:
        ConfigError: `forms` is neither "train" nor "heldout".
    """
    if forms not in WORDINGS:
        raise ConfigError(f"forms is {forms!r}; expected 'train' or 'heldout'")
    return tuple(filter(None, WORDINGS[forms][question_type].splitlines()))


def number_of_wordings(question_type: str, forms: str = "train") -> int:
    """How many sentences the patterns of a type expand to, before their slots are filled."""
    return sum(
        math.prod(len(choice.split("|")) for choice in _CHOICE.findall(pattern))
        for pattern in patterns_of(question_type, forms)
    )


def write_question(question_type: str, slots: dict[str, str], draw: Draw, forms: str = "train") -> str:
    """One wording with its slots filled, as a sentence that begins with a capital letter.

    Args:
        question_type: the kind of question.
        slots: texts by the names of the slots.
        draw: gives numbers in [0, 1); how often it is called depends on the pattern.
        forms: "train", or "heldout" for patterns that training never shows.

    Raises:
        ConfigError: a pattern has a slot that is not given, or `forms` is neither of the two.
    """
    patterns = _patterns_with(question_type, forms, frozenset(slots))
    if not patterns:
        raise ConfigError(f"no wording of {question_type} does with {', '.join(sorted(slots)) or 'no slots'}")
    pattern = pick(patterns, draw)
    text = _CHOICE.sub(lambda match: pick(match[1].split("|"), draw), pattern)
    text = _SPACES.sub("", text.format_map(slots)).strip()
    return text[0].upper() + text[1:]


@lru_cache(maxsize=256)
def _patterns_with(question_type: str, forms: str, slots: frozenset[str]) -> tuple[str, ...]:
    """The patterns of a type that need no other slots."""
    return tuple(
        pattern for pattern in patterns_of(question_type, forms) if set(re.findall(r"{(\w+)}", pattern)) <= slots
    )


def pick(options: Sequence[str], draw: Draw) -> str:
    """One of several, each as likely as any other."""
    return options[int(draw() * len(options))]
