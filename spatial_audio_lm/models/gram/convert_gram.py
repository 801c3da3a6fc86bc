"""Published checkpoints of GRAM into our layout; every key accounted for.

Three ways of naming are known: bare names under `state_dict` in the files of the training (Lightning), `model.` in
front in the published run-time wrapper, which the files on the Hub are loaded into, and `encoder.model.` where the
Hub's own class was saved. The code that the Hub's newest models bring with them was not at hand.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from spatial_audio_lm.errors import CheckpointError, ConfigError
from spatial_audio_lm.layers.binaural_checkpoints import RenamedWeights, our_name, write_converted
from spatial_audio_lm.layers.positions import sincos_table_2d
from spatial_audio_lm.layers.published_weights import (
    KeyAccount,
    load_accounted,
    read_safetensors,
    read_torch_checkpoint,
)
from spatial_audio_lm.models.gram.configuration_gram import PUBLISHED_VARIANTS, GramConfig
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.modeling_gram_pretraining import GramForPreTraining
from spatial_audio_lm.signal.mel import mel_filters

TERMS = (
    "Weights of GRAM: the repository labhamlet/GRAM-T is CC BY 4.0 (name the authors), the cards of the models on the "
    "Hub carry the tag MIT. The training data, AudioSet, WHAMR! noise and Matterport3D rooms, have terms of their own."
)
PREFIXES = ("encoder.model.", "model.", "")
_FIRST_LAYER = "patch_embed.proj.weight"

_RENAMES = (
    (
        "gram.",
        (
            (r"^cls_token$", "cls_token"),
            (r"^patch_embed\.proj\.", "patch_embedding."),
            (r"^encoder\.ln\.", "norm."),
        ),
    ),
    (
        "gram.blocks.",
        (
            (r"^encoder\.layers\.encoder_layer_(\d+)\.ln_([12])\.", r"\1.norm\2."),
            (r"^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_", r"\1.attn.qkv."),
            (r"^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.", r"\1.attn.proj."),
            (r"^encoder\.layers\.encoder_layer_(\d+)\.mlp\.0\.", r"\1.mlp.fc1."),
            (r"^encoder\.layers\.encoder_layer_(\d+)\.mlp\.3\.", r"\1.mlp.fc2."),
        ),
    ),
    (
        "decoder.",
        (
            (r"^mask_token$", "mask_token"),
            (r"^decoder_embed\.", "embedding."),
            (r"^decoder_norm\.", "norm."),
            (r"^spec_pred\.0\.", "prediction."),
            (r"^decoder_blocks\.(\d+)\.wmha\.attn_heads\.(\d+)\.relative_position_bias_table$",
             r"blocks.\1.attn.relative_bias.\2.table"),
            (r"^decoder_blocks\.(\d+)\.wmha\.(qkv|proj)\.", r"blocks.\1.attn.\2."),
            (r"^decoder_blocks\.(\d+)\.(norm[12]|mlp\.fc[12])\.", r"blocks.\1.\2."),
        ),
    ),
)  # fmt: skip


def gram_from_published(
    state: Mapping[str, Tensor], variant: str | None = None
) -> tuple[GramForPreTraining, KeyAccount]:
    """GRAM, encoder and decoder, with the weights of a published state dict, in evaluation mode.

    Args:
        state: tensors by their published names, with any known prefix; sizes are read off the shapes.
        variant: which model it has to be, see `GramConfig.published`; None: any, told by the shapes.

    Raises:
        CheckpointError: another variant, another model, keys that nobody accounts for on either side, shapes that do
            not fit, or constants (positions, window, mel filters) other than ours.
        ConfigError: an unknown variant.
    """
    prefix, found = published_variant(state)
    if variant is not None and variant not in PUBLISHED_VARIANTS:
        raise ConfigError(f"variant {variant!r} is not known; expected one of {', '.join(PUBLISHED_VARIANTS)}")
    if variant not in (None, found):
        raise CheckpointError(f"the checkpoint is of GRAM {found}; expected {variant}")
    model = GramForPreTraining(GramConfig.published(found, **_sizes(state, prefix))).eval()
    weights, constants = RenamedWeights(), _constants(model.config)
    # The wrapper's own front end lies beside the model in it.
    outer = prefix.removesuffix("model.")
    for key, value in state.items():
        name = key.removeprefix(outer) if key.startswith(f"{outer}mel_spec.") else key.removeprefix(prefix)
        reason = _constant(name, value, constants)
        if reason is not None:
            weights.dropped[key] = reason
        elif name == _FIRST_LAYER:
            weights.add("gram.patch_embedding.weight", key, value.flatten(1))
        else:
            weights.add(our_name(name, *_RENAMES), key, value[:, 0] if name.endswith("bias_table") else value)

    def may_be_missing(key: str) -> str | None:
        return "table of positions: computed here, fixed" if key.endswith("positions.table") else None

    return model, load_accounted(model, weights.state, weights.origin, weights.dropped, may_be_missing)


def published_variant(state: Mapping[str, Tensor]) -> tuple[str, str]:
    """The prefix of all names of a state dict, and the published model whose patches and feature maps it has.

    Raises:
        CheckpointError: it is of no model known here.
    """
    prefix = next((prefix for prefix in PREFIXES if prefix + _FIRST_LAYER in state), None)
    if prefix is None:
        raise CheckpointError(
            f"the checkpoint has no {_FIRST_LAYER}: it is not of GRAM; expected the names of labhamlet/GRAM-T, with "
            "'model.', 'encoder.model.' or nothing in front"
        )
    kernel = tuple(state[prefix + _FIRST_LAYER].shape)
    for variant in PUBLISHED_VARIANTS:
        config = GramConfig.published(variant)
        if kernel[1:] == (config.num_feature_maps, config.patch_bands, config.patch_frames):
            return prefix, variant
    raise CheckpointError(
        f"{_FIRST_LAYER} has shape {kernel}, which is none of the published models' ({', '.join(PUBLISHED_VARIANTS)}): "
        "a GRAM with other feature maps or patches is not known here"
    )


def _sizes(state: Mapping[str, Tensor], prefix: str) -> dict[str, int]:
    """Settings that shapes and numbers of layers tell.

    Raises:
        CheckpointError: one of the needed tensors is missing.
    """
    needed = ("encoder.layers.encoder_layer_0.mlp.0.weight", "decoder_embed.weight", "decoder_blocks.0.mlp.fc1.weight")
    missing = [name for name in needed if prefix + name not in state]
    if missing:
        raise CheckpointError(f"the checkpoint is not whole: {', '.join(missing)} missing")
    mlp, embedding, decoder_mlp = (state[prefix + name].shape for name in needed)

    def count(layers: str) -> int:
        return len({match[1] for key in state if (match := re.match(rf"{re.escape(prefix)}{layers}(\d+)\.", key))})

    return {
        "hidden_size": mlp[1],
        "num_hidden_layers": count(r"encoder\.layers\.encoder_layer_"),
        "num_attention_heads": max(mlp[1] // 64, 1),  # heads are 64 wide, as in every size of ViT
        "intermediate_size": mlp[0],
        "decoder_hidden_size": embedding[0],
        "decoder_num_hidden_layers": count(r"decoder_blocks\."),
        "decoder_intermediate_size": decoder_mlp[0],
    }


def _constants(config: GramConfig) -> list[tuple[str, Tensor, float]]:
    """What a checkpoint may carry although it is computed: pattern of its name, our value, largest difference."""
    encoder, decoder = (sincos_table_2d(*config.grid, dim) for dim in (config.hidden_size, config.decoder_hidden_size))
    filters = mel_filters(config.num_mel_bins, 1024, config.sampling_rate, 50.0, 16_000.0, "htk")
    constants = [
        (r"^encoder\.pos_embedding$", torch.cat([torch.zeros_like(encoder[:1]), encoder])[None], 1e-5),
        (r"^decoder_pos_embed$", decoder[None], 1e-5),
        (r"^(mel_spec\.)?melspec\.spectrogram\.window$", torch.hann_window(1024), 1e-5),
        (r"^(mel_spec\.)?melspec\.mel_scale\.fb$", filters, 1e-3),
    ]
    for head, window in enumerate(config.decoder_windows):
        place = torch.arange(window)
        name = rf"^decoder_blocks\.\d+\.wmha\.attn_heads\.{head}\.relative_position_index$"
        constants.append((name, place[:, None] - place + window - 1, 0.0))
    return constants


def _constant(name: str, value: Tensor, constants: list[tuple[str, Tensor, float]]) -> str | None:
    """Why a key has no place, if it is a constant.

    Raises:
        CheckpointError: a constant with another value than ours.
    """
    for pattern, ours, limit in constants:
        if re.search(pattern, name):
            if value.shape != ours.shape or (value.double() - ours.double()).abs().max() > limit:
                raise CheckpointError(f"{name} is another constant than the published code computes: another model")
            return "constant, equal to what is computed here"
    return None


def read_gram(path: Path) -> dict[str, Tensor]:
    """The weights of a published file.

    Args:
        path: a safetensors file of the Hub, or a checkpoint of the training (`{"state_dict": ...}`) or a bare state
            dict as PyTorch writes them.

    Raises:
        CheckpointError: no whole file, or one that holds more than weights.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    content = read_torch_checkpoint(path)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path.name} holds no weights; expected {{'state_dict': ...}}, or the weights alone")
    return state


def convert_gram(path: str | Path, output_dir: str | Path, variant: str | None = None) -> KeyAccount:
    """Write GRAM with the weights of a published file; print their terms.

    The folder gets encoder and decoder (`GramModel.from_pretrained` takes the encoder alone), the feature extractor,
    and `conversion.json`: layout, terms, what happened to every key.

    Args:
        path: `model.safetensors` of the Hub, or a `.ckpt` file of the published training.
        output_dir: folder to write.
        variant: which model it has to be; None: any.

    Raises:
        CheckpointError: another checkpoint, a damaged one, or one whose keys do not fit.
    """
    path = Path(path)
    state = read_gram(path)
    model, account = gram_from_published(state, variant)
    extractor = GramFeatureExtractor.for_model(model.config)
    about = {"source": path.name, "layout": f"gram {published_variant(state)[1]}", "terms": TERMS}
    write_converted(Path(output_dir), model, extractor, account, about)
    return account
