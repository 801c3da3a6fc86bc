"""The decoder of Audio-MAE's pre-training: visible tokens in, a guess of every patch out.

    visible tokens ─► narrower ─► mask tokens where patches were hidden ─► + positions ─► blocks ─► norm ─► patches

Two kinds of blocks (the paper's table 1c): windows that shift (16 blocks; the class token is left out), or MAE's
global attention (8 blocks; the class token takes part, without a position).
"""

import torch
from torch import Tensor, nn

from spatial_audio_lm.layers.masking import with_mask_tokens
from spatial_audio_lm.layers.positions import PositionTable
from spatial_audio_lm.layers.transformer import run_blocks, transformer_blocks
from spatial_audio_lm.models.audio_mae.configuration_audio_mae import AudioMAEConfig
from spatial_audio_lm.models.audio_mae.modeling_audio_mae_windows import WindowBlock


class AudioMAEDecoder(nn.Module):
    """From the encoder's visible tokens to the values of all patches."""

    def __init__(self, config: AudioMAEConfig):
        super().__init__()
        dim = config.decoder_hidden_size
        self.is_local = config.decoder_attention == "local"
        self.embed = nn.Linear(config.hidden_size, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim).normal_(std=0.02))
        self.positions = PositionTable(*config.position_grid, dim)
        self.blocks = _window_blocks(config) if self.is_local else _global_blocks(config)
        self.norm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.prediction = nn.Linear(dim, config.patch_size**2)

    def forward(self, tokens: Tensor, mask: Tensor, eager: bool = False) -> Tensor:
        """Values of all patches.

        Args:
            tokens: the encoder's, class token first, then the visible patches in their order, `(batch, 1 + visible,
                hidden_size)`.
            mask: bool `(batch, patches)`, True where hidden.
            eager: write the global attention out instead of calling SDPA.

        Returns:
            `(batch, patches, patch_size ** 2)`.
        """
        x = self.embed(tokens)
        patches = self.positions(with_mask_tokens(x[:, 1:], mask, self.mask_token))
        x = patches if self.is_local else torch.cat([x[:, :1], patches], dim=1)
        x, _ = run_blocks(self.blocks, x, eager)
        return self.prediction(self.norm(x[:, -patches.shape[1] :]))


def _window_blocks(config: AudioMAEConfig) -> nn.ModuleList:
    """Local blocks, every second one with shifted windows."""
    time, freq = config.decoder_shift
    return nn.ModuleList(
        WindowBlock(
            config.decoder_hidden_size,
            config.decoder_num_attention_heads,
            config.decoder_intermediate_size,
            config.grid,
            config.decoder_window,
            (time, freq) if layer % 2 else (0, 0),
            config.decoder_bias_size,
            config.decoder_bias_dropout,
            config.layer_norm_eps,
        )
        for layer in range(config.decoder_num_hidden_layers)
    )


def _global_blocks(config: AudioMAEConfig) -> nn.ModuleList:
    return transformer_blocks(
        config.decoder_num_hidden_layers,
        config.decoder_hidden_size,
        config.decoder_num_attention_heads,
        config.decoder_intermediate_size,
        config.layer_norm_eps,
    )
