"""ELSA's towers against LAION-CLAP: the same filled weights, through our converter and our front end."""

import json
from functools import lru_cache

import torch

from spatial_audio_lm.models.elsa.convert_elsa import clap_from_laion, clap_model, elsa_from_clap
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from tests.parity.filling import fill
from tests.parity.parity_case import ParityCase

LOG_MEL = {"logmel_frames_0_32": 0, "logmel_frames_500_532": 500, "logmel_frames_969_1001": 969}


@lru_cache(maxsize=1)
def converted(weights: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """ELSA and plain CLAP, filled once for all cases with the same weights."""
    source = clap_from_laion(fill(json.loads(weights)))
    return elsa_from_clap(source)[0], clap_model(source)[0]


@torch.no_grad()
def check_elsa_clap(case: ParityCase) -> None:
    """Log-mel, 768-d, CLAP's own 512-d, text at every stage, and the logits of both temperatures."""
    elsa, clap = converted(json.dumps({key: case.manifest[key] for key in ("tensors", "seed")}))
    extractor = ElsaFeatureExtractor()
    # LAION's public API quantises to 16 bits and divides by 32767.
    waveform = (case.inputs["waveform_int16"].float() / 32767)[None]
    features = extractor(waveform, sampling_rate=48_000)
    log_mel = features["input_features"][0, 0]
    assert log_mel.shape == (1001, 64)
    answers = {name: log_mel[start : start + 32] for name, start in LOG_MEL.items()}
    answers["padded_waveform_tail"] = extractor.fit_length(waveform)[0, -2000:]

    normalised: list[torch.Tensor] = []
    hook = elsa.audio_model.audio_encoder.batch_norm.register_forward_hook(lambda *call: normalised.append(call[2]))
    audio = elsa.audio_model(features["input_features"])
    hook.remove()
    answers["bn_logmel_frames_0_8"] = normalised[0].squeeze().T[:8]
    answers["audio_pooled_768"] = audio.pooler_output.flatten(1)
    answers["audio_projected_512"] = clap.audio_projection(answers["audio_pooled_768"])

    text = {name: case.inputs[name] for name in ("input_ids", "attention_mask")}
    answers["text_last_hidden_slice"] = elsa.text_model(**text).last_hidden_state[:, :4, :64]
    answers["text_pooler_768"] = elsa.pool_text(**text)
    answers["text_projected_512"] = elsa.text_projection(answers["text_pooler_768"])
    answers["text_embeds_normalised"] = elsa.get_text_features(**text).pooler_output

    both = clap(input_features=features["input_features"], **text)
    answers["audio_embeds_normalised"] = both.audio_embeds
    answers["logits_per_audio_scale_a"] = both.logits_per_audio
    answers["logits_per_text_scale_t"] = both.logits_per_text
    # ELSA keeps the temperature that CLAP's loss used.
    assert torch.equal(elsa.logit_scale, clap.logit_scale_a)

    tolerance = case.manifest["tolerance"]
    case.check(
        answers,
        {name: tolerance["logmel" if name in LOG_MEL else "everything_else"] for name in answers},
    )
