"""Parameters in groups for an optimizer: no weight decay for vectors, smaller learning rates for lower layers."""

from collections.abc import Callable
from typing import Any

from torch import nn


def layerwise_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    num_layers: int = 0,
    layer_of: Callable[[str], int] | None = None,
) -> list[dict[str, Any]]:
    """Groups of the trainable parameters.

    Args:
        model: whose parameters.
        lr: of the highest layer.
        weight_decay: of matrices and larger; biases, gains and other vectors have none.
        layer_decay: factor of the learning rate from each layer to the one below it (BEiT, Bao et al. 2021).
        num_layers: number of the highest layer.
        layer_of: from a parameter's name to its layer, 0 the lowest; None puts all into the highest.
    """
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = num_layers if layer_of is None else layer_of(name)
        is_matrix = parameter.ndim > 1
        group = groups.setdefault(
            (layer, is_matrix),
            {
                "params": [],
                "lr": lr * layer_decay ** (num_layers - layer),
                "weight_decay": weight_decay if is_matrix else 0.0,
            },
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]
