"""Loads the model of a command, quietly."""

from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from spatial_audio_lm.pipelines.locating import SoundEventLocator
    from spatial_audio_lm.pipelines.querying import SpatialQuery


def load_query_engine(model: str) -> "SpatialQuery":
    """The engine of `query` and `embed`.

    Args:
        model: Packaged name or folder.
    """
    from spatial_audio_lm.pipelines.querying import SpatialQuery

    _hush_transformers()
    return SpatialQuery.from_pretrained(model)


def load_locating_engine(model: str) -> Union["SpatialQuery", "SoundEventLocator"]:
    """The engine of `locate` that fits a checkpoint.

    Args:
        model: Packaged name or folder.

    Raises:
        CheckpointError: No such checkpoint, or a kind of model that locates nothing.
    """
    from spatial_audio_lm.errors import CheckpointError
    from spatial_audio_lm.models.checkpoints import checkpoint_folder
    from spatial_audio_lm.pipelines.pretrained import model_type_of

    folder = checkpoint_folder(model)
    kind = model_type_of(folder)
    if kind == "elsa":
        return load_query_engine(model)
    from spatial_audio_lm.pipelines.locating import EVENT_MODEL_TYPES, SoundEventLocator

    if kind not in EVENT_MODEL_TYPES:
        raise CheckpointError(
            f"{folder} holds a model of type {kind!r}; locating needs one of elsa, {', '.join(EVENT_MODEL_TYPES)}"
        )
    _hush_transformers()
    return SoundEventLocator.from_pretrained(model)


def _hush_transformers() -> None:
    """Keeps its own bars and advice off stderr."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
