"""`from_pretrained` of GRAM and Audio-MAE: the weights that the configuration describes, or a refusal with names."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spatial_audio_lm import (
    AudioMAEConfig,
    AudioMAEFeatureExtractor,
    AudioMAEForAudioClassification,
    AudioMAEForPreTraining,
    AudioMAEModel,
    GramConfig,
    GramFeatureExtractor,
    GramForPreTraining,
    GramModel,
    packaged,
)
from spatial_audio_lm.errors import CheckpointError

SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
DECODER: dict[str, Any] = {"decoder_hidden_size": 32, "decoder_num_hidden_layers": 1, "decoder_intermediate_size": 48}


@pytest.fixture
def gram(tmp_path: Path) -> Path:
    GramForPreTraining(GramConfig(**SMALL, **DECODER)).save_pretrained(tmp_path / "gram")
    return tmp_path / "gram"


@pytest.fixture
def audio_mae(tmp_path: Path) -> Path:
    AudioMAEForPreTraining(AudioMAEConfig(num_frames=256, **SMALL, **DECODER)).save_pretrained(tmp_path / "audio_mae")
    return tmp_path / "audio_mae"


@pytest.fixture
def fine_tuned(tmp_path: Path) -> Path:
    model = AudioMAEForAudioClassification(AudioMAEConfig(num_frames=256, num_labels=3, **SMALL, **DECODER))
    model.save_pretrained(tmp_path / "fine_tuned")
    return tmp_path / "fine_tuned"


@pytest.mark.parametrize("model_class", [GramModel, GramForPreTraining])
@pytest.mark.parametrize(
    "other", [GramConfig(audio_format="foa", **SMALL, **DECODER), GramConfig.time(**SMALL, **DECODER)]
)
def test_weights_of_another_variant(gram: Path, model_class: Any, other: GramConfig) -> None:
    with pytest.raises(
        CheckpointError, match=rf"a {model_class.__name__} .*wrong shapes: .*patch_embedding\.weight \(32, 256\)"
    ):
        model_class.from_pretrained(gram, config=other)
    asked = model_class.from_pretrained(gram, config=other, ignore_mismatched_sizes=True)
    assert asked.config.num_feature_maps == other.num_feature_maps


def test_settings_that_the_weights_do_not_have(gram: Path) -> None:
    with pytest.raises(CheckpointError, match="wrong shapes: patch_embedding"):
        GramModel.from_pretrained(gram, audio_format="mono")
    with pytest.raises(CheckpointError, match=r"missing: blocks\.2\..* and 7 more"):
        GramModel.from_pretrained(gram, num_hidden_layers=3)
    with pytest.raises(CheckpointError, match=r"without a place: .*blocks\.1\."):
        GramModel.from_pretrained(gram, num_hidden_layers=1)


@pytest.mark.parametrize("model_class", [GramModel, GramForPreTraining])
def test_a_file_of_other_tensors(gram: Path, model_class: Any) -> None:
    file = gram / "model.safetensors"
    whole = load_file(file)
    save_file({"a": torch.zeros(3), "b.c": torch.zeros(2)}, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing: .* more; without a place: a, b\.c: load it with the class"):
        model_class.from_pretrained(gram)
    save_file({name: value for name, value in whole.items() if "blocks.1.mlp.fc2" not in name}, file, {"format": "pt"})
    with pytest.raises(
        CheckpointError, match=r"missing: .*blocks\.1\.mlp\.fc2\.bias, .*blocks\.1\.mlp\.fc2\.weight: load"
    ):
        model_class.from_pretrained(gram)
    save_file(whole, file, {"format": "pt"})
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="has no whole safetensors file"):
        model_class.from_pretrained(gram)


def test_what_a_training_begins_with(audio_mae: Path, fine_tuned: Path) -> None:
    """A classifier out of a pre-trained encoder has new heads; an encoder out of either needs none."""
    classifier, info = AudioMAEForAudioClassification.from_pretrained(audio_mae, output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"fc_norm", "head"}
    whole = AudioMAEForPreTraining.from_pretrained(audio_mae)
    assert torch.equal(classifier.audio_mae.blocks[1].mlp.fc2.weight, whole.audio_mae.blocks[1].mlp.fc2.weight)
    tuned = AudioMAEForAudioClassification.from_pretrained(fine_tuned)
    encoder = AudioMAEModel.from_pretrained(fine_tuned)
    assert torch.equal(encoder.cls_token, tuned.audio_mae.cls_token) and not encoder.config.final_norm
    with pytest.raises(CheckpointError, match=r"a AudioMAEForPreTraining .*missing: decoder\."):
        AudioMAEForPreTraining.from_pretrained(fine_tuned)
    size = {"num_frames": 256, **SMALL, **DECODER}
    with pytest.raises(CheckpointError, match=r"wrong shapes: head\.bias \(3,\) for \(5,\).*ignore_mismatched_sizes"):
        AudioMAEForAudioClassification.from_pretrained(fine_tuned, config=AudioMAEConfig(num_labels=5, **size))
    GramModel(GramConfig(**SMALL, **DECODER)).save_pretrained(audio_mae / "encoder")
    with pytest.raises(CheckpointError, match=r"missing: decoder\."):
        GramForPreTraining.from_pretrained(audio_mae / "encoder")


def test_folders_of_other_systems(gram: Path, audio_mae: Path) -> None:
    dspast = packaged("dspast-tiny")
    for model_class in (GramModel, GramForPreTraining, AudioMAEModel):
        with pytest.raises(CheckpointError, match="a checkpoint of dspast; expected one of"):
            model_class.from_pretrained(dspast)
    for extractor_class, folder in ((GramFeatureExtractor, dspast), (AudioMAEFeatureExtractor, packaged("elsa-tiny"))):
        with pytest.raises(CheckpointError, match=rf"settings of a .*; expected those of a {extractor_class.__name__}"):
            extractor_class.from_pretrained(folder)
    with pytest.raises(CheckpointError, match="a checkpoint of gram; expected one of audio_mae: use Gram"):
        AudioMAEModel.from_pretrained(gram)
