"""What is hidden from an encoder in training: spans of its input maps, and rows of its patches."""

import torch
from torch import Tensor


def mask_spans(maps: Tensor, max_frames: int, max_bands: int) -> Tensor:
    """Sets one span of frames and one of bands to 0 in each item (SpecAugment; Park et al., 2019).

    Args:
        maps: `(batch, maps, frames, bands)`.
        max_frames: longest span in time, every length up to it as likely as another; 0 for none.
        max_bands: likewise in frequency.

    Returns:
        New maps of the same shape.
    """
    hidden = _spans(maps, 2, max_frames)[:, None, :, None] | _spans(maps, 3, max_bands)[:, None, None, :]
    return maps.masked_fill(hidden, 0.0)


def _spans(maps: Tensor, dim: int, longest: int) -> Tensor:
    """Bool `(batch, size)`: True within one random span an item."""
    batch, size, device = len(maps), maps.shape[dim], maps.device
    if longest == 0:
        return torch.zeros(batch, size, dtype=torch.bool, device=device)
    length = torch.rand(batch, 1, device=device) * min(longest, size)
    start = torch.rand(batch, 1, device=device) * (size - length)
    place = torch.arange(size, device=device)
    return (place >= start) & (place < start + length)


def drop_rows(tokens: Tensor, grid: tuple[int, int], drop_time: float, drop_freq: float) -> Tensor:
    """Leaves out random rows of the grid of patches, others for each item: rows in time, then rows in frequency.

    Args:
        tokens: `(batch, time * freq, dim)`, token `t * freq + f`, with their positions.
        grid: patches in time and in frequency.
        drop_time: share of the rows in time that is left out; `int` of what stays is kept, as in the published code.
        drop_freq: likewise in frequency.

    Returns:
        `(batch, kept, dim)` in the order of the grid (the published code shuffles them, which a transformer cannot
        tell).
    """
    time, freq = grid
    kept_time = _kept(tokens, time, int(time * (1 - drop_time)))
    kept_freq = _kept(tokens, freq, int(freq * (1 - drop_freq)))
    index = (kept_time[:, :, None] * freq + kept_freq[:, None, :]).flatten(1)
    return tokens.gather(1, index[:, :, None].expand(-1, -1, tokens.shape[-1]))


def _kept(tokens: Tensor, rows: int, count: int) -> Tensor:
    """Which rows stay, `(batch, count)`, ascending; at least one."""
    order = torch.rand(len(tokens), rows, device=tokens.device).argsort(dim=1)
    return order[:, : max(count, 1)].sort(dim=1).values
