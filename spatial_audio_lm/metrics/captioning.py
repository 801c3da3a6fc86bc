"""Captions against references, by the scores of the DCASE challenge: BLEU, ROUGE-L, CIDEr-D, and those that need more.

aac-metrics computes them (extra `eval`), with our own tokenizer in place of its Java one (`caption_tokens.py`). METEOR,
SPICE, SPIDEr and FENSE need parts that pip does not install (`aac-metrics-download` fetches them): Java programs, and
models. They are offered where these are there; `unavailable_scores` says what is missing.

BLEU is one number of a whole set, CIDEr-D weighs words by their rarity in the references of that set: neither can be
compared between sets, and of a single caption CIDEr-D does not exist.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.errors import ConfigError, DataError, MissingExtraError, TextError
from spatial_audio_lm.metrics.caption_tokens import caption_tokens
from spatial_audio_lm.metrics.intervals import bootstrap_interval
from spatial_audio_lm.metrics.report import Measure

SCORES = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d")
NAMES = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider_d": "CIDEr-D",
    "meteor": "METEOR",
    "spice": "SPICE",
    "spider": "SPIDEr",
    "fense": "FENSE",
}
_CORPUS_ONLY = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")  # not the mean of what single captions have
# Below aac-metrics' cache folder, and on the Hub.
_METEOR_JAR = "aac-metrics/meteor/meteor-1.5.jar"
_SPICE_JAR = "aac-metrics/spice/spice-1.0.jar"
_FLUENCY_MODEL = "echecker_clotho_audiocaps_base.ckpt"
_SENTENCE_MODEL = "sentence-transformers/paraphrase-TinyBERT-L6-v2"


@dataclass(frozen=True)
class CaptionScore:
    """One score of a set of captions.

    Attributes:
        name: of `NAMES`.
        value: of the whole set.
        of_caption: of each caption, `(captions,)`; None where a score has no such parts.
    """

    name: str
    value: float
    of_caption: NDArray[np.float64] | None = field(default=None, compare=False)


def unavailable_scores() -> dict[str, str]:
    """Scores that cannot be computed here, each with what is missing.

    Raises:
        MissingExtraError: aac-metrics is not installed.
    """
    _, places = _aac_metrics()
    cache, java = Path(places.get_default_cache_path()), places.get_default_java_path()
    missing: dict[str, list[str]] = {name: [] for name in NAMES if name not in SCORES}
    for name, jar in (("meteor", _METEOR_JAR), ("spice", _SPICE_JAR)):
        if shutil.which(java) is None:
            missing[name].append(f"Java ({java})")
        if not (cache / jar).is_file():
            missing[name].append(str(cache / jar))
    missing["spider"] = missing["spice"]
    missing["fense"] = _missing_models()
    return {name: f"{', '.join(parts)}: run aac-metrics-download" for name, parts in missing.items() if parts}


def caption_scores(
    captions: Sequence[str], references: Sequence[Sequence[str]], scores: Sequence[str] = SCORES
) -> dict[str, CaptionScore]:
    """Scores of captions against several references each.

    Args:
        captions: of a model.
        references: one or more for each of them.
        scores: of `NAMES`.

    Raises:
        MissingExtraError: aac-metrics is not installed.
        ConfigError: an unknown score, or one whose parts are not here.
        DataError: other numbers of captions than of references, a caption without one, or a single caption.
        TextError: a caption or a reference that is no text, or a reference without a word.
    """
    if isinstance(scores, str):
        raise ConfigError(f"scores is {scores!r}; expected a list of names, such as [{scores!r}]")
    if unknown := [name for name in scores if name not in NAMES]:
        raise ConfigError(f"no score is called {unknown[0]!r}; expected some of {', '.join(NAMES)}")
    if len(captions) != len(references) or len(captions) < 2:
        raise DataError(
            f"{len(captions)} captions and {len(references)} sets of references; expected as many, and at least two"
        )
    for number, several in enumerate(references):
        if isinstance(several, str) or not several:
            raise DataError(f"the references of caption {number} are {several!r}; expected a list of one or more")
    # Joined again: the scores that call Java take text, and all of them part it at spaces.
    candidates = [" ".join(caption_tokens(text)) for text in captions]
    true = [[" ".join(caption_tokens(text)) for text in several] for several in references]
    for number, several in enumerate(true):
        if not all(several):
            raise TextError(f"a reference of caption {number} has no word: leave it out")
    functions, _ = _aac_metrics()
    missing = unavailable_scores() if set(scores) - set(SCORES) else {}
    if absent := [name for name in scores if name in missing]:
        raise ConfigError(f"{NAMES[absent[0]]} cannot be computed here: it lacks {missing[absent[0]]}")
    found = {}
    for name in scores:
        whole, parts = getattr(functions, name)(candidates, true)
        single = None if name in _CORPUS_ONLY else parts[name].double().numpy()
        found[name] = CaptionScore(name, float(whole[name]), single)
    return found


def caption_measures(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    scores: Sequence[str] = SCORES,
    groups: Sequence[Any] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Measure]:
    """The scores as rows of a table, with intervals where a score is a mean over the captions.

    Args:
        captions: of a model.
        references: one or more for each of them.
        scores: see `caption_scores`, which also says what is raised.
        groups: label of what is not independent (dry clip, room); None: every caption by itself.
        resamples: draws of each interval.
        seed: of the intervals.
    """
    labels = np.arange(len(captions)) if groups is None else np.asarray(groups)
    measures = []
    for name, score in caption_scores(captions, references, scores).items():
        parts = score.of_caption
        interval = None if parts is None else bootstrap_interval(_mean_of(parts), labels, resamples, seed)
        measures.append(Measure(key=name, name=NAMES[name], value=score.value, items=len(captions), interval=interval))
    return measures


def _mean_of(parts: NDArray[np.float64]) -> Callable[[NDArray[np.int64]], float]:
    """A statistic for intervals."""
    return lambda drawn: float(parts[drawn].mean())


def _aac_metrics() -> tuple[Any, Any]:
    """The functions of aac-metrics, and where it looks for its Java parts.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from aac_metrics import functional
        from aac_metrics.utils import globals as places
    except ImportError as error:
        raise MissingExtraError("scoring captions", "eval", str(error)) from error
    return functional, places


def _missing_models() -> list[str]:
    """What FENSE reads and is not on this machine."""
    import torch
    from huggingface_hub import try_to_load_from_cache

    missing = []
    if not isinstance(try_to_load_from_cache(_SENTENCE_MODEL, "config.json"), str):
        missing.append(f"the model {_SENTENCE_MODEL}")
    home = os.environ.get("FENSE_DATA") or Path(torch.hub.get_dir()) / "fense_data"
    fluency = Path(home).expanduser() / _FLUENCY_MODEL
    if not fluency.is_file():
        missing.append(str(fluency))
    return missing
