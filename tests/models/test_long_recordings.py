"""What the feature extractors give for recordings that are heard in chunks goes into every model as it is."""

import pytest
import torch

from spatial_audio_lm import (
    AudioMAEConfig,
    AudioMAEFeatureExtractor,
    AudioMAEForAudioClassification,
    AudioMAEForPreTraining,
    AudioMAEModel,
    DSpASTConfig,
    DSpASTFeatureExtractor,
    DSpASTForSoundEventLocalization,
    DSpASTModel,
    SpatialASTConfig,
    SpatialASTFeatureExtractor,
    SpatialASTForSoundEventLocalization,
    SpatialASTModel,
)

SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
DECODER = {"decoder_hidden_size": 32, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
MAE = (AudioMAEConfig, {**SMALL, **DECODER}, AudioMAEFeatureExtractor, 1)
AST = (SpatialASTConfig, SMALL, SpatialASTFeatureExtractor, 2)
DSPAST = (DSpASTConfig, SMALL, DSpASTFeatureExtractor, 2)


@pytest.mark.parametrize(
    ("model_class", "parts"),
    [
        (AudioMAEModel, MAE),
        (AudioMAEForAudioClassification, MAE),
        (AudioMAEForPreTraining, MAE),
        (SpatialASTModel, AST),
        (SpatialASTForSoundEventLocalization, AST),
        (DSpASTModel, DSPAST),
        (DSpASTForSoundEventLocalization, DSPAST),
    ],
)
@torch.no_grad()
def test_chunks_go_into_the_model_as_they_come(model_class, parts) -> None:
    config_class, settings, extractor_class, ears = parts
    torch.manual_seed(0)
    model, extractor = model_class(config_class(**settings)).eval(), extractor_class()
    rate = extractor.sampling_rate
    recordings = [0.1 * torch.randn(ears, 25 * rate // 2), 0.1 * torch.randn(ears, 2 * rate)]
    inputs = extractor(recordings, sampling_rate=rate, long_audio="chunks")
    assert inputs["recording_index"].tolist() == [0, 0, 1] and inputs["start_s"].tolist() == [0.0, 2.5, 0.0]
    again = {"generator": torch.Generator().manual_seed(0)} if model_class is AudioMAEForPreTraining else {}
    rows = model(**inputs, **again)
    if again:
        again["generator"].manual_seed(0)
    alone = model(inputs["input_features"], **again)
    names = ("event_logits", "logits", "last_hidden_state")
    name = next(name for name in names if hasattr(rows, name))
    assert torch.equal(rows[name], alone[name]) and len(rows[name]) == 3
