"""Sums over mel bands at a fraction of the dense product's cost.

A mel filter touches few bins, and a bin at most two filters: of the dense matrix (513 bins, 128 bands) all but two
percent is zero. Cut into octaves of bins, each with the bands that it reaches, it has a quarter of the size, and the
products that remain are still plain matrix products.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MelBlock:
    """What some neighbouring bins give to the bands that they reach.

    Args:
        bins: which bins.
        bands: which bands.
        weights: `(bins, bands)`.
    """

    bins: slice
    bands: slice
    weights: Tensor


def mel_blocks(filters: Tensor, octaves: int = 4) -> tuple[MelBlock, ...]:
    """Mel filters `(freqs, bands)` cut into octaves of bins; the lowest block holds what lies below them.

    Args:
        filters: see signal/mel.py.
        octaves: how many blocks.

    Returns:
        The blocks whose weights are not all zero.
    """
    freqs = len(filters)
    edges = [0, *((freqs - 1) >> step for step in range(octaves - 1, 0, -1)), freqs]
    blocks = []
    for first, last in itertools.pairwise(edges):
        reached = filters[first:last].any(0).nonzero().flatten().tolist()
        if reached:
            bands = slice(reached[0], reached[-1] + 1)
            blocks.append(MelBlock(slice(first, last), bands, filters[first:last, bands].contiguous()))
    return tuple(blocks)


def mel_sums(planes: Tensor, blocks: Sequence[MelBlock], num_bands: int) -> Tensor:
    """Weighted sums of bins over mel bands, the same as `planes @ filters`.

    Args:
        planes: `(..., freqs)`.
        blocks: of the filters.
        num_bands: of the filters.

    Returns:
        `(..., num_bands)`.
    """
    sums = planes.new_zeros(*planes.shape[:-1], num_bands)
    for block in blocks:
        sums[..., block.bands] += planes[..., block.bins] @ block.weights.to(planes)
    return sums
