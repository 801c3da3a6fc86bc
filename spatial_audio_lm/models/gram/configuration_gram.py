"""Configuration of GRAM."""

from typing import Any

from spatial_audio_lm.errors import LIMITS, ConfigError
from spatial_audio_lm.layers.model_config import ModelConfig, require_block_sizes, require_whole_numbers
from spatial_audio_lm.signal.ambisonics import FOA_CONVENTIONS

# Feature maps of each kind of recording: one log-mel a channel, and of ambisonics three intensities.
NUM_FEATURE_MAPS = {"mono": 1, "binaural": 2, "foa": 7}

# Of the published decoders, one number a head; 0 is a head that attends to all patches.
PATCH_WINDOWS = (2, 5, 10, 25, 50, 100, 0, 0)
TIME_WINDOWS = (2, 5, 10, 25, 50, 0, 0, 0)

_FLOAT32_EPS = 2.0**-23
# What all published models have in common; `GramConfig` explains why new models differ.
_PUBLISHED: dict[str, Any] = {"trainable_mask_token": False, "cls_init_std": 1.0, "log_floor": _FLOAT32_EPS}
_TIME: dict[str, Any] = {"patch_bands": 128, "patch_frames": 2, "decoder_windows": TIME_WINDOWS}
_VARIANTS: dict[str, dict[str, Any]] = {
    "binaural-patch": {"audio_format": "binaural"},
    "binaural-time": {"audio_format": "binaural"} | _TIME,
    "ambisonics-patch": {
        "audio_format": "foa",
        "log_floor": 1e-6,
        "pretraining_log_floor": 1e-6,
        "channel_convention": "gram",
    },
    "mono-patch": {"audio_format": "mono"},
}
PUBLISHED_VARIANTS = tuple(_VARIANTS)


class GramConfig(ModelConfig):
    """GRAM, by default two-eared with patches of 16 bands x 8 frames at the published size.

    The defaults are the published sizes, with what is better for a new model: a mask token that is trained, one log
    floor for pre-training and extraction, and channels of ambisonics in the order and with the gains of this package.
    `GramConfig.published(variant)` gives what a published checkpoint needs.

    Args:
        audio_format: what the model hears: "mono", "binaural" or "foa" (1, 2 or 7 feature maps).
        channel_convention: what order and gains the channels of ambisonics have inside of the model (see
            `convert_foa`): "ambix", "n3d", "fuma", or "gram" for the published weights. Recordings are AmbiX at the
            door whichever it is.
        sampling_rate, hop_length: of the spectrograms, in Hz and samples.
        num_mel_bins: mel bands.
        num_frames: frames of a chunk, which the encoder hears at once.
        log_floor: added to a band's power before its logarithm (published: 2^-23, ambisonics 1e-6).
        pretraining_log_floor: the same in pre-training (published: 1e-5, ambisonics 1e-6).
        spectrogram_eps: added to the variance that a chunk's maps are divided by.
        patch_bands, patch_frames: size of a patch; the "time" variants take all bands of two frames.
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, layer_norm_eps: the encoder.
        cls_init_std: deviation of the class token's first value; the published code draws it 50 times as large as
            any other.
        mask_ratio: share of a chunk's patches that are hidden in pre-training.
        decoder_hidden_size, decoder_num_hidden_layers, decoder_intermediate_size, decoder_layer_norm_eps: the decoder.
        decoder_windows: for each head of the decoder how many patches in a row attend to each other; 0 for all.
        trainable_mask_token: whether what stands for a hidden patch is learned, as the paper says; the published code
            draws it once and keeps it.

    Raises:
        ConfigError: values of another kind or range, or that do not fit each other.
    """

    model_type = "gram"

    def __init__(
        self,
        audio_format: str = "binaural",
        channel_convention: str = "ambix",
        sampling_rate: int = 32_000,
        hop_length: int = 320,
        num_mel_bins: int = 128,
        num_frames: int = 200,
        log_floor: float = 1e-5,
        pretraining_log_floor: float = 1e-5,
        spectrogram_eps: float = 1e-5,
        patch_bands: int = 16,
        patch_frames: int = 8,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        layer_norm_eps: float = 1e-6,
        cls_init_std: float = 0.02,
        mask_ratio: float = 0.8,
        decoder_hidden_size: int = 512,
        decoder_num_hidden_layers: int = 8,
        decoder_intermediate_size: int = 2048,
        decoder_layer_norm_eps: float = 1e-5,
        decoder_windows: list[int] | tuple[int, ...] = PATCH_WINDOWS,
        trainable_mask_token: bool = True,
        **kwargs: Any,
    ):
        self.audio_format = audio_format
        self.channel_convention = channel_convention
        self.sampling_rate = sampling_rate
        self.hop_length = hop_length
        self.num_mel_bins = num_mel_bins
        self.num_frames = num_frames
        self.log_floor = log_floor
        self.pretraining_log_floor = pretraining_log_floor
        self.spectrogram_eps = spectrogram_eps
        self.patch_bands = patch_bands
        self.patch_frames = patch_frames
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.layer_norm_eps = layer_norm_eps
        self.cls_init_std = cls_init_std
        self.mask_ratio = mask_ratio
        self.decoder_hidden_size = decoder_hidden_size
        self.decoder_num_hidden_layers = decoder_num_hidden_layers
        self.decoder_intermediate_size = decoder_intermediate_size
        self.decoder_layer_norm_eps = decoder_layer_norm_eps
        self.decoder_windows = list(decoder_windows)
        self.trainable_mask_token = trainable_mask_token
        self._check()
        super().__init__(**kwargs)

    @classmethod
    def published(cls, variant: str, **overrides: Any) -> "GramConfig":
        """Settings of a published model.

        Args:
            variant: "binaural-patch", "binaural-time", "ambisonics-patch" or "mono-patch".
            overrides: other settings.

        Raises:
            ConfigError: an unknown variant.
        """
        if variant not in _VARIANTS:
            raise ConfigError(f"variant {variant!r} is not known; expected one of {', '.join(_VARIANTS)}")
        return cls(**(_PUBLISHED | _VARIANTS[variant] | overrides))

    @classmethod
    def time(cls, **overrides: Any) -> "GramConfig":
        """A new model with patches of all bands of two frames: four times the time resolution, no bands apart."""
        bands = {"patch_bands": overrides["num_mel_bins"]} if "num_mel_bins" in overrides else {}
        return cls(**(_TIME | bands | overrides))

    @property
    def num_feature_maps(self) -> int:
        """Maps that the feature extractor gives."""
        return NUM_FEATURE_MAPS[self.audio_format]

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of a chunk in frequency and in time; patch `f * time + t`."""
        return self.num_mel_bins // self.patch_bands, self.num_frames // self.patch_frames

    @property
    def num_patches(self) -> int:
        """Patches of a chunk."""
        return self.grid[0] * self.grid[1]

    @property
    def patch_values(self) -> int:
        """Numbers in a patch, over all maps."""
        return self.num_feature_maps * self.patch_bands * self.patch_frames

    @property
    def num_masked_patches(self) -> int:
        """Patches of a chunk that are hidden in pre-training."""
        return round(self.mask_ratio * self.num_patches)

    @property
    def frame_s(self) -> float:
        """Seconds from one frame of the spectrograms to the next."""
        return self.hop_length / self.sampling_rate

    def _check(self) -> None:
        if self.audio_format not in NUM_FEATURE_MAPS:
            raise ConfigError(f"audio_format is {self.audio_format!r}; expected one of {', '.join(NUM_FEATURE_MAPS)}")
        if self.channel_convention not in FOA_CONVENTIONS:
            raise ConfigError(
                f"channel_convention is {self.channel_convention!r}; expected one of {', '.join(FOA_CONVENTIONS)}"
            )
        require_whole_numbers(self, ("sampling_rate",), LIMITS.min_sample_rate, LIMITS.max_sample_rate)
        require_whole_numbers(self, ("hop_length", "num_mel_bins", "num_frames", "patch_bands", "patch_frames"))
        require_block_sizes(self)
        require_block_sizes(self, "decoder_")
        for size, patch, name in (
            (self.num_mel_bins, self.patch_bands, "bands"),
            (self.num_frames, self.patch_frames, "frames"),
        ):
            if size % patch:
                raise ConfigError(f"a chunk has {size} {name}, which is no multiple of a patch's {patch}")
        if not 0 < self.num_masked_patches < self.num_patches:
            raise ConfigError(
                f"mask_ratio is {self.mask_ratio}; expected a share between 0 and 1 that hides at least one of "
                f"{self.num_patches} patches, and not all"
            )
        wrong = [window for window in self.decoder_windows if window < 0 or (window and self.num_patches % window)]
        if wrong or not self.decoder_windows:
            raise ConfigError(
                f"decoder_windows is {self.decoder_windows}; expected one number a head that divides the "
                f"{self.num_patches} patches of a chunk, or 0 for all of them"
            )
        if min(self.log_floor, self.pretraining_log_floor) <= 0.0:
            raise ConfigError(
                f"log_floor is {self.log_floor}, pretraining_log_floor {self.pretraining_log_floor}; expected numbers "
                "above 0: silence has no logarithm"
            )
