"""Published checkpoints of the two-eared encoders, and of Audio-MAE, from which they begin: what all of them share.

A file is `{"model": weights, "optimizer", "epoch", "scaler", "args": argparse.Namespace}`. It is read with
`weights_only=True` and one name allowed besides weights, `argparse.Namespace`, which is a plain holder of settings.
"""

import argparse
import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.features.log_mel import cached_mel_filters
from spatial_audio_lm.files import write_json
from spatial_audio_lm.layers.published_weights import KeyAccount, load_accounted, read_torch_checkpoint

ALLOWED = (argparse.Namespace,)

# Names of the events lie in this file of the data set, one row a class; the checkpoints do not hold them.
LABELS_FILE = "class_labels_indices_subset.csv"

# A key that only one of the layouts has.
_LAYOUT_OF_KEY = {
    "conv_downsample.0.weight": "spatial_ast",
    "conv_downsample1.1.weight": "dspast",
    "cls_token": "audio_mae",
}
_NAME_OF_LAYOUT = {"spatial_ast": "SpatialAST", "dspast": "DSpAST", "audio_mae": "Audio-MAE"}

# What both published encoders name alike, and what the package calls it.
ENCODER_RENAMES = (
    (r"^bn\.", "log_mel_norm."),
    (r"^patch_embed\.proj\.", "patch_embedding."),
    (r"^(blocks\.|cls_tokens$)", r"\1"),
)
_AUDIO_MAE_DROPPED = (
    (r"^(decoder_|mask_token$)", "Audio-MAE's decoder"),
    (r"^(cls_token$|norm\.)", "Audio-MAE's class token and last norm: the encoders here have their own"),
    (r"^(head|fc_norm)\.", "AudioSet classifier of a fine-tuned Audio-MAE"),
)
AUDIO_MAE_TERMS = (
    "Weights of Audio-MAE: the LICENSE file of the repository facebookresearch/AudioMAE is CC BY-NC 4.0 (no commercial "
    "use), its README says CC-BY 4.0; ask the authors where that matters. The training data, AudioSet, have terms of "
    "their own."
)


@dataclass
class PublishedEncoder:
    """Weights as a file has them.

    Args:
        layout: "spatial_ast", "dspast" or "audio_mae".
        state: tensors by the file's names.
    """

    layout: str
    state: dict[str, Tensor]


@dataclass
class RenamedWeights:
    """Weights under the package's names: what `load_accounted` takes."""

    state: dict[str, Tensor] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, source: str, value: Tensor) -> None:
        """Notes that the file's `source` becomes our `name`."""
        self.state[name], self.origin[name] = value, source

    def load_into(self, model: nn.Module, new_layers: str | None = None) -> KeyAccount:
        """Loads strictly, both ways; names matching `new_layers` may stay as they are.

        Raises:
            CheckpointError: keys that nobody accounts for, or shapes that do not fit.
        """

        def may_be_missing(key: str) -> str | None:
            new = new_layers is not None and re.search(new_layers, key)
            return "new layers: random, to be trained" if new else None

        return load_accounted(model, self.state, self.origin, self.dropped, may_be_missing)


def read_published_encoder(path: Path, wanted: Iterable[str]) -> PublishedEncoder:
    """The weights of a file, with the layout they are in.

    Args:
        path: the published file.
        wanted: layouts that the caller can use.

    Raises:
        CheckpointError: no whole checkpoint, one of another model, or one that holds more than weights and settings.
    """
    content = read_torch_checkpoint(path, ALLOWED)
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path.name} holds no weights under 'model'; expected a file as the authors publish it")
    layout = next((layout for key, layout in _LAYOUT_OF_KEY.items() if key in state), None)
    wanted = list(wanted)
    if layout not in wanted:
        found = f"a checkpoint of {_NAME_OF_LAYOUT[layout]}" if layout else "of none of the models known here"
        advice = f": use the converter {layout}" if layout in ("spatial_ast", "dspast") else ""
        expected = " or ".join(_NAME_OF_LAYOUT[name] for name in wanted)
        raise CheckpointError(f"{path.name} is {found}; expected one of {expected}{advice}")
    return PublishedEncoder(str(layout), state)


def encoder_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of the config that the shapes of `blocks`, `patch_embed` and `pos_embed` tell.

    Raises:
        CheckpointError: one of those is missing.
    """
    needed = ("patch_embed.proj.weight", "pos_embed", "blocks.0.mlp.fc1.weight")
    missing = [key for key in needed if key not in state]
    if missing:
        raise CheckpointError(f"the checkpoint is not whole: {', '.join(missing)} missing")
    width, _, patch, _ = state["patch_embed.proj.weight"].shape
    bands = 128  # of all published checkpoints; a table of positions does not tell its height
    tokens = state["pos_embed"].shape[1] - 1
    return {
        "hidden_size": width,
        "num_hidden_layers": len({key.split(".")[1] for key in state if key.startswith("blocks.")}),
        "num_attention_heads": max(width // 64, 1),  # heads are 64 wide in every size of ViT
        "intermediate_size": state["blocks.0.mlp.fc1.weight"].shape[0],
        "patch_size": patch,
        "num_mel_bins": bands,
        "num_frames": tokens * patch // (bands // patch),
    }


def require_published_front_end(state: Mapping[str, Tensor]) -> dict[str, str]:
    """The constants of the front end that a checkpoint carries: checked against ours, then dropped.

    Returns:
        Key to reason, for those that are there.

    Raises:
        CheckpointError: another front end than the feature extractor computes.
    """
    window = torch.hann_window(1024, periodic=True, dtype=torch.float64)
    phase = torch.outer(torch.arange(513, dtype=torch.float64), torch.arange(1024, dtype=torch.float64)) % 1024
    angles = phase * (2.0 * torch.pi / 1024)
    ours = {
        "spectrogram_extractor.conv_real.weight": (angles.cos() * window)[:, None],
        "spectrogram_extractor.conv_imag.weight": (-angles.sin() * window)[:, None],
        "logmel_extractor.melW": cached_mel_filters(128, 1024, 32_000, 50.0, 14_000.0).double(),
    }
    # To rounding of float32; the mel filters are as small as 0.03.
    limits = {"logmel_extractor.melW": 1e-6}
    for key, expected in ours.items():
        if key in state:
            given = state[key].double()
            if given.shape != expected.shape or (given - expected).abs().max() > limits.get(key, 1e-4):
                raise CheckpointError(
                    f"{key} is another front end than the feature extractor's; expected the published one"
                )
    return {
        key: "constant of the front end, equal to what the feature extractor computes" for key in ours if key in state
    }


def add_position_table(weights: RenamedWeights, state: Mapping[str, Tensor], prefix: str) -> None:
    """Takes the table of positions, without its first row (a class token's, which no model here adds)."""
    weights.add(f"{prefix}positions.table", "pos_embed", state["pos_embed"][:, 1:])


def audio_mae_weights(state: Mapping[str, Tensor], prefix: str) -> RenamedWeights:
    """The part of an Audio-MAE that the encoders here begin with: blocks, patches and positions.

    Args:
        state: of the published file.
        prefix: the encoder's name in the model, with a dot, or "".

    Returns:
        For twelve blocks exactly 147 tensors.

    Raises:
        CheckpointError: an unknown key.
    """
    weights = RenamedWeights()
    for key, value in state.items():
        reason = next((reason for pattern, reason in _AUDIO_MAE_DROPPED if re.search(pattern, key)), None)
        if reason is not None:
            weights.dropped[key] = reason
        elif key == "pos_embed":
            add_position_table(weights, state, prefix)
        else:
            weights.add(prefix + key.replace("patch_embed.proj.", "patch_embedding."), key, value)
    return weights


# What is left at its initial values when a model begins from Audio-MAE.
NEW_BESIDE_AUDIO_MAE = r"^(?!.*(^|\.)(blocks|patch_embedding|positions)\.)"


def our_name(key: str, *tables: tuple[str, Iterable[tuple[str, str]]]) -> str:
    """A published key under the package's name.

    Args:
        key: as the file has it.
        tables: prefix of the new name, and (pattern, replacement) of the keys below it; the first match counts.
    """
    for prefix, renames in tables:
        for pattern, replacement in renames:
            if re.search(pattern, key):
                return prefix + re.sub(pattern, replacement, key)
    return key  # without a place: load_accounted names it


def name_events(config: Any, path: Path, labels_file: str = LABELS_FILE) -> None:
    """Gives a configuration the names of the events, if the data set's label file lies beside the checkpoint.

    Each row is a class, with its name as `display_name`.

    Raises:
        CheckpointError: a file without names, or with another number of them.
    """
    file = path.parent / labels_file
    if not file.is_file():
        return
    with file.open(encoding="utf-8", newline="") as lines:
        names = [row.get("display_name") for row in csv.DictReader(lines)]
    if len(names) != config.num_labels or not all(names):
        raise CheckpointError(
            f"{file.name} has {len(names)} rows with names; the checkpoint has {config.num_labels} classes"
        )
    config.id2label = {index: str(name) for index, name in enumerate(names)}
    config.label2id = {name: index for index, name in config.id2label.items()}


def write_converted(
    output_dir: Path, model: Any, extractor: Any, account: KeyAccount, about: Mapping[str, Any]
) -> None:
    """Writes the model, its feature extractor and, last, `conversion.json`; prints the terms and the account."""
    model.save_pretrained(output_dir)
    extractor.save_pretrained(output_dir)
    write_json(output_dir / "conversion.json", {**about, **asdict(account)})  # last: a folder with this file is whole
    print(f"{about['terms']}\n{account.summary()}")
