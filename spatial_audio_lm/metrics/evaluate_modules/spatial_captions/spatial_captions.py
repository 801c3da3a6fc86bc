"""Is what captions say of sound, place and room right? As a module of `evaluate`, loaded by its path.

    >>> import evaluate
    >>> score = evaluate.load("spatial_audio_lm/metrics/evaluate_modules/spatial_captions")
    >>> score.compute(predictions=captions, references=truths)["direction_right"]

A reference is what is true of the scene: a sentence that says all of it, which is read as the caption is
(`spatial_audio_lm.metrics.spatial_captions`). The answer has the shares, and of each fact how often it is said, right,
wrong, missing and invented.
"""

from collections.abc import Collection
from typing import Any

import datasets
import evaluate

from spatial_audio_lm.errors import TextError
from spatial_audio_lm.metrics.spatial_captions import fact_counts, read_caption, spatial_caption_measures

_DESCRIPTION = """\
Reads generated captions of spatial recordings and compares what they say (sound, direction, elevation, distance, room
size, reverberation) with what is true: for each fact the share of right words, and how often one is invented.
"""
_INPUTS = """\
Args:
    predictions: captions.
    references: for each a sentence that says all that is true.
    names: of sounds that may be named; None: those of spatial_audio_lm's vocabulary.
Returns:
    <fact>_right and <fact>_invented (shares) for each fact that occurs, spatial_right, all_right, and counts.
"""


class SpatialCaptions(evaluate.Metric):
    """The measures of `spatial_caption_measures`, without intervals."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(
        self, predictions: list[str], references: list[str], names: Collection[str] | None = None
    ) -> dict[str, Any]:
        for number, text in enumerate(references):
            if not text.strip():
                raise TextError(f"reference {number} is empty; expected a sentence that says what is true of the scene")
        true = [read_caption(text, names) for text in references]
        measures = spatial_caption_measures(predictions, true, names, resamples=1)
        counts = fact_counts([read_caption(text, names) for text in predictions], true)
        return {measure.key: measure.value for measure in measures} | {
            "counts": {fact: {**vars(count), "said": count.said} for fact, count in counts.items()}
        }
