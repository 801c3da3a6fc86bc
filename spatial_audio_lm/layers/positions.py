"""Fixed position tables of patches on a time-frequency grid."""

import torch
from torch import Tensor, nn
from transformers import initialization as init

from spatial_audio_lm.errors import ConfigError


def sincos_table_2d(time: int, freq: int, dim: int) -> Tensor:
    """Sines and cosines of a patch's two coordinates, as MAE's table (He et al., 2022) counts them.

    The first half of the dimensions holds the frequency index, the second half the time index; each half is sines,
    then cosines, of the index times 10000^(-i / (dim / 4)).

    Args:
        time: patches in time.
        freq: patches in frequency.
        dim: width of the tokens, a multiple of 4.

    Returns:
        `(time * freq, dim)`, float32; row `t * freq + f`.

    Raises:
        ConfigError: a width that is no multiple of 4.
    """
    if dim % 4:
        raise ConfigError(f"hidden_size is {dim}; a two-dimensional position table needs a multiple of 4")
    rates = 10_000.0 ** (-torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))

    def one(indices: Tensor) -> Tensor:
        angles = indices[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    times = one(torch.arange(time, dtype=torch.float64)).repeat_interleave(freq, dim=0)
    freqs = one(torch.arange(freq, dtype=torch.float64)).repeat(time, 1)
    return torch.cat([freqs, times], dim=1).float()


class PositionTable(nn.Module):
    """Adds a fixed table to the tokens of a grid.

    The table is a persistent buffer: a published checkpoint brings its own, which need not be the computed one.
    """

    table: Tensor

    def __init__(self, time: int, freq: int, dim: int):
        super().__init__()
        self.time, self.freq, self.dim = time, freq, dim
        self.register_buffer("table", sincos_table_2d(time, freq, dim)[None])

    def reset(self) -> None:
        """Writes the computed table (a model built on the meta device has none)."""
        init.copy_(self.table, sincos_table_2d(self.time, self.freq, self.dim)[None])

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(batch, time * freq, dim)` with their positions."""
        return tokens + self.table.to(tokens.dtype)
