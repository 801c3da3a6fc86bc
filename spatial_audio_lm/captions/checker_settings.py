"""Which verifier checks rewritten captions: as a job's configuration says it."""

from dataclasses import asdict, dataclass
from typing import Any

from spatial_audio_lm.captions.verification import Verifier, VerifierSettings


@dataclass(frozen=True)
class WordListChecker:
    """The verifier by word lists alone, without the likeness of sentences; it needs no model."""

    settings: VerifierSettings

    def identity(self) -> dict[str, Any]:
        """What its verdicts depend on."""
        return asdict(self.settings)

    def open(self) -> Verifier:
        """The verifier."""
        return Verifier(self.settings)
