"""Nested states (of optimizers, schedules, generators) as a safetensors file and a JSON file.

Reading a training state must not run code, so nothing is pickled. Tensors go to `NAME.safetensors`; `NAME.json` holds
the tree, in which a tensor is `{"$tensor": key}`, a tuple `{"$tuple": [...]}`, a dictionary whose keys are not all
text `{"$dict": [[key, value], ...]}`, and a number that JSON has no word for `{"$float": "inf"}`.
"""

import math
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.files import read_json, write_json, write_whole

MAX_TREE_BYTES = 256 * 1024**2


def write_state(folder: Path, name: str, state: Any) -> None:
    """Write a tree of dicts, lists, tuples, numbers, text, None and tensors.

    A tensor that occurs twice (tied weights) is stored once.

    Raises:
        CheckpointError: the state holds something else.
    """
    tensors: dict[str, Tensor] = {}
    tree = _encode(state, name, tensors, {})
    write_whole(folder / f"{name}.safetensors", lambda path: safetensors.torch.save_file(tensors, path))
    write_json(folder / f"{name}.json", tree, indent=None)


def read_state(folder: Path, name: str) -> Any:
    """The tree that `write_state` wrote; tensors are on the CPU and contiguous.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    tree = read_json(folder / f"{name}.json", max_bytes=MAX_TREE_BYTES, error=CheckpointError)
    try:
        tensors = safetensors.torch.load_file(folder / f"{name}.safetensors")
        return _decode(tree, tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder.name}/{name}: the training state is damaged: {error}") from error


def _encode(value: Any, place: str, tensors: dict[str, Tensor], seen: dict[tuple, str]) -> Any:
    if isinstance(value, Tensor):
        identity = (value.data_ptr(), value.dtype, value.shape, value.stride()) if value.numel() else (place,)
        if identity not in seen:
            seen[identity] = place
            dense = value.detach().cpu().contiguous()
            # a view on a part of a larger storage would be refused by safetensors
            tensors[place] = dense if dense.untyped_storage().nbytes() == dense.nbytes else dense.clone()
        return {"$tensor": seen[identity]}
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _encode(item, f"{place}/{key}", tensors, seen) for key, item in value.items()}
        pairs = value.items()
        return {"$dict": [[_encode(k, place, {}, {}), _encode(v, f"{place}/{k}", tensors, seen)] for k, v in pairs]}
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{place}/{index}", tensors, seen) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise CheckpointError(
        f"{place} is a {type(value).__name__}, which cannot be saved: give numbers, text, tensors, lists or dicts"
    )


def _decode(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_decode(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    match next(iter(tree), ""):
        case "$tensor":
            return tensors[tree["$tensor"]]
        case "$tuple":
            return tuple(_decode(tree["$tuple"], tensors))
        case "$dict":
            return {_decode(key, tensors): _decode(item, tensors) for key, item in tree["$dict"]}
        case "$float":
            return float(tree["$float"])
    return {key: _decode(item, tensors) for key, item in tree.items()}


def like_parameters(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimizer's state whose tensors have the memory layout of their parameters.

    Files hold contiguous tensors. An average of gradients that was channels-last would otherwise come back contiguous,
    be updated by another kernel and differ in the last bit.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    laid_out = {
        index: {
            key: torch.empty_like(parameters[index], dtype=value.dtype, device="cpu").copy_(value)
            if isinstance(value, Tensor) and index < len(parameters) and value.shape == parameters[index].shape
            else value
            for key, value in entry.items()
        }
        for index, entry in state["state"].items()
    }
    return {**state, "state": laid_out}
