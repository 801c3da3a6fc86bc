"""The short-time Fourier transform, for any number of leading dimensions."""

from functools import lru_cache

import torch

from spatial_audio_lm.errors import AudioValueError, ConfigError


def stft(
    waveform: torch.Tensor,
    n_fft: int,
    hop_length: int,
    window: str | torch.Tensor = "hann",
    center: bool = True,
    pad_mode: str = "reflect",
) -> torch.Tensor:
    """Spectra of overlapping windows.

    With ``center`` the waveform is padded by ``n_fft // 2`` at both ends, so that frame ``i`` is centred on sample
    ``i * hop_length``; without it, frame ``i`` begins there and only whole frames are given.

    Args:
        waveform: ``(..., time)``, real.
        n_fft: Window length in samples.
        hop_length: Samples from one frame to the next.
        window: ``"hann"`` (periodic), or any window as ``(n_fft,)``.
        center: Whether frames are centred.
        pad_mode: How ``center`` pads: ``"reflect"`` or ``"constant"`` (zeros).

    Returns:
        ``(..., n_fft // 2 + 1, frames)``, complex; frames = ``1 + time // hop_length`` with ``center``, otherwise
        ``1 + (time - n_fft) // hop_length``.

    Raises:
        AudioValueError: The waveform is too short for one frame.
        ConfigError: A parameter out of range.
    """
    if n_fft < 2 or hop_length < 1:
        raise ConfigError(f"n_fft must be at least 2 and hop_length at least 1; got {n_fft} and {hop_length}")
    if isinstance(window, str):
        if window != "hann":
            raise ConfigError(f"window {window!r} is not known; expected 'hann' or a tensor of {n_fft} values")
        window = _hann(n_fft, waveform.dtype, waveform.device)
    time = waveform.shape[-1]
    # A reflection needs one sample more than it mirrors: the edge itself is not repeated.
    needed = (n_fft // 2 + 1 if pad_mode == "reflect" else 1) if center else n_fft
    if time < needed:
        raise AudioValueError(
            f"{time} samples are too few for a window of {n_fft}: at least {needed} are needed; pad it"
        )
    spectra = torch.stft(
        waveform.reshape(-1, time),
        n_fft,
        hop_length=hop_length,
        window=window,
        center=center,
        pad_mode=pad_mode,
        return_complex=True,
    )
    return spectra.reshape(*waveform.shape[:-1], *spectra.shape[-2:])


@lru_cache(maxsize=32)
def _hann(n_fft: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.hann_window(n_fft, periodic=True, dtype=torch.float64).to(device=device, dtype=dtype)
