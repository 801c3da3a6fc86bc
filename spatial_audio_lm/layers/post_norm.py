"""The transformer block of the original paper (Vaswani et al. 2017): norms after the residual connections.

Parameter names are those of `layers.transformer`, whose parts these blocks are made of.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from spatial_audio_lm.layers.transformer import Attention, Mlp


class QueryKeyValue(nn.Linear):
    """The one matrix of queries, keys and values; its first values are those of PyTorch's own attention."""

    def reset(self) -> None:
        """Xavier's uniform distribution, over all three as one; no bias."""
        init.xavier_uniform_(self.weight)
        init.zeros_(self.bias)


class MaskedAttention(Attention):
    """Self-attention that can leave tokens out as keys, for sequences of different lengths in one batch."""

    def __init__(self, dim: int, num_heads: int):
        with torch.device("meta"):  # the parent's matrices are replaced: they need no memory
            super().__init__(dim, num_heads)
        self.qkv = QueryKeyValue(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, eager: bool = False, heard: Tensor | None = None) -> Tensor:
        """Tokens `(batch, tokens, dim)` in and out; `heard`, bool `(batch, tokens)`: which of them are keys."""
        if heard is None:
            return super().forward(x, eager)
        qkv = self.qkv(x).unflatten(2, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (batch, heads, tokens, dim / heads) each
        keys = heard[:, None, None, :]
        if eager:
            scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
            x = scores.masked_fill(~keys, -torch.inf).softmax(-1) @ value
        else:
            x = F.scaled_dot_product_attention(query, key, value, keys)
        return self.proj(x.transpose(1, 2).flatten(2))


class PostNormBlock(GradientCheckpointingLayer):
    """Self-attention, then MLP, each with a residual connection and a layer norm over the sum."""

    def __init__(self, dim: int, num_heads: int, hidden: int, norm_eps: float = 1e-6):
        super().__init__()
        self.attn = MaskedAttention(dim, num_heads)
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, hidden)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)

    def forward(self, x: Tensor, eager: bool = False, heard: Tensor | None = None) -> Tensor:
        """Tokens `(batch, tokens, dim)` in and out; `heard` as in `MaskedAttention`."""
        x = self.norm1(x + self.attn(x, eager, heard))
        return self.norm2(x + self.mlp(x))


class PostNormStack(nn.Module):
    """Post-norm blocks and a last norm.

    Args:
        depth: blocks.
        dim: width of the tokens.
        num_heads: attention heads of a block.
        hidden: width of a block's MLP.
        norm_eps: of the norms in the blocks.
        final_norm_eps: of the last norm.
    """

    def __init__(self, depth: int, dim: int, num_heads: int, hidden: int, norm_eps: float, final_norm_eps: float):
        super().__init__()
        self.blocks = nn.ModuleList(PostNormBlock(dim, num_heads, hidden, norm_eps) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=final_norm_eps)

    def forward(
        self, x: Tensor, eager: bool = False, heard: Tensor | None = None, keep_all: bool = False
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Tokens `(batch, tokens, dim)` after all blocks and the last norm.

        Args:
            x: tokens in.
            eager: write the attention out instead of calling SDPA.
            heard: bool `(batch, tokens)`: which tokens the others attend to, at least one an item; None: all.
            keep_all: also give the tokens before and after every block, without the last norm.
        """
        states = [x]
        for block in self.blocks:
            x = block(x, eager, heard)
            if keep_all:
                states.append(x)
        return self.norm(x), tuple(states) if keep_all else ()
