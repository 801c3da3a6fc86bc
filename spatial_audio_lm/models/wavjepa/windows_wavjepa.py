"""How a recording of any length becomes windows, and which frames of them count.

A window is what the encoder hears at once: 32159 samples, 200 frames of 15 ms, one every 10 ms. By default the last
window has the samples that are left, and nothing behind them is heard: not by the mean and deviation that a window is
brought to, not by the norm in the convolutions, not by attention. A rest of less than one frame is not heard at all.
Ten seconds are 995 frames.

The published code fills the last window with zeros before it takes mean and deviation, hears them in the convolutions,
and leaves out of attention and answer as many frames as the zeros have hops, which keeps one or two that hear zeros:
ten seconds are 996 frames. A clip that fills its windows has another one, of which no frame is kept.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from spatial_audio_lm.errors import AudioValueError
from spatial_audio_lm.layers.waveform_encoder import conv_frames
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig


@dataclass(frozen=True)
class WindowPlan:
    """What is heard of each clip of a batch.

    Args:
        samples: `(batch, windows)`, samples of each window that are heard; 0 where the clip has ended.
        frames: `(batch, windows)`, frames of each window that count.
        starts_s: `(batch, frames)`, where in the clip a frame begins.
    """

    samples: Tensor
    frames: Tensor
    starts_s: Tensor


def plan_windows(config: WavJEPAConfig, samples: Tensor, published: bool = False) -> WindowPlan:
    """Cuts clips into windows.

    Args:
        config: sizes of windows and frames.
        samples: `(batch,)`, samples of each clip.
        published: as the published code does.

    Raises:
        AudioValueError: a clip shorter than one frame.
    """
    size, rate = config.window_samples, config.sampling_rate
    if int(samples.min()) < config.receptive_field:
        raise AudioValueError(
            f"a recording has {int(samples.min())} samples, which make no frames; WavJEPA needs the "
            f"{config.receptive_field} samples ({1e3 * config.receptive_field / rate:g} ms) of one at least: give a "
            "longer recording"
        )
    first = torch.arange(0, int(samples.max()), size, device=samples.device)
    left = samples[:, None] - first
    if published:
        # In floating point as there: 0.29 s of zeros are 28 frames, not 29.
        zeros = (size - left).clamp(0, size).double() / rate * (rate / config.hop_samples)
        frames = (config.num_frames - zeros.long()).clamp(min=0) * (left > 0)
        heard = size * (frames > 0)
    else:
        heard = left.clamp(0, size)
        frames = conv_frames(heard, config.layers)
    place = torch.arange(int(frames.sum(1).max()), device=samples.device)
    if published:
        starts = place * (samples / rate / frames.sum(1))[:, None]  # stretched over the clip
    else:
        window, frame = place // config.num_frames, place % config.num_frames
        starts = ((window * size + frame * config.hop_samples) / rate).expand(len(samples), -1)
    return WindowPlan(heard, frames, starts)


def clip_samples(input_values: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Samples of each clip, `(batch,)`.

    Raises:
        AudioValueError: no tensor, a mask of another shape, or one that has not all its ones first.
    """
    batch, _, samples = input_values.shape
    if attention_mask is None:
        return torch.full((batch,), samples, device=input_values.device)
    if not isinstance(attention_mask, Tensor):
        raise AudioValueError(
            f"attention_mask is a {type(attention_mask).__name__}; expected a tensor (batch, samples), as "
            "WavJEPAFeatureExtractor gives with return_tensors='pt'"
        )
    mask = attention_mask.bool()
    if mask.shape != (batch, samples) or (mask[:, 1:] & ~mask[:, :-1]).any() or not mask[:, :1].all():
        raise AudioValueError(
            f"attention_mask has shape {tuple(mask.shape)} for {batch} clips of {samples} samples; expected "
            "(batch, samples) with 1 from the first sample to the end of each clip, then 0"
        )
    return mask.sum(1)


def require_finite(values: Tensor, samples: Tensor) -> None:
    """Refuses NaN and infinity in what is heard.

    Args:
        values: `(batch, channels, samples)`.
        samples: `(batch,)`, of each clip; what is behind them may be anything.

    Raises:
        AudioValueError: which sample of which clip.
    """
    least, most = values.detach().aminmax()  # NaN comes through
    if bool(least.isfinite() & most.isfinite()):
        return
    heard = torch.arange(values.shape[2], device=values.device) < samples[:, None]
    wrong = ((~values.isfinite()).any(1) & heard).nonzero()
    if len(wrong):
        clip, sample = wrong[0].tolist()
        raise AudioValueError(
            f"input_values has NaN or infinity at sample {sample} of clip {clip}; expected what "
            "WavJEPAFeatureExtractor gives of a recording without them"
        )


def require_no_published_padding(values: Tensor, samples: Tensor, size: int) -> None:
    """Refuses clips whose last window the feature extractor has filled up, of a model that was not told.

    Zeros that were in a window when its mean was taken off are one number other than 0, with a mean of 0 over all.

    Args:
        values: `(batch, channels, samples)`.
        samples: `(batch,)`, of each clip.
        size: samples of a window.

    Raises:
        AudioValueError: such a clip.
    """
    for clip, end in zip(values, samples.tolist(), strict=True):
        filled = -(-end // size) * size
        if end == filled or filled > clip.shape[1]:
            continue
        behind = clip[:, end:filled]
        if (
            bool((behind == behind[0, 0]).all() & (behind[0, 0] != 0))
            and clip[:, filled - size : filled].mean().abs() < 1e-3
        ):
            raise AudioValueError(
                "a clip's last window was filled up before its mean was taken off (published_padding of the feature "
                "extractor): give published_padding=True to the model too, or to neither"
            )


def passes_of(frames: Tensor, most: int) -> list[Tensor]:
    """Which windows go through the encoder together: whole ones first, then the others by their length.

    Args:
        frames: `(windows,)`, of each; those of 0 go through at no time.
        most: windows of a pass.
    """
    longest = int(frames.max())
    order = frames.argsort(descending=True, stable=True)
    whole = order[: int((frames == longest).sum())]
    rest = order[len(whole) : int((frames > 0).sum())]
    return [part for part in (*whole.split(most), *rest.split(most)) if len(part)]
