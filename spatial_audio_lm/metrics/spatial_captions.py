"""Is what a caption says of a place right? Sound, direction, elevation, distance, size, reverberation: each by words.

Scores of overlap (BLEU, CIDEr-D) hardly notice a "left" for a "right". Here a caption is read as a listener would act
on it (`language.parsing`, `language.caption_sounds`): of every fact that has a word it is counted whether that word is
said, another one, or none; and of every fact that has none whether one is invented. Whoever says both ("left or right")
says another. ELSA's table leaves gaps between its words (a distance of 1.5 m is neither near nor far): there nothing
can be right, and a word counts as invented.
"""

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.errors import ConfigError, DataError
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.caption_sounds import read_caption_sounds
from spatial_audio_lm.language.parsing import parse_attributes, words_said
from spatial_audio_lm.language.sound_names import ANSWER_NAMES
from spatial_audio_lm.metrics.intervals import bootstrap_interval
from spatial_audio_lm.metrics.report import Measure

FACTS = ("sound", *ATTRIBUTE_WORDS)
TITLES = {"size": "room size", "reverberation": "room reverberation"}  # the others are called as they are
CONTRADICTED = "contradicted"
"""The value of a fact of which two words are said that exclude one another: it is never right."""
_SHUFFLES = 20


@dataclass(frozen=True)
class CaptionFacts:
    """What a caption says, or what is true of a scene.

    Attributes:
        sounds: names of sounds (`ANSWER_NAMES`, or those that were given); a scene of one sound has one.
        attributes: the words of place and room.
        contradicted: names of attributes of which a caption says two words, so that none is believed.

    Raises:
        DataError: the sounds are no set of texts, or the attributes are no `SpatialAttributes`.
    """

    sounds: frozenset[str] = frozenset()
    attributes: SpatialAttributes = field(default_factory=SpatialAttributes)
    contradicted: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not isinstance(self.sounds, set | frozenset) or not all(isinstance(name, str) for name in self.sounds):
            raise DataError(
                f"sounds is {self.sounds!r:.60} ({type(self.sounds).__name__}); expected a set of names, such as "
                "frozenset(['siren'])"
            )
        if not isinstance(self.attributes, SpatialAttributes):
            raise DataError(f"attributes are a {type(self.attributes).__name__}; expected SpatialAttributes")
        object.__setattr__(self, "sounds", frozenset(self.sounds))

    def value(self, fact: str) -> Any:
        """What is said of one of `FACTS`; None if nothing is, `CONTRADICTED` if two words are."""
        if fact == "sound":
            return self.sounds or None
        return CONTRADICTED if fact in self.contradicted else getattr(self.attributes, fact)


@dataclass(frozen=True)
class FactCounts:
    """How often captions are right about one fact.

    Attributes:
        known: scenes of which it has a word.
        right: of those, captions that say it, and no other.
        wrong: that say another, or two.
        missing: that say none.
        unknown: scenes of which it has no word.
        invented: of those, captions that say one.
    """

    known: int
    right: int
    wrong: int
    missing: int
    unknown: int
    invented: int

    @property
    def said(self) -> int:
        """Captions that say something about it."""
        return self.right + self.wrong + self.invented


def read_caption(text: str, names: Collection[str] | None = None) -> CaptionFacts:
    """What a caption says.

    Args:
        text: English.
        names: of sounds that may be named; None: those of the vocabulary.

    Raises:
        TextError: it is no text.
        ConfigError: the names are one text.
    """
    if isinstance(names, str):  # its letters would be looked for
        raise ConfigError(f"names is {names!r}; expected a list of names of sounds, such as [{names!r}]")
    attributes = parse_attributes(text)
    sounds = read_caption_sounds(text, ANSWER_NAMES.values() if names is None else names)
    contradicted = frozenset(name for name, words in words_said(text).items() if len(words) > 1)
    return CaptionFacts(frozenset(sounds), attributes, contradicted)


def fact_counts(said: Sequence[CaptionFacts], true: Sequence[CaptionFacts]) -> dict[str, FactCounts]:
    """Counts of every fact.

    Raises:
        DataError: no captions, other numbers of them than of scenes, or what is no `CaptionFacts`.
    """
    _require_pairs(said, true)
    return {fact: _counts(*_columns(said, true, fact)) for fact in FACTS}


def spatial_caption_measures(
    captions: Sequence[str],
    true: Sequence[CaptionFacts],
    names: Collection[str] | None = None,
    groups: Sequence[Any] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Measure]:
    """How often captions are right about each fact, with intervals, beside the same captions in random order.

    Args:
        captions: of a model, one a scene.
        true: what is true of each scene.
        names: see `read_caption`.
        groups: label of what is not independent (dry clip, room); None: every scene by itself.
        resamples: draws of each interval.
        seed: of intervals and random orders.

    Returns:
        For every fact that some scene has a word for, the share that is right, and where some scene has none, the share
        that is invented; the mean of the five spatial shares; and the share of captions that say all that is true and
        nothing else. A fact of a kind that does not occur is left out.

    Raises:
        DataError: no captions, other numbers of them or of groups than of scenes, truths that are no `CaptionFacts`,
            contradict themselves, or name a sound that is not among the names.
        TextError: a caption is no text.
    """
    _require_pairs(captions, true)
    said = [read_caption(text, names) for text in captions]
    _require_truths(true, ANSWER_NAMES.values() if names is None else names)
    if groups is not None and (isinstance(groups, str) or len(groups) != len(true)):
        raise DataError(f"{len(groups)} groups of {len(true)} scenes; expected a list with the group of each")
    labels = np.arange(len(true)) if groups is None else np.asarray(groups)
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(true)) for _ in range(_SHUFFLES)]
    measures, shares = [], {}
    for fact in FACTS:
        words, truth = _columns(said, true, fact)
        known = np.array([value is not None for value in truth])
        counts, title = _counts(words, truth), TITLES.get(fact, fact)
        details = {**asdict(counts), "said": counts.said}
        if known.any():
            right = _right(words, truth)
            shares[fact] = right, known
            shuffled = [_right([words[i] for i in order], truth)[known].mean() for order in orders]
            measures.append(
                Measure(
                    key=f"{fact}_right",
                    name=f"{title}: right word, where there is one",
                    value=float(right[known].mean()),
                    items=int(known.sum()),
                    interval=bootstrap_interval(_share_of(right, known), labels, resamples, seed),
                    beside={"own captions shuffled": float(np.mean(shuffled))},
                    details=details,
                )
            )
        if not known.all():
            invented = np.array([value is not None for value in words])
            measures.append(
                Measure(
                    key=f"{fact}_invented",
                    name=f"{title}: a word where there is none",
                    value=float(invented[~known].mean()),
                    better="lower",
                    items=int((~known).sum()),
                    interval=bootstrap_interval(_share_of(invented, ~known), labels, resamples, seed),
                    details=details,
                )
            )
    return [*measures, *_together(said, true, shares, labels, orders, resamples, seed)]


def _together(
    said: Sequence[CaptionFacts],
    true: Sequence[CaptionFacts],
    shares: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    labels: NDArray[Any],
    orders: Sequence[NDArray[np.int64]],
    resamples: int,
    seed: int,
) -> list[Measure]:
    """The mean over the spatial facts, and captions that are right as a whole."""
    spatial = [shares[name] for name in ATTRIBUTE_WORDS if name in shares]
    measures = []
    if spatial:

        def mean_share(drawn: NDArray[np.int64]) -> float:
            return float(np.mean([_share_of(right, known)(drawn) for right, known in spatial]))

        measures.append(
            Measure(
                key="spatial_right",
                name=f"mean of the {len(spatial)} spatial ones: right word",
                value=mean_share(np.arange(len(true))),
                items=len(true),
                interval=bootstrap_interval(mean_share, labels, resamples, seed),
            )
        )
    whole = np.array([words == truth for words, truth in zip(said, true, strict=True)])
    shuffled = [np.mean([said[i] == truth for i, truth in zip(order, true, strict=True)]) for order in orders]
    measures.append(
        Measure(
            key="all_right",
            name="all that is true is said, and nothing else",
            value=float(whole.mean()),
            items=len(whole),
            interval=bootstrap_interval(lambda drawn: float(whole[drawn].mean()), labels, resamples, seed),
            beside={"own captions shuffled": float(np.mean(shuffled))},
        )
    )
    return measures


def _require_pairs(captions: Sequence[Any], true: Sequence[CaptionFacts]) -> None:
    for name, given in (("captions", captions), ("true", true)):
        if isinstance(given, str | dict | set | frozenset) or not hasattr(given, "__len__"):
            raise DataError(f"{name} is a {type(given).__name__}; expected a list with one for each scene")
    if not len(true) or len(captions) != len(true):
        raise DataError(f"{len(captions)} captions of {len(true)} scenes; expected as many, and at least one")
    for number, truth in enumerate(true):
        if not isinstance(truth, CaptionFacts):
            raise DataError(
                f"what is true of scene {number} is a {type(truth).__name__}; expected CaptionFacts, which "
                "read_caption makes of a sentence"
            )


def _require_truths(true: Sequence[CaptionFacts], names: Collection[str]) -> None:
    """What is true can be said: a sound that no caption can name would count every caption as wrong."""
    known = list(names)
    for number, truth in enumerate(true):
        if truth.contradicted:
            raise DataError(
                f"what is true of scene {number} contradicts itself in {', '.join(sorted(truth.contradicted))}"
            )
        if unknown := sorted(truth.sounds.difference(known)):
            near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.0)[0]
            raise DataError(
                f"a sound of scene {number} is {unknown[0]!r}, which is not among the {len(known)} names: did you mean "
                f"{near!r}? Sounds of another list are given with their names"
            )


def _columns(said: Sequence[CaptionFacts], true: Sequence[CaptionFacts], fact: str) -> tuple[list[Any], list[Any]]:
    return [facts.value(fact) for facts in said], [facts.value(fact) for facts in true]


def _right(words: Sequence[Any], truth: Sequence[Any]) -> NDArray[np.bool_]:
    return np.array([t is not None and w == t for w, t in zip(words, truth, strict=True)])


def _counts(words: Sequence[Any], truth: Sequence[Any]) -> FactCounts:
    pairs = list(zip(words, truth, strict=True))
    known = [word for word, true in pairs if true is not None]
    right = int(_right(words, truth).sum())
    missing = sum(word is None for word in known)
    return FactCounts(
        known=len(known),
        right=right,
        wrong=len(known) - right - missing,
        missing=missing,
        unknown=len(pairs) - len(known),
        invented=sum(word is not None for word, true in pairs if true is None),
    )


def _share_of(values: NDArray[np.bool_], among: NDArray[np.bool_]) -> Callable[[NDArray[np.int64]], float]:
    """A statistic for intervals: the share among those that count; NaN if none was drawn."""

    def share(drawn: NDArray[np.int64]) -> float:
        counted = values[drawn][among[drawn]]
        return float(counted.mean()) if len(counted) else float("nan")

    return share
