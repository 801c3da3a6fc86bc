"""Packaging: half the bytes, the same answers, and numbers that land between the markers."""

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.models.elsa.configuration_elsa import ElsaConfig
from spatial_audio_lm.models.elsa.modeling_elsa import ElsaModel
from tests.recipes import recipe_jobs

PAGE = "---\nlicense: apache-2.0\n---\n# A model\n<!-- results:begin -->\nold\n<!-- results:end -->\nend\n"
METRIC = {"type": "accuracy", "value": 0.93}
RESULT = {"task": {"type": "t"}, "dataset": {"name": "d", "type": "d"}, "metrics": [METRIC]}
INDEX = [{"name": "a", "results": [RESULT]}]


@pytest.fixture
def recipe():
    return recipe_jobs.load("package_checkpoint")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    text = {"model_type": "electra", "vocab_size": 50, "embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 1}
    sizes = {"num_attention_heads": 2, "intermediate_size": 16}
    ElsaModel(ElsaConfig.compact(text_config=text | sizes)).save_pretrained(tmp_path / "trained")
    (tmp_path / "trained" / "results.json").write_text("{}")
    return tmp_path / "trained"


def test_weights_are_halved_and_come_back_as_float32(recipe, trained, tmp_path):
    out = recipe.main(recipe.Config(checkpoint=str(trained), output_dir=str(tmp_path / "out")))
    before, after = ElsaModel.from_pretrained(trained), ElsaModel.from_pretrained(out)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (trained, out)]
    assert sizes[1] < 0.51 * sizes[0]
    assert not (out / "results.json").exists()
    for (name, first), second in zip(before.state_dict().items(), after.state_dict().values(), strict=True):
        assert second.dtype == first.dtype
        torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-3, msg=name)


def test_weights_that_do_not_fit_are_refused(recipe, trained, tmp_path):
    model = ElsaModel.from_pretrained(trained)
    model.audio_projection.linear1.weight.data[0, 0] = 1e6
    model.save_pretrained(trained)
    with pytest.raises(ConfigError, match="too large for float16"):
        recipe.main(recipe.Config(checkpoint=str(trained), output_dir=str(tmp_path / "out")))


def test_results_are_written_into_card_and_pages(recipe, tmp_path):
    results, out = tmp_path / "results", tmp_path / "out"
    results.mkdir()
    out.mkdir()
    (results / "table.md").write_text("| measure |\n|---|\n| 0.93 |\n")
    (results / "results.json").write_text(json.dumps({"model-index": INDEX}))
    (out / "README.md").write_text(PAGE)
    (tmp_path / "page.md").write_text(PAGE)
    config = recipe.Config(results=str(results), pages=[str(tmp_path / "page.md")], output_dir=str(out))
    for _ in range(2):  # the second time replaces the first
        recipe.main(config)
        assert (tmp_path / "page.md").read_text().count("| 0.93 |") == 1
    card = ModelCard.load(out / "README.md")
    assert card.data.to_dict()["model-index"] == INDEX and card.data.license == "apache-2.0"
    assert "| 0.93 |" in card.text and "old" not in card.text and card.text.rstrip().endswith("end")
    (tmp_path / "page.md").write_text("no markers")
    with pytest.raises(ConfigError, match="needs one place between"):
        recipe.main(config)
