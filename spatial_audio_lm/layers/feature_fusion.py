"""Several feature maps to one: weights for each map, a 3x3 convolution, batch norm, GELU.

Always in float32: published level ratios reach 1e8 before they are normalised, which half precision does not hold.

Source: DSpAST (Wilkinghoff and Tan, 2025), section 2 for BAT's SpatialAST, section 3.2 for the weights. What
the paper calls a mean over features is in the published code one learned sum of all maps; the code was followed.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import initialization as init


def float32_batch_norm(norm: _BatchNorm, x: Tensor) -> Tensor:
    """Batch norm in float32, also under autocast and when the model's own numbers are half precision.

    Args:
        norm: the layer; its running statistics are updated in training as usual.
        x: `(batch, channels, ...)`.

    Returns:
        Same shape, float32.
    """
    with torch.autocast(x.device.type, enabled=False):
        assert norm.running_mean is not None and norm.running_var is not None
        if norm.running_mean.dtype == torch.float32:
            return norm(x.float())
        mean, variance = norm.running_mean.float(), norm.running_var.float()
        weight, bias = (None if p is None else p.float() for p in (norm.weight, norm.bias))
        momentum = 0.1 if norm.momentum is None else norm.momentum
        result = F.batch_norm(x.float(), mean, variance, weight, bias, norm.training, momentum, norm.eps)
        if norm.training:
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        return result


def init_fusion(module: nn.Module) -> None:
    """Initial weights of convolutions, linear layers and batch norms here: torch's own."""
    if isinstance(module, nn.Conv2d | WeightingLayer):
        init.kaiming_uniform_(module.weight, a=math.sqrt(5.0))
        if module.bias is not None:
            limit = module.weight[0].numel() ** -0.5
            init.uniform_(module.bias, -limit, limit)
    elif isinstance(module, _BatchNorm):
        if module.affine:
            init.ones_(module.weight)
            init.zeros_(module.bias)
        for name, buffer in module.named_buffers(recurse=False):
            init.constant_(buffer, 1.0 if name == "running_var" else 0.0)


class WeightingLayer(nn.Linear):
    """A linear layer in float32; a class of its own, so that `init_fusion` finds it among a transformer's."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        return F.linear(x, self.weight.float(), self.bias.float())


class FeatureAttention(nn.Module):
    """A weight between 0 and 1 for each feature map, from the means of all maps (squeeze and excitation)."""

    def __init__(self, num_maps: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(num_maps, affine=False)
        self.fc1 = WeightingLayer(num_maps, num_maps)
        self.fc2 = WeightingLayer(num_maps, num_maps)

    def forward(self, features: Tensor) -> Tensor:
        """Weights `(batch, maps)` of features `(batch, maps, frames, bands)`, float32."""
        with torch.autocast(features.device.type, enabled=False):
            pooled = float32_batch_norm(self.norm, features.float().mean(dim=(2, 3)))
            return torch.sigmoid(self.fc2(F.relu(self.fc1(pooled))))


class FeatureFusion(nn.Module):
    """Feature maps to fewer maps of the same size.

    Args:
        num_maps: maps of the input.
        attention: weigh the maps by `FeatureAttention` first.
        num_fused: maps of the output; published: 1.
    """

    def __init__(self, num_maps: int, attention: bool = False, num_fused: int = 1):
        super().__init__()
        self.attention = FeatureAttention(num_maps) if attention else None
        self.conv = nn.Conv2d(num_maps, num_fused, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(num_fused)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features `(batch, maps, frames, bands)` to `(batch, fused, frames, bands)`, and weights `(batch, maps)`."""
        with torch.autocast(features.device.type, enabled=False):
            features, weights = features.float(), None
            if self.attention is not None:
                weights = self.attention(features)
                features = features * weights[:, :, None, None]
            fused = F.conv2d(features, self.conv.weight.float(), padding=1)
            return F.gelu(float32_batch_norm(self.norm, fused)), weights
