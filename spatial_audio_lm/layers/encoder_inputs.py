"""What the encoders of the house hear, under names that a model with text beside it can take."""

from collections.abc import Mapping
from typing import Any

# `attention_mask` is the mask of a text; that of recordings, which GRAM's and WavJEPA's extractors call so too, becomes
# `audio_attention_mask`.
AUDIO_INPUTS = ("input_features", "input_values", "spatial_features", "audio_attention_mask")


def named_audio_inputs(features: Mapping[str, Any]) -> dict[str, Any]:
    """What a feature extractor gives, under the names of `AUDIO_INPUTS`, and nothing else of it."""
    named = {"audio_attention_mask" if name == "attention_mask" else name: features[name] for name in features}
    return {name: named[name] for name in AUDIO_INPUTS if name in named}
