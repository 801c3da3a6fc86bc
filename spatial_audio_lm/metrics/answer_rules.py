"""When an answer in words counts as right, and how often a guess would.

Definitions are those of BAT and DSpAST, whose scripts for B, D and E were not published: a direction is right if all
three words are; a distance is wrong if it is off by more than half a metre; what cannot be read is wrong.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.answers import AXES, read_distance, read_names, read_side, read_sides, read_yes_no

DISTANCE_TOLERANCE_M = 0.5
_ROUNDING_M = 1e-6
_SHUFFLES = 20
_MAX_CONSTANTS = 50  # the commonest answers are tried as constant ones


@dataclass(frozen=True)
class AnswerRule:
    """One way to score answers to questions of one kind.

    Attributes:
        key: the end of a measure's key.
        name: what a table calls it.
        read: an answer to what is compared; None where it cannot be read.
        score: of a read answer against the read truth, 0 to 1.
        better: whether more or less is better; what cannot be read scores worst.
    """

    key: str
    name: str
    read: Callable[[str], Any]
    score: Callable[[Any, Any], float]
    better: Literal["higher", "lower"] = "higher"

    def scores(self, answers: Sequence[Any], truths: Sequence[Any]) -> NDArray[np.float64]:
        """Scores of answers that were read, `(items,)`."""
        worst = 0.0 if self.better == "higher" else 1.0
        return np.array(
            [worst if a is None else self.score(a, t) for a, t in zip(answers, truths, strict=True)], dtype=np.float64
        )


@dataclass(frozen=True)
class RuledAnswers:
    """Answers under a rule.

    Attributes:
        scores: `(items,)`.
        unreadable: `(items,)`, whether the rule could not read an answer.
        drawn: mean score of the true answers in random order: chance.
        constant: mean score of the one answer, given always, that serves best.
        own_shuffled: mean score of the model's own answers in random order: what it owes to how often it says what.
    """

    scores: NDArray[np.float64]
    unreadable: NDArray[np.bool_]
    drawn: float
    constant: float
    own_shuffled: float


def apply_rule(rule: AnswerRule, answers: Sequence[str], truths: Sequence[str], seed: int = 0) -> RuledAnswers:
    """Score answers to questions of one kind, and guesses beside them.

    Args:
        rule: how.
        answers: of the model.
        truths: as many true answers.
        seed: of the random orders.

    Raises:
        DataError: no answers, other numbers of them than of truths, or a true answer that the rule cannot read.
    """
    if not truths or len(answers) != len(truths):
        raise DataError(f"{len(answers)} answers for {len(truths)} true ones; expected as many, and at least one")
    read = {text: rule.read(text) for text in {*answers, *truths}}
    for truth in truths:
        if read[truth] is None:
            raise DataError(f"the true answer {truth[:80]!r} cannot be read by the rule {rule.name!r}")
    said, true = [read[text] for text in answers], [read[text] for text in truths]
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(true)) for _ in range(_SHUFFLES)]

    def shuffled(values: list[Any]) -> float:
        return float(np.mean([rule.scores([values[i] for i in order], true).mean() for order in orders]))

    constants = [
        rule.scores([read[text]] * len(true), true).mean() for text, _ in Counter(truths).most_common(_MAX_CONSTANTS)
    ]
    best = max(constants) if rule.better == "higher" else min(constants)
    return RuledAnswers(
        scores=rule.scores(said, true),
        unreadable=np.array([value is None for value in said]),
        drawn=shuffled(true),
        constant=float(best),
        own_shuffled=shuffled(said),
    )


def _same(answer: Any, truth: Any) -> float:
    return float(answer == truth)


def _too_far(answer: float, truth: float) -> float:
    return float(abs(answer - truth) > DISTANCE_TOLERANCE_M + _ROUNDING_M)


def _one_axis(axis: tuple[str, str]) -> AnswerRule:
    first, second = axis
    return AnswerRule(f"{first}_{second}_accuracy", f"{first} or {second}", lambda text: read_side(text, axis), _same)


def _any_side(text: str) -> str | None:
    found = [side for axis in AXES if (side := read_side(text, axis))]
    return found[0] if len(found) == 1 else None


DIRECTION = AnswerRule("direction_accuracy", "direction, 8-way", read_sides, _same)
DISTANCE = AnswerRule("distance_error_rate", "distance off by more than 0.5 m", read_distance, _too_far, "lower")
AXIS_RULES = tuple(_one_axis(AXES[axis]) for axis in (1, 0, 2))
YES_NO = AnswerRule("accuracy", "yes or no", read_yes_no, _same)
SIDE = AnswerRule("side_accuracy", "which side", _any_side, _same)


def name_rules(names: Sequence[str]) -> tuple[AnswerRule, AnswerRule]:
    """Rules for answers that name sounds: the share of the true ones that are named, and exactly these and no other.

    Args:
        names: of all classes.
    """

    def read(text: str) -> frozenset[str] | None:
        return frozenset(read_names(text, names).names) or None

    def share(answer: frozenset[str], truth: frozenset[str]) -> float:
        return len(answer & truth) / len(truth)

    return (
        AnswerRule("sounds_named", "share of the sounds named", read, share),
        AnswerRule("exact", "exactly the sounds that are there", read, _same),
    )
