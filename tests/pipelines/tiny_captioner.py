"""A small captioner that has learned one caption by heart: fixtures of tests/pipelines and tests/cli.

It says the same of every recording; what is tested with it is what happens around the model.
"""

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.models.spatial_captioner.configuration_spatial_captioner import SpatialCaptionerConfig
from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
    SpatialCaptionerForConditionalGeneration,
)
from spatial_audio_lm.models.spatial_captioner.processing_spatial_captioner import SpatialCaptionerProcessor
from spatial_audio_lm.pipelines.captioning import RecordingCaptioner
from tests.models.byte_tokenizer import byte_tokenizer

LEARNED = "a dog barking far away on the left in a small room"
POSITIONS, WIDTH = 72, 32
_STEPS = 90
_TEXT = {"model_type": "electra", "vocab_size": 60, "embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 1}


def _language_model() -> GPT2LMHeadModel:
    """Knows the caption, whatever the prefix is."""
    processor = SpatialCaptionerProcessor(ElsaFeatureExtractor.compact(), byte_tokenizer())
    ids = processor.tokenize_captions([LEARNED] * 4)["input_ids"]
    sizes = {"n_embd": WIDTH, "n_layer": 1, "n_head": 2, "n_positions": POSITIONS}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=259, bos_token_id=1, eos_token_id=2, **sizes))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(_STEPS):
        embeds = torch.cat([0.1 * torch.randn(4, 1, WIDTH), model.get_input_embeddings()(ids)], 1)
        model(inputs_embeds=embeds, labels=torch.cat([torch.full((4, 1), -100), ids], 1)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


@pytest.fixture(scope="session")
def tiny_captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of model and processor, as `save_pretrained` of both writes it; with ELSA's ear."""
    folder = tmp_path_factory.mktemp("models") / "tiny-captioner"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        language_model = _language_model()
        ear = ElsaConfig.compact(text_config=_TEXT | {"num_attention_heads": 2, "intermediate_size": 24})
        config = SpatialCaptionerConfig(audio_config=ear, text_config=language_model.config)
        SpatialCaptionerForConditionalGeneration(config, language_model=language_model).save_pretrained(folder)
    SpatialCaptionerProcessor(ElsaFeatureExtractor.compact(), byte_tokenizer()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def captioner(tiny_captioner: Path) -> RecordingCaptioner:
    """The engine with that model."""
    return RecordingCaptioner.from_pretrained(tiny_captioner)
