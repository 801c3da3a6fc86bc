"""SpatialAST against its published code: the same filled weights, through our converter and our front end."""

import torch
from torch import Tensor

from spatial_audio_lm.features.interaural import stretch_frames
from spatial_audio_lm.layers.feature_fusion import float32_batch_norm
from spatial_audio_lm.models.spatial_ast.convert_spatial_ast import spatial_ast_from_published
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTForSoundEventLocalization
from spatial_audio_lm.signal.stft import stft
from tests.parity.filling import fill
from tests.parity.parity_case import ParityCase

LOGIT_TOLERANCE = {"atol": 1e-5, "rtol": 0.0}
HEADS = {
    "logits_sed": "event",
    "logits_distance": "distance",
    "logits_azimuth": "azimuth",
    "logits_elevation": "elevation",
}


def front_end_constants() -> dict[str, Tensor]:
    """The constants that a published file carries: the windowed transform as sums of cosines, and the mel matrix."""
    time, bins = torch.arange(1024, dtype=torch.float64), torch.arange(513, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * torch.pi * time / 1024)
    kernel = torch.exp(-2j * torch.pi * torch.outer(bins, time) / 1024) * window
    # Slaney's scale without the package's function: 200/3 Hz a mel up to 1 kHz, then 27 mels for a factor of 6.4.
    low, high = (
        50.0 * 3 / 200,
        15.0
        + 27 * torch.log(torch.tensor(14.0, dtype=torch.float64)) / torch.log(torch.tensor(6.4, dtype=torch.float64)),
    )
    mels = torch.linspace(low, float(high), 130, dtype=torch.float64)
    edges = torch.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    hertz = bins[:, None] * 31.25
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0) * 2 / (edges[2:] - edges[:-2])
    return {
        "spectrogram_extractor.conv_real.weight": kernel.real[:, None].float(),
        "spectrogram_extractor.conv_imag.weight": kernel.imag[:, None].float(),
        "logmel_extractor.melW": filters.float(),
    }


def official_state(case: ParityCase) -> dict[str, Tensor]:
    """The published file's weights: exactly the keys and shapes that the manifest lists."""
    tensors = case.manifest["tensors"]
    constants = front_end_constants() | {key: torch.tensor([torch.pi]) for key in tensors if key.endswith("_head.pi")}
    state = fill(case.manifest) | {key: value for key, value in constants.items() if key in tensors}
    assert {key: list(value.shape) for key, value in state.items()} == {k: t["shape"] for k, t in tensors.items()}
    return state


def binaural_input(case: ParityCase) -> Tensor:
    """The waveform that reaches the front end, `(batch, 2, time)`; the published forward convolves a mono source."""
    waveform = case.inputs["waveform_int16"].float() / 32768
    if "rir" not in case.inputs:
        return waveform
    size = waveform.shape[-1] + case.inputs["rir"].shape[-1] - 1
    spectrum = torch.fft.rfft(waveform, n=size) * torch.fft.rfft(case.inputs["rir"], n=size)
    ears = torch.fft.irfft(spectrum, n=size)[..., : waveform.shape[-1]]
    recorded = case.outputs["convolved_slice"]
    rows = ears.flatten(0, 1)
    assert (torch.cat([rows[:, 2000:3000], rows[:, -1000:]], dim=1) - recorded).abs().max() < 1e-6
    return ears


def slices(case: ParityCase) -> dict[str, list[int]]:
    """Indices of the recorded frames, stretched frames, patches and tokens."""
    listed = case.manifest["notes"]["slices"]
    names = {"frames": "frames of the STFT", "stretched": "frames after", "patches": "patches", "tokens": "tokens"}
    return {name: next(v for k, v in listed.items() if k.startswith(start)) for name, start in names.items()}


def tolerances(case: ParityCase, answers: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Five times the deviation of an independent implementation, as the manifest says, and no less than four units
    in the last place of float32; logits within 1e-5."""
    measured = case.manifest["tolerance"]["measured"]
    allowed: dict[str, dict[str, float]] = {}
    for name in answers:
        source = measured.get(name) or measured[{"logmel_bn": "logmel", "ild_bn": "ild"}.get(name, "features_mean_std")]
        allowed[name] = {"atol": max(5 * source["max_abs"], 5e-7 * source["ref_absmax"]), "rtol": 0.0}
    return allowed | {name: LOGIT_TOLERANCE for name in answers if name in HEADS}


def front_end_answers(case: ParityCase, ears: Tensor, log_mel_norm: torch.nn.BatchNorm2d) -> dict[str, Tensor]:
    """Spectra, and spectrograms before and after their norm, on the recorded frames."""
    extractor, frames = SpatialASTFeatureExtractor(), slices(case)["frames"]
    spectrum = stft(ears, 1024, 320).flatten(0, 1)[:, :, frames[::4]].transpose(1, 2)
    log_mel = extractor.extract(ears)[:, :2]
    return {
        "stft_real": spectrum.real,
        "stft_imag": spectrum.imag,
        "logmel": log_mel[:, :, frames],
        "logmel_bn": float32_batch_norm(log_mel_norm, log_mel)[:, :, frames],
        "logmel_mean_std": mean_std(log_mel),
    }


def mean_std(maps: Tensor) -> Tensor:
    """Mean and spread of each map over frames and bands, `(batch, maps, 2)`."""
    return torch.stack([maps.mean(dim=(2, 3)), maps.flatten(2).std(dim=2)], dim=-1)


def check_argmax(case: ParityCase, answers: dict[str, Tensor]) -> None:
    """The most probable class of every head is the published one."""
    for name, classes in case.manifest["notes"]["argmax"].items():
        assert answers[name].argmax(-1).tolist() == classes, name


def check_account(model: torch.nn.Module, account: object, state: dict[str, Tensor]) -> None:
    """Strict both ways: each published key once, each of our tensors once."""
    loaded, dropped = account.loaded, account.dropped  # type: ignore[attr-defined]
    assert {*loaded, *dropped} == set(state) and not {*loaded} & {*dropped}
    filled = sorted(target for targets in loaded.values() for target in targets)
    assert filled == sorted(model.state_dict()) and not account.computed  # type: ignore[attr-defined]


def trainable(model: torch.nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@torch.no_grad()
def check_spatial_ast(case: ParityCase) -> None:
    """Front end, fusion, patches, blocks, the 515 tokens, what enters the heads, and the logits."""
    state = official_state(case)
    model, account = spatial_ast_from_published(state)
    check_account(model, account, state)
    assert trainable(model) == case.manifest["notes"]["parameters"]["trainable"] == 85_963_194
    assert isinstance(model, SpatialASTForSoundEventLocalization)
    encoder, ears, at = model.spatial_ast, binaural_input(case), slices(case)
    answers = front_end_answers(case, ears, encoder.log_mel_norm)

    given = SpatialASTFeatureExtractor()(list(ears), sampling_rate=32_000)
    assert torch.equal(given["input_features"], stretch_frames(SpatialASTFeatureExtractor().extract(ears), 1024))
    kept: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _, inputs, output, name=name: kept.update({name: (inputs, output)}))
        for name, module in {
            "fusion": encoder.fusion,
            "patch_embed": encoder.patch_embedding,
            "distance_token": model.distance_norm,
            "doa_token": model.direction_norm,
            "sed_token": model.event_norm,
        }.items()
    ]
    outputs = model(**given, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    features, fused = kept["fusion"][0][0], kept["fusion"][1][0][:, 0]
    answers |= {
        "features": features[:, :, at["stretched"]],
        "features_mean_std": mean_std(features),
        "fused": fused[:, at["stretched"]],
        "fused_row_mean": fused.mean(-1),
        "patch_embed": kept["patch_embed"][1][:, at["patches"]],
        "block0_in": outputs.hidden_states[0][:, at["tokens"]],
        "block0_out": outputs.hidden_states[1][:, at["tokens"]],
        "block5_out": outputs.hidden_states[6][:, at["tokens"]],
        "block11_out": outputs.last_hidden_state[:, at["tokens"]],
        "sequence_channel_mean": outputs.last_hidden_state.mean(2),
        "sequence_token_mean": outputs.last_hidden_state.mean(1),
        **{name: kept[name][1] for name in ("distance_token", "doa_token", "sed_token")},
        **{name: outputs[f"{head}_logits"] for name, head in HEADS.items()},
    }
    assert outputs.last_hidden_state.shape[1:] == (515, 768)
    assert set(answers) == set(case.outputs) - {"convolved_slice"}
    check_argmax(case, answers)
    case.check(answers, tolerances(case, answers))
