"""A model and its front end out of a folder: whole, or a named error."""

from pathlib import Path
from typing import Any

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.layers.published_weights import misfits, not_finite


def model_type_of(folder: Path) -> str | None:
    """What `config.json` says the folder holds: "elsa", "dspast", ...

    Raises:
        CheckpointError: No such file, or none that can be read.
    """
    kind = read_json(folder / "config.json", error=CheckpointError).get("model_type")
    return kind if isinstance(kind, str) else None


def require_trained(folder: Path) -> None:
    """Refuses what a converter made to begin a training with: published towers below layers that have learned nothing.

    Raises:
        CheckpointError: such a folder.
    """
    conversion = folder / "conversion.json"
    if not conversion.is_file():
        return
    if read_json(conversion, error=CheckpointError).get("layout") == "audio_mae":
        raise CheckpointError(
            f"{folder} holds Audio-MAE's blocks and new, random layers: train it first (recipes/dspast_train.py)"
        )
    if model_type_of(folder) == "elsa":
        raise CheckpointError(
            f"{folder} holds CLAP's towers and new, random layers: train it first (recipes/elsa_contrastive.py)"
        )


def load_whole(folder: Path, model_class: Any, processor_class: Any) -> tuple[Any, Any]:
    """A model with every weight that its configuration describes, and what makes its inputs.

    Args:
        folder: Written by `save_pretrained` of both.
        model_class: Class of the model.
        processor_class: Class of its processor or feature extractor.

    Raises:
        CheckpointError: Files that are missing or damaged, or weights that are.
    """
    if not any((folder / name).is_file() for name in ("processor_config.json", "preprocessor_config.json")):
        raise CheckpointError(f"{folder} holds a model without its processor: processor.save_pretrained it there too")
    try:
        model, loading = model_class.from_pretrained(folder, local_files_only=True, output_loading_info=True)
        processor = processor_class.from_pretrained(folder, local_files_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # transformers, tokenizers and safetensors raise all kinds for damaged files
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(f"{folder} cannot be loaded: {reason}") from error
    absent = sorted({*loading["missing_keys"], *(str(key) for key in loading["mismatched_keys"])})
    if absent:
        raise CheckpointError(
            f"{folder} lacks weights of the model that its config.json describes: {', '.join(absent[:3])}"
            + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
        )
    if broken := misfits({"not finite": not_finite(model.state_dict().items())}):
        raise CheckpointError(f"{folder} has damaged weights: {broken}")
    return model, processor
