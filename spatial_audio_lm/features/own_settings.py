"""A feature extractor that takes its own settings alone, and no other model's."""

from typing import Any

from transformers import SequenceFeatureExtractor

from spatial_audio_lm.errors import CheckpointError


class OwnSettings(SequenceFeatureExtractor):
    """What transformers would do with another extractor's file: take the numbers whose names it knows."""

    @classmethod
    def from_dict(cls, feature_extractor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in transformers, but for another extractor's settings.

        Raises:
            CheckpointError: the settings of another feature extractor.
        """
        found = feature_extractor_dict.get("feature_extractor_type", cls.__name__)
        if found != cls.__name__:
            raise CheckpointError(
                f"settings of a {found}; expected those of a {cls.__name__}: give the folder of that model, or make "
                "the extractor from its configuration"
            )
        return super().from_dict(feature_extractor_dict, **kwargs)
