"""Mixing by physics: convolution against scipy in float64, levels, fades, and a ratio that is measured as asked for."""

import math

import numpy as np
import pytest
import scipy.signal
import torch

from spatial_audio_lm.errors import AudioValueError, ChannelError, ConfigError
from spatial_audio_lm.simulation.naturalistic_mixing import convolve, faded, level_normalised, mix, noise_in_scene

RATE = 8000


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def room(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A decaying response."""
    return noise(*shape, seed=seed, dtype=dtype) * torch.exp(-5 * torch.linspace(0, 1, shape[-1], dtype=dtype))


@pytest.mark.parametrize("time, taps", [(5000, 1), (40_000, 3000), (40_000, 12_000), (100_003, 20_011), (700, 700)])
def test_convolution_is_that_of_scipy(time: int, taps: int) -> None:
    signal, response = noise(3, 1, time, dtype=torch.float64), room(3, 2, taps, seed=1, dtype=torch.float64)
    expected = scipy.signal.fftconvolve(signal.numpy(), response.numpy(), axes=-1)[..., :time]
    np.testing.assert_allclose(convolve(signal, response).numpy(), expected, atol=1e-11)
    # The way of GPUs, and of gradients.
    np.testing.assert_allclose(convolve(signal.clone().requires_grad_(), response).detach(), expected, atol=1e-11)
    single = convolve(signal.float(), response.float()).numpy()
    np.testing.assert_allclose(single, expected, atol=2e-6 * np.abs(expected).max())


def test_an_impulse_comes_back_as_the_response_and_a_late_one_is_cut() -> None:
    signal, response = torch.zeros(2, 50_000, dtype=torch.float64), room(2, 9000, dtype=torch.float64)
    signal[0, 0], signal[1, 45_000] = 1.0, 1.0
    wet = convolve(signal, response)
    torch.testing.assert_close(wet[0, :9000], response[0], atol=1e-13, rtol=0)
    torch.testing.assert_close(wet[1, 45_000:], response[1, :5000], atol=1e-13, rtol=0)
    assert wet[0, 9000:].abs().max() < 1e-13 and wet[1, :45_000].abs().max() < 1e-13


def test_level_is_that_of_the_clip_itself_and_silence_stays() -> None:
    clips = torch.stack([0.01 * noise(4000), 3.0 * noise(4000, seed=1), torch.zeros(4000)])
    level = 20 * level_normalised(clips, -14.0).double().square().mean(-1).sqrt().log10()
    assert level[:2].tolist() == pytest.approx([-14.0, -14.0], abs=1e-5) and level[2] == -math.inf


def test_fades_are_linear_from_zero_to_one() -> None:
    both = faded(torch.ones(2, 100), 11)
    torch.testing.assert_close(both[1, :11], torch.linspace(0, 1, 11))
    torch.testing.assert_close(both[0, -11:], torch.linspace(1, 0, 11))
    assert (both[:, 11:-11] == 1).all()
    assert (faded(torch.ones(100), 11, fade_in=False)[:89] == 1).all()
    short = faded(torch.ones(5), 11)  # shorter than a fade: both at once, and still zero at the ends
    assert short[0] == short[-1] == 0 and short[2] == 0.25


def test_a_short_noise_is_faded_and_placed() -> None:
    placed = noise_in_scene(torch.ones(1000), 5000, begin=700, crop=0, fade_samples=100)
    assert placed.shape == (5000,) and not placed[:701].any() and not placed[1699:].any()
    assert (placed[800:1600] == 1).all() and 0 < placed[750] < 1


def test_a_long_noise_is_cropped_and_only_faded_out() -> None:
    ramp = torch.arange(6000.0)
    placed = noise_in_scene(ramp, 5000, begin=0, crop=900, fade_samples=100)
    assert torch.equal(placed[:4900], ramp[900:5800]) and placed[-1] == 0


@pytest.mark.parametrize("begin, crop", [(4001, 0), (-1, 0), (0, 1)])
def test_noise_that_is_not_inside_is_refused(begin: int, crop: int) -> None:
    with pytest.raises(AudioValueError, match="not inside"):
        noise_in_scene(torch.ones(1000), 5000, begin, crop, 100)


def ingredients(batch: int = 3, channels: int = 2, time: int = 3 * RATE) -> tuple[torch.Tensor, ...]:
    clip, target_rir = noise(batch, time, seed=2), room(batch, channels, 2000, seed=3)
    noise_rir = room(batch, channels, 2000, seed=4) * torch.tensor([1.0, 0.2, 3.0, 0.5])[:channels, None]
    heard = torch.stack([noise_in_scene(noise(RATE, seed=5), time, 100 + 5000 * row, 0, 800) for row in range(batch)])
    return clip, target_rir, heard, noise_rir


def measured_db(target: torch.Tensor, noise: torch.Tensor, dim: tuple[int, ...]) -> torch.Tensor:
    return 10 * (target.double().square().sum(dim) / noise.double().square().sum(dim)).log10()


@pytest.mark.parametrize("channels", [2, 4])
def test_ratio_over_all_channels_and_the_span_of_the_noise(channels: int) -> None:
    clip, target_rir, heard, noise_rir = ingredients(channels=channels)
    asked, spans = torch.tensor([5.0, 17.5, 40.0]), [(100 + 5000 * row, 100 + 5000 * row + RATE) for row in range(3)]
    made = mix(clip, target_rir, heard, noise_rir, asked, spans)
    added = made.scene - made.target
    for row, (first, last) in enumerate(spans):
        ratio = measured_db(made.target[row, :, first:last], added[row, :, first:last], (0, 1))
        assert float(ratio) == pytest.approx(float(asked[row]), abs=2e-3)
    # One gain for all channels: the noise keeps the differences between them.
    plain = convolve(heard[:, None], noise_rir)
    level = (added.square().sum(-1) / plain.square().sum(-1)).sqrt()
    torch.testing.assert_close(level, level[:, :1].expand_as(level), atol=0, rtol=1e-3)


def test_the_older_ratio_is_each_channels_own_over_the_whole_clip() -> None:
    clip, target_rir, heard, noise_rir = ingredients(channels=4)
    made = mix(clip, target_rir, heard, noise_rir, torch.tensor([5.0, 10.0, 20.0]), [(0, 1)] * 3, "each_channel")
    ratio = measured_db(made.target, made.scene - made.target, (-1,))
    expected = torch.tensor([5.0, 10.0, 20.0], dtype=torch.float64)[:, None].expand(3, 4)
    torch.testing.assert_close(ratio, expected, atol=2e-3, rtol=0)


def test_mixture_is_linear_in_the_level_and_in_the_places() -> None:
    clip, target_rir, heard, noise_rir = (part.double() for part in ingredients())
    asked, spans = torch.tensor([5.0, 17.5, 40.0]), [(0, 3 * RATE)] * 3
    made = mix(clip, target_rir, heard, noise_rir, asked, spans)
    # A louder noise changes nothing, a louder clip scales the scene: the ratio is what is asked for.
    torch.testing.assert_close(mix(clip, target_rir, 7 * heard, noise_rir, asked, spans).scene, made.scene)
    torch.testing.assert_close(mix(2 * clip, target_rir, heard, noise_rir, asked, spans).scene, 2 * made.scene)
    places = torch.stack([room(3, 2, 2000, seed=seed, dtype=torch.float64) for seed in (6, 7, 8)])
    together = mix(clip, target_rir, heard, places.sum(0), asked, spans).noise
    torch.testing.assert_close(together, sum(convolve(heard[:, None], place) for place in places))


def test_a_batch_is_its_scenes_to_the_bit() -> None:
    clip, target_rir, heard, noise_rir = ingredients()
    asked, spans = torch.tensor([5.0, 17.5, 40.0]), [(100, 9000), (0, 3 * RATE), (5000, 5500)]
    together = mix(clip, target_rir, heard, noise_rir, asked, spans).scene
    for row in range(3):
        one = slice(row, row + 1)
        alone = mix(clip[one], target_rir[one], heard[one], noise_rir[one], asked[one], spans[one]).scene
        assert torch.equal(alone[0], together[row])


def test_threads_do_not_change_a_bit() -> None:
    parts, threads, made = ingredients(channels=4), torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            asked = torch.tensor([5.0, 17.5, 40.0])
            level = level_normalised(parts[0])
            made.append(mix(level, *parts[1:], asked, [(100, 9000), (0, 3 * RATE), (5000, 5500)]).scene)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(made[0], made[1]) and torch.equal(made[0], made[2])


def test_gradients_reach_the_clip() -> None:
    clip, target_rir, heard, noise_rir = ingredients()
    clip.requires_grad_()
    mix(clip, target_rir, heard, noise_rir, torch.full((3,), 10.0), [(0, 3 * RATE)] * 3).scene.square().sum().backward()
    assert clip.grad is not None and clip.grad.isfinite().all() and clip.grad.abs().sum() > 0


def test_bad_input_is_named() -> None:
    clip, target_rir, heard, noise_rir = ingredients()
    asked, spans = torch.full((3,), 10.0), [(0, 3 * RATE)] * 3
    with pytest.raises(AudioValueError, match=r"a response of 24001 samples for a clip of 24000.*duration_s"):
        mix(clip, room(3, 2, 24_001), heard, noise_rir, asked, spans)
    with pytest.raises(ChannelError, match="as many channels in both"):
        mix(clip, target_rir, heard, room(3, 4, 2000), asked, spans)
    with pytest.raises(ChannelError, match="dry clips have one channel"):
        mix(clip[:, None], target_rir, heard, noise_rir, asked, spans)
    with pytest.raises(ConfigError, match="snr_over"):
        mix(clip, target_rir, heard, noise_rir, asked, spans, "per_clip")  # type: ignore[arg-type]
    silent = heard.clone()
    silent[1] = 0
    with pytest.raises(AudioValueError, match="scene 1 of the batch: the energy of its noise is 0"):
        mix(clip, target_rir, silent, noise_rir, asked, spans)
    with pytest.raises(AudioValueError, match="scene 0 of the batch: the energy of its target is 0"):
        mix(torch.zeros_like(clip), target_rir, heard, noise_rir, asked, spans)
    broken = clip.clone()
    broken[2, 5] = math.nan
    with pytest.raises(AudioValueError, match="scene 2 of the batch: the energy of its target is nan"):
        mix(broken, target_rir, heard, noise_rir, asked, spans)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_mixes_the_same() -> None:
    parts = ingredients()
    asked, spans = torch.tensor([5.0, 17.5, 40.0]), [(100, 9000), (0, 3 * RATE), (5000, 5500)]
    here = mix(*parts, asked, spans).scene
    there = mix(*(part.cuda() for part in parts), asked.cuda(), spans).scene
    assert there.is_cuda
    torch.testing.assert_close(there.cpu(), here, atol=1e-5 * float(here.abs().max()), rtol=0)
