"""A causal language model of transformers with its tokenizer, small and of random weights."""

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from spatial_audio_lm.language.tokenizer import tokenizer_from_texts

CONTEXT = 256


def write_causal(folder: Path) -> Path:
    """Write model and tokenizer; the tokenizer's chat template is no Jinja, and fails whoever runs it."""
    tokenizer = tokenizer_from_texts(["the sound of a dog barking from the left of a small room"] * 3, 200)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = "{% for message in %}{{ never run }}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=CONTEXT, initializer_range=0.2, eos_token_id=None, **sizes
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
