"""A BAT whose language model is someone else's: saved without its weights, and put together again on loading."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel
from transformers.utils import cached_file

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.models.bat.configuration_bat import BatConfig
from spatial_audio_lm.models.bat.language_adapter_bat import (
    ADAPTER_FILES,
    ADAPTER_FOLDER,
    load_language_adapter,
    save_language_adapter,
)
from spatial_audio_lm.models.bat.modeling_bat_audio import BatAudioModel

# Options of `from_pretrained` that say where files are; those of the language model's weights; those of both.
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token")
_LANGUAGE_OPTIONS = ("quantization_config", "device_map", "max_memory", "offload_folder")
_SHARED_OPTIONS = ("dtype", "torch_dtype", "attn_implementation")
# What an adapter is made for.
_SIZES = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


def save_without_language_model(
    model: Any, save: Callable[..., None], folder: str | PathLike[str], state: dict[str, Tensor] | None, **kwargs: Any
) -> None:
    """Writes what hears, and the adapter.

    Args:
        model: a `BatForConditionalGeneration`.
        save: its inherited `save_pretrained`.
        folder: where to.
        state: gathered weights of the whole model, if they are spread over processes.
        kwargs: of `save`.
    """
    state = model.state_dict() if state is None else state
    if model.config.lora_rank and kwargs.get("is_main_process", True):
        prefix = "language_model."
        language = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        save_language_adapter(Path(folder) / ADAPTER_FOLDER, model.language_model, model.config, language)
    heard = {name: value for name, value in state.items() if name.startswith("audio_model.")}
    save(folder, state_dict=heard, **kwargs)


def load_with_foreign_language_model(
    model_class: type,
    folder: str | PathLike[str],
    config: BatConfig,
    language_model: Any,
    output_loading_info: bool = False,
    **kwargs: Any,
) -> Any:
    """Puts a saved hearing half and adapter onto the language model that they were trained with.

    Args:
        model_class: `BatForConditionalGeneration`.
        folder: of the checkpoint, or its name on the Hub.
        config: of the checkpoint.
        language_model: another place of its weights, or the model itself; None: as the configuration says.
        output_loading_info: also give what transformers says of the keys.
        kwargs: of `from_pretrained`.

    Raises:
        CheckpointError: files that are missing or damaged, or another language model.
    """
    hub = {name: kwargs[name] for name in HUB_OPTIONS if name in kwargs}
    shared = {name: kwargs.pop(name) for name in _SHARED_OPTIONS if name in kwargs}
    language_options = {name: kwargs.pop(name) for name in _LANGUAGE_OPTIONS if name in kwargs}
    if not isinstance(language_model, PreTrainedModel):
        place = language_model or config.language_model_name_or_path
        revision = {} if language_model else {"revision": config.language_model_revision or "main"}
        try:
            language_model = AutoModelForCausalLM.from_pretrained(place, **(hub | shared | language_options | revision))
        except OSError as error:
            raise CheckpointError(
                f"{folder} needs the language model {str(place)!r}, which cannot be loaded (as a folder it is looked "
                f"for in {Path.cwd()}): download it, or say where it is, model = {model_class.__name__}."
                f"from_pretrained({str(folder)!r}, language_model=FOLDER); model.merge_adapter().save_pretrained(...) "
                "then writes a checkpoint that needs no other folder"
            ) from error
    require_language_model(language_model, config)
    audio_model, loading = BatAudioModel.from_pretrained(
        folder, config=config, output_loading_info=True, **(kwargs | shared)
    )
    model = model_class(config, audio_model.to(language_model.device), language_model)
    if config.lora_rank:
        load_language_adapter(*_adapter_files(folder, kwargs), language_model, config)
    model.generation_config = GenerationConfig.from_pretrained(folder, **{k: kwargs[k] for k in kwargs if k in hub})
    model.eval()
    return (model, loading) if output_loading_info else model


def require_language_model(language_model: PreTrainedModel, config: BatConfig) -> None:
    """Refuses another language model than a checkpoint was made with, as far as its sizes tell.

    Raises:
        CheckpointError: sizes that differ.
    """
    text_config = language_model.config.get_text_config()
    sizes = [(name, getattr(config.text_config, name, None), getattr(text_config, name, None)) for name in _SIZES]
    different = [f"{name} {found} where {expected} is expected" for name, expected, found in sizes if expected != found]
    if different:
        raise CheckpointError(
            f"this checkpoint is of the language model {config.language_model_name_or_path!r}, and was given another: "
            + ", ".join(different)
        )


def _adapter_files(folder: str | PathLike[str], options: dict[str, Any]) -> tuple[Path, Path]:
    """The adapter's settings and weights, in a folder or on the Hub.

    Raises:
        CheckpointError: one of them is not there.
    """
    try:
        settings, weights = (cached_file(str(folder), f"{ADAPTER_FOLDER}/{file}", **options) for file in ADAPTER_FILES)
    except OSError as error:
        raise CheckpointError(f"{folder} has no whole {ADAPTER_FOLDER} ({', '.join(ADAPTER_FILES)})") from error
    return Path(settings), Path(weights)
