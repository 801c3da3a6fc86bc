"""Sums over mel bands by blocks are the dense product."""

import pytest
import torch

from spatial_audio_lm.features.mel_bands import mel_blocks, mel_sums
from spatial_audio_lm.signal.mel import mel_filters


@pytest.mark.parametrize(("mels", "n_fft", "scale"), [(128, 1024, "htk"), (64, 512, "slaney"), (8, 64, "kaldi")])
@pytest.mark.parametrize("octaves", [1, 4, 5])
def test_the_dense_product(mels: int, n_fft: int, scale: str, octaves: int) -> None:
    filters = mel_filters(mels, n_fft, 32_000, 50.0, 14_000.0, scale)
    planes = torch.rand(2, 3, 7, n_fft // 2 + 1, generator=torch.Generator().manual_seed(0))
    sums = mel_sums(planes, mel_blocks(filters, octaves), mels)
    torch.testing.assert_close(sums, planes @ filters)


def test_blocks_are_small() -> None:
    filters = mel_filters(128, 1024, 32_000, 50.0, 16_000.0, "htk")
    assert sum(block.weights.numel() for block in mel_blocks(filters)) < filters.numel() / 4


def test_bins_that_no_band_reaches_have_no_block() -> None:
    filters = torch.zeros(9, 4)
    filters[6, 1] = 1.0
    (block,) = mel_blocks(filters, octaves=3)
    assert (block.bins, block.bands) == (slice(4, 9), slice(1, 2))
    assert mel_sums(torch.ones(9), (block,), 4).tolist() == [0.0, 1.0, 0.0, 0.0]
