"""The published `BAT/model.pt` onto SpatialAST and a Llama-2-7B that lies elsewhere; every key accounted for.

The file holds what was trained, the Q-Former with its projection and LoRA of the language model, in 303 tensors, and
neither the encoder nor the language model.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.layers.binaural_checkpoints import RenamedWeights, our_name, write_converted
from spatial_audio_lm.layers.published_weights import KeyAccount, load_accounted, read_torch_checkpoint
from spatial_audio_lm.models.bat.configuration_bat import BatConfig
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.bat.modeling_bat_audio import BatAudioModel
from spatial_audio_lm.models.bat.processing_bat import BatProcessor
from spatial_audio_lm.models.spatial_ast.feature_extraction_spatial_ast import SpatialASTFeatureExtractor
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import SpatialASTModel

TERMS = (
    "Weights of BAT, by the authors of SpatialAST: the LICENSE file of the repository zszheng147/Spatial-AST is CC "
    "BY-NC 4.0 (no commercial use), its README says CC-BY 4.0; ask the authors where that matters. SpatialAST, the "
    "language model (Llama-2: Meta's), AudioSet and Matterport3D rooms have terms of their own."
)
LORA_ALPHA = 32  # of the published training; the file does not hold it
_RENAMES = ((r"^encoder_projector\.", "audio_model.projector."), (r"^llm\.(base_model\.model\.)?", "language_model."))


def bat_from_published(
    state: Mapping[str, Tensor],
    audio_encoder: PreTrainedModel,
    language_model: PreTrainedModel,
    config: Mapping[str, Any] | None = None,
) -> tuple[BatForConditionalGeneration, dict[str, Tensor], KeyAccount]:
    """BAT with the weights of a published state dict, in evaluation mode.

    Args:
        state: tensors by their published names; sizes are read off the shapes.
        audio_encoder: SpatialAST, or another encoder with tokens of the same width.
        language_model: Llama-2-7B; it may lie on the device "meta", if the model is only to be saved.
        config: further settings of `BatConfig`.

    Returns:
        The model, its weights under the model's names, and what became of each key.

    Raises:
        CheckpointError: keys that nobody accounts for on either side, or shapes that do not fit.
    """
    settings = _sizes(state) | {"text_config": language_model.config, "audio_config": audio_encoder.config}
    bat_config = BatConfig(**(settings | dict(config or {})))
    weights = RenamedWeights()
    for key, value in state.items():
        # Files of parallel trainings have "module." before each name, and older ones of peft no name of the adapter.
        plain = re.sub(r"(lora_[AB])\.weight$", r"\1.default.weight", key.removeprefix("module."))
        weights.add(our_name(plain, ("", _RENAMES)), key, value)
    audio_model = BatAudioModel(bat_config, audio_encoder)
    model = BatForConditionalGeneration(bat_config, audio_model, language_model).eval()
    return model, weights.state, load_accounted(model, weights.state, weights.origin, {}, _elsewhere)


def convert_bat(
    path: str | Path,
    output_dir: str | Path,
    audio_encoder: str | Path | None = None,
    language_model: str | Path | None = None,
) -> KeyAccount:
    """Write BAT with the published weights; print their terms.

    The folder gets the encoder with Q-Former and projection, the adapter, the processor, and `conversion.json`. The
    weights of the language model stay where they are, and are not read.

    Args:
        path: `BAT/model.pt`.
        output_dir: folder to write.
        audio_encoder: folder of SpatialAST, as its own converter wrote it from `SpatialAST/finetuned.pth`.
        language_model: name or folder of Llama-2-7B in transformers' layout.

    Raises:
        CheckpointError: another checkpoint, a damaged one, or one whose keys do not fit.
    """
    path, output_dir = Path(path), Path(output_dir)
    if audio_encoder is None or language_model is None:
        raise CheckpointError(
            f"{path.name} holds neither its encoder nor its language model: give audio_encoder (SpatialAST's folder, "
            "as converted) and language_model (a folder of Llama-2-7B)"
        )
    state = read_torch_checkpoint(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path.name} holds more than named tensors; expected BAT's file as it is published")
    encoder = SpatialASTModel.from_pretrained(audio_encoder)
    with torch.device("meta"):
        text_model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(language_model))
    extractor = SpatialASTFeatureExtractor.from_pretrained(audio_encoder)
    tokenizer = AutoTokenizer.from_pretrained(language_model)
    queries = state.get("encoder_projector.query", state.get("module.encoder_projector.query"))
    processor = BatProcessor(extractor, tokenizer, num_query_tokens=64 if queries is None else queries.shape[1])
    settings = {
        "language_model_name_or_path": str(language_model),
        "audio_token_id": processor.audio_token_id,
    }
    model, weights, account = bat_from_published(state, encoder, text_model, settings)
    heard = {f"audio_model.{name}": value for name, value in model.audio_model.state_dict().items()}
    about = {"source": path.name, "layout": "bat", "terms": TERMS}
    write_converted(output_dir, _Gathered(model, heard | weights), processor, account, about)
    return account


class _Gathered:
    """A model that is saved with given weights: its language model has none here."""

    def __init__(self, model: BatForConditionalGeneration, weights: dict[str, Tensor]):
        self.model, self.weights = model, weights

    def save_pretrained(self, folder: Path) -> None:
        self.model.save_pretrained(folder, state_dict=self.weights)


def _sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of the config that the shapes tell.

    Raises:
        CheckpointError: a tensor that every such file has is missing.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    qformer = "encoder_projector.qformer.encoder.layer."
    needed = ("encoder_projector.query", f"{qformer}0.intermediate_query.dense.weight")
    adapters = {key: value for key, value in plain.items() if ".lora_A." in key}
    missing = [key for key in needed if key not in plain] + ([] if adapters else ["llm. ... .lora_A."])
    if missing:
        raise CheckpointError(f"the checkpoint is not of BAT, or not whole: {', '.join(missing)} missing")
    inner, width = plain[needed[1]].shape
    return {
        "num_query_tokens": plain[needed[0]].shape[1],
        "qformer_config": {
            "hidden_size": width,
            "num_hidden_layers": len({key[len(qformer) :].split(".")[0] for key in plain if key.startswith(qformer)}),
            "num_attention_heads": max(width // 64, 1),
            "intermediate_size": inner,
        },
        "lora_rank": len(next(iter(adapters.values()))),
        "lora_alpha": LORA_ALPHA,
        "lora_target_modules": sorted({key.split(".lora_A.")[0].rsplit(".", 1)[1] for key in adapters}),
    }


def _elsewhere(key: str) -> str | None:
    """Why a published file need not have a tensor."""
    if key.startswith("audio_model.audio_encoder."):
        return "the encoder's, from its own checkpoint"
    if key.startswith("language_model.") and ".lora_" not in key:
        return "the language model's, which stay where they are"
    return None
