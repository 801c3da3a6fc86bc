"""GRAM against its published code: the same filled weights, through our converter and our front end."""

import torch
from torch import Tensor

from spatial_audio_lm.layers.positions import sincos_table_2d
from spatial_audio_lm.models.gram.convert_gram import gram_from_published
from spatial_audio_lm.models.gram.feature_extraction_gram import GramFeatureExtractor
from spatial_audio_lm.models.gram.modeling_gram import GramModel
from spatial_audio_lm.models.gram.modeling_gram_pretraining import GramForPreTraining
from spatial_audio_lm.signal.ambisonics import convert_foa
from spatial_audio_lm.signal.mel import mel_filters
from tests.parity.filling import fill
from tests.parity.parity_case import ParityCase
from tests.parity.spatial_ast_parity import trainable

VARIANTS = {2: {16: "binaural-patch", 128: "binaural-time"}, 7: {16: "ambisonics-patch"}}
PARAMETERS = {"binaural-patch": 111_002_320, "binaural-time": 111_328_664, "ambisonics-patch": 111_822_160}
RATE = 32_000


def official_state(case: ParityCase) -> dict[str, Tensor]:
    """The published wrapper's state dict: exactly the keys and shapes that the manifest lists."""
    tensors, config = case.manifest["tensors"], case.manifest["config"]
    state = fill(case.manifest)
    for key, tensor in tensors.items():
        if tensor["kind"] != "fixed":
            continue
        if key.endswith("relative_position_index"):
            place = torch.arange(tensor["shape"][0])
            state[key] = place[:, None] - place + len(place) - 1
        elif key.endswith("window"):
            state[key] = torch.hann_window(1024)
        elif key.endswith("fb"):
            state[key] = mel_filters(128, 1024, RATE, 50.0, 16_000.0, "htk")
        else:
            table = sincos_table_2d(*config["grid_freq_time"], tensor["shape"][2])
            state[key] = torch.cat([table.new_zeros(tensor["shape"][1] - len(table), len(table[0])), table])[None]
    assert {key: list(value.shape) for key, value in state.items()} == {k: t["shape"] for k, t in tensors.items()}
    return state


def converted(case: ParityCase) -> GramForPreTraining:
    """The model with the case's weights, after a strict conversion."""
    state, config = official_state(case), case.manifest["config"]
    variant = VARIANTS[config["in_channels"]][config["patch_freq"]]
    model, account = gram_from_published(state, variant)
    assert {*account.loaded, *account.dropped} == set(state) and not {*account.loaded} & {*account.dropped}
    filled = [target for targets in account.loaded.values() for target in targets]
    assert sorted([*filled, *account.computed]) == sorted(model.state_dict())
    assert set(account.computed) == {"gram.positions.table", "decoder.positions.table"}
    assert trainable(model) == PARAMETERS[variant]
    names = {"sample_rate": "sampling_rate", "chunk_frames": "num_frames", "masked_patches": "num_masked_patches"}
    names |= {"log_floor_extract": "log_floor", "log_floor_pretrain": "pretraining_log_floor"}
    names |= {"decoder_layer_norm_eps": "decoder_layer_norm_eps", "encoder_layer_norm_eps": "layer_norm_eps"}
    names |= {"heads": "num_attention_heads", "decoder_window_sizes": "decoder_windows"}
    assert all(getattr(model.config, ours) == config[theirs] for theirs, ours in names.items())
    return model


def waveform(case: ParityCase) -> Tensor:
    """Two seconds at the front end, `(channels, time)`; ambisonics as AmbiX, which the front end turns back."""
    wave = case.inputs["wave_int16"].float() / 32768
    return convert_foa(wave, "gram", "ambix") if len(wave) == 4 else wave


def ten_seconds(wave: Tensor) -> Tensor:
    """Five louder and softer copies, each turned a little further."""
    copies = [gain * wave.roll(4000 * k, -1) for k, gain in enumerate((1.0, 0.5, 0.25, 0.75, 0.125))]
    return torch.cat(copies, dim=-1)


def tolerances(case: ParityCase, answers: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """What the manifest allows for each answer."""
    listed = case.manifest["tolerance"]
    allowed: dict[str, dict[str, float]] = {}
    for name in answers:
        allowed[name] = {"atol": listed["atol"], "rtol": listed["rtol"]}
        if "features" in name:
            allowed[name] = listed["features"]
        elif name in listed:
            allowed[name] = listed[name]
        elif name.startswith("grad_"):
            largest = case.outputs[name].abs().max().item()
            allowed[name] = {"atol": listed["grad_*"]["relative_to_largest_value"] * largest, "rtol": 0.0}
    return allowed


@torch.no_grad()
def check_gram(case: ParityCase) -> None:
    """Features, patches, tokens after four blocks, pooling, and the embeddings of clips of four kinds."""
    model = converted(case).gram
    config = model.config
    bands, rows = config.grid
    extractor, wave = GramFeatureExtractor.for_model(config), waveform(case)
    clips = {"2s": wave, "10s": ten_seconds(wave), "3p3s": ten_seconds(wave)[:, :105_600]}
    features = {name: extractor(clip, sampling_rate=RATE) for name, clip in clips.items()}
    frames = [*range(8), *range(496, 504), *range(993, 1001)]
    two = features["2s"]["input_features"]
    answers = {
        "features_2s": two,
        "features_10s_frames_0_8_496_504_993_1001": features["10s"]["input_features"][:, :, frames],
    }
    chunk = model.normalized(two[:, :, : config.num_frames])
    answers["normalised_chunk_mel0_t0to200_allch"] = chunk[..., 0]
    answers["normalised_chunk_mel64"] = chunk[..., 64]
    at = [index for index in (0, 1, 24, 25, 99, 199) if index < config.num_patches]
    tokens = [index for index in (0, 1, 2, 25, 26, 100, 200) if index <= config.num_patches]
    patches = model.patches(chunk)
    answers["patches"] = patches[:, at]
    answers["patch_embeddings"] = model.patch_embedding(patches)[:, at]
    one = model(two, published_padding=True, output_hidden_states=True)
    for block in (0, 1, 5, 11):
        answers[f"hidden_after_block_{block}"] = one.hidden_states[block + 1][:, 0, tokens]
    first = one.last_hidden_state[:, 0]
    answers["encoder_output_after_final_norm"] = first[:, tokens]
    answers["chunk_cls"] = first[:, 0]
    answers["chunk_mean"], answers["chunk_sum"] = first[:, 1:].mean(1), first[:, 1:].sum(1)
    answers["raw_chunk_rows_0_1_12_24"] = one.frame_embeddings[:, [0, 1, 12, 24]]
    check_scenes(case, model, features, answers)
    mono = case.inputs["wave_int16"][:1].float() / 32768
    alone = extractor(mono, sampling_rate=RATE, mono="duplicate")
    answers["scene_2s_raw_from_mono"] = model(**alone, published_padding=True).scene_raw
    assert bands * rows == config.num_patches
    counts = {name for name in case.outputs if name.startswith("n_timestamps")}
    assert set(answers) == set(case.outputs) - counts
    case.check(answers, tolerances(case, answers))


def check_scenes(
    case: ParityCase, model: GramModel, features: dict[str, dict[str, Tensor]], answers: dict[str, Tensor]
) -> None:
    """Adds the embeddings and timestamps of whole clips to the answers, all clips in one batch."""
    longest = max(given["input_features"].shape[2] for given in features.values())

    def padded(value: Tensor, dim: int) -> Tensor:
        size = [*value.shape]
        size[dim] = longest - size[dim]
        return torch.cat([value, value.new_zeros(size)], dim)

    together = model(
        torch.cat([padded(given["input_features"], 2) for given in features.values()]),
        torch.cat([padded(given["attention_mask"], 1) for given in features.values()]),
        published_padding=True,
    )
    for index, name in enumerate(features):
        rows = int(together.frame_mask[index].sum())
        assert case.outputs[f"n_timestamps_{name}"].tolist()[:2] == [1, rows], name
        answers[f"timestamps_ms_{name}"] = 1000.0 * together.timestamps_s[index : index + 1, :rows]
        embeddings = together.frame_embeddings[index : index + 1, [0, rows // 2, rows - 1]]
        answers[f"timestamp_embeddings_{name}_first_mid_last"] = embeddings
        answers[f"scene_{name}_raw"] = together.scene_raw[index : index + 1]
        if name == "10s":
            answers["scene_10s_mean"] = together.scene_mean[index : index + 1]
            answers["scene_10s_cls"] = together.scene_cls[index : index + 1]


def check_gram_pretrain(case: ParityCase) -> None:
    """Features of the training, what the decoder is given and makes of it, targets, loss, and five gradients."""
    model = converted(case)
    config = model.config
    wave = case.inputs["wave_int16"].float() / 32768
    # The second item: later, ears swapped; of ambisonics turned half around.
    other = wave.flip(0) if len(wave) == 2 else wave * torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None]
    batch = [wave, other.roll(9000, -1)]
    if len(wave) == 4:
        batch = [convert_foa(item, "gram", "ambix") for item in batch]
    extractor = GramFeatureExtractor.for_model(config, pretraining=True)
    features = extractor(batch, sampling_rate=RATE)["input_features"]
    mask = case.inputs["mask"].bool()
    result = model(features[:, :, : config.num_frames], mask, output_hidden_states=True)
    at = [index for index in (0, 1, 24, 25, 99, 199) if index < config.num_patches]
    states = result.decoder_hidden_states
    answers = {
        "train_features_b0_frames_0_8": features[:1, :, :8],
        "train_features_b0_frames_120_128": features[:1, :, 120:128],
        "decoder_input": states[0][:, at],
        **{f"decoder_hidden_after_block_{block}": states[block + 1][:, at] for block in (0, 3, 7)},
        "reconstruction": result.logits[:, at],
        "target_patches": result.target[:, at],
        "per_patch_mse": (result.logits - result.target).square().mean(-1),
        "loss": result.loss[None],
    }
    result.loss.backward()
    attention = model.gram.blocks[0].attn
    embedding = model.gram.patch_embedding.weight.grad.view(-1, config.num_feature_maps, *patch_size(case))
    table = model.decoder.blocks[0].attn.relative_bias["3"].table
    answers |= {
        "grad_cls_token": model.gram.cls_token.grad,
        "grad_decoder_blocks.0.wmha.attn_heads.3.relative_position_bias_table": table.grad[:, None],
        "grad_encoder.layers.encoder_layer_0.self_attention.in_proj_bias": attention.qkv.bias.grad,
        "grad_patch_embed.proj.weight_0_4": embedding[:4],
        "grad_spec_pred.0.bias": model.decoder.prediction.bias.grad,
    }
    answers = {name: value.detach() for name, value in answers.items()}
    assert set(answers) == set(case.outputs)
    case.check(answers, tolerances(case, answers))


def patch_size(case: ParityCase) -> tuple[int, int]:
    """Bands and frames of a patch."""
    return case.manifest["config"]["patch_freq"], case.manifest["config"]["patch_time"]
