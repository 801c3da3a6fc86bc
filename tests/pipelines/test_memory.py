"""Memory that stays flat: over many questions to one engine, and over the length of a recording."""

import resource
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16_000
MEGABYTE = 1024**2


def _resident_bytes() -> int:
    """Memory of this process that is in use now."""
    if sys.platform != "linux":
        pytest.skip("needs /proc/self/statm")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _growth(engine, audio, rounds: int) -> int:
    for _ in range(20):
        engine.query(audio, ["a dog barking", "rain"])
    before = _resident_bytes()
    for number in range(rounds):
        engine.query(audio, ["a dog barking", f"rain {number}"])
    return _resident_bytes() - before


def test_memory_is_flat_over_many_queries(engine, make_sound):
    assert _growth(engine, make_sound(1.0), 120) < 8 * MEGABYTE


@pytest.mark.slow
def test_memory_is_flat_over_a_thousand_queries(engine, clip):
    assert _growth(engine, clip, 1000) < 16 * MEGABYTE


def _write_long(path: Path, minutes: float, channels: int = 4) -> None:
    """Noise from the left for a second of each minute, and silence: quick to compress, as long as it says."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    minute = np.zeros((60 * RATE, channels), dtype=np.float32)
    minute[10 * RATE : 11 * RATE, :2] = noise[:, None] * [1.0, 1.0 if channels == 4 else 0.6]
    with soundfile.SoundFile(path, "w", RATE, channels, subtype="PCM_16") as file:
        for _ in range(round(minutes)):
            file.write(minute)


def _peak_growth(ask, path: Path) -> tuple[int, int]:
    before = _resident_bytes()
    highest = before

    def watch(done: float, total: float) -> None:
        nonlocal highest
        highest = max(highest, _resident_bytes())

    result = ask(path, progress=watch)
    return highest - before, len(result.windows)


def test_a_long_file_is_heard_in_windows_without_being_in_memory(engine, tmp_path):
    _write_long(tmp_path / "long.flac", 10)
    ask = partial(engine.query, texts=["a dog barking", "rain"])
    _peak_growth(ask, tmp_path / "long.flac")  # the first batch of windows allocates what the others use again
    growth, windows = _peak_growth(ask, tmp_path / "long.flac")
    assert windows == 299
    assert growth < 48 * MEGABYTE  # decoded it has 146


def test_events_of_a_long_file_are_heard_in_windows_too(locator, tmp_path):
    _write_long(tmp_path / "long.flac", 20, channels=2)
    _peak_growth(locator.locate, tmp_path / "long.flac")
    growth, windows = _peak_growth(locator.locate, tmp_path / "long.flac")
    assert windows == 599
    assert growth < 48 * MEGABYTE  # decoded it has 146


@pytest.mark.slow
def test_two_hours(engine, tmp_path):
    _write_long(tmp_path / "long.flac", 120)
    growth, windows = _peak_growth(partial(engine.query, texts=["rain"]), tmp_path / "long.flac")
    assert windows == 3599
    assert growth < 96 * MEGABYTE  # decoded it has 1,758
