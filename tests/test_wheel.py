"""The wheel: complete, and able to answer where only the wheel and its dependencies are, without network.

The clean environment is a new one into which pip puts the wheel alone. The dependencies are seen through a path file,
so that nothing is downloaded; the editable installation beside them is not seen, since path files do not nest.
"""

import importlib.metadata
import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
NO_NETWORK = """
import socket

def refuse(self, address):
    if self.family != getattr(socket, "AF_UNIX", None):
        raise OSError(f"this environment has no network: {address}")

socket.socket.connect = refuse
socket.socket.connect_ex = refuse
"""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command; what it prints."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this working tree, built from a copy so that no build folder stays behind."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone: nothing says which files belong to the package")
    folder = tmp_path_factory.mktemp("wheel")
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in listed:
        source = ROOT / name
        if source.is_file() and not name.startswith(("tests/", "docs/")):
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
        "--wheel-dir", folder, folder / "source",
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment with the wheel, its dependencies, and no network."""
    folder = tmp_path_factory.mktemp("clean") / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (site / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
    return python


def test_the_wheel_carries_every_file_of_the_package(wheel: Path) -> None:
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "spatial_audio_lm", cwd=ROOT)
    carried = set(zipfile.ZipFile(wheel).namelist())
    expected = {name for name in listed.splitlines() if (ROOT / name).is_file()}
    assert expected <= carried, sorted(expected - carried)
    assert {name.split("/")[0] for name in carried if ".dist-info/" not in name} == {"spatial_audio_lm"}
    assert {"LICENSE", "THIRD_PARTY_NOTICES.md"} <= {Path(name).name for name in carried}


def test_its_dependencies_are_the_ones_that_are_tested_here(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(archive.read(name).decode())
    needed = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    core = [requirement for requirement in needed if requirement.marker is None]
    assert {"torch", "transformers", "soundfile"} <= {requirement.name for requirement in core}
    assert not {"torchaudio", "torchcodec"} & {requirement.name for requirement in core}
    for requirement in core:
        version = importlib.metadata.version(requirement.name)
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} against {version}"


def test_the_wheel_answers_a_query_without_network(clean_python: Path, tmp_path: Path) -> None:
    where = run(clean_python, "-c", "import spatial_audio_lm; print(spatial_audio_lm.__file__)", cwd=tmp_path)
    assert str(clean_python.parents[1]) in where  # the installed package, not the working tree
    program = """
import json, torch, spatial_audio_lm
from transformers import pipeline
from spatial_audio_lm import SpatialAudio
from spatial_audio_lm.signal.ambisonics import encode_foa
from spatial_audio_lm.simulation.sounds import synthesize
siren = synthesize("siren", seed=0, sample_rate=16000)
SpatialAudio.from_array(encode_foa(siren, 90.0, 0.0), 16000).save("siren.wav")
ask = pipeline("zero-shot-spatial-audio-classification")
print(json.dumps(ask("siren.wav", candidate_labels=["a siren from the left", "rain from behind"])))
"""
    answer = json.loads(run(clean_python, "-c", program, cwd=tmp_path).strip().splitlines()[-1])
    assert [entry["label"] for entry in answer] == ["a siren from the left", "rain from behind"]
    assert answer[0]["score"] > 0.5

    command = clean_python.parent / "spatial-audio-lm"
    found = json.loads(run(command, "locate", "siren.wav", "--json", cwd=tmp_path))
    assert found["azimuth_deg"] == pytest.approx(90.0, abs=20.0)
