"""Features of SpatialAST: the log-mel spectrograms of both ears, and the cosine and sine of their phase difference."""

from typing import Any

from spatial_audio_lm.features.binaural_extractor import BinauralFeatureExtractor


class SpatialASTFeatureExtractor(BinauralFeatureExtractor):
    """Binaural recordings at 32 kHz in, four feature maps out. Arguments and calls: `BinauralFeatureExtractor`."""

    def __init__(self, features: list[str] | tuple[str, ...] = ("log_mel", "phase_difference"), **kwargs: Any):
        super().__init__(features, **kwargs)
