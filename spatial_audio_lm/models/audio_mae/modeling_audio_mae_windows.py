"""Transformer blocks whose attention stays within small windows of the spectrogram, after Swin Transformer V2.

    grid of patches ─► shifted, every second block ─► windows of 4 x 4 ─► cosine attention + bias of the distance
    ─► norm ─► + ─► MLP ─► norm ─► +

Neighbouring patches lie in one window, or in the next block in one of the shifted windows. Source: Audio-MAE, section
3 and figure 3; Liu et al., "Swin Transformer V2" (2022), sections 3.2 (norm after each branch, cosines divided by a
learned temperature) and 3.3 (a bias made of logarithmic distances by a small network).
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.transformer import Mlp

LOWEST_TEMPERATURE = 0.01


def cut_windows(tokens: Tensor, grid: tuple[int, int], window: int, shift: tuple[int, int]) -> Tensor:
    """Tokens in windows.

    Args:
        tokens: `(batch, time * freq, dim)`, token `t * freq + f`.
        grid: patches in time and in frequency, multiples of `window`.
        window: side of a window.
        shift: how far the grid is rolled towards its beginning before; what falls off comes back at the end.

    Returns:
        `(batch, windows, window * window, dim)`.
    """
    x = tokens.unflatten(1, grid).roll((-shift[0], -shift[1]), dims=(1, 2))
    x = x.unflatten(2, (-1, window)).unflatten(1, (-1, window))  # (batch, rows, window, columns, window, dim)
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def join_windows(windows: Tensor, grid: tuple[int, int], window: int, shift: tuple[int, int]) -> Tensor:
    """The inverse of `cut_windows`: `(batch, time * freq, dim)`."""
    x = windows.unflatten(2, (window, window)).unflatten(1, (grid[0] // window, grid[1] // window))
    x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return x.roll(shift, dims=(1, 2)).flatten(1, 2)


def strangers(grid: tuple[int, int], window: int, shift: tuple[int, int], device: torch.device) -> Tensor:
    """Which pairs of a shifted window came together only by the roll, `(windows, tokens, tokens)`, True = strangers.

    The last row of windows holds the end of the grid and its beginning.
    """
    time, freq = (torch.arange(side, device=device) < step for side, step in zip(grid, shift, strict=True))
    region = (2 * time[:, None] + freq).flatten()  # of the patches that come back at the end, another number
    windows = cut_windows(region[None, :, None], grid, window, shift)[0, :, :, 0]
    return windows[:, :, None] != windows[:, None, :]


def log_offsets(window: int, device: torch.device) -> Tensor:
    """`sign(d) log(1 + |d|)` of the distances in time and frequency from each patch of a window to each,
    `(window ** 4, 2)`."""
    place = torch.arange(window, device=device)
    places = torch.cartesian_prod(place, place)
    offset = (places[:, None] - places).flatten(0, 1).float()
    return offset.sign() * offset.abs().log1p()


class BiasMlp(nn.Module):
    """A bias for every distance and head, made by two linear layers."""

    def __init__(self, hidden: int, num_heads: int, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(2, hidden)
        self.fc2 = nn.Linear(hidden, num_heads)
        self.dropout = nn.Dropout(dropout)

    def forward(self, offsets: Tensor) -> Tensor:
        return self.fc2(self.dropout(F.relu(self.fc1(offsets.to(self.fc1.weight.dtype)))))


class WindowAttention(nn.Module):
    """Attention by cosines within windows, with a temperature for each head and a bias of the distance."""

    def __init__(self, dim: int, num_heads: int, window: int, bias_hidden: int, bias_dropout: float):
        super().__init__()
        if dim % num_heads:
            raise ConfigError(f"decoder_hidden_size {dim} is not a multiple of decoder_num_attention_heads {num_heads}")
        self.num_heads, self.window = num_heads, window
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.meta_mlp = BiasMlp(bias_hidden, num_heads, bias_dropout)
        self.tau = nn.Parameter(torch.ones(num_heads))

    def forward(self, x: Tensor, apart: Tensor | None = None) -> Tensor:
        """Windows `(batch, windows, tokens, dim)` in and out; `apart` is True for pairs that must not meet."""
        # Written out: scores of 16 x 16 have nothing to save, and the bias needs its gradient.
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).movedim(-3, 0).transpose(-2, -3)
        query, key, value = qkv  # (batch, windows, heads, tokens, dim / heads) each
        scores = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-1, -2)
        scores = scores / self.tau.clamp(min=LOWEST_TEMPERATURE)[:, None, None]
        size = self.window**2
        scores = scores + self.meta_mlp(log_offsets(self.window, x.device)).T.unflatten(1, (size, size))
        if apart is not None:
            scores = scores.masked_fill(apart[:, None], -torch.inf)
        mixed = scores.softmax(-1) @ value
        return self.proj(mixed.transpose(2, 3).flatten(3))


class WindowBlock(GradientCheckpointingLayer):
    """Attention within windows, then MLP; unlike in other blocks each is normed behind, not before.

    Args:
        dim: width of the tokens.
        num_heads: attention heads.
        hidden: width of the MLP's hidden layer.
        grid: patches in time and in frequency.
        window: side of a window.
        shift: how far its windows are shifted, in time and in frequency.
        bias_hidden, bias_dropout: of the network that makes the bias.
        norm_eps: of both layer norms.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        hidden: int,
        grid: tuple[int, int],
        window: int,
        shift: tuple[int, int],
        bias_hidden: int,
        bias_dropout: float,
        norm_eps: float,
    ):
        super().__init__()
        self.grid, self.window, self.shift = grid, window, shift
        self.attn = WindowAttention(dim, num_heads, window, bias_hidden, bias_dropout)
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, hidden)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)

    def forward(self, x: Tensor, eager: bool = False) -> Tensor:
        """Tokens `(batch, time * freq, dim)` in and out; `eager` is for blocks that have a choice."""
        place = (self.grid, self.window, self.shift)
        apart = strangers(*place, x.device) if any(self.shift) else None
        mixed = cast(Tensor, self.attn(cut_windows(x, *place), apart))
        x = x + self.norm1(join_windows(mixed, *place))
        return x + self.norm2(self.mlp(x))
