"""GRAM's older layout of responses: one array a response, and a JSON for each house that says what belongs together.

`<responses>/<name>.npy` holds `(channels, taps)`. `<scenes>/*.json` holds `sampled_regions`, a list whose items are
`{"region": {"scene": {"source": {"azimuth", "elevation", "rir": {"binaural_rir_path", "ambisonic_rir_path"}},
"noise": [{"rir": {...}}, ...]}}}`. Of a path only the last part counts. Angles are in degrees, azimuth 0 = front and
+90 = *right*; they are converted here. The arrays do not say their rate (the published ones: 32 kHz).
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.data.folder_listing import files_below, listing_digest
from spatial_audio_lm.data.list_entries import read_list, require_keys
from spatial_audio_lm.data.npy_arrays import finite_float32, open_npy
from spatial_audio_lm.data.response_channels import in_ambix, require_convention
from spatial_audio_lm.errors import ChannelError, DataError
from spatial_audio_lm.signal.conventions import azimuth_from_gram_deg
from spatial_audio_lm.signal.resampling import require_sample_rate
from spatial_audio_lm.simulation.naturalistic_sources import RirRows, TargetPlace, summed

_PATH_OF = {2: "binaural_rir_path", 4: "ambisonic_rir_path"}


class HouseSceneRirs:
    """Responses in GRAM's older layout.

    Args:
        folder: of the arrays.
        sample_rate: Hz of the responses.
        num_channels: which of the two responses of a place: 2 or 4; None: 4 where a convention is given, else 2.
        convention: of four channels: "ambix", "gram", ... (see `signal.ambisonics.convert_foa`), turned to AmbiX here.
            None for two.
        scenes: folder of the JSON files; None: they lie in that of the arrays.

    Attributes:
        sha256: of what the JSON files say, of the arrays' names and sizes, and of the convention; not of their numbers.

    Raises:
        ChannelError: another number of channels.
        FormatError: four channels without a convention.
        DataError: no scene, another layout, an angle out of range, or a response without a file.
    """

    def __init__(
        self,
        folder: str | Path,
        sample_rate: int,
        num_channels: int | None = None,
        convention: str | None = None,
        scenes: str | Path | None = None,
    ):
        self.folder, scenes = Path(folder), Path(folder if scenes is None else scenes)
        self.name, self.sample_rate = scenes.absolute().name, require_sample_rate(sample_rate)
        self.num_channels = num_channels or (2 if convention is None else 4)
        if self.num_channels not in _PATH_OF:
            raise ChannelError(f"num_channels is {num_channels}; expected 2 (two ears) or 4 (ambisonics)")
        self.convention = require_convention(convention, self.num_channels, str(folder))
        self._scenes: dict[str, tuple[list[str], TargetPlace]] = {}
        for path in files_below(scenes, (".json",), "scenes, one JSON a house"):
            for number, region in enumerate(read_list(path, "regions", key="sampled_regions")):
                where = f"{path.relative_to(scenes).as_posix()}: region {number}"
                self._scenes[where] = _scene(region, where, _PATH_OF[self.num_channels])
        needed = sorted({name for names, _ in self._scenes.values() for name in names})
        if missing := [name for name in needed if not (self.folder / name).is_file()]:
            raise DataError(
                f"{self.folder} lacks {len(missing)} of {len(needed)} responses of the scenes, the first is "
                f"{missing[0]}: give the folder of those with {self.num_channels} channels"
            )
        self._names = list(self._scenes)
        self.sha256 = listing_digest(
            {f"{where} {' '.join(names)} {place}": 0 for where, (names, place) in self._scenes.items()}
            | {name: (self.folder / name).stat().st_size for name in needed}
            | {f"convention {convention}": 0}
        )

    def __len__(self) -> int:
        return len(self._names)

    def draw(self, generator: np.random.Generator) -> tuple[RirRows, TargetPlace]:
        name = self._names[generator.integers(len(self._names))]
        responses, place = self._scenes[name]
        return RirRows(name, 0, tuple(range(1, len(responses)))), place

    def load(self, rows: RirRows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        names = self._scenes[rows.set_name][0] if rows.set_name in self._scenes else []
        if not all(0 <= row < len(names) for row in (rows.target, *rows.noise)):
            raise DataError(f"{self.name} has {len(names)} responses of {rows.set_name}, {rows} are asked for")
        return self._response(names[rows.target]), summed([self._response(names[row]) for row in rows.noise])

    def _response(self, name: str) -> NDArray[np.float32]:
        path = self.folder / name
        array = open_npy(path)
        if array.ndim != 2 or not array.size:
            raise DataError(f"{path} has the shape {array.shape}; expected (channels, taps)")
        if array.shape[0] != self.num_channels:
            raise ChannelError(
                f"{path} has {array.shape[0]} channels, expected {self.num_channels}: give the folder of the other "
                "kind, or the other num_channels"
            )
        return in_ambix(finite_float32(array, str(path)), self.convention)


def _scene(region: Any, where: str, path_key: str) -> tuple[list[str], TargetPlace]:
    """File names of a scene's responses, the target's first, and where the target is."""
    require_keys(region, ("region",), where)
    require_keys(region["region"], ("scene",), where)
    scene = region["region"]["scene"]
    require_keys(scene, ("source", "noise"), where)
    require_keys(scene["source"], ("azimuth", "elevation", "rir"), f"{where}, source")
    if not isinstance(scene["noise"], list) or not scene["noise"]:
        raise DataError(f"{where} has no noise; expected a list of one (localized) or more (diffuse)")
    azimuth_deg, elevation_deg = (_angle(scene["source"], name, where) for name in ("azimuth", "elevation"))
    if abs(elevation_deg) > 90:
        raise DataError(f"{where}: elevation is {elevation_deg}; expected degrees from -90 to 90")
    names = [_file_name(place, path_key, where) for place in (scene["source"], *scene["noise"])]
    return names, TargetPlace(azimuth_from_gram_deg(azimuth_deg), elevation_deg)


def _angle(source: Mapping[str, Any], name: str, where: str) -> float:
    value = source[name]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise DataError(f"{where}: {name} is {value!r}; expected a number of degrees")
    return float(value)


def _file_name(place: Any, path_key: str, where: str) -> str:
    require_keys(place, ("rir",), where)
    require_keys(place["rir"], (path_key,), f"{where}, rir")
    path = place["rir"][path_key]
    name = PurePosixPath(path).name if isinstance(path, str) else ""
    if not name or "\0" in name or name == "..":
        raise DataError(f"{where}: {path_key} is {path!r}; expected the path of an .npy file")
    return name
