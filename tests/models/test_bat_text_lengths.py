"""Prompts that are longer than BAT's language model reads."""

import pytest
import torch

from spatial_audio_lm.errors import TextError
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from tests.models.model_cases import small_bat

READS = 8


def model_and_prompt(tokens: int) -> tuple[BatForConditionalGeneration, torch.Tensor]:
    """A model that reads 8 tokens, and two prompts without a recording."""
    text_config = small_bat().config.text_config.to_dict() | {"max_position_embeddings": READS}
    ids = torch.arange(5, 5 + tokens).expand(2, -1)
    return small_bat(text_config=text_config).eval(), ids


@torch.no_grad()
def test_as_much_as_the_language_model_reads_is_read() -> None:
    model, ids = model_and_prompt(READS)
    assert model(ids).logits.shape[:2] == (2, READS)
    assert model.generate(ids[:, :5], max_new_tokens=3, min_new_tokens=3).shape == (2, READS)
    padded = torch.cat([torch.full((2, 2), 2), ids], 1)
    mask = torch.cat([torch.zeros(2, 2), torch.ones(2, READS)], 1).long()
    torch.testing.assert_close(model(padded, attention_mask=mask).logits[:, 2:], model(ids).logits)


@torch.no_grad()
def test_more_is_refused() -> None:
    model, ids = model_and_prompt(READS + 1)
    with pytest.raises(TextError, match=r"question 1 has 9 tokens .*: shorten it; this language model reads 8"):
        model(ids)
    with pytest.raises(TextError, match="question 1 has 9 tokens"):
        model(inputs_embeds=model.merged_embeds(ids))
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    with pytest.raises(TextError, match="question 2 has 9 tokens"):
        model(ids, attention_mask=mask)
    with pytest.raises(TextError, match="question 1 has 9 tokens"):
        model.generate(ids)
    with pytest.raises(TextError, match=r"has 6 tokens .* may get 3 more: lower max_new_tokens, or shorten it"):
        model.generate(input_ids=ids[:, :6], max_new_tokens=3)
