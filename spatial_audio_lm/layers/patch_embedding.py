"""Spectrogram to tokens: one linear map of every square patch."""

from torch import Tensor, nn
from transformers import initialization as init


class PatchEmbedding(nn.Conv2d):
    """Square patches without overlap, each mapped to a token.

    Args:
        dim: width of the tokens.
        patch_size: side of a patch, in frames and in bands.
        num_channels: maps of the input.
    """

    def __init__(self, dim: int, patch_size: int = 16, num_channels: int = 1):
        super().__init__(num_channels, dim, patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, channels, frames, bands)` to tokens `(batch, time * freq, dim)`, token `t * freq + f`."""
        return super().forward(x.to(self.weight.dtype)).flatten(2).transpose(1, 2)

    def reset(self) -> None:
        """Glorot's uniform weights, the kernel taken as one matrix (as MAE does), and no bias."""
        dim, inputs = self.weight.shape[0], self.weight[0].numel()
        limit = (6.0 / (dim + inputs)) ** 0.5
        init.uniform_(self.weight, -limit, limit)
        init.zeros_(self.bias)
