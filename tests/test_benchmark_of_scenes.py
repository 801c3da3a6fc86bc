"""The benchmark of scenes says what it measured, and compares with a checkout if there is one; on small scenes here."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
# The interface that the adapter expects, by direct means: each place convolved for itself, one gain over the span.
CHECKOUT = """
import torch
import torchaudio


def generate_scene(source_rir, noise_rirs, source, noise, real_noise_length, noise_start_idx, snr):
    def heard(dry, rir):
        return torchaudio.functional.fftconvolve(dry[:, None], rir, mode="full")[..., : dry.shape[-1]]

    target, noises = heard(source, source_rir), sum(heard(noise, place) for place in noise_rirs.unbind(1))
    active = slice(int(noise_start_idx), int(noise_start_idx + real_noise_length))
    ratio = target[..., active].square().sum() / noises[..., active].square().sum()
    return target + (ratio / 10 ** (snr / 10)).sqrt() * noises
"""


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("scenes")
    monkeypatch.delitem(sys.modules, "scenes")
    for name, value in {"SCENE_S": 0.5, "NOISE_S": 0.3, "RESPONSE_S": 0.05, "NOISE_BEGIN": 2000}.items():
        monkeypatch.setattr(module, name, value)
    return module


def printed(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *arguments: str):
    monkeypatch.setattr(sys, "argv", ["scenes.py", "--repeats", "1", *arguments])
    benchmark.main()
    return capsys.readouterr().out


def test_a_table_without_a_checkout(benchmark, monkeypatch, capsys) -> None:
    header, _, *rows = printed(benchmark, monkeypatch, capsys).splitlines()
    assert "scenes/s" in header and "published" not in header
    assert [row.split("|")[1].strip() for row in rows] == ["2", "4"]


def test_numbers_and_a_checkout_that_mixes_the_same_scenes(benchmark, monkeypatch, capsys, tmp_path) -> None:
    numbers = json.loads(printed(benchmark, monkeypatch, capsys, "--json"))
    assert set(numbers) == {
        f"{channels}_channel_clips_per_s{kind}" for channels in ("two", "four") for kind in ("", "_by_the_clock")
    }
    file = tmp_path / "src" / "data_modules" / "scene_module" / "generate_scenes_batch.py"
    file.parent.mkdir(parents=True)
    file.write_text(CHECKOUT)
    numbers = json.loads(printed(benchmark, monkeypatch, capsys, "--json", "--reference", str(tmp_path)))
    for channels in ("two", "four"):
        assert numbers[f"{channels}_channel_clips_per_s"] > 1
        assert numbers[f"{channels}_channel_difference_of_peak"] < 1e-5
        assert numbers[f"{channels}_channel_times_as_fast"] > 0


def test_a_folder_that_is_no_checkout_is_named(benchmark, monkeypatch, capsys, tmp_path) -> None:
    with pytest.raises(SystemExit, match=r"give the root of a checkout of labhamlet/GRAM-T"):
        printed(benchmark, monkeypatch, capsys, "--reference", str(tmp_path))
