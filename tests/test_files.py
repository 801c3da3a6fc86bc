"""Files are whole or not there, and JSON holds no surprises."""

import errno
import hashlib
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatial_audio_lm.errors import (
    BankError,
    DataError,
    MissingExtraError,
    RecordError,
    SpatialAudioError,
)
from spatial_audio_lm.files import (
    read_json,
    remove_unfinished,
    sha256_of_file,
    shown_name,
    write_json,
    write_whole,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def test_write_whole_replaces_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    write_whole(path, b"one")
    write_whole(path, lambda temporary: temporary.write_bytes(b"two" + temporary.suffix.encode()))
    assert path.read_bytes() == b"two.bin"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]
    assert sha256_of_file(path) == hashlib.sha256(b"two.bin").hexdigest()


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_whole(path, b"old")

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        write_whole(path, fail)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder where not even root can write")
def test_where_nothing_can_be_written_the_target_is_named() -> None:
    with pytest.raises(OSError) as refused:
        write_whole("/proc/vectors.bin", b"one")
    assert refused.value.filename == "/proc/vectors.bin" and refused.value.errno == errno.ENOENT


def test_kill_in_the_middle_of_writing(tmp_path: Path) -> None:
    """A process that writes for ever is killed; under the final name lies one of its whole contents."""
    code = """
import sys
from spatial_audio_lm.files import write_whole
number = 0
while True:
    number = (number + 1) % 10
    write_whole(sys.argv[1], str(number).encode() * 2_000_000)
"""
    path = tmp_path / "file"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)])
    try:
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        for _ in range(20):
            content = path.read_bytes()
            assert len(content) == 2_000_000 and len(set(content)) == 1
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    content = path.read_bytes()
    assert len(content) == 2_000_000 and len(set(content)) == 1
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_remove_unfinished_takes_only_what_is_unfinished(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-1-abc.wav").write_bytes(b"x")
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "kept.wav").write_bytes(b"x")
    (tmp_path / ".unfinished-2-def").mkdir()
    (tmp_path / ".unfinished-2-def" / "file.wav").write_bytes(b"x")
    assert remove_unfinished(tmp_path) == 2
    assert {entry.name for entry in tmp_path.iterdir()} == {".hidden", "kept.wav"}


def test_what_a_writer_puts_beside_its_file_goes_with_it(tmp_path: Path) -> None:
    """Some libraries write under a name of their own first and rename; a kill must not leave that behind either."""

    def write(path: Path) -> None:
        (path.parent / ".tmpabc").write_bytes(b"half")
        path.write_bytes(b"whole")

    write_whole(tmp_path / "a.bin", write)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]

    def die(path: Path) -> None:
        (path.parent / ".tmpabc").write_bytes(b"half")
        os._exit(1)  # as SIGKILL: nothing is tidied up

    if os.fork() == 0:
        write_whole(tmp_path / "b.bin", die)
    os.wait()
    assert len(list(tmp_path.iterdir())) == 2
    assert remove_unfinished(tmp_path) == 1 and [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(json_values)
def test_json_round_trip(tmp_path: Path, value: object) -> None:
    path = tmp_path / "value.json"
    try:
        write_json(path, value)
    except DataError:
        assert any("\ud800" <= character <= "\udfff" for character in repr(value)) or "\\ud" in repr(value)
        return
    assert read_json(path) == value


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": {1, 2}}, "\ud800", b"bytes"])
def test_what_json_cannot_carry(tmp_path: Path, value: object) -> None:
    with pytest.raises(DataError, match=r"x\.json: cannot be written as JSON"):
        write_json(tmp_path / "x.json", value)
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1', "delimiter"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' appears twice"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"[1e400]", "1e400 is beyond"),
        (b'"\\ud800"', "surrogates"),
        (b'{"\\udfff": 1}', "surrogates"),
        (b"\xff\xfe", "utf-8"),
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b"[" * 100_000, "deeper than 64"),
        (b"9" * 5_000, "integer string conversion"),
    ],
)
def test_json_that_is_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(RecordError, match=reason) as caught:
        read_json(path)
    assert str(caught.value).startswith("x.json: not valid JSON: ")
    with pytest.raises(BankError):
        read_json(path, error=BankError)


def test_json_bounds(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"[" * 64 + b"]" * 64)
    read_json(path)
    with pytest.raises(RecordError, match="128 bytes of JSON; at most 100"):
        read_json(path, max_bytes=100)
    with pytest.raises(RecordError, match="deeper than 3"):
        read_json(path, max_depth=3)
    with pytest.raises(RecordError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(RecordError, match="not a regular file"):
        read_json(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordError, match="not a regular file"):
        read_json(tmp_path / "pipe")


def test_names_are_printable() -> None:
    assert shown_name("/a/b/c.wav") == "c.wav"
    assert shown_name("/a/b/") == "b"
    assert shown_name("/") == "/"
    assert shown_name(b"/a/\xff\n.wav") == "\\udcff\\n.wav"
    assert shown_name("鳥.wav") == "鳥.wav"


def test_a_missing_extra_names_its_pip_line() -> None:
    error = MissingExtraError("reading SOFA files", "sofa")
    assert isinstance(error, SpatialAudioError) and isinstance(error, ImportError)
    assert str(error) == "reading SOFA files needs an optional dependency: pip install 'spatial-audio-lm[sofa]'"
    again = pickle.loads(pickle.dumps(error))  # errors of worker processes come back as pickles
    assert (str(again), again.extra) == (str(error), "sofa")
