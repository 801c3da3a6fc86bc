"""Pre-training of GRAM: four of five patches are hidden, and their spectrogram is predicted from the others."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from spatial_audio_lm.errors import AudioValueError, DataError
from spatial_audio_lm.layers.masking import random_mask, require_mask, visible_tokens
from spatial_audio_lm.models.gram.configuration_gram import GramConfig
from spatial_audio_lm.models.gram.modeling_gram import GramModel, GramPreTrainedModel
from spatial_audio_lm.models.gram.modeling_gram_decoder import GramDecoder
from spatial_audio_lm.objectives.masked_reconstruction import masked_reconstruction_loss


@dataclass
class GramForPreTrainingOutput(ModelOutput):
    """A prediction of spectrograms.

    Args:
        loss: scalar: the mean squared error of the hidden patches, times the number of maps.
        logits: `(batch, patches, patch_values)`: predicted numbers of all patches.
        target: of the same shape: the patches of the normalised maps, in `GramModel.patches`' order of numbers.
        mask: bool `(batch, patches)`: True where a patch was hidden.
        hidden_states: the encoder's tokens `(batch, 1 + visible, hidden_size)` before and after every block.
        decoder_hidden_states: the decoder's, `(batch, patches, decoder_hidden_size)`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    target: Tensor | None = None
    mask: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    decoder_hidden_states: tuple[Tensor, ...] | None = None


class GramForPreTraining(GramPreTrainedModel):
    """The masked autoencoder: encoder and decoder."""

    def __init__(self, config: GramConfig):
        super().__init__(config)
        self.gram = GramModel(config)
        self.decoder = GramDecoder(config)
        self.post_init()

    def forward(
        self,
        input_features: Tensor,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        output_hidden_states: bool = False,
    ) -> GramForPreTrainingOutput:
        """The loss of a batch of chunks, and what was predicted.

        Args:
            input_features: of `GramFeatureExtractor`, `(batch, maps, num_frames, mels)`: crops of exactly one chunk.
            mask: bool `(batch, patches)`, True for `num_masked_patches` hidden patches of each item; None: drawn.
            generator: what the mask is drawn from; None: PyTorch's own.
            output_hidden_states: also give the tokens of encoder and decoder.

        Raises:
            AudioValueError: features of another shape.
            DataError: a mask of another shape, or with another number of hidden patches.
        """
        self.gram.require_features(input_features)
        if input_features.shape[2] != self.config.num_frames:
            raise AudioValueError(
                f"input_features has {input_features.shape[2]} frames; pre-training takes crops of exactly "
                f"{self.config.num_frames}"
            )
        mask = self._mask(len(input_features), mask, generator, input_features.device)
        target = self.gram.patches(self.gram.normalized(input_features))
        visible = visible_tokens(self.gram.embedded(target), mask)
        encoded, states = self.gram.encoded(visible, output_hidden_states)
        eager = self.config._attn_implementation == "eager"
        reconstruction, decoder_states = self.decoder(encoded[:, 1:], mask, eager)
        # The factor is the published code's: an error of all maps together, where the paper's is a mean.
        loss = self.config.num_feature_maps * masked_reconstruction_loss(reconstruction, target, mask, normalize=False)
        return GramForPreTrainingOutput(
            loss=loss,
            logits=reconstruction,
            target=target,
            mask=mask,
            hidden_states=states,
            decoder_hidden_states=decoder_states if output_hidden_states else None,
        )

    def _mask(self, batch: int, mask: Tensor | None, generator: torch.Generator | None, device: torch.device) -> Tensor:
        patches, hidden = self.config.num_patches, self.config.num_masked_patches
        if mask is None:
            return random_mask(batch, patches, hidden, generator, device)
        given = int(require_mask(mask, batch, patches)[0].sum())
        if given != hidden:
            raise DataError(
                f"the mask hides {given} of {patches} patches of an item; expected {hidden} (mask_ratio "
                f"{self.config.mask_ratio:g})"
            )
        return mask.to(device)
