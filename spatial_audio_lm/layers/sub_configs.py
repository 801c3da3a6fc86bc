"""Configurations within a configuration: of any model that transformers knows, among them those of the house."""

from copy import deepcopy
from typing import Any

from transformers import AutoConfig, PretrainedConfig

from spatial_audio_lm.errors import ConfigError, SpatialAudioError


def sub_config(config: PretrainedConfig | dict[str, Any] | None, default_type: str, name: str) -> Any:
    """The configuration of a part.

    Args:
        config: the configuration itself, which is copied (it may be a living model's, and what holds it writes into
            it); its settings, with the `model_type`; or None.
        default_type: `model_type` where none is said.
        name: of the part, for messages.

    Raises:
        ConfigError: a type that transformers does not know.
        SpatialAudioError: settings that this type refuses.
    """
    if isinstance(config, PretrainedConfig):
        return deepcopy(config)
    settings = dict(config or {})
    model_type = settings.pop("model_type", default_type)
    try:
        return AutoConfig.for_model(model_type, **settings)
    except SpatialAudioError:
        raise
    except ValueError as error:
        raise ConfigError(f"{name} is of type {model_type!r}, which transformers does not know") from error
