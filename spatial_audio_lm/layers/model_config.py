"""What the configuration of every encoder refuses."""

import dataclasses
import difflib
import inspect
import math
from collections.abc import Iterable
from typing import Any

from transformers import GenerationConfig, PretrainedConfig

from spatial_audio_lm.errors import CheckpointError, ConfigError

# Names that every configuration of transformers takes: its fields, those it writes into files, and those it sets aside.
_TRANSFORMERS_OWN = frozenset(
    {
        *(field.name for field in dataclasses.fields(PretrainedConfig)),
        *PretrainedConfig().to_dict(),
        *GenerationConfig._get_default_generation_params(),
        *("attn_implementation", "experts_implementation", "name_or_path", "num_labels", "torch_dtype"),
        *("auto_map", "output_attentions", "per_layer_config", "quantization_config", "tie_word_embeddings"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "is_decoder", "use_cache"),
    }
)

_BLOCK_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


class ModelConfig(PretrainedConfig):
    """A configuration of one system, which takes no other's settings.

    Raises:
        ConfigError: a name that neither the system nor transformers has.
    """

    def __init__(self, **kwargs: Any):
        unknown = [name for name in kwargs if not _is_of_transformers(name)]
        if unknown:
            raise ConfigError(f"{type(self).__name__} has no {unknown_settings(unknown, self._own_names())}")
        super().__init__(**kwargs)

    @classmethod
    def _own_names(cls) -> list[str]:
        """Settings of the system, those of the configurations that it is built on among them."""
        builds = [base.__init__ for base in cls.__mro__ if issubclass(base, ModelConfig)]
        names = [name for build in builds for name in inspect.signature(build).parameters]
        return [name for name in dict.fromkeys(names) if name not in ("self", "kwargs")]

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in transformers, but for what transformers would take unseen: another model's settings, impossible ones.

        Settings that are given beside a file (`from_pretrained(folder, hidden_size=96)`) are built with, like the
        file's own, so that they are checked and derived from; transformers writes them in behind that. Of a dictionary
        in the file those names are replaced that are given. Names of a file that nobody knows here stay, as notes.

        Raises:
            CheckpointError: the settings of another model (its weights would be left at random values).
            ConfigError: settings that do not fit each other.
        """
        found = config_dict.get("model_type", cls.model_type)
        if found != cls.model_type:
            named = config_dict.get("architectures") or ["that model's own classes"]
            raise CheckpointError(
                f"a checkpoint of {found}; expected one of {cls.model_type}: use {', '.join(map(str, named))}"
            )
        own = cls._own_names()
        notes = {name: config_dict[name] for name in config_dict if name not in own and not _is_of_transformers(name)}
        settings = {name: config_dict[name] for name in config_dict if name not in notes}
        for name in kwargs.keys() & set(own):
            given, before = kwargs.pop(name), settings.get(name)
            settings[name] = before | given if isinstance(before, dict) and isinstance(given, dict) else given
        result = super().from_dict(settings, **kwargs)
        for name, value in notes.items():
            setattr(result[0] if isinstance(result, tuple) else result, name, value)
        return result


def unknown_settings(unknown: Iterable[str], own: Iterable[str]) -> str:
    """Names that nobody knows, for a message: what was meant, if one is near, and what there is."""
    unknown, own = list(unknown), sorted(own)
    near = difflib.get_close_matches(unknown[0], own, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{', '.join(unknown)}: {hint}known are {', '.join(own)}"


def require_whole_numbers(config: Any, names: Iterable[str], least: int = 1, most: int | None = None) -> None:
    """Refuses attributes that are no whole numbers of a range.

    Raises:
        ConfigError: which one, what it is, and what is expected.
    """
    for name in names:
        value = getattr(config, name)
        if type(value) is not int or value < least or (most is not None and value > most):
            limits = f"of {least} or more" if most is None else f"from {least} to {most}"
            raise ConfigError(f"{name} is {value!r}; expected a whole number {limits}")


def require_block_sizes(config: Any, part: str = "") -> None:
    """Refuses sizes that no transformer blocks have.

    Args:
        config: has `hidden_size`, `num_hidden_layers`, `num_attention_heads` and `intermediate_size`, or some of them.
        part: what those names begin with: "decoder_", or nothing.

    Raises:
        ConfigError: which one, what it is, and what is expected.
    """
    names = [f"{part}{name}" for name in _BLOCK_SIZES if hasattr(config, part + name)]
    require_whole_numbers(config, names)
    width, heads = f"{part}hidden_size", f"{part}num_attention_heads"
    if heads in names and getattr(config, width) % getattr(config, heads):
        raise ConfigError(
            f"{heads} is {getattr(config, heads)}; expected a divisor of {getattr(config, width)} ({width})"
        )


def require_positive_numbers(config: Any, names: Iterable[str]) -> None:
    """Refuses attributes that are no finite numbers above 0.

    Raises:
        ConfigError: which one, what it is, and what is expected.
    """
    for name in names:
        value = getattr(config, name)
        if type(value) not in (int, float) or not 0.0 < value < math.inf:
            raise ConfigError(f"{name} is {value!r}; expected a number above 0")


def _is_of_transformers(name: str) -> bool:
    return name in _TRANSFORMERS_OWN or name.startswith("_")
