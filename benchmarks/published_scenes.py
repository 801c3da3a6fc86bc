"""The published GRAM's mixing of scenes, from a checkout of labhamlet/GRAM-T that the user brings.

Its file needs of torchaudio the FFT convolution alone. While it is imported, a stand-in takes torchaudio's place,
installed or not: the product of transforms of length n1 + n2 - 1, as torchaudio documents and computes it. Nothing of
the published code is changed or copied. The file is run as Python code: bring a checkout you trust.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from torch import Tensor

FILE = Path("src/data_modules/scene_module/generate_scenes_batch.py")


class PublishedScenes:
    """The published function that makes a batch of scenes.

    Args:
        checkout: folder of the published repository.
    """

    def __init__(self, checkout: Path):
        path = checkout / FILE
        if not path.is_file():
            sys.exit(f"--reference {checkout}: no {FILE} there; give the root of a checkout of labhamlet/GRAM-T")
        stand_in = ModuleType("torchaudio")
        stand_in.__dict__["functional"] = SimpleNamespace(fftconvolve=_fftconvolve)
        before = sys.modules.get("torchaudio")
        sys.modules["torchaudio"] = stand_in
        try:
            spec = importlib.util.spec_from_file_location("published_scenes_of_gram", path)
            assert spec is not None and spec.loader is not None
            self._module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self._module)
        finally:
            del sys.modules["torchaudio"]
            if before is not None:
                sys.modules["torchaudio"] = before

    def mix(
        self,
        clip: Tensor,
        target_rir: Tensor,
        noise: Tensor,
        noise_rirs: Tensor,
        snr_db: Tensor,
        begin: int,
        length: int,
    ) -> Tensor:
        """Scenes `(batch, channels, time)`; `noise_rirs` `(batch, places, channels, taps)`."""
        scenes: Tensor = self._module.generate_scene(
            target_rir, noise_rirs, clip, noise, torch.tensor([length]), torch.tensor([begin]), snr_db
        )
        return scenes


def _fftconvolve(first: Tensor, second: Tensor, mode: str) -> Tensor:
    assert mode == "full"
    length = first.shape[-1] + second.shape[-1] - 1
    return torch.fft.irfft(torch.fft.rfft(first, length) * torch.fft.rfft(second, length), length)
