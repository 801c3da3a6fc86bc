"""`from_pretrained` that loads all of a model or refuses: transformers draws what is missing at random, and warns."""

import re
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.layers.published_weights import misfits, not_finite


class WholeWeights(PreTrainedModel):
    """A model whose saved weights must be those that its configuration describes.

    Attributes:
        _new_on_load: pattern of the names that a checkpoint may lack, because a training begins with new ones; None:
            nothing may be missing.
    """

    _new_on_load: str | None = None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *model_args: Any,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Any:
        """As in transformers, but for weights that do not fit.

        Args:
            pretrained_model_name_or_path: folder or name on the Hub.
            model_args: of transformers.
            ignore_mismatched_sizes: draw weights of another shape anew, and those that are missing.
            output_loading_info: also give what became of every name.
            kwargs: of transformers; settings among them change the configuration.

        Raises:
            CheckpointError: a damaged file, names that are missing, left over, or of another shape, or values that are
                not finite.
        """
        try:
            model, info = super().from_pretrained(
                pretrained_model_name_or_path,
                *model_args,
                ignore_mismatched_sizes=True,  # as refused below, with their names
                output_loading_info=True,
                **kwargs,
            )
        except SafetensorError as error:
            raise CheckpointError(f"{pretrained_model_name_or_path} has no whole safetensors file: {error}") from error
        missing = [key for key in info["missing_keys"] if not (cls._new_on_load and re.search(cls._new_on_load, key))]
        shapes = [f"{name} {tuple(found)} for {tuple(own)}" for name, found, own in info["mismatched_keys"]]
        groups = {"missing": missing, "wrong shapes": shapes, "without a place": info["unexpected_keys"]}
        if not ignore_mismatched_sizes and (problems := misfits(groups)):
            raise CheckpointError(
                f"{pretrained_model_name_or_path} does not hold the weights of a {cls.__name__} with this "
                f"configuration: {problems}: load it with the class and the settings it was saved with, or draw what "
                "does not fit anew (ignore_mismatched_sizes=True)"
            )
        if broken := misfits({"not finite": not_finite(model.state_dict().items())}):
            raise CheckpointError(f"{pretrained_model_name_or_path} has damaged weights: {broken}")
        return (model, info) if output_loading_info else model
