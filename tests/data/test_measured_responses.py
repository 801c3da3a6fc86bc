"""Measured responses of a folder: which are taken, where their sources were, and what is refused."""

from pathlib import Path

import pytest
import torch

from spatial_audio_lm.data.measured_responses import MeasuredResponse, measured_responses
from spatial_audio_lm.errors import AudioFileError, ChannelError, DataError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio

HEADER = "room,file_name,licence,format,azimuth_deg,elevation_deg,distance_m\n"  # in any order, with others
ROWS = [
    "lab_a,lab/left.wav,CC0,binaural,90.0,0.0,1.5",
    "lab_a,lab/right.wav,CC0,binaural,-90,-12.5,2",
    "lab_b,behind.wav,CC0,binaural,-180.0,,",
    "hall,hall.wav,CC-BY,foa,,,",
    "hall,omni.wav,CC-BY,mono,10,0,4",
]


def write(folder: Path, rows: list[str], header: str = HEADER) -> Path:
    (folder / "rirs.csv").write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return folder


def test_responses_of_a_format_and_where_their_sources_were(tmp_path: Path) -> None:
    left, right, behind = measured_responses(write(tmp_path, ROWS), "binaural")
    assert left == MeasuredResponse(tmp_path / "lab" / "left.wav", "binaural", "lab_a", 90.0, 0.0, 1.5)
    assert (right.azimuth_deg, right.elevation_deg, right.distance_m) == (-90.0, -12.5, 2.0)
    assert (behind.azimuth_deg, behind.elevation_deg, behind.distance_m) == (-180.0, None, None)
    (foa,) = measured_responses(tmp_path, "foa")
    assert (foa.room, foa.azimuth_deg) == ("hall", None)


def test_a_room_is_taken_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    names = {
        room: [r.path.name for r in measured_responses(str(tmp_path), "binaural", room)] for room in ("lab", "lab_a")
    }
    assert names == {"lab": ["left.wav", "right.wav", "behind.wav"], "lab_a": ["left.wav", "right.wav"]}


def test_a_response_is_loaded_in_its_format(tmp_path: Path) -> None:
    write(
        tmp_path, ["lab,two.wav,CC0,binaural,30,0,1", "lab,one.wav,CC0,binaural,30,0,1", "lab,no.wav,CC0,binaural,,,"]
    )
    waveform = torch.zeros(2, 100)
    waveform[0, 3], waveform[1, 7] = 0.5, 0.25
    SpatialAudio(waveform, 48_000, "binaural").save(tmp_path / "two.wav")
    SpatialAudio(waveform[:1], 48_000, "mono").save(tmp_path / "one.wav")
    two, one, missing = measured_responses(tmp_path, "binaural")
    audio = two.load()
    assert (audio.format, audio.sample_rate) == ("binaural", 48_000) and torch.equal(audio.waveform, waveform)
    with pytest.raises(ChannelError, match="binaural"):
        one.load()
    with pytest.raises(AudioFileError, match=r"no\.wav"):
        missing.load()


@pytest.mark.parametrize(
    "rows, header, message",
    [
        (
            ROWS,
            "room,file_name,licence,format,azimuth,elevation,distance_m\n",
            "lacks the columns azimuth_deg, elevation",
        ),
        ([], "", "lacks the columns"),
        ([], HEADER, "has no binaural response$"),
        (ROWS[3:], HEADER, "has no binaural response$"),
        ([ROWS[0], "lab,x.wav,CC0,binaural,left,0,1"], HEADER, r"rirs\.csv:3: .*'left'; azimuth_deg, elevation_deg"),
        (["lab,x.wav,CC0,binaural,nan,0,1"], HEADER, r"rirs\.csv:2: .*nan.* expected finite"),
        (["lab,x.wav,CC0,binaural,0,0,inf"], HEADER, r"rirs\.csv:2: .*inf.* expected finite"),
        (["lab,x.wav,CC0,binaural,10"], HEADER, r"rirs\.csv:2: 5 cells under a header of 7"),
        (["lab,x.wav,CC0,binaural,10,0,1,2"], HEADER, r"rirs\.csv:2: 8 cells under a header of 7"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, rows: list[str], header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        measured_responses(write(tmp_path, rows, header), "binaural")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no rirs\.csv: .* columns file_name, format, azimuth_deg, elevation_deg"):
        measured_responses(tmp_path, "binaural")
    write(tmp_path, ROWS)
    with pytest.raises(DataError, match=r"has no binaural response of the room cellar$"):
        measured_responses(tmp_path, "binaural", "cellar")
    with pytest.raises(DataError, match=r"has no stereo response$"):
        measured_responses(tmp_path, "stereo")
