"""Copies of SpatialSound that are damaged: each is refused by the name of what is wrong, most when they are opened."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatial_audio_lm.errors import AudioFileError, ConfigError, DataError
from tests.data.spatial_sound_copy import LABELS, RESPONSES, opened, write_copy, write_responses


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return write_copy(tmp_path)


def change_json(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    """A damage that changes what a JSON file holds."""

    def damage(root: Path) -> None:
        path = root / name
        content = json.loads(path.read_text())
        result = change(content)
        path.write_text(json.dumps(content if result is None else result))

    return damage


def clips(change: Callable[[Any], Any]) -> Callable[[Path], object]:
    return change_json("AudioSet/metadata/balanced.json", change)


def responses(change: Callable[[Any], Any]) -> Callable[[Path], object]:
    return change_json("mp3d_reverb/train_reverberation.json", change)


def text(name: str, content: str) -> Callable[[Path], object]:
    return lambda root: (root / "AudioSet/metadata" / name).write_text(content)


def response(array: Any) -> Callable[[Path], object]:
    return lambda root: np.save(root / "mp3d_reverb/binaural/house_a/0.npy", array)


def response_bytes(content: bytes) -> Callable[[Path], object]:
    return lambda root: (root / "mp3d_reverb/binaural/house_a/0.npy").write_bytes(content)


def lying_header(root: Path) -> None:
    """A response that claims to be of 16 terabytes."""
    with (root / "mp3d_reverb/binaural/house_a/0.npy").open("wb") as file:
        claim = {"descr": "<f8", "fortran_order": False, "shape": (2, 10**12)}
        np.lib.format.write_array_header_1_0(file, claim)
        file.write(bytes(1000))


def garbled_header(root: Path) -> None:
    """A response whose header lacks its closing bracket."""
    path = root / "mp3d_reverb/binaural/house_a/0.npy"
    path.write_bytes(path.read_bytes().replace(b"}", b" ", 1))


def archive(root: Path) -> None:
    path = root / "mp3d_reverb/binaural/house_a/0.npy"
    np.savez(path.with_suffix(".npz"), taps=np.zeros((2, 9)))
    path.with_suffix(".npz").replace(path)


CSV, WEIGHTS = "class_labels_indices_subset.csv", "weights/balanced_weight.csv"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda root: shutil.rmtree(root), "is no folder; expected a copy"),
    "no list": (lambda root: (root / "AudioSet/metadata/balanced.json").unlink(), "balanced.json: no such file"),
    "no JSON": (text("balanced.json", "[{"), "balanced.json: not valid JSON"),
    "not a list": (clips(lambda c: {"data": c}), "holds an object with data; expected a list of clips"),
    "empty list": (clips(lambda c: []), "holds a list of 0"),
    "entry is no object": (
        clips(lambda c: c.append("Y9")),
        "entry 3 is 'Y9'; expected an object with folder, id, label",
    ),
    "key is missing": (clips(lambda c: c[1].__delitem__("label")), "entry 1 lacks label; it has folder, id"),
    "labels are text": (
        clips(lambda c: c[0].update(label="/m/09x0r")),
        "entry 0: label is '/m/09x0r'; expected a list",
    ),
    "no label": (clips(lambda c: c[0].update(label=[])), r"entry 0: label is \[\]; expected a list of one or more"),
    "folder leaves": (clips(lambda c: c[0].update(folder="../other")), "entry 0: folder is '../other'"),
    "id leaves": (clips(lambda c: c[0].update(id="a/b")), "entry 0: id is 'a/b'; expected a file name"),
    "unknown mid": (
        clips(lambda c: c[2]["label"].extend(["/m/none", "/m/other"])),
        "has 2 labels that are not among the 4 of the table: /m/none, /m/other",
    ),
    "no sound": (
        lambda root: (root / "AudioSet/balanced_train/audio/Y1.wav").unlink(),
        "1 of 3 clips have no file, the first is .*Y1.wav: unpack",
    ),
    "no table": (lambda root: (root / "AudioSet/metadata" / CSV).unlink(), "subset.csv: No such file"),
    "table without mid": (
        text(CSV, "index,name\n0,Speech\n"),
        "lacks the column display_name, mid; it has index, name",
    ),
    "table without rows": (text(CSV, "index,mid,display_name\n"), "a header and no rows"),
    "short row": (text(CSV, LABELS + "10,/m/1\n"), "row 4 has 2 cells under a header of 3"),
    "mid twice": (text(CSV, LABELS + "10,/m/09x0r,Talk\n"), "/m/09x0r stands in row 0 and in row 4"),
    "open quote": (text(CSV, LABELS + '10,/m/1,"Talk\n'), "is no CSV"),
    "table in Latin-1": (
        lambda root: (root / "AudioSet/metadata" / CSV).write_bytes(LABELS.encode() + b"10,/m/1,Caf\xe9\n"),
        "is no UTF-8 text",
    ),
    "too few weights": (text(WEIGHTS, "1\n2\n"), "has 2 weights for a list of 3 clips"),
    "weight is NaN": (text(WEIGHTS, "1\nnan\n3\n"), "weight.csv:2: 'nan' is no finite number"),
    "weight is text": (text(WEIGHTS, "1\n2\nthree\n"), "weight.csv:3: 'three' is no finite number"),
    "negative weight": (text(WEIGHTS, "-1\n2\n3\n"), "weight.csv:1: the weight -1; expected 0 or more"),
    "responses without data": (responses(lambda c: {"rirs": []}), "expected an object whose 'data' is a list of resp"),
    "no responses": (responses(lambda c: {"data": []}), "expected an object whose 'data' is a list of responses"),
    "response without position": (
        responses(lambda c: c["data"][2].__delitem__("source_position")),
        "response 2 lacks source_position; it has fname",
    ),
    "two coordinates": (
        responses(lambda c: c["data"][1].update(sensor_position="1,2")),
        "response 1: sensor_position is '1,2'; expected a string of three numbers",
    ),
    "position is NaN": (
        responses(lambda c: c["data"][1].update(source_position="1,nan,2")),
        "response 1: source_position: 'nan' is no finite number",
    ),
    "no house": (responses(lambda c: c["data"][0].update(fname="0.npy")), "is called '0.npy'; expected '<house>/<num"),
    "name leaves": (responses(lambda c: c["data"][0].update(fname="../a/0.npy")), "is called '../a/0.npy'"),
    "too far": (
        lambda root: write_responses(root, [RESPONSES[0], ("house_a/1.npy", (10.26, 0.0, 0.0))]),
        r"response 1 \(house_a/1.npy\): distance_m has 10.26; the bins reach from 0 to 10.25 m",
    ),
    "straight above": (
        lambda root: write_responses(root, [("house_a/1.npy", (0.0, 2.0, 0.0)), RESPONSES[0]]),
        r"response 0 \(house_a/1.npy\) has its source straight above, below or inside",
    ),
    "straight below": (
        lambda root: write_responses(root, [RESPONSES[0], ("house_a/1.npy", (0.0, -1.0, 0.0))]),
        r"response 1 \(house_a/1.npy\) has its source straight above, below or inside",
    ),
    "nearly above": (
        lambda root: write_responses(root, [RESPONSES[0], ("house_a/1.npy", (0.001, 2.0, 0.0))]),
        r"response 1 \(house_a/1.npy\): elevation_deg has 89.97",
    ),
    "no response file": (
        lambda root: (root / "mp3d_reverb/binaural/house_b/1.npy").unlink(),
        "1 of 5 responses have no file, the first is .*house_b/1.npy: unpack",
    ),
    "mono response": (response(np.zeros(100)), r"0.npy has the shape \(100,\); expected \(2, time\)"),
    "time first": (response(np.zeros((100, 2))), r"0.npy has the shape \(100, 2\); expected \(2, time\)"),
    "integers": (response(np.zeros((2, 100), np.int16)), "0.npy holds int16; expected float64"),
    "pickled": (response(np.array([[{}, 1], [2, 3]], dtype=object)), "cannot be read as an NPY array of numbers"),
    "no NPY": (response_bytes(b"RIFF, no array"), "cannot be read as an NPY array of numbers"),
    "empty file": (response_bytes(b""), "cannot be read as an NPY array of numbers"),
    "no samples": (response(np.zeros((2, 0))), r"has the shape \(2, 0\); expected \(2, time\)"),
    "garbled header": (garbled_header, "cannot be read as an NPY array of numbers"),
    "lying header": (lying_header, "cannot be read as an NPY array of numbers"),
    "archive": (archive, r"is an archive \(NPZ\); expected one NPY array"),
    "one clip": (clips(lambda c: c[:1]), "has one clip; mixing needs two"),
    "one response": (responses(lambda c: {"data": c["data"][:1]}), "has one response; mixup='places' needs two"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_when_the_copy_is_opened(copy, damage):
    change, message = DAMAGES[damage]
    weights = None if damage.startswith("one ") else "AudioSet/metadata/weights/balanced_weight.csv"
    assert len(opened(copy, weights_file=weights)) == 3
    change(copy)
    with pytest.raises(DataError, match=message):
        opened(copy, weights_file=weights)


def test_a_copy_without_any_sound_is_refused_even_if_missing_ones_may_be(copy):
    shutil.rmtree(copy / "AudioSet/balanced_train")
    with pytest.raises(DataError, match="3 of 3 clips have no file"):
        opened(copy, skip_missing_clips=True)


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (1e300, "inf")])
def test_samples_of_a_response_that_are_no_numbers_are_refused(copy, value, shown):
    taps = np.ones((2, 50))
    taps[1, 7] = value
    np.save(copy / "mp3d_reverb/binaural/house_a/0.npy", taps)
    write_responses(copy, RESPONSES[:1])
    with pytest.raises(DataError, match=f"0.npy: sample 7 of channel 1 is {shown}"):
        opened(copy, mixup="none").evaluation_example(0, 0)


def test_a_clip_that_is_no_sound_is_refused(copy):
    (copy / "AudioSet/balanced_train/audio/Y0.wav").write_text("no sound")
    dataset = opened(copy, mixup="none")
    with pytest.raises(AudioFileError, match="is a text, not a sound file"):
        dataset.example(0, np.random.default_rng(0))
    for index in (3, -1):
        with pytest.raises(DataError, match=f"item {index} of a data set of 3"):
            dataset.example(index, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="seed is -1; expected 0 or more"):
        dataset.evaluation_example(1, -1)
