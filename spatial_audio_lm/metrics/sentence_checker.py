"""Which verifier checks rewritten captions, where the likeness of sentences is asked for beside word lists."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatial_audio_lm.captions.verification import Verifier, VerifierSettings
from spatial_audio_lm.files import sha256_of_file
from spatial_audio_lm.metrics.sentence_embeddings import SentenceEmbedder, find_minilm


@dataclass(frozen=True)
class SentenceChecker:
    """The verifier by word lists and by sentence vectors; for a job of `captions.rewriting_job`.

    Attributes:
        settings: of the verifier; `min_similarity` is the likeness that is wanted.
        encoder: folder or Hub id of a sentence encoder; None takes MiniLM.
    """

    settings: VerifierSettings
    encoder: str | None = None

    def identity(self) -> dict[str, Any]:
        """What its verdicts depend on."""
        name = self.encoder or find_minilm()
        weights = sorted(Path(name).glob("*.safetensors")) if Path(name).is_dir() else []
        return asdict(self.settings) | {"encoder": [sha256_of_file(path) for path in weights] or name}

    def open(self) -> Verifier:
        """The verifier with its encoder.

        Raises:
            CheckpointError: the encoder cannot be loaded.
        """
        return Verifier(self.settings, SentencePairs(SentenceEmbedder(self.encoder)))


class SentencePairs:
    """Likeness of sentences by pairs, from vectors of length 1.

    Args:
        embed: gives the vectors.
    """

    def __init__(self, embed: SentenceEmbedder):
        self._embed = embed

    def __call__(self, first: list[str], second: list[str]) -> list[float]:
        """The cosine of each pair."""
        vectors = self._embed([*first, *second])
        return (vectors[: len(first)] * vectors[len(first) :]).sum(-1).tolist()
