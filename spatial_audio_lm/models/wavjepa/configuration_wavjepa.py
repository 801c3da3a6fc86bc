"""Configuration of WavJEPA and, with two channels, WavJEPA-Nat."""

from collections.abc import Sequence
from typing import Any

from spatial_audio_lm.errors import LIMITS, ConfigError
from spatial_audio_lm.layers.model_config import (
    ModelConfig,
    require_block_sizes,
    require_positive_numbers,
    require_whole_numbers,
)
from spatial_audio_lm.layers.waveform_encoder import ConvLayer, conv_frames, hop, receptive_field
from spatial_audio_lm.objectives.latent_prediction import TARGET_NORMS

# Channels, kernel, stride: a frame every 160 samples, of 240 (paper, appendix A).
CONV_LAYERS: tuple[ConvLayer, ...] = ((512, 10, 5), *[(512, 3, 2)] * 4, (512, 2, 2))
MASK_ALIGNMENTS = ("aligned", "interleaved")
_VARIANTS: dict[str, dict[str, Any]] = {"base": {"num_channels": 1}, "nat-base": {"num_channels": 2}}
PUBLISHED_VARIANTS = tuple(_VARIANTS)


class WavJEPAConfig(ModelConfig):
    """WavJEPA, by default of one channel at the published size.

    The defaults are the published settings, but for `mask_alignment`; `WavJEPAConfig.published(variant)` gives what a
    published checkpoint was trained with.

    Args:
        num_channels: 1, or 2 for two ears (WavJEPA-Nat), each with convolutions of its own.
        sampling_rate: in Hz.
        window_samples: samples that are heard at once. The published code writes 2.01 s, and `int(16000 * 2.01)` is
            32159, not 32160, in floating point; of the "2 s" of the paper, 32000 samples, one frame less would be made.
        conv_layers: channels, kernel and stride of the convolutions.
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size: the context encoder, and the target
            encoder, which has the same.
        layer_norm_eps: of the norms in the blocks, also of the predictor.
        final_norm_eps: of the norm before the first block, and of those behind the last ones.
        predictor_hidden_size, predictor_num_hidden_layers, predictor_num_attention_heads,
            predictor_intermediate_size: the predictor.
        average_top_k: how many of the target encoder's last layers are averaged for the targets.
        target_norm: "joint", as published, or "per_feature": see `averaged_targets`.
        mask_alignment: which tokens of two channels a mask over time hides. "aligned": the same times in both, as the
            paper says. "interleaved": as in the published code, whose masks name the channels in turn while the tokens
            are those of the left ear, then those of the right: the mask's first half, stretched, hides the left ear's,
            its second half the right ear's.

    Raises:
        ConfigError: values of another kind or range, that do not fit each other, or a name that is no setting.
    """

    model_type = "wavjepa"

    def __init__(
        self,
        num_channels: int = 1,
        sampling_rate: int = 16_000,
        window_samples: int = 32_159,
        conv_layers: Sequence[Sequence[int]] = CONV_LAYERS,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        layer_norm_eps: float = 1e-6,
        final_norm_eps: float = 1e-5,
        predictor_hidden_size: int = 384,
        predictor_num_hidden_layers: int = 12,
        predictor_num_attention_heads: int = 12,
        predictor_intermediate_size: int = 1536,
        average_top_k: int = 8,
        target_norm: str = "joint",
        mask_alignment: str = "aligned",
        **kwargs: Any,
    ):
        self.num_channels = num_channels
        self.sampling_rate = sampling_rate
        self.window_samples = window_samples
        self.conv_layers = _as_lists(conv_layers)
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.layer_norm_eps = layer_norm_eps
        self.final_norm_eps = final_norm_eps
        self.predictor_hidden_size = predictor_hidden_size
        self.predictor_num_hidden_layers = predictor_num_hidden_layers
        self.predictor_num_attention_heads = predictor_num_attention_heads
        self.predictor_intermediate_size = predictor_intermediate_size
        self.average_top_k = average_top_k
        self.target_norm = target_norm
        self.mask_alignment = mask_alignment
        self._check()
        super().__init__(**kwargs)

    @classmethod
    def published(cls, variant: str, **overrides: Any) -> "WavJEPAConfig":
        """Settings of a published model.

        Args:
            variant: "base" (WavJEPA) or "nat-base" (WavJEPA-Nat).
            overrides: other settings.

        Raises:
            ConfigError: an unknown variant.
        """
        if variant not in _VARIANTS:
            raise ConfigError(f"variant {variant!r} is not known; expected one of {', '.join(_VARIANTS)}")
        return cls(**({"mask_alignment": "interleaved"} | _VARIANTS[variant] | overrides))

    @property
    def layers(self) -> list[ConvLayer]:
        """The convolutions as tuples."""
        return [(channels, kernel, stride) for channels, kernel, stride in self.conv_layers]

    @property
    def num_frames(self) -> int:
        """Frames of a window, of each channel: the time steps of masks."""
        return conv_frames(self.window_samples, self.layers)

    @property
    def hop_samples(self) -> int:
        """Samples from one frame to the next."""
        return hop(self.layers)

    @property
    def receptive_field(self) -> int:
        """Samples that a frame of the convolutions hears."""
        return receptive_field(self.layers)

    def _check(self) -> None:
        if type(self.num_channels) is not int or self.num_channels not in (1, 2):
            raise ConfigError(f"num_channels is {self.num_channels!r}; expected 1, or 2 for two ears")
        require_whole_numbers(self, ("sampling_rate",), LIMITS.min_sample_rate, LIMITS.max_sample_rate)
        require_whole_numbers(self, ("window_samples",))
        require_positive_numbers(self, ("layer_norm_eps", "final_norm_eps"))
        if self.num_frames < 2:
            raise ConfigError(
                f"window_samples is {self.window_samples}, which gives {self.num_frames} frames; expected two at "
                f"least, {self.receptive_field + self.hop_samples} samples"
            )
        for part in ("", "predictor_"):
            require_block_sizes(self, part)
            if (width := getattr(self, f"{part}hidden_size")) % (2 * self.num_channels):
                raise ConfigError(f"{part}hidden_size is {width}; expected a multiple of {2 * self.num_channels}")
        if type(self.average_top_k) is not int or not 1 <= self.average_top_k <= self.num_hidden_layers:
            raise ConfigError(f"average_top_k is {self.average_top_k!r}; expected 1 to {self.num_hidden_layers} layers")
        for name, known in (("target_norm", TARGET_NORMS), ("mask_alignment", MASK_ALIGNMENTS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}")


def _as_lists(conv_layers: Any) -> list[list[int]]:
    """Convolutions as they are saved.

    Raises:
        ConfigError: anything but lists of three whole numbers above 0.
    """
    layers = list(conv_layers) if isinstance(conv_layers, Sequence) else []
    for layer in layers:
        if not isinstance(layer, list | tuple) or len(layer) != 3 or any(type(n) is not int or n < 1 for n in layer):
            layers = []
            break
    if not layers:
        raise ConfigError(
            f"conv_layers is {conv_layers!r}; expected channels, kernel and stride of each, whole numbers above 0"
        )
    return [list(layer) for layer in layers]
