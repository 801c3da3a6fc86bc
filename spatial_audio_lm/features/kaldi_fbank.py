"""Kaldi's log-mel filter bank ("fbank"), which AST and Audio-MAE hear through, without Kaldi or torchaudio.

    25 ms of samples ─► minus their mean ─► x[n] - 0.97 x[n-1] ─► Hann window ─► |FFT|² ─► mel triangles ─► log

Source: Povey et al., "The Kaldi Speech Recognition Toolkit" (2011), the program compute-fbank-feats; its options as
Audio-MAE's published code sets them: no dither, no energy, symmetric Hann window ("hanning"), whole frames only
("snip edges"). The samples are between -1 and 1 there, where Kaldi's own recipes have 16-bit numbers.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from spatial_audio_lm.errors import AudioValueError
from spatial_audio_lm.features.log_mel import cached_mel_filters

FRAME_MS, SHIFT_MS = 25, 10
PREEMPHASIS = 0.97
LOWEST_HZ = 20.0
POWER_FLOOR = torch.finfo(torch.float32).eps  # its logarithm, -15.94, is what silence gives


def frame_samples(sample_rate: int) -> tuple[int, int]:
    """Samples of a frame, and from one frame to the next: 400 and 160 at 16 kHz."""
    return sample_rate * FRAME_MS // 1000, sample_rate * SHIFT_MS // 1000


def kaldi_fbank(waveform: Tensor, sample_rate: int = 16_000, num_mels: int = 128) -> Tensor:
    """Natural logarithm of the power in mel bands from 20 Hz to half the rate.

    Computed in float32 also under autocast. A constant added to the waveform changes nothing, since each frame loses
    its mean: what published front ends do before (waveform - waveform.mean()) is done here already.

    Args:
        waveform: samples between -1 and 1, `(..., time)`.
        sample_rate: in Hz.
        num_mels: bands.

    Returns:
        `(..., frames, num_mels)` with `1 + (time - 400) // 160` frames at 16 kHz: only whole frames count.

    Raises:
        AudioValueError: shorter than one frame.
    """
    length, shift = frame_samples(sample_rate)
    time = waveform.shape[-1]
    if time < length:
        raise AudioValueError(f"{time} samples are too few for a frame of {length} ({FRAME_MS} ms); pad the waveform")
    n_fft = 1 << (length - 1).bit_length()  # the next power of two: the frame is filled with zeros
    with torch.autocast(waveform.device.type, enabled=False):
        frames = waveform.float().unfold(-1, length, shift)
        frames = frames - frames.mean(-1, keepdim=True)
        # The first sample of a frame has none before it and takes itself.
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = (frames - PREEMPHASIS * before) * _hanning(length, waveform.device)
        spectrum = torch.fft.rfft(F.pad(frames, (0, n_fft - length)))
        power = spectrum.real.square() + spectrum.imag.square()
        filters = cached_mel_filters(num_mels, n_fft, sample_rate, LOWEST_HZ, sample_rate / 2, "kaldi", None)
        return (power @ filters.to(power)).clamp(min=POWER_FLOOR).log()


@lru_cache(maxsize=8)
def _hanning(length: int, device: torch.device) -> Tensor:
    return torch.hann_window(length, periodic=False, dtype=torch.float64).to(device=device, dtype=torch.float32)
