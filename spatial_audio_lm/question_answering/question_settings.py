"""How questions about scenes are drawn."""

from dataclasses import dataclass, field

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.language.question_types import QUESTION_TYPES, question_type
from spatial_audio_lm.language.question_wordings import WORDINGS
from spatial_audio_lm.question_answering.scene_facts import Margins

# Of the published training files (a third-party count): 139,392 each of A and B, 118,000 of C and D, 357,528 of E,
# whose five kinds are taken as equally frequent.
PUBLISHED_WEIGHTS: dict[str, float] = {
    "CLASSIFICATION": 1.39,
    "DOA": 1.39,
    "MIXUP_SINGLE_CLASSIFICATION": 1.18,
    "MIXUP_SINGLE_DOA": 1.18,
    **dict.fromkeys((name for name, kind in QUESTION_TYPES.items() if kind.compares), 0.715),
}


@dataclass(frozen=True)
class QuestionSettings:
    """How questions are drawn.

    Args:
        weights: how often each question type is drawn among those that a scene allows; one that is missing is not.
        margins: what is too close to be compared.
        forms: "train", or "heldout" for wordings that training never shows.

    Raises:
        ConfigError: an unknown type, a weight below 0, no weight above, or unknown forms.
    """

    weights: dict[str, float] = field(default_factory=lambda: dict(PUBLISHED_WEIGHTS))
    margins: Margins = field(default_factory=Margins)
    forms: str = "train"

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            question_type(name)
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"the weight of {name} is {weight}; expected a finite number of at least 0")
        if not any(self.weights.values()):
            raise ConfigError("every question type has the weight 0: there is nothing to ask")
        if self.forms not in WORDINGS:
            raise ConfigError(f"forms is {self.forms!r}; expected one of {', '.join(WORDINGS)}")
