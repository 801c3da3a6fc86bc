"""Small captioners with inputs, for the tests that all models share and for its own."""

from typing import Any

import torch

from spatial_audio_lm.models.spatial_captioner.configuration_spatial_captioner import SpatialCaptionerConfig
from spatial_audio_lm.models.spatial_captioner.modeling_spatial_captioner import (
    SpatialCaptionerForConditionalGeneration,
)
from tests.models.model_cases import SMALL_CONV, SMALL_SPATIAL, SMALL_TEXT, Inputs, ModelCase, built, noise

SMALL_EAR = {
    "model_type": "elsa",
    "audio_config": {"model_type": "elsa_conv", **SMALL_CONV},
    "spatial_config": SMALL_SPATIAL,
    "text_config": {"model_type": "electra", "embedding_size": 8, **SMALL_TEXT},
    "projection_dim": 16,
}
SMALL_GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 60,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def small_captioner(**settings: Any) -> SpatialCaptionerForConditionalGeneration:
    """The compact ELSA's ear, one position by a linear layer, and a GPT-2 of 60 tokens."""
    small = {"audio_config": SMALL_EAR, "text_config": SMALL_GPT2}
    return SpatialCaptionerForConditionalGeneration(SpatialCaptionerConfig(**(small | settings)))


def caption_inputs(batch: int) -> Inputs:
    """Captions of five tokens, and recordings."""
    return {
        "input_ids": torch.randint(3, 60, (batch, 5), generator=torch.Generator().manual_seed(3)),
        "input_features": noise(0, batch, 1, 40, 64),
        "spatial_features": noise(1, batch, 7, 40, 16).clamp(-1, 1),
    }


CAPTIONER_CASES = {
    f"captioner_{mapper}": ModelCase(
        build=built(lambda mapper=mapper, length=length: small_captioner(mapper=mapper, prefix_length=length)),
        inputs=caption_inputs,
        shapes={"logits": (length + 5, 60), "audio_embeds": (16,)},
        loss_inputs=lambda batch: {"labels": caption_inputs(batch)["input_ids"]},
    )
    for mapper, length in (("linear", 1), ("mlp", 3))
}
