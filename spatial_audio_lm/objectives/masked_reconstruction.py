"""The loss of masked autoencoders: how far the patches are off that the encoder did not see.

Source: He et al., "Masked Autoencoders Are Scalable Vision Learners" (2022), section 3; Audio-MAE, section 3.
"""

import torch
from torch import Tensor

from spatial_audio_lm.errors import DataError

VARIANCE_FLOOR = 1e-6


def normalized_patches(patches: Tensor) -> Tensor:
    """Patches `(batch, patches, values)`, each with its own mean taken away and divided by its own deviation.

    The variance is the unbiased one (divided by values - 1), as in MAE's and Audio-MAE's code; 1e-6 is added to it.
    """
    mean = patches.mean(-1, keepdim=True)
    return (patches - mean) / (patches.var(-1, keepdim=True, correction=1) + VARIANCE_FLOOR).sqrt()


def masked_reconstruction_loss(prediction: Tensor, target: Tensor, mask: Tensor, normalize: bool = True) -> Tensor:
    """Mean squared error over all values of the hidden patches of a batch, computed in float32.

    Args:
        prediction: `(batch, patches, values)`.
        target: the true patches, same shape.
        mask: bool `(batch, patches)`, True where a patch was hidden; only those count.
        normalize: compare with patches of mean 0 and deviation 1 each (`normalized_patches`).

    Returns:
        Scalar.

    Raises:
        DataError: shapes that do not belong together, a mask that is not bool or hides nothing.
    """
    if prediction.shape != target.shape or mask.shape != target.shape[:2] or mask.dtype != torch.bool:
        raise DataError(
            f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}, mask {mask.dtype} "
            f"{tuple(mask.shape)}; expected two of (batch, patches, values) and torch.bool (batch, patches)"
        )
    if not mask.any():
        raise DataError("the mask hides no patch: there is nothing to reconstruct; hide at least one")
    with torch.autocast(prediction.device.type, enabled=False):
        target = normalized_patches(target.float()) if normalize else target.float()
        return (prediction.float() - target)[mask].square().mean()
