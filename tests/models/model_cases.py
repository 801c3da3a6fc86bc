"""Small versions of every model, with inputs, for the tests that all models share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spatial_audio_lm.models.audio_mae.configuration_audio_mae import AudioMAEConfig
from spatial_audio_lm.models.audio_mae.modeling_audio_mae import (
    AudioMAEForAudioClassification,
    AudioMAEForPreTraining,
    AudioMAEModel,
)
from spatial_audio_lm.models.bat.configuration_bat import BatConfig
from spatial_audio_lm.models.bat.modeling_bat import BatForConditionalGeneration
from spatial_audio_lm.models.dspast.configuration_dspast import DSpASTConfig
from spatial_audio_lm.models.dspast.modeling_dspast import DSpASTForSoundEventLocalization, DSpASTModel
from spatial_audio_lm.models.dspast.modeling_dspast_seld import DSpASTForSELD
from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig, ElsaConvConfig, ElsaSpatialConfig
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from spatial_audio_lm.models.elsa.modeling_elsa_conv import ElsaConvModel
from spatial_audio_lm.models.elsa.modeling_elsa_spatial import ElsaSpatialModel, ElsaSpatialModelForRegression
from spatial_audio_lm.models.gram.configuration_gram import GramConfig
from spatial_audio_lm.models.gram.modeling_gram import GramModel
from spatial_audio_lm.models.gram.modeling_gram_pretraining import GramForPreTraining
from spatial_audio_lm.models.spatial_ast.configuration_spatial_ast import SpatialASTConfig
from spatial_audio_lm.models.spatial_ast.modeling_spatial_ast import (
    SpatialASTForSoundEventLocalization,
    SpatialASTModel,
)
from spatial_audio_lm.models.wavjepa.configuration_wavjepa import WavJEPAConfig
from spatial_audio_lm.models.wavjepa.modeling_wavjepa import WavJEPAModel
from spatial_audio_lm.models.wavjepa.modeling_wavjepa_pretraining import WavJEPAForPreTraining

Inputs = dict[str, Any]


@dataclass
class ModelCase:
    """One model.

    Args:
        build: makes it with random weights.
        inputs: makes a batch of the given size.
        shapes: expected shape of each output but for its first dimension, the batch.
        time_inputs: inputs whose dimension 2 is time, for models of any length.
        mask: name of the input that masks them.
        loss_inputs: what to add to get a loss, for a given batch size.
        attention: whether a part of it has more than one attention implementation.
        without_effect: ends of the names of parameters that change nothing, and so get no gradient.
    """

    build: Callable[[], PreTrainedModel]
    inputs: Callable[[int], Inputs]
    shapes: dict[str, tuple[int, ...]]
    time_inputs: tuple[str, ...] = ()
    mask: str | None = None
    loss_inputs: Callable[[int], Inputs] = field(default=lambda batch: {})
    attention: bool = False
    without_effect: tuple[str, ...] = ()


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def built(make: Callable[[], PreTrainedModel]) -> Callable[[], PreTrainedModel]:
    """The same random model every time, in evaluation mode, with batch statistics as after some training."""

    def build() -> PreTrainedModel:
        torch.manual_seed(0)
        model = make()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2.0)
                if module.affine:
                    nn.init.normal_(module.bias, std=0.1)  # without it, padding would stay zero by itself
        return model.eval()

    return build


def text_inputs(batch: int) -> Inputs:
    lengths = 3 + torch.arange(batch) % 4
    mask = (torch.arange(6) < lengths[:, None]).long()
    ids = torch.randint(5, 60, (batch, 6), generator=torch.Generator().manual_seed(2))
    return {"input_ids": ids * mask + (1 - mask), "attention_mask": mask}  # 1 is the padding token of both encoders


def elsa_labels(batch: int) -> Inputs:
    values = torch.linspace(0.2, 1.0, batch)
    labels = {
        "azimuth_deg": 360 * values - 180,
        "elevation_deg": 60 * values - 30,
        "distance_m": 3 * values,
        "floor_area_m2": 200 * values,
        "t30_s": values,
        "spatial_mask": torch.ones(batch, dtype=torch.bool),
    }
    return {"labels": labels}


def regression_labels(batch: int) -> Inputs:
    return {"labels": noise(7, batch, 44)}


def binaural_labels(batch: int) -> Inputs:
    values = torch.linspace(0.1, 0.9, batch)
    labels = {
        "events": (noise(8, batch, 5) > 0).float(),
        "distance_m": 2 * values,
        "azimuth_deg": 360 * values - 180,
        "elevation_deg": 90 * values - 45,
    }
    return {"labels": labels}


def seld_labels(batch: int) -> Inputs:
    values = torch.linspace(0.1, 0.9, 5 * batch).view(batch, 5)
    labels = {
        "events": (noise(8, batch, 5) > 0).float(),
        "distance_m": 2 * values,
        "azimuth_deg": 360 * values - 180,
        "elevation_deg": 90 * values - 45,
    }
    return {"labels": labels}


SMALL_CONV = {"stem_channels": 4, "stage_channels": [[4], [6, 6], [8]]}
SMALL_SPATIAL = {"architecture": "compact", "num_bands": 16, "conv_channels": [4, 6, 8], "hidden_size": 12}
SMALL_PAPER = {"num_bands": 17, "num_frames": 35, "conv_channels": [4, 4, 4], "hidden_size": 12}
SMALL_TEXT = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}
SMALL_HTSAT = {
    "patch_embeds_hidden_size": 8,
    "hidden_size": 16,
    "depths": [2, 2],
    "num_hidden_layers": 2,
    "num_attention_heads": [2, 2],
    "spec_size": 64,
    "num_mel_bins": 32,
    "window_size": 4,
}

SMALL_BINAURAL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "num_frames": 32,
    "num_mel_bins": 16,
    "patch_size": 8,
    "num_distance_bins": 6,
    "num_azimuth_bins": 12,
    "num_elevation_bins": 6,
    "num_labels": 5,
}

SMALL_GRAM = {
    "num_mel_bins": 16,
    "num_frames": 16,
    "patch_bands": 8,
    "patch_frames": 4,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "mask_ratio": 0.5,
    "decoder_hidden_size": 24,
    "decoder_num_hidden_layers": 2,
    "decoder_intermediate_size": 32,
    "decoder_windows": [2, 0, 4],
}

SMALL_WAVJEPA = {
    "window_samples": 400,
    "conv_layers": [(8, 10, 5), (8, 4, 2), (12, 2, 2)],
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "predictor_hidden_size": 24,
    "predictor_num_hidden_layers": 2,
    "predictor_num_attention_heads": 2,
    "predictor_intermediate_size": 32,
    "average_top_k": 2,
}

SMALL_DSPAST = SMALL_BINAURAL | {"branch_dim": 20}

SMALL_AUDIO_MAE = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "num_frames": 64,
    "num_mel_bins": 32,
    "patch_size": 8,
    "contextual_layers": 2,
    "decoder_hidden_size": 32,
    "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 48,
    "decoder_bias_size": 12,
    "num_labels": 5,
}


SMALL_QFORMER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
SMALL_LLAMA = {
    "model_type": "llama",
    "vocab_size": 60,
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def small_bat(**settings: Any) -> BatForConditionalGeneration:
    """SpatialAST, four queries and a Llama of 60 tokens; with an adapter unless told otherwise."""
    small = {
        "audio_config": {"model_type": "spatial_ast", **SMALL_BINAURAL},
        "qformer_config": SMALL_QFORMER,
        "text_config": SMALL_LLAMA,
        "num_query_tokens": 4,
        "lora_rank": 2,
    }
    return BatForConditionalGeneration(BatConfig(**(small | settings)))


def learned_adapter(model: BatForConditionalGeneration, std: float = 0.3) -> BatForConditionalGeneration:
    """The model with an adapter, if it has one, that does something: a new one is zero."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=std)
    return model


def bat_labels(batch: int) -> Inputs:
    """The last three tokens are learned."""
    ids = bat_ids(batch)
    return {"labels": ids.masked_fill(torch.arange(ids.shape[1]) < 6, -100)}


def bat_ids(batch: int) -> Tensor:
    """Places of a recording, then text."""
    text = torch.randint(3, 60, (batch, 5), generator=torch.Generator().manual_seed(3))
    return torch.cat([torch.full((batch, 4), 60), text], dim=1)


def patch_mask(batch: int) -> Inputs:
    """25 of 32 patches hidden, others in each item."""
    return {"mask": noise(5, batch, 32).argsort(1).argsort(1) >= 7}


def wavjepa_masks(batch: int) -> Inputs:
    """Of 19 time steps some are the context, others in each item, and of the rest each group has some as targets."""
    steps = noise(6, batch, 19).argsort(1).argsort(1)
    size = 5 + torch.arange(batch)[:, None] % 3
    groups = torch.stack([(steps > 7) & (steps % 4 != group) for group in range(3)], dim=1)
    return {"context_mask": steps < size, "target_masks": groups}


def compact_elsa() -> ElsaModel:
    return ElsaModel(
        ElsaConfig.compact(
            audio_config=ElsaConvConfig(**SMALL_CONV),
            spatial_config=ElsaSpatialConfig(**SMALL_SPATIAL),
            text_config={"model_type": "electra", "embedding_size": 8, **SMALL_TEXT},
            projection_dim=16,
            head_hidden=8,
        )
    )


def paper_elsa() -> ElsaModel:
    return ElsaModel(
        ElsaConfig(
            audio_config={"model_type": "clap_audio_model", **SMALL_HTSAT},
            spatial_config=SMALL_PAPER,
            text_config={"model_type": "roberta", **SMALL_TEXT},
            projection_dim=16,
            head_hidden=8,
        )
    )


ELSA_SHAPES: dict[str, tuple[int, ...]] = {
    "audio_embeds": (16,),
    "text_embeds": (16,),
    "direction": (3,),
    "distance_m": (),
    "floor_area_m2": (),
}

LOCALIZATION_SHAPES = {
    "event_logits": (5,),
    "distance_logits": (6,),
    "azimuth_logits": (12,),
    "elevation_logits": (6,),
}

CASES = {
    "audio_mae": ModelCase(
        build=built(lambda: AudioMAEModel(AudioMAEConfig(**SMALL_AUDIO_MAE))),
        inputs=lambda batch: {"input_features": noise(0, batch, 1, 64, 32)},
        shapes={"last_hidden_state": (33, 64), "pooler_output": (64,), "contextual_state": (33, 64)},
        attention=True,
    ),
    **{
        f"audio_mae_{decoder}": ModelCase(
            build=built(
                lambda decoder=decoder: AudioMAEForPreTraining(
                    AudioMAEConfig(**SMALL_AUDIO_MAE, decoder_attention=decoder)
                )
            ),
            inputs=lambda batch: {"input_features": noise(0, batch, 1, 64, 32), **patch_mask(batch)},
            shapes={"logits": (32, 64), "last_hidden_state": (8, 64), "mask": (32,)},
            loss_inputs=patch_mask,
        )
        for decoder in ("local", "global")
    },
    "audio_mae_classification": ModelCase(
        build=built(lambda: AudioMAEForAudioClassification(AudioMAEConfig(**SMALL_AUDIO_MAE))),
        inputs=lambda batch: {"input_features": noise(0, batch, 1, 64, 32)},
        shapes={"logits": (5,)},
        loss_inputs=lambda batch: {"labels": (noise(8, batch, 5) > 0).float()},
    ),
    "elsa_compact": ModelCase(
        build=built(compact_elsa),
        inputs=lambda batch: {
            "input_features": noise(0, batch, 1, 40, 64),
            "spatial_features": noise(1, batch, 7, 40, 16).clamp(-1, 1),
            **text_inputs(batch),
        },
        shapes=ELSA_SHAPES | {"direction_concentration": (), "t30_s": ()},
        time_inputs=("input_features", "spatial_features"),
        mask="audio_attention_mask",
        loss_inputs=elsa_labels,
        attention=True,
    ),
    "elsa_paper": ModelCase(
        build=built(paper_elsa),
        inputs=lambda batch: {
            "input_features": noise(0, batch, 1, 101, 32),
            "spatial_features": noise(1, batch, 6, 35, 17).clamp(-1, 1),
            **text_inputs(batch),
        },
        shapes=ELSA_SHAPES,
        loss_inputs=elsa_labels,
        attention=True,
    ),
    "elsa_conv": ModelCase(
        build=built(lambda: ElsaConvModel(ElsaConvConfig(**SMALL_CONV))),
        inputs=lambda batch: {"input_features": noise(0, batch, 1, 41, 64)},
        shapes={"pooler_output": (8,), "last_hidden_state": (5, 8)},
        time_inputs=("input_features",),
        mask="attention_mask",
    ),
    "elsa_spatial_compact": ModelCase(
        build=built(lambda: ElsaSpatialModel(ElsaSpatialConfig(**SMALL_SPATIAL))),
        inputs=lambda batch: {"spatial_features": noise(0, batch, 7, 37, 16)},
        shapes={"pooler_output": (12,), "direction": (3,)},
        time_inputs=("spatial_features",),
        mask="attention_mask",
    ),
    "elsa_spatial_regression": ModelCase(
        build=built(lambda: ElsaSpatialModelForRegression(ElsaSpatialConfig(**SMALL_PAPER))),
        inputs=lambda batch: {"spatial_features": noise(0, batch, 6, 35, 17)},
        shapes={"logits": (44,), "pooler_output": (12,)},
        loss_inputs=regression_labels,
    ),
    "gram": ModelCase(
        build=built(lambda: GramModel(GramConfig(audio_format="foa", **SMALL_GRAM))),
        inputs=lambda batch: {"input_features": noise(0, batch, 7, 40, 16)},
        shapes={
            "last_hidden_state": (3, 9, 32),
            "frame_embeddings": (10, 64),
            "scene_mean": (32,),
            "scene_cls": (32,),
            "scene_raw": (64,),
        },
        time_inputs=("input_features",),
        mask="attention_mask",
        attention=True,
    ),
    "gram_pretraining": ModelCase(
        build=built(lambda: GramForPreTraining(GramConfig(**SMALL_GRAM))),
        inputs=lambda batch: {
            "input_features": noise(0, batch, 2, 16, 16),
            "mask": noise(1, batch, 8).argsort(dim=1) < 4,
        },
        shapes={"logits": (8, 64)},
    ),
    **{
        f"wavjepa_{channels}": ModelCase(
            build=built(lambda channels=channels: WavJEPAModel(WavJEPAConfig(channels, **SMALL_WAVJEPA))),
            inputs=lambda batch, channels=channels: {"input_values": noise(0, batch, channels, 700)},
            shapes={
                "last_hidden_state": (channels, 33, 32),
                "frame_embeddings": (33, 32),
                "scene_mean": (32,),
                "scene_channels": (channels * 32,),
            },
            time_inputs=("input_values",),
            mask="attention_mask",
            attention=True,
        )
        for channels in (1, 2)
    },
    "wavjepa_pretraining": ModelCase(
        build=built(lambda: WavJEPAForPreTraining(WavJEPAConfig(2, **SMALL_WAVJEPA))),
        inputs=lambda batch: {"input_values": noise(0, batch, 2, 400), **wavjepa_masks(batch)},
        shapes={"targets": (38, 32), "local_features": (38, 32)},
        loss_inputs=wavjepa_masks,
    ),
    "spatial_ast": ModelCase(
        build=built(lambda: SpatialASTModel(SpatialASTConfig(**SMALL_BINAURAL))),
        inputs=lambda batch: {"input_features": noise(0, batch, 4, 32, 16)},
        shapes={"last_hidden_state": (11, 64)},
        attention=True,
    ),
    "spatial_ast_localization": ModelCase(
        build=built(lambda: SpatialASTForSoundEventLocalization(SpatialASTConfig(**SMALL_BINAURAL))),
        inputs=lambda batch: {"input_features": noise(0, batch, 4, 32, 16)},
        shapes=LOCALIZATION_SHAPES | {"last_hidden_state": (11, 64)},
        loss_inputs=binaural_labels,
    ),
    **{
        f"bat_{kind}": ModelCase(
            build=built(lambda rank=rank: learned_adapter(small_bat(lora_rank=rank))),
            inputs=lambda batch: {"input_ids": bat_ids(batch), "input_features": noise(0, batch, 4, 32, 16)},
            shapes={"logits": (9, 60), "audio_embeds": (4, 24)},
            loss_inputs=bat_labels,
        )
        for kind, rank in (("own", 0), ("adapter", 2))
    },
    "dspast": ModelCase(
        build=built(lambda: DSpASTModel(DSpASTConfig(**SMALL_DSPAST))),
        inputs=lambda batch: {"input_features": noise(0, batch, 6, 32, 16)},
        shapes={"last_hidden_state": (11, 60), "feature_weights": (3, 6)},
        attention=True,
    ),
    "dspast_localization": ModelCase(
        build=built(lambda: DSpASTForSoundEventLocalization(DSpASTConfig(**SMALL_DSPAST))),
        inputs=lambda batch: {"input_features": noise(0, batch, 6, 32, 16)},
        shapes=LOCALIZATION_SHAPES | {"last_hidden_state": (11, 60)},
        loss_inputs=binaural_labels,
    ),
    "dspast_seld": ModelCase(
        build=built(lambda: DSpASTForSELD(DSpASTConfig(**SMALL_DSPAST, readout="pooled", place_per_sound=True))),
        inputs=lambda batch: {"input_features": noise(0, batch, 6, 32, 16)},
        shapes={
            "event_logits": (5,),
            "distance_logits": (5, 6),
            "azimuth_logits": (5, 12),
            "elevation_logits": (5, 6),
            "last_hidden_state": (11, 60),
            "sound_tokens": (5, 60),
        },
        loss_inputs=seld_labels,
        without_effect=(".score.bias",),  # of a softmax
    ),
}
