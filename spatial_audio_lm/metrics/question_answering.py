"""What answers about spatial sound are worth: BAT's and DSpAST's numbers by type, each beside chance and its interval.

- A, C (what sounds): macro average precision with the cosine between the whole answer and each class name as score, as
  the published script computes what the papers call mAP; the mean cosine between answer and truth, which DSpAST's text
  describes, has a name of its own. Beside them the share of the sounds that are named, which needs no embedding.
- B, D (where): direction of eight, each axis by itself, and the distance error rate at half a metre; where it is known
  which places lie clearly to one side of every plane, the direction of those by itself.
- E (comparisons): yes or no for direction and distance, and the mean of the two; the other three kinds as diagnosis.

Every type has its unparsable rate. Chance is measured: the true answers in random order, and the best constant answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.answers import read_names
from spatial_audio_lm.language.question_types import QUESTION_TYPES, question_type
from spatial_audio_lm.metrics.answer_rules import (
    AXIS_RULES,
    DIRECTION,
    DISTANCE,
    SIDE,
    YES_NO,
    AnswerRule,
    RuledAnswers,
    apply_rule,
    name_rules,
)
from spatial_audio_lm.metrics.detection import EventRanking, mean_average_precision
from spatial_audio_lm.metrics.intervals import bootstrap_interval
from spatial_audio_lm.metrics.report import Measure
from spatial_audio_lm.metrics.zero_shot import cosine_similarity

TextEmbedder = Callable[[Sequence[str]], NDArray[np.floating[Any]]]

_DIGITS = 9  # of a cosine: equal answers must be equal, and sums in another order differ beyond them
_LETTERS = {"A": "one sound", "B": "one sound", "C": "two sounds", "D": "two sounds"}
_PREFIX = {  # of the keys and names of E's measures
    "MIXUP_DIRECTION": ("E_direction", "E, direction"),
    "MIXUP_DISTANCE_BOTH": ("E_distance", "E, distance"),
    "MIXUP_NONBINARY_DIRECTION": ("E_nonbinary", "E, not yes or no, side"),
    "MIXUP_NONBINARY_DISTANCE": ("E_nonbinary", "E, not yes or no, how far"),
    "MIXUP_NONBINARY_SOURCE": ("E_nonbinary_source", "E, not yes or no, which sound"),
}


@dataclass(frozen=True)
class AnsweredQuestions:
    """What a model answered, question by question.

    Attributes:
        question_type: names of `language.question_types.QUESTION_TYPES`.
        truth: the true answers.
        answer: the model's.
        names: of all sound classes, as true answers have them.
        group: label of what is not independent (scene, dry clip, room); None: every question by itself.
        is_clear: whether the place that is asked for lies clearly to one side of every plane: of a sound straight ahead
            nobody hears whether it is left or right. Such places have a direction accuracy of their own beside that of
            all; None: not known, and not measured.

    Raises:
        DataError: different lengths, or none at all.
        ConfigError: an unknown question type.
    """

    question_type: Sequence[str]
    truth: Sequence[str]
    answer: Sequence[str]
    names: Sequence[str]
    group: Sequence[Any] | None = None
    is_clear: Sequence[bool] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.question_type), len(self.truth), len(self.answer)}
        lengths |= {len(values) for values in (self.group, self.is_clear) if values is not None}
        if len(lengths) != 1 or lengths == {0}:
            raise DataError(f"types, truths, answers and groups need one entry a question, and one question; {lengths}")
        for name in set(self.question_type):
            question_type(name)

    def of_types(self, names: Sequence[str]) -> "AnsweredQuestions | None":
        """Those of some types; None if there are none."""
        return self._at([index for index, name in enumerate(self.question_type) if name in names])

    def clear_ones(self) -> "AnsweredQuestions | None":
        """Those about clear places; None if there are none, or none is known to be one."""
        return self._at([index for index, clear in enumerate(self.is_clear or ()) if clear])

    def _at(self, kept: Sequence[int]) -> "AnsweredQuestions | None":
        if not kept:
            return None

        def chosen(values: Sequence[Any]) -> list[Any]:
            return [values[index] for index in kept]

        groups = range(len(self.truth)) if self.group is None else self.group
        clear = None if self.is_clear is None else chosen(self.is_clear)
        return AnsweredQuestions(
            chosen(self.question_type), chosen(self.truth), chosen(self.answer), self.names, chosen(groups), clear
        )


def question_measures(
    answers: AnsweredQuestions, embed: TextEmbedder | None = None, resamples: int = 1000, seed: int = 0
) -> list[Measure]:
    """The measures of all types that occur, in the order A to E.

    Args:
        answers: what was asked and answered.
        embed: sentences to `(sentences, dim)`, as `SentenceEmbedder` does; None leaves out average precision and
            cosine of A and C.
        resamples: draws of each interval.
        seed: of intervals and chance.

    Raises:
        DataError: a true answer that is none in the grammar, or that names a sound which is not among the names.
    """
    measures = []
    for kind in QUESTION_TYPES.values():
        items = answers.of_types([kind.name])
        if items is None:
            continue
        key, title = _PREFIX.get(kind.name, (kind.letter, f"{kind.letter}, {_LETTERS.get(kind.letter, '')}"))
        if kind.answer == "classes" and embed is not None and kind.in_table:
            measures += _embedded_measures(key, title, items, embed, resamples, seed)
        rules = {
            "classes": name_rules(answers.names),
            "place": (DIRECTION, *AXIS_RULES, DISTANCE),
            "yes_no": (YES_NO,),
            "side": (SIDE,),
            "distance": (DISTANCE,),
        }[kind.answer]
        if kind.answer == "classes":
            _require_known(items)
        ruled = {rule: apply_rule(rule, items.answer, items.truth, seed) for rule in rules}
        measures += [_measure(key, title, rule, result, items, resamples, seed) for rule, result in ruled.items()]
        clear = items.clear_ones() if kind.answer == "place" else None
        if clear is not None:
            result = apply_rule(DIRECTION, clear.answer, clear.truth, seed)
            measures.append(
                _measure(f"{key}_clear", f"{title} clearly aside", DIRECTION, result, clear, resamples, seed)
            )
        unreadable = np.any([result.unreadable for result in ruled.values()], axis=0)
        shared = kind.name in ("MIXUP_NONBINARY_DIRECTION", "MIXUP_NONBINARY_DISTANCE")  # two types with one prefix
        measures.append(_unparsable(f"{key}_{kind.answer}" if shared else key, title, unreadable, items))
    return measures + _mean_of_comparisons(answers, resamples, seed)


def _measure(
    key: str,
    title: str,
    rule: AnswerRule,
    result: RuledAnswers,
    items: AnsweredQuestions,
    resamples: int,
    seed: int,
) -> Measure:
    return Measure(
        key=f"{key}_{rule.key}",
        name=f"{title}: {rule.name}",
        value=float(result.scores.mean()),
        better=rule.better,
        items=len(result.scores),
        interval=bootstrap_interval(lambda drawn: float(result.scores[drawn].mean()), _groups(items), resamples, seed),
        beside={"chance": result.drawn, "best constant": result.constant},
        details={"unparsable": float(result.unreadable.mean()), "own answers shuffled": result.own_shuffled},
    )


def _unparsable(key: str, title: str, unreadable: NDArray[np.bool_], items: AnsweredQuestions) -> Measure:
    """Share of the answers of which something that was asked for cannot be read."""
    examples = [answer[:100] for answer, failed in zip(items.answer, unreadable, strict=True) if failed][:5]
    return Measure(
        key=f"{key}_unparsable",
        name=f"{title}: unparsable",
        value=float(unreadable.mean()),
        better="lower",
        items=len(unreadable),
        details={"examples": examples},
    )


def _mean_of_comparisons(answers: AnsweredQuestions, resamples: int, seed: int) -> list[Measure]:
    """E as the papers' tables have it: the mean of its two kinds of yes and no."""
    kinds = [answers.of_types([kind.name]) for kind in QUESTION_TYPES.values() if kind.answer == "yes_no"]
    if any(items is None for items in kinds):
        return []
    found: Mapping[int, AnsweredQuestions] = {number: items for number, items in enumerate(kinds) if items is not None}
    ruled = {number: apply_rule(YES_NO, items.answer, items.truth, seed) for number, items in found.items()}
    which = np.concatenate([np.full(len(result.scores), number) for number, result in ruled.items()])
    scores = np.concatenate([result.scores for result in ruled.values()])
    groups = [group for items in found.values() for group in _groups(items)]

    def mean_of_kinds(drawn: NDArray[np.int64]) -> float:
        return float(np.mean([scores[drawn][which[drawn] == n].mean() if n in which[drawn] else np.nan for n in ruled]))

    return [
        Measure(
            key="E_accuracy",
            name="E, direction and distance: yes or no, mean of the two",
            value=mean_of_kinds(np.arange(len(scores))),
            items=len(scores),
            interval=bootstrap_interval(mean_of_kinds, np.array(groups), resamples, seed),
            beside={
                "chance": float(np.mean([result.drawn for result in ruled.values()])),
                "best constant": float(np.mean([result.constant for result in ruled.values()])),
            },
        )
    ]


def _embedded_measures(
    key: str, title: str, items: AnsweredQuestions, embed: TextEmbedder, resamples: int, seed: int
) -> list[Measure]:
    """Average precision over the class names, and the cosine to the true answer."""
    _require_known(items)
    names = list(items.names)
    said, true, classes = (np.asarray(embed(texts), np.float64) for texts in (items.answer, items.truth, names))
    scores = np.round(cosine_similarity(said, classes), _DIGITS)
    column = {name: index for index, name in enumerate(names)}
    events = np.zeros(scores.shape, dtype=np.int64)
    for row, truth in enumerate(items.truth):
        events[row, [column[name] for name in read_names(truth, names).names]] = 1
    groups = _groups(items)
    result = mean_average_precision(scores, events)
    ranking = EventRanking(scores, events, groups)

    def resampled(drawn: NDArray[np.int64]) -> float:
        counts = np.bincount(drawn, minlength=len(scores))
        return float(np.nanmean(ranking.resampled_average_precisions(counts)))

    unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (said, true)]
    cosine = (unit[0] * unit[1]).sum(axis=1)
    different = unit[1][np.unique(np.array(list(items.truth), dtype=object), return_index=True)[1]]
    return [
        Measure(
            key=f"{key}_mean_average_precision",
            name=f"{title}: macro average precision over {result.scored} classes",
            value=result.value,
            items=len(scores),
            interval=bootstrap_interval(resampled, groups, resamples, seed),
            beside={"chance": result.chance, "best constant": result.prevalence},
            details={
                "classes": result.scored,
                "without a positive": result.without_positive,
                "per class": {
                    name: float(value) for name, value in zip(names, result.per_class, strict=True) if value == value
                },
            },
        ),
        Measure(
            key=f"{key}_mean_cosine",
            name=f"{title}: mean cosine of answer and truth",
            value=float(cosine.mean()),
            items=len(cosine),
            interval=bootstrap_interval(lambda drawn: float(cosine[drawn].mean()), groups, resamples, seed),
            beside={
                "chance": float(unit[1].mean(axis=0) @ unit[1].mean(axis=0)),
                "best constant": float((different @ unit[1].T).mean(axis=1).max()),
            },
        ),
    ]


def _require_known(items: AnsweredQuestions) -> None:
    for truth in set(items.truth):
        if unknown := read_names(truth, items.names).unknown:
            raise DataError(
                f"the true answer {truth[:80]!r} names {unknown[0]!r}, which is not among the {len(items.names)} names "
                "of sounds: give the names of the data set that the questions are of"
            )


def _groups(items: AnsweredQuestions) -> NDArray[Any]:
    return np.asarray(items.group if items.group is not None else np.arange(len(items.truth)))
