"""The symmetric contrastive loss of CLIP over pairs of recordings and sentences.

Row i of the similarity matrix asks which sentence belongs to recording i, column j which recording belongs to
sentence j. Two recordings of a dog on the left share a true sentence; `negatives` takes such pairs out of the sums.

Source: Radford et al. 2021, section 2.3 (InfoNCE in both directions, learned temperature); ELSA, section 3.3.
"""

import torch
from torch import Tensor
from torch.nn import functional

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.objectives.processes import gather_with_gradient


def contrastive_loss(
    audio_embeds: Tensor,
    text_embeds: Tensor,
    logit_scale: Tensor | float,
    negatives: Tensor | None = None,
    gather: bool = True,
) -> Tensor:
    """Mean cross-entropy of finding the own sentence and the own recording, computed in float32.

    With `gather` and several processes every process computes the loss of the whole batch; the averaging of gradients
    then gives exactly the gradient of one process with that batch. All processes need batches of one size.

    Args:
        audio_embeds: L2-normalised `(batch, dim)`.
        text_embeds: L2-normalised `(batch, dim)`; row i belongs to row i of `audio_embeds`.
        logit_scale: factor of the cosine, already exponentiated (1 / temperature).
        negatives: bool `(recordings, sentences)` of the whole gathered batch; True where the pair counts as a negative,
            False where the sentence also fits the recording. The diagonal is always the positive. None: all count.
        gather: take the embeddings of all processes (False: this process only, e.g. in an evaluation).

    Returns:
        Scalar.

    Raises:
        DataError: the embeddings or the matrix have shapes that do not belong together.
    """
    if audio_embeds.shape != text_embeds.shape or audio_embeds.ndim != 2:
        raise DataError(
            f"audio_embeds {tuple(audio_embeds.shape)} and text_embeds {tuple(text_embeds.shape)} must both be "
            "(batch, dim) with one sentence a recording: repeat the recording or choose one sentence"
        )
    with torch.autocast(audio_embeds.device.type, enabled=False):
        audio, text = audio_embeds.float(), text_embeds.float()
        if gather:
            audio, text = gather_with_gradient(audio), gather_with_gradient(text)
        scale = logit_scale.float() if isinstance(logit_scale, Tensor) else logit_scale
        logits = scale * audio @ text.T  # (recordings, sentences)
        if negatives is not None:
            if negatives.shape != logits.shape or negatives.dtype != torch.bool:
                raise DataError(
                    f"negatives is {negatives.dtype} {tuple(negatives.shape)}, expected torch.bool "
                    f"{tuple(logits.shape)}: the pairs of the whole batch (over several processes, build it from "
                    "labels gathered with objectives.processes.gather_rows)"
                )
            positives = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
            logits = logits.masked_fill(~(negatives.to(logits.device) | positives), -torch.inf)
        target = torch.arange(len(logits), device=logits.device)
        return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
