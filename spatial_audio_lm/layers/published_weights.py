"""Reading weights that others published, with every key accounted for in both directions.

Nothing here unpickles code: PyTorch files are read with `weights_only=True`, and a converter that needs more than
tensors from a file (old checkpoints keep numpy numbers beside them) names what it allows.
"""

import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from spatial_audio_lm.errors import CheckpointError

_BEGINNINGS = (b"PK", b"\x80")  # zip files, and the pickles of old


@dataclass
class KeyAccount:
    """What happened to each tensor of a conversion.

    Args:
        loaded: source key to the target keys it filled.
        dropped: source key to the reason why it has no place in the target.
        computed: target key to the reason why it needs no source (constants, new layers).
    """

    loaded: dict[str, list[str]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    computed: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """A few lines for people: how many keys went where, and each reason once."""
        counts = (len(self.loaded), len(self.dropped), len(self.computed))
        lines = ["{} tensors loaded, {} dropped, {} not from the source".format(*counts)]
        for title, reasons in (("dropped", self.dropped), ("not from the source", self.computed)):
            for reason in dict.fromkeys(reasons.values()):
                lines.append(f"  {title}: {sum(value == reason for value in reasons.values())} x {reason}")
        return "\n".join(lines)


def read_torch_checkpoint(path: Path, allowed: Sequence[Callable[..., Any] | tuple[Any, str]] = ()) -> Any:
    """The content of a PyTorch file.

    Args:
        path: a file written by `torch.save`.
        allowed: classes and functions that the file may name besides tensors and plain containers.

    Raises:
        CheckpointError: no such file, not a PyTorch file, or one that holds more than weights.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "there is no such file"
        raise CheckpointError(f"{path.name}: {found}; give a checkpoint file")
    with path.open("rb") as file:
        beginning = file.read(4)
    if not beginning.startswith(_BEGINNINGS):
        raise CheckpointError(
            f"{path.name} is no PyTorch checkpoint: it begins with {beginning!r}, not as torch.save writes"
        )
    if _is_torchscript(path):  # PyTorch's advice is to load it without its guard
        raise CheckpointError(
            f"{path.name} is a TorchScript archive, which holds code; expected weights as torch.save writes them"
        )
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"holds {named[1]} besides weights, which is never loaded" if named else "is no PyTorch checkpoint"
        raise CheckpointError(f"{path.name} {reason}") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} is no whole PyTorch checkpoint: {_first_sentence(error)}") from error


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.split("/")[1:] == ["constants.pkl"] for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def _first_sentence(error: Exception) -> str:
    """What PyTorch found, without what it advises (among others, to load a file without its guard)."""
    return re.split(r"\.\s|\n", str(error))[0]


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        CheckpointError: not a whole safetensors file.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is no whole safetensors file: {error}") from error


def misfits(groups: Mapping[str, Iterable[str]]) -> str:
    """What does not fit, for a message: of each kind the first few names; empty where everything does."""
    named = {title: sorted(names) for title, names in groups.items()}
    return "; ".join(
        f"{title}: {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
        for title, names in named.items()
        if names
    )


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Names of the tensors that hold NaN or infinity."""
    wrong = []
    for name, value in tensors:
        if value.is_floating_point() and value.itemsize > 1 and value.numel() and value.device.type != "meta":
            least, most = value.detach().aminmax()  # without a copy of the tensor; NaN comes through
            if not (least.isfinite() and most.isfinite()):
                wrong.append(name)
    return wrong


def load_accounted(
    model: nn.Module,
    state: Mapping[str, Tensor],
    origin: Mapping[str, str],
    dropped: Mapping[str, str],
    may_be_missing: Callable[[str], str | None],
) -> KeyAccount:
    """Load a state dict; refuse any key that is left over on either side.

    Args:
        model: the target.
        state: tensors by target key.
        origin: source key of each target key of `state`.
        dropped: source keys without a place, with the reason.
        may_be_missing: the reason why a target key needs no source, or None if it does.

    Raises:
        CheckpointError: keys that nobody accounts for, shapes that do not fit, or values that are not finite.
    """
    target = model.state_dict()
    unexpected = sorted(origin[key] for key in state if key not in target)
    computed = {key: may_be_missing(key) for key in target if key not in state}
    missing = sorted(key for key, reason in computed.items() if reason is None)
    shapes = [
        f"{origin[key]} {tuple(value.shape)} for {tuple(target[key].shape)}"
        for key, value in state.items()
        if key in target and value.shape != target[key].shape
    ]
    broken = not_finite((origin[key], value) for key, value in state.items())
    problems = misfits(
        {"keys without a place": unexpected, "missing": missing, "wrong shapes": shapes, "not finite": broken}
    )
    if problems:
        raise CheckpointError(f"the checkpoint does not fit: {problems}")
    with torch.no_grad():
        for key, value in state.items():
            target[key].copy_(value)
    account = KeyAccount(dropped=dict(dropped), computed={key: str(reason) for key, reason in computed.items()})
    for key in state:
        account.loaded.setdefault(origin[key], []).append(key)
    return account
