"""The comparison's table and figure, from results as the evaluation writes them."""

import json

import pytest

from spatial_audio_lm.errors import DataError
from tests.recipes import recipe_jobs


def results(value: float, weights: bool, part: str = "simulated") -> dict:
    rows = [{"key": key, "value": value} for key in recipe_jobs.load("compare_encoders").MEASURES[part]]
    more = {"feature_weights": {"branches": ["a", "b", "c"], "maps": ["x", "y"], "mean": [[value, 0.5]] * 3}}
    return {"measures": {part: rows}} | (more if weights else {})


def test_table_has_every_run_and_the_means(tmp_path, capsys) -> None:
    recipe = recipe_jobs.load("compare_encoders")
    for name, value in (("dspast-0", 0.25), ("dspast-1", 0.75), ("spatial_ast-0", 0.1)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        content = results(value, name.startswith("dspast"))
        (tmp_path / "runs" / name / "results.json").write_text(json.dumps(content))
    table = recipe.main(recipe.Config(runs=str(tmp_path / "runs"), output_dir=str(tmp_path / "out")))
    lines = table.splitlines()
    assert "mAP" in lines[0] and len({line.count("|") for line in lines}) == 1
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        "dspast, seed 0",
        "dspast, seed 1",
        "**dspast, mean of 2**",
        "spatial_ast, seed 0",
        "**spatial_ast, mean of 1**",
    ]
    assert "**0.500**" in lines[4] and "0.750" in lines[3] and "**0.1°**" in lines[6]
    assert (tmp_path / "out" / "table.md").read_text() == table and table in capsys.readouterr().out
    assert (tmp_path / "out" / "feature_weights.png").stat().st_size > 5000


def test_ears_are_compared_by_answers_and_not_with_encoders(tmp_path) -> None:
    recipe = recipe_jobs.load("compare_encoders")
    for name, part in (("dspast-0", "heard"), ("spatial_ast-0", "heard")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        content = results(0.5, False, part)
        content["measures"]["silence"] = []  # a control
        (tmp_path / "runs" / name / "results.json").write_text(json.dumps(content))
    table = recipe.main(recipe.Config(runs=str(tmp_path / "runs"), output_dir=str(tmp_path / "out")))
    assert "E distance" in table.splitlines()[0] and len(table.splitlines()) == 6
    assert not (tmp_path / "out" / "feature_weights.png").exists()
    (tmp_path / "runs" / "dspast-0" / "results.json").write_text(json.dumps(results(0.5, False)))
    with pytest.raises(DataError, match="heard, silence, simulated; expected those of"):
        recipe.main(recipe.Config(runs=str(tmp_path / "runs"), output_dir=str(tmp_path / "out")))


def test_folders_without_results_are_refused(tmp_path) -> None:
    recipe = recipe_jobs.load("compare_encoders")
    with pytest.raises(DataError, match=r"no folder with a results\.json"):
        recipe.main(recipe.Config(runs=str(tmp_path)))
    (tmp_path / "dspast").mkdir()
    (tmp_path / "dspast" / "results.json").write_text("{}")
    with pytest.raises(DataError, match="not named SYSTEM-SEED"):
        recipe.main(recipe.Config(runs=str(tmp_path)))
