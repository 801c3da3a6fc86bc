"""The kinds of questions about spatial sound that SpatialSoundQA has, by the names its files use.

BAT (arXiv 2402.01591) and DSpAST sort them into five types: A and B ask about a recording of one source, C, D and E
about one of two; A and C ask what sounds, B and D where, E compares the two. E's table counts the two kinds that are
answered by yes or no; the other three are in the data, and diagnostic here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from spatial_audio_lm.errors import ConfigError

AnswerKind = Literal["classes", "place", "yes_no", "side", "distance"]


@dataclass(frozen=True)
class QuestionType:
    """One kind of question.

    Attributes:
        name: as the published files have it.
        letter: the type that the papers' tables count it to.
        answer: what an answer says: names of sounds, sides and a distance, yes or no, one side, or a distance.
        compares: whether it is about two sounds of a recording.
        in_table: whether the papers' tables have a number for it.
    """

    name: str
    letter: Literal["A", "B", "C", "D", "E"]
    answer: AnswerKind
    compares: bool = False
    in_table: bool = True


QUESTION_TYPES: dict[str, QuestionType] = {
    kind.name: kind
    for kind in (
        QuestionType("CLASSIFICATION", "A", "classes"),
        QuestionType("DOA", "B", "place"),
        QuestionType("MIXUP_SINGLE_CLASSIFICATION", "C", "classes"),
        QuestionType("MIXUP_SINGLE_DOA", "D", "place"),
        QuestionType("MIXUP_DIRECTION", "E", "yes_no", compares=True),
        QuestionType("MIXUP_DISTANCE_BOTH", "E", "yes_no", compares=True),
        QuestionType("MIXUP_NONBINARY_DIRECTION", "E", "side", compares=True, in_table=False),
        QuestionType("MIXUP_NONBINARY_DISTANCE", "E", "distance", compares=True, in_table=False),
        QuestionType("MIXUP_NONBINARY_SOURCE", "E", "classes", compares=True, in_table=False),
    )
}
"""All kinds, in the order of the tables."""


def question_type(name: str) -> QuestionType:
    """The kind of this name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    found = QUESTION_TYPES.get(name)
    if found is None:
        near = difflib.get_close_matches(str(name).upper(), QUESTION_TYPES, n=1, cutoff=0.5)
        hint = f"the nearest is {near[0]}" if near else f"there are {', '.join(QUESTION_TYPES)}"
        raise ConfigError(f"no question type is called {str(name)[:60]!r}; {hint}")
    return found
