"""A small ELSA with random weights, and sounds to ask it about: fixtures of tests/pipelines and tests/cli.

Its answers mean nothing; what is tested with it is what happens around the model.
"""

import string
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertTokenizerFast

from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.elsa.processing_elsa import ElsaProcessor
from spatial_audio_lm.pipelines.querying import SpatialQuery
from spatial_audio_lm.signal.ambisonics import encode_foa
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 16_000
MAX_TOKENS = 64
MakeSound = Callable[..., SpatialAudio]


@pytest.fixture(scope="session")
def tiny_elsa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model with its processor, as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-elsa"
    letters = string.ascii_lowercase + string.digits
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *".,'-", *(f"##{letter}" for letter in letters)]
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    vocabulary.write_text("\n".join(words), encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab=str(vocabulary), model_max_length=MAX_TOKENS)
    text_config = {
        "model_type": "electra",
        "vocab_size": len(words),
        "embedding_size": 16,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": MAX_TOKENS,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ElsaModel(ElsaConfig.compact(text_config=text_config)).save_pretrained(folder)
    ElsaProcessor(ElsaFeatureExtractor.compact(), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def engine(tiny_elsa: Path) -> SpatialQuery:
    """The engine with that model."""
    return SpatialQuery.from_pretrained(tiny_elsa)


@pytest.fixture(scope="session")
def make_sound() -> MakeSound:
    """Makes first-order ambisonics: noise from a direction, with silence where it is asked for."""

    def make(
        duration_s: float = 2.0, azimuth_deg: float = 90.0, rate: int = RATE, silent_s: tuple[float, float] = (0, 0)
    ) -> SpatialAudio:
        generator = torch.Generator().manual_seed(round(duration_s * 10) + round(azimuth_deg))
        noise = 0.1 * torch.randn(round(duration_s * rate), generator=generator)
        foa = encode_foa(noise, azimuth_deg, 0.0)
        foa[:, round(silent_s[0] * rate) : round(silent_s[1] * rate)] = 0.0
        return SpatialAudio.from_array(foa, rate, format="foa")

    return make


@pytest.fixture
def clip(make_sound: MakeSound, tmp_path: Path) -> Path:
    """A file of two seconds."""
    make_sound().save(tmp_path / "clip.wav")
    return tmp_path / "clip.wav"


@pytest.fixture
def long_clip(make_sound: MakeSound, tmp_path: Path) -> Path:
    """A file of 21 seconds, silent from 6 to 14, at another rate than the model's."""
    make_sound(21.0, rate=24_000, silent_s=(6.0, 14.0)).save(tmp_path / "long.flac")
    return tmp_path / "long.flac"
