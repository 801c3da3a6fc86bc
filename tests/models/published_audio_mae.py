"""Small checkpoints in the published layouts of Audio-MAE, whole, for the tests of its converter."""

import torch
from torch import Tensor

from tests.models.published_binaural import WIDTH, linear, norm, numbers, vit

LABELS, PATCHES = 5, 32  # 64 frames of 128 bands
DECODER_WIDTH, DECODER_DEPTH = 64, 2


def table(seed: int, dim: int) -> Tensor:
    """Some positions; the class token has none."""
    return torch.cat([torch.zeros(1, 1, dim), numbers(seed, 1, PATCHES, dim)], dim=1)


def encoder() -> dict[str, Tensor]:
    return vit() | {"pos_embed": table(500, WIDTH), "cls_token": numbers(501, 1, 1, WIDTH)}


def finetuned() -> dict[str, Tensor]:
    """The keys of `finetuned.pth`."""
    return encoder() | norm("fc_norm", WIDTH) | linear("head", LABELS, WIDTH)


def pretrained(local: bool = True) -> dict[str, Tensor]:
    """The keys of `pretrained.pth`, with either decoder."""
    dim = DECODER_WIDTH
    state = encoder() | norm("norm", WIDTH) | linear("decoder_embed", dim, WIDTH)
    state |= {"mask_token": numbers(502, 1, 1, dim), "decoder_pos_embed": table(503, dim)}
    for index in range(DECODER_DEPTH):
        name = f"decoder_blocks.{index}"
        if local:
            state |= {f"{name}.attn.tau": 1 + numbers(510 + index, 4)}
            state |= linear(f"{name}.attn.meta_mlp.fc1", 12, 2) | linear(f"{name}.attn.meta_mlp.fc2", 4, 12)
        state |= linear(f"{name}.attn.qkv", 3 * dim, dim) | linear(f"{name}.attn.proj", dim, dim)
        state |= linear(f"{name}.mlp.fc1", 80, dim) | linear(f"{name}.mlp.fc2", dim, 80)
        state |= norm(f"{name}.norm1", dim) | norm(f"{name}.norm2", dim)
    return state | norm("decoder_norm", dim) | linear("decoder_pred", 256, dim)
