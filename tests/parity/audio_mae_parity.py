"""Audio-MAE against its published code: the same filled weights, through our converter and our front end."""

from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from spatial_audio_lm.layers.masking import random_mask
from spatial_audio_lm.models.audio_mae.convert_audio_mae import audio_mae_from_published
from spatial_audio_lm.models.audio_mae.feature_extraction_audio_mae import AudioMAEFeatureExtractor
from spatial_audio_lm.models.audio_mae.modeling_audio_mae import (
    AudioMAEForAudioClassification,
    AudioMAEForPreTraining,
)
from spatial_audio_lm.objectives.masked_reconstruction import masked_reconstruction_loss
from tests.parity.filling import fill
from tests.parity.parity_case import ParityCase
from tests.parity.spatial_ast_parity import check_account, trainable

TABLES = {"pos_embed": 768, "decoder_pos_embed": 512}


def published_table(dim: int) -> Tensor:
    """The table that the published checkpoints carry, `(1, 513, dim)`, without the package's function.

    Row i + 1: sines and cosines of i % 64, then of i // 64, as if the grid had 8 rows of 64; row 0 is zero.
    """
    rates = 10_000.0 ** (-np.arange(dim // 4) / (dim // 4))
    halves = [index[:, None] * rates for index in (np.arange(512) % 64, np.arange(512) // 64)]
    rows = np.concatenate([f(half) for half in halves for f in (np.sin, np.cos)], axis=1)
    return torch.from_numpy(np.concatenate([np.zeros((1, dim)), rows])).float()[None]


def official_state(case: ParityCase) -> dict[str, Tensor]:
    """The published file's weights: exactly the keys and shapes that the manifest lists."""
    tensors = case.manifest["tensors"]
    state = fill(case.manifest) | {key: published_table(dim) for key, dim in TABLES.items() if key in tensors}
    assert {key: list(value.shape) for key, value in state.items()} == {k: t["shape"] for k, t in tensors.items()}
    for key in TABLES.keys() & state.keys():
        assert (state[key][:, ::16] - case.outputs[f"{key}_every16"]).abs().max() <= 1e-6
    return state


def tables_of(model: nn.Module) -> dict[str, Tensor]:
    """The tables of a new model that is told to have the published ones, with the zero row that ours leave out."""
    tables = {"pos_embed": model.audio_mae.positions}
    if isinstance(model, AudioMAEForPreTraining):
        tables["decoder_pos_embed"] = model.decoder.positions
    answers = {}
    for key, positions in tables.items():
        positions.reset()
        answers[f"{key}_every16"] = torch.cat([positions.table[:, :1] * 0, positions.table], dim=1)[:, ::16]
    return answers


def check(case: ParityCase, answers: dict[str, Tensor]) -> None:
    """All recorded answers, each within its own tolerance."""
    assert set(answers) == set(case.outputs)
    for name in ("fbank_raw_shape", "ids_restore", "mask"):
        if name in answers:
            assert torch.equal(answers[name], case.outputs[name].to(answers[name].dtype)), name
            del answers[name]
    allowed = case.manifest["tolerance"]["per_output"]
    case.check(answers, {name: {"atol": allowed[name], "rtol": 0.0} for name in answers})


@torch.no_grad()
def check_audio_mae_finetuned(case: ParityCase) -> None:
    """Front end, patches, blocks, what enters the classifier, and the logits, without and with rows left out."""
    state = official_state(case)
    assert len(state) == 152
    model, account = audio_mae_from_published(state, {"drop_time_patches": 0.3, "drop_mel_patches": 0.3})
    check_account(model, account, state)
    assert isinstance(model, AudioMAEForAudioClassification) and trainable(model) == 85_659_407
    extractor, waveform = AudioMAEFeatureExtractor(), case.inputs["waveform"]
    fbank = extractor.extract(waveform)[0]
    given = extractor(waveform, sampling_rate=16_000)

    kept: dict[str, Tensor] = {}
    for name, module in {"patches": model.audio_mae.patch_embedding, "pooled": model.fc_norm}.items():
        module.register_forward_hook(lambda _, inputs, output, name=name: kept.update({name: output}))
    outputs = model(**given, output_hidden_states=True)
    answers = {
        "fbank_raw_shape": torch.tensor(fbank.shape),
        "fbank_raw_every16": fbank[::16],
        "fbank_normalized_padded_every16": given["input_features"][0, 0, ::16],
        "patch_embed_every16": kept["patches"][:, ::16],
        **{f"block{n}_every16": outputs.hidden_states[n + 1][:, ::16] for n in (0, 5, 11)},
        "pooled_fc_norm": kept["pooled"],
        "logits": outputs.logits,
    }
    # In training rows of patches are left out: with the recorded numbers, drawn in the published order.
    with patch("torch.rand", side_effect=[case.inputs["noise_time"], case.inputs["noise_freq"]]):
        masked = model.train()(**given, output_hidden_states=True)
    assert masked.hidden_states[0].shape == (1, 1 + 44 * 5, 768)
    answers["masked_0.3_0.3_logits"] = masked.logits
    check(case, answers | tables_of(model))


def check_audio_mae_pretrain(case: ParityCase) -> None:
    """Mask, encoder, decoder blocks, reconstruction, losses, gradients, and the embedding of the whole spectrogram."""
    state = official_state(case)
    assert len(state) == 430
    model, account = audio_mae_from_published(state)
    check_account(model, account, state)
    assert isinstance(model, AudioMAEForPreTraining) and trainable(model) == 136_336_128
    # The published count holds the tables, with their rows of zeros, as parameters.
    assert trainable(model) + sum(513 * dim for dim in TABLES.values()) == 136_992_768
    features = AudioMAEFeatureExtractor()(case.inputs["waveform"], sampling_rate=16_000)["input_features"]

    noise = case.inputs["noise"]
    with patch("torch.rand", return_value=noise):
        mask = random_mask(1, 512, model.config.num_hidden)
    order = noise.argsort(dim=1)
    kept: dict[str, Tensor] = {}
    for n in (0, 1, 15):
        model.decoder.blocks[n].register_forward_hook(lambda _, i, output, n=n: kept.update({f"{n}": output}))
    outputs = model(features, mask=mask)
    outputs.loss.backward()
    # The published tokens lie in the order of the noise, ours in that of the grid.
    by_noise = order[0, :102].sort().indices.sort().indices
    encoded = torch.cat([outputs.last_hidden_state[:, :1], outputs.last_hidden_state[:, 1:][:, by_noise]], dim=1)
    target = features[0, 0].view(64, 16, 8, 16).transpose(1, 2).reshape(1, 512, 256)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    answers = {
        "mask": outputs.mask,
        "ids_restore": order.argsort(dim=1),
        "patchify_every16": target[:, ::16],
        "encoder_out_every4": encoded[:, ::4],
        **{f"decoder_block{n}_every32": value[:, ::32] for n, value in kept.items()},
        "pred_every16": outputs.logits[:, ::16],
        "loss": outputs.loss[None],
        "loss_unnormalized_target": masked_reconstruction_loss(outputs.logits, target, mask, normalize=False)[None],
        "grad_total_norm": torch.stack([value.norm() for value in gradients.values()]).norm()[None],
    }
    for key in [name.removeprefix("grad.") for name in case.outputs if name.startswith("grad.")]:
        answers[f"grad.{key}"] = gradients[account.loaded[key][0]]
    with torch.no_grad():
        answers["no_mask_contextual_every16"] = model.audio_mae(features).contextual_state[:, ::16]
    answers = {name: value.detach() for name, value in answers.items()}
    check(case, answers | tables_of(model))
