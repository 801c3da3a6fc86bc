"""What BAT's Q-Former hears of each encoder: tokens `(batch, tokens, dim)`, and which of them are of the recording.

This is the one place that knows how the encoders differ. One that is not named here is heard as it is: its main input
goes in, its `last_hidden_state` `(batch, tokens, hidden_size)` comes out.

    encoder          tokens                                               width (published sizes)
    SpatialAST       class tokens, then patches: 515                      hidden_size (768)
    DSpAST           the same, the three branches joined: 515             3 * branch_dim (768)
    GRAM             a moment, all bands joined: one each 80 or 20 ms     bands * hidden_size (6144 or 768)
    WavJEPA(-Nat)    a moment, both ears joined: one each 10 ms           channels * hidden_size (768, 1536)
    ELSA             a moment of what sounds, joined with the clip's      the two branches' hidden_size, and 3
                     spatial vector and its direction                     for the direction if it has pools

SpatialAST and DSpAST can be heard with, or by nothing but, what their trained heads read of the whole recording
(`hears` of the configuration): tokens of the same width that stand first, three of SpatialAST, one of DSpAST with its
branches joined. Alone, they are joined to one wide token, so that the Q-Former need not learn where to look. Direction
and distance of a clip lie there readily, where the patches have them in pieces. `DSpASTForSELD` tells the answers of
its heads for each of the most probable sounds (models/dspast/told_sounds.py), joined too, and never beside tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from spatial_audio_lm.errors import AudioValueError, ConfigError
from spatial_audio_lm.models.dspast.configuration_dspast import BRANCHES
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization
from spatial_audio_lm.models.dspast.modeling_dspast_seld import DSpASTForSELD
from spatial_audio_lm.models.dspast.told_sounds import told_dim
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization

# Outputs of the feature extractors, as BAT's inputs call them: `attention_mask` is the mask of its text, and that of
# the recordings, which GRAM and WavJEPA call so, becomes `audio_attention_mask`.
AUDIO_INPUTS = ("input_features", "input_values", "spatial_features", "audio_attention_mask")


HEARS = ("tokens", "readout", "readout_and_tokens")

# Encoders with trained heads whose readout can be heard.
READOUT_MODELS: dict[str, Any] = {
    "spatial_ast": SpatialASTForSoundEventLocalization,
    "dspast": DSpASTForSoundEventLocalization,
}


@dataclass(frozen=True)
class AudioTokens:
    """What was heard.

    Args:
        hidden_states: `(batch, tokens, dim)`.
        mask: bool `(batch, tokens)`, False on tokens behind the end of a recording; None: all are heard.
        encoder_states: the encoder's own hidden states, if asked for.
    """

    hidden_states: Tensor
    mask: Tensor | None = None
    encoder_states: tuple[Tensor, ...] | None = None


def token_dim(config: PretrainedConfig, hears: str = "tokens") -> int:
    """Width of the tokens of an encoder with this configuration, and of what is heard of it."""
    if hears == "readout" and getattr(config, "place_per_sound", False):
        return min(config.num_told_sounds, config.num_labels) * told_dim(config)
    dim, _ = _EARS.get(config.model_type, (_plain_dim, _plain_tokens))
    joined = len(BRANCHES) if hears == "readout" and config.model_type == SpatialASTConfig.model_type else 1
    return dim(config) * joined


def encoder_class(config: PretrainedConfig, hears: str) -> Any:
    """What an encoder with this configuration is built and loaded by.

    Raises:
        ConfigError: something else than one of `HEARS`, or the readout of an encoder that has none.
    """
    if hears not in HEARS:
        raise ConfigError(f"hears is {hears!r}; expected one of {', '.join(HEARS)}")
    if hears == "tokens":
        return AutoModel
    model_type = config.model_type
    if model_type not in READOUT_MODELS:
        raise ConfigError(
            f"hears is {hears!r}, and {model_type} has no heads that read: those of {', '.join(READOUT_MODELS)} do"
        )
    if not getattr(config, "place_per_sound", False):
        return READOUT_MODELS[model_type]
    if hears == "readout_and_tokens":
        raise ConfigError(
            f"hears is {hears!r}, and what a model with a place for each sound tells of them is not as wide as its "
            "tokens: hear 'readout', or 'tokens'"
        )
    return DSpASTForSELD


def load_encoder(folder: str | PathLike[str], hears: str) -> PreTrainedModel:
    """The encoder of a folder, with its heads where their readout is to be heard.

    Raises:
        ConfigError: something else than one of `HEARS`, or the readout of an encoder that has none.
    """
    make = encoder_class(AutoConfig.from_pretrained(folder), hears)
    encoder: PreTrainedModel = make.from_pretrained(folder).eval()
    return encoder


def named_audio_inputs(features: Mapping[str, Any]) -> dict[str, Any]:
    """What a feature extractor gives, under BAT's names, without what BAT does not take."""
    named = {"audio_attention_mask" if name == "attention_mask" else name: features[name] for name in features}
    return {name: named[name] for name in AUDIO_INPUTS if name in named}


def audio_tokens(
    encoder: PreTrainedModel, inputs: Mapping[str, Tensor], hears: str = "tokens", keep_states: bool = False
) -> AudioTokens:
    """Tokens of a batch of recordings.

    Args:
        encoder: any encoder of the house, in evaluation mode, of `encoder_class`.
        inputs: outputs of its feature extractor under the names of `AUDIO_INPUTS`.
        hears: one of `HEARS`.
        keep_states: also give the encoder's hidden states, where it has any.

    Raises:
        AudioValueError: inputs of another encoder.
    """
    if hears != "tokens":
        return _read_tokens(encoder, inputs, hears, keep_states)
    _, tokens = _EARS.get(encoder.config.model_type, (_plain_dim, _plain_tokens))
    return tokens(encoder, inputs, keep_states)


def _needed(encoder: PreTrainedModel, inputs: Mapping[str, Tensor], *names: str) -> list[Tensor]:
    missing = [name for name in names if name not in inputs]
    if missing:
        raise AudioValueError(
            f"{', '.join(missing)} missing: {encoder.config.model_type} hears {', '.join(names)}, and was given "
            f"{', '.join(inputs) or 'nothing'}: use the processor saved with this model"
        )
    return [inputs[name] for name in names]


def _plain_dim(config: Any) -> int:
    return config.hidden_size


def _plain_tokens(encoder: PreTrainedModel, inputs: Mapping[str, Tensor], keep_states: bool) -> AudioTokens:
    (heard,) = _needed(encoder, inputs, encoder.main_input_name)
    output = encoder(heard, output_hidden_states=keep_states)
    return AudioTokens(output.last_hidden_state, encoder_states=output.hidden_states)


def _read_tokens(model: Any, inputs: Mapping[str, Tensor], hears: str, keep_states: bool) -> AudioTokens:
    """Readout, and behind it class tokens and patches if they are heard too."""
    (features,) = _needed(model, inputs, "input_features")
    heard = _plain_tokens(model.base_model, inputs, keep_states)
    readout = model.readout_tokens(heard.hidden_states, features).to(heard.hidden_states.dtype)
    joined = readout.flatten(1)[:, None]
    tokens = joined if hears == "readout" else torch.cat([readout, heard.hidden_states], dim=1)
    return AudioTokens(tokens, encoder_states=heard.encoder_states)


def _dspast_dim(config: Any) -> int:
    return len(BRANCHES) * config.branch_dim


def _gram_dim(config: Any) -> int:
    return config.grid[0] * config.hidden_size


def _gram_tokens(encoder: PreTrainedModel, inputs: Mapping[str, Tensor], keep_states: bool) -> AudioTokens:
    (features,) = _needed(encoder, inputs, "input_features")
    output = encoder(features, attention_mask=inputs.get("audio_attention_mask"), output_hidden_states=keep_states)
    return AudioTokens(output.frame_embeddings, output.frame_mask, output.hidden_states)


def _wavjepa_dim(config: Any) -> int:
    return config.num_channels * config.hidden_size


def _wavjepa_tokens(encoder: PreTrainedModel, inputs: Mapping[str, Tensor], keep_states: bool) -> AudioTokens:
    (values,) = _needed(encoder, inputs, "input_values")
    output = encoder(values, attention_mask=inputs.get("audio_attention_mask"), output_hidden_states=keep_states)
    ears_joined = output.last_hidden_state.transpose(1, 2).flatten(2)  # from (batch, channels, frames, hidden_size)
    return AudioTokens(ears_joined, output.frame_mask, output.hidden_states)


def _elsa_dim(config: Any) -> int:
    direction = 3 if config.spatial_config.num_direction_pools else 0
    return config.audio_config.hidden_size + config.spatial_config.hidden_size + direction


def _elsa_tokens(encoder: Any, inputs: Mapping[str, Tensor], keep_states: bool) -> AudioTokens:
    features, spatial_features = _needed(encoder, inputs, "input_features", "spatial_features")
    mask = inputs.get("audio_attention_mask")
    masks = {} if mask is None else {"attention_mask": mask}
    moments = encoder.audio_model(features.to(encoder.audio_model.dtype), **masks).last_hidden_state
    if moments.dim() == 4:  # HTS-AT: (batch, dim, bands, frames)
        moments = moments.flatten(2).transpose(1, 2)
    spatial = encoder.spatial_model(spatial_features, mask)
    parts = [spatial.pooler_output]
    if spatial.direction is not None:
        parts.append(torch.nn.functional.normalize(spatial.direction, dim=-1).to(spatial.pooler_output.dtype))
    clip = torch.cat(parts, dim=1)[:, None].expand(-1, moments.shape[1], -1)
    heard = None if mask is None else _elsa_moments(encoder.config.audio_config, mask.sum(1))
    if heard is not None:
        heard = torch.arange(moments.shape[1], device=moments.device) < heard[:, None]
    return AudioTokens(torch.cat([moments, clip.to(moments.dtype)], dim=-1), heard)


def _elsa_moments(config: Any, frames: Tensor) -> Tensor:
    """Moments of clips of so many frames in the compact branch, the only one that hears clips of any length: its stem
    halves them and rounds up, the pool behind every stage but the last halves them and rounds down."""
    return ((frames - 1) // 2 + 1) // 2 ** (len(config.stage_channels) - 1)


_Ear = tuple[Callable[[Any], int], Callable[[Any, Mapping[str, Tensor], bool], AudioTokens]]
_EARS: dict[str, _Ear] = {
    "dspast": (_dspast_dim, _plain_tokens),
    "gram": (_gram_dim, _gram_tokens),
    "wavjepa": (_wavjepa_dim, _wavjepa_tokens),
    "elsa": (_elsa_dim, _elsa_tokens),
}
