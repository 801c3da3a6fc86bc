"""One vector of a recording from any encoder of the house: what the prefix of a caption is made of.

The rule: the vector that the encoder itself has for a whole recording, and of several such the one that keeps its
channels apart; of an encoder that has none, the mean of its tokens.

    encoder              vector                                             width (published sizes)
    ELSA                 what it compares with texts, of length 1           projection_dim (512)
    GRAM                 mean over time of all bands side by side           bands * hidden_size (6144 or 768)
    WavJEPA(-Nat)        mean of each channel's frames, side by side        channels * hidden_size (768, 1536)
    Audio-MAE            mean of its patches (`pooler_output`)              hidden_size (768)
    SpatialAST, DSpAST   class tokens side by side                          class tokens * token width (2304)
    any other            mean of `last_hidden_state`                        hidden_size
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.models.dspast.configuration_dspast import BRANCHES

# Parts of an encoder that no recording passes through.
_NOT_HEARD_WITH: dict[str, tuple[str, ...]] = {"elsa": ("text_model", "text_projection")}


def embedding_dim(config: PretrainedConfig) -> int:
    """Width of the vectors of an encoder with this configuration.

    Raises:
        ConfigError: a configuration that does not say it.
    """
    dim, _ = _RULES.get(config.model_type, _MEAN_OF_TOKENS)
    try:
        return int(dim(config))
    except AttributeError as error:
        raise ConfigError(
            f"{config.model_type} is no encoder of sound that a captioner can hear with: {error}"
        ) from error


def new_encoder(config: PretrainedConfig) -> PreTrainedModel:
    """An encoder with random weights, without what no recording passes through."""
    return hearing_part(AutoModel.from_config(config))


def hearing_part(encoder: PreTrainedModel) -> PreTrainedModel:
    """The encoder, in place, without the parts that no recording passes through: ELSA's text tower."""
    for name in _NOT_HEARD_WITH.get(encoder.config.model_type, ()):
        setattr(encoder, name, None)
    return encoder


def audio_embeddings(encoder: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """Vectors `(batch, dim)` of a batch of recordings.

    Args:
        encoder: in evaluation mode.
        inputs: outputs of its feature extractor under the names of `AUDIO_INPUTS`.

    Raises:
        AudioValueError: inputs of another encoder.
    """
    _, embed = _RULES.get(encoder.config.model_type, _MEAN_OF_TOKENS)
    return embed(encoder, inputs)


def _needed(encoder: PreTrainedModel, inputs: Mapping[str, Tensor], *names: str) -> list[Tensor]:
    if missing := [name for name in names if name not in inputs]:
        raise AudioValueError(
            f"{', '.join(missing)} missing: {encoder.config.model_type} hears {', '.join(names)}, and was given "
            f"{', '.join(inputs) or 'nothing'}: use the processor saved with this model"
        )
    return [inputs[name] for name in names]


def _elsa(encoder: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    features, spatial_features = _needed(encoder, inputs, "input_features", "spatial_features")
    return encoder.get_audio_features(features, spatial_features, inputs.get("audio_attention_mask")).pooler_output


def _gram(encoder: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    (features,) = _needed(encoder, inputs, "input_features")
    return encoder(features, attention_mask=inputs.get("audio_attention_mask")).scene_raw


def _wavjepa(encoder: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    (values,) = _needed(encoder, inputs, "input_values")
    return encoder(values, attention_mask=inputs.get("audio_attention_mask")).scene_channels


def _audio_mae(encoder: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    (features,) = _needed(encoder, inputs, "input_features")
    return encoder(features).pooler_output


def _class_tokens(encoder: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    (features,) = _needed(encoder, inputs, "input_features")
    return encoder(features).last_hidden_state[:, : encoder.config.num_cls_tokens].flatten(1)


def _mean(encoder: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    (heard,) = _needed(encoder, inputs, encoder.main_input_name)
    return encoder(heard).last_hidden_state.mean(1)


_Rule = tuple[Callable[[Any], int], Callable[[Any, Mapping[str, Tensor]], Tensor]]
_MEAN_OF_TOKENS: _Rule = (lambda config: config.hidden_size, _mean)
_RULES: dict[str, _Rule] = {
    "elsa": (lambda config: config.projection_dim, _elsa),
    "gram": (lambda config: config.grid[0] * config.hidden_size, _gram),
    "wavjepa": (lambda config: config.num_channels * config.hidden_size, _wavjepa),
    "audio_mae": (lambda config: config.hidden_size, _audio_mae),
    "spatial_ast": (lambda config: config.num_cls_tokens * config.hidden_size, _class_tokens),
    "dspast": (lambda config: config.num_cls_tokens * len(BRANCHES) * config.branch_dim, _class_tokens),
}
