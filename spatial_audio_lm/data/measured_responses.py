"""Measured room responses of a folder, with where their sources were.

The folder holds sound files and `rirs.csv` with the columns `file_name`, `format` (mono, binaural, foa), `azimuth_deg`,
`elevation_deg`, `distance_m` (house convention; may be empty) and `room`; others are left alone.
"""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

COLUMNS = ("file_name", "format", "azimuth_deg", "elevation_deg", "distance_m", "room")


@dataclass(frozen=True)
class MeasuredResponse:
    """One response and its source's place; None where the folder does not say."""

    path: Path
    format: str
    room: str
    azimuth_deg: float | None
    elevation_deg: float | None
    distance_m: float | None

    def load(self) -> SpatialAudio:
        """The response as sound."""
        return SpatialAudio.load(self.path, format=self.format)


def measured_responses(folder: str | Path, format: str, room: str | None = None) -> list[MeasuredResponse]:
    """The responses of a folder.

    Args:
        folder: holds `rirs.csv`.
        format: which to take.
        room: which to take, by the beginning of the column's text; None takes all.

    Raises:
        DataError: no such file, a missing column, a row with more or fewer cells than the header, a value that is no
            finite number, or nothing of this format and room.
    """
    path = Path(folder) / "rirs.csv"
    if not path.is_file():
        raise DataError(f"{folder} has no rirs.csv: measured responses need one with the columns {', '.join(COLUMNS)}")
    found = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        if missing := set(COLUMNS) - set(header):
            raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}")
        for cells in reader:
            if len(cells) != len(header):
                raise DataError(f"{path}:{reader.line_num}: {len(cells)} cells under a header of {len(header)}")
            row = dict(zip(header, cells, strict=True))
            if row["format"] != format or (room is not None and not row["room"].startswith(room)):
                continue
            try:
                numbers = [float(row[name]) if row[name] else None for name in COLUMNS[2:5]]
            except ValueError as error:
                raise DataError(f"{path}:{reader.line_num}: {error}; {', '.join(COLUMNS[2:5])} are numbers") from error
            if not all(number is None or math.isfinite(number) for number in numbers):
                raise DataError(
                    f"{path}:{reader.line_num}: {', '.join(COLUMNS[2:5])} are {numbers}; expected finite ones"
                )
            found.append(MeasuredResponse(Path(folder) / row["file_name"], row["format"], row["room"], *numbers))
    if not found:
        raise DataError(f"{path} has no {format} response{'' if room is None else f' of the room {room}'}")
    return found
