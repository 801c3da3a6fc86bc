"""Every form of audio that feature extractors take, and those they refuse."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import AudioValueError, SampleRateError
from spatial_audio_lm.features.audio_inputs import spatial_audios
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

WAVEFORM = 0.1 * np.random.default_rng(0).standard_normal((4, 1600)).astype(np.float32)


def test_all_forms_give_the_same(tmp_path: Path) -> None:
    known = SpatialAudio.from_array(WAVEFORM, 16_000)
    known.save(tmp_path / "clip.wav")
    forms = [
        known,
        WAVEFORM,
        torch.from_numpy(WAVEFORM),
        {"array": WAVEFORM, "sampling_rate": 16_000},
        {"array": WAVEFORM, "sampling_rate": 16_000, "format": "foa"},
        str(tmp_path / "clip.wav"),
        tmp_path / "clip.wav",
    ]
    for audio in [spatial_audios(form, 16_000)[0] for form in forms] + spatial_audios(forms, 16_000):
        assert (audio.format, audio.sample_rate) == ("foa", 16_000)
        assert np.abs(audio.waveform.numpy() - WAVEFORM).max() < 1e-6


def test_a_declared_format_is_converted() -> None:
    fuma = {"array": WAVEFORM, "sampling_rate": 16_000, "format": "foa_fuma"}
    assert np.allclose(spatial_audios(fuma)[0].waveform[0].numpy(), WAVEFORM[0] * 2**0.5, atol=1e-6)


@pytest.mark.parametrize(
    "audio, rate, error",
    [
        (WAVEFORM, None, SampleRateError),
        ({"array": WAVEFORM}, None, SampleRateError),
        (SpatialAudio.from_array(WAVEFORM, 16_000), 48_000, SampleRateError),
        ({"waveform": WAVEFORM}, 16_000, AudioValueError),
        ([], 16_000, AudioValueError),
        (7, 16_000, AudioValueError),
    ],
)
def test_what_is_no_audio_is_refused(audio: object, rate: int | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        spatial_audios(audio, rate)
