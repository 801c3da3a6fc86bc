"""The verifier of a rewriting job with the likeness of sentences."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.plain_sentence import plain_sentence
from spatial_audio_lm.captions.verification import VerifierSettings
from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.language.attributes import SpatialAttributes
from spatial_audio_lm.language.tokenizer import tokenizer_from_texts
from spatial_audio_lm.metrics.sentence_checker import SentenceChecker, SentencePairs
from spatial_audio_lm.metrics.sentence_embeddings import SentenceEmbedder

FACTS = CaptionFacts("a dog barks", SpatialAttributes(direction="left"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = tokenizer_from_texts(["a dog barks on the left", "the siren far away in a large room"] * 3)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_likeness_is_that_of_each_pair(encoder: Path) -> None:
    alike = SentencePairs(SentenceEmbedder(str(encoder)))
    texts = ["a dog barks", "the siren far away", "a large room"]
    assert alike(texts, texts) == pytest.approx([1.0, 1.0, 1.0])
    assert alike(texts[:2], texts[1:]) == pytest.approx(alike(texts[1:], texts[:2]))
    assert max(alike(texts[:2], texts[1:])) < 0.999


def test_captions_are_judged_by_words_and_by_likeness(encoder: Path) -> None:
    verdicts = [
        SentenceChecker(VerifierSettings(min_similarity=least), str(encoder)).open().check(plain_sentence(FACTS), FACTS)
        for least in (0.0, 1.0)
    ]
    assert [verdict.accepted for verdict in verdicts] == [True, False]
    assert [reason.reason for reason in verdicts[1].reasons] == ["not alike"]


def test_another_encoder_is_another_checker(encoder: Path, tmp_path: Path) -> None:
    checker = SentenceChecker(VerifierSettings(), str(encoder))
    assert checker.identity() == SentenceChecker(VerifierSettings(), str(encoder)).identity()
    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert checker.identity() != SentenceChecker(VerifierSettings(), str(tmp_path)).identity()
    with pytest.raises(CheckpointError, match="no sentence encoder at"):
        SentenceChecker(VerifierSettings(), str(tmp_path)).open()
