"""SpatialAudio: what goes in comes out, channel by channel, and what is no recording is refused by name."""

import dataclasses
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatial_audio_lm.errors import (
    LIMITS,
    AudioFileError,
    AudioValueError,
    ChannelError,
    FormatError,
    FormatWarning,
    SampleRateError,
    SpatialAudioError,
)
from spatial_audio_lm.signal import spatial_audio
from spatial_audio_lm.signal.ambisonics import convert_foa, encode_foa
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

RATE = 16_000
Write = Callable[..., Path]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).clamp(-4, 4)


@pytest.fixture(scope="module")
def foa() -> torch.Tensor:
    """A source at azimuth 40, elevation 10, AmbiX."""
    return encode_foa(noise(2 * RATE), 40, 10)


@pytest.fixture(autouse=True)
def no_unexpected_warning() -> Any:
    """A FormatWarning that a test does not ask for is a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FormatWarning)
        yield


# What is read


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.sampled_from([1, 2, 4]),
    rate=st.sampled_from([4_000, 16_000, 44_100, 48_000, 384_000]),
    subtype=st.sampled_from([("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-23), ("FLOAT", 0)]),
    time=st.integers(2, 3_000),
    seed=st.integers(0, 99),
)
def test_wav_round_trip(
    tmp_path: Path, channels: int, rate: int, subtype: tuple[str, float], time: int, seed: int
) -> None:
    samples = noise(channels, time, seed=seed)
    samples = samples if channels < 4 else encode_foa(samples[0], 10, 20)
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    soundfile.write(first, samples.T.numpy(), rate, subtype=subtype[0])
    audio = SpatialAudio.load(first)
    assert (audio.format, audio.sample_rate) == ({1: "mono", 2: "binaural", 4: "foa"}[channels], rate)
    assert audio.waveform.dtype == torch.float32 and audio.waveform.is_contiguous()
    torch.testing.assert_close(audio.waveform, samples, atol=1.01 * subtype[1], rtol=0)
    audio.save(second)
    again = SpatialAudio.load(second).waveform
    torch.testing.assert_close(again, audio.waveform, atol=2**-23, rtol=0)
    SpatialAudio.from_array(again, rate).save(first)
    torch.testing.assert_close(SpatialAudio.load(first).waveform, again, atol=0, rtol=0)  # 24 bits stay as they are


@pytest.mark.parametrize("channels", [3, 5, 8, 16])
def test_other_channel_counts_are_refused(write_sound: Write, channels: int) -> None:
    path = write_sound(noise(channels, 100).numpy())
    with pytest.raises(ChannelError, match=rf"sound\.wav: {channels} channels; expected 1 .mono., 2 .binaural. or 4"):
        SpatialAudio.load(path)
    with pytest.raises(ChannelError, match=f"the array: {channels} channels"):
        SpatialAudio.from_array(noise(channels, 100), RATE)


def test_declared_format_must_fit(write_sound: Write) -> None:
    path = write_sound(noise(2, 100).numpy())
    assert SpatialAudio.load(path, format="binaural").format == "binaural"
    for wrong in ("mono", "foa", "foa_fuma", "foa_n3d"):
        with pytest.raises(ChannelError, match="2 channels, but format"):
            SpatialAudio.load(path, format=wrong)
    with pytest.raises(FormatError, match="mono, binaural, foa, foa_fuma, foa_n3d"):
        SpatialAudio.load(path, format="ambix")


def test_a_part_is_the_same_samples(write_sound: Write) -> None:
    path = write_sound(noise(2, 3 * RATE).numpy(), subtype="FLOAT")
    whole = SpatialAudio.load(path)
    part = SpatialAudio.load(path, start_s=0.5, duration_s=1.25)
    torch.testing.assert_close(part.waveform, whole.crop(0.5, 1.75).waveform, atol=0, rtol=0)
    assert part.duration_s == 1.25
    assert SpatialAudio.load(path, start_s=2.5, duration_s=9).duration_s == 0.5
    for start, duration, text in [(3.0, None, "ends at 3 s"), (-1.0, None, "start must be"), (0.0, 0.0, "duration")]:
        with pytest.raises(AudioValueError, match=text):
            SpatialAudio.load(path, start_s=start, duration_s=duration)
    with pytest.raises(AudioValueError):
        SpatialAudio.load(path, start_s=float("nan"))


def test_too_much_for_the_memory_is_said_before_reading(
    write_sound: Write, foa: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_sound(foa.numpy())
    monkeypatch.setattr(spatial_audio, "LIMITS", dataclasses.replace(LIMITS, max_decoded_bytes=4 * 4 * RATE))
    with pytest.raises(AudioFileError, match=r"of 4 channels do not fit in memory.*SpatialAudio\.stream"):
        SpatialAudio.load(path)
    assert SpatialAudio.load(path, start_s=0.5, duration_s=1).duration_s == 1


@pytest.mark.parametrize("frames", [0, 1])
def test_no_sound(write_sound: Write, frames: int) -> None:
    with pytest.raises(AudioValueError, match=f"{frames} samples"):
        SpatialAudio.load(write_sound(np.zeros((1, frames))))


def test_a_bad_sample_is_named(write_sound: Write) -> None:
    samples = noise(4, 1_000).numpy()
    samples[3, 77] = np.nan
    with pytest.raises(AudioValueError, match=r"sound\.wav: the sample at frame 77, channel 3 is NaN"):
        SpatialAudio.load(write_sound(samples, subtype="FLOAT"))
    with pytest.raises(AudioValueError, match="the sample at frame 77, channel 3 is nan"):
        SpatialAudio.from_array(samples, RATE)
    with pytest.raises(AudioValueError, match="the sample at frame 0, channel 0 is inf"):
        SpatialAudio.from_array(np.array([1e300, 0.0]), RATE)


def test_a_file_that_was_cut_off_warns(write_sound: Write, foa: torch.Tensor) -> None:
    path = write_sound(foa.numpy())
    path.write_bytes(path.read_bytes()[: -8 * 1_000 - 3])
    with pytest.warns(FormatWarning, match=r"sound\.wav: 1001 samples that the header claims are missing"):
        audio = SpatialAudio.load(path)
    assert audio.waveform.shape == (4, 2 * RATE - 1_001)
    assert len(audio.warnings) == 1 and "cut off" in audio.warnings[0]
    with pytest.warns(FormatWarning):
        last = list(SpatialAudio.stream(path, 0.5, 0.5))[-1][1]
    assert "cut off" in last.warnings[0]


# What the channels mean


@pytest.mark.parametrize(("convention", "format"), [("fuma", "foa_fuma"), ("n3d", "foa_n3d")])
def test_wrong_declaration_warns_and_the_right_one_converts(
    write_sound: Write, foa: torch.Tensor, convention: str, format: str
) -> None:
    path = write_sound(0.5 * convert_foa(foa, "ambix", convention).numpy(), subtype="FLOAT")
    for declared in (None, "foa"):
        with pytest.warns(FormatWarning, match=f"--format {format}"):
            audio = SpatialAudio.load(path, format=declared)
        assert format in audio.warnings[0] and audio.format == "foa"
    right = SpatialAudio.load(path, format=format)
    assert right.format == "foa" and right.warnings == ()
    torch.testing.assert_close(right.waveform, 0.5 * foa)
    torch.testing.assert_close(
        SpatialAudio.from_array(convert_foa(foa, "ambix", convention), RATE, format=format).waveform, foa
    )


def test_b_format_header_is_fuma(riff: Any, tmp_path: Path, foa: torch.Tensor) -> None:
    path = tmp_path / "old.amb"
    fuma = convert_foa(foa, "ambix", "fuma")
    path.write_bytes(riff.wav(riff.fmt_extensible(4, 0, riff.b_format_guid), riff.data(fuma.numpy())))
    for declared in (None, "foa_fuma"):
        audio = SpatialAudio.load(path, format=declared)
        torch.testing.assert_close(audio.waveform, foa, atol=2e-4, rtol=0)
    with pytest.warns(FormatWarning) as caught:
        SpatialAudio.load(path, format="foa")
    assert ["header says B-format" in str(caught[0].message), "--format foa_fuma" in str(caught[1].message)] == [
        True
    ] * 2
    streamed = torch.cat([audio.waveform for _, audio in SpatialAudio.stream(path, 0.5, 0.5)], dim=1)
    torch.testing.assert_close(streamed, foa, atol=2e-4, rtol=0)


def test_a_loudspeaker_mask_warns(riff: Any, tmp_path: Path, foa: torch.Tensor) -> None:
    path = tmp_path / "quad.wav"
    path.write_bytes(riff.wav(riff.fmt_extensible(4, 0x33, riff.pcm_guid), riff.data(foa.numpy())))
    with pytest.warns(FormatWarning, match="loudspeakers .mask 0x33.*--format foa"):
        SpatialAudio.load(path)
    assert SpatialAudio.load(path, format="foa").warnings == ()  # declared is meant
    path.write_bytes(riff.wav(riff.fmt_extensible(2, 0x3, riff.pcm_guid), riff.data(foa[:2].numpy())))
    assert SpatialAudio.load(path).format == "binaural"


# What comes from memory


def test_from_array_takes_what_is_an_array(foa: torch.Tensor) -> None:
    for array in (foa, foa.numpy(), foa.double(), foa.numpy().astype(np.float16), foa.tolist()):
        audio = SpatialAudio.from_array(array, RATE)
        assert audio.format == "foa" and audio.waveform.dtype == torch.float32 and audio.num_channels == 4
        torch.testing.assert_close(audio.waveform, foa, atol=1e-3, rtol=0)
    mono = SpatialAudio.from_array(np.zeros(10, np.float32), np.int64(RATE))
    assert mono.format == "mono" and mono.waveform.shape == (1, 10) and isinstance(mono.sample_rate, int)


@pytest.mark.parametrize(
    ("array", "rate", "error", "text"),
    [
        (np.zeros((4, 100)), None, SampleRateError, r"say it in Hz \(sampling_rate, or sample_rate\)"),
        (np.zeros((4, 100)), 1_000, SampleRateError, "1000"),
        (np.zeros((4, 100)), 16_000.0, SampleRateError, "whole number"),
        (np.zeros((100, 4)), RATE, ChannelError, "transpose"),
        (np.zeros((2, 4, 100)), RATE, ChannelError, "channels, time"),
        (np.float32(0.5), RATE, ChannelError, "channels, time"),
        (np.zeros((1, 100), np.int16), RATE, AudioValueError, "divide 16-bit samples by 32768"),
        (np.zeros((1, 100), complex), RATE, AudioValueError, "floating point"),
        ("a dog from the left", RATE, AudioValueError, "str"),
        (np.zeros((1, 0)), RATE, AudioValueError, "0 samples"),
        (np.zeros((1, 1)), RATE, AudioValueError, "1 samples"),
        ([[0.0, 1.0], [0.0]], RATE, AudioValueError, "list"),
    ],
)
def test_from_array_refuses(array: Any, rate: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        SpatialAudio.from_array(array, rate)


def test_an_instance_is_always_valid(foa: torch.Tensor) -> None:
    for arguments, error in [
        ((foa, RATE, "foa_fuma"), FormatError),
        ((foa, RATE, "mono"), ChannelError),
        ((foa[0], RATE, "mono"), ChannelError),
        ((foa.numpy(), RATE, "foa"), ChannelError),
        ((foa.double(), RATE, "foa"), AudioValueError),
        ((foa, 0, "foa"), SampleRateError),
        ((foa / 0, RATE, "foa"), AudioValueError),
    ]:
        with pytest.raises(error) as caught:
            SpatialAudio(*arguments)
        assert isinstance(caught.value, SpatialAudioError) and isinstance(caught.value, ValueError)
    with pytest.raises(AttributeError):
        SpatialAudio(foa, RATE, "foa").sample_rate = 8_000  # type: ignore[misc]


# What can be done with it


def test_resample_crop_require(foa: torch.Tensor) -> None:
    audio = SpatialAudio.from_array(foa, RATE)
    assert audio.resample(RATE) is audio and audio.resampled_from is None
    low = audio.resample(8_000)
    assert (low.sample_rate, low.resampled_from, low.duration_s) == (8_000, RATE, 2.0)
    assert low.resample(RATE).resampled_from == RATE
    assert audio.crop(0.25, 0.75).waveform.shape == (4, RATE // 2)
    for start, end in [(0.0, 2.1), (-0.1, 1.0), (1.0, 1.0), (1.5, 1.0)]:
        with pytest.raises(AudioValueError, match="not inside 0 to 2 s"):
            audio.crop(start, end)
    assert audio.require(format=("mono", "foa"), sample_rate=RATE) is audio
    with pytest.raises(
        ChannelError,
        match=r"audio is foa \(4 channels\); expected binaural \(2 channels\): give a recording of that kind$",
    ):
        audio.require(format="binaural")
    with pytest.raises(SampleRateError, match=r"SpatialAudio's resample\(48000\)"):
        audio.require(sample_rate=48_000)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
def test_save_has_the_same_bytes_every_time(tmp_path: Path, foa: torch.Tensor, suffix: str) -> None:
    audio = SpatialAudio.from_array(foa, RATE)
    one, two = tmp_path / f"one{suffix}", tmp_path / f"new folder/two{suffix}"
    audio.save(one)
    audio.save(two)
    assert one.read_bytes() == two.read_bytes()
    assert soundfile.info(one).subtype == "PCM_24"
    torch.testing.assert_close(SpatialAudio.load(one).waveform, foa, atol=2**-23, rtol=0)
    assert {path.name for path in tmp_path.iterdir()} == {one.name, "new folder"}  # nothing unfinished is left


def test_save_does_not_clip(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    loud = SpatialAudio.from_array(torch.tensor([[0.0, 2.0], [-4.0, 1.0]]), RATE)
    with pytest.raises(AudioValueError, match=r"peak is 4 and would be clipped at 1.*normalize=True"):
        loud.save(path)
    assert not path.exists()
    loud.save(path, normalize=True)
    torch.testing.assert_close(
        SpatialAudio.load(path).waveform, loud.waveform * 0.99 / 4, atol=1e-6, rtol=0
    )  # both channels by the same factor
    full = SpatialAudio.from_array(torch.tensor([1.0, -1.0, 0.5]), RATE)
    full.save(path, normalize=True)
    torch.testing.assert_close(SpatialAudio.load(path).waveform, full.waveform, atol=2**-23, rtol=0)


def test_save_refuses_other_kinds_and_places(tmp_path: Path, foa: torch.Tensor) -> None:
    audio = SpatialAudio.from_array(foa, RATE)
    with pytest.raises(AudioFileError, match=r"\.wav or \.flac"):
        audio.save(tmp_path / "sound.mp3")
    (tmp_path / "file").write_text("")
    with pytest.raises(AudioFileError, match="cannot be written"):
        audio.save(tmp_path / "file" / "sound.wav")


# What is too long to hold


@pytest.mark.parametrize(("window", "hop"), [(4.0, 2.0), (4.0, 4.0), (0.5, 0.1), (1.0, 3.0), (30.0, 1.0), (7.3, 2.9)])
def test_stream_is_load_in_pieces(write_sound: Write, window: float, hop: float) -> None:
    total_s = 13.37
    path = write_sound(noise(2, round(total_s * RATE)).numpy(), subtype="PCM_24")
    whole = SpatialAudio.load(path)
    time = whole.waveform.shape[-1]
    starts = []
    for start_s, audio in SpatialAudio.stream(path, window, hop):
        first = round(start_s * RATE)
        expected = whole.waveform[:, first : first + round(window * RATE)]
        torch.testing.assert_close(audio.waveform, expected, atol=0, rtol=0)
        assert audio.path == str(path) and audio.format == "binaural"
        starts.append(first)
    assert starts == [round(hop * RATE) * k for k in range(len(starts))]
    covered = starts[-1] + round(window * RATE)
    assert covered >= time or starts[-1] + round(hop * RATE) >= time  # the end is reached (or falls in a gap)
    assert all(start + round(window * RATE) < time for start in starts[:-1])


def test_stream_needs_the_same_memory_for_a_longer_file(write_sound: Write) -> None:
    peaks = []
    for minutes in (1, 4):
        path = write_sound(noise(2, minutes * 60 * 8_000).numpy(), f"{minutes}.wav", rate=8_000)
        tracemalloc.start()
        count = sum(1 for _ in SpatialAudio.stream(path, 4.0, 2.0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == minutes * 30 - 1
    assert peaks[1] < 1.05 * peaks[0]


def test_stream_warns_once(write_sound: Write, foa: torch.Tensor) -> None:
    path = write_sound(0.5 * convert_foa(foa, "ambix", "n3d").numpy())
    with pytest.warns(FormatWarning, match="N3D") as caught:
        windows = list(SpatialAudio.stream(path, 0.5, 0.5))
    assert len(caught) == 1 and all(len(audio.warnings) == 1 for _, audio in windows)
    assert all(audio.warnings == () for _, audio in SpatialAudio.stream(path, 0.5, 0.5, format="foa_n3d"))


def test_stream_refuses(write_sound: Write, tmp_path: Path) -> None:
    path = write_sound(noise(2, 100).numpy())
    for window, hop in [(0.0, 1.0), (1.0, 0.0), (1.0, float("nan")), (1e-6, 1.0)]:
        with pytest.raises(AudioValueError):
            list(SpatialAudio.stream(path, window, hop))
    with pytest.raises(AudioFileError):
        list(SpatialAudio.stream(tmp_path / "none.wav", 1.0, 1.0))
    samples = noise(1, 5 * RATE).numpy()
    samples[0, 70_000] = np.inf
    with pytest.raises(AudioValueError, match="frame 70000"):
        list(SpatialAudio.stream(write_sound(samples, subtype="FLOAT"), 1.0, 1.0))


def test_real_recordings_are_read_without_a_warning(data_dir: Path) -> None:
    """AmbiX recordings of real rooms, under ``foa_recordings`` of the folder given by --data."""
    paths = [path for path in sorted(data_dir.rglob("foa_recordings/*.flac")) if "tau2019" not in path.name]
    assert paths, "no foa_recordings/*.flac under --data"
    for path in paths:
        assert SpatialAudio.load(path).warnings == ()
