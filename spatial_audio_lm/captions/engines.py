"""What continues a prompt: the one interface of all engines, and what they are told.

An engine's answer to a prompt is a function of the prompt, its seed and the sampling, whatever it was asked before: a
job that was killed gives the same captions when it goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from spatial_audio_lm.captions.prompts import Prompt
from spatial_audio_lm.errors import ConfigError

MAX_SEED = 2**31 - 1  # what every engine takes; llama.cpp reads its largest number as "any seed"


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn.

    Attributes:
        temperature: 0 takes the likeliest token; the paper's is 0.9 (ELSA, section 3.2).
        top_p: only tokens are drawn that together have this probability.
        max_tokens: of an answer; a longer one is cut off, and not taken.
    """

    temperature: float = 0.9
    top_p: float = 0.95
    max_tokens: int = 160

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise ConfigError(f"temperature is {self.temperature}; expected 0 to 10")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; expected a probability above 0, at most 1")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens is {self.max_tokens}; expected at least 1")


@dataclass(frozen=True)
class Completion:
    """An answer. `finished` is False where it was cut off at the largest number of tokens."""

    text: str
    finished: bool = True


class Engine(Protocol):
    """A language model, however it is run."""

    @property
    def forces_schema(self) -> bool:
        """Whether an answer to a prompt with a schema can be nothing else than JSON of that schema."""
        ...

    def complete(self, prompts: Sequence[Prompt], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        """Continue each prompt with its own seed, 0 to `MAX_SEED`.

        Raises:
            ConfigError: a prompt and its answer do not fit into the context.
        """
        ...


def require_room(num_tokens: int, max_tokens: int, context: int, what: str = "the prompt") -> None:
    """Refuse what does not fit into a model's context.

    Raises:
        ConfigError: naming the context that is needed.
    """
    if num_tokens + max_tokens > context:
        raise ConfigError(
            f"{what} has {num_tokens} tokens and its answer may have {max_tokens}: a context of "
            f"{num_tokens + max_tokens} is needed, the model has {context}; make context larger or max_tokens smaller"
        )


def until_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """A text up to the first of some endings, and whether there was one."""
    places = [place for place in (text.find(ending) for ending in stop) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)
