"""Zero-shot classification: the class of a clip is the one whose sentence lies nearest.

Plain accuracy flatters where one word is common, so the mean recall over the words (balanced accuracy) comes first, and
for two words the area under the ROC curve beside it: the threshold between two sentences is arbitrary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

from spatial_audio_lm.errors import DataError


@dataclass(frozen=True)
class ZeroShotScores:
    """Scores over the clips that have a word.

    Attributes:
        balanced_accuracy: mean recall over the words that occur.
        accuracy: share of clips whose nearest sentence is the right one.
        auc: area under the ROC curve of the difference of the two similarities; None unless there are two words and
            both occur.
        chance: balanced accuracy of guessing, one over the number of words.
        recalls: recall of each word that occurs.
        counts: clips of each word, zeros included.
        confusion: `(true word, predicted word)` counts, in the order of `words`.
        words: the candidates.
        dropped: clips without a word, not scored.
        kept: indices of the clips that were scored, `(scored,)`.
        true: index of the true word of each scored clip, `(scored,)`.
        predicted: index of the chosen word of each scored clip, `(scored,)`.
    """

    balanced_accuracy: float
    accuracy: float
    auc: float | None
    chance: float
    recalls: dict[str, float]
    counts: dict[str, int]
    confusion: NDArray[np.int64]
    words: tuple[str, ...]
    dropped: int
    kept: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]


def cosine_similarity(queries: ArrayLike, items: ArrayLike) -> NDArray[np.float64]:
    """Cosine of every pair, `(queries, items)`.

    Args:
        queries: `(queries, dim)`, any length.
        items: `(items, dim)`, any length.

    Raises:
        DataError: dimensions differ, or a vector is zero, NaN or infinite.
    """
    left, right = np.asarray(queries, dtype=np.float64), np.asarray(items, dtype=np.float64)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise DataError(f"embeddings have shapes {left.shape} and {right.shape}; expected (n, dim) and (m, dim)")
    left_norm, right_norm = np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1)
    for norm in (left_norm, right_norm):
        if not np.isfinite(norm).all() or (norm == 0).any():
            raise DataError("an embedding is zero, NaN or infinite; check the model's input")
    return (left / left_norm[:, None]) @ (right / right_norm[:, None]).T


def balanced_accuracy(true: ArrayLike, predicted: ArrayLike, num_words: int) -> float:
    """Mean recall over the words that occur in `true`; NaN when there is nothing.

    Args:
        true: `(items,)` word indices.
        predicted: `(items,)` word indices.
        num_words: number of candidate words.
    """
    truth, answer = np.asarray(true, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    counts = np.bincount(truth, minlength=num_words)
    right = np.bincount(truth[truth == answer], minlength=num_words)
    return float((right[counts > 0] / counts[counts > 0]).mean()) if len(truth) else float("nan")


def zero_shot_scores(similarity: ArrayLike, labels: Sequence[str | None], words: Sequence[str]) -> ZeroShotScores:
    """Scores of choosing, for each clip, the word with the highest similarity.

    Args:
        similarity: `(clips, words)`, e.g. cosines of clip and sentence embeddings.
        labels: the true word of each clip, None where no word applies.
        words: the candidates, in the order of the columns.

    Raises:
        DataError: shapes differ, a label is not among the words, a word occurs twice, NaN, or no clip has a word.
    """
    matrix, candidates = np.asarray(similarity, dtype=np.float64), tuple(words)
    if matrix.shape != (len(labels), len(candidates)):
        raise DataError(
            f"similarity has shape {matrix.shape}; expected ({len(labels)} labels, {len(candidates)} words)"
        )
    if len(set(candidates)) != len(candidates):
        raise DataError(f"a word occurs twice among {candidates}")
    if unknown := sorted({label for label in labels if label is not None} - set(candidates)):
        raise DataError(f"labels {unknown} are not among the words {candidates}")
    if not np.isfinite(matrix).all():
        raise DataError("similarity holds NaN or infinite values; check the embeddings")
    kept = np.array([label is not None for label in labels], dtype=bool)
    if not kept.any():
        raise DataError(f"no clip has one of the words {candidates}; nothing to score")
    true = np.array([candidates.index(label) for label in labels if label is not None], dtype=np.int64)
    scores = matrix[kept]
    predicted = scores.argmax(axis=1)
    confusion = np.zeros((len(candidates), len(candidates)), dtype=np.int64)
    np.add.at(confusion, (true, predicted), 1)
    counts = confusion.sum(axis=1)
    auc = None
    if len(candidates) == 2 and (counts > 0).all():
        auc = float(roc_auc_score(true == 1, scores[:, 1] - scores[:, 0]))
    return ZeroShotScores(
        balanced_accuracy=balanced_accuracy(true, predicted, len(candidates)),
        accuracy=float((true == predicted).mean()),
        auc=auc,
        chance=1.0 / len(candidates),
        recalls={
            word: float(confusion[index, index] / counts[index])
            for index, word in enumerate(candidates)
            if counts[index]
        },
        counts={word: int(counts[index]) for index, word in enumerate(candidates)},
        confusion=confusion,
        words=candidates,
        dropped=int((~kept).sum()),
        kept=np.flatnonzero(kept),
        true=true,
        predicted=predicted,
    )
