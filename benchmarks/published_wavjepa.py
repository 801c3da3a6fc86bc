"""The published WavJEPA from a checkout of labhamlet/wavjepa that the user brings, made to run beside ours on a CPU.

Its package imports its data loaders and a denoiser on the way to the model, its run-time wrapper torchaudio for a
resampling that is idle here. While they are imported and built, stand-ins of our own take the places of einops,
Lightning and torchaudio, installed or not, and the package is entered without running its `__init__`. `.cuda()` does
nothing. Nothing of the published code is changed or copied.

The files are run as Python code: bring a checkout you trust.
"""

import contextlib
import importlib
import inspect
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from published_binaural import filled
from published_gram import no_cuda
from torch import Tensor, nn

from spatial_audio_lm.models.wavjepa.configuration_wavjepa import CONV_LAYERS

_NAMES = ("wavjepa", "hear_api")


class PublishedEmbeddings:
    """The published run-time wrapper of the base size with its whole model, of which it needs half; random weights.

    Args:
        checkout: folder of the published repository.
    """

    def __init__(self, checkout: Path):
        with stand_ins(checkout), no_cuda(), contextlib.redirect_stdout(io.StringIO()):
            self.wrapper: Any = _imported(checkout, "hear_api.runtime").RuntimeJEPA(
                in_channels=1,
                weights={"state_dict": {}},  # none are loaded
                is_spectrogram=False,
                process_seconds=2.01,
                extractor=_extractor(checkout),
                model_size="base",
                sr=16_000,
            )

    def fill(self) -> dict[str, Tensor]:
        """Gives the model random weights of trained size, and returns them by their published names."""
        return _fill(self.wrapper.model)

    def embeddings(self, waveform: Tensor) -> Tensor:
        """The embeddings `(1, frames, 768)` of one clip `(channels, time)`."""
        with no_cuda():
            frames: Tensor = self.wrapper.get_timestamp_embeddings(waveform[None])[0]
            return frames


class PublishedTraining:
    """The published model with the settings of its training, and random weights.

    Args:
        checkout: folder of the published repository.
    """

    def __init__(self, checkout: Path):
        with stand_ins(checkout), no_cuda(), contextlib.redirect_stdout(io.StringIO()):
            settings = _imported(checkout, "wavjepa.types")
            layers, stack = settings.TransformerLayerCFG, settings.TransformerEncoderCFG
            self.model: Any = _imported(checkout, "wavjepa.jepa").JEPA(
                feature_extractor=_extractor(checkout),
                transformer_encoder_layers_cfg=layers.create(),
                transformer_encoder_cfg=stack.create(),
                transformer_decoder_layers_cfg=layers.create(d_model=384),
                transformer_decoder_cfg=stack.create(),
                process_audio_seconds=2.01,
                average_top_k_layers=8,
            )

    def fill(self) -> dict[str, Tensor]:
        """Gives the model random weights of trained size, and returns them by their published names."""
        return _fill(self.model)

    def optimizer(self) -> torch.optim.Optimizer:
        """As the published training has it."""
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(trained, lr=4e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.04)

    def training_step(self, windows: Tensor, context: Tensor, targets: Tensor, optimizer: Any) -> float:
        """One published step: forward, the target encoder's, backward, clipping, the optimizer's; the loss.

        Args:
            windows: `(batch, 1, 32159)`.
            context: bool `(batch, 200)`, True where the encoder hears.
            targets: bool `(batch, groups, 200)`, True where to predict.
            optimizer: of `optimizer`.
        """
        hidden = ~context  # a published mask is True where nothing is heard
        result = self.model(windows, hidden, targets, hidden[:, None] & ~targets)
        self.model._step_teacher()
        optimizer.zero_grad()
        result["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        optimizer.step()
        return float(result["loss"].detach())


def import_published(checkout: Path) -> None:
    """Imports what the published code needs, so that a later import takes no more memory."""
    with stand_ins(checkout), no_cuda():
        _imported(checkout, "hear_api.runtime")


def _extractor(checkout: Path) -> Any:
    kind = _imported(checkout, "wavjepa.extractors").ConvFeatureExtractor
    return kind(conv_layers_spec=list(CONV_LAYERS), in_channels=1)


def _fill(model: nn.Module) -> dict[str, Tensor]:
    state = filled(model.state_dict(), 0, ("pos_encoding",))
    model.load_state_dict(state)
    return state


def _imported(checkout: Path, name: str) -> Any:
    if not (checkout / "wavjepa" / "jepa.py").is_file():
        sys.exit(f"--reference {checkout}: no wavjepa/jepa.py there; give the root of a checkout of labhamlet/wavjepa")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        sys.exit(f"{checkout} imports {error.name}, which is neither installed nor stood in for: pip install it")


@contextmanager
def stand_ins(checkout: Path) -> Iterator[None]:
    """The checkout first on the path, and our stand-ins in the places of the packages it imports."""
    package = ModuleType("wavjepa")
    package.__path__ = [str(checkout / "wavjepa")]
    names: dict[str, ModuleType] = {"wavjepa": package}
    for name, content in {
        "einops": {"rearrange": _rearrange, "repeat": _repeat},
        "einops.layers": {},
        "einops.layers.torch": {"Rearrange": nn.Identity},
        "pytorch_lightning": {"LightningModule": LightningModule},
        "torchaudio": {},
    }.items():
        names[name] = ModuleType(name)
        names[name].__dict__.update(content)
    before, path = dict(sys.modules), list(sys.path)
    sys.modules.update(names)
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path[:] = path
        for name in [name for name in sys.modules if name in names or name.split(".")[0] in _NAMES]:
            sys.modules.pop(name)
            if name in before:
                sys.modules[name] = before[name]


def _rearrange(x: Tensor, pattern: str) -> Tensor:
    if pattern == "batch_size n_channels n_time -> batch_size n_time n_channels":
        return x.transpose(1, 2)
    assert pattern in ("B T Seq Emb -> (B T) Seq Emb", "B T Seq1 -> (B T) Seq1"), pattern
    return x.flatten(0, 1)


def _repeat(x: Tensor, pattern: str, **sizes: int) -> Tensor:
    assert pattern in ("B T D -> B N T D", "B Seq Emb -> B T Seq Emb"), pattern
    return x[:, None].repeat(1, next(iter(sizes.values())), 1, 1)


class LightningModule(nn.Module):
    """A module that knows its device and remembers what it was made with."""

    global_step = 0

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def save_hyperparameters(self, ignore: list[str]) -> None:
        """Takes the arguments of the constructor that calls it."""
        frame = inspect.currentframe()
        assert frame is not None and frame.f_back is not None
        given = frame.f_back.f_locals
        self.hparams = SimpleNamespace(
            **{name: value for name, value in given.items() if name not in ("self", "__class__", *ignore)}
        )
