"""The engine for two ears: events with their place, windows, which of them answers, and what it says of bad input."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny_dspast import NAMES, RATE

from spatial_audio_lm.errors import (
    AudioFileError,
    AudioValueError,
    ChannelError,
    CheckpointError,
    ConfigError,
)
from spatial_audio_lm.files import read_json, write_json
from spatial_audio_lm.layers.localization_bins import LocalizationBins
from spatial_audio_lm.pipelines.answers import EventsWindow, HeardEvent
from spatial_audio_lm.pipelines.direction_certainty import azimuth_sector_deg, direction_certainty
from spatial_audio_lm.pipelines.locating import SoundEventLocator, _telling_window
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

NUMBERS = ("azimuth_deg", "elevation_deg", "distance_m", "confidence")


def strict(value: object) -> dict:
    """Through JSON that knows no NaN, and back."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_events_come_with_the_place_of_their_window(locator, ears_clip):
    result = locator.locate(ears_clip, threshold=0.0)
    assert {event.label for event in result.events} == set(NAMES)
    probabilities = [event.probability for event in result.events]
    assert probabilities == sorted(probabilities, reverse=True) and 0 <= probabilities[-1] < probabilities[0] <= 1
    place = (result.azimuth_deg, result.elevation_deg, result.distance_m)
    assert all((event.azimuth_deg, event.elevation_deg, event.distance_m) == place for event in result.events)
    assert -180 <= result.azimuth_deg < 180 and -90 <= result.elevation_deg <= 90 and result.distance_m >= 0
    assert 0 < result.confidence <= 1 and 0 < result.spread_deg <= 180 and result.reason is None
    assert result.events == result.windows[0].events and len(result.windows) == 1


def test_the_answer_is_that_of_the_model(locator, ears_clip):
    features = locator.extractor(SpatialAudio.load(ears_clip))
    (expected,) = locator.model.decode(locator.model(**features), threshold=0.3)
    answer = locator.locate(ears_clip, threshold=0.3)
    assert [(e.label, e.probability) for e in answer.events] == [
        (sound.label, pytest.approx(sound.probability, abs=1e-6)) for sound in expected
    ]
    assert answer.azimuth_deg == pytest.approx(expected[0].azimuth_deg, abs=1e-3)
    assert answer.elevation_deg == pytest.approx(expected[0].elevation_deg, abs=1e-3)
    assert answer.distance_m == pytest.approx(expected[0].distance_m, abs=1e-3)


def test_one_event_at_least_and_thresholds_that_are_none(locator, ears_clip):
    assert len(locator.locate(ears_clip, threshold=1.0).events) == 1
    for threshold in (-0.1, 1.1, math.nan):
        with pytest.raises(ConfigError, match="threshold"):
            locator.locate(ears_clip, threshold=threshold)


def test_answers_are_strict_json_with_the_promised_fields(locator, long_ears_clip):
    result = locator.locate(long_ears_clip, threshold=0.0)
    fields = strict(result.to_dict())
    shared = {"azimuth_deg", "elevation_deg", "distance_m", "confidence", "reason", "start_s", "end_s", "events"}
    assert set(fields) == shared | {"file", "windows", "resampled_from", "warnings"}
    assert set(fields["windows"][0]) == shared | {"level_db"}
    assert set(fields["events"][0]) == {"label", "probability", "azimuth_deg", "elevation_deg", "distance_m"}
    for name in ("azimuth_deg", "elevation_deg", "distance_m"):
        assert fields["events"][0][name] == fields[name] is not None
    silent = next(window for window in fields["windows"] if window["events"] == [])
    assert silent["level_db"] is None and silent["reason"].startswith("silence")


@pytest.mark.parametrize("which", ["tiny_dspast", "tiny_spatial_ast"])
def test_both_kinds_of_model(which, request, ears_clip):
    engine = SoundEventLocator.from_pretrained(request.getfixturevalue(which))
    assert engine.sample_rate == RATE and engine.window_s == 4.0 and engine.whole_s == pytest.approx(4.46, abs=0.01)
    result = engine.locate(ears_clip)
    assert result.events[0].label in NAMES and result.azimuth_deg is not None


def test_every_kind_of_input(locator, ears_clip):
    audio = SpatialAudio.load(ears_clip)
    given = [
        str(ears_clip),
        ears_clip,
        audio,
        {"array": audio.waveform.numpy(), "sampling_rate": RATE},
        {"array": audio.waveform, "sampling_rate": RATE, "format": "binaural"},
    ]
    answers = [locator.locate(source) for source in given]
    assert all(answer.windows == answers[0].windows for answer in answers)
    assert [answer.file for answer in answers] == [str(ears_clip), str(ears_clip), str(ears_clip), None, None]


def test_no_direction_where_there_is_none(locator, make_ears, tmp_path):
    left = make_ears().waveform[0]
    cases = {
        "mono": SpatialAudio.from_array(left, RATE),
        "identical channels": SpatialAudio.from_array(left.expand(2, -1), RATE),
    }
    for reason, audio in cases.items():
        audio.save(tmp_path / "sound.wav")
        for result in (locator.locate(audio), locator.locate(tmp_path / "sound.wav")):
            assert result.reason.startswith(reason)
            assert all(getattr(result, name) is None for name in (*NUMBERS, "spread_deg"))
            assert result.events[0].label in NAMES and result.events[0].azimuth_deg is None
            assert strict(result.to_dict())["events"][0]["distance_m"] is None
    for silence in (torch.zeros(2, RATE), torch.zeros(1, RATE)):
        result = locator.locate(SpatialAudio.from_array(silence, RATE))
        assert result.reason.startswith("silence") and result.events == () and result.azimuth_deg is None


def test_a_dead_channel_is_no_ear(locator, make_ears):
    for side, gains in (("right", (1.0, 1e-3)), ("left", (0.0, 1.0))):
        result = locator.locate(SpatialAudio.from_array(make_ears().waveform * torch.tensor(gains)[:, None], RATE))
        assert result.reason.startswith(f"one ear: the {side} channel") and result.azimuth_deg is None
        assert result.events
    shaded = make_ears().waveform * torch.tensor([1.0, 0.02])[:, None]
    assert locator.locate(SpatialAudio.from_array(shaded, RATE)).azimuth_deg is not None


def test_a_peak_beyond_all_measure_is_not_blamed_on_the_model(locator, make_ears):
    with pytest.raises(AudioValueError, match="scale it"):
        locator.locate(SpatialAudio.from_array(make_ears().waveform * 1e30, RATE))


def test_a_file_with_mono_copied_to_both_ears_for_a_while_is_answered_by_the_rest(locator, make_ears):
    ears = make_ears(12.0).waveform.clone()
    ears[1, : 8 * RATE] = ears[0, : 8 * RATE] = 5 * ears[0, : 8 * RATE]
    result = locator.locate(SpatialAudio.from_array(ears, RATE))
    assert result.reason is None and result.start_s >= 6.0
    assert result.windows[0].reason.startswith("identical")


def test_ambisonics_are_refused_with_the_way_out(locator, clip, make_sound):
    for source in (clip, make_sound(), SpatialAudio.from_array(torch.zeros(4, RATE), RATE)):
        with pytest.raises(ChannelError, match="elsa-tiny"):
            locator.locate(source)
    with pytest.raises(ChannelError, match=r"clip\.wav.*4 channels"):
        locator.locate(clip)


def test_resampling_is_said(locator, make_ears, tmp_path):
    make_ears(3.0, rate=44_100).save(tmp_path / "cd.wav")
    assert locator.locate(tmp_path / "cd.wav").resampled_from == 44_100
    assert locator.locate(make_ears(3.0, rate=44_100)).resampled_from == 44_100
    assert locator.locate(make_ears(3.0)).resampled_from is None


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_windows_fit_the_model_at_every_rate(locator, make_ears, rate):
    for duration_s in (4.4, 4.45, 4.47, 9.3):
        windows = locator.locate(make_ears(duration_s, rate=rate)).windows
        assert windows[-1].end_s == pytest.approx(duration_s, abs=1e-3)
        assert (len(windows) == 1) == (duration_s < locator.whole_s)


def test_a_long_file_and_the_same_in_memory_are_cut_alike(locator, long_ears_clip):
    from_file = locator.locate(long_ears_clip)
    in_memory = locator.locate(SpatialAudio.load(long_ears_clip))
    spans = [(window.start_s, window.end_s) for window in from_file.windows]
    assert spans == [(start, min(start + 4.0, 21.0)) for start in range(0, 19, 2)]
    assert in_memory.windows == from_file.windows
    silent = [window for window in from_file.windows if window.start_s >= 6.0 and window.end_s <= 14.0]
    assert len(silent) == 3 and all(window.events == () for window in silent)
    assert from_file.resampled_from == 24_000


def test_a_window_answers_as_the_same_stretch_alone(locator, long_ears_clip):
    window = locator.locate(long_ears_clip).windows[1]
    alone = locator.locate(SpatialAudio.load(long_ears_clip, start_s=2.0, duration_s=4.0))
    assert window.azimuth_deg == alone.azimuth_deg
    assert window.events[0].probability == pytest.approx(alone.events[0].probability, abs=1e-5)


def _window(start_s: float, level_db: float, probability: float, confidence: float | None) -> EventsWindow:
    return EventsWindow(
        start_s=start_s, end_s=start_s + 4, level_db=level_db, confidence=confidence,
        azimuth_deg=None if confidence is None else 10.0, elevation_deg=None if confidence is None else 0.0,
        events=(HeardEvent("dog bark", probability),), reason="identical channels" if confidence is None else None,
    )  # fmt: skip


def test_a_loud_and_certain_window_answers_and_not_the_tail():
    silence = EventsWindow(start_s=8.0, end_s=12.0, reason="silence: nothing")
    windows = [
        _window(0.0, -20.0, 0.9, 0.5),
        _window(2.0, -25.0, 0.8, 0.9),  # within 10 dB of the loudest, and the most certain of those
        _window(4.0, -31.0, 0.99, 0.99),  # the tail
        _window(6.0, -10.0, 0.99, None),  # louder than all, without a direction
        silence,
    ]
    assert _telling_window(windows).start_s == 2.0
    assert _telling_window(windows[3:]).start_s == 6.0
    assert _telling_window([silence]) is silence


def test_the_tail_of_a_recording_does_not_answer(locator, make_ears):
    ears = make_ears(14.0).waveform.clone()
    ears[:, 5 * RATE :] *= 0.05
    result = locator.locate(SpatialAudio.from_array(ears, RATE))
    assert result.start_s <= 4.0


def test_progress_ends_with_the_whole(locator, long_ears_clip):
    calls = []
    locator.locate(long_ears_clip, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (21.0, 21.0)


def _damaged(tmp_path: Path, ears: torch.Tensor, value: float) -> Path:
    samples = ears.T.numpy().copy()
    samples[1234, 1] = value
    soundfile.write(tmp_path / "bad.wav", samples, RATE, subtype="FLOAT")
    return tmp_path / "bad.wav"


def test_bad_files_are_named_errors(locator, make_ears, tmp_path):
    audio = make_ears()
    for value in (float("nan"), float("inf")):
        with pytest.raises(AudioValueError, match=r"bad\.wav.*1234.*channel 1"):
            locator.locate(_damaged(tmp_path, audio.waveform, value))
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(AudioFileError, match=r"empty\.wav.*empty"):
        locator.locate(tmp_path / "empty.wav")
    with pytest.raises(AudioFileError, match="no such file"):
        locator.locate(tmp_path / "none.wav")
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 2)), RATE)
    with pytest.raises(AudioValueError, match=r"none\.wav"):
        locator.locate(tmp_path / "none.wav")
    soundfile.write(tmp_path / "three.wav", np.full((RATE, 3), 0.1), RATE)
    with pytest.raises(ChannelError, match="3 channels"):
        locator.locate(tmp_path / "three.wav")
    with pytest.raises(AudioFileError, match="2 recordings"):
        locator.locate([audio, audio])


def test_a_file_that_was_cut_off_is_answered_with_a_warning(locator, make_ears, tmp_path):
    make_ears(6.0).save(tmp_path / "whole.wav")
    content = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match="cut off"):
        result = locator.locate(tmp_path / "cut.wav")
    assert any("cut off" in warning for warning in result.warnings) and result.events


def test_recordings_of_a_few_samples(locator, tiny_spatial_ast, make_ears):
    few = SpatialAudio.from_array(make_ears().waveform[:, :100], RATE)
    result = locator.locate(few)  # repeated until it fills a window
    assert result.events and any("very short" in warning for warning in result.warnings)
    with pytest.raises(AudioValueError, match=r"the recording: 100 samples"):
        SoundEventLocator.from_pretrained(tiny_spatial_ast).locate(few)


def test_a_front_end_of_another_model_is_refused(tiny_dspast, tmp_path):
    shutil.copytree(tiny_dspast, tmp_path / "swapped")
    settings = tmp_path / "swapped" / "preprocessor_config.json"
    settings.write_text(
        settings.read_text(encoding="utf-8").replace('"phase_difference"', '"coherence"'), encoding="utf-8"
    )
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json makes .*coherence.* config\.json wants"):
        SoundEventLocator.from_pretrained(tmp_path / "swapped")


def test_certainty_of_a_direction():
    bins = LocalizationBins()
    azimuths, elevations = torch.zeros(360), torch.zeros(180)
    here = int(bins.azimuth_bin(torch.tensor([90.0])))
    azimuths[here], elevations[int(bins.elevation_bin(torch.tensor([0.0])))] = 0.7, 1.0
    azimuths[int(bins.azimuth_bin(torch.tensor([60.0])))] = 0.3
    confidence, spread_deg = direction_certainty(azimuths, elevations, 90.0, 0.0, bins, 20.0, 0.8)
    assert confidence == pytest.approx(0.7) and spread_deg == pytest.approx(30.5, abs=0.6)
    confidence, spread_deg = direction_certainty(azimuths, elevations, 90.0, 0.0, bins, 35.0, 0.6)
    assert confidence == pytest.approx(1.0) and spread_deg == 1.0
    assert azimuth_sector_deg(azimuths, 90.0, bins, 0.6) == pytest.approx(0.5, abs=0.6)
    assert azimuth_sector_deg(azimuths, 90.0, bins, 0.8) == pytest.approx(30.5, abs=0.6)
    # High up, azimuths are near each other: the same heads are surer of a direction there.
    elevations = elevations.roll(80)
    assert direction_certainty(azimuths, elevations, 90.0, 80.0, bins, 20.0, 0.8)[0] == pytest.approx(1.0)


def test_the_checkpoint_is_checked_before_it_answers(tiny_dspast, tiny_elsa, tmp_path):
    with pytest.raises(CheckpointError, match="elsa"):
        SoundEventLocator.from_pretrained(tiny_elsa)
    with pytest.raises(CheckpointError, match="folder"):
        SoundEventLocator.from_pretrained(tmp_path / "nowhere")

    def copied(name: str) -> Path:
        return Path(shutil.copytree(tiny_dspast, tmp_path / name))

    torn = copied("torn")
    (torn / "model.safetensors").write_bytes((torn / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="torn"):
        SoundEventLocator.from_pretrained(torn)
    wider = copied("wider")
    write_json(wider / "config.json", read_json(wider / "config.json") | {"num_hidden_layers": 3})
    with pytest.raises(CheckpointError, match="lacks weights"):
        SoundEventLocator.from_pretrained(wider)
    deaf = copied("deaf")
    (deaf / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match="processor"):
        SoundEventLocator.from_pretrained(deaf)
    untrained = copied("untrained")
    write_json(untrained / "conversion.json", {"layout": "audio_mae"})
    with pytest.raises(CheckpointError, match="train it first"):
        SoundEventLocator.from_pretrained(untrained)
    write_json(untrained / "conversion.json", {"layout": "dspast"})
    assert SoundEventLocator.from_pretrained(untrained).sample_rate == RATE


def test_weights_that_are_nan_are_noticed(tiny_dspast, ears_clip):
    damaged = SoundEventLocator.from_pretrained(tiny_dspast)
    with torch.no_grad():
        damaged.model.event_head.bias.fill_(math.nan)
    with pytest.raises(CheckpointError, match="NaN"):
        damaged.locate(ears_clip)


def test_half_precision_answers_nearly_the_same(tiny_dspast, locator, ears_clip):
    half = SoundEventLocator.from_pretrained(tiny_dspast)
    half.model.to(torch.bfloat16)
    exact = {event.label: event.probability for event in locator.locate(ears_clip, threshold=0.0).events}
    for event in half.locate(ears_clip, threshold=0.0).events:
        assert event.probability == pytest.approx(exact[event.label], abs=0.1)
