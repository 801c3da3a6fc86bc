"""Published checkpoints of WavJEPA and WavJEPA-Nat into our layout; every key accounted for.

Files of the Hub have `model.` before every name and a config.json beside them; those of the training (Lightning) have
the names under `state_dict`, with `_orig_mod.` in them where a module was compiled.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spatial_audio_lm.errors import CheckpointError, ConfigError
from spatial_audio_lm.files import read_json
from spatial_audio_lm.layers.binaural_checkpoints import RenamedWeights, our_name, write_converted
from spatial_audio_lm.layers.published_weights import (
    KeyAccount,
    load_accounted,
    read_safetensors,
    read_torch_checkpoint,
)
from spatial_audio_lm.layers.waveform_encoder import ConvLayer, conv_frames
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import CONV_LAYERS, PUBLISHED_VARIANTS, WavJEPAConfig
from spatial_audio_lm.models.wavjepa.convolutions_wavjepa import conv_layers_of
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining
from spatial_audio_lm.models.wavjepa.positions_wavjepa import frame_positions
from spatial_audio_lm.models.wavjepa.published_settings_wavjepa import left_aside, require_known_settings, whole_number

TERMS = (
    "Weights of WavJEPA: the cards of the models on the Hub carry the tag MIT, the repository labhamlet/wavjepa is "
    "BSD 3-Clause (name the authors). The training data, AudioSet, and for WavJEPA-Nat WHAMR! noise and Matterport3D "
    "rooms, have terms of their own."
)
# What the training's settings hold besides plain values: the activation, a module without weights.
ALLOWED = (nn.GELU, set)
PREFIXES = ("model.", "")
_NEEDED = {"encoder.layers.0.linear1.weight": 2, "decoder.layers.0.linear1.weight": 2, "pos_encoding_encoder": 3}
_CHANNELS = {"extract_audio.cnn.0.0.weight": 1, "extract_audio.cnns.0.0.0.weight": 2}

_LAYERS = (
    (r"^layers\.(\d+)\.self_attn\.in_proj_", r"blocks.\1.attn.qkv."),
    (r"^layers\.(\d+)\.self_attn\.out_proj\.", r"blocks.\1.attn.proj."),
    (r"^layers\.(\d+)\.linear([12])\.", r"blocks.\1.mlp.fc\2."),
    (r"^layers\.(\d+)\.norm([12])\.", r"blocks.\1.norm\2."),
    (r"^norm\.", "norm."),
)


def _stack(theirs: str) -> tuple[tuple[str, str], ...]:
    return tuple((pattern.replace("^", rf"^{theirs}\.", 1), ours) for pattern, ours in _LAYERS)


_RENAMES = (
    (
        "wavjepa.",
        (
            (r"^extract_audio\.cnn\.(\d+)\.0\.", r"waveform_encoders.0.convs.\1."),
            (r"^extract_audio\.cnn\.0\.2\.", "waveform_encoders.0.norm."),
            (r"^extract_audio\.cnns\.(\d+)\.(\d+)\.0\.", r"waveform_encoders.\1.convs.\2."),
            (r"^extract_audio\.cnns\.(\d+)\.0\.2\.", r"waveform_encoders.\1.norm."),
            (r"^feature_norms\.", "feature_norm."),
            (r"^post_extraction_mapper\.", "projection."),
        ),
    ),
    ("wavjepa.encoder.", _stack("encoder")),
    ("target_encoder.stack.", _stack("teacher_encoder")),
    ("predictor.stack.", _stack("decoder")),
    (
        "predictor.",
        (
            (r"^encoder_to_decoder_mapper\.", "embedding."),
            (r"^decoder_to_encoder_mapper\.", "prediction."),
            (r"^mask_token$", "mask_token"),
        ),
    ),
)


def wavjepa_from_published(
    state: Mapping[str, Tensor], variant: str | None = None, settings: Mapping[str, Any] | None = None
) -> tuple[WavJEPAForPreTraining, KeyAccount]:
    """WavJEPA with its target encoder and predictor, of a published state dict, in evaluation mode.

    Args:
        state: tensors by their published names; sizes are read off the shapes.
        variant: which model it has to be, see `WavJEPAConfig.published`; None: either, told by the names.
        settings: of the published config.json, for what no shape tells; None: the published ones.

    Raises:
        CheckpointError: another variant, another model or convolution stack, settings that contradict what is computed
            here, keys that nobody accounts for on either side or that are there twice, shapes that do not fit, values
            that are no floating-point numbers or not finite, or positions other than ours.
        ConfigError: an unknown variant.
    """
    prefix, found = published_variant(state)
    if variant is not None and variant not in PUBLISHED_VARIANTS:
        raise ConfigError(f"variant {variant!r} is not known; expected one of {', '.join(PUBLISHED_VARIANTS)}")
    if variant not in (None, found):
        raise CheckpointError(f"the checkpoint is of WavJEPA {found}; expected {variant}")
    named = _named(state, prefix)
    model = WavJEPAForPreTraining(WavJEPAConfig.published(found, **_sizes(named, settings or {}))).eval()
    weights, config = RenamedWeights(), model.config
    widths = {"encoder": config.hidden_size, "decoder": config.predictor_hidden_size}
    tables = {
        f"pos_encoding_{name}": frame_positions(config.num_channels, config.num_frames, width).flatten(0, 1)[None]
        for name, width in widths.items()
    }
    for key, value in state.items():
        name = _bare(key, prefix)
        if name in tables:
            # To rounding: of a table in half precision to what that can tell apart below 1.
            limit = max(1e-5, torch.finfo(value.dtype).eps)
            if value.shape != tables[name].shape or not (value.double() - tables[name]).abs().max() <= limit:
                raise CheckpointError(f"{key} is another table than the published code computes: another model")
            weights.dropped[key] = "constant, equal to what is computed here"
        else:
            weights.add(our_name(name, *_RENAMES), key, value)

    def may_be_missing(key: str) -> str | None:
        return "table of positions: computed here, fixed" if key.endswith("positions.table") else None

    return model, load_accounted(model, weights.state, weights.origin, weights.dropped, may_be_missing)


def published_variant(state: Mapping[str, Tensor]) -> tuple[str, str]:
    """The prefix of all names of a state dict, and which published model it is of.

    Raises:
        CheckpointError: none that is known here.
    """
    for prefix in PREFIXES:
        names = {_bare(key, prefix) for key in state if key.startswith(prefix)}
        for first, channels in _CHANNELS.items():
            if first in names:
                return prefix, "base" if channels == 1 else "nat-base"
    raise CheckpointError(
        f"the checkpoint has no {' and no '.join(_CHANNELS)}: it is not of WavJEPA; expected the names of "
        "labhamlet/wavjepa, with 'model.' or nothing in front"
    )


def _bare(key: str, prefix: str) -> str:
    return key.removeprefix(prefix).replace("._orig_mod.", ".")


def _named(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors by their bare names.

    Raises:
        CheckpointError: two of one name (a compiled module's beside those of before), or no floating-point numbers.
    """
    named: dict[str, Tensor] = {}
    for key, value in state.items():
        name = _bare(key, prefix)
        if name in named:
            raise CheckpointError(f"the checkpoint has {name} twice, with and without _orig_mod. in its name")
        if not value.is_floating_point():
            raise CheckpointError(f"{key} is of {value.dtype}; expected floating-point numbers")
        named[name] = value
    return named


def _sizes(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that shapes, numbers of layers and the published configuration tell.

    Raises:
        CheckpointError: one of the needed tensors is missing, or it is of another kind of model.
    """
    missing = [name for name in _NEEDED if name not in state]
    if missing:
        raise CheckpointError(f"the checkpoint is not whole: {', '.join(missing)} missing")
    for name, ndim in _NEEDED.items():
        if state[name].ndim != ndim:
            raise CheckpointError(f"{name} has shape {tuple(state[name].shape)}; expected {ndim} dimensions")
    mlp, predictor_mlp, table = (state[name].shape for name in _NEEDED)

    def count(part: str) -> int:
        return len({match[1] for key in state if (match := re.match(rf"{part}\.layers\.(\d+)\.", key))})

    layers, predictor_layers = count("encoder"), count("decoder")
    require_known_settings(
        settings,
        channels=2 if "extract_audio.cnns.0.0.0.weight" in state else 1,
        encoder=(layers, mlp[1], mlp[0]),
        decoder=(predictor_layers, predictor_mlp[1], predictor_mlp[0]),
    )
    return {
        "conv_layers": _conv_layers(state, settings, table[1]),
        "hidden_size": mlp[1],
        "num_hidden_layers": layers,
        "num_attention_heads": whole_number(settings, "encoder_nhead", max(mlp[1] // 64, 1), divides=mlp[1]),  # of ViT
        "intermediate_size": mlp[0],
        "predictor_hidden_size": predictor_mlp[1],
        "predictor_num_hidden_layers": predictor_layers,
        "predictor_num_attention_heads": whole_number(
            settings, "decoder_nhead", max(predictor_mlp[1] // 32, 1), divides=predictor_mlp[1]
        ),
        "predictor_intermediate_size": predictor_mlp[0],
        "average_top_k": whole_number(settings, "average_top_k_layers", min(8, layers), most=layers),
    }


def _conv_layers(state: Mapping[str, Tensor], settings: Mapping[str, Any], tokens: int) -> list[ConvLayer]:
    """The convolutions, whose strides no tensor shows: those of the configuration, or the published ones.

    Raises:
        CheckpointError: kernels or numbers of frames that contradict them.
    """
    nat = "extract_audio.cnns.0.0.0.weight" in state
    stack = r"extract_audio\.cnns\.0" if nat else r"extract_audio\.cnn"
    shapes = {}
    for key, value in state.items():
        match = re.match(rf"{stack}\.(\d+)\.0\.weight$", key)
        if match:
            if value.ndim != 3:
                raise CheckpointError(f"{key} has shape {tuple(value.shape)}; expected (channels, channels, kernel)")
            shapes[int(match[1])] = (value.shape[0], value.shape[-1])
    found = [shapes[index] for index in sorted(shapes)]
    given = "extractor_layers_spec" in settings
    layers = conv_layers_of(settings["extractor_layers_spec"]) if given else list(CONV_LAYERS)
    kernels = [(channels, kernel) for channels, kernel, _ in layers]
    if given and found != kernels:
        raise CheckpointError(f"the convolutions (channels, kernel) are {found}, config.json says {kernels}")
    # A small model has fewer channels; kernels and strides are the convolutions' own.
    if [kernel for _, kernel in found] != [kernel for _, kernel in kernels]:
        raise CheckpointError(
            f"the checkpoint has another convolution stack: kernels {[kernel for _, kernel in found]}; expected "
            f"{[kernel for _, kernel in kernels]}, or a config.json beside the file that tells the strides"
        )
    layers = [(channels, kernel, stride) for (channels, _), (_, kernel, stride) in zip(found, layers, strict=True)]
    frames = conv_frames(WavJEPAConfig().window_samples, layers) * (2 if nat else 1)
    if frames != tokens:
        raise CheckpointError(
            f"the checkpoint has another convolution stack: its positions are of {tokens} frames, and a window of its "
            f"convolutions has {frames}"
        )
    return layers


def read_wavjepa(path: Path) -> dict[str, Tensor]:
    """The weights of a published file.

    Args:
        path: a safetensors file of the Hub, or a checkpoint of the training (`{"state_dict": ...}`).

    Raises:
        CheckpointError: no whole file, or one that holds more than weights and settings.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    content = read_torch_checkpoint(path, ALLOWED)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path.name} holds no weights; expected {{'state_dict': ...}}, or the weights alone")
    if nameless := [key for key in state if not isinstance(key, str)]:
        raise CheckpointError(f"{path.name} names a tensor {nameless[0]!r}; expected the names of labhamlet/wavjepa")
    return state


def convert_wavjepa(path: str | Path, output_dir: str | Path, variant: str | None = None) -> KeyAccount:
    """Write WavJEPA with the weights of a published file; print their terms.

    The folder gets encoder, target encoder and predictor (`WavJEPAModel.from_pretrained` takes the encoder alone), the
    feature extractor, and `conversion.json`: layout, terms, what happened to every key, and which settings of the
    published config.json nothing here depends on.

    Args:
        path: `model.safetensors` of the Hub, with its config.json beside it if there is one, or a `.ckpt` file of the
            published training.
        output_dir: folder to write.
        variant: "base" or "nat-base", if it has to be that; None: either.

    Raises:
        CheckpointError: another checkpoint, a damaged one, or one whose keys do not fit.
    """
    path = Path(path)
    state = read_wavjepa(path)
    beside = path.parent / "config.json"
    settings = read_json(beside, error=CheckpointError) if path.suffix == ".safetensors" and beside.is_file() else {}
    if not isinstance(settings, dict):
        raise CheckpointError(f"{beside} holds a {type(settings).__name__}; expected the settings by their names")
    model, account = wavjepa_from_published(state, variant, settings)
    extractor = WavJEPAFeatureExtractor.for_model(model.config)
    about: dict[str, Any] = {
        "source": path.name, "layout": f"wavjepa {published_variant(state)[1]}", "terms": TERMS,
        "settings_left_aside": left_aside(settings),
    }  # fmt: skip
    write_converted(Path(output_dir), model, extractor, account, about)
    return account
