"""Loads the model of a command, quietly."""

from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from spatial_audio_lm.pipelines.answering import QuestionAnswerer
    from spatial_audio_lm.pipelines.captioning import RecordingCaptioner
    from spatial_audio_lm.pipelines.locating import SoundEventLocator
    from spatial_audio_lm.pipelines.querying import SpatialQuery
    from spatial_audio_lm.pipelines.recording_embeddings import RecordingEmbedder


def load_query_engine(model: str) -> "SpatialQuery":
    """The engine of `query`.

    Args:
        model: Packaged name or folder.
    """
    from spatial_audio_lm.pipelines.querying import SpatialQuery

    _hush_transformers()
    return SpatialQuery.from_pretrained(model)


def load_question_engine(model: str) -> "QuestionAnswerer":
    """The engine of `ask`.

    Args:
        model: Packaged name or folder.
    """
    from spatial_audio_lm.pipelines.answering import QuestionAnswerer

    _hush_transformers()
    return QuestionAnswerer.from_pretrained(model)


def load_caption_engine(model: str) -> "RecordingCaptioner":
    """The engine of `caption`.

    Args:
        model: Packaged name or folder.
    """
    from spatial_audio_lm.pipelines.captioning import RecordingCaptioner

    _hush_transformers()
    return RecordingCaptioner.from_pretrained(model)


def load_embedding_engine(model: str, pooling: str | None, mono: str) -> Union["SpatialQuery", "RecordingEmbedder"]:
    """The engine of `embed` that fits a checkpoint: windows in the space of sentences, or one vector a recording.

    Args:
        model: Packaged name or folder.
        pooling: See `SceneEncoder`; None for its usual one.
        mono: "refuse" or "duplicate".

    Raises:
        CheckpointError: No such checkpoint, or a kind of model that embeds nothing.
        ConfigError: A pooling that it does not have.
    """
    from spatial_audio_lm.errors import ConfigError
    from spatial_audio_lm.models.checkpoints import checkpoint_folder
    from spatial_audio_lm.pipelines.pretrained import model_type_of

    if model_type_of(checkpoint_folder(model)) == "elsa":
        if pooling not in (None, "joint"):
            raise ConfigError(f"pooling is {pooling!r}; elsa has joint")
        return load_query_engine(model)
    from spatial_audio_lm.pipelines.recording_embeddings import RecordingEmbedder
    from spatial_audio_lm.pipelines.scene_embeddings import SceneEncoder

    _hush_transformers()
    return RecordingEmbedder(SceneEncoder.from_pretrained(model, pooling, mono))


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
