"""Audio-MAE (Huang et al., "Masked Autoencoders that Listen", NeurIPS 2022).

    spectrogram ─► patches ─► + positions ─► [class token | 512 patches] ─► 12 blocks ─► norm ─► 513 tokens
                                  │                                           │
      pre-training: 410 of them hidden, [class token | 102] in, decoder ──────┤─► the hidden patches; squared error
      classifier:   mean of the patches ─► norm ─► 527 classes ◄──────────────┘

Where paper and published code differ: the code shifts local windows in time alone, its position table is scrambled
(`AudioMAEConfig.position_table`), and it leaves out rows in time and frequency alike whichever masking is asked for.
Its order of visible tokens, by random noise, is the grid's order here: attention cannot tell.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling, ModelOutput, SequenceClassifierOutput

from spatial_audio_lm.errors import AudioValueError, DataError
from spatial_audio_lm.layers.masking import drop_rows, random_mask, require_mask, visible_tokens
from spatial_audio_lm.layers.patch_embedding import PatchEmbedding, cut_patches
from spatial_audio_lm.layers.positions import PositionTable
from spatial_audio_lm.layers.transformer import run_blocks, transformer_blocks
from spatial_audio_lm.layers.whole_weights import WholeWeights
from spatial_audio_lm.models.audio_mae.configuration_audio_mae import AudioMAEConfig
from spatial_audio_lm.models.audio_mae.modeling_audio_mae_decoder import AudioMAEDecoder
from spatial_audio_lm.models.audio_mae.modeling_audio_mae_windows import WindowAttention
from spatial_audio_lm.objectives.masked_reconstruction import masked_reconstruction_loss


@dataclass
class AudioMAEModelOutput(BaseModelOutputWithPooling):
    """Tokens of `AudioMAEModel`.

    Args:
        last_hidden_state: `(batch, 1 + patches, hidden_size)`: the class token, then the patches, time by time with
            low bands first, after the last norm.
        pooler_output: the embedding of the whole clip, `(batch, hidden_size)`: the mean of `contextual_state` over
            the patches.
        hidden_states: tokens before and after every block, each of the shape of `last_hidden_state`, without the norm.
        contextual_state: the published code's embedding for use as features (`forward_encoder_no_mask`): the mean of
            the last three blocks' outputs, each after the last norm, in the shape of `last_hidden_state`.
    """

    contextual_state: Tensor | None = None


@dataclass
class AudioMAEForPreTrainingOutput(ModelOutput):
    """A reconstruction.

    Args:
        loss: scalar, the mean squared error of the hidden patches.
        logits: values of all patches, `(batch, patches, patch_size ** 2)`, frame by frame; with `norm_pix_loss` in
            units of each patch's own mean and deviation.
        mask: bool `(batch, patches)`, True where hidden.
        last_hidden_state: the encoder's, `(batch, 1 + visible, hidden_size)`.
        hidden_states: the encoder's tokens before and after every block.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    mask: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class AudioMAEPreTrainedModel(WholeWeights):
    """Configuration, initial weights and abilities of Audio-MAE."""

    config_class = AudioMAEConfig
    base_model_prefix = "audio_mae"
    main_input_name = "input_features"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["TransformerBlock", "WindowBlock"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """As MAE: Glorot's uniform weights of linear layers, normal ones of 0.02 for the tokens that are learned."""
        if isinstance(module, PatchEmbedding | PositionTable):
            module.reset()
        elif isinstance(module, AudioMAEModel):
            init.normal_(module.cls_token, std=0.02)
        elif isinstance(module, AudioMAEDecoder):
            init.normal_(module.mask_token, std=0.02)
        elif isinstance(module, WindowAttention):
            init.ones_(module.tau)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            if module is getattr(self, "head", None):  # begins at nearly nothing
                std = self.config.head_init_std
                init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            else:
                init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)


class AudioMAEModel(AudioMAEPreTrainedModel):
    """The encoder: spectrograms to tokens, and to one vector for a clip."""

    # Of a pre-trained or a fine-tuned model, and not needed.
    _keys_to_ignore_on_load_unexpected = [r"^decoder\.", r"^(fc_norm|head)\."]  # noqa: RUF012

    def __init__(self, config: AudioMAEConfig):
        super().__init__(config)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.hidden_size).normal_(std=0.02))
        self.patch_embedding = PatchEmbedding(config.hidden_size, config.patch_size)
        self.positions = PositionTable(*config.position_grid, config.hidden_size)
        self.blocks = transformer_blocks(
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            config.layer_norm_eps,
            config.drop_path_rate,
        )
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.final_norm else nn.Identity()
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_embedding

    def embed(self, input_features: Tensor) -> Tensor:
        """Patches with their positions, `(batch, patches, hidden_size)`; a shorter spectrogram has the first ones.

        Raises:
            AudioValueError: features of another shape.
        """
        config, shape = self.config, tuple(input_features.shape)
        fits = len(shape) == 4 and shape[0] and shape[1] == 1 and shape[3] == config.num_mel_bins
        if not fits or shape[2] % config.patch_size or not 0 < shape[2] <= config.num_frames:
            raise AudioValueError(
                f"input_features has shape {shape}; audio_mae takes (batch, 1, frames, {config.num_mel_bins}) with up "
                f"to {config.num_frames} frames, a multiple of {config.patch_size}: use its own feature extractor, "
                f"with num_frames {config.num_frames} or such a number below"
            )
        patches = self.patch_embedding(input_features)
        return patches + self.positions.table[:, : patches.shape[1]].to(patches.dtype)

    def encode(self, patches: Tensor, keep_all: bool = False) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Patches `(batch, any number, hidden_size)` with the class token before them, through all blocks.

        Returns:
            Tokens without the last norm, `(batch, 1 + patches, hidden_size)`; with `keep_all` also those before and
            after every block.
        """
        tokens = torch.cat([self.cls_token.to(patches.dtype).expand(len(patches), -1, -1), patches], dim=1)
        return run_blocks(self.blocks, tokens, self.config._attn_implementation == "eager", keep_all)

    def forward(
        self,
        input_features: Tensor,
        output_hidden_states: bool = False,
        recording_index: Tensor | None = None,
        start_s: Tensor | None = None,
    ) -> AudioMAEModelOutput:
        """Tokens of a batch of spectrograms, none hidden.

        Args:
            input_features: of `AudioMAEFeatureExtractor`, `(batch, 1, frames, mels)`, with `num_frames` frames or
                fewer: a shorter clip need not be filled.
            output_hidden_states: also give the tokens before and after every block.
            recording_index, start_s: ignored here; the feature extractor gives them with `long_audio="chunks"`.

        Raises:
            AudioValueError: features of another shape.
        """
        states = self.encode(self.embed(input_features), keep_all=True)[1]
        assert states is not None
        last = [self.norm(state) for state in states[1:][-self.config.contextual_layers :]]
        contextual = torch.stack(last).mean(0)
        return AudioMAEModelOutput(
            last_hidden_state=last[-1],
            pooler_output=contextual[:, 1:].mean(1),
            hidden_states=states if output_hidden_states else None,
            contextual_state=contextual,
        )


class AudioMAEForPreTraining(AudioMAEPreTrainedModel):
    """Encoder and decoder: most patches are hidden and guessed."""

    def __init__(self, config: AudioMAEConfig):
        super().__init__(config)
        self.audio_mae = AudioMAEModel(config)
        self.decoder = AudioMAEDecoder(config)
        self.post_init()

    def forward(
        self,
        input_features: Tensor,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        output_hidden_states: bool = False,
        recording_index: Tensor | None = None,
        start_s: Tensor | None = None,
    ) -> AudioMAEForPreTrainingOutput:
        """Guess what is hidden.

        Args:
            input_features: of `AudioMAEFeatureExtractor`, `(batch, 1, frames, mels)`.
            mask: bool `(batch, patches)`, True where a patch is hidden, as many in each item; patch `t * 8 + f`. None:
                `mask_ratio` of them are drawn.
            generator: what the mask is drawn with; None: torch's own.
            output_hidden_states: also give the encoder's tokens before and after every block.
            recording_index, start_s: ignored here; the feature extractor gives them with `long_audio="chunks"`.

        Raises:
            AudioValueError: features of another shape, or shorter than `num_frames`.
            DataError: a mask that cannot be used.
        """
        config, patches = self.config, self.audio_mae.embed(input_features)
        batch, device = len(patches), patches.device
        if patches.shape[1] != config.num_patches:
            raise AudioValueError(
                f"input_features has {input_features.shape[2]} frames; pre-training takes {config.num_frames}: use a "
                "feature extractor with that num_frames, or build a model for shorter ones"
            )
        if mask is None:
            mask = random_mask(batch, config.num_patches, config.num_hidden, generator, device)
        else:
            mask = require_mask(mask.to(device), batch, config.num_patches)
        tokens, states = self.audio_mae.encode(visible_tokens(patches, mask), output_hidden_states)
        tokens = self.audio_mae.norm(tokens)
        guess = self.decoder(tokens, mask, config._attn_implementation == "eager")
        target = cut_patches(input_features, config.patch_size)
        return AudioMAEForPreTrainingOutput(
            loss=masked_reconstruction_loss(guess, target, mask, config.norm_pix_loss),
            logits=guess,
            mask=mask,
            last_hidden_state=tokens,
            hidden_states=states,
        )


class AudioMAEForAudioClassification(AudioMAEPreTrainedModel):
    """What sounds: the mean of the patches through a norm and a linear layer; 85,659,407 trainable parameters.

    The encoder has no norm of its own here (`final_norm` is False in the model's configuration), as published: that of
    a pre-trained one is left behind, and so is its decoder.
    """

    _keys_to_ignore_on_load_unexpected = [r"^decoder\.", r"^audio_mae\.norm\."]  # noqa: RUF012
    _new_on_load = r"^(fc_norm|head)\."  # when it begins from a pre-trained one

    def __init__(self, config: AudioMAEConfig):
        config = copy.deepcopy(config)  # the caller's stays as it is
        config.final_norm = False
        super().__init__(config)
        self.audio_mae = AudioMAEModel(config)
        self.fc_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.head = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_features: Tensor,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
        recording_index: Tensor | None = None,
        start_s: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits of the classes, and the loss if there are labels.

        In training, `drop_time_patches` and `drop_mel_patches` of the rows of patches are left out, others for each
        item (the paper's sections 3 and 4.4).

        Args:
            input_features: of `AudioMAEFeatureExtractor`, `(batch, 1, frames, mels)`, with `num_frames` frames or
                fewer.
            labels: floating point `(batch, classes)` from 0 to 1, several may be true (binary cross-entropy, as for
                AudioSet); or integers `(batch,)`, one class each (cross-entropy, as for ESC-50).
            output_hidden_states: also give the tokens before and after every block.
            recording_index, start_s: ignored here; the feature extractor gives them with `long_audio="chunks"`.

        Raises:
            AudioValueError: features of another shape.
            DataError: labels that do not fit.
        """
        config, patches = self.config, self.audio_mae.embed(input_features)
        if self.training and (config.drop_time_patches or config.drop_mel_patches):
            grid = (patches.shape[1] // config.grid[1], config.grid[1])
            patches = drop_rows(patches, grid, config.drop_time_patches, config.drop_mel_patches)
        tokens, states = self.audio_mae.encode(patches, output_hidden_states)
        logits = self.head(self.fc_norm(tokens[:, 1:].mean(1)))
        loss = None if labels is None else classification_loss(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=states)


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of a classifier, computed in float32.

    Args:
        logits: `(batch, classes)`.
        labels: floating point of the same shape, or integers `(batch,)`.

    Raises:
        DataError: another shape, a share outside of 0 to 1, or a class that there is not.
    """
    batch, classes = logits.shape
    several, expected = labels.is_floating_point(), (logits.shape if labels.is_floating_point() else (batch,))
    if labels.shape != expected or labels.dtype == torch.bool:
        raise DataError(
            f"labels is {labels.dtype} {tuple(labels.shape)}; expected floating point {(batch, classes)} for several "
            f"classes at once, or integers {(batch,)} for one"
        )
    top = 1 if several else classes - 1
    if not ((labels >= 0) & (labels <= top)).all():
        raise DataError(f"labels go from {labels.min():g} to {labels.max():g}; expected 0 to {top}")
    if several:
        return F.binary_cross_entropy_with_logits(logits.float(), labels.float())
    return F.cross_entropy(logits.float(), labels.long())
