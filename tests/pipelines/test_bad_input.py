"""Bad recordings through the engine: a named error that says the file and the way out, or an honest null."""

import numpy as np
import pytest
import torch
from bad_recordings import BAD_RECORDINGS

from spatial_audio_lm.errors import AudioValueError, ChannelError, FormatError, SampleRateError


@pytest.mark.parametrize("case", BAD_RECORDINGS.values(), ids=BAD_RECORDINGS)
def test_every_question_is_answered_by_a_named_error(engine, tmp_path, case):
    recording = case.make(tmp_path)
    for question in (lambda: engine.query(recording, "rain"), lambda: engine.embed(recording)):
        with pytest.raises(case.error) as caught:
            question()
        assert all(words in str(caught.value) for words in case.says), str(caught.value)
    if case.locatable:
        place = engine.locate(recording)
        assert place.azimuth_deg is None and place.confidence is None and place.reason
    else:
        with pytest.raises(case.error):
            engine.locate(recording)


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (np.zeros((4, 0), dtype=np.float32), AudioValueError, "0 samples"),
        (np.zeros((4, 1), dtype=np.float32), AudioValueError, "1 samples"),
        (np.full((4, 100), np.nan, dtype=np.float32), AudioValueError, "nan"),
        (np.full((4, 100), np.inf, dtype=np.float32), AudioValueError, "inf"),
        (np.ones((4, 100), dtype=np.int16), AudioValueError, "int16"),
        (np.ones((2, 100), dtype=np.float32), ChannelError, "2 channels"),
        (np.ones((3, 100), dtype=np.float32), ChannelError, "3 channels"),
        (np.ones((5, 100), dtype=np.float32), ChannelError, "5 channels"),
        (np.ones((100, 4), dtype=np.float32), ChannelError, "transpose"),
        (torch.ones(1, 4, 100), ChannelError, "(1, 4, 100)"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_arrays(engine, array, error, words):
    with pytest.raises(error) as caught:
        engine.query({"array": array, "sampling_rate": 16_000}, "rain")
    assert words in str(caught.value)


@pytest.mark.parametrize("rate", [None, 0, -16_000, 100, 10**9, float("nan"), "16000"])
def test_rates(engine, rate):
    with pytest.raises(SampleRateError):
        engine.query({"array": np.ones((4, 1000), dtype=np.float32), "sampling_rate": rate}, "rain")


@pytest.mark.parametrize("given", [3, None, object(), b"RIFF", {"bytes": b""}, ["a.wav"]])
def test_what_is_no_recording_at_all(engine, given):
    with pytest.raises((AudioValueError, SampleRateError, ChannelError, ValueError)):
        engine.query(given, "rain")


def test_formats(engine, clip):
    with pytest.raises(FormatError, match="foa_fuma"):
        engine.query(clip, "rain", format="fuma")
    with pytest.raises(ChannelError, match="4 channels"):
        engine.query(clip, "rain", format="mono")
