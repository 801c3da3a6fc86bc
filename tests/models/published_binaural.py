"""Small checkpoints in the published layouts of SpatialAST, DSpAST and Audio-MAE, for the tests of their converters."""

import argparse
from pathlib import Path

import torch
from torch import Tensor

WIDTH, DEPTH, MLP, TOKENS = 64, 2, 96, 16  # 16 patches of 16 x 16: 32 frames of 128 bands
LABELS = 5


def numbers(seed: int, *shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def vit() -> dict[str, Tensor]:
    """Blocks, patches and positions: what Audio-MAE and both encoders name alike."""
    shapes: dict[str, tuple[int, ...]] = {
        "pos_embed": (1, TOKENS + 1, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 1, 16, 16),
        "patch_embed.proj.bias": (WIDTH,),
    }
    for block in range(DEPTH):
        for name, out, inputs in (
            ("attn.qkv", 3 * WIDTH, WIDTH),
            ("attn.proj", WIDTH, WIDTH),
            ("mlp.fc1", MLP, WIDTH),
            ("mlp.fc2", WIDTH, MLP),
        ):
            shapes |= {f"blocks.{block}.{name}.weight": (out, inputs), f"blocks.{block}.{name}.bias": (out,)}
        for norm in ("norm1", "norm2"):
            shapes |= {f"blocks.{block}.{norm}.weight": (WIDTH,), f"blocks.{block}.{norm}.bias": (WIDTH,)}
    return {key: numbers(index, *shape) for index, (key, shape) in enumerate(shapes.items())}


def batch_norm(name: str, size: int, affine: bool = False) -> dict[str, Tensor]:
    state = {
        f"{name}.running_mean": numbers(101, size),
        f"{name}.running_var": numbers(102, size).abs() + 1,
        f"{name}.num_batches_tracked": torch.tensor(7),
    }
    return state | ({f"{name}.weight": numbers(103, size), f"{name}.bias": numbers(104, size)} if affine else {})


def linear(name: str, out: int, inputs: int) -> dict[str, Tensor]:
    return {f"{name}.weight": numbers(out, out, inputs), f"{name}.bias": numbers(out + 1, out)}


def norm(name: str, size: int) -> dict[str, Tensor]:
    return {f"{name}.weight": 1 + numbers(105, size), f"{name}.bias": numbers(106, size)}


def spatial_ast() -> dict[str, Tensor]:
    """SpatialAST's keys."""
    return {
        **vit(),
        "cls_tokens": numbers(200, 1, 3, WIDTH),
        "conv_downsample.0.weight": numbers(201, 1, 4, 3, 3),
        **batch_norm("conv_downsample.1", 1, affine=True),
        **batch_norm("bn", 2),
        **norm("dis_norm", WIDTH),
        **norm("doa_norm", WIDTH),
        **norm("fc_norm", WIDTH),
        **linear("head", LABELS, WIDTH),
        **linear("distance_head", 21, WIDTH),
        **linear("azimuth_head", 36, WIDTH),
        **linear("elevation_head", 18, WIDTH),
    }


def dspast() -> dict[str, Tensor]:
    """DSpAST's keys."""
    state = {**vit(), **batch_norm("bn", 2), **batch_norm("bn_ild", 1), **norm("fc_norm", 20)}
    for branch in (1, 2, 3):
        name = f"conv_downsample{branch}"
        state |= {f"cls_tokens{branch}": numbers(300 + branch, 1, 3, WIDTH)}
        state |= {f"{name}.1.weight": numbers(310 + branch, 1, 6, 3, 3)} | batch_norm(f"{name}.2", 1, affine=True)
        state |= batch_norm(f"{name}.0.bn", 6) | batch_norm(f"{name}.0.bn2", 6)
        state |= linear(f"{name}.0.fc.0", 6, 6) | linear(f"{name}.0.fc.2", 6, 6)
        state |= linear(f"pre_head{branch}", 20, WIDTH)
    for head, size in (("distance_head", 21), ("azimuth_head", 36), ("elevation_head", 18)):
        state |= {f"{head}.W": numbers(size, size, 20), f"{head}.s": torch.tensor([9.0 + size])}
        state |= {f"{head}.pi": torch.tensor([torch.pi])}
    return state | linear("head", LABELS, 20)


def audio_mae() -> dict[str, Tensor]:
    """Audio-MAE's keys: an encoder that can be taken, and a decoder that cannot."""
    return {
        **vit(),
        "cls_token": numbers(400, 1, 1, WIDTH),
        "mask_token": numbers(401, 1, 1, 32),
        "decoder_pos_embed": numbers(402, 1, TOKENS + 1, 32),
        **norm("norm", WIDTH),
        **linear("decoder_embed", 32, WIDTH),
        **linear("decoder_blocks.0.attn.proj", 32, 32),
    }


def save(path: Path, state: dict[str, Tensor], **more: object) -> Path:
    """A file as the published scripts write it, settings and optimizer beside the weights."""
    settings = argparse.Namespace(lr=1e-3, model="build", output_dir="./out", distributed=True)
    torch.save({"model": state, "optimizer": {"state": {}}, "epoch": 49, "scaler": {}, "args": settings, **more}, path)
    return path
