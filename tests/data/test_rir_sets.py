"""Sets of responses in folders and in shards: what is drawn and loaded, and what is refused."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.data.rir_sets import RirSetFolder, RirSets, RirSetShards
from spatial_audio_lm.errors import ChannelError, DataError, FormatError, FormatWarning, SampleRateError
from spatial_audio_lm.signal.ambisonics import convert_foa
from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.simulation.naturalistic_sources import RirRows, TargetPlace
from tests.data.shards import npy_bytes, responses, write_shard

PLACES = {"000.npy": 1, "001.npy": 3, "002.npy": 5}
SETS = {name: responses(places, seed=places) for name, places in PLACES.items()}


def fill(folder: Path, layout: str, sets: dict[str, np.ndarray] = SETS, convention: str | None = None) -> RirSets:
    """Two houses with the same sets, in one of the layouts."""
    for house in ("shard-000000", "shard-000001"):
        members = {name: npy_bytes(array) for name, array in sets.items()}
        if layout == "shards":
            write_shard(folder / f"{house}.tar", members)
        else:
            for name, content in members.items():
                (folder / house).mkdir(parents=True, exist_ok=True)
                (folder / house / name).write_bytes(content)
    return (RirSetShards if layout == "shards" else RirSetFolder)(folder, sample_rate=32_000, convention=convention)


@pytest.mark.parametrize("layout", ["folder", "shards"])
def test_what_is_drawn_is_what_was_saved(tmp_path: Path, layout: str) -> None:
    rirs = fill(tmp_path / "rirs", layout)
    assert (len(rirs), rirs.num_channels, rirs.sample_rate, rirs.name) == (6, 2, 32_000, "rirs")
    generator, seen = np.random.default_rng(0), set()
    for _ in range(60):
        rows, place = rirs.draw(generator)
        array = SETS[rows.set_name[-7:]]
        assert rows.target == 0 and len(rows.noise) == PLACES[rows.set_name[-7:]] and place == TargetPlace()
        target, noise = rirs.load(rows)
        np.testing.assert_array_equal(target, array[0])
        np.testing.assert_allclose(noise, array[1:].sum(0), atol=1e-5)
        seen.add(rows.set_name)
    assert len(seen) == 6


@pytest.mark.parametrize("layout", ["folder", "shards"])
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_and_four_channels(tmp_path: Path, layout: str, dtype: type) -> None:
    array = responses(2, channels=4).astype(dtype)
    rirs = fill(tmp_path, layout, {"a.npy": array}, "ambix")
    rows, _ = rirs.draw(np.random.default_rng(0))
    assert rirs.num_channels == 4 and rirs.load(rows)[0].dtype == np.float32
    np.testing.assert_array_equal(rirs.load(rows)[0], array[0].astype(np.float32))


@pytest.mark.parametrize("convention", ["ambix", "gram", "fuma"])
def test_four_channels_are_turned_to_ambix(tmp_path: Path, convention: str) -> None:
    """A plane wave from the left front, above, as each convention writes it."""
    direction = unit_vector(30.0, 20.0)[[1, 2, 0]]
    wave = np.concatenate([[1.0], direction]).astype(np.float32)[:, None] * responses(1, channels=1)
    written = convert_foa(torch.from_numpy(wave), "ambix", convention).numpy()
    rirs = fill(tmp_path, "folder", {"a.npy": written}, convention)
    rows, _ = rirs.draw(np.random.default_rng(0))
    for heard, expected in zip(rirs.load(rows), wave, strict=False):
        np.testing.assert_allclose(heard, expected, atol=1e-6)


def test_the_convention_of_four_channels_must_be_said(tmp_path: Path) -> None:
    for convention in (None, "acn"):
        with pytest.raises(FormatError, match=r"four channels, convention is .*expected one of ambix.*say which"):
            fill(tmp_path / "a", "folder", {"a.npy": responses(channels=4)}, convention)
    with pytest.raises(FormatError, match="two channels, which are ears"):
        fill(tmp_path / "b", "folder", SETS, "ambix")
    turned, plain = (fill(tmp_path / "a", "folder", {"a.npy": responses(channels=4)}, c) for c in ("gram", "ambix"))
    assert turned.sha256 != plain.sha256


@pytest.mark.parametrize("layout", ["folder", "shards"])
def test_the_digest_is_that_of_names_and_sizes(tmp_path: Path, layout: str) -> None:
    first, same = fill(tmp_path / "a", layout), fill(tmp_path / "b", layout)
    other = fill(tmp_path / "c", layout, {**SETS, "003.npy": responses()})
    assert first.sha256 == same.sha256 != other.sha256


def test_a_worker_gets_no_cache(tmp_path: Path) -> None:
    rirs = fill(tmp_path, "shards")
    sent = copy.copy(rirs)
    assert rirs.__dict__["_kept"] and not sent.__dict__["_kept"]
    rows, _ = rirs.draw(np.random.default_rng(0))
    np.testing.assert_array_equal(sent.load(rows)[1], rirs.load(rows)[1])


def test_shards_that_are_cut_short_are_left_out_with_a_count(tmp_path: Path) -> None:
    fill(tmp_path, "shards")
    shard = tmp_path / "shard-000001.tar"
    shard.write_bytes(shard.read_bytes()[:20_000])
    with pytest.warns(FormatWarning, match=r"1 of 2 shards are left out: .*shard-000001\.tar is cut short.*copy it"):
        rirs = RirSetShards(tmp_path, 32_000)
    assert len(rirs) == 3 and rirs.shards.num_left_out == 1
    with pytest.raises(DataError, match=r"has no shard-000001\.tar/000\.npy: .* cut short"):
        rirs.load(RirRows("shard-000001.tar/000.npy", 0, (1,)))
    (tmp_path / "shard-000000.tar").write_bytes(b"")
    with pytest.raises(DataError, match="2 of 2 shards are left out"):
        RirSetShards(tmp_path, 32_000)


@pytest.mark.parametrize("layout", ["folder", "shards"])
@pytest.mark.parametrize(
    "array, error, message",
    [
        (np.zeros((2, 400), np.float32), DataError, r"shape \(2, 400\); expected \(1 \+ places of noise, channels"),
        (np.zeros((1, 2, 400), np.float32), DataError, r"shape \(1, 2, 400\)"),
        (np.zeros((6, 2, 0), np.float32), DataError, r"shape \(6, 2, 0\)"),
        (np.zeros((6, 2, 400), np.int16), DataError, "holds int16; expected float32"),
        (np.full((6, 2, 400), np.nan, np.float32), DataError, r"the number at \[0, 0, 0\] is nan"),
        (np.zeros((6, 3, 400), np.float32), ChannelError, r"has 3 channels; expected 2 \(binaural\) or 4"),
        (np.array([[{}]], dtype=object), DataError, "cannot be read as an NPY array"),
    ],
)
def test_what_is_no_set_is_refused_at_the_door(tmp_path: Path, layout: str, array, error, message) -> None:
    with pytest.raises(error, match=message):
        fill(tmp_path, layout, {"a.npy": array})


def test_sets_of_another_kind_among_others_are_named(tmp_path: Path) -> None:
    rirs = fill(tmp_path, "folder", {"a.npy": responses(), "b.npy": responses(channels=4)})
    with pytest.raises(ChannelError, match=r"b\.npy has 4 channels, others here have 2"):
        rirs.load(RirRows("shard-000000/b.npy", 0, (1,)))
    with pytest.raises(ChannelError, match=r"a\.npy has 2 channels; expected 4.*the other kind"):
        RirSetFolder(tmp_path, 32_000, num_channels=4)


def test_rows_that_are_not_there_or_zero_are_named(tmp_path: Path) -> None:
    rirs = fill(tmp_path, "folder", {"a.npy": responses(0)})
    with pytest.raises(DataError, match="all rows of noise are zero"):
        rirs.draw(np.random.default_rng(0))
    with pytest.raises(DataError, match="has 6 rows"):
        rirs.load(RirRows("shard-000000/a.npy", 0, (6,)))
    silent = responses(2)
    silent[0] = 0
    with pytest.raises(DataError, match="the first row is zero"):
        fill(tmp_path / "b", "folder", {"a.npy": silent}).draw(np.random.default_rng(0))


def test_folders_without_sets_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no \.npy file; expected sets of responses"):
        RirSetFolder(tmp_path, 32_000)
    with pytest.raises(DataError, match="is not there; expected a folder of shards"):
        RirSetShards(tmp_path / "none", 32_000)
    write_shard(tmp_path / "a.tar", {"a.json": b"{}"})
    with pytest.raises(DataError, match=r"1 shards without a \.npy member"):
        RirSetShards(tmp_path, 32_000)
    with pytest.raises(SampleRateError, match="does not know its rate: say it in Hz"):
        RirSetShards(write_shard(tmp_path / "b" / "a.tar", {"a.npy": npy_bytes(responses())}).parent, None)
