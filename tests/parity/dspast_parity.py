"""DSpAST against its published code: the same filled weights, through our converter and our front end."""

import torch
from torch import Tensor

from spatial_audio_lm.features.interaural import stretch_frames
from spatial_audio_lm.layers.feature_fusion import float32_batch_norm
from spatial_audio_lm.models.dspast.configuration_dspast import BRANCHES
from spatial_audio_lm.models.dspast.convert_dspast import dspast_from_published
from spatial_audio_lm.models.dspast.feature_extraction_dspast import DSpASTFeatureExtractor
from tests.parity.parity_case import ParityCase
from tests.parity.spatial_ast_parity import (
    HEADS,
    binaural_input,
    check_account,
    check_argmax,
    front_end_answers,
    mean_std,
    official_state,
    slices,
    tolerances,
    trainable,
)


@torch.no_grad()
def check_dspast(case: ParityCase) -> None:
    """Front end, each branch from its map weights to its projection, what enters the heads, and the logits."""
    state = official_state(case)
    model, account = dspast_from_published(state)
    check_account(model, account, state)
    assert trainable(model) == case.manifest["notes"]["parameters"]["trainable"] == 86_085_127
    encoder, ears, at = model.dspast, binaural_input(case), slices(case)
    answers = front_end_answers(case, ears, encoder.log_mel_norm)
    extractor = DSpASTFeatureExtractor()
    maps = extractor.extract(ears)
    answers["gcc"], answers["ild"] = maps[:, 2:3, at["frames"]], maps[:, 3:4, at["frames"]]
    answers["ild_bn"] = float32_batch_norm(encoder.level_norm, maps[:, 3:4])[:, :, at["frames"]]

    given = extractor(list(ears), sampling_rate=32_000)
    assert torch.equal(given["input_features"], stretch_frames(maps, 1024))
    kept: dict[str, Tensor] = {}
    modules = {"patches": encoder.patch_embedding, "distance_token": model.distance_head, "sed_token": model.event_norm}
    modules |= {"doa_token": model.azimuth_head}
    modules |= {f"fused{n}": encoder.branches[name].fusion for n, name in enumerate(BRANCHES, start=1)}
    hooks = [
        module.register_forward_hook(lambda _, inputs, output, name=name: kept.update({name: (inputs, output)}))
        for name, module in modules.items()
    ]
    outputs = model(**given, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    features = kept["fused1"][0][0]
    answers |= {
        "features": features[:, :, at["stretched"]],
        "features_mean_std": mean_std(features),
        "sequence_channel_mean": outputs.last_hidden_state.mean(2),
        "sed_token_mean": kept["sed_token"][0][0],
        "sed_token": kept["sed_token"][1],
        "distance_token": kept["distance_token"][0][0],
        "doa_token": kept["doa_token"][0][0],
        **{name: outputs[f"{head}_logits"] for name, head in HEADS.items()},
    }
    batch = len(ears)
    patches = kept["patches"][1].unflatten(0, (3, batch))
    for n in (1, 2, 3):  # of the first block's input the recording holds six of the tokens listed
        fused = kept[f"fused{n}"][1][0][:, 0]
        projected = outputs.last_hidden_state[..., 256 * (n - 1) : 256 * n]
        states = [state[:, n - 1] for state in outputs.hidden_states]
        answers |= {
            f"pooled{n}": features.mean(dim=(2, 3)),
            f"attention{n}": outputs.feature_weights[:, n - 1],
            f"fused{n}": fused[:, at["stretched"]],
            f"fused{n}_row_mean": fused.mean(-1),
            f"patch_embed{n}": patches[n - 1][:, at["patches"]],
            f"block0_in{n}": states[0][:, at["tokens"][:6]],
            f"block0_out{n}": states[1][:, at["tokens"]],
            f"block11_out{n}": states[12][:, at["tokens"]],
            f"projected{n}": projected[:, at["tokens"]],
            f"projected{n}_token_mean": projected.mean(1),
        }
    assert outputs.last_hidden_state.shape[1:] == (515, 768)
    assert set(answers) == set(case.outputs) - {"convolved_slice"}
    check_argmax(case, answers)
    case.check(answers, tolerances(case, answers))
