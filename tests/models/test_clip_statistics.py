"""Statistics of a clip as a whole: energies are averaged, not angles."""

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.interaural import interaural_features
from spatial_audio_lm.features.log_mel import cached_mel_filters
from spatial_audio_lm.layers.clip_statistics import ClipStatistics
from spatial_audio_lm.models.dspast.configuration_dspast import DSpASTConfig
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization
from spatial_audio_lm.signal.stft import stft
from tests.models.model_cases import SMALL_BINAURAL, SMALL_DSPAST, noise

RATE, N_FFT, HOP, MELS = 16_000, 512, 320, 64
NAMES = ["log_mel", "gcc_phat", "coherence"]
FILTERS = cached_mel_filters(MELS, N_FFT, RATE, 50.0, 8_000.0)


def statistics(ears: torch.Tensor) -> torch.Tensor:
    """Of one clip `(2, time)`: `(2 weightings, 5 values, mels)`."""
    maps = interaural_features(stft(ears[None], N_FFT, HOP), NAMES, FILTERS)
    return ClipStatistics(MELS, 3)(maps)[0].unflatten(0, (2, 5, MELS))


def test_levels_and_coherence_are_those_of_the_transfer_between_the_ears() -> None:
    source = 0.1 * noise(0, 32_000)
    ears = torch.stack([source, 0.5 * source])
    found = statistics(ears)
    expected = torch.tensor([2 * np.log10(2.0), 1.0, 0.0, 1.0])
    for weighting in found:
        torch.testing.assert_close(weighting[:4], expected[:, None].expand(4, MELS).float(), atol=2e-3, rtol=0)
    later = statistics(
        torch.stack([source[4:], source[:-4]])
    )  # 4 samples later on the right: a quarter of a turn at 1 kHz
    centres = (FILTERS * torch.arange(257)[:, None] * RATE / N_FFT).sum(0) / FILTERS.sum(0)
    at = int((centres - 1000).abs().argmin())
    assert abs(later[0, 1, at]) < 0.1 and later[0, 2, at] < -0.98


def test_a_pause_in_which_only_noise_is_heard_changes_little_and_no_level_matters() -> None:
    source = 0.1 * noise(1, 16_000)
    ears = torch.stack([source, 0.3 * source])
    hiss = 1e-3 * noise(2, 2, 32_000)
    paused = torch.cat([ears, torch.zeros(2, 16_000)], dim=1) + hiss
    found, alone = statistics(paused), statistics(ears)
    assert (found[0, 0] - alone[0, 0]).abs().max() < 0.05  # half a decibel
    torch.testing.assert_close(statistics(1e-3 * paused), found, atol=2e-3, rtol=0)


def test_rises_hear_the_first_wave_front() -> None:
    source = 0.1 * noise(3, 3_200) * torch.hann_window(3_200, periodic=False)
    direct = torch.stack([source, 0.2 * source])
    reflection = torch.stack([0.2 * source, source])  # from the other side, as loud, a fifth of a second later
    ears = torch.zeros(2, 16_000)
    ears[:, 3_200:6_400] += direct
    ears[:, 5_440:8_640] += 0.9 * reflection
    everything, rises = statistics(ears)[:, 0].mean(1)
    assert rises > everything + 0.2
    assert everything.abs() < 0.25


def test_silence_is_finite() -> None:
    assert statistics(torch.zeros(2, 16_000)).isfinite().all()
    one = statistics(torch.stack([noise(4, 16_000), torch.zeros(16_000)]))
    assert one.isfinite().all() and (one[0, 3] < 1e-3).all()


@pytest.mark.parametrize(
    ("config", "model", "small"),
    [
        (DSpASTConfig, DSpASTForSoundEventLocalization, SMALL_DSPAST),
        (SpatialASTConfig, SpatialASTForSoundEventLocalization, SMALL_BINAURAL),
    ],
)
def test_models_hear_them_if_told_so(config: type, model: type, small: dict, tmp_path) -> None:
    features = ["log_mel", "phase_difference", "coherence"]
    settings = small | {"features": features, "readout": "pooled", "clip_statistics": True, "readout_dropout": 0.2}
    torch.manual_seed(0)
    built = model(config(**settings)).train()
    maps = noise(5, 4, 6, 32, 16)
    maps[:, 4:] *= 0.5
    built(maps)  # the norms see a batch
    built.eval().save_pretrained(tmp_path)
    again = model.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        first = built(maps)
        torch.testing.assert_close(again(maps).event_logits, first.event_logits, atol=0, rtol=0)
    assert built.clip_statistics.size == 10 * 16 and not list(built.clip_statistics.parameters())
    for wrong in ({"readout": "cls"}, {"features": ["log_mel", "phase_difference"]}):
        with pytest.raises(ConfigError, match="clip_statistics"):
            config(**(settings | wrong))
    with pytest.raises(ConfigError, match="readout_dropout"):
        config(**(settings | {"readout_dropout": 1.0}))
