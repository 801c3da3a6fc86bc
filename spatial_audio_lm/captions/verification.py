"""Whether a rewritten caption is kept: it says what is given, and nothing else.

    verifier = Verifier()
    verdict = verifier.check("Rain falls softly on the left of a small room.", facts)
    verdict.accepted, verdict.reasons

A language model that puts "<sound> is coming from the <place> of a <room>" into a fluent sentence loses facts and adds
some: a place left out, "below" turned into a basement, a Carrera turned into a cat (ELSA, arXiv 2409.11369, appendix
A.4, which leaves this as future work). The verifier reads the sentence with word lists alone, or with the likeness of
sentences beside them. It is strict: what it cannot account for is rejected, since another attempt costs little, and a
false caption stays in the data for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spatial_audio_lm.captions.caption_form import form_rejections
from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.rejections import REASONS, Rejection
from spatial_audio_lm.captions.sound_content import content_rejections, own_denials_blanked
from spatial_audio_lm.captions.spatial_claims import claim_rejections
from spatial_audio_lm.errors import ConfigError, DataError, TextError
from spatial_audio_lm.language.place_cues import find_cues
from spatial_audio_lm.language.word_forms import words

__all__ = ["REASONS", "Rejection", "Verdict", "Verifier", "VerifierSettings", "plain_statement"]

Similarity = Callable[[list[str], list[str]], list[float]]


@dataclass(frozen=True)
class VerifierSettings:
    """How strict the verifier is.

    Attributes:
        extra_words: a caption may have this many words more than twice those of the sound caption.
        min_recall: share of the words that name something in the sound caption that has to be kept.
        min_part_recall: the same for each part of it ("while birds chirp").
        added_manner: words of manner ("softly") that may be added.
        min_similarity: likeness to the plain statement of the facts, where a similarity is given.

    Raises:
        ConfigError: a share outside [0, 1], or a negative number of words.
    """

    extra_words: int = 30
    min_recall: float = 0.75
    min_part_recall: float = 0.6
    added_manner: int = 1
    min_similarity: float = 0.55

    def __post_init__(self) -> None:
        for name in ("min_recall", "min_part_recall", "min_similarity"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected a share from 0 to 1")
        for name in ("extra_words", "added_manner"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected a number of words, at least 0")


@dataclass(frozen=True)
class Verdict:
    """What the verifier found: whether the caption is kept, and all reasons against it."""

    accepted: bool
    reasons: tuple[Rejection, ...]


def plain_statement(facts: CaptionFacts) -> str:
    """The facts in the form of ELSA's prompt: "rain is coming from the near left of a small room"."""
    said = facts.attributes
    place = " ".join(filter(None, (said.distance, said.elevation, said.direction)))
    room = " ".join(filter(None, (said.size, said.reverberation, "room")))
    origin = f"the {place} of a {room}" if place else f"a {room}"
    return f"{facts.caption.strip().rstrip('.')} is coming from {origin}"


class Verifier:
    """Checks rewritten captions against their facts.

    Args:
        settings: how strict to be.
        similarity: gives for two lists of sentences the likeness of each pair, 1 for the same meaning: the product of
            sentence vectors, for example those of `metrics.sentence_embeddings`. None leaves that check out.
    """

    def __init__(self, settings: VerifierSettings | None = None, similarity: Similarity | None = None):
        self.settings, self.similarity = settings or VerifierSettings(), similarity

    def check(self, text: str, facts: CaptionFacts) -> Verdict:
        """Check one caption.

        Raises:
            TextError: the caption is no text.
        """
        return self.check_all([text], [facts])[0]

    def check_all(self, texts: Sequence[str], facts: Sequence[CaptionFacts]) -> list[Verdict]:
        """Check captions, each against its own facts; the similarity is asked once for all that pass the other checks.

        Raises:
            DataError: there are not as many facts as texts, or the similarity answers with another number of values.
            TextError: a caption is no text.
        """
        if len(texts) != len(facts):
            raise DataError(f"{len(texts)} texts and {len(facts)} facts; expected one for each")
        found = [self._lexical(text, fact) for text, fact in zip(texts, facts, strict=True)]
        passed = [number for number, rejections in enumerate(found) if not rejections]
        if self.similarity and passed:
            alike = self.similarity([texts[k] for k in passed], [plain_statement(facts[k]) for k in passed])
            if len(alike) != len(passed):
                raise DataError(f"the similarity gave {len(alike)} values for {len(passed)} pairs")
            for number, value in zip(passed, alike, strict=True):
                if not value >= self.settings.min_similarity:
                    found[number].append(Rejection("not alike", None, f"likeness {value:.2f} to the facts"))
        return [Verdict(not rejections, tuple(rejections)) for rejections in found]

    def _lexical(self, text: str, facts: CaptionFacts) -> list[Rejection]:
        if not isinstance(text, str):
            raise TextError(f"the caption to check is a {type(text).__name__}; expected a text")
        settings = self.settings
        max_words = 2 * len(words(facts.caption)) + settings.extra_words
        found = form_rejections(text, facts.caption, max_words)
        if any(rejection.reason in ("empty", "too long") for rejection in found):
            return found
        text = own_denials_blanked(text, facts.caption)
        cues = find_cues(text)
        return [
            *found,
            *claim_rejections(text, facts, cues),
            *content_rejections(
                text, facts.caption, cues, settings.min_recall, settings.min_part_recall, settings.added_manner
            ),
        ]
