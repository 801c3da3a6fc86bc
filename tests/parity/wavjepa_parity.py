"""WavJEPA and WavJEPA-Nat against their published code: the same filled weights, through our converter."""

import numpy as np
import torch
from torch import Tensor

from spatial_audio_lm.models.wavjepa.convert_wavjepa import wavjepa_from_published
from spatial_audio_lm.models.wavjepa.feature_extraction_wavjepa import WavJEPAFeatureExtractor
from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining
from spatial_audio_lm.objectives.latent_prediction import averaged_targets
from tests.parity.filling import fill
from tests.parity.parity_case import ParityCase

# By number of channels: all, and what is trained.
PARAMETERS = {1: (196_299_264, 111_012_864), 2: (200_205_824, 114_689_024)}
TENSORS = {1: 457, 2: 465}
RATE = 16_000
TABLES = {"encoder": 768, "decoder": 384}


def published_table(tokens: int, dim: int) -> Tensor:
    """The table that the published checkpoints carry, `(1, tokens, dim)`, without the package's function."""

    def sines(positions: np.ndarray, width: int) -> np.ndarray:
        angles = positions[:, None] / 10_000.0 ** (np.arange(width // 2) / (width // 2))
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    if tokens == 200:
        return torch.from_numpy(sines(np.arange(200), dim)).float()[None]
    flags = np.zeros((400, dim // 2))
    flags[200:, dim // 4 :] = 1.0
    times = sines(np.arange(400) % 200, dim // 2)
    return torch.from_numpy(np.concatenate([times, flags], axis=1)).float()[None]


def official_state(case: ParityCase) -> dict[str, Tensor]:
    """The published file's weights: exactly the keys and shapes that the manifest lists."""
    tensors = case.manifest["tensors"]
    state = fill(case.manifest)
    for name, dim in TABLES.items():
        key = f"model.pos_encoding_{name}"
        state[key] = published_table(tensors[key]["shape"][1], dim)
    assert {key: list(value.shape) for key, value in state.items()} == {k: t["shape"] for k, t in tensors.items()}
    return state


def converted(case: ParityCase, channels: int) -> tuple[WavJEPAForPreTraining, dict[str, str]]:
    """The model with the case's weights, and our name of each published one, after a strict conversion."""
    state = official_state(case)
    assert len(state) == TENSORS[channels]
    model, account = wavjepa_from_published(state, {1: "base", 2: "nat-base"}[channels])
    assert {*account.loaded, *account.dropped} == set(state) and not {*account.loaded} & {*account.dropped}
    filled = [target for targets in account.loaded.values() for target in targets]
    assert sorted([*filled, *account.computed]) == sorted(model.state_dict())
    assert set(account.computed) == {"wavjepa.positions.table", "predictor.positions.table"}
    everything = sum(value.numel() for value in model.state_dict().values())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert (everything, trained) == PARAMETERS[channels]
    return model, {key: targets[0] for key, targets in account.loaded.items()}


def check(case: ParityCase, answers: dict[str, Tensor]) -> None:
    """All recorded answers, each within its own tolerance."""
    assert set(answers) == set(case.outputs), set(answers) ^ set(case.outputs)
    allowed = case.manifest["tolerance"]["per_output"]
    case.check(answers, {name: {"atol": allowed[name], "rtol": 0.0} for name in answers})


@torch.no_grad()
def check_wavjepa(case: ParityCase) -> None:
    """Front end, convolutions, layers of both encoders, targets, tables, and the embeddings of 2 and 5 s."""
    waveform = case.inputs["waveform"]
    channels = len(waveform)
    whole, _ = converted(case, channels)
    model = whole.wavjepa
    extractor = WavJEPAFeatureExtractor.for_model(model.config)
    window = extractor.extract(waveform[None, :, :32_159])
    local = model.embedded(window)
    heard = model(window, output_hidden_states=True)
    step = 5 * channels  # the cases thin out the tokens of two channels twice as much
    targets = local.flatten(1, 2)
    layers = []
    for block in whole.target_encoder.stack.blocks:
        targets = block(targets)
        layers.append(targets)
    answers = {
        "rms_normalized_first2000": extractor.at_level(waveform)[:, :2000],
        "segment_normalized_every8": window[:, :, ::8],
        f"waveform_encoder_every{step}": model.convolved(window).flatten(1, 2)[:, ::step],
        f"local_features_every{2 * step}": local.flatten(1, 2)[:, :: 2 * step],
        **{
            f"context_layer{n}_every{8 * step}": heard.hidden_states[n + 1].flatten(1, 2)[:, :: 8 * step]
            for n in (0, 5, 11)
        },
        **{f"target_layer{n}_every{8 * step}": layers[n][:, :: 8 * step] for n in (4, 11)},
        f"target_top8_every{step}": averaged_targets(layers[4:]),
    }
    torch.testing.assert_close(whole.target_encoder(local.flatten(1, 2)), answers[f"target_top8_every{step}"])
    answers[f"target_top8_every{step}"] = answers[f"target_top8_every{step}"][:, ::step]
    context = heard.last_hidden_state.flatten(1, 2)
    # Of two channels the recorded tokens are thinned out until as many are left as of one.
    answers["context_encoder_every2"] = context[
        :, :: context.shape[1] // case.outputs["context_encoder_every2"].shape[1]
    ]
    positions = {"encoder": model.positions, "decoder": whole.predictor.positions}
    for name, table in positions.items():
        answers[f"pos_encoding_{name}_every{2 * step}"] = table.table.flatten(0, 1)[None, :: 2 * step]
    for name, samples, every in (("2s", 32_000, 8), ("5s", 80_000, 16)):
        inputs = extractor(waveform[:, :samples], sampling_rate=RATE, published_padding=True)
        clip = model(**inputs, published_padding=True)
        answers[f"hear_{name}_shape"] = torch.tensor(clip.frame_embeddings.shape)
        answers[f"hear_{name}_timestamp_embeddings_every{every}"] = clip.frame_embeddings[:, ::every]
        answers[f"hear_{name}_scene_embedding"] = clip.scene_mean
        answers[f"hear_{name}_timestamps_ms"] = 1000.0 * clip.timestamps_s
    ten = torch.cat([waveform, waveform], dim=1)
    inputs = extractor(ten, sampling_rate=RATE, published_padding=True)
    assert model(**inputs, published_padding=True).frame_embeddings.shape == (1, 996, 768)
    check(case, answers)


def check_wavjepa_pretrain(case: ParityCase) -> None:
    """Context, predictions, targets, loss, gradients, the target encoder's step and the optimizer's."""
    audio = case.inputs["audio"]
    channels = audio.shape[1]
    model, ours = converted(case, channels)
    # Of two channels each step stands twice in a row in the recorded masks.
    hidden = case.inputs["context_mask_true_is_hidden"].bool()
    asked = case.inputs["target_mask_true_is_target"].bool()
    time, groups = ~hidden[:, ::channels], asked[:, :, ::channels]
    assert torch.equal(model.tokens_of(time), ~hidden) and torch.equal(model.tokens_of(groups), asked)
    assert torch.equal(case.inputs["predictor_mask_true_is_hidden"].bool(), hidden[:, None] & ~asked)

    result = model(audio, time, groups)
    result.loss.backward()
    context = result.context[result.context_mask]
    # Predictions are made of targets alone: those are compared, in the places of the recorded answers.
    batch, group, tokens = (*asked.shape,)
    predictions = torch.zeros(batch, group, tokens, 768)
    places = result.target_index[..., None].expand_as(result.logits)
    predictions.scatter_(2, places, result.logits.detach() * result.target_mask[..., None])
    predictions = torch.where(asked[..., None], predictions, torch.zeros(()))
    for name in ("squared_error_per_token", f"preds_every{20 * channels}"):
        thinned = asked[:, :, :: 20 * channels, None] if name.startswith("preds") else asked
        assert thinned.any()
        case.outputs[name] = case.outputs[name] * thinned
    errors = (predictions - result.targets[:, None]).square().mean(-1) * asked
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    answers = {
        f"local_features_every{20 * channels}": result.local_features[:, :: 20 * channels],
        "context_tokens_gathered_every4": context[::4],
        "context_tokens_mapped_every4": model.predictor.embedding(context)[::4],
        f"preds_every{20 * channels}": predictions[:, :, :: 20 * channels, ::2],
        f"targets_every{10 * channels}": result.targets[:, :: 10 * channels],
        "squared_error_per_token": errors,
        "loss": result.loss[None],
        "grad_total_norm": torch.stack([value.norm() for value in gradients.values()]).norm()[None],
    }
    for key in [name.removeprefix("grad.") for name in case.outputs if name.startswith("grad.")]:
        answers[f"grad.{key}"] = gradients[ours[f"model.{key}"]]
    settings = case.manifest["config"]
    model.update_target_encoder(settings["ema_start"])
    answers["teacher_after_ema.layers.0.linear1.bias"] = model.target_encoder.stack.blocks[0].mlp.fc1.bias
    adamw = settings["adamw"] | {"betas": tuple(settings["adamw"]["betas"])}
    optimizer = torch.optim.AdamW(model.parameters(), **adamw)
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings["clip_norm"])
    optimizer.step()
    stepped = dict(model.named_parameters())
    for key in ("encoder.layers.0.norm1.weight", "mask_token"):
        answers[f"after_adamw_lr4e-4.{key}"] = stepped[ours[f"model.{key}"]]
    check(case, {name: value.detach() for name, value in answers.items()})
