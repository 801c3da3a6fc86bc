"""The published GRAM from a checkout of labhamlet/GRAM-T that the user brings, made to run beside ours on a CPU.

Its run-time wrapper imports six packages for little: of torchvision a transformer encoder, of torchaudio spectrogram
and mel scale, of einops one rearrangement, of timm, Lightning and the training's data module what is idle here. While
it is imported and built, stand-ins of our own take their places, installed or not, which compute what those packages
document: PyTorch's multi-head attention in torchvision's encoder, a dense mel matrix in torchaudio's. `.cuda()` does
nothing. Nothing of the published code is changed or copied. Since encoder and filter bank are then ours on both sides,
`tests/parity` compares with answers that were recorded with the real ones.

The files are run as Python code: bring a checkout you trust.
"""

import contextlib
import importlib
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from published_binaural import filled
from torch import Tensor, nn

from spatial_audio_lm.signal.mel import mel_filters

# Of the published state: what is computed.
_CONSTANTS = ("melspec.", "mel_spec.", "pos_embed", "relative_position_index")
_NAMES = ("src", "hear_api")


class PublishedGram:
    """The published run-time wrapper of the two-eared model with patches, random weights and the strategy "raw".

    Args:
        checkout: folder of the published repository.
    """

    def __init__(self, checkout: Path):
        with stand_ins(checkout), no_cuda(), contextlib.redirect_stdout(io.StringIO()):
            self.model: nn.Module = (
                _imported(checkout, "hear_api.runtime")
                .RuntimeGRAMT(
                    model_size="base",
                    decoder_embedding_dim=512,
                    in_channels=2,
                    weights=None,
                    skip_weights=True,
                    use_mwmae_decoder=True,
                    **{"fshape": 16, "fstride": 16, "tshape": 8, "tstride": 8, "input_tdim": 200},
                )
                .eval()
            )
        self.model.load_state_dict(filled(self.model.state_dict(), 0, _CONSTANTS))

    def scene(self, waveform: Tensor) -> Tensor:
        """The embedding `(1, 6144)` of one clip `(channels, time)`."""
        with no_cuda():
            embedding: Tensor = self.model.get_scene_embeddings([waveform])  # type: ignore[operator]
            return embedding


def published_front_end(checkout: Path, num_maps: int) -> Callable[[Tensor], Tensor]:
    """The published features of one clip `(channels, time)`, `(1, maps, frames, mels)`.

    Args:
        checkout: folder of the published repository.
        num_maps: 2 (two ears) or 7 (ambisonics).
    """
    with stand_ins(checkout), no_cuda():
        extractor = _imported(checkout, "hear_api.feature_helper_gram_t").FeatureExtractor(in_channels=num_maps)

    def features(waveform: Tensor) -> Tensor:
        with no_cuda():
            maps: Tensor = extractor([waveform])
            return maps

    return features


def _imported(checkout: Path, name: str) -> ModuleType:
    if not (checkout / "hear_api" / "runtime.py").is_file():
        sys.exit(f"--reference {checkout}: no hear_api/runtime.py there; give the root of a checkout of GRAM-T")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        sys.exit(f"{checkout} imports {error.name}, which is neither installed nor stood in for: pip install it")


@contextmanager
def no_cuda() -> Iterator[None]:
    """`.cuda()` of tensors and modules gives the same back."""
    before = torch.Tensor.cuda, nn.Module.cuda
    torch.Tensor.cuda = nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        torch.Tensor.cuda, nn.Module.cuda = before  # type: ignore[method-assign]


@contextmanager
def stand_ins(checkout: Path) -> Iterator[None]:
    """The checkout first on the path, and our stand-ins in the places of the packages it imports."""

    def idle(*_: Any, **__: Any) -> None:
        return None

    mel = {"MelSpectrogram": MelSpectrogram, "Spectrogram": Spectrogram, "MelScale": MelScale}
    contents: dict[str, dict[str, Any]] = {
        "torchaudio": {"transforms": _module("torchaudio.transforms", mel)},
        "torchaudio.transforms": mel,
        "torchvision": {},
        "torchvision.models": {},
        "torchvision.models.vision_transformer": {"Encoder": VisionEncoder},
        "pytorch_lightning": {"LightningModule": LightningModule},
        "einops": {"rearrange": _rearrange, "repeat": idle},
        "timm": {},
        "timm.layers": {},
        "timm.layers.config": {"set_fused_attn": idle, "use_fused_attn": idle},
        "timm.models": {},
        "timm.models.layers": {"DropPath": nn.Identity, "to_2tuple": idle, "trunc_normal_": nn.init.trunc_normal_},
        "timm.models.vision_transformer": {"Block": nn.Identity},
        "src.data_modules": {},
        "src.data_modules.scene_module": {"generate_scenes_batch": idle},
        "src.data_modules.dataset_functions": {"pad_or_truncate_batch": idle},
    }
    names = {name: _module(name, attributes) for name, attributes in contents.items()}
    before = dict(sys.modules)
    sys.modules.update(names)
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
        for name in [name for name in sys.modules if name in names or name.split(".")[0] in _NAMES]:
            sys.modules.pop(name)
            if name in before:
                sys.modules[name] = before[name]


def _module(name: str, attributes: dict[str, Any]) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(attributes)
    return module


def _rearrange(x: Tensor, pattern: str, f: int, d: int) -> Tensor:
    assert pattern == "b (f t) d -> b t (f d)"
    return x.unflatten(1, (f, -1)).transpose(1, 2).flatten(2)


class LightningModule(nn.Module):
    """A module that knows its device."""

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


class Spectrogram(nn.Module):
    """torchaudio's: centred frames, periodic Hann window; complex where `power` is None."""

    window: Tensor

    def __init__(self, n_fft: int, hop_length: int, power: float | None = 2.0, **_: Any):
        super().__init__()
        self.n_fft, self.hop_length, self.power = n_fft, hop_length, power
        self.register_buffer("window", torch.hann_window(n_fft))

    def forward(self, waveform: Tensor) -> Tensor:
        """`(..., time)` to `(..., freqs, frames)`."""
        flat = waveform.reshape(-1, waveform.shape[-1])
        spectrum = torch.stft(flat, self.n_fft, self.hop_length, window=self.window, return_complex=True)
        spectrum = spectrum.reshape(*waveform.shape[:-1], *spectrum.shape[-2:])
        return spectrum if self.power is None else spectrum.abs().pow(self.power)


class MelScale(nn.Module):
    """torchaudio's: the dense product with the filters."""

    fb: Tensor

    def __init__(self, n_mels: int, sample_rate: int, f_min: float, f_max: float, n_stft: int, *_: Any):
        super().__init__()
        filters = mel_filters(n_mels, 2 * (n_stft - 1), sample_rate, f_min, f_max, "htk", precision=torch.float32)
        self.register_buffer("fb", filters)

    def forward(self, spectrum: Tensor) -> Tensor:
        """`(..., freqs, frames)` to `(..., mels, frames)`."""
        return torch.matmul(spectrum.transpose(-1, -2), self.fb).transpose(-1, -2)


class MelSpectrogram(nn.Module):
    """torchaudio's."""

    def __init__(
        self, sample_rate: int, n_fft: int, hop_length: int, f_min: float, f_max: float, n_mels: int, **_: Any
    ):
        super().__init__()
        self.spectrogram = Spectrogram(n_fft, hop_length)
        self.mel_scale = MelScale(n_mels, sample_rate, f_min, f_max, n_fft // 2 + 1)

    def forward(self, waveform: Tensor) -> Tensor:
        """`(..., time)` to `(..., mels, frames)`."""
        mel: Tensor = self.mel_scale(self.spectrogram(waveform))
        return mel


class VisionBlock(nn.Module):
    """torchvision's block: PyTorch's multi-head attention, then MLP, each behind a norm."""

    def __init__(self, num_heads: int, dim: int, mlp_dim: int, norm_layer: Callable[[int], nn.Module]):
        super().__init__()
        self.ln_1, self.ln_2 = norm_layer(dim), norm_layer(dim)
        self.self_attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        layers = (nn.Linear(dim, mlp_dim), nn.GELU(), nn.Dropout(0.0), nn.Linear(mlp_dim, dim), nn.Dropout(0.0))
        self.mlp = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.self_attention(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class VisionEncoder(nn.Module):
    """torchvision's vision transformer encoder; its positions are replaced by the published code."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Callable[[int], nn.Module],
    ):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, seq_length, hidden_dim))
        self.dropout = nn.Dropout(dropout)
        blocks = (VisionBlock(num_heads, hidden_dim, mlp_dim, norm_layer) for _ in range(num_layers))
        self.layers = nn.Sequential()
        for index, block in enumerate(blocks):
            self.layers.add_module(f"encoder_layer_{index}", block)
        self.ln = norm_layer(hidden_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))
