"""Folders are listed in one order, through links, and never in circles."""

from pathlib import Path

import numpy as np
import pytest

from spatial_audio_lm.data.folder_listing import files_below, listing_digest
from spatial_audio_lm.data.labelled_clips import folder_recordings
from spatial_audio_lm.data.unlabelled_clips import AudioFolder
from spatial_audio_lm.errors import DataError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio


def listed(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder, (".npy",), "arrays")]


def test_names_of_all_kinds(tmp_path: Path) -> None:
    for name in ("b.npy", "a/ü 例.NPY", "a/z.npy", "c.txt", ".d.npy", ".e/f.npy", "g.npy/h.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert listed(tmp_path) == ["a/z.npy", "a/ü 例.NPY", "b.npy", "g.npy/h.npy"]


def test_links_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "folder"
    (store / "deep").mkdir(parents=True)
    (store / "deep" / "a.npy").touch()
    folder.mkdir()
    (folder / "house").symlink_to(store)
    (folder / "b.npy").symlink_to(store / "deep" / "a.npy")
    (folder / "gone.npy").symlink_to(store / "nothing")
    (store / "deep" / "up").symlink_to(store)
    (folder / "self").symlink_to(folder)
    assert listed(folder) == ["b.npy", "house/deep/a.npy"]
    (tmp_path / "link").symlink_to(folder)
    assert listed(tmp_path / "link") == listed(folder)


def test_sounds_that_are_links(tmp_path: Path) -> None:
    """As in the cache of the Hub, whose folders hold links to blobs."""
    sound = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    (tmp_path / "blobs").mkdir()
    SpatialAudio.from_array(sound, 16_000).save(tmp_path / "blobs" / "x.wav")
    (tmp_path / "blobs" / "x.wav").rename(tmp_path / "blobs" / "0123abcd")
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "a.wav").symlink_to("../blobs/0123abcd")
    (folder / "metadata.csv").write_text("file_name,class\na.wav,rain\n")
    clips = AudioFolder(folder, 16_000)
    np.testing.assert_allclose(clips.samples(clips.clip(0)), sound, atol=2e-5)
    np.testing.assert_allclose(folder_recordings(folder).load(0).waveform[0], sound, atol=2e-5)
    (folder / "metadata.csv").write_text("file_name,class\n../blobs/0123abcd,rain\n")
    with pytest.raises(DataError, match="no such file in the folder"):
        folder_recordings(folder)


def test_the_digest_is_of_names_and_sizes() -> None:
    sizes = {"a": 1, "b": 2}
    assert listing_digest(sizes) == listing_digest({**sizes}) != listing_digest({"a": 1, "b": 3})
