"""Deterministic weights by name, so that a full-size parity case needs no stored weights.

A parity case is a folder with `manifest.json` (every tensor of the published checkpoint layout: shape, dtype, kind),
`inputs.safetensors` (what goes in) and `outputs.safetensors` (what the published implementation answered). Each tensor
is drawn from a generator seeded by the case's seed and the tensor's name: any subset, in any order, is the same.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def fill_tensor(name: str, shape: list[int], kind: str, dtype: str, seed: int) -> Tensor:
    """One tensor: "weight" N(0, 0.02), "scale" 1 + N(0, 0.02), "variance" 1 + |N(0, 0.1)|, "count" zero."""
    if kind == "count":
        return torch.zeros(shape, dtype=getattr(torch, dtype))
    generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    values = generator.standard_normal(tuple(shape), dtype=np.float64)
    if kind == "weight":
        values = 0.02 * values
    elif kind == "scale":
        values = 1.0 + 0.02 * values
    elif kind == "variance":
        values = 1.0 + np.abs(0.1 * values)
    else:
        raise ValueError(f"{name}: kind {kind!r} is not filled")
    return torch.from_numpy(np.asarray(values)).to(getattr(torch, dtype)).reshape(tuple(shape))


def fill(manifest: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict that the published implementation was run with, without its constants (kind "fixed")."""
    return {
        name: fill_tensor(name, tensor["shape"], tensor["kind"], tensor["dtype"], manifest["seed"])
        for name, tensor in manifest["tensors"].items()
        if tensor["kind"] != "fixed"
    }
