"""How much the language model reads: behind its last position it would answer without sense, and say nothing of it."""

from torch import Tensor
from transformers import PretrainedConfig

from spatial_audio_lm.errors import TextError


def require_readable(
    text_config: PretrainedConfig, tokens: int, attention_mask: Tensor | None, new_tokens: int = 0
) -> None:
    """Refuses sequences that are longer than the language model has positions for, padding left aside.

    Args:
        text_config: of the language model; nothing is refused where it names no `max_position_embeddings`.
        tokens: length of the batch.
        attention_mask: `(batch, tokens)`, 0 on padding; None: nothing is padding.
        new_tokens: that are to come behind.

    Raises:
        TextError: the longest sequence, and what is read.
    """
    longest = getattr(text_config, "max_position_embeddings", None)
    if longest is None or longest < 1 or tokens + new_tokens <= longest:
        return
    lengths = [tokens]
    if attention_mask is not None and attention_mask.dim() == 2:
        lengths = attention_mask.long().sum(1).tolist()
    length = max(lengths)
    if length + new_tokens > longest:
        behind = f" and may get {new_tokens} more: lower max_new_tokens, or shorten" if new_tokens else ": shorten"
        raise TextError(
            f"question {lengths.index(length) + 1} has {length} tokens with the recording's places{behind} it; this "
            f"language model reads {longest}"
        )
