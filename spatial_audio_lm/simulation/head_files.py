"""Measured heads from files, checked before they are trusted; the one door for SOFA (AES69) and HRIR tables in NPZ.

SOFA files are in wide use and some of them count azimuth the wrong way round. So a head's ears are asked: a sound that
the file says comes from the left must reach the left ear first and be louder there. A file that fails is refused by
name, and can be read with `mirrored=True` once it is known to be only that.
"""

import math
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.errors import LIMITS, ConfigError, DataError, MissingExtraError, SampleRateError
from spatial_audio_lm.files import sha256_of_file, shown_name
from spatial_audio_lm.signal.conventions import direction_of, great_circle_deg, unit_vector
from spatial_audio_lm.signal.resampling import require_sample_rate
from spatial_audio_lm.simulation.heads import HeadModel, MeasuredHead, SphericalHead, onset_delays
from spatial_audio_lm.simulation.records import Head

SPHERE = "sphere"
NPZ_ARRAYS = ("ir", "azimuth_deg", "elevation_deg", "sample_rate")
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_LATERAL = 0.5  # |y| of a unit vector from which on a direction counts as lateral: 30 degrees off the middle


def load_head(path: str | Path, mirrored: bool = False) -> MeasuredHead:
    """A measured head.

    Args:
        path: a SOFA file with free-field head-related impulse responses (`pip install 'spatial-audio-lm[sofa]'`), or
            an NPZ file with `ir` (directions, 2 ears, taps), `azimuth_deg` and `elevation_deg` (directions,) in the
            house's convention, and `sample_rate` in Hz.
        mirrored: the file counts azimuth clockwise: mirror its directions.

    Raises:
        DataError: no such file, another layout, or a head whose left ear hears what is said to come from the right.
        MissingExtraError: a SOFA file, and nothing to read it with.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{shown_name(path)}: no such file; a head is a .sofa or .npz file")
    if path.stat().st_size > LIMITS.max_decoded_bytes:
        raise DataError(f"{shown_name(path)}: {path.stat().st_size} bytes; at most {LIMITS.max_decoded_bytes} are read")
    readers = {".sofa": _read_sofa, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        raise DataError(f"{shown_name(path)}: a head is a .sofa or .npz file")
    azimuth, elevation, responses, sample_rate = readers[path.suffix.lower()](path)
    directions = np.asarray(unit_vector(-azimuth if mirrored else azimuth, elevation), dtype=np.float64)
    try:
        head = MeasuredHead(directions, responses, require_sample_rate(sample_rate))
    except (DataError, SampleRateError) as error:
        raise DataError(f"{shown_name(path)}: {error}") from error
    _require_sides(head, shown_name(path))
    return head


def _require_sides(head: MeasuredHead, name: str) -> None:
    """Refuse a head whose ears contradict its directions."""
    delays = onset_delays(head.responses)
    lead = delays[:, 1] - delays[:, 0]  # positive: the left ear is first
    level = np.square(head.responses).sum(-1)
    louder = np.log(np.maximum(level[:, 0], 1e-30) / np.maximum(level[:, 1], 1e-30))
    side = head.directions[:, 1]
    lateral = np.abs(side) > _LATERAL
    right = np.sign(side[lateral])
    agreement = float(((np.sign(lead[lateral]) == right).mean() + (np.sign(louder[lateral]) == right).mean()) / 2)
    if agreement < 0.1:
        raise DataError(
            f"{name}: what it says comes from the left reaches the right ear first, and louder: its azimuth counts "
            "clockwise, or its ears are exchanged; if it is only that, read it with mirrored=True"
        )
    if agreement < 0.9:
        raise DataError(
            f"{name}: only {agreement:.0%} of its lateral directions reach the nearer ear first and louder; these are "
            "no head-related responses, or their directions are wrong"
        )


# The sample rate is as the file has it: `require_sample_rate` judges it.
Table = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int | float]


def _read_npz(path: Path) -> Table:
    try:
        with ZipFile(path) as archive:
            if missing := [name for name in NPZ_ARRAYS if f"{name}.npy" not in archive.namelist()]:
                raise DataError(f"{shown_name(path)}: lacks {', '.join(missing)}; a head has {', '.join(NPZ_ARRAYS)}")
            for name in NPZ_ARRAYS:
                _require_claimed_size(archive, name, shown_name(path))
        with np.load(path, allow_pickle=False) as file:
            responses, azimuth, elevation, rate = (file[name] for name in NPZ_ARRAYS)
    except (OSError, BadZipFile, ValueError, KeyError, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{shown_name(path)}: not a readable NPZ file: {error}") from error
    angles = (azimuth.shape, elevation.shape)
    if responses.ndim != 3 or responses.shape[1] != 2 or angles != (responses.shape[:1],) * 2 or rate.size != 1:
        raise DataError(
            f"{shown_name(path)}: ir has shape {responses.shape}, azimuth_deg {azimuth.shape}, elevation_deg "
            f"{elevation.shape}, sample_rate {rate.shape}; expected (directions, 2 ears, taps), twice (directions,) "
            "and one number"
        )
    return (*(array.astype(np.float64) for array in (azimuth, elevation, responses)), _whole(rate.item()))


def _require_claimed_size(archive: ZipFile, name: str, shown: str) -> None:
    """What an array says of itself, before memory for it is asked for."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _NPY_HEADERS:
            raise DataError(f"{shown}: {name} has version {version} of the NPY format; expected 1.0 or 2.0")
        shape, _, dtype = _NPY_HEADERS[version](stream)
    if dtype.kind not in "fiu":
        raise DataError(f"{shown}: {name} holds {dtype}; expected numbers")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > min(info.file_size, LIMITS.max_decoded_bytes):
        raise DataError(
            f"{shown}: {name} claims {claimed} bytes in {info.file_size}; at most {LIMITS.max_decoded_bytes} are read"
        )


def _whole(rate: int | float) -> int | float:
    """44100.0 as 44100; everything else as it is."""
    return int(rate) if math.isfinite(rate) and rate == int(rate) else rate


def _read_sofa(path: Path) -> Table:
    try:
        import sofar
        from netCDF4 import Dataset  # which sofar reads with
    except ImportError as error:
        raise MissingExtraError("reading SOFA files", "sofa", str(error)) from error
    name = shown_name(path)
    try:
        with Dataset(str(path)) as file:
            claimed = 8 * max((math.prod(variable.shape) for variable in file.variables.values()), default=0)
        if claimed > LIMITS.max_decoded_bytes:
            raise DataError(f"claims an array of {claimed} bytes; at most {LIMITS.max_decoded_bytes} are read")
        sofa = sofar.read_sofa(str(path), verify=False, verbose=False)
    except Exception as error:  # whatever netCDF finds wrong with a file
        raise DataError(f"{name}: not a readable SOFA file: {error}") from error
    responses = np.asarray(getattr(sofa, "Data_IR", np.zeros(0)), dtype=np.float64)
    if getattr(sofa, "GLOBAL_DataType", None) != "FIR" or responses.ndim != 3 or responses.shape[1] != 2:
        raise DataError(
            f"{name}: {getattr(sofa, 'GLOBAL_SOFAConventions', 'unknown conventions')} with responses of shape "
            f"{responses.shape}; expected impulse responses (directions, 2 ears, taps), as SimpleFreeFieldHRIR has them"
        )
    position = _rows(sofa.SourcePosition, (len(responses), 3), f"{name}: SourcePosition")
    if sofa.SourcePosition_Type == "spherical":
        if "degree" not in str(sofa.SourcePosition_Units):
            raise DataError(f"{name}: directions in {sofa.SourcePosition_Units!r}; SOFA has degree, degree, metre")
        azimuth, elevation = position[:, 0], position[:, 1]
    else:
        azimuth, elevation = direction_of(position)
    view = _rows(sofa.ListenerView, (len(responses), 3), f"{name}: ListenerView")
    front = unit_vector(view[:, 0], view[:, 1]) if sofa.ListenerView_Type == "spherical" else view
    if (great_circle_deg(front, np.array([1.0, 0.0, 0.0])) > 1.0).any():
        raise DataError(f"{name}: its listener does not look along +x (ListenerView): turn its directions first")
    ears = np.asarray(sofa.ReceiverPosition, dtype=np.float64)
    if ears.shape[:2] != (2, 3):
        raise DataError(f"{name}: ReceiverPosition has shape {ears.shape}; expected (2 ears, 3)")
    ears = ears.reshape(2, 3, -1)[..., 0]
    # Cartesian receivers have +y to the left; spherical ones an azimuth that is positive there.
    left_side = ears[:, 1] if sofa.ReceiverPosition_Type == "cartesian" else unit_vector(ears[:, 0], 0.0)[:, 1]
    left_first = np.argsort(-left_side, kind="stable")
    responses = responses[:, left_first]
    delay = _rows(sofa.Data_Delay, (len(responses), 2), f"{name}: Data.Delay")[:, left_first]
    if not ((delay >= 0) & (delay <= responses.shape[-1])).all():
        raise DataError(
            f"{name}: delays from {delay.min():g} to {delay.max():g} samples; expected 0 to {responses.shape[-1]}"
        )
    if delay.any():
        longest = int(np.ceil(delay.max()))
        padded = np.zeros((*responses.shape[:2], responses.shape[-1] + longest))
        for row, ear in np.ndindex(*responses.shape[:2]):
            start = round(float(delay[row, ear]))
            padded[row, ear, start : start + responses.shape[-1]] = responses[row, ear]
        responses = padded
    return azimuth, elevation, responses, _whole(float(np.asarray(sofa.Data_SamplingRate).ravel()[0]))


def _rows(values: object, shape: tuple[int, int], shown: str) -> NDArray[np.float64]:
    """One row a measurement; SOFA writes one alone where all are the same."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in (shape, shape[1:], (1, shape[1])):
        raise DataError(f"{shown} has shape {array.shape}; expected {shape}, or one row for all")
    return np.broadcast_to(array, shape)


class HeadStore:
    """The heads of a job by their records; measured ones are found again by the digest of their files.

    Args:
        names: as `record` takes them; what counts are the files of measured heads among them.
    """

    def __init__(self, names: tuple[str, ...] = ()):
        self.paths = tuple(name for name in names if name != SPHERE and not name.startswith(f"{SPHERE}:"))
        self._files: dict[str, str] | None = None
        self._loaded: dict[str, HeadModel] = {}

    def record(self, name: str) -> Head:
        """What a bank writes down of a head: "sphere" (radius drawn room by room), "sphere:0.09" (metres), or a path.

        Raises:
            ConfigError: a radius that is not a number.
            DataError: see `load_head`.
        """
        if name == SPHERE:
            return Head(SPHERE)
        if name.startswith(f"{SPHERE}:"):
            try:
                radius = float(name.partition(":")[2])
            except ValueError as error:
                raise ConfigError(f"head {name!r}; expected sphere, sphere:RADIUS in metres, or a file") from error
            return Head(SPHERE, radius_m=SphericalHead(radius).radius_m)
        load_head(name)  # refused now rather than in the middle of a job
        return Head(Path(name).stem, sha256=sha256_of_file(name))

    def model(self, head: Head) -> HeadModel:
        """The head of a record.

        Raises:
            DataError: a measured head whose file is not among the paths.
        """
        if head.sha256 is None:
            return SphericalHead() if head.radius_m is None else SphericalHead(head.radius_m)
        if head.sha256 not in self._loaded:
            if self._files is None:
                self._files = {sha256_of_file(path): path for path in self.paths}
            if head.sha256 not in self._files:
                raise DataError(
                    f"the head {head.name} ({head.sha256[:12]}) is none of the files given: {list(self.paths)}"
                )
            self._loaded[head.sha256] = load_head(self._files[head.sha256])
        return self._loaded[head.sha256]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_loaded": {}}
