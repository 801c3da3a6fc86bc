"""Configuration of Audio-MAE."""

from typing import Any

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.model_config import ModelConfig, require_block_sizes, require_whole_numbers

POSITION_TABLES = ("grid", "published")
DECODERS = ("local", "global")
NUM_AUDIOSET_CLASSES = 527


class AudioMAEConfig(ModelConfig):
    """Audio-MAE, by default at its published size: 136,336,128 trainable parameters with the decoder of pre-training.

    Args:
        hidden_size: width of the encoder's tokens.
        num_hidden_layers: transformer blocks of the encoder.
        num_attention_heads: attention heads of the encoder.
        intermediate_size: hidden width of the encoder's MLPs.
        layer_norm_eps: of all layer norms.
        drop_path_rate: stochastic depth of the last block; it grows evenly from 0 (published for fine-tuning: 0.1).
        num_frames, num_mel_bins: size of the spectrograms; encoder and classifier hear shorter ones too.
        patch_size: side of a patch.
        position_table: "grid" gives a patch the sines and cosines of its own time and frequency. The published code
            builds the table row by row for a grid of 8 times and 64 frequencies, while its tokens come from one of 64
            times and 8 frequencies: a patch gets the position of another, and neighbours in time are told apart as if
            they lay in different bands. Its weights have learned with that table, and need "published"; a training of
            one's own has no reason for it.
        final_norm: a layer norm after the last block, as in pre-training. The classifier has none there: it norms the
            mean of the patches.
        contextual_layers: of how many of the last blocks the contextual embedding is the mean (published: the last
            three of twelve); all blocks where there are fewer.
        mask_ratio: share of the patches that pre-training hides (the paper's section 4.4).
        norm_pix_loss: compare with patches of mean 0 and deviation 1 each.
        decoder_attention: "local": in windows that are shifted in every second block; "global": the whole spectrogram,
            with the class token, as in MAE (the paper's table 1c).
        decoder_hidden_size: width of the decoder's tokens.
        decoder_num_hidden_layers: blocks of the decoder; not given: 16 local ones, or 8 global ones, as published.
        decoder_num_attention_heads: attention heads of the decoder.
        decoder_intermediate_size: hidden width of the decoder's MLPs.
        decoder_window: side of a local window, in patches.
        decoder_shift: how far every second local block shifts its windows, in time and in frequency. The paper says
            half a window in both; the published code, and so its weights, shift in time alone.
        decoder_bias_size: hidden width of the MLP that makes the bias of local attention out of distances.
        decoder_bias_dropout: in that MLP.
        drop_time_patches, drop_mel_patches: in the classifier's training, this share of the patches' rows in time and
            in frequency is left out for each item (paper: 0.3 and 0.3; the published README's best: 0.2 and 0.2).
        head_init_std: deviation of the classifier's first weights.
        kwargs: among them `id2label`, the names of the classes (or `num_labels`, how many; 527 as in AudioSet).
    """

    model_type = "audio_mae"

    def __init__(
        self,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        layer_norm_eps: float = 1e-6,
        drop_path_rate: float = 0.0,
        num_frames: int = 1024,
        num_mel_bins: int = 128,
        patch_size: int = 16,
        position_table: str = "grid",
        final_norm: bool = True,
        contextual_layers: int = 3,
        mask_ratio: float = 0.8,
        norm_pix_loss: bool = True,
        decoder_attention: str = "local",
        decoder_hidden_size: int = 512,
        decoder_num_hidden_layers: int | None = None,
        decoder_num_attention_heads: int = 16,
        decoder_intermediate_size: int = 2048,
        decoder_window: int = 4,
        decoder_shift: tuple[int, int] | list[int] = (2, 0),
        decoder_bias_size: int = 384,
        decoder_bias_dropout: float = 0.1,
        drop_time_patches: float = 0.0,
        drop_mel_patches: float = 0.0,
        head_init_std: float = 2e-5,
        **kwargs: Any,
    ):
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.layer_norm_eps = layer_norm_eps
        self.drop_path_rate = drop_path_rate
        self.num_frames = num_frames
        self.num_mel_bins = num_mel_bins
        self.patch_size = patch_size
        self.position_table = position_table
        self.final_norm = final_norm
        self.contextual_layers = contextual_layers
        self.mask_ratio = mask_ratio
        self.norm_pix_loss = norm_pix_loss
        self.decoder_attention = decoder_attention
        self.decoder_hidden_size = decoder_hidden_size
        published_layers = 16 if decoder_attention == "local" else 8
        self.decoder_num_hidden_layers = (
            published_layers if decoder_num_hidden_layers is None else decoder_num_hidden_layers
        )
        self.decoder_num_attention_heads = decoder_num_attention_heads
        self.decoder_intermediate_size = decoder_intermediate_size
        self.decoder_window = decoder_window
        self.decoder_shift = list(decoder_shift)
        self.decoder_bias_size = decoder_bias_size
        self.decoder_bias_dropout = decoder_bias_dropout
        self.drop_time_patches = drop_time_patches
        self.drop_mel_patches = drop_mel_patches
        self.head_init_std = head_init_std
        self._refuse_what_makes_no_sense()
        names, count = kwargs.get("id2label"), kwargs.pop("num_labels", None)
        if names is None:
            kwargs["num_labels"] = count or NUM_AUDIOSET_CLASSES
        elif count not in (None, len(names)):
            raise ConfigError(f"num_labels is {count}, but id2label names {len(names)} classes; give id2label alone")
        super().__init__(**kwargs)

    def _refuse_what_makes_no_sense(self) -> None:
        for name, known in (("position_table", POSITION_TABLES), ("decoder_attention", DECODERS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}")
        require_block_sizes(self)
        require_block_sizes(self, "decoder_")
        require_whole_numbers(self, ("num_frames", "num_mel_bins", "patch_size", "contextual_layers"))
        require_whole_numbers(self, ("decoder_window", "decoder_bias_size"))
        if self.num_frames % self.patch_size or self.num_mel_bins % self.patch_size:
            raise ConfigError(
                f"spectrograms of {self.num_frames} frames and {self.num_mel_bins} bands cannot be cut into patches of "
                f"{self.patch_size}"
            )
        if not 0 < self.num_hidden < self.num_patches:
            raise ConfigError(
                f"mask_ratio is {self.mask_ratio}; of {self.num_patches} patches at least one is hidden and one seen"
            )
        window, shift = self.decoder_window, self.decoder_shift
        if self.decoder_attention == "local" and (
            any(side % window for side in self.grid) or any(not 0 <= step < window for step in shift)
        ):
            raise ConfigError(
                f"decoder_window {window} with decoder_shift {shift}: the grid of {self.grid[0]} x {self.grid[1]} "
                "patches is cut into whole windows, and shifted by less than one; or say decoder_attention='global'"
            )
        if not (0 <= self.drop_time_patches < 1 and 0 <= self.drop_mel_patches < 1):
            raise ConfigError(
                f"drop_time_patches is {self.drop_time_patches}, drop_mel_patches {self.drop_mel_patches}; expected "
                "shares in [0, 1)"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Patches in time and in frequency: 64 and 8."""
        return self.num_frames // self.patch_size, self.num_mel_bins // self.patch_size

    @property
    def position_grid(self) -> tuple[int, int]:
        """The grid that the position table counts in: the true one, or time and frequency exchanged as published."""
        time, freq = self.grid
        return (time, freq) if self.position_table == "grid" else (freq, time)

    @property
    def num_patches(self) -> int:
        """Tokens beside the class token: 512."""
        return self.grid[0] * self.grid[1]

    @property
    def num_hidden(self) -> int:
        """Patches that pre-training hides: all but `int(patches * (1 - mask_ratio))`, as in the published code."""
        return self.num_patches - int(self.num_patches * (1 - self.mask_ratio))
