"""`doctor`: versions, extras with their pip line, and libraries that are there but do not load."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spatial_audio_lm.cli import doctor
from spatial_audio_lm.cli.main import app


@pytest.fixture(autouse=True)
def _only_what_is_tested(monkeypatch):
    monkeypatch.setattr(doctor, "checkpoint_problems", list)
    monkeypatch.setattr(doctor, "answer_problems", list)


@pytest.fixture
def _trap(tmp_path: Path, monkeypatch):
    """A torchaudio that is installed and fails as the CUDA build does beside a CPU torch."""
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio" / "__init__.py").write_text(
        "raise OSError('libtorch_cuda.so: cannot open shared object file')\n"
    )
    (tmp_path / "torchaudio-2.11.0.dist-info").mkdir()
    (tmp_path / "torchaudio-2.11.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchaudio\nVersion: 2.11.0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_the_requirements_are_those_of_the_package():
    found = {requirement.name: requirement for requirement in doctor.requirements()}
    assert found["torch"].satisfied and found["torch"].extra is None and found["torch"].wanted.startswith(">=")
    assert found["sofar"].extra == "sofa" and "pytest" not in found and "torchaudio" not in found


def test_missing_and_old_libraries_are_named_with_the_line_that_helps():
    old = doctor.Requirement("torch", ">=2.8", "2.1", False, None)
    gone = doctor.Requirement("gradio", ">=6.0", None, False, "demo")
    there = doctor.Requirement("numpy", ">=2.0", "2.4", True, None)
    (problem,) = doctor.missing_core([old, gone, there])
    assert "2.1" in problem and "pip install 'torch>=2.8'" in problem
    assert doctor.missing_extras([old, gone, there]) == {
        "demo": {"libraries": ["gradio"], "pip": "pip install 'spatial-audio-lm[demo]'"}
    }


def test_this_installation_is_well(monkeypatch):
    monkeypatch.setattr(doctor, "library_traps", list)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["problems"] == []
    assert "all is well" in CliRunner().invoke(app, ["doctor"]).stdout


@pytest.mark.usefixtures("_trap")
def test_the_torchaudio_trap_is_found_and_named(monkeypatch):
    failure = doctor._failure_of_import
    monkeypatch.setattr(doctor, "_failure_of_import", lambda name: failure(name) if name == "torchaudio" else None)
    (problem,) = doctor.library_traps()
    assert "torchaudio 2.11.0" in problem and "libtorch_cuda" in problem and "pip uninstall torchaudio" in problem
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1 and "PROBLEM: torchaudio" in result.stdout


def test_libraries_that_load_are_no_problem():
    assert doctor._failure_of_import("json") is None
    assert "nowhere" in doctor._failure_of_import("nowhere")


def test_a_missing_model_is_a_problem(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "packaged_names", list)
    (problem,) = doctor.checkpoint_problems()
    assert "elsa-tiny" in problem
