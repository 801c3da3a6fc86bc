"""DSpAST's published files (stages 1 to 3), or a published Audio-MAE, into our layout; every key accounted for."""

import re
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
from spatial_audio_lm.models.dspast.configuration_dspast import BRANCHES, DSpASTConfig
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization

TERMS = (
    "Weights of DSpAST: the LICENSE file of the repository wilkinghoff/DSpAST is CC BY-NC 4.0 (no commercial use). The "
    "training data, AudioSet and Matterport3D rooms, have terms of their own."
)
ENCODER = "dspast."

_DROPPED = (
    (r"^conv_downsample[123]\.0\.bn2\.", "second batch norm of the map weights: the published forward never uses it"),
    (r"_head\.pi$", "the number pi"),
)
# The published branches are numbered 1, 2, 3 in the order of BRANCHES.
_BRANCH_RENAMES = tuple(
    rename
    for number, branch in enumerate(BRANCHES, start=1)
    for rename in (
        (rf"^conv_downsample{number}\.0\.bn\.", f"branches.{branch}.fusion.attention.norm."),
        (rf"^conv_downsample{number}\.0\.fc\.0\.", f"branches.{branch}.fusion.attention.fc1."),
        (rf"^conv_downsample{number}\.0\.fc\.2\.", f"branches.{branch}.fusion.attention.fc2."),
        (rf"^conv_downsample{number}\.1\.", f"branches.{branch}.fusion.conv."),
        (rf"^conv_downsample{number}\.2\.", f"branches.{branch}.fusion.norm."),
        (rf"^cls_tokens{number}$", f"branches.{branch}.cls_tokens"),
        (rf"^pre_head{number}\.", f"branches.{branch}.projection."),
    )
)
_RENAMES = (*_BRANCH_RENAMES, (r"^bn_ild\.", "level_norm."), *ENCODER_RENAMES)
_HEAD_RENAMES = (
    (r"^fc_norm\.", "event_norm."),
    (r"^head\.", "event_head."),
    (r"^(distance|azimuth|elevation)_head\.W$", r"\1_head.weight"),
    (r"^(distance|azimuth|elevation)_head\.s$", r"\1_head.scale"),
)


def dspast_from_published(
    state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None
) -> tuple[DSpASTForSoundEventLocalization, KeyAccount]:
    """DSpAST with the weights of a published state dict, in evaluation mode.

    Args:
        state: tensors by their published names; sizes are read off the shapes.
        config: further settings of `DSpASTConfig`.

    Raises:
        CheckpointError: keys that nobody accounts for on either side, shapes that do not fit, another front end.
    """
    sizes = encoder_sizes(state)
    counts = {
        "num_labels": "head.weight",
        "branch_dim": "pre_head1.weight",
        "num_distance_bins": "distance_head.W",
        "num_azimuth_bins": "azimuth_head.W",
        "num_elevation_bins": "elevation_head.W",
    }
    heads = {name: len(state[key]) for name, key in counts.items() if key in state}
    weights = RenamedWeights(dropped=require_published_front_end(state))
    for key, value in state.items():
        reason = next((reason for pattern, reason in _DROPPED if re.search(pattern, key)), None)
        if reason is not None:
            weights.dropped[key] = reason
        elif key == "pos_embed":
            add_position_table(weights, state, ENCODER)
        elif key not in weights.dropped:
            weights.add(our_name(key, (ENCODER, _RENAMES), ("", _HEAD_RENAMES)), key, value)
    model = DSpASTForSoundEventLocalization(DSpASTConfig(**(sizes | heads | dict(config or {})))).eval()
    return model, weights.load_into(model)


def dspast_from_audio_mae(
    state: Mapping[str, Tensor], seed: int = 0, config: Mapping[str, Any] | None = None
) -> tuple[DSpASTForSoundEventLocalization, KeyAccount]:
    """An untrained DSpAST that begins with an Audio-MAE's blocks, patches and positions (147 tensors).

    Args:
        state: of the published Audio-MAE.
        seed: of all other layers.
        config: further settings of `DSpASTConfig`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DSpASTForSoundEventLocalization(DSpASTConfig(**(encoder_sizes(state) | dict(config or {})))).eval()
    return model, audio_mae_weights(state, ENCODER).load_into(model, NEW_BESIDE_AUDIO_MAE)


def convert_dspast(path: str | Path, output_dir: str | Path, seed: int = 0) -> KeyAccount:
    """Write DSpAST with the weights of a published file; print their terms.

    The folder gets the model, the feature extractor, and `conversion.json`: layout, terms, what happened to every key.

    Args:
        path: DSpAST's file of any stage, or Audio-MAE's `pretrained.pth` for a model to be trained. Names of the
            events are taken from `class_labels_indices_subset.csv` if that lies beside it.
        output_dir: folder to write.
        seed: of the layers that Audio-MAE does not have.

    Raises:
        CheckpointError: another checkpoint, a damaged one, or one whose keys do not fit.
    """
    path, output_dir = Path(path), Path(output_dir)
    published = read_published_encoder(path, ("dspast", "audio_mae"))
    about: dict[str, Any] = {"source": path.name, "layout": published.layout}
    if published.layout == "audio_mae":
        model, account = dspast_from_audio_mae(published.state, seed)
        about |= {"terms": AUDIO_MAE_TERMS, "seed": seed}
    else:
        model, account = dspast_from_published(published.state)
        about["terms"] = TERMS
    name_events(model.config, path)
    extractor = DSpASTFeatureExtractor(num_frames=model.config.num_frames)
    write_converted(output_dir, model, extractor, account, about)
    return account
