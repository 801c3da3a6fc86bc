"""Published CLAP checkpoints into ELSA's towers.

Two layouts are read: LAION's `.pt` file (`{"state_dict": {"module.audio_branch...": ...}}`) and a folder of
transformers' `ClapModel`. HTS-AT becomes the audio encoder, RoBERTa and CLAP's text projection the text side. CLAP's
audio projection (768 to 512) has no place in ELSA, whose projection takes 960 numbers: it, the spatial branch and the
heads start anew. Every key is accounted for, on both sides.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig, RobertaConfig

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.files import read_json, write_json
from spatial_audio_lm.layers.published_weights import (
    KeyAccount,
    load_accounted,
    read_safetensors,
    read_torch_checkpoint,
)
from spatial_audio_lm.models.elsa.configuration_elsa import ROBERTA_BASE, ElsaConfig
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor

# LAION's files keep a numpy number beside the weights (the epoch's metric). These names are how one is written, the
# first by numpy 1, the second by numpy 2.
LAION_ALLOWED = (
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    np.dtype,
    np.dtypes.Float64DType,
)

TERMS = {
    "laion": (
        "Weights of LAION-CLAP: the repository LAION-AI/CLAP is CC0-1.0. The training data (AudioSet, Freesound and "
        "others) have terms of their own; the weights of a fine-tuned copy may have others."
    ),
    "transformers": (
        "Weights in transformers' CLAP layout: laion/clap-htsat-unfused is published as Apache-2.0. A copy from "
        "elsewhere has the terms its own card states."
    ),
}

# LAION's names to transformers', applied one after the other.
_RENAMES = (
    (r"^text_branch\.", "text_model."),
    (r"^audio_branch\.", "audio_model.audio_encoder."),
    (r"^(text|audio)_projection\.0\.", r"\1_projection.linear1."),
    (r"^(text|audio)_projection\.2\.", r"\1_projection.linear2."),
)
_AUDIO_RENAMES = (
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.bn0\.", ".batch_norm."),
)
_LAION_DROPPED = (
    (r"^audio_branch\.(spectrogram|logmel)_extractor\.", "STFT and mel matrix: the feature extractor computes them"),
    (r"\.attn_mask$", "attention masks of shifted windows: computed in the forward pass"),
    (r"^audio_branch\.(tscam_conv|head)\.", "AudioSet classifier on top of HTS-AT"),
    (r"^(text|audio)_transform\.", "projections of a loss that published CLAP and ELSA do not use"),
    (r"^text_branch\.embeddings\.position_ids$", "position numbers: a constant"),
)
_POSITION_NUMBERS = r"^text_model\.embeddings\.(position_ids|token_type_ids)$"
_CONSTANTS = rf"relative_position_index$|{_POSITION_NUMBERS}"
_NEW_LAYERS = r"^(spatial_model|audio_projection|(direction|distance|area|reverberation|concentration)_head)\."


@dataclass
class ClapWeights:
    """A CLAP checkpoint in transformers' names.

    Args:
        config: its sizes.
        state: tensors by name.
        origin: name in the file of each of them.
        dropped: names in the file without a counterpart, with the reason.
        layout: "laion" or "transformers".
    """

    config: ClapConfig
    state: dict[str, Tensor]
    origin: dict[str, str]
    dropped: dict[str, str]
    layout: str


def read_clap(path: str | Path) -> ClapWeights:
    """Read a published CLAP checkpoint.

    Args:
        path: LAION's `.pt` file, or a folder with `config.json` and `model.safetensors` or `pytorch_model.bin`.

    Raises:
        CheckpointError: not a CLAP checkpoint, or one with fusion (its answers to short clips depend on chance).
    """
    path = Path(path)
    if not path.is_dir():
        content = read_torch_checkpoint(path, LAION_ALLOWED)
        if not isinstance(content, dict) or not isinstance(content.get("state_dict", content), dict):
            raise CheckpointError(f"{path.name} holds no state_dict; expected LAION-CLAP's layout")
        return clap_from_laion(content.get("state_dict", content))
    config = ClapConfig.from_dict(read_json(path / "config.json", error=CheckpointError))
    if config.model_type != "clap" or config.audio_config.enable_fusion:
        raise CheckpointError(f"{path.name} is not an unfused CLAP checkpoint; expected one like clap-htsat-unfused")
    if (path / "model.safetensors").is_file():
        state = read_safetensors(path / "model.safetensors")
    else:
        state = read_torch_checkpoint(path / "pytorch_model.bin")
    return ClapWeights(config, state, {key: key for key in state}, {}, "transformers")


def clap_from_laion(source: Mapping[str, Tensor]) -> ClapWeights:
    """Bring LAION's state dict into transformers' names; sizes are read off the shapes.

    Raises:
        CheckpointError: not LAION-CLAP with HTS-AT and RoBERTa, or one with fusion.
    """
    source = {key.removeprefix("module."): value for key, value in source.items()}
    needed = ("audio_branch.patch_embed.proj.weight", "text_branch.embeddings.word_embeddings.weight")
    if any(key not in source for key in needed):
        raise CheckpointError(f"expected LAION-CLAP with HTS-AT and RoBERTa (keys {' and '.join(needed)})")
    if any("mel_conv2d" in key or "fusion_model" in key for key in source):
        raise CheckpointError("this is a fusion checkpoint; convert the unfused one (630k-audioset-best.pt)")
    state: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    dropped: dict[str, str] = {}
    for key, value in source.items():
        reason = next((reason for pattern, reason in _LAION_DROPPED if re.search(pattern, key)), None)
        if reason is not None:
            dropped[key] = reason
            continue
        for name, part in _laion_parts(key, value):
            state[name], origin[name] = part, key
    return ClapWeights(_config_from_shapes(source), state, origin, dropped, "laion")


def _laion_parts(key: str, value: Tensor) -> list[tuple[str, Tensor]]:
    name = key
    for pattern, replacement in _RENAMES + (_AUDIO_RENAMES if key.startswith("audio_branch.") else ()):
        name = re.sub(pattern, replacement, name)
    if ".self.qkv." not in name:
        return [(name, value)]
    parts = zip(("query", "key", "value"), value.chunk(3), strict=True)
    return [(name.replace(".self.qkv.", f".self.{part}."), rows) for part, rows in parts]


def _config_from_shapes(source: Mapping[str, Tensor]) -> ClapConfig:
    text = "text_branch."
    layers = sorted({found[0] for key in source if (found := re.match(r"audio_branch\.layers\.\d\.blocks\.", key))})
    blocks = [{key.split(".")[4] for key in source if key.startswith(layer)} for layer in layers]
    tables = [source[f"{layer}0.attn.relative_position_bias_table"] for layer in layers]
    words, positions = (source[f"{text}embeddings.{name}_embeddings.weight"] for name in ("word", "position"))
    depth = len({key.split(".")[3] for key in source if key.startswith(f"{text}encoder.layer.")})
    width = source["audio_branch.patch_embed.proj.weight"].shape[0]
    audio_config = ClapAudioConfig(
        patch_embeds_hidden_size=width,
        hidden_size=width * 2 ** (len(layers) - 1),
        depths=[len(names) for names in blocks],
        num_attention_heads=[table.shape[1] for table in tables],
        num_hidden_layers=len(layers),
        # LAION trained with drop path 0.1 and no other dropout in HTS-AT.
        hidden_dropout_prob=0.0,
        drop_path_rate=0.1,
    )
    text_config = ClapTextConfig(
        vocab_size=words.shape[0],
        hidden_size=words.shape[1],
        num_hidden_layers=depth,
        num_attention_heads=words.shape[1] // 64,  # RoBERTa's heads are 64 wide in every size
        intermediate_size=source[f"{text}encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=positions.shape[0],
        layer_norm_eps=1e-5,
    )
    return ClapConfig(
        text_config=text_config,
        audio_config=audio_config,
        projection_dim=source["text_projection.2.weight"].shape[0],
    )


def clap_model(weights: ClapWeights) -> tuple[ClapModel, KeyAccount]:
    """The checkpoint as transformers' own `ClapModel`, in evaluation mode: what ELSA's towers are compared with."""
    model = ClapModel(weights.config).eval()
    return model, load_accounted(model, weights.state, weights.origin, weights.dropped, _constant_reason)


def elsa_from_clap(
    weights: ClapWeights, seed: int = 0, config: Mapping[str, Any] | None = None
) -> tuple[ElsaModel, KeyAccount]:
    """An ELSA whose towers are those of a CLAP checkpoint, in evaluation mode.

    Args:
        weights: the checkpoint.
        seed: of the layers that CLAP does not have.
        config: further settings of `ElsaConfig`.
    """
    elsa_config = ElsaConfig(
        audio_config=weights.config.audio_config,
        text_config=RobertaConfig(**{name: getattr(weights.config.text_config, name) for name in ROBERTA_BASE}),
        **({"projection_dim": weights.config.projection_dim} | dict(config or {})),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ElsaModel(elsa_config).eval()
    state: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    dropped = dict(weights.dropped)
    for name, value in weights.state.items():
        if name.startswith("audio_projection."):
            dropped[weights.origin[name]] = "CLAP's audio projection (768 to 512): ELSA's takes the two branches joined"
        elif re.search(_POSITION_NUMBERS, name):
            dropped[weights.origin[name]] = "position numbers: a constant"
        elif name == "logit_scale_t":
            dropped[weights.origin[name]] = "second temperature: CLAP's loss and ELSA's use one, logit_scale_a"
        else:
            target = "logit_scale" if name == "logit_scale_a" else name
            state[target], origin[target] = value, weights.origin[name]
    return model, load_accounted(model, state, origin, dropped, _elsa_reason)


def convert_clap(path: str | Path, output_dir: str | Path, seed: int = 0) -> KeyAccount:
    """Write an ELSA whose towers are those of a published CLAP checkpoint; print the terms of its weights.

    The folder gets the model, the feature extractor (with the tokenizer as a processor, if the source folder has one),
    and `conversion.json`: layout, terms, and what happened to every key.

    Args:
        path: LAION's `.pt` file or a folder in transformers' layout.
        output_dir: folder to write.
        seed: of the new layers.

    Returns:
        The account of all keys.

    Raises:
        CheckpointError: not a CLAP checkpoint, or one whose keys do not fit.
    """
    path, output_dir = Path(path), Path(output_dir)
    weights = read_clap(path)
    terms = TERMS[weights.layout]
    model, account = elsa_from_clap(weights, seed)
    model.save_pretrained(output_dir)
    extractor = ElsaFeatureExtractor()
    if path.is_dir() and any((path / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        ElsaProcessor(extractor, AutoTokenizer.from_pretrained(path, local_files_only=True)).save_pretrained(output_dir)
    else:
        extractor.save_pretrained(output_dir)
    # Last: a folder with this file is whole.
    write_json(
        output_dir / "conversion.json",
        {"source": path.name, "layout": weights.layout, "terms": terms, "seed": seed, **asdict(account)},
    )
    print(f"{terms}\n{account.summary()}")
    return account


def _constant_reason(key: str) -> str | None:
    return "constant of the architecture" if re.search(_CONSTANTS, key) else None


def _elsa_reason(key: str) -> str | None:
    if re.search(_NEW_LAYERS, key):
        return "new layers of ELSA: random, to be trained"
    return _constant_reason(key)
