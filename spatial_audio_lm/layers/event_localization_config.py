"""What the configurations of SpatialAST and DSpAST share: the encoder's sizes, the labels, the bins, the losses."""

from typing import Any

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.interaural import count_interaural_maps
from spatial_audio_lm.layers.localization_bins import LocalizationBins
from spatial_audio_lm.layers.model_config import ModelConfig, require_block_sizes, require_whole_numbers
from spatial_audio_lm.layers.patch_embedding import PATCH_STEMS

LOCALIZATION_HEADS = ("event", "distance", "azimuth", "elevation")
DECODINGS = ("argmax", "local_mean")
READOUTS = ("cls", "pooled")
NUM_PUBLISHED_EVENTS = 355  # the sound events of AudioSet that BAT's authors kept


class EventLocalizationConfig(ModelConfig):
    """A vision transformer on interaural feature maps, with heads for what sounds and where.

    The defaults are the published sizes. Each system has its own `features` and `loss_weights`.

    Args:
        features: names of the feature maps in their order (see features/interaural.py).
        hidden_size: width of the tokens.
        num_hidden_layers: transformer blocks.
        num_attention_heads: attention heads.
        intermediate_size: hidden width of the MLPs.
        layer_norm_eps: of all layer norms.
        drop_path_rate: stochastic depth of the last block; it grows evenly from 0.
        num_frames, num_mel_bins: size of the feature maps.
        patch_size: side of a patch.
        num_cls_tokens: tokens before those of the patches; SpatialAST reads one each for distance, direction, event.
        patch_stem: how patches become tokens: "linear", as published, or "conv", for trainings from nothing on
            little data (layers/patch_embedding.py).
        fusion_channels: maps that the feature maps become before they are cut into patches. The published models have
            one, through which everything must pass; a small model of one's own learns faster with several.
        normalize_all_maps: bring every map to mean 0 and deviation 1. The published models do so for log-mels and
            levels only, and hear phases 20 to 30 times more softly.
        mask_frames, mask_mels: in training, one span of up to so many frames and one of up to so many bands of the
            fused maps is set to 0 for each item (published: 192 and 48, one span for a whole batch).
        drop_time_patches, drop_mel_patches: in training, this share of the patches' rows in time and in frequency is
            left out for each item (published: 0.25 and 0.25).
        distance_bin_m, num_distance_bins, num_azimuth_bins, num_elevation_bins, angle_convention: see
            `LocalizationBins`.
        readout: what the heads read. "cls": class tokens alone, as published. "pooled": added to them is what two
            layers make of the patches' weighted means over time, all frequencies at once, and a batch norm takes away
            what all recordings have in common: for a training from nothing the short way from the sound to the heads.
        clip_statistics: the "pooled" readout also hears what both ears heard over the whole clip, band by band
            (layers/clip_statistics.py); needs "coherence" among the features.
        readout_dropout: in the two layers of the "pooled" readout.
        head_init_std: deviation of the first weights of the linear heads; at the published 2e-5 hardly anything is
            learned below them until they have grown.
        label_spread_deg, label_spread_m: deviation of the labels in the losses of angles and distance: bins nearby are
            less wrong than others. 0: one bin is right, as published.
        decoding: how the heads' bins become numbers. "argmax": the most probable bin, as published. "local_mean": the
            centre of gravity of the neighbourhood (20 degrees, one bin of distance to either side) that holds most.
        loss_weights: weights of the losses "event", "distance", "azimuth", "elevation".
        kwargs: among them `id2label`, the names of the events (or `num_labels`, how many).
    """

    def __init__(
        self,
        features: list[str] | tuple[str, ...] = ("log_mel", "phase_difference"),
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        layer_norm_eps: float = 1e-6,
        drop_path_rate: float = 0.1,
        num_frames: int = 1024,
        num_mel_bins: int = 128,
        patch_size: int = 16,
        num_cls_tokens: int = 3,
        patch_stem: str = "linear",
        fusion_channels: int = 1,
        normalize_all_maps: bool = False,
        mask_frames: int = 0,
        mask_mels: int = 0,
        drop_time_patches: float = 0.0,
        drop_mel_patches: float = 0.0,
        distance_bin_m: float = 0.5,
        num_distance_bins: int = 21,
        num_azimuth_bins: int = 360,
        num_elevation_bins: int = 180,
        angle_convention: str = "spatial_ast",
        readout: str = "cls",
        clip_statistics: bool = False,
        readout_dropout: float = 0.0,
        head_init_std: float = 2e-5,
        label_spread_deg: float = 0.0,
        label_spread_m: float = 0.0,
        decoding: str = "argmax",
        loss_weights: dict[str, float] | None = None,
        **kwargs: Any,
    ):
        self.features = list(features)
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.layer_norm_eps = layer_norm_eps
        self.drop_path_rate = drop_path_rate
        self.num_frames = num_frames
        self.num_mel_bins = num_mel_bins
        self.patch_size = patch_size
        self.num_cls_tokens = num_cls_tokens
        self.patch_stem = patch_stem
        self.fusion_channels = fusion_channels
        self.normalize_all_maps = normalize_all_maps
        self.mask_frames = mask_frames
        self.mask_mels = mask_mels
        self.drop_time_patches = drop_time_patches
        self.drop_mel_patches = drop_mel_patches
        self.distance_bin_m = distance_bin_m
        self.num_distance_bins = num_distance_bins
        self.num_azimuth_bins = num_azimuth_bins
        self.num_elevation_bins = num_elevation_bins
        self.angle_convention = angle_convention
        self.readout = readout
        self.clip_statistics = clip_statistics
        self.readout_dropout = readout_dropout
        self.head_init_std = head_init_std
        self.label_spread_deg = label_spread_deg
        self.label_spread_m = label_spread_m
        self.decoding = decoding
        require_block_sizes(self)
        require_whole_numbers(self, ("num_frames", "num_mel_bins", "patch_size", "fusion_channels"))
        require_whole_numbers(self, ("num_distance_bins", "num_azimuth_bins", "num_elevation_bins"))
        require_whole_numbers(self, ("num_cls_tokens", "mask_frames", "mask_mels"), least=0)
        if readout == "pooled" and drop_mel_patches:
            raise ConfigError(
                f"drop_mel_patches is {drop_mel_patches}; readout 'pooled' needs every row of frequencies: 0"
            )
        if readout not in READOUTS:
            raise ConfigError(f"readout is {readout!r}; expected one of {', '.join(READOUTS)}")
        if patch_stem not in PATCH_STEMS:
            raise ConfigError(f"patch_stem is {patch_stem!r}; expected one of {', '.join(PATCH_STEMS)}")
        if decoding not in DECODINGS:
            raise ConfigError(f"decoding is {decoding!r}; expected one of {', '.join(DECODINGS)}")
        unknown = set(loss_weights or {}) - set(LOCALIZATION_HEADS)
        if unknown:
            raise ConfigError(f"loss_weights names {sorted(unknown)}; the losses are {list(LOCALIZATION_HEADS)}")
        self.loss_weights = dict.fromkeys(LOCALIZATION_HEADS, 1.0) | (loss_weights or {})
        if not (0 <= drop_time_patches < 1 and 0 <= drop_mel_patches < 1):
            raise ConfigError(
                f"drop_time_patches is {drop_time_patches}, drop_mel_patches {drop_mel_patches}; expected shares in "
                "[0, 1)"
            )
        count_interaural_maps(self.features)
        if not isinstance(clip_statistics, bool):
            raise ConfigError(f"clip_statistics is {clip_statistics!r}; expected true or false")
        if clip_statistics and (readout != "pooled" or "coherence" not in self.features):
            raise ConfigError(
                f"clip_statistics with readout {readout!r} and features {self.features}: the 'pooled' readout takes "
                "them, and they are made of 'coherence'"
            )
        if not isinstance(readout_dropout, int | float) or not 0 <= readout_dropout < 1:
            raise ConfigError(f"readout_dropout is {readout_dropout!r}; expected a share in [0, 1)")
        if readout_dropout and readout != "pooled":
            raise ConfigError(f"readout_dropout is {readout_dropout}; readout {readout!r} has no layers for it: 0")
        if self.features[0] != "log_mel":
            raise ConfigError(f"features is {self.features}; 'log_mel' comes first: its maps have a norm of their own")
        if num_frames % patch_size or num_mel_bins % patch_size:
            raise ConfigError(
                f"maps of {num_frames} frames and {num_mel_bins} bands cannot be cut into patches of {patch_size}"
            )
        names, count = kwargs.get("id2label"), kwargs.pop("num_labels", None)
        if names is None:
            kwargs["num_labels"] = count or NUM_PUBLISHED_EVENTS
        elif count not in (None, len(names)):
            raise ConfigError(f"num_labels is {count}, but id2label names {len(names)} events; give id2label alone")
        _ = self.bins  # refuses bins that make no sense
        super().__init__(**kwargs)

    @property
    def num_feature_maps(self) -> int:
        """Maps of the input."""
        return count_interaural_maps(self.features)

    def map_of(self, feature: str) -> int | None:
        """Which map is the first of a feature; None without it."""
        if feature not in self.features:
            return None
        before = self.features[: self.features.index(feature)]
        return count_interaural_maps(before) if before else 0

    @property
    def grid(self) -> tuple[int, int]:
        """Patches in time and in frequency."""
        return self.num_frames // self.patch_size, self.num_mel_bins // self.patch_size

    @property
    def num_tokens(self) -> int:
        """Tokens of the output: those of the classes, then those of the patches."""
        return self.num_cls_tokens + self.grid[0] * self.grid[1]

    @property
    def bins(self) -> LocalizationBins:
        """How distances and angles are counted."""
        return LocalizationBins(
            self.distance_bin_m,
            self.num_distance_bins,
            self.num_azimuth_bins,
            self.num_elevation_bins,
            self.angle_convention,
        )
