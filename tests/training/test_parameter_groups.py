"""Which parameter gets which learning rate and weight decay."""

import pytest
import torch
from torch import nn

from spatial_audio_lm.training.parameter_groups import layerwise_groups
from tests.recipes import recipe_jobs


def test_lower_layers_learn_more_slowly_and_vectors_do_not_decay() -> None:
    model = nn.ModuleDict({"low": nn.Linear(2, 3), "high": nn.Linear(3, 2), "frozen": nn.Linear(1, 1)})
    model["frozen"].requires_grad_(False)
    groups = layerwise_groups(model, 0.1, 0.05, 0.5, 2, lambda name: 0 if name.startswith("low") else 2)
    told = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert told == {
        id(model["low"].weight): (pytest.approx(0.025), 0.05),
        id(model["low"].bias): (pytest.approx(0.025), 0.0),
        id(model["high"].weight): (pytest.approx(0.1), 0.05),
        id(model["high"].bias): (pytest.approx(0.1), 0.0),
    }
    torch.optim.AdamW(groups)


def test_layers_of_an_encoder() -> None:
    """The published scale: 0.75^(13 - k), k = 0 for patches, i + 1 for block i, 13 for all else."""
    layer_of = recipe_jobs.load("dspast_train").layer_of
    names = {
        "dspast.patch_embedding.weight": 0,
        "dspast.blocks.0.attn.qkv.weight": 1,
        "dspast.blocks.11.mlp.fc2.bias": 12,
        "dspast.branches.event.fusion.conv.weight": 13,
        "dspast.branches.event.cls_tokens": 13,
        "azimuth_head.weight": 13,
    }
    assert {name: layer_of(name, 13) for name in names} == names
