"""Features of DSpAST: SpatialAST's, the level ratio of the ears, and their cross-correlation."""

from typing import Any

from spatial_audio_lm.features.binaural_extractor import BinauralFeatureExtractor
from spatial_audio_lm.models.dspast.configuration_dspast import FEATURES


class DSpASTFeatureExtractor(BinauralFeatureExtractor):
    """Binaural recordings at 32 kHz in, six feature maps out. Arguments and calls: `BinauralFeatureExtractor`."""

    def __init__(self, features: list[str] | tuple[str, ...] = FEATURES, **kwargs: Any):
        super().__init__(features, **kwargs)
