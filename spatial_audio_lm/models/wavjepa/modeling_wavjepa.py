"""WavJEPA (Yuksel, van Gerven, van der Heijden 2025) and, with two channels, WavJEPA-Nat: the encoder.

    waveform ─► windows of 2 s ─► convolutions (a stack for each channel) ─► norm ─► linear ─► + positions
                [frames of the left ear | frames of the right ear] ─► 12 post-norm blocks ─► norm ─► embeddings

Target encoder and predictor, which only pre-training needs, are in modeling_wavjepa_pretraining.py.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.layers.post_norm import PostNormStack
from spatial_audio_lm.layers.waveform_encoder import WaveformEncoder
from spatial_audio_lm.layers.whole_weights import WholeWeights
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig
from spatial_audio_lm.models.wavjepa.positions_wavjepa import FramePositions
from spatial_audio_lm.models.wavjepa.windows_wavjepa import (
    WindowPlan,
    clip_samples,
    passes_of,
    plan_windows,
    require_finite,
    require_no_published_padding,
)


@dataclass
class WavJEPAOutput(ModelOutput):
    """What WavJEPA hears in a batch of clips; embeddings are float32.

    Args:
        last_hidden_state: `(batch, channels, frames, hidden_size)`, after the last norm. Zero behind a clip's end.
        frame_embeddings: `(batch, frames, hidden_size)`, mean over the channels.
        frame_mask: `(batch, frames)`, bool: frames of the clip.
        timestamps_s: `(batch, frames)`, where in the clip a frame begins.
        scene_mean: `(batch, hidden_size)`, mean over the frames of all channels.
        scene_channels: `(batch, channels * hidden_size)`, means over the frames of each channel, side by side.
        hidden_states: like `last_hidden_state`, before and after every block, without the last norm.
    """

    last_hidden_state: Tensor
    frame_embeddings: Tensor | None = None
    frame_mask: Tensor | None = None
    timestamps_s: Tensor | None = None
    scene_mean: Tensor | None = None
    scene_channels: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class WavJEPAPreTrainedModel(WholeWeights):
    """Configuration, initial weights and abilities of WavJEPA."""

    config_class = WavJEPAConfig
    base_model_prefix = "wavjepa"
    main_input_name = "input_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["PostNormBlock", "WaveformEncoder"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if callable(reset := getattr(module, "reset", None)):
            reset()
        elif isinstance(module, nn.Conv1d):
            init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=0.02)  # the published code cuts it at 2, a hundred deviations
            init.zeros_(module.bias)
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)


class WavJEPAModel(WavJEPAPreTrainedModel):
    """The encoder: waveforms of any length to embeddings of moments and of the whole clip."""

    # Of a pre-trained model, and not needed.
    _keys_to_ignore_on_load_unexpected = [r"^(target_encoder|predictor)\."]  # noqa: RUF012

    def __init__(self, config: WavJEPAConfig):
        super().__init__(config)
        self.waveform_encoders = nn.ModuleList(WaveformEncoder(config.layers) for _ in range(config.num_channels))
        width = config.layers[-1][0]
        self.feature_norm = nn.LayerNorm(width, eps=config.final_norm_eps)
        self.projection = nn.Linear(width, config.hidden_size)
        self.positions = FramePositions(config.num_channels, config.num_frames, config.hidden_size)
        self.encoder = encoder_stack(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.projection

    def convolved(self, windows: Tensor, samples: Tensor | None = None) -> Tensor:
        """What the convolutions make of windows.

        Args:
            windows: `(windows, channels, samples)`, each brought to mean 0 and deviation 1.
            samples: `(windows,)`, how many samples are a window's own; None: all.

        Returns:
            `(windows, channels, frames, conv channels)`.
        """
        windows = windows.to(self.projection.weight.dtype)
        if len(windows) > 1 and windows.device.type == "cpu" and not torch.is_grad_enabled():
            # One by one, which is no slower: the first convolution makes a hundred numbers of each sample.
            own = [None] * len(windows) if samples is None else samples.split(1)
            return torch.cat([self.convolved(*one) for one in zip(windows.split(1), own, strict=True)])
        heard = [encoder(windows[:, channel], samples) for channel, encoder in enumerate(self.waveform_encoders)]
        return torch.stack(heard, dim=1)

    def embedded(self, windows: Tensor, samples: Tensor | None = None) -> Tensor:
        """Windows, as in `convolved`, as frames with their positions: `(windows, channels, frames, hidden_size)`."""
        return self.positions(self.projection(self.feature_norm(self.convolved(windows, samples))))

    def require_values(self, input_values: Tensor) -> None:
        """Refuses what are no waveforms `(batch, channels, samples)`.

        Raises:
            AudioValueError: no tensor of floating-point numbers, an empty batch, or a shape that does not fit the
                configuration.
        """
        if not isinstance(input_values, Tensor) or not input_values.is_floating_point():
            found = input_values.dtype if isinstance(input_values, Tensor) else type(input_values).__name__
            raise AudioValueError(
                f"input_values is of {found}; expected a tensor of floating-point numbers, as WavJEPAFeatureExtractor "
                "gives with return_tensors='pt'"
            )
        shape = tuple(input_values.shape)
        if len(shape) != 3 or shape[1] != self.config.num_channels:
            raise AudioValueError(
                f"input_values has shape {shape}; expected (batch, {self.config.num_channels}, samples): use "
                "WavJEPAFeatureExtractor.for_model(model.config)"
            )
        if not shape[0]:
            raise AudioValueError(f"input_values has shape {shape}, which is no clip; expected one or more")

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        published_padding: bool = False,
        windows_at_once: int = 8,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> WavJEPAOutput | tuple[Any, ...]:
        """Embeddings of a batch of clips.

        Args:
            input_values: of `WavJEPAFeatureExtractor`, `(batch, channels, samples)`.
            attention_mask: `(batch, samples)`: 1 up to the end of each clip, then 0. None: all samples count.
            published_padding: treat the end of a clip as the published code does (see windows_wavjepa.py), of values
                that the feature extractor was asked for in the same way.
            windows_at_once: windows that go through the encoder together; bounds the memory that is needed besides that
                of the answer.
            output_hidden_states: also give the tokens before and after every block; None: as the configuration says.
            return_dict: False: a tuple. None: as the configuration says.

        Raises:
            AudioValueError: values of another kind or shape, or not finite, a mask that is none, a clip shorter than
                one frame, or one that was filled up for `published_padding` without it.
            ConfigError: fewer than one window at once, or no whole number of them.
        """
        if type(windows_at_once) is not int or windows_at_once < 1:
            raise ConfigError(f"windows_at_once is {windows_at_once!r}; expected a whole number of 1 or more")
        keep_all = bool(self.config.output_hidden_states if output_hidden_states is None else output_hidden_states)
        as_tuple = not (self.config.return_dict if return_dict is None else return_dict)
        self.require_values(input_values)
        size = self.config.window_samples
        samples = clip_samples(input_values, attention_mask)
        plan = plan_windows(self.config, samples, published_padding)
        require_finite(input_values, plan.samples.sum(1))
        if not published_padding:
            require_no_published_padding(input_values, samples, size)
        count = plan.samples.shape[1]
        if published_padding and input_values.shape[2] < count * size:
            raise AudioValueError(
                f"input_values has {input_values.shape[2]} samples; published padding hears {count} whole windows of "
                f"{size}: ask the feature extractor for published_padding too, and give its attention_mask"
            )
        values = F.pad(input_values, (0, count * size - input_values.shape[2])).unflatten(2, (count, size))
        states = self._heard(values.transpose(1, 2).flatten(0, 1), plan, windows_at_once, keep_all)
        outputs = self._embeddings(states, plan, keep_all)
        return outputs.to_tuple() if as_tuple else outputs

    def _heard(self, windows: Tensor, plan: WindowPlan, at_once: int, keep_all: bool) -> list[Tensor]:
        """All windows `(windows, channels, samples)` through the encoder, some at a time.

        Returns:
            Tensors `(windows, channels, frames, hidden_size)`, zero where nothing was heard: the last, then all others.
        """
        samples, frames = plan.samples.flatten(), plan.frames.flatten()
        results: list[Tensor] = []
        for members in passes_of(frames, at_once):
            own, counts = samples[members], frames[members]
            x = windows[members, :, : int(own.max())]
            if bool((own == own[0]).all()):
                x = self.embedded(x)
            else:
                behind = torch.arange(x.shape[2], device=x.device) >= own[:, None]
                x = self.embedded(x.masked_fill(behind[:, None], 0.0), own)
            x = x[:, :, : int(counts.max())]
            channels, most = x.shape[1:3]
            heard = torch.arange(most, device=x.device) < counts[:, None]
            keys = None if bool(heard.all()) else heard.repeat(1, channels)
            last, states = self.encoder(x.flatten(1, 2), self.eager, keys, keep_all)
            for index, state in enumerate((last, *states)):
                state = state.unflatten(1, (channels, most)) * heard[:, None, :, None]
                whole = F.pad(state, (0, 0, 0, self.config.num_frames - most))
                if index == len(results):
                    results.append(whole.new_zeros(len(windows), *whole.shape[1:]))
                results[index] = results[index].index_copy(0, members, whole)
        return results

    @property
    def eager(self) -> bool:
        """Whether attention is written out instead of left to SDPA."""
        return self.config._attn_implementation == "eager"

    def _embeddings(self, states: list[Tensor], plan: WindowPlan, keep_all: bool) -> WavJEPAOutput:
        """Embeddings of moments and clips from the windows' tokens."""
        counts = plan.frames.sum(1)
        longest = int(counts.max())

        def joined(state: Tensor) -> Tensor:
            windows = state.unflatten(0, plan.frames.shape).transpose(1, 2)
            return windows.flatten(2, 3)[:, :, :longest]  # whole windows stand before a clip's last one

        last, *before = map(joined, states)
        channels = last.float().sum(2) / counts[:, None, None]
        return WavJEPAOutput(
            last_hidden_state=last,
            frame_embeddings=last.float().mean(1),
            frame_mask=torch.arange(longest, device=last.device) < counts[:, None],
            timestamps_s=plan.starts_s,
            scene_mean=channels.mean(1),
            scene_channels=channels.flatten(1),
            hidden_states=tuple(before) if keep_all else None,
        )


def encoder_stack(config: WavJEPAConfig) -> PostNormStack:
    """Blocks of the context encoder, or of the target encoder."""
    return PostNormStack(
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.layer_norm_eps,
        config.final_norm_eps,
    )
