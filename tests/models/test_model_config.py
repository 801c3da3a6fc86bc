"""Names that no configuration has: refused where they are given, kept as notes where a file holds them."""

from pathlib import Path
from typing import Any

import pytest

from spatial_audio_lm import (
    AudioMAEConfig,
    BatConfig,
    DSpASTConfig,
    GramConfig,
    SpatialASTConfig,
    SpatialCaptionerConfig,
    WavJEPAConfig,
)
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import read_json, write_json

EVERY = [WavJEPAConfig, GramConfig, AudioMAEConfig, BatConfig, SpatialCaptionerConfig, DSpASTConfig, SpatialASTConfig]


@pytest.mark.parametrize(
    ("config_class", "wrong", "meant"),
    [
        (WavJEPAConfig, "hiden_size", "hidden_size"),
        (GramConfig, "num_hiden_layers", "num_hidden_layers"),
        (AudioMAEConfig, "mask_ration", "mask_ratio"),
        (BatConfig, "lora_ranks", "lora_rank"),
        (SpatialCaptionerConfig, "prefix_lenght", "prefix_length"),
        (DSpASTConfig, "branch_dims", "branch_dim"),
        (DSpASTConfig, "hiden_size", "hidden_size"),  # of the configuration that it is built on
    ],
)
def test_a_misspelt_setting(config_class: Any, wrong: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"{config_class.__name__} has no {wrong}: did you mean {meant}\?"):
        config_class(**{wrong: 1})


@pytest.mark.parametrize("config_class", EVERY)
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


def test_what_a_file_says_is_built_with_and_not_only_noted(tmp_path: Path) -> None:
    """Settings of the configuration that another is built on are checked and derived from like its own."""
    DSpASTConfig(hidden_size=48, num_attention_heads=2, readout="pooled", place_per_sound=True).save_pretrained(
        tmp_path
    )
    file = tmp_path / "config.json"
    content = read_json(file)
    del content["branch_dim"]
    write_json(file, content)
    assert DSpASTConfig.from_pretrained(tmp_path).branch_dim == 16  # of hidden_size, three branches
    write_json(file, content | {"readout": "cls"})
    with pytest.raises(ConfigError, match="readout is 'cls', expected 'pooled'"):
        DSpASTConfig.from_pretrained(tmp_path)
