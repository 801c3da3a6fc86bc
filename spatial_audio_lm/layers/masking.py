"""What is hidden from an encoder in training: spans of its maps, rows of its patches, or most of the patches."""

from typing import Any

import torch
from torch import Tensor

from spatial_audio_lm.errors import DataError


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


def random_mask(
    batch: int, tokens: int, num_hidden: int, generator: torch.Generator | None = None, device: Any = None
) -> Tensor:
    """Which tokens a masked autoencoder hides: `num_hidden` of each item, all choices equally likely.

    Args:
        batch: items.
        tokens: tokens of an item.
        num_hidden: how many of them are hidden.
        generator: where the numbers come from (None: torch's own, which `torch.manual_seed` sets). They are drawn on
            the generator's device, so that a seed gives one mask wherever the model is.
        device: of the result.

    Returns:
        Bool `(batch, tokens)`, True where hidden.
    """
    noise = torch.rand(batch, tokens, generator=generator, device=generator.device if generator else device)
    hidden = noise.argsort(dim=1)[:, tokens - num_hidden :]
    return torch.zeros_like(noise, dtype=torch.bool).scatter(1, hidden, True).to(device)


def require_mask(mask: Tensor, batch: int, tokens: int) -> Tensor:
    """The mask itself, if it can be used.

    Raises:
        DataError: not bool `(batch, tokens)`, or items that hide different numbers of tokens, all or none.
    """
    if mask.dtype != torch.bool or mask.shape != (batch, tokens):
        raise DataError(
            f"mask is {mask.dtype} {tuple(mask.shape)}; expected torch.bool {(batch, tokens)}, True where hidden"
        )
    counts = mask.sum(1).unique().tolist()
    if len(counts) != 1 or counts[0] in (0, tokens):
        raise DataError(
            f"the mask hides {', '.join(map(str, counts))} of {tokens} tokens of an item; expected one number for the "
            "whole batch, at least 1 and not all"
        )
    return mask


def visible_tokens(tokens: Tensor, mask: Tensor) -> Tensor:
    """The tokens that are not hidden, `(batch, visible, dim)`, in their order.

    Published masked autoencoders order them by random noise; attention cannot tell, since positions are in the tokens.
    """
    return tokens[~mask].view(len(tokens), -1, tokens.shape[-1])


def with_mask_tokens(visible: Tensor, mask: Tensor, mask_token: Tensor) -> Tensor:
    """The inverse of `visible_tokens`, with the learned token `(1, 1, dim)` wherever something was hidden."""
    filled = mask_token.to(visible.dtype).expand(*mask.shape, -1)
    return filled.masked_scatter(~mask[:, :, None], visible)
