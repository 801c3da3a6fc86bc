"""Convolutions that turn a waveform into frames, as wav2vec 2.0 (Baevski et al. 2020) introduced them."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatial_audio_lm.errors import ConfigError

ConvLayer = tuple[int, int, int]  # channels, samples of a kernel, samples from one to the next
Number = TypeVar("Number", int, Tensor)


def conv_frames(samples: Number, layers: Sequence[ConvLayer]) -> Number:
    """Frames that convolutions without padding make of a number of samples (or of a tensor of numbers)."""
    for _, kernel, stride in layers:
        samples = (samples - kernel) // stride + 1
    return samples.clamp(min=0) if isinstance(samples, Tensor) else max(samples, 0)


def receptive_field(layers: Sequence[ConvLayer]) -> int:
    """Samples that a frame hears."""
    samples = 1
    for _, kernel, stride in reversed(layers):
        samples = (samples - 1) * stride + kernel
    return samples


def hop(layers: Sequence[ConvLayer]) -> int:
    """Samples from one frame to the next."""
    product = 1
    for _, _, stride in layers:
        product *= stride
    return product


class WaveformEncoder(nn.Module):
    """Convolutions without padding or bias, each followed by the exact GELU; one norm, behind the first of them.

    The norm takes mean and variance of every channel over the whole window (a GroupNorm with as many groups as
    channels): no frame of a window is known before the window's last sample.

    Args:
        layers: channels, kernel and stride of each convolution.
    """

    def __init__(self, layers: Sequence[ConvLayer]):
        super().__init__()
        if not layers or any(len(layer) != 3 or min(layer) < 1 for layer in layers):
            raise ConfigError(f"conv_layers is {layers}; expected (channels, kernel, stride) of each, all at least 1")
        self.layers = [(int(channels), int(kernel), int(stride)) for channels, kernel, stride in layers]
        inputs = [1, *(channels for channels, _, _ in self.layers)]
        self.convs = nn.ModuleList(
            nn.Conv1d(size, channels, kernel, stride, bias=False)
            for size, (channels, kernel, stride) in zip(inputs, self.layers, strict=False)
        )
        self.norm = nn.GroupNorm(self.layers[0][0], self.layers[0][0])

    def forward(self, waveform: Tensor, samples: Tensor | None = None) -> Tensor:
        """Frames of windows.

        Args:
            waveform: `(batch, samples)`.
            samples: `(batch,)`, how many of them are a window's own: only these are in the norm's mean and variance, so
                that their frames do not depend on the others. None: all.

        Returns:
            `(batch, frames, channels)`.
        """
        x = self.convs[0](waveform[:, None])
        x = F.gelu(self.norm(x) if samples is None else self._norm_of(x, conv_frames(samples, self.layers[:1])))
        for conv in self.convs[1:]:
            x = F.gelu(conv(x))
        return x.transpose(1, 2)

    def _norm_of(self, x: Tensor, steps: Tensor) -> Tensor:
        """The norm of `(batch, channels, steps)` by the first `steps` of each item alone."""
        own = (torch.arange(x.shape[2], device=x.device) < steps[:, None])[:, None].float()
        number = steps.clamp(min=1)[:, None, None]
        values = x.float()
        centred = (values - (values * own).sum(2, keepdim=True) / number) * own
        scale = (centred.square().sum(2, keepdim=True) / number + self.norm.eps).rsqrt()
        normal = centred * scale * self.norm.weight[:, None] + self.norm.bias[:, None]
        return normal.to(x.dtype)
