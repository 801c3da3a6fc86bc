"""An ear by itself: an encoder with its feature extractor, for what is to be heard before there is a BAT."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import torch
from torch import Tensor
from transformers import AutoFeatureExtractor, PreTrainedModel

from spatial_audio_lm.models.bat.audio_tokens_bat import AudioTokens, audio_tokens, load_encoder, named_audio_inputs
from spatial_audio_lm.signal.spatial_audio import SpatialAudio


class Ear:
    """Recordings to the tokens that BAT's Q-Former hears.

    Args:
        encoder: any one of the house, in evaluation mode.
        feature_extractor: the encoder's.
        hears: see `BatConfig`.
    """

    def __init__(self, encoder: PreTrainedModel, feature_extractor: Any, hears: str = "tokens"):
        self.encoder, self.feature_extractor, self.hears = encoder, feature_extractor, hears

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str], hears: str = "tokens") -> "Ear":
        """The ear in a folder.

        Args:
            folder: written by `save_pretrained` of encoder and feature extractor.
            hears: see `BatConfig`.

        Raises:
            ConfigError: the readout of an encoder that has none.
        """
        return cls(load_encoder(folder, hears), AutoFeatureExtractor.from_pretrained(folder), hears)

    @property
    def sampling_rate(self) -> int:
        """Of the recordings, in Hz."""
        return int(self.feature_extractor.sampling_rate)

    def features(self, recordings: Sequence[SpatialAudio]) -> dict[str, Tensor]:
        """The feature extractor's, under the names of BAT's inputs."""
        return named_audio_inputs(self.feature_extractor(list(recordings)))

    @torch.no_grad()
    def encode(self, features: Mapping[str, Tensor]) -> AudioTokens:
        """Tokens of a batch of `features`."""
        return audio_tokens(self.encoder, features, self.hears)
