"""Settings that no model has or can have: refused where they are given, names of nobody kept where a file has them."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModel

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
from tests.models.model_cases import CASES

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


@pytest.fixture(scope="module", params=["wavjepa_1", "gram", "dspast", "spatial_ast", "audio_mae"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The class of a small model, and its folder."""
    model, folder = CASES[request.param].build(), tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return type(model), folder


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 0}, r"^hidden_size is 0; expected a whole number of 1 or more"),
        ({"hidden_size": -64}, r"^hidden_size is -64; expected"),
        ({"hidden_size": 64.0}, r"^hidden_size is 64\.0; expected"),
        ({"num_attention_heads": 0}, r"^num_attention_heads is 0; expected"),
        ({"num_attention_heads": -2}, r"^num_attention_heads is -2; expected"),
        ({"num_attention_heads": 7}, r"^num_attention_heads is 7; expected a divisor of \d+ \(hidden_size\)"),
        ({"hidden_size": 64, "num_attention_heads": 7}, r"expected a divisor of 64 \(hidden_size\)"),
        ({"num_hidden_layers": 0}, r"^num_hidden_layers is 0; expected"),
        ({"intermediate_size": None}, r"^intermediate_size is None; expected"),
    ],
)
def test_impossible_sizes_given_beside_a_folder(
    saved: tuple[Any, Path], settings: dict[str, Any], message: str
) -> None:
    model_class, folder = saved
    for door in (model_class, AutoModel, model_class.config_class):
        with pytest.raises(ConfigError, match=message):
            door.from_pretrained(folder, **settings)


@pytest.mark.parametrize(
    ("config_class", "settings", "message"),
    [
        (GramConfig, {"patch_frames": 0}, "patch_frames is 0"),
        (GramConfig, {"decoder_hidden_size": -8}, "decoder_hidden_size is -8"),
        (AudioMAEConfig, {"decoder_num_attention_heads": 7}, r"expected a divisor of 512 \(decoder_hidden_size\)"),
        (AudioMAEConfig, {"decoder_num_hidden_layers": 0}, "decoder_num_hidden_layers is 0"),
        (AudioMAEConfig, {"patch_size": 0}, "patch_size is 0"),
        (DSpASTConfig, {"patch_size": 0}, "patch_size is 0"),
        (DSpASTConfig, {"branch_dim": 0}, "branch_dim is 0"),
        (DSpASTConfig, {"mask_mels": -1}, "mask_mels is -1; expected a whole number of 0 or more"),
        (WavJEPAConfig, {"predictor_num_attention_heads": 0}, "predictor_num_attention_heads is 0"),
    ],
)
def test_other_impossible_sizes(config_class: Any, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    config_class().save_pretrained(tmp_path)
    for make in (config_class, lambda **given: config_class.from_pretrained(tmp_path, **given)):
        with pytest.raises(ConfigError, match=message):
            make(**settings)


def test_settings_given_beside_a_file_are_built_with(tmp_path: Path) -> None:
    DSpASTConfig(hidden_size=48, num_attention_heads=2, loss_weights={"event": 3.0}).save_pretrained(tmp_path)
    loaded, unused = DSpASTConfig.from_pretrained(
        tmp_path, readout="pooled", loss_weights={"azimuth": 5.0}, return_unused_kwargs=True, trained_on="rain"
    )
    assert unused == {"trained_on": "rain"} and (loaded.readout, loaded.hidden_size) == ("pooled", 48)
    assert loaded.loss_weights == {"event": 3.0, "distance": 2.0, "azimuth": 5.0, "elevation": 1.0}
    with pytest.raises(ConfigError, match=r"readout_dropout is 0\.1; readout 'cls' has no layers for it"):
        DSpASTConfig.from_pretrained(tmp_path, readout_dropout=0.1)
    BatConfig(audio_config={"hidden_size": 48, "num_attention_heads": 2}).save_pretrained(tmp_path)
    bat = BatConfig.from_pretrained(tmp_path, audio_config={"num_hidden_layers": 3}, lora_rank=4)
    assert (bat.audio_config.hidden_size, bat.audio_config.num_hidden_layers, bat.lora_rank) == (48, 3, 4)
    with pytest.raises(ConfigError, match="num_attention_heads is 5"):
        BatConfig.from_pretrained(tmp_path, audio_config={"num_attention_heads": 5})
    with pytest.raises(ConfigError, match="leave it out"):  # the Q-Former would hear tokens of another width
        BatConfig.from_pretrained(tmp_path, audio_config={"hidden_size": 96})
