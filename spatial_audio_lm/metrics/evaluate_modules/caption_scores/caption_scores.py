"""BLEU, ROUGE-L, CIDEr-D and others of captions, as a module of `evaluate`, loaded by its path.

    >>> import evaluate
    >>> score = evaluate.load("spatial_audio_lm/metrics/evaluate_modules/caption_scores")
    >>> score.compute(predictions=captions, references=several_each)["cider_d"]

The scores are aac-metrics', the words are parted by our own tokenizer (`spatial_audio_lm.metrics.captioning`).
"""

from collections.abc import Sequence

import datasets
import evaluate

from spatial_audio_lm.metrics.captioning import SCORES, caption_scores

_DESCRIPTION = """\
Scores of generated captions against several references each: BLEU-1 to 4, ROUGE-L, CIDEr-D; METEOR, SPICE, SPIDEr and
FENSE where their Java programs and models are installed (aac-metrics-download).
"""
_INPUTS = """\
Args:
    predictions: captions, at least two.
    references: for each a list of one or more reference captions.
    scores: names of the scores; without it those that need nothing but Python.
Returns:
    each score by its name.
"""


class CaptionScores(evaluate.Metric):
    """The scores of `caption_scores`, of the whole set."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(
        self, predictions: list[str], references: list[list[str]], scores: Sequence[str] = SCORES
    ) -> dict[str, float]:
        return {name: score.value for name, score in caption_scores(predictions, references, scores).items()}
