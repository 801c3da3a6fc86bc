"""Reading a spatial data set with its channels whole: rows by `datasets`, sounds by `SpatialAudio`.

`datasets` itself averages the channels of a sound where it is asked for one, and needs torchcodec to decode any; the
rows of a part are therefore loaded as a table, and the sound of a row is read here.

    rows = load_dataset("json", data_files="FOLDER/test/metadata.jsonl", split="train")
    audio = row_audio("FOLDER/test", rows[0])
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spatial_audio_lm.data.list_entries import stays_inside
from spatial_audio_lm.errors import ChannelError, DataError
from spatial_audio_lm.signal.spatial_audio import CHANNELS_OF_FORMAT, SpatialAudio


def row_audio(folder: str | Path, row: Mapping[str, Any]) -> SpatialAudio:
    """The sound of a row, with as many channels as the row declares.

    Args:
        folder: of the part, with metadata.jsonl.
        row: of that table (`file_name` and `format`); or of a table that `datasets` loaded as an AudioFolder or
            Parquet with its column `audio` cast to `Audio(decode=False)`, and `format`.

    Raises:
        DataError: a row without these, or a file that is not there.
        ChannelError: a sound with other channels than declared; says what to do.
    """
    declared = row.get("format")
    if declared not in CHANNELS_OF_FORMAT:
        raise DataError(f"the row declares the format {declared!r}; expected one of {', '.join(CHANNELS_OF_FORMAT)}")
    sound, name = row.get("audio"), row.get("file_name")
    if isinstance(sound, Mapping) and sound.get("bytes") is not None:
        with tempfile.TemporaryDirectory() as held:
            path = Path(held) / f"row{Path(sound.get('path') or '.wav').suffix}"
            path.write_bytes(sound["bytes"])
            return _whole(path, declared, str(sound.get("path")))
    if isinstance(sound, Mapping) and sound.get("path"):
        return _whole(Path(sound["path"]), declared, sound["path"])
    if not stays_inside(name):
        raise DataError(
            f"the row has no file_name below {folder} and no undecoded audio: load metadata.jsonl, or cast the column: "
            'cast_column("audio", Audio(decode=False))'
        )
    path = Path(folder) / str(name)
    if not path.is_file():
        raise DataError(f"{path}: no such recording; the folder is that of the part, beside metadata.jsonl")
    return _whole(path, declared, str(path))


def _whole(path: Path, declared: str, shown: str) -> SpatialAudio:
    audio = SpatialAudio.load(path)
    expected = CHANNELS_OF_FORMAT[declared]
    if audio.num_channels != expected:
        raise ChannelError(
            f"{shown} has {audio.num_channels} channel{'s' * (audio.num_channels > 1)}, where {declared} ({expected} "
            "channels) is declared: its channels were mixed or dropped on the way. Make the files again with "
            "recipes/make_spatial_dataset.py, copy them without converting, or declare what they are (format: "
            f"{audio.format})"
        )
    return audio
