"""The sound of a naturalistic scene: a clip in a room, and noise from places of that room at a given level below it.

GRAM's recipe (paper section 3; where its published code differs, the function says so), as functions of tensors:
batched, in any floating type, on the device their tensors live on.

Noise from several places at once is *one* noise clip that sounds at all of them, as in the published code (the paper
can be read as if there were several clips). Convolution is linear, so the responses of the places are summed first, and
any number of places costs one convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import scipy.fft
import torch
from torch import Tensor
from torch.nn.functional import pad

from spatial_audio_lm.errors import AudioValueError, ChannelError, ConfigError

LEVEL_DBFS, FADE_S = -14.0, 0.2  # of GRAM
SnrOver = Literal["all_channels", "each_channel"]
SNR_OVER = ("all_channels", "each_channel")

_SUMMED = 1024  # samples
_LEAST_BLOCK = 32_768  # samples: shorter transforms gain nothing more
_ENERGY_FLOOR = 1e-9  # beside the noise's energy, as published


@dataclass(frozen=True)
class Mixture:
    """A batch of scenes and what they are made of, all `(batch, channels, time)`; `gain` `(batch, channels or 1, 1)`.

    `scene` is `target + gain * noise`.
    """

    scene: Tensor
    target: Tensor
    noise: Tensor
    gain: Tensor


def level_normalised(waveform: Tensor, level_dbfs: float = LEVEL_DBFS) -> Tensor:
    """Each clip at a level: 20 log10 of the root mean square over its own length, before any padding.

    Args:
        waveform: `(..., time)`. A silent clip stays as it is.
        level_dbfs: of the result.
    """
    rms = (_sum_of_squares(waveform) / waveform.shape[-1]).sqrt()[..., None]
    gain = torch.where(rms > 0, 10 ** (level_dbfs / 20) / rms, 1.0)
    return waveform * gain.to(waveform.dtype)


def faded(waveform: Tensor, num_samples: int, fade_in: bool = True, fade_out: bool = True) -> Tensor:
    """Linear fades, from 0 to 1 inclusive.

    Args:
        waveform: `(..., time)`.
        num_samples: of a fade; all of the waveform where that is shorter (the published code fails there).
        fade_in: at the beginning.
        fade_out: at the end.
    """
    length = min(num_samples, waveform.shape[-1])
    ramp = torch.linspace(0.0, 1.0, length, dtype=waveform.dtype, device=waveform.device)
    result = waveform.clone()
    if fade_in:
        result[..., :length] *= ramp
    if fade_out:
        result[..., waveform.shape[-1] - length :] *= ramp.flip(0)
    return result


def noise_in_scene(noise: Tensor, scene_samples: int, begin: int, crop: int, fade_samples: int) -> Tensor:
    """A dry noise clip as a scene hears it, before the room.

    One that is longer than the scene gives a part of it, faded out only, as published. A shorter one is faded at both
    ends, then placed in silence.

    Args:
        noise: `(time,)`.
        scene_samples: length of the scene.
        begin: sample of the scene at which a shorter noise begins; 0 for a longer one.
        crop: first sample of a longer noise that is heard; 0 for a shorter one.
        fade_samples: of a fade.

    Returns:
        `(scene_samples,)`.

    Raises:
        AudioValueError: the part is not inside of the noise, or the noise not inside of the scene.
    """
    length = min(noise.shape[-1], scene_samples)
    if not 0 <= crop <= noise.shape[-1] - length or not 0 <= begin <= scene_samples - length:
        raise AudioValueError(
            f"noise of {noise.shape[-1]} samples from its sample {crop} on, at sample {begin} of a scene of "
            f"{scene_samples}: one of the two is not inside"
        )
    part = faded(noise[crop : crop + length], fade_samples, fade_in=noise.shape[-1] <= scene_samples)
    return pad(part, (begin, scene_samples - begin - length))


def convolve(signal: Tensor, response: Tensor) -> Tensor:
    """Linear convolution, cut to the signal's length, by FFT in overlapping blocks.

    Blocks of about three responses: their transforms stay in the processor's cache, and that of the response is one
    block, where one transform of the whole signal would pad the response to its length.

    Args:
        signal: `(..., time)`.
        response: `(..., taps)`; leading dimensions broadcast.

    Returns:
        `(..., time)`.

    Raises:
        AudioValueError: the response is longer than the signal, or one of them is empty.
    """
    time, taps = signal.shape[-1], response.shape[-1]
    if not 0 < taps <= time:
        raise AudioValueError(
            f"a response of {taps} samples for a clip of {time}: expected a response no longer than the clip: cut it, "
            "or make longer scenes (duration_s)"
        )
    # A prime length, which n1 + n2 - 1 often is, takes many times as long as the next fast one.
    block = scipy.fft.next_fast_len(min(max(3 * taps, _LEAST_BLOCK), time + taps - 1), real=True)
    hop = block - taps + 1
    blocks = -(-time // hop)
    frames = pad(signal, (taps - 1, blocks * hop - time)).unfold(-1, block, hop)
    # The first taps - 1 samples of a block are wrapped around from its end: the block before has them right.
    return _filtered(frames, response)[..., taps - 1 :].flatten(-2)[..., :time]


def mix(
    clip: Tensor,
    target_rir: Tensor,
    noise: Tensor,
    noise_rir: Tensor,
    snr_db: Tensor,
    active: Sequence[tuple[int, int]],
    snr_over: SnrOver = "all_channels",
) -> Mixture:
    """Scenes of clips and noise in rooms.

    The gain of the noise is `sqrt(E_target / (E_noise + 1e-9) / 10^(SNR / 10))` with the energies behind the room:

    - "all_channels": over all channels and the span in which the noise is active; one gain, so that the differences
      between channels, which carry the noise's direction, stay (the published code since February 2026).
    - "each_channel": over the whole clip, a gain for each channel; it makes the noise as loud in every channel as the
      target is there, whatever its direction (the published code before; what the paper's models were trained on).

    Args:
        clip: `(batch, time)`, dry.
        target_rir: `(batch, channels, taps)`.
        noise: `(batch, time)`, dry, from `noise_in_scene`.
        noise_rir: `(batch, channels, taps)`, the sum over the places of the noise.
        snr_db: `(batch,)`.
        active: first sample of each noise, and the one after its last (before the room).
        snr_over: see above.

    Raises:
        ConfigError: another `snr_over`.
        ChannelError: shapes that do not fit.
        AudioValueError: a response longer than the clip; silence, NaN or infinity where a ratio is asked for.
    """
    if snr_over not in SNR_OVER:
        raise ConfigError(f"snr_over is {snr_over!r}; one of {SNR_OVER} is wanted")
    shapes = {"target_rir": target_rir, "noise_rir": noise_rir}
    if clip.ndim != 2 or clip.shape != noise.shape or not len(clip) == len(active) == len(snr_db):
        raise ChannelError(
            f"clip {tuple(clip.shape)}, noise {tuple(noise.shape)}, snr_db {tuple(snr_db.shape)}, {len(active)} spans: "
            "expected (batch, time) twice, and a number and a span for each: dry clips have one channel"
        )
    if any(rir.ndim != 3 or rir.shape[:2] != (len(clip), target_rir.shape[1]) for rir in shapes.values()):
        raise ChannelError(
            f"{' and '.join(f'{name} {tuple(rir.shape)}' for name, rir in shapes.items())} for {len(clip)} clips: "
            "expected (batch, channels, taps) with as many channels in both; sum the places of the noise first"
        )
    target = convolve(clip[:, None], target_rir)
    heard = convolve(noise[:, None], noise_rir)
    if snr_over == "all_channels":
        energies = [_energy(part, active).sum(-1, keepdim=True) for part in (target, heard)]
    else:
        energies = [_energy(part, [(0, clip.shape[-1])] * len(clip)) for part in (target, heard)]
    _require_sound(energies[0], "target")
    _require_sound(energies[1], "noise")
    ratio = 10 ** (snr_db.to(energies[0]) / 10)[:, None]
    gain = (energies[0] / (energies[1] + _ENERGY_FLOOR) / ratio).sqrt().to(target.dtype)[..., None]
    return Mixture(torch.addcmul(target, gain, heard), target, heard, gain)


def _filtered(frames: Tensor, response: Tensor) -> Tensor:
    """Circular convolution of each block, `(..., blocks, block)`, with a response `(..., taps)`."""
    block = frames.shape[-1]
    if frames.device.type != "cpu" or frames.requires_grad or response.requires_grad:
        return torch.fft.irfft(torch.fft.rfft(frames) * torch.fft.rfft(response, block)[..., None, :], block)
    # On a CPU the last bits of torch's transforms and complex products depend on the number of threads and on how many
    # are made at once. Those of scipy and numpy are always the same, and they are as fast.
    spectrum = scipy.fft.rfft(frames.numpy()) * scipy.fft.rfft(response.numpy(), block)[..., None, :]
    return torch.from_numpy(scipy.fft.irfft(spectrum, block))


def _energy(waveform: Tensor, spans: Sequence[tuple[int, int]]) -> Tensor:
    """Energy of each scene's span, `(batch, channels)`, in float64."""
    parts = [row[:, first:last] for row, (first, last) in zip(waveform, spans, strict=True)]
    return torch.stack([_sum_of_squares(part) for part in parts])


def _sum_of_squares(waveform: Tensor) -> Tensor:
    """Over the last dimension, in float64. In blocks: threads would share one long sum, to other last bits."""
    blocks = pad(waveform, (0, -waveform.shape[-1] % _SUMMED)).unflatten(-1, (-1, _SUMMED))
    return blocks.square().sum(-1, dtype=torch.float64).sum(-1)


def _require_sound(energy: Tensor, what: str) -> None:
    good = (energy > 0) & energy.isfinite()
    if not good.all():
        scene = int((~good).any(-1).nonzero()[0])
        values = energy[scene].tolist()
        raise AudioValueError(
            f"scene {scene} of the batch: the energy of its {what} is {values if len(values) > 1 else values[0]}; a "
            "signal-to-noise ratio needs sound and finite numbers: leave silent clips and damaged files out"
        )
