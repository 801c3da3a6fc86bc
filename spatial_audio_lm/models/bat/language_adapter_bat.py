"""LoRA on BAT's language model, by peft: put in, taken out, written and read in peft's own layout.

peft is imported by the functions that need it: it takes its time, and everybody who imports transformers comes by here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from spatial_audio_lm.errors import CheckpointError, ConfigError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.layers.published_weights import read_safetensors
from spatial_audio_lm.models.bat.configuration_bat import BatConfig

# In a folder of its own: transformers takes a folder with an adapter's files for one that holds an adapter alone.
ADAPTER_FOLDER = "language_adapter"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
# Of peft's settings those that change what an adapter computes, or how it is trained on.
_SETTINGS = (
    *("r", "lora_alpha", "lora_dropout", "target_modules", "bias"),
    *("use_rslora", "use_dora", "rank_pattern", "alpha_pattern"),
)


def lora_config(config: BatConfig) -> Any:
    """Settings of the adapter in peft's words, a `LoraConfig`."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=config.lora_target_modules,
        bias="none",
        task_type="CAUSAL_LM",
    )


def add_language_adapter(language_model: PreTrainedModel, config: BatConfig) -> None:
    """Puts a new adapter into the language model, which is frozen but for it; its answers do not change yet.

    Raises:
        ConfigError: layers that this language model does not have.
    """
    try:
        language_model.add_adapter(lora_config(config))
    except ValueError as error:
        linear = sorted({n.rsplit(".", 1)[-1] for n, m in language_model.named_modules() if isinstance(m, nn.Linear)})
        raise ConfigError(
            f"lora_target_modules is {config.lora_target_modules}; this {config.text_config.model_type} has the layers "
            f"{', '.join(linear)}"
        ) from error
    for name, module in language_model.named_modules():
        if "lora_" in name:  # peft has set them, B to zero: the language model's own initial values are not for them
            module._is_hf_initialized = True


def merge_language_adapter(language_model: PreTrainedModel) -> None:
    """Adds the adapter to the weights that it changes, and takes it out.

    Raises:
        ConfigError: a language model without an adapter.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(name, m) for name, m in language_model.named_modules() if isinstance(m, BaseTunerLayer)]
    if not layers:
        raise ConfigError("the language model has no adapter (lora_rank is 0): there is nothing to merge")
    for name, layer in layers:
        layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(language_model.get_submodule(parent), child, layer.get_base_layer())
    language_model._hf_peft_config_loaded = False
    del language_model.peft_config


def adapter_state(language_model: PreTrainedModel, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The adapter's tensors as peft names them in a file.

    Args:
        language_model: with an adapter.
        state: the language model's state dict, where it was gathered before (FSDP).
    """
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(language_model, state_dict=state and dict(state), save_embedding_layers=False)


def save_language_adapter(
    folder: Path, language_model: PreTrainedModel, config: BatConfig, state: Mapping[str, Tensor] | None = None
) -> None:
    """Writes the adapter so that peft alone can load it too: `PeftModel.from_pretrained(language_model, folder)`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"base_model.model.{name}": value.detach().cpu().contiguous()
        for name, value in adapter_state(language_model, state).items()
    }
    save_file(tensors, folder / ADAPTER_FILES[1], metadata={"format": "pt"})
    settings = lora_config(config)
    settings.base_model_name_or_path = config.language_model_name_or_path
    settings.inference_mode = True
    settings.save_pretrained(folder)


def load_language_adapter(
    settings_file: Path, weights_file: Path, language_model: PreTrainedModel, config: BatConfig
) -> None:
    """Fills the adapter of a language model from peft's two files, each tensor of both sides accounted for.

    Raises:
        CheckpointError: a damaged file, the adapter of another language model, or settings other than the
            configuration's, by which the adapter was built.
    """
    settings = read_json(settings_file, error=CheckpointError)
    _require_same_settings(settings, settings_file, config)
    prefix = "base_model.model."
    given = {name.removeprefix(prefix): value for name, value in read_safetensors(weights_file).items()}
    fill_language_adapter(
        given, language_model, f"{settings_file.parent} (of {settings.get('base_model_name_or_path')})"
    )


def _require_same_settings(settings: Any, source: Path, config: BatConfig) -> None:
    if not isinstance(settings, dict):
        raise CheckpointError(f"{source} holds no settings of an adapter: save the model again")
    built = lora_config(config).to_dict()
    different = [
        f"{name} is {settings.get(name)!r} there and {_comparable(built[name])!r} by config.json"
        for name in _SETTINGS
        if _comparable(settings.get(name, built[name])) != _comparable(built[name])
    ]
    if different:
        raise CheckpointError(
            f"{source} and the model's config.json disagree: {'; '.join(different)}: put back what was saved with "
            "the weights"
        )


def _comparable(value: Any) -> Any:
    return sorted(value) if isinstance(value, list | set | tuple) else value


@torch.no_grad()
def fill_language_adapter(given: Mapping[str, Tensor], language_model: PreTrainedModel, source: str) -> None:
    """Fills the adapter of a language model, each tensor of both sides accounted for.

    Args:
        given: tensors by peft's names, without "base_model.model." before them.
        language_model: with an adapter.
        source: where they come from, for the message.

    Raises:
        CheckpointError: the adapter of another language model.
    """
    from peft import set_peft_model_state_dict

    expected = adapter_state(language_model)
    strange = sorted(given.keys() - expected.keys())
    absent = sorted(expected.keys() - given.keys())
    shapes = [name for name in sorted(given.keys() & expected.keys()) if given[name].shape != expected[name].shape]
    if strange or absent or shapes:
        raise CheckpointError(
            f"{source} holds an adapter of another language model than this {language_model.config.model_type}: "
            f"{len(strange)} tensors without a place, {len(absent)} missing, {len(shapes)} of another shape "
            f"({', '.join((strange + absent + shapes)[:3])})"
        )
    set_peft_model_state_dict(language_model, dict(given))
