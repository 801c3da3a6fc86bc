"""Small BATs that have learned three answers by heart: fixtures of tests/pipelines and tests/cli.

They answer by the question alone; what is tested with them is what happens around the model.
"""

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, SequenceFeatureExtractor

from spatial_audio_lm.models.bat.configuration_bat import BatConfig
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.bat.processing_bat import BatProcessor
from spatial_audio_lm.models.dspast.configuration_dspast import DSpASTConfig
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.pipelines.answering import QuestionAnswerer
from tests.models.byte_tokenizer import byte_tokenizer

YES_NO, WHERE, WHAT = "Is the dog left of the rain?", "Where is the dog?", "What is on the left?"
LEARNED = {YES_NO: "Yes", WHERE: "left, front, below; 2.5m", WHAT: "a barking dog; rain"}
QUERIES, WIDTH = 4, 48
_STEPS = 120
_LANGUAGE_MODEL = {
    "vocab_size": 259,
    "hidden_size": WIDTH,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_QFORMER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
_FRONT_END: dict[str, Any] = {"feature_size": 32, "sampling_rate": 16_000, "n_fft": 512, "frequency_max": 8000.0}


def _processor(extractor: SequenceFeatureExtractor | None) -> BatProcessor:
    return BatProcessor(extractor, byte_tokenizer(), num_query_tokens=QUERIES, prompt_template="{question}")


@lru_cache(maxsize=1)
def _language_model() -> LlamaForCausalLM:
    """Knows the answers, whatever stands in the recording's places."""
    model = LlamaForCausalLM(LlamaConfig(**_LANGUAGE_MODEL))
    inputs = _processor(ElsaFeatureExtractor.compact()).tokenize_questions(list(LEARNED), list(LEARNED.values()))
    places = inputs.pop("input_ids")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(_STEPS):
        heard = torch.randn(len(LEARNED), QUERIES, WIDTH)
        words = model.get_input_embeddings()(places.masked_fill(places == 259, 0))
        first = (places == 259).int().argmax(1, keepdim=True)
        at = torch.arange(QUERIES) + first
        embeds = words.scatter(1, at[:, :, None].expand(-1, -1, WIDTH), heard)
        model(inputs_embeds=embeds, **inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def _saved(folder: Path, ear: Any, extractor: SequenceFeatureExtractor) -> Path:
    """Folder of a BAT with its processor, as `save_pretrained` of both writes it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BatConfig(
            audio_config=ear,
            qformer_config=_QFORMER,
            text_config={"model_type": "llama", **_LANGUAGE_MODEL},
            num_query_tokens=QUERIES,
            lora_rank=0,
        )
        BatForConditionalGeneration(config, language_model=copy.deepcopy(_language_model())).save_pretrained(folder)
    _processor(extractor).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With DSpAST's two ears, which hear four seconds at once."""
    features = ["log_mel", "gcc_phat", "level_difference_db", "phase_difference"]
    ear = DSpASTConfig(
        features=features,
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        num_frames=208,
        num_mel_bins=32,
        id2label={0: "dog bark", 1: "Rain", 2: "Mains hum"},
    )
    extractor = DSpASTFeatureExtractor(features, **_FRONT_END, num_frames=208, short_audio="repeat")
    return _saved(tmp_path_factory.mktemp("models") / "tiny-bat", ear, extractor)


@pytest.fixture(scope="session")
def tiny_bat_foa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With ELSA's ear, which hears ambisonics and mono of any length."""
    text = {"model_type": "electra", "vocab_size": 60, "embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 1}
    ear = ElsaConfig.compact(text_config=text | {"num_attention_heads": 2, "intermediate_size": 24})
    return _saved(tmp_path_factory.mktemp("models") / "tiny-bat-foa", ear, ElsaFeatureExtractor.compact())


@pytest.fixture(scope="session")
def answerer(tiny_bat: Path) -> QuestionAnswerer:
    """The engine with two ears."""
    return QuestionAnswerer.from_pretrained(tiny_bat)
