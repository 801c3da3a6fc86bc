"""The walk over WAV chunks: it reads honest headers, forgives clumsy ones, and refuses those that lie."""

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial_audio_lm.errors import LIMITS, AudioFileError
from spatial_audio_lm.signal.riff import RiffHeader, walk_riff

SAMPLES = np.linspace(-0.5, 0.5, 40).reshape(4, 10)


def test_honest_header(riff: Any) -> None:
    header = walk_riff(riff.wav(riff.fmt(4), riff.data(SAMPLES)), "a.wav")
    assert header == RiffHeader(4, 8, 1, 0, False, 80, 80)
    assert header.missing_frames == 0


def test_mask_and_b_format(riff: Any) -> None:
    quad = walk_riff(riff.wav(riff.fmt_extensible(4, 0x33, riff.pcm_guid), riff.data(SAMPLES)), "a.wav")
    assert (quad.channel_mask, quad.is_b_format, quad.sample_tag) == (0x33, False, 1)
    b_format = walk_riff(riff.wav(riff.fmt_extensible(4, 0, riff.b_format_guid), riff.data(SAMPLES)), "a.wav")
    assert (b_format.channel_mask, b_format.is_b_format) == (0, True)


def test_missing_frames_are_counted(riff: Any) -> None:
    whole = riff.wav(riff.fmt(4), riff.data(SAMPLES))
    assert walk_riff(whole[:-25], "a.wav").missing_frames == 4  # 3 frames and a byte are gone


def test_open_ended_data_is_no_lie(riff: Any) -> None:
    streamed = riff.wav(riff.fmt(1), riff.chunk(b"data", bytes(100), claim=0xFFFFFFFF))
    header = walk_riff(streamed, "a.wav")
    assert (header.claimed_data_bytes, header.present_data_bytes, header.missing_frames) == (None, 100, 0)


def test_rf64_takes_the_size_from_ds64(riff: Any) -> None:
    ds64 = riff.chunk(b"ds64", struct.pack("<QQQI", 0, 200, 0, 0))
    file = riff.wav(ds64, riff.fmt(1), riff.chunk(b"data", bytes(100), claim=0xFFFFFFFF)).replace(b"RIFF", b"RF64", 1)
    assert walk_riff(file, "a.wav").missing_frames == 50


def lying(riff: Any) -> dict[str, bytes]:
    fmt, data = riff.fmt(1), riff.data(np.zeros((1, 4)))
    big_endian = b"LIST" + struct.pack(">I", 12) + b"INFOABCD" + struct.pack(">I", 0xFFFFFFF8)
    rifx_fmt = b"fmt " + struct.pack(">IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    return {
        "no data at all": riff.wav(fmt, riff.lying_list()),
        "before the data": riff.wav(fmt, riff.lying_list(), data),
        "before the format": riff.wav(riff.lying_list(), fmt, data),
        "behind the data": riff.wav(fmt, data, riff.lying_list()),
        "behind the data and a torn chunk": riff.wav(fmt, data, b"\0\0\0\0\0", riff.lying_list()),
        "in a list of labels": riff.wav(fmt, riff.lying_list(b"adtl"), data),
        "big-endian": b"RIFX" + struct.pack(">I", 60) + b"WAVE" + rifx_fmt + big_endian + b"data" + bytes(12),
    }


def test_negative_entries_are_refused(riff: Any) -> None:
    for where, file in lying(riff).items():
        with pytest.raises(AudioFileError, match=r"evil\.wav: entry 'ABCD' of a LIST chunk claims 4294967288 bytes"):
            walk_riff(file, "evil.wav")
            pytest.fail(where)


def test_the_file_that_hangs_libsndfile_is_answered_at_once(riff: Any, tmp_path: Path) -> None:
    files = lying(riff)
    assert len(files["no data at all"]) == 56
    for number, file in enumerate(files.values()):
        (tmp_path / f"{number}.wav").write_bytes(file)
    code = """
import sys
from spatial_audio_lm.errors import AudioFileError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
for path in sys.argv[1:]:
    try:
        SpatialAudio.load(path)
    except AudioFileError:
        continue
    raise SystemExit(path + " was read")
"""
    paths = [str(path) for path in sorted(tmp_path.glob("*.wav"))]
    # In a process of its own: were the walk to miss one, no exception and no alarm could end the wait.
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_clumsy_files_are_forgiven(riff: Any) -> None:
    fmt, data = riff.fmt(1), riff.data(np.zeros((1, 4)))
    ixml = riff.chunk(b"iXML", b"<TRACK_LIST><TRACK_LIST>\xff\xff\xff\xff\xff\xff\xff\xff</TRACK_LIST>")
    for file in (
        riff.wav(fmt, data, ixml),  # the word LIST in a text is no list
        riff.wav(fmt, data, bytes(1001)),  # zeros behind the data
        riff.wav(fmt, data, riff.chunk(b"LIST", b"INFO", claim=400)),  # a list that was cut off
        riff.wav(fmt, riff.chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 90) + b"short"), data),
        riff.wav(riff.chunk(b"JUNK", bytes(27)), riff.chunk(b"bext", bytes(602)), fmt, data),
    ):
        assert walk_riff(file, "a.wav").channels == 1


@pytest.mark.parametrize("name", ["no data", "no fmt", "short fmt", "big chunk", "many chunks", "many entries"])
def test_broken_files_are_named(riff: Any, name: str) -> None:
    fmt, data = riff.fmt(1), riff.data(np.zeros((1, 4)))
    entries = b"INFO" + riff.chunk(b"ICMT", b"") * (LIMITS.max_riff_list_entries + 1)
    file, text = {
        "no data": (riff.wav(fmt), "without a data chunk"),
        "no fmt": (riff.wav(data), "without a fmt chunk"),
        "short fmt": (riff.wav(riff.chunk(b"fmt ", bytes(8)), data), "fmt chunk of 8 bytes"),
        "big chunk": (riff.wav(fmt, riff.chunk(b"bext", bytes(10), claim=10_000), data), "'bext' claims 10000 bytes"),
        "many chunks": (riff.wav(fmt, *[riff.chunk(b"JUNK", b"")] * LIMITS.max_riff_chunks, data), "chunks before"),
        "many entries": (riff.wav(fmt, riff.chunk(b"LIST", entries), data), "entries"),
    }[name]
    with pytest.raises(AudioFileError, match=text):
        walk_riff(file, "broken.wav")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_ends_in_an_answer(data: st.DataObject) -> None:
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    info = b"LIST" + struct.pack("<I", 16) + b"INFOISFT" + struct.pack("<I", 4) + b"abc\0"
    file = bytearray(
        b"RIFF" + struct.pack("<I", 80) + b"WAVE" + fmt + info + b"data" + struct.pack("<I", 8) + bytes(8) + info
    )
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(12, len(file) - 4))
        file[position : position + 4] = data.draw(
            st.binary(min_size=4, max_size=4)
            | st.sampled_from([b"LIST", b"data", b"\xff\xff\xff\xff", b"\xf8\xff\xff\xff"])
        )
    del file[data.draw(st.integers(20, len(file))) :]
    try:
        header = walk_riff(bytes(file), "fuzzed.wav")
    except AudioFileError as error:
        assert str(error).startswith("fuzzed.wav: ") and str(error).isprintable()
    else:
        assert 0 <= header.present_data_bytes <= len(file)
