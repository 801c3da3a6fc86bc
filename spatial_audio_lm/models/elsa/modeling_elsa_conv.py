"""The compact semantic branch of ELSA: a small CNN on log-mel spectrograms of any length.

Clips of different length share a batch exactly: every layer's output is multiplied by the time mask, so behind the end
of a clip each convolution sees the zeros it would see at the border of that clip alone, and pools and means count
valid frames only. (In training mode batch normalisation counts the zeros as well: train on clips of one length.)
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from spatial_audio_lm.errors import AudioValueError
from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConvConfig


def valid_lengths(mask: Tensor | None) -> Tensor | None:
    """Valid frames of each clip from a right-padded mask `(batch, frames)`: `(batch,)`, or None without a mask."""
    return None if mask is None else mask.sum(-1).long()


def time_mask(lengths: Tensor, frames: int) -> Tensor:
    """Mask `(batch, 1, frames, 1)`, True on valid frames."""
    return (torch.arange(frames, device=lengths.device) < lengths[:, None])[:, None, :, None]


class MaskedConvLayer(nn.Module):
    """Convolution, batch normalisation, ReLU; frames behind the end of a clip become zero.

    Shape: `(batch, channels, frames, bands)` and lengths in, the same out (stride 2 halves both, rounding up).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = torch.relu(self.norm(self.conv(x)))
        if lengths is not None:
            lengths = (lengths - 1) // self.conv.stride[0] + 1
            x = x * time_mask(lengths, x.shape[2])
        return x, lengths


class MaskedConvStage(GradientCheckpointingLayer):
    """Some 3x3 layers, then a 2x2 average pool (but for the last stage), then channel dropout."""

    def __init__(self, in_channels: int, widths: list[int], pool: bool, dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(
            MaskedConvLayer(before, after) for before, after in zip([in_channels, *widths[:-1]], widths, strict=True)
        )
        self.pool = nn.AvgPool2d(2) if pool else None
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        for layer in self.layers:
            x, lengths = layer(x, lengths)
        if self.pool is not None:
            x = self.pool(x)
            if lengths is not None:
                # A pool window that hangs over the end of a clip does not exist for the clip alone.
                lengths = lengths // 2
                x = x * time_mask(lengths, x.shape[2])
        return self.dropout(x), lengths


def masked_time_mean(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Mean over valid frames of `(batch, frames, dim)` whose padding is zero: `(batch, dim)`."""
    if lengths is None:
        return x.mean(1)
    return x.sum(1) / lengths[:, None].to(x)


def check_frames(features: Tensor, lengths: Tensor | None, minimum: int) -> None:
    """Refuse clips too short for the pools of a CNN.

    Raises:
        AudioValueError: fewer than `minimum` frames.
    """
    shortest = features.shape[2] if lengths is None else int(lengths.min())
    if shortest < minimum:
        raise AudioValueError(
            f"a clip has {shortest} feature frames; this model needs {minimum} at least: "
            "use ElsaFeatureExtractor, which repeats short clips"
        )


def init_convolutional(module: nn.Module) -> None:
    """Initial weights of our own layers: Kaiming for convolutions, Glorot for linear layers, ones and zeros."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
        for name, buffer in module.named_buffers(recurse=False):
            nn.init.constant_(buffer, 1.0 if name == "running_var" else 0.0)


class ElsaConvModel(PreTrainedModel):
    """Log-mel spectrogram of W in, one vector out: convolutions, mean over bands, mean + maximum over time.

    The sum of mean and maximum is the pooling of PANNs (Kong et al., 2020): the mean hears steady sounds, the maximum
    a single event in a long clip.
    """

    config_class = ElsaConvConfig
    main_input_name = "input_features"
    supports_gradient_checkpointing = True
    _supports_sdpa = True  # there is no attention: any implementation will do
    _no_split_modules = ["MaskedConvStage"]  # noqa: RUF012

    def __init__(self, config: ElsaConvConfig):
        super().__init__(config)
        self.stem = MaskedConvLayer(1, config.stem_channels, kernel_size=5, stride=2)
        widths = [[config.stem_channels], *config.stage_channels]
        self.stages = nn.ModuleList(
            MaskedConvStage(before[-1], after, pool=index < len(widths) - 2, dropout=config.dropout)
            for index, (before, after) in enumerate(pairwise(widths))
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        init_convolutional(module)

    def forward(self, input_features: Tensor, attention_mask: Tensor | None = None) -> BaseModelOutputWithPooling:
        """Encode log-mel spectrograms.

        Args:
            input_features: `(batch, 1, frames, mels)`.
            attention_mask: `(batch, frames)`, 1 on valid frames, padding on the right.

        Returns:
            `last_hidden_state` `(batch, frames / 16, dim)` and `pooler_output` `(batch, dim)`.
        """
        lengths = valid_lengths(attention_mask)
        check_frames(input_features, lengths, 2 ** len(self.stages))
        x = input_features.to(self.stem.conv.weight.dtype)
        if lengths is not None:
            x = x * time_mask(lengths, x.shape[2])
        x, lengths = self.stem(x, lengths)
        # Convolutions over 16 and more channels are 2-3 times faster with channels last, most of all in bfloat16.
        x = x.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x, lengths = stage(x, lengths)
        hidden = x.mean(3).transpose(1, 2)
        # After a ReLU nothing is below zero, so the zeros of the padding cannot win the maximum.
        pooled = masked_time_mean(hidden, lengths) + hidden.amax(1)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)
