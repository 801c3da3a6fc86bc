"""An ear by itself: an encoder with its feature extractor, for what is to be heard before there is a captioner."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from transformers import AutoFeatureExtractor, AutoModel, PreTrainedModel

from spatial_audio_lm.layers.encoder_inputs import named_audio_inputs
from spatial_audio_lm.models.spatial_captioner.audio_embedding_spatial_captioner import audio_embeddings, hearing_part
from spatial_audio_lm.signal.spatial_audio import SpatialAudio


class EmbeddingEar:
    """Recordings to the vectors that a captioner's prefix is made of.

    Args:
        encoder: any one of the house; it is set to evaluation mode.
        feature_extractor: the encoder's.
    """

    def __init__(self, encoder: PreTrainedModel, feature_extractor: Any):
        self.encoder, self.feature_extractor = hearing_part(encoder).eval(), feature_extractor

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str]) -> "EmbeddingEar":
        """The ear in a folder, written by `save_pretrained` of encoder and feature extractor (or processor)."""
        return cls(AutoModel.from_pretrained(folder), AutoFeatureExtractor.from_pretrained(folder))

    @property
    def sampling_rate(self) -> int:
        """Of the recordings, in Hz."""
        return int(self.feature_extractor.sampling_rate)

    @torch.no_grad()
    def embed(self, recordings: Sequence[SpatialAudio]) -> Tensor:
        """Vectors `(recordings, dim)`.

        Raises:
            SpatialAudioError: recordings that the encoder does not hear, with the way out.
        """
        return audio_embeddings(self.encoder, named_audio_inputs(self.feature_extractor(list(recordings))))
