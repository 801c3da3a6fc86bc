"""Configurations of ELSA: the audio encoder, the spatial branch, the text encoder, and what joins them."""

import math
from typing import Any

from transformers import AutoConfig, PretrainedConfig

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.features.intensity import DIRECTION_VECTORS, count_spatial_channels, vector_channels

# Mean and spread of the natural logarithm of each target: the regression heads predict (log(x) - mean) / spread.
# Distance keeps its plain logarithm; the other two are log-uniform over ELSA's rooms (Table A.T.2: 13.3-277.4 m²) and
# over 0.15-2.7 s. The paper does not say how it scaled its targets.
TARGET_STATISTICS = {"distance_m": (0.0, 1.0), "floor_area_m2": (4.11, 0.88), "t30_s": (-0.45, 0.83)}

# The paper sums its losses with weight 1. Reverberation is not in the paper; its weight was chosen in short runs.
# The concentration loss is detached from everything but its own head, so its weight only scales that head's rate.
LOSS_WEIGHTS = {
    "contrastive": 1.0,
    "direction": 1.0,
    "distance_m": 1.0,
    "floor_area_m2": 1.0,
    "t30_s": 0.5,
    "concentration": 0.1,
}

# CLAP's text tower. It is taken as RoBERTa and not as transformers' CLAP text model, which is the same but has no SDPA
# attention and another default of layer_norm_eps than the published weights were trained with.
ROBERTA_BASE = {
    "vocab_size": 50_265,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}


class ElsaConvConfig(PretrainedConfig):
    """The compact semantic branch: a small CNN on the log-mel spectrogram of W.

    Args:
        num_mel_bins: mel bands of the input.
        stem_channels: filters of the first layer (5x5, stride 2).
        stage_channels: filters of the 3x3 layers of each stage; stages are joined by 2x2 average pools.
        dropout: rate of the channel dropout after each stage.
    """

    model_type = "elsa_conv"
    base_config_key = "audio_config"

    def __init__(
        self,
        num_mel_bins: int = 64,
        stem_channels: int = 16,
        stage_channels: list[list[int]] | None = None,
        dropout: float = 0.1,
        **kwargs: Any,
    ):
        self.num_mel_bins = num_mel_bins
        self.stem_channels = stem_channels
        self.stage_channels = stage_channels or [[32], [64, 64], [128, 128], [256, 256]]
        self.dropout = dropout
        if any(not widths for widths in self.stage_channels):
            raise ConfigError(f"stage_channels is {self.stage_channels}; every stage needs at least one layer")
        super().__init__(**kwargs)

    @property
    def hidden_size(self) -> int:
        """Width of the pooled output."""
        return self.stage_channels[-1][-1]


class ElsaSpatialConfig(PretrainedConfig):
    """The spatial branch: a CNN on intensity vectors.

    `architecture="paper"` is ELSA's: two branches (active, reactive) of six coordinate convolutions on 257 linear bins
    of exactly ten seconds; 485,828 parameters with its 44-output head. `architecture="compact"` is ours: one CNN on
    mel bands, any length, attention pooling over time.

    Args:
        architecture: "paper" or "compact".
        spatial_channels: feature channels by name (see features/intensity.py).
        num_bands: frequency bands (or linear bins) of the input.
        num_frames: frames of the input; a number for "paper", which flattens its last map, None for any length.
        hidden_size: width of the pooled output.
        conv_channels: filters of each 3x3 layer; a 2x2 pool follows each of them ("paper": maximum) or each but the
            last ("compact": average).
        num_attention_pools: attention pools over time, "compact" only.
        num_direction_pools: attention pools of the intensity vectors over time and bands, whose weighted sum is the
            direction, "compact" only; 0: none.
        dropout: "paper": before the 192-d layer; "compact": channel dropout after each layer.
        regression_mean, regression_std: scaling of the 42 targets behind the two angles of
            `ElsaSpatialModelForRegression`, None for targets that are scaled already.
    """

    model_type = "elsa_spatial"
    base_config_key = "spatial_config"

    def __init__(
        self,
        architecture: str = "paper",
        spatial_channels: list[str] | tuple[str, ...] | None = None,
        num_bands: int | None = None,
        num_frames: int | None = None,
        hidden_size: int = 192,
        conv_channels: list[int] | None = None,
        num_attention_pools: int = 4,
        num_direction_pools: int | None = None,
        dropout: float | None = None,
        regression_mean: list[float] | None = None,
        regression_std: list[float] | None = None,
        **kwargs: Any,
    ):
        if architecture not in ("paper", "compact"):
            raise ConfigError(f"architecture is {architecture!r}; expected 'paper' or 'compact'")
        paper = architecture == "paper"
        self.architecture = architecture
        default_channels = ["unit_active", "unit_reactive"] if paper else ["active", "reactive", "log_energy"]
        self.spatial_channels = list(spatial_channels or default_channels)
        self.num_bands = num_bands or (257 if paper else 32)
        self.num_frames = num_frames or (1601 if paper else None)
        self.hidden_size = hidden_size
        self.conv_channels = list(conv_channels or ([12] * 6 if paper else [32, 48, 64, 64]))
        self.num_attention_pools = num_attention_pools
        self.num_direction_pools = num_direction_pools if num_direction_pools is not None else (0 if paper else 8)
        self.dropout = dropout if dropout is not None else (0.3 if paper else 0.1)
        self.regression_mean = regression_mean
        self.regression_std = regression_std
        if paper and self.num_channels != 6:
            raise ConfigError(
                f"spatial_channels is {self.spatial_channels}; the paper's branch takes one active and one reactive "
                "vector (6 channels)"
            )
        if self.num_direction_pools and (paper or not self.direction_vectors):
            raise ConfigError(
                f"num_direction_pools is {num_direction_pools}: only the compact branch pools directions, and it needs "
                f"'active' or 'unit_active' among its spatial_channels {self.spatial_channels}; give 0"
            )
        super().__init__(**kwargs)

    @property
    def num_channels(self) -> int:
        """Feature channels of the input."""
        return count_spatial_channels(self.spatial_channels)

    @property
    def direction_vectors(self) -> list[int]:
        """First feature channel of every vector that points to the sound."""
        return vector_channels(self.spatial_channels, only=DIRECTION_VECTORS)


class ElsaConfig(PretrainedConfig):
    """ELSA: language and spatial audio in one space.

    The defaults are the paper's full-size model: HTS-AT on W at 48 kHz, the paper's spatial branch, RoBERTa-base.
    `ElsaConfig.compact()` is the small model that ships with the package.

    Args:
        audio_config: encoder of W: a `clap_audio_model` (HTS-AT), an `elsa_conv`, or any registered model whose output
            has a `pooler_output`.
        spatial_config: the spatial branch.
        text_config: any text encoder of transformers.
        text_pooling: "pooler" (the encoder's own tanh pooler, as in CLAP) or "mean" (mean over the tokens).
        projection_dim: width of the common space.
        audio_projection_hidden: hidden width of the audio projection; None: as wide as its input (960).
        text_projection_hidden: hidden width of the text projection; None: `projection_dim`.
        projection_dropout: dropout in the audio projection.
        head_hidden: hidden width of the regression heads.
        direction_representation: "angles" (azimuth and elevation, two outputs of a head, the paper), "vector" (three
            outputs), or "attended" (no head: the spatial branch's own `num_direction_pools`).
        use_concentration_head: predict the concentration of a von Mises-Fisher distribution around the direction.
        use_reverberation_head: predict T30 (not in the paper; it keeps reverberation in the embedding).
        target_statistics: mean and spread of log(target) for each regression head.
        loss_weights: weights of the losses by name.
        logit_scale_init_value: initial 1/temperature.
    """

    model_type = "elsa"
    sub_configs = {"audio_config": AutoConfig, "spatial_config": ElsaSpatialConfig, "text_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        audio_config: PretrainedConfig | dict[str, Any] | None = None,
        spatial_config: ElsaSpatialConfig | dict[str, Any] | None = None,
        text_config: PretrainedConfig | dict[str, Any] | None = None,
        text_pooling: str = "pooler",
        projection_dim: int = 512,
        audio_projection_hidden: int | None = None,
        text_projection_hidden: int | None = None,
        projection_dropout: float = 0.0,
        head_hidden: int = 64,
        direction_representation: str = "angles",
        use_concentration_head: bool = False,
        use_reverberation_head: bool = False,
        target_statistics: dict[str, tuple[float, float]] | None = None,
        loss_weights: dict[str, float] | None = None,
        logit_scale_init_value: float = math.log(1 / 0.07),
        **kwargs: Any,
    ):
        if text_pooling not in ("pooler", "mean"):
            raise ConfigError(f"text_pooling is {text_pooling!r}; expected 'pooler' or 'mean'")
        if direction_representation not in ("angles", "vector", "attended"):
            raise ConfigError(
                f"direction_representation is {direction_representation!r}; expected 'angles', 'vector' or 'attended'"
            )
        unknown = set(loss_weights or {}) - set(LOSS_WEIGHTS)
        if unknown:
            raise ConfigError(f"loss_weights names {sorted(unknown)}; the losses are {list(LOSS_WEIGHTS)}")
        unknown = set(target_statistics or {}) - set(TARGET_STATISTICS)
        if unknown:
            raise ConfigError(f"target_statistics names {sorted(unknown)}; the targets are {list(TARGET_STATISTICS)}")
        self.audio_config = _sub_config(
            audio_config, "clap_audio_model", {"hidden_dropout_prob": 0.0, "drop_path_rate": 0.1}
        )
        if not isinstance(spatial_config, ElsaSpatialConfig):
            spatial_config = ElsaSpatialConfig(**(spatial_config or {}))
        self.spatial_config = spatial_config
        if direction_representation == "attended" and not spatial_config.num_direction_pools:
            raise ConfigError(
                "direction_representation is 'attended': give the (compact) spatial branch num_direction_pools > 0"
            )
        self.text_config = _sub_config(text_config, "roberta", ROBERTA_BASE)
        self.text_pooling = text_pooling
        self.projection_dim = projection_dim
        self.audio_projection_hidden = audio_projection_hidden
        self.text_projection_hidden = text_projection_hidden
        self.projection_dropout = projection_dropout
        self.head_hidden = head_hidden
        self.direction_representation = direction_representation
        self.use_concentration_head = use_concentration_head
        self.use_reverberation_head = use_reverberation_head
        statistics = TARGET_STATISTICS | (target_statistics or {})
        self.target_statistics = {name: list(pair) for name, pair in statistics.items()}
        self.loss_weights = LOSS_WEIGHTS | (loss_weights or {})
        self.logit_scale_init_value = logit_scale_init_value
        super().__init__(**kwargs)

    @classmethod
    def compact(cls, **overrides: Any) -> "ElsaConfig":
        """The small model of the package: own CNNs on 16-kHz features and a three-layer ELECTRA-shaped text encoder."""
        settings: dict[str, Any] = {
            "audio_config": ElsaConvConfig(),
            "spatial_config": ElsaSpatialConfig(architecture="compact"),
            "text_config": {
                "model_type": "electra",
                "vocab_size": 30522,
                "embedding_size": 128,
                "hidden_size": 384,
                "num_hidden_layers": 3,
                "num_attention_heads": 12,
                "intermediate_size": 1536,
            },
            "text_pooling": "mean",
            "projection_dim": 256,
            "projection_dropout": 0.2,
            "direction_representation": "attended",
            "use_concentration_head": True,
            "use_reverberation_head": True,
        }
        return cls(**(settings | overrides))


def _sub_config(
    config: PretrainedConfig | dict[str, Any] | None, default_type: str, defaults: dict[str, Any]
) -> PretrainedConfig:
    if isinstance(config, PretrainedConfig):
        return config
    settings = dict(defaults if config is None else config)
    model_type = settings.pop("model_type", default_type)
    if model_type == ElsaConvConfig.model_type:  # also before `register()` has been called
        return ElsaConvConfig(**settings)
    return AutoConfig.for_model(model_type, **settings)
