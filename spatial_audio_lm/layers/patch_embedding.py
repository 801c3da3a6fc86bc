"""Spectrogram to tokens: one linear map of every square patch."""

from torch import Tensor, nn
from torch.nn import functional as F
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
        # As one matrix product: the convolution's backward pass takes two to eight times as long on a CPU.
        size = self.kernel_size[0]
        batch, _, frames, bands = x.shape
        time, freq = frames // size, bands // size
        patches = x[:, :, : time * size, : freq * size].to(self.weight.dtype)
        patches = patches.unflatten(3, (freq, size)).unflatten(2, (time, size)).permute(0, 2, 4, 1, 3, 5)
        return F.linear(patches.reshape(batch, time * freq, -1), self.weight.flatten(1), self.bias)

    def reset(self) -> None:
        """Glorot's uniform weights, the kernel taken as one matrix (as MAE does), and no bias."""
        dim, inputs = self.weight.shape[0], self.weight[0].numel()
        limit = (6.0 / (dim + inputs)) ** 0.5
        init.uniform_(self.weight, -limit, limit)
        init.zeros_(self.bias)
