"""Names that no configuration has: refused where they are given, kept as notes where a file holds them."""

from pathlib import Path
from typing import Any

import pytest

from spatial_audio_lm import AudioMAEConfig, BatConfig, GramConfig, SpatialCaptionerConfig, WavJEPAConfig
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import read_json, write_json


@pytest.mark.parametrize(
    ("config_class", "wrong", "meant"),
    [
        (WavJEPAConfig, "hiden_size", "hidden_size"),
        (GramConfig, "num_hiden_layers", "num_hidden_layers"),
        (AudioMAEConfig, "mask_ration", "mask_ratio"),
        (BatConfig, "lora_ranks", "lora_rank"),
        (SpatialCaptionerConfig, "prefix_lenght", "prefix_length"),
    ],
)
def test_a_misspelt_setting(config_class: Any, wrong: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"{config_class.__name__} has no {wrong}: did you mean {meant}\?"):
        config_class(**{wrong: 1})


@pytest.mark.parametrize("config_class", [WavJEPAConfig, GramConfig, AudioMAEConfig, BatConfig, SpatialCaptionerConfig])
def test_files_load_whatever_transformers_writes(config_class: Any, tmp_path: Path) -> None:
    config = config_class(
        num_labels=3, attn_implementation="eager", dtype="float32", output_hidden_states=True, tie_word_embeddings=False
    )
    config.architectures = ["Some"]
    config.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    write_json(file, {**read_json(file), "note_of_mine": "heard in May"})
    loaded, unused = config_class.from_pretrained(tmp_path, return_unused_kwargs=True, trained_on="rain")
    assert loaded.note_of_mine == "heard in May" and unused == {"trained_on": "rain"}
    del loaded.note_of_mine
    assert loaded.to_dict() == config.to_dict() and loaded.num_labels == 3
