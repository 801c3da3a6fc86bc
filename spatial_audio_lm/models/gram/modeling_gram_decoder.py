"""GRAM's decoder: each head of its attention looks at windows of its own length, two of eight at everything.

Patches are numbered band by band, and windows are consecutive patches: one of 25 is a band over two seconds, one of 50
or 100 two or four bands, one of 5 is 0.4 s of a band. Within a window a learned bias tells how far two patches are
apart; heads that look at everything have none (paper, section 3.2; Yadav et al. 2024, "Masked autoencoders with
multi-window local-global attention are better audio learners").
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.masking import with_mask_tokens
from spatial_audio_lm.layers.positions import PositionTable
from spatial_audio_lm.layers.transformer import Mlp
from spatial_audio_lm.models.gram.configuration_gram import GramConfig


class RelativeBias(nn.Module):
    """A number for every distance between two patches of a window."""

    def __init__(self, window: int):
        super().__init__()
        self.window = window
        self.table = nn.Parameter(torch.empty(2 * window - 1))
        nn.init.trunc_normal_(self.table, std=0.02)

    def reset(self) -> None:
        """Initial values: normal of 0.02."""
        init.trunc_normal_(self.table, std=0.02)

    def forward(self) -> Tensor:
        """`(window, window)`: what is added to the score of query i and key j, row i - j + window - 1 of the table."""
        place = torch.arange(self.window, device=self.table.device)
        return self.table[place[:, None] - place + self.window - 1]


class LocalGlobalAttention(nn.Module):
    """Multi-head self-attention with a window of its own for each head.

    Args:
        dim: width of the tokens.
        windows: for each head its window, or 0 for all tokens.
    """

    def __init__(self, dim: int, windows: list[int]):
        super().__init__()
        if dim % len(windows):
            raise ConfigError(f"decoder_hidden_size {dim} is no multiple of the {len(windows)} heads' number")
        self.windows = windows
        self.global_heads = [head for head, window in enumerate(windows) if window == 0]
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.relative_bias = nn.ModuleDict({str(h): RelativeBias(window) for h, window in enumerate(windows) if window})

    def forward(self, x: Tensor, eager: bool = False) -> Tensor:
        """Tokens `(batch, tokens, dim)` in and out; every window divides their number."""
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, len(self.windows), -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (batch, heads, tokens, dim / heads) each
        heads: dict[int, Tensor] = {}
        for name, bias in self.relative_bias.items():
            head = int(name)
            q, k, v = (part[:, head].unflatten(1, (-1, self.windows[head])) for part in (query, key, value))
            heads[head] = _attention(q, k, v, bias()).flatten(1, 2)
        if self.global_heads:
            q, k, v = (part[:, self.global_heads] for part in (query, key, value))
            mixed = _attention(q, k, v) if eager else F.scaled_dot_product_attention(q, k, v)
            heads.update(zip(self.global_heads, mixed.unbind(1), strict=True))
        return self.proj(torch.cat([heads[head] for head in range(len(heads))], dim=-1))


def _attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention of `(..., tokens, width)`, written out: windows are small."""
    scores = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1) @ value


class LocalGlobalBlock(GradientCheckpointingLayer):
    """Attention, then MLP, each behind a layer norm and with a residual connection."""

    def __init__(self, config: GramConfig):
        super().__init__()
        dim, eps = config.decoder_hidden_size, config.decoder_layer_norm_eps
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = LocalGlobalAttention(dim, config.decoder_windows)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = Mlp(dim, config.decoder_intermediate_size)

    def forward(self, x: Tensor, eager: bool = False) -> Tensor:
        """Tokens `(batch, tokens, dim)` in and out; `eager` writes all attention out instead of calling SDPA."""
        x = x + self.attn(self.norm1(x), eager)
        return x + self.mlp(self.norm2(x))


class GramDecoder(nn.Module):
    """From the encoder's tokens of visible patches to the numbers of all patches."""

    mask_token: Tensor

    def __init__(self, config: GramConfig):
        super().__init__()
        dim = config.decoder_hidden_size
        self.embedding = nn.Linear(config.hidden_size, dim)
        token = torch.empty(1, 1, dim).normal_(std=0.02)
        if config.trainable_mask_token:
            self.mask_token = nn.Parameter(token)
        else:
            self.register_buffer("mask_token", token)
        self.positions = PositionTable(*config.grid, dim)  # as the encoder's, see GramModel
        self.blocks = nn.ModuleList(LocalGlobalBlock(config) for _ in range(config.decoder_num_hidden_layers))
        self.norm = nn.LayerNorm(dim, eps=config.decoder_layer_norm_eps)
        self.prediction = nn.Linear(dim, config.patch_values)

    def reset(self) -> None:
        """First value of the mask token: normal of 0.02, whether it is to be learned or not."""
        init.normal_(self.mask_token, std=0.02)

    def forward(self, encoded: Tensor, mask: Tensor, eager: bool = False) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Numbers of all patches.

        Args:
            encoded: `(batch, visible, hidden_size)`, without the class token.
            mask: bool `(batch, patches)`: True where a patch is hidden.
            eager: write all attention out.

        Returns:
            `(batch, patches, patch_values)`, and the tokens before and after every block.
        """
        states = [self.positions(with_mask_tokens(self.embedding(encoded), mask, self.mask_token))]
        for block in self.blocks:
            states.append(block(states[-1], eager))
        return self.prediction(self.norm(states[-1])), tuple(states)
