"""What numbers of a recipe can be at least, by name: the same name means the same in all recipes."""

import dataclasses
from typing import Any

from spatial_audio_lm.errors import ConfigError

LEAST = {
    "lr": 0,
    "waveform_lr": 0,
    "weight_decay": 0,
    "warmup_steps": 0,
    "num_workers": 0,
    "num_threads": 1,
    "batch_size": 1,
    "embedding_batch_size": 1,
    "scene_rate": 1,
}


def require_ranges(config: Any, prefix: str = "") -> None:
    """Refuse numbers below `LEAST`, in a dataclass and the dataclasses in it; what is null is left out.

    Raises:
        ConfigError: which number, by its dotted key.
    """
    for field in dataclasses.fields(config):
        value, key = getattr(config, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            require_ranges(value, f"{key}.")
        elif field.name in LEAST and isinstance(value, int | float) and value < LEAST[field.name]:
            raise ConfigError(f"{key} is {value}; it must be at least {LEAST[field.name]}")
