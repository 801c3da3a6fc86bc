"""The published SpatialAST and DSpAST from a checkout that the user brings, made to run beside ours.

The published files import three packages for little: of timm two functions and a layer that is idle here, of librosa a
window and a filter bank, of torchaudio the convolution with a room's response and two masks of the training. While a
file is imported and its model built, stand-ins of our own take their places, installed or not; nothing of the
published code is changed or copied. The convolution becomes the identity: what is measured is what happens to a
binaural recording. Since the filter bank is then ours on both sides, the comparison of logits says nothing about it;
`tests/parity` does, against recorded answers with librosa's.

The model's file is run as Python code: bring a checkout you trust.
"""

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spatial_audio_lm.signal.mel import mel_filters

# Of the published state: what is computed, counted or kept as it is.
_CONSTANTS = ("spectrogram_extractor.", "logmel_extractor.", "num_batches_tracked", "_head.pi", "_head.s", "pos_embed")


class FrontEndDone(Exception):
    """Ends a forward pass once the feature maps are there."""


def stop(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """A hook before the first layer behind the front end."""
    raise FrontEndDone(inputs[0])


def front_end_only(model: nn.Module, first_layer: nn.Module, *inputs: Any, **named: Any) -> Tensor:
    """The feature maps that reach `first_layer` of a model; nothing after them is computed."""
    hook = first_layer.register_forward_pre_hook(stop)
    try:
        model(*inputs, **named)
    except FrontEndDone as done:
        features: Tensor = done.args[0]
        return features
    finally:
        hook.remove()
    raise RuntimeError(f"{type(model).__name__} never called its {type(first_layer).__name__}")


class PublishedBinaural:
    """A published encoder in evaluation mode.

    Args:
        checkout: folder of the published repository.
        file: its file with `build_AST`.
        first_layer: name of the first layer behind the front end.
    """

    def __init__(self, checkout: Path, file: str, first_layer: str):
        with stand_ins(checkout):
            module = _imported(checkout / file)
            self.model: nn.Module = module.build_AST().eval()
        self.first_layer = self.model.get_submodule(first_layer)

    def front_end(self, waveform: Tensor) -> Tensor:
        """Normalised feature maps of binaural recordings `(batch, 2, time)`, stretched to the model's frames."""
        return front_end_only(self.model, self.first_layer, waveform, None)

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        """Logits by head."""
        event, distance, azimuth, elevation = self.model(waveform, None)
        return {"event": event, "distance": distance, "azimuth": azimuth, "elevation": elevation}

    def fill(self, positions: Tensor, statistics: Mapping[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
        """Give every layer random weights of trained size, and return the state dict.

        Args:
            positions: table of the patches, `(1, patches, dim)`; without Audio-MAE's file the published one is zero.
            statistics: means and variances of the front end's norms by their published names.
            seed: of the weights.
        """
        state = filled(self.model.state_dict(), seed, _CONSTANTS) | dict(statistics)
        state["pos_embed"] = torch.cat([torch.zeros_like(positions[:, :1]), positions], dim=1)
        self.model.load_state_dict(state)
        return state


def filled(state: Mapping[str, Tensor], seed: int, constants: tuple[str, ...]) -> dict[str, Tensor]:
    """Random tensors of a state dict's shapes: variances and the weights of norms near 1, everything else near 0.

    Args:
        state: tensors by name.
        seed: of all of them.
        constants: a tensor whose name holds one of these stays.
    """
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for name, value in state.items():
        noise = 0.02 * torch.randn(value.shape, generator=generator)
        if any(part in name for part in constants):
            result[name] = value
        elif name.endswith("running_var"):
            result[name] = 1.0 + noise.abs()
        elif name.endswith("weight") and value.ndim == 1:
            result[name] = 1.0 + noise
        else:
            result[name] = noise
    return result


@contextmanager
def stand_ins(checkout: Path) -> Iterator[None]:
    """The checkout first on the path, and our stand-ins in the places of the packages it imports."""
    names = {
        "timm": _module("timm"),
        "timm.models": _module("timm.models"),
        "timm.models.layers": _module(
            "timm.models.layers",
            to_2tuple=lambda value: value if isinstance(value, tuple) else (value, value),
            trunc_normal_=nn.init.trunc_normal_,
            DropPath=nn.Identity,
        ),
        "librosa": _module("librosa", filters=SimpleNamespace(get_window=_window, mel=_filters)),
        "torchaudio": _module(
            "torchaudio",
            functional=SimpleNamespace(fftconvolve=lambda waveforms, reverbs, mode: waveforms),
            transforms=SimpleNamespace(TimeMasking=nn.Identity, FrequencyMasking=nn.Identity),
        ),
    }
    before = dict(sys.modules)
    sys.modules.update(names)
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
        # The two repositories have a folder of one name, `utils`: the next checkout must not find this one's.
        for name in [name for name in sys.modules if name in names or name.split(".")[0] == "utils"]:
            sys.modules.pop(name)
            if name in before:
                sys.modules[name] = before[name]


def _module(name: str, **attributes: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(attributes)
    return module


def _window(name: str, length: int, fftbins: bool) -> NDArray[np.float64]:
    assert name == "hann" and fftbins
    return torch.hann_window(length, periodic=True, dtype=torch.float64).numpy()


def _filters(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> NDArray[np.float32]:
    return mel_filters(n_mels, n_fft, sr, fmin, fmax, norm="slaney").T.contiguous().numpy()


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"published_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        sys.exit(f"{path.name} imports {error.name}, which is neither installed nor stood in for here: pip install it")
    return module
