"""SpatialAST's published `finetuned.pth`, or a published Audio-MAE, into our layout; every key accounted for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spatial_audio_lm.layers.binaural_checkpoints import (
    AUDIO_MAE_TERMS,
    ENCODER_RENAMES,
    NEW_BESIDE_AUDIO_MAE,
    RenamedWeights,
    add_position_table,
    audio_mae_weights,
    encoder_sizes,
    name_events,
    our_name,
    read_published_encoder,
    require_published_front_end,
    write_converted,
)
from spatial_audio_lm.layers.published_weights import KeyAccount
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization

TERMS = (
    "Weights of SpatialAST: the LICENSE file of the repository zszheng147/Spatial-AST is CC BY-NC 4.0 (no commercial "
    "use), its README says CC-BY 4.0; ask the authors where that matters. The training data, AudioSet and Matterport3D "
    "rooms, have terms of their own."
)
ENCODER = "spatial_ast."

_RENAMES = (
    (r"^conv_downsample\.0\.", "fusion.conv."),
    (r"^conv_downsample\.1\.", "fusion.norm."),
    *ENCODER_RENAMES,
)
_HEAD_RENAMES = (
    (r"^dis_norm\.", "distance_norm."),
    (r"^doa_norm\.", "direction_norm."),
    (r"^fc_norm\.", "event_norm."),
    (r"^head\.", "event_head."),
    (r"^(distance|azimuth|elevation)_head\.", r"\1_head."),
)


def spatial_ast_from_published(
    state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None
) -> tuple[SpatialASTForSoundEventLocalization, KeyAccount]:
    """SpatialAST with the weights of a published state dict, in evaluation mode.

    Args:
        state: tensors by their published names; sizes are read off the shapes.
        config: further settings of `SpatialASTConfig`.

    Raises:
        CheckpointError: keys that nobody accounts for on either side, shapes that do not fit, another front end.
    """
    sizes = encoder_sizes(state)
    counts = {"num_labels": "head", "num_distance_bins": "distance_head", "num_azimuth_bins": "azimuth_head"}
    counts["num_elevation_bins"] = "elevation_head"
    heads = {name: len(state[f"{key}.weight"]) for name, key in counts.items() if f"{key}.weight" in state}
    weights = RenamedWeights(dropped=require_published_front_end(state))
    for key, value in state.items():
        if key == "pos_embed":
            add_position_table(weights, state, ENCODER)
        elif key not in weights.dropped:
            weights.add(our_name(key, (ENCODER, _RENAMES), ("", _HEAD_RENAMES)), key, value)
    model = SpatialASTForSoundEventLocalization(SpatialASTConfig(**(sizes | heads | dict(config or {})))).eval()
    return model, weights.load_into(model)


def spatial_ast_from_audio_mae(
    state: Mapping[str, Tensor], seed: int = 0, config: Mapping[str, Any] | None = None
) -> tuple[SpatialASTForSoundEventLocalization, KeyAccount]:
    """An untrained SpatialAST that begins with an Audio-MAE's blocks, patches and positions (147 tensors).

    Args:
        state: of the published Audio-MAE.
        seed: of all other layers.
        config: further settings of `SpatialASTConfig`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings = encoder_sizes(state) | dict(config or {})
        model = SpatialASTForSoundEventLocalization(SpatialASTConfig(**settings)).eval()
    return model, audio_mae_weights(state, ENCODER).load_into(model, NEW_BESIDE_AUDIO_MAE)


def convert_spatial_ast(path: str | Path, output_dir: str | Path, seed: int = 0) -> KeyAccount:
    """Write SpatialAST with the weights of a published file; print their terms.

    The folder gets the model, the feature extractor, and `conversion.json`: layout, terms, what happened to every key.

    Args:
        path: SpatialAST's `finetuned.pth`, or Audio-MAE's `pretrained.pth` for a model to be trained. Names of the
            events are taken from `class_labels_indices_subset.csv` if that lies beside it.
        output_dir: folder to write.
        seed: of the layers that Audio-MAE does not have.

    Raises:
        CheckpointError: another checkpoint, a damaged one, or one whose keys do not fit.
    """
    path, output_dir = Path(path), Path(output_dir)
    published = read_published_encoder(path, ("spatial_ast", "audio_mae"))
    about: dict[str, Any] = {"source": path.name, "layout": published.layout}
    if published.layout == "audio_mae":
        model, account = spatial_ast_from_audio_mae(published.state, seed)
        about |= {"terms": AUDIO_MAE_TERMS, "seed": seed}
    else:
        model, account = spatial_ast_from_published(published.state)
        about["terms"] = TERMS
    name_events(model.config, path)
    extractor = SpatialASTFeatureExtractor(num_frames=model.config.num_frames)
    write_converted(output_dir, model, extractor, account, about)
    return account
