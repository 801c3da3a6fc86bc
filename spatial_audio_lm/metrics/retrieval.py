"""Retrieval between clips and sentences: recall at k and mean average precision at 10, both ways.

A similarity matrix has clips in rows and captions in columns. Ranks count from 0 and ties count against the model:
embeddings that collapsed to one point score nothing, where an argsort would reward the order of the files.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_audio_lm.errors import DataError

RECALL_AT = (1, 5, 10)
PRECISION_AT = 10


def _matrix(similarity: ArrayLike, captions_per_clip: int = 1) -> NDArray[np.float64]:
    matrix = np.asarray(similarity, dtype=np.float64)
    if captions_per_clip < 1:
        raise DataError(f"captions_per_clip={captions_per_clip}; expected at least 1")
    if matrix.ndim != 2 or len(matrix) == 0 or matrix.shape[1] != captions_per_clip * len(matrix):
        raise DataError(
            f"similarity has shape {matrix.shape}; expected (clips, {captions_per_clip} * clips), "
            "captions of one clip in neighbouring columns"
        )
    if not np.isfinite(matrix).all():
        raise DataError("similarity holds NaN or infinite values; check the embeddings")
    return matrix


def _rank_of(rows: NDArray[np.float64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row the number of other columns that score at least as high as the given one."""
    wanted = rows[np.arange(len(rows)), columns][:, None]
    return (rows >= wanted).sum(axis=1) - 1


def target_ranks(similarity: ArrayLike) -> NDArray[np.int64]:
    """Rank (0 is best) of the matching column of each row, `(queries,)`.

    Args:
        similarity: `(queries, items)`, square; item i is the match of query i.
    """
    matrix = _matrix(similarity)
    return _rank_of(matrix, np.arange(len(matrix)))


def _rank_scores(ranks: NDArray[np.int64], prefix: str) -> dict[str, float]:
    scores = {
        f"{prefix}_mean_rank": float(ranks.mean() + 1),
        f"{prefix}_median_rank": float(np.floor(np.median(ranks)) + 1),
    }
    scores |= {f"{prefix}_R@{k}": float((ranks < k).mean()) for k in RECALL_AT}
    scores[f"{prefix}_mAP@{PRECISION_AT}"] = float(np.where(ranks < PRECISION_AT, 1.0 / (ranks + 1.0), 0.0).mean())
    return scores


def retrieval_scores(similarity: ArrayLike) -> dict[str, float]:
    """Scores of one caption per clip, both ways.

    Args:
        similarity: `(clips, captions)`, square; the diagonal holds the pairs.

    Returns:
        `{audio_to_text,text_to_audio}_{mean_rank,median_rank,R@1,R@5,R@10,mAP@10}`; ranks there count from 1.

    Source:
        LAION-AI/CLAP, training/train.py `get_metrics`.
    """
    matrix = _matrix(similarity)
    return _rank_scores(target_ranks(matrix), "audio_to_text") | _rank_scores(target_ranks(matrix.T), "text_to_audio")


def multi_caption_retrieval_scores(
    similarity: ArrayLike, captions_per_clip: int = 5, precision: Literal["sorted", "laion"] = "sorted"
) -> dict[str, float]:
    """Scores where every clip has several captions (AudioCaps test, Clotho: five).

    Text to audio pools the ranks of all captions. Audio to text takes the best of a clip's captions for recall, and
    for mAP@10 the mean over its captions of the precision at each one found among the first ten.

    Args:
        similarity: `(clips, captions_per_clip * clips)`, the captions of one clip in neighbouring columns.
        captions_per_clip: how many.
        precision: "sorted" is the definition of average precision. "laion" leaves a clip's ranks in the order of its
            captions, as the published evaluation does although its comment says otherwise: the value then depends on
            that order and can exceed 1. Use it only to compare with published numbers, and say so.

    Raises:
        DataError: another shape, NaN, or an unknown `precision`.

    Source:
        LAION-AI/CLAP, training/train.py `evaluate_clotho_audiocaps`.
    """
    if precision not in ("sorted", "laion"):
        raise DataError(f"precision={precision!r}; expected 'sorted' or 'laion'")
    matrix = _matrix(similarity, captions_per_clip)
    clips = np.arange(len(matrix))
    text_ranks = np.stack(
        [_rank_of(matrix[:, nth::captions_per_clip].T, clips) for nth in range(captions_per_clip)], axis=1
    )
    audio_ranks = np.stack(
        [_rank_of(matrix, clips * captions_per_clip + nth) for nth in range(captions_per_clip)], axis=1
    )
    scores = _rank_scores(text_ranks.reshape(-1), "text_to_audio")
    best = audio_ranks.min(axis=1)
    scores |= {f"audio_to_text_R@{k}": float((best < k).mean()) for k in RECALL_AT}

    ordered = np.sort(audio_ranks, axis=1) if precision == "sorted" else audio_ranks
    average = np.empty(len(ordered))
    for clip, ranks in enumerate(ordered):
        found = ranks[ranks < PRECISION_AT]
        # the i-th of a clip's own captions sits at 1-based place rank+1, so i of the first rank+1 answers are right
        average[clip] = ((np.arange(len(found)) + 1) / (found + 1)).sum() / captions_per_clip
    scores[f"audio_to_text_mAP@{PRECISION_AT}"] = float(average.mean())
    return scores


def compatible_recall_at_1(similarity: ArrayLike, compatible: ArrayLike) -> float:
    """Share of sentences whose best clip satisfies everything the sentence states.

    With few classes and few words several clips fit one sentence, and strict R@1 cannot reach 1; this can.

    Args:
        similarity: `(sentences, clips)`.
        compatible: `(sentences, clips)` booleans.
    """
    scores, fits = np.asarray(similarity, dtype=np.float64), np.asarray(compatible, dtype=bool)
    if scores.ndim != 2 or scores.size == 0 or scores.shape != fits.shape:
        raise DataError(f"similarity {scores.shape} and compatible {fits.shape} must be equal (sentences, clips)")
    if not np.isfinite(scores).all():
        raise DataError("similarity holds NaN or infinite values; check the embeddings")
    return float(fits[np.arange(len(scores)), scores.argmax(axis=1)].mean())


def states_compatible(
    stated: Sequence[Sequence[str | None]], facts: Sequence[Sequence[str | None]]
) -> NDArray[np.bool_]:
    """Which clips satisfy everything that a sentence states, `(sentences, clips)`.

    Args:
        stated: for each sentence its words, one place an attribute; None where the sentence says nothing.
        facts: for each clip its words, same places; None where no word applies (a stated word is then not satisfied).
    """
    fits = np.ones((len(stated), len(facts)), dtype=bool)
    if len(stated) == 0 or len(facts) == 0:
        return fits
    if len({len(words) for words in (*stated, *facts)}) != 1:
        raise DataError("sentences and clips must have the same number of attributes; use None where one is absent")
    for place in range(len(stated[0])):
        for row, words in enumerate(stated):
            if words[place] is not None:
                fits[row] &= [clip[place] == words[place] for clip in facts]
    return fits
