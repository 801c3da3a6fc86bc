"""Audio-MAE's published `pretrained.pth` and `finetuned.pth` into our layout; every key accounted for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.layers.binaural_checkpoints import (
    AUDIO_MAE_TERMS,
    RenamedWeights,
    encoder_sizes,
    name_events,
    our_name,
    read_published_encoder,
    write_converted,
)
from spatial_audio_lm.layers.published_weights import KeyAccount
from spatial_audio_lm.models.audio_mae.configuration_audio_mae import AudioMAEConfig
from spatial_audio_lm.models.audio_mae.feature_extraction_audio_mae import AudioMAEFeatureExtractor
from spatial_audio_lm.models.audio_mae.modeling_audio_mae import (
    AudioMAEForAudioClassification,
    AudioMAEForPreTraining,
)

# Names of AudioSet's classes lie in this file of the data set; the checkpoints do not hold them.
LABELS_FILE = "class_labels_indices.csv"
ENCODER, DECODER = "audio_mae.", "decoder."

_ENCODER_RENAMES = (
    (r"^patch_embed\.proj\.", "patch_embedding."),
    (r"^(blocks\.|norm\.|cls_token$)", r"\1"),
)
_DECODER_RENAMES = (
    (r"^decoder_pred\.", "prediction."),
    (r"^decoder_(embed\.|blocks\.|norm\.)", r"\1"),
    (r"^mask_token$", "mask_token"),
)

AudioMAE = AudioMAEForPreTraining | AudioMAEForAudioClassification


def audio_mae_from_published(
    state: Mapping[str, Tensor], config: Mapping[str, Any] | None = None
) -> tuple[AudioMAE, KeyAccount]:
    """Audio-MAE with the weights of a published state dict, in evaluation mode.

    Args:
        state: tensors by their published names, of pre-training (430 of them) or fine-tuned (152); sizes are read off
            the shapes, windows and shift are the published ones.
        config: further settings of `AudioMAEConfig`.

    Returns:
        `AudioMAEForPreTraining` or `AudioMAEForAudioClassification`, and what became of every tensor.

    Raises:
        CheckpointError: keys that nobody accounts for on either side, shapes that do not fit, or weights with neither
            a decoder nor a classifier.
    """
    sizes: dict[str, Any] = encoder_sizes(state) | {"position_table": "published"}
    model_class: type[AudioMAE]
    if "decoder_embed.weight" in state:
        model_class, sizes = AudioMAEForPreTraining, sizes | _decoder_sizes(state)
    elif "head.weight" in state:
        model_class, sizes = AudioMAEForAudioClassification, sizes | {"num_labels": len(state["head.weight"])}
    else:
        raise CheckpointError(
            "the checkpoint has neither decoder_embed.weight nor head.weight; expected Audio-MAE's pretrained.pth or "
            "finetuned.pth, whole"
        )
    weights = RenamedWeights()
    for key, value in state.items():
        if key == "pos_embed":
            _add_table(weights, key, value, ENCODER)
        elif key == "decoder_pos_embed":
            _add_table(weights, key, value, DECODER)
        else:
            weights.add(our_name(key, (ENCODER, _ENCODER_RENAMES), (DECODER, _DECODER_RENAMES)), key, value)
    model = model_class(AudioMAEConfig(**(sizes | dict(config or {})))).eval()
    return model, weights.load_into(model)


def _decoder_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of the config that the shapes of the decoder tell.

    Raises:
        CheckpointError: a shape that is needed is missing.
    """
    needed = ("decoder_blocks.0.mlp.fc1.weight", "decoder_blocks.0.attn.meta_mlp.fc1.weight")
    is_local = "decoder_blocks.0.attn.tau" in state
    missing = [key for key in needed[: 1 + is_local] if key not in state]
    if missing:
        raise CheckpointError(f"the checkpoint is not whole: {', '.join(missing)} missing")
    width = len(state["decoder_embed.weight"])
    sizes = {
        "decoder_attention": "local" if is_local else "global",
        "decoder_hidden_size": width,
        "decoder_num_hidden_layers": len({key.split(".")[1] for key in state if key.startswith("decoder_blocks.")}),
        "decoder_num_attention_heads": max(width // 32, 1),  # as wide in both published decoders
        "decoder_intermediate_size": len(state[needed[0]]),
    }
    if is_local:
        sizes["decoder_num_attention_heads"] = len(state["decoder_blocks.0.attn.tau"])
        sizes["decoder_bias_size"] = len(state[needed[1]])
    return sizes


def _add_table(weights: RenamedWeights, key: str, table: Tensor, prefix: str) -> None:
    """Takes a table of positions without its first row, the class token's, which is all zeros.

    Raises:
        CheckpointError: it is not: a class token has no position here.
    """
    if table[:, :1].any():
        raise CheckpointError(f"the first row of {key} is not zero; expected a class token without a position")
    weights.add(f"{prefix}positions.table", key, table[:, 1:])


def convert_audio_mae(path: str | Path, output_dir: str | Path) -> KeyAccount:
    """Write Audio-MAE with the weights of a published file; print their terms.

    The folder gets the model, the feature extractor at AudioSet's scale, and `conversion.json`: layout, terms, what
    happened to every key.

    Args:
        path: `pretrained.pth` or `finetuned.pth`. Names of the classes are taken from `class_labels_indices.csv` if
            that lies beside a fine-tuned file.
        output_dir: folder to write.

    Raises:
        CheckpointError: another checkpoint, a damaged one, or one whose keys do not fit.
    """
    path, output_dir = Path(path), Path(output_dir)
    published = read_published_encoder(path, ("audio_mae",))
    model, account = audio_mae_from_published(published.state)
    layout = "audio_mae_pretrained" if isinstance(model, AudioMAEForPreTraining) else "audio_mae_finetuned"
    if layout == "audio_mae_finetuned":
        name_events(model.config, path, LABELS_FILE)
    about = {"source": path.name, "layout": layout, "terms": AUDIO_MAE_TERMS}
    write_converted(output_dir, model, AudioMAEFeatureExtractor(num_frames=model.config.num_frames), account, about)
    return account
