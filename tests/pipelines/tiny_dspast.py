"""Small two-eared models with random weights, and sounds for them: fixtures of tests/pipelines and tests/cli.

Their answers mean nothing; what is tested with them is what happens around the model.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spatial_audio_lm.models.dspast.configuration_dspast import DSpASTConfig
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization
from spatial_audio_lm.pipelines.locating import SoundEventLocator
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 16_000
NAMES = ("dog bark", "rain", "siren", "church bells")
MakeEars = Callable[..., SpatialAudio]

_FRONT_END = {
    "feature_size": 32,
    "sampling_rate": RATE,
    "n_fft": 512,
    "frequency_max": 8000.0,
    "num_frames": 208,  # 4.16 s, so that a window has four
    "short_audio": "repeat",
}
_SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "num_frames": 208,
    "num_mel_bins": 32,
    "id2label": dict(enumerate(NAMES)),
}


@pytest.fixture(scope="session")
def tiny_dspast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a DSpAST with its feature extractor, as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-dspast"
    features = ["log_mel", "gcc_phat", "level_difference_db", "phase_difference"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DSpASTForSoundEventLocalization(DSpASTConfig(features=features, **_SIZES))
        torch.nn.init.normal_(model.event_head.weight, std=1.0)  # events of different probabilities
        model.save_pretrained(folder)
    DSpASTFeatureExtractor(features, **_FRONT_END).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_spatial_ast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a SpatialAST with its feature extractor, which stretches short recordings as the published one does."""
    folder = tmp_path_factory.mktemp("models") / "tiny-spatial-ast"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        SpatialASTForSoundEventLocalization(SpatialASTConfig(**_SIZES)).save_pretrained(folder)
    SpatialASTFeatureExtractor(**(_FRONT_END | {"short_audio": "stretch"})).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def locator(tiny_dspast: Path) -> SoundEventLocator:
    """The engine with the DSpAST."""
    return SoundEventLocator.from_pretrained(tiny_dspast)


@pytest.fixture(scope="session")
def make_ears() -> MakeEars:
    """Makes a binaural recording: noise that reaches the right ear later and softer, with silence where asked for."""

    def make(
        duration_s: float = 2.0, rate: int = RATE, silent_s: tuple[float, float] = (0, 0), level: float = 0.1
    ) -> SpatialAudio:
        generator = torch.Generator().manual_seed(round(duration_s * 10))
        left = level * torch.randn(round(duration_s * rate), generator=generator)
        ears = torch.stack([left, 0.6 * left.roll(round(0.0006 * rate))])
        ears[:, round(silent_s[0] * rate) : round(silent_s[1] * rate)] = 0.0
        return SpatialAudio.from_array(ears, rate, format="binaural")

    return make


@pytest.fixture
def ears_clip(make_ears: MakeEars, tmp_path: Path) -> Path:
    """A file of two seconds."""
    make_ears().save(tmp_path / "ears.wav")
    return tmp_path / "ears.wav"


@pytest.fixture
def long_ears_clip(make_ears: MakeEars, tmp_path: Path) -> Path:
    """A file of 21 seconds, silent from 6 to 14, at another rate than the model's."""
    make_ears(21.0, rate=24_000, silent_s=(6.0, 14.0)).save(tmp_path / "long-ears.flac")
    return tmp_path / "long-ears.flac"
