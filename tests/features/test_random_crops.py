"""Crops of features, and windows of waveforms: where they lie, what they hold, and which clip they are of."""

import pytest
import torch

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.features.random_crops import PUBLISHED_FRAMES, random_crops, random_windows


def numbered(batch: int = 2, frames: int = 1001) -> torch.Tensor:
    """Features whose value says clip and frame; never zero."""
    value = torch.arange(1.0, 1 + batch * frames).reshape(batch, 1, frames, 1)
    return value.expand(batch, 3, frames, 4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_crops_are_pieces_of_their_clips() -> None:
    features = numbered()
    crops, clip = random_crops(features, 16, generator=seeded())
    assert crops.shape == (32, 3, 200, 4) and clip.bincount().tolist() == [16, 16]
    for crop, row in zip(crops, clip.tolist(), strict=True):
        start = int(crop[0, 0, 0]) - 1 - 1001 * row
        assert torch.equal(crop, features[row, :, start : start + 200])


def test_starts_are_uniform_and_never_reach_the_padding() -> None:
    crops, clip = random_crops(numbered(), 4000, generator=seeded())
    start = crops[:, 0, 0, 0].long() - 1 - 1001 * clip
    assert start.min() == 0 and start.max() == 801 and (crops > 0).all()
    counts = torch.histc(start.float(), 8, 0, 802)
    assert (counts - 1000).abs().max() < 150  # of 1000, five standard deviations


def test_the_published_way_crops_the_padded_tail_too() -> None:
    crops, _ = random_crops(numbered(1), 20_000, 200, seeded(), PUBLISHED_FRAMES)
    padded = (crops[:, 0, :, 0] == 0).sum(1)
    assert padded.max() == 23
    # Starts are uniform in 0 to 824, and those from 802 on reach the padding.
    assert float((padded > 0).float().mean()) == pytest.approx(23 / 825, abs=0.005)


def test_crops_are_shuffled_over_the_batch_unless_told_not_to() -> None:
    _, mixed = random_crops(numbered(4), 8, generator=seeded())
    _, kept = random_crops(numbered(4), 8, generator=seeded(), shuffle=False)
    assert kept.tolist() == sorted(kept.tolist()) and mixed.tolist() != kept.tolist()


def test_crops_are_a_function_of_the_generator() -> None:
    first, second, other = (random_crops(numbered(), 4, generator=seeded(s))[0] for s in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_a_clip_of_one_crop_has_one_place() -> None:
    crops, _ = random_crops(numbered(1, 200), 3)
    assert torch.equal(crops, numbered(1, 200).expand(3, -1, -1, -1))


def test_windows_are_pieces_of_their_waveforms_at_one_place_in_all_channels() -> None:
    waveform = torch.arange(1.0, 3 * 500 + 1).view(3, 1, 500).repeat(1, 2, 1)
    waveform[:, 1] *= -1
    windows, clip = random_windows(waveform, 400, 100, seeded())
    assert windows.shape == (1200, 2, 100) and clip.bincount().tolist() == [400, 400, 400]
    start = windows[:, 0, 0].long() - 1 - 500 * clip
    assert start.min() == 0 and start.max() == 400 and len(start.unique()) > 350
    place = torch.arange(100) + start[:, None]
    assert torch.equal(windows, waveform[clip[:, None], :, place].transpose(1, 2))
    assert clip.tolist() != sorted(clip.tolist())


def test_windows_are_a_function_of_the_generator() -> None:
    waveform = torch.randn(1, 1, 1000, generator=seeded(3))
    first, second, other = (random_windows(waveform, 4, 90, seeded(s), shuffle=False)[0] for s in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(random_windows(waveform, 2, 1000)[0], waveform.expand(2, -1, -1))


def test_bad_input_is_named() -> None:
    with pytest.raises(AudioValueError, match="waveform has 99 samples; a window has 100"):
        random_windows(torch.zeros(1, 1, 99), 1, 100)
    with pytest.raises(AudioValueError, match="expected \\(batch, channels, time\\)"):
        random_windows(torch.zeros(1, 99), 1, 9)
    with pytest.raises(ConfigError, match="at least 1"):
        random_windows(torch.zeros(1, 1, 99), 1, 0)
    with pytest.raises(AudioValueError, match="have 199 frames; a crop has 200"):
        random_crops(numbered(1, 199), 1)
    with pytest.raises(AudioValueError, match="1100 frames; padded to 1024"):
        random_crops(numbered(1, 1100), 1, pad_to_frames=PUBLISHED_FRAMES)
    with pytest.raises(AudioValueError, match="expected \\(batch, channels, frames, mels\\)"):
        random_crops(numbered()[0], 1)
    with pytest.raises(ConfigError, match="at least 1"):
        random_crops(numbered(), 0)
