"""What the configuration of every encoder refuses."""

from typing import Any

from transformers import PretrainedConfig

from spatial_audio_lm.errors import CheckpointError


class ModelConfig(PretrainedConfig):
    """A configuration of one system, which takes no other's settings."""

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in transformers, but for another model's settings, which transformers would take with a warning.

        Raises:
            CheckpointError: the settings of another model (its weights would be left at random values).
        """
        found = config_dict.get("model_type", cls.model_type)
        if found != cls.model_type:
            raise CheckpointError(
                f"a checkpoint of {found}; expected one of {cls.model_type}: use that model's own classes, or AutoModel"
            )
        return super().from_dict(config_dict, **kwargs)
