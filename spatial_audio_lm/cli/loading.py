"""Loads the model of a command, quietly."""

from spatial_audio_lm.pipelines.querying import SpatialQuery


def load_query_engine(model: str) -> SpatialQuery:
    """The engine of `query`, `locate` and `embed`; transformers' own bars and advice stay off stderr.

    Args:
        model: Packaged name or folder.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return SpatialQuery.from_pretrained(model)
