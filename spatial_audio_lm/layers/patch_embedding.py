"""Maps to tokens: one linear map of every square patch, or a few convolutions that see the patch's neighbours too."""

import itertools
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from spatial_audio_lm.errors import ConfigError

PATCH_STEMS = ("linear", "conv")


def cut_patches(x: Tensor, size: int) -> Tensor:
    """Square patches without overlap; what is left over at the end of time and at the top is left out.

    Args:
        x: maps `(batch, channels, frames, bands)`.
        size: side of a patch.

    Returns:
        `(batch, time * freq, channels * size * size)`, patch `t * freq + f`, each in the order channel, frame, band.
    """
    time, freq = x.shape[2] // size, x.shape[3] // size
    patches = x[:, :, : time * size, : freq * size].unflatten(3, (freq, size)).unflatten(2, (time, size))
    return patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


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
        # As one matrix product: the convolution's backward pass takes longer on a CPU.
        patches = cut_patches(x.to(self.weight.dtype), self.kernel_size[0])
        return F.linear(patches, self.weight.flatten(1), self.bias)

    def reset(self) -> None:
        """Glorot's uniform weights, the kernel taken as one matrix (as MAE does), and no bias."""
        dim, inputs = self.weight.shape[0], self.weight[0].numel()
        limit = (6.0 / (dim + inputs)) ** 0.5
        init.uniform_(self.weight, -limit, limit)
        init.zeros_(self.bias)


class ConvStem(nn.Sequential):
    """Tokens on the same grid by 3x3 convolutions that halve time and frequency until a patch is one point.

    Source: Xiao et al., "Early Convolutions Help Transformers See Better" (2021), section 4.

    Args:
        dim: width of the tokens; each halving before the last has half the channels of the next.
        patch_size: side of a patch, a power of two.
        num_channels: maps of the input.
    """

    def __init__(self, dim: int, patch_size: int = 16, num_channels: int = 1):
        halvings = patch_size.bit_length() - 1
        if patch_size != 1 << halvings or halvings < 1 or dim % (1 << (halvings - 1)):
            raise ConfigError(
                f"patch_stem 'conv' with patch_size {patch_size} and hidden_size {dim}: the side of a patch is a power "
                f"of two, and the width a multiple of half of it"
            )
        widths = [num_channels, *(dim >> (halvings - 1 - step) for step in range(halvings))]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        super().__init__(*layers, nn.Conv2d(dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(batch, channels, frames, bands)` to tokens `(batch, time * freq, dim)`, token `t * freq + f`."""
        # Channels last: the faster layout of bfloat16 convolutions on a CPU.
        weight = cast(nn.Conv2d, self[0]).weight
        x = x.to(dtype=weight.dtype, memory_format=torch.channels_last)
        return super().forward(x).flatten(2).transpose(1, 2)


def patch_layer(stem: str, dim: int, patch_size: int, num_channels: int) -> PatchEmbedding | ConvStem:
    """The layer that a configuration's `patch_stem` names."""
    return (ConvStem if stem == "conv" else PatchEmbedding)(dim, patch_size, num_channels)
