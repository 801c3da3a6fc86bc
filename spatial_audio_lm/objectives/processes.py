"""What a loss needs to know of the other processes of a data-parallel training.

Data-parallel training averages the gradients of all processes. A loss that wants the value of the whole batch, not of
one process's share, therefore gathers embeddings (with their gradient) and counts labelled items over all processes.
"""

import torch
from torch import Tensor
from torch.distributed.nn.functional import all_gather


def several_processes() -> bool:
    """Whether this process trains together with others."""
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def gather_with_gradient(local: Tensor) -> Tensor:
    """Rows of all processes, in the order of the processes; the gradient flows back to each process's own rows.

    Args:
        local: `(batch, ...)`; the batch is of the same size in every process.

    Returns:
        `(processes * batch, ...)`; `local` itself when there is one process.
    """
    return torch.cat(all_gather(local.contiguous()), dim=0) if several_processes() else local


def gather_rows(local: Tensor) -> Tensor:
    """`gather_with_gradient` for labels and codes (any dtype, no gradient).

    A recipe calls it on what its matrix of negatives is made from, so that every process builds the whole one.
    """
    if not several_processes():
        return local
    local = local.detach().contiguous()
    rows = [torch.empty_like(local) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(rows, local)
    return torch.cat(rows, dim=0)


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a number without gradient over all processes."""
    if not several_processes():
        return value
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
