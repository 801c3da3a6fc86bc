"""Configuration of SpatialAST."""

from typing import Any

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.event_localization_config import EventLocalizationConfig

# As the published script writes them out; its first training stage has the event loss alone.
LOSS_WEIGHTS = {"event": 1250.0, "distance": 1.0, "azimuth": 2.0, "elevation": 2.0}


class SpatialASTConfig(EventLocalizationConfig):
    """SpatialAST, by default at its published size: 85,963,194 trainable parameters.

    Args:
        features: names of the feature maps (see features/interaural.py), but none of levels between the ears: those
            need a norm, which only DSpAST has.
        loss_weights: those that differ from the published ones.
        kwargs: all other settings of `EventLocalizationConfig`.
    """

    model_type = "spatial_ast"

    def __init__(
        self,
        features: list[str] | tuple[str, ...] = ("log_mel", "phase_difference"),
        loss_weights: dict[str, float] | None = None,
        **kwargs: Any,
    ):
        if {"level_ratio", "level_difference_db"} & set(features):
            raise ConfigError(
                f"features is {list(features)}; levels between the ears need DSpAST, which normalises them"
            )
        super().__init__(features=features, loss_weights=LOSS_WEIGHTS | (loss_weights or {}), **kwargs)
