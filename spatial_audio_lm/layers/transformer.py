"""One transformer block for every vision-transformer-like encoder of the package.

Parameter names are those of timm's `Block` (`norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2`): the
published checkpoints have them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from spatial_audio_lm.errors import ConfigError


class Attention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool = True):
        super().__init__()
        if dim % num_heads:
            raise ConfigError(f"hidden_size {dim} is not a multiple of num_attention_heads {num_heads}")
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, eager: bool = False) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.num_heads, dim // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (batch, heads, tokens, dim / heads) each
        if eager:
            weights = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
            x = weights @ value
        elif _faster_written_out(query):
            x = _written_out_attention(query, key, value)
        else:
            x = F.scaled_dot_product_attention(query, key, value)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, dim))


def _faster_written_out(query: Tensor) -> bool:
    """Whether queries `(batch, heads, tokens, dim)` are better off without SDPA.

    On a CPU its kernel multiplies bfloat16 no faster than float32, plain matrix products four times as fast. The
    scores of an item have to stay below 32 MiB: memory beyond that is asked of the system anew each time.
    """
    _, heads, tokens, _ = query.shape
    return (
        query.device.type == "cpu"
        and query.dtype == torch.bfloat16
        and not query.requires_grad
        and heads * tokens**2 <= 2**24
    )


def _written_out_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of bfloat16 numbers, item by item so that the scores stay in the cache."""
    # What all keys share moves all scores of a query alike: the softmax does not see it, the rounding of scores does.
    key = key - key.mean(-2, keepdim=True)
    query = query * query.shape[-1] ** -0.5
    items = [(q @ k.transpose(-1, -2)).softmax(-1) @ v for q, k, v in zip(query, key, value, strict=True)]
    return torch.stack([item.transpose(0, 1) for item in items]).transpose(1, 2)


class Mlp(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class DropPath(nn.Module):
    """Stochastic depth: in training, leaves the whole branch of an item out, and scales the others up for it."""

    def __init__(self, probability: float):
        super().__init__()
        if not 0.0 <= probability < 1.0:
            raise ConfigError(f"drop_path_rate gives a layer {probability}; expected a number in [0, 1)")
        self.dropout_prob = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropout_prob == 0.0:
            return x
        keep = 1.0 - self.dropout_prob
        mask = torch.empty(x.shape[0], *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * mask / keep


class TransformerBlock(GradientCheckpointingLayer):
    """Self-attention, then MLP, each behind a layer norm and with a residual connection.

    Args:
        dim: width of the tokens.
        num_heads: attention heads.
        hidden: width of the MLP's hidden layer.
        norm_eps: of both layer norms.
        drop_path: probability of leaving a branch out in training.
        qkv_bias: whether queries, keys and values have a bias.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        hidden: int,
        norm_eps: float = 1e-6,
        drop_path: float = 0.0,
        qkv_bias: bool = True,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = Attention(dim, num_heads, qkv_bias)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, hidden)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, eager: bool = False) -> Tensor:
        """Tokens `(batch, tokens, dim)` in and out; `eager` writes the attention out instead of calling SDPA."""
        x = x + self.drop_path(self.attn(self.norm1(x), eager))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def transformer_blocks(
    depth: int, dim: int, num_heads: int, hidden: int, norm_eps: float = 1e-6, drop_path_rate: float = 0.0
) -> nn.ModuleList:
    """A stack of blocks whose drop-path probability grows evenly from 0 to `drop_path_rate`."""
    rates = [drop_path_rate * layer / max(depth - 1, 1) for layer in range(depth)]
    return nn.ModuleList(TransformerBlock(dim, num_heads, hidden, norm_eps, rate) for rate in rates)


def run_blocks(
    blocks: nn.ModuleList, x: Tensor, eager: bool = False, keep_all: bool = False
) -> tuple[Tensor, tuple[Tensor, ...] | None]:
    """Tokens after all blocks, and with `keep_all` also the input and the output of every block, first to last."""
    states = [x]
    for block in blocks:
        x = block(x, eager)
        states.append(x)
    return x, tuple(states) if keep_all else None


def init_transformer(module: nn.Module) -> None:
    """Initial weights of linear layers and norms: normal of 0.02 cut at two deviations, zeros, ones.

    Only layers with weights of their own are asked: transformers passes over modules that merely hold others.
    """
    if isinstance(module, nn.Linear):
        init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
        if module.bias is not None:
            init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        init.ones_(module.weight)
        init.zeros_(module.bias)
