"""The verifier's benchmark: its faults are faults, its halves are apart, and the verifier keeps to its goals on it."""

import csv
import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.verification import Verifier
from spatial_audio_lm.errors import DataError
from spatial_audio_lm.language.parsing import parse_attributes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("caption_verifier")


def accepted(cases: list) -> np.ndarray:
    verdicts = Verifier().check_all([c.text for c in cases], [CaptionFacts(c.caption, c.attributes) for c in cases])
    return np.array([verdict.accepted for verdict in verdicts])


@pytest.mark.parametrize("half", ["tune", "report"])
def test_faults_by_rule_are_found_and_right_sentences_kept(benchmark: ModuleType, half: str) -> None:
    captions = list(dict.fromkeys(case.caption for case in benchmark.sentences(half)))
    cases = benchmark.rule_made(captions, half, seed=0)
    kept = accepted(cases)
    of_attributes = [case.fault in benchmark.ATTRIBUTE_FAULTS for case in cases]
    right = [case.fault is None for case in cases]
    assert sum(of_attributes) >= 29 and sum(right) >= 20
    assert kept[of_attributes].mean() <= 0.02
    assert kept[right].mean() >= 0.95


@pytest.mark.parametrize(("half", "share"), [("tune", 0.95), ("report", 0.85)])
def test_sentences_by_hand(benchmark: ModuleType, half: str, share: float) -> None:
    cases = benchmark.sentences(half)
    kept = accepted(cases)
    assert kept[[case.fault in benchmark.ATTRIBUTE_FAULTS for case in cases]].mean() <= 0.02
    assert kept[[case.fault is None for case in cases]].mean() >= share


def test_the_halves_share_no_phrase_and_no_sentence(benchmark: ModuleType) -> None:
    faults = sys.modules["caption_faults"]
    for table in (faults.PLACES, faults.SIZES, faults.REVERBERATION, faults.TAILS):
        assert all(not set(tune) & set(report) for tune, report in table.values())
    tune, report = ({case.text for case in benchmark.sentences(half)} for half in ("tune", "report"))
    assert not tune & report


def test_a_dropped_word_is_not_said_and_a_swapped_one_is_another(benchmark: ModuleType) -> None:
    cases = benchmark.rule_made(["rain falls", "a dog barks while a car passes"] * 20, "tune", seed=1)
    for case in cases:
        if case.fault in ("dropped", "swapped"):
            said = getattr(parse_attributes(case.text), case.attribute)
            assert getattr(case.attributes, case.attribute) not in (None, said), case
        elif case.fault == "invented":
            assert getattr(case.attributes, case.attribute) is None
    assert {case.fault for case in cases} >= {"dropped", "swapped", "invented", "negated", "moved", "sound changed"}


def test_captions_of_files_are_drawn_by_seed_and_missing_files_named(benchmark: ModuleType, tmp_path: Path) -> None:
    for name in benchmark.FILES["report"]:
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["file_name", "caption_1", "caption_2"])
            rows.writerows([f"{number}.wav", f"{name} {number}", f"{name} again {number}"] for number in range(9))
    drawn = benchmark.read_captions(tmp_path, "report", 8, seed=0)
    assert len(drawn) == len(set(drawn)) == 8
    assert drawn == benchmark.read_captions(tmp_path, "report", 8, seed=0)
    with pytest.raises(DataError, match=r"clotho_train\.csv"):
        benchmark.read_captions(tmp_path, "tune", 8, seed=0)


def test_the_command_prints_its_tables(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["caption_verifier.py", "--show", "right"])
    benchmark.main()
    out = capsys.readouterr().out
    assert "by rule, half to report" in out and "by hand, half to report" in out
    assert "dropped, swapped or invented, all" in out and "right sentences accepted" in out
