"""How evenly answers are spread: what a model gains that gives the commonest one without listening."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spatial_audio_lm.language.answers import AXES, read_distance, read_side
from spatial_audio_lm.language.question_types import QUESTION_TYPES
from spatial_audio_lm.question_answering.records import SpatialQuestion


@dataclass(frozen=True)
class AnswerBalance:
    """The answers to the questions of one type.

    Attributes:
        questions: how many.
        wordings: how many different questions.
        answers: how many different answers.
        commonest: the answer that is given most often.
        commonest_share: how often.
        evenness: entropy of the answers over that of as many equally frequent ones; 1 is even, also for one answer.
        shares: of the first side of each axis, where answers say one, and of yes.
        mean_distance_m: of the answers that say one, else None.
    """

    questions: int
    wordings: int
    answers: int
    commonest: str
    commonest_share: float
    evenness: float
    shares: dict[str, float]
    mean_distance_m: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def answer_balance(questions: Iterable[SpatialQuestion]) -> dict[str, AnswerBalance]:
    """The balance of each question type that occurs, in the order of `QUESTION_TYPES`."""
    of_type: dict[str, list[SpatialQuestion]] = {}
    for question in questions:
        of_type.setdefault(question.question_type, []).append(question)
    return {name: _balance(of_type[name]) for name in QUESTION_TYPES if name in of_type}


def balance_table(balances: dict[str, AnswerBalance]) -> str:
    """The balances as a table in Markdown."""
    lines = [
        "| type | questions | wordings | answers | commonest | its share | evenness | shares |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, balance in balances.items():
        shares = ", ".join(f"{word} {share:.3f}" for word, share in balance.shares.items())
        lines.append(
            f"| {QUESTION_TYPES[name].letter}: {name} | {balance.questions} | {balance.wordings} | {balance.answers} | "
            f"{balance.commonest} | {balance.commonest_share:.3f} | {balance.evenness:.3f} | {shares} |"
        )
    return "\n".join(lines) + "\n"


def _balance(questions: Sequence[SpatialQuestion]) -> AnswerBalance:
    counts = Counter(question.answer for question in questions)
    commonest, most = counts.most_common(1)[0]
    total = len(questions)
    entropy = -sum(count / total * math.log(count / total) for count in counts.values())
    kind = questions[0].kind
    shares = {}
    if kind.answer == "yes_no":
        shares["yes"] = counts["Yes"] / total
    if kind.answer in ("place", "side"):
        for axis in AXES:
            found = [side for question in questions if (side := read_side(question.answer, axis))]
            if found:
                shares[axis[0]] = found.count(axis[0]) / len(found)
    metres = []
    if kind.answer in ("place", "distance"):
        metres = [value for question in questions if (value := read_distance(question.answer)) is not None]
    return AnswerBalance(
        questions=total,
        wordings=len({question.question for question in questions}),
        answers=len(counts),
        commonest=commonest,
        commonest_share=most / total,
        evenness=entropy / math.log(len(counts)) if len(counts) > 1 else 1.0,
        shares=shares,
        mean_distance_m=sum(metres) / len(metres) if metres else None,
    )
