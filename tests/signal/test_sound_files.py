"""The door for sound files: whatever is put before it is read whole or refused in one line that says why."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from spatial_audio_lm.errors import AudioFileError, AudioValueError, SampleRateError
from spatial_audio_lm.signal.sound_files import AudioInfo, SoundReader, audio_info

Write = Callable[..., Path]


def noise(channels: int, time: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (channels, time))


@pytest.mark.parametrize(
    ("container", "subtype", "channels", "rate"),
    [
        ("WAV", "PCM_16", 4, 48_000),
        ("WAVEX", "FLOAT", 4, 16_000),
        ("RF64", "PCM_24", 4, 96_000),
        ("W64", "PCM_32", 1, 8_000),
        ("FLAC", "PCM_24", 4, 44_100),
        ("OGG", "VORBIS", 4, 48_000),
        ("AIFF", "PCM_16", 2, 44_100),
        ("CAF", "PCM_16", 4, 16_000),
        ("MP3", "MPEG_LAYER_III", 2, 44_100),
    ],
)
def test_what_is_read(write_sound: Write, container: str, subtype: str, channels: int, rate: int) -> None:
    path = write_sound(noise(channels, 5_000), "sound", rate, format=container, subtype=subtype)
    info = audio_info(path)
    assert (info.sample_rate, info.channels, info.format, info.subtype) == (rate, channels, container, subtype)
    assert info.duration_s == info.frames / rate
    with SoundReader(path) as reader:
        blocks = list(reader.blocks())
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0]
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_blocks_of_a_part_are_bounded(write_sound: Write) -> None:
    samples = noise(1, 200_000)
    with SoundReader(write_sound(samples, subtype="PCM_24")) as reader:
        blocks = list(reader.blocks(1_000, 150_000))
    assert max(len(block) for block in blocks) <= 65_536
    np.testing.assert_allclose(np.concatenate(blocks)[:, 0], samples[0, 1_000:150_000], atol=1e-6)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty"),
        (b"dog barking from the left\n", "is a text"),
        (b"Hund von links, " * 100 + "ä".encode(), "is a text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (os.urandom(4) + bytes(200), "not a sound file"),
        (b"RIFF\0\0\0\0WAVE", "without a data chunk"),
        (b"fLaC" + bytes(100), "cannot be read"),
        (b"OggS" + bytes(100), "cannot be read"),
        (b"FORM\0\0\0\x20AIFF" + bytes(40), "cannot be read"),
        (b"ID3\x03\0\0\0\0\0\0RIFF\0\0\0\0WAVE", "not a sound file"),  # an MP3's tag before something else
        (b"PK\x03\x04" + bytes(100), "not a sound file"),
    ],
)
def test_what_is_no_sound(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "thing.wav"
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=text) as caught:
        audio_info(path)
    message = str(caught.value)
    assert message.startswith("thing.wav: ") and "\n" not in message and len(message) < 300
    assert str(tmp_path) not in message


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for name, text in [("none.wav", "no such file"), ("", "is a folder"), ("pipe.wav", "not a regular file")]:
        with pytest.raises(AudioFileError, match=text):
            audio_info(tmp_path / name)
    with pytest.raises(AudioFileError, match="cannot be opened"):
        audio_info("nul\0.wav")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(write_sound: Write) -> None:
    path = write_sound(noise(1, 10))
    path.chmod(0)
    with pytest.raises(AudioFileError, match="Permission denied"):
        audio_info(path)


def test_names_that_are_no_utf8_or_not_printable(write_sound: Write, tmp_path: Path) -> None:
    content = write_sound(noise(1, 100)).read_bytes()
    for raw in (b"caf\xe9.wav", b"new\nline.wav", b"esc\x1b[31m.wav", "Vögel 鳥.wav".encode(), b"sound.raw", b"noext"):
        path = os.path.join(os.fsencode(tmp_path), raw)
        with open(path, "wb") as file:
            file.write(content)
        if raw != b"sound.raw":  # for soundfile this suffix means headerless samples, whatever the content
            assert audio_info(path).frames == 100
            assert audio_info(os.fsdecode(path)).frames == 100
    bad = os.path.join(os.fsencode(tmp_path), b"\xff\n.wav")
    with pytest.raises(AudioFileError) as caught:
        audio_info(bad)
    assert str(caught.value) == "\\udcff\\n.wav: no such file"


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_rare_encodings_are_refused(write_sound: Write, subtype: str) -> None:
    path = write_sound(noise(1, 1_000), rate=8_000, subtype=subtype)
    with pytest.raises(AudioFileError, match=f"{subtype} is not supported"):
        audio_info(path)


@pytest.mark.parametrize("rate", [1, 3_999, 384_001])
def test_rates_out_of_range(write_sound: Write, rate: int) -> None:
    with pytest.raises(SampleRateError, match=f"sample rate {rate} Hz; expected 4000 to 384000"):
        audio_info(write_sound(noise(1, 10), rate=rate))


def test_no_samples(write_sound: Write) -> None:
    with pytest.raises(AudioValueError, match="0 samples"):
        audio_info(write_sound(noise(1, 0)))


def test_too_long(write_sound: Write, riff: Any, tmp_path: Path) -> None:
    # FLAC packs five hours of silence into a few kilobytes.
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 4_000, 1) as file:
        for _ in range(5 * 60):
            file.write(np.zeros(60 * 4_000, np.int16))
    assert path.stat().st_size < 500_000
    with pytest.raises(AudioFileError, match=r"5\.0 hours; at most 4"):
        audio_info(path)


@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinite"), (1e300, "infinite")])
def test_numbers_that_are_no_sound(write_sound: Write, value: float, kind: str) -> None:
    samples = noise(4, 70_000)
    samples[2, 69_000] = value
    path = write_sound(samples, subtype="DOUBLE")
    with SoundReader(path) as reader, pytest.raises(AudioValueError, match=f"frame 69000, channel 2 is {kind}"):
        list(reader.blocks())


def test_a_torn_flac_gives_what_is_there(write_sound: Write) -> None:
    path = write_sound(noise(2, 100_000), "sound.flac")
    path.write_bytes(path.read_bytes()[:200_000])
    with SoundReader(path) as reader:
        frames = sum(len(block) for block in reader.blocks())
        assert 0 < frames < 100_000
        assert reader.missing_frames == 100_000 - frames


def test_info_is_a_plain_record(write_sound: Write) -> None:
    assert audio_info(write_sound(noise(2, 8_000))) == AudioInfo(16_000, 8_000, 2, 0.5, "WAV", "PCM_16", 0, False)
