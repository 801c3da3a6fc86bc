"""GRAM's older layout: which responses belong together, and angles turned to the house's convention."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatial_audio_lm.data.house_scene_rirs import HouseSceneRirs
from spatial_audio_lm.errors import ChannelError, DataError, FormatError
from tests.data.shards import responses

BINAURAL, FOA = responses(3), responses(3, channels=4, seed=1)


def place(name: str, **more: float) -> dict[str, Any]:
    paths = {"binaural_rir_path": f"/old/disk/{name}_b.npy", "ambisonic_rir_path": f"/old/disk/{name}_a.npy"}
    return {**more, "rir": paths}


def region(azimuth: Any = 90.0, elevation: Any = -30.0, noises: int = 3) -> dict[str, Any]:
    noise = [place(f"n{k}") for k in range(noises)]
    return {"region": {"scene": {"source": place("s", azimuth=azimuth, elevation=elevation), "noise": noise}}}


def write(folder: Path, *regions: Any) -> tuple[Path, Path]:
    """Responses, and one house with these regions."""
    (folder / "rirs").mkdir(parents=True, exist_ok=True)
    (folder / "scenes").mkdir(exist_ok=True)
    for suffix, array in (("b", BINAURAL), ("a", FOA)):
        for number, name in enumerate(("s", "n0", "n1", "n2")):
            np.save(folder / "rirs" / f"{name}_{suffix}.npy", array[number])
    (folder / "scenes" / "house.json").write_text(json.dumps({"sampled_regions": list(regions)}))
    return folder / "rirs", folder / "scenes"


def opened(folders: tuple[Path, Path], channels: int = 2) -> HouseSceneRirs:
    return HouseSceneRirs(folders[0], 32_000, channels, "ambix" if channels == 4 else None, scenes=folders[1])


@pytest.mark.parametrize("array", [BINAURAL, FOA], ids=["ears", "ambisonics"])
def test_responses_and_directions(tmp_path: Path, array: np.ndarray) -> None:
    rirs = opened(write(tmp_path, region(), region(azimuth=270, noises=1)), len(array[0]))
    assert (len(rirs), rirs.num_channels, rirs.sample_rate) == (2, array.shape[1], 32_000)
    drawn = {rows.set_name: (rows, where) for rows, where in (rirs.draw(np.random.default_rng(s)) for s in range(20))}
    rows, where = drawn["house.json: region 0"]
    # Their +90 degrees is to the right, ours to the left.
    assert (where.azimuth_deg, where.elevation_deg, where.distance_m) == (-90.0, -30.0, None)
    assert (rows.target, rows.noise) == (0, (1, 2, 3))
    target, noise = rirs.load(rows)
    np.testing.assert_array_equal(target, array[0])
    np.testing.assert_allclose(noise, array[1:4].sum(0), atol=1e-5)
    rows, where = drawn["house.json: region 1"]
    assert where.azimuth_deg == 90.0 and rows.noise == (1,)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({}, "region 0 lacks region"),
        ({"region": {"scene": {"source": {}, "noise": []}}}, "source lacks azimuth, elevation, rir"),
        (region(noises=0), "has no noise"),
        (region(azimuth="left"), "azimuth is 'left'; expected a number of degrees"),
        (region(azimuth=True), "azimuth is True"),
        (region(elevation=91), "elevation is 91.0; expected degrees from -90 to 90"),
        (region(noises=4), r"lacks 1 of 5 responses of the scenes, the first is n3_b\.npy"),
    ],
)
def test_scenes_that_are_none_are_refused(tmp_path: Path, wrong: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(write(tmp_path, wrong))


@pytest.mark.parametrize("path", ["", 5, "folder/..", "a\0b"])
def test_paths_that_are_none_are_refused(tmp_path: Path, path: Any) -> None:
    wrong = region()
    wrong["region"]["scene"]["source"]["rir"]["binaural_rir_path"] = path
    with pytest.raises(DataError, match="expected the path of an"):
        opened(write(tmp_path, wrong))


def test_other_arrays_formats_and_empty_folders(tmp_path: Path) -> None:
    folders = write(tmp_path, region())
    with pytest.raises(ChannelError, match="num_channels is 1; expected 2"):
        opened(folders, 1)
    with pytest.raises(FormatError, match="convention is None; expected one of ambix"):
        HouseSceneRirs(folders[0], 32_000, 4, scenes=folders[1])
    rirs = opened(folders)
    rows, _ = rirs.draw(np.random.default_rng(0))
    np.save(tmp_path / "rirs" / "s_b.npy", FOA[0])
    with pytest.raises(ChannelError, match="has 4 channels, expected 2"):
        rirs.load(rows)
    np.save(tmp_path / "rirs" / "s_b.npy", FOA)
    with pytest.raises(DataError, match=r"expected \(channels, taps\)"):
        rirs.load(rows)
    with pytest.raises(DataError, match=r"has no \.json file; expected scenes"):
        HouseSceneRirs(folders[0], 32_000)
    write(tmp_path)
    with pytest.raises(DataError, match="expected an object whose 'sampled_regions' is a list of regions"):
        opened(folders)


def test_scenes_beside_the_responses(tmp_path: Path) -> None:
    """The same arguments as for the other layouts, if everything lies in one folder."""
    responses, scenes = write(tmp_path, region())
    (scenes / "house.json").rename(responses / "house.json")
    for channels, convention in ((None, None), (None, "gram"), (2, None), (4, "gram")):
        rirs = HouseSceneRirs(responses, 32_000, channels, convention)
        assert (rirs.num_channels, rirs.name) == (2 if convention is None else 4, "rirs")
