"""The binaural room responses of the SpatialSound data set (BAT, SpatialAST), and where their sources are.

What is read: a list `{"data": [{"fname": "<house>/<n>.npy", "sensor_position": "x,y,z", "source_position": ...}]}`, and
each response in `<house>/<n>.npy`: float, `(2, time)`, left ear first, 32 kHz (the file itself does not say its rate).
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spatial_audio_lm.data.list_entries import finite_number, read_list, require_keys, stays_inside
from spatial_audio_lm.data.npy_arrays import open_npy
from spatial_audio_lm.errors import DataError
from spatial_audio_lm.layers.localization_bins import LocalizationBins
from spatial_audio_lm.signal.conventions import direction_of, vector_from_spatial_ast


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """Binaural responses and where their sources are, in the house's convention.

    Args:
        folder: what the names are relative to.
        names: `<house>/<n>.npy`.
        azimuth_deg, elevation_deg, distance_m: `(responses,)`.
        house_of: `(responses,)`, the same number for responses of one house.
    """

    folder: Path
    names: tuple[str, ...]
    azimuth_deg: NDArray[np.float64]
    elevation_deg: NDArray[np.float64]
    distance_m: NDArray[np.float64]
    house_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int, max_samples: int) -> NDArray[np.float32]:
        """The first `max_samples` of a response, `(2, time)`.

        Raises:
            DataError: a file that is missing, of another kind, or holds NaN or infinity.
        """
        path = self.folder / self.names[index]
        with np.errstate(over="ignore"):  # a double of 1e300 becomes infinite, which is refused
            response = np.array(_open_response(path)[:, :max_samples], dtype=np.float32)
        if not np.isfinite(response).all():
            channel, sample = np.argwhere(~np.isfinite(response))[0]
            raise DataError(
                f"{path}: sample {sample} of channel {channel} is {response[channel, sample]}; a response has finite "
                "numbers: copy the file again"
            )
        return response


def read_responses(path: Path, responses: Path, bins: LocalizationBins) -> ResponseTable:
    """The list of responses, each with an existing file of the right shape and a place that has bins.

    The published labels are angles in the axes of the house (the building): there is no orientation of the head, which
    is taken to face its -z.

    Args:
        path: the JSON.
        responses: what its names are relative to.
        bins: distances and directions without a bin are refused.

    Raises:
        DataError: no such file, another layout, a position that is no three numbers, a place without a bin (too far,
            straight above or below), or a response that is missing or of another shape.
    """
    entries = read_list(path, "responses", key="data")
    names, vectors = [], []
    for row, entry in enumerate(entries):
        where = f"{path}: response {row}"
        require_keys(entry, ("fname", "sensor_position", "source_position"), where)
        name = entry["fname"]
        if not stays_inside(name) or len(PurePosixPath(name).parts) < 2:
            raise DataError(f"{where} is called {name!r}; expected '<house>/<number>.npy'")
        names.append(name)
        sensor = _position(entry["sensor_position"], f"{where}: sensor_position")
        vectors.append(_position(entry["source_position"], f"{where}: source_position") - sensor)
    vector = vector_from_spatial_ast(np.array(vectors))
    azimuth_deg, elevation_deg = direction_of(vector)
    distance_m = np.linalg.norm(vector, axis=1)
    if not (level := vector[:, :2].any(axis=1)).all():
        row = int(np.argmin(level))
        raise DataError(
            f"{path}: response {row} ({names[row]}) has its source straight above, below or inside of the head, which "
            "has no azimuth: leave it out of the list"
        )
    labels = {bins.distance_bin: distance_m, bins.azimuth_bin: azimuth_deg, bins.elevation_bin: elevation_deg}
    for bin_of, values in labels.items():
        for row in range(len(names)) if _refusal(bin_of, values) else ():
            if reason := _refusal(bin_of, values[row : row + 1]):
                raise DataError(f"{path}: response {row} ({names[row]}): {reason}")
    if missing := [name for name in names if not (responses / name).is_file()]:
        raise DataError(
            f"{path}: {len(missing)} of {len(names)} responses have no file, the first is {responses / missing[0]}: "
            "unpack the archive of the responses, or say where they are"
        )
    for name in names:
        _open_response(responses / name)
    houses = np.unique([PurePosixPath(name).parts[0] for name in names], return_inverse=True)[1]
    return ResponseTable(responses, tuple(names), azimuth_deg, elevation_deg, distance_m, houses)


def _open_response(path: Path) -> NDArray[np.floating]:
    """A response as its file has it. Mapped, so that a header that claims too much allocates nothing."""
    array = open_npy(path)
    if array.ndim != 2 or array.shape[0] != 2 or not array.size:
        raise DataError(
            f"{path} has the shape {array.shape}; expected (2, time), left ear first: take the binaural responses"
        )
    if array.dtype not in (np.float32, np.float64):
        raise DataError(f"{path} holds {array.dtype}; expected float64 (or float32)")
    return array


def _position(text: Any, where: str) -> NDArray[np.float64]:
    parts = text.split(",") if isinstance(text, str) else []
    if len(parts) != 3:
        raise DataError(f"{where} is {text!r}; expected a string of three numbers in metres, 'x,y,z'")
    return np.array([finite_number(part, where) for part in parts])


def _refusal(bin_of: Any, values: NDArray[np.float64]) -> DataError | None:
    try:
        bin_of(torch.from_numpy(values))
    except DataError as error:
        return error
    return None
