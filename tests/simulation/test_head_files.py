"""Heads from files: what was written is what is heard, and a damaged or foreign file is refused by name."""

import pickle
import sys
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import sofar

from spatial_audio_lm.errors import ConfigError, DataError, MissingExtraError
from spatial_audio_lm.signal.conventions import unit_vector
from spatial_audio_lm.simulation.head_files import HeadStore, load_head
from spatial_audio_lm.simulation.heads import MeasuredHead, SphericalHead, onset_delays
from spatial_audio_lm.simulation.records import Head
from tests.simulation import sampled_heads
from tests.simulation.sampled_heads import write_npz

AZIMUTH, ELEVATION = sampled_heads.grid()
RESPONSES = sampled_heads.responses(AZIMUTH, ELEVATION)


def write_sofa(path: Path, convention: str = "SimpleFreeFieldHRIR", **changes) -> Path:
    sofa = sofar.Sofa(convention)
    sofa.Data_IR = RESPONSES
    sofa.Data_SamplingRate = float(sampled_heads.RATE)
    sofa.SourcePosition = np.stack([AZIMUTH % 360, ELEVATION, np.full(len(AZIMUTH), 1.4)], axis=-1)
    for name, value in changes.items():
        setattr(sofa, name, value)
    sofar.write_sofa(str(path), sofa)
    return path


@pytest.fixture(scope="module")
def expected() -> MeasuredHead:
    return MeasuredHead(np.asarray(unit_vector(AZIMUTH, ELEVATION)), RESPONSES, sampled_heads.RATE)


def assert_same_head(read: MeasuredHead, expected: MeasuredHead) -> None:
    assert read.sample_rate == expected.sample_rate
    np.testing.assert_allclose(read.directions, expected.directions, atol=1e-9)
    directions = np.asarray(unit_vector(np.array([90.0, 33.0, -141.0]), np.array([0.0, 20.0, -35.0])))
    made, wanted = (head.ear_spectra(directions, 1024, 16_000) for head in (read, expected))
    np.testing.assert_allclose(made, wanted, atol=2e-5)
    assert np.abs(wanted[0, 0, 300]) > 3 * np.abs(wanted[0, 1, 300])  # which says where left is


def test_npz_is_read(tmp_path, expected):
    assert_same_head(load_head(write_npz(tmp_path / "head.npz")), expected)
    assert_same_head(load_head(write_npz(tmp_path / "rate.npz", sample_rate=np.array([48_000.0]))), expected)


def test_sofa_is_read(tmp_path, expected):
    assert_same_head(load_head(write_sofa(tmp_path / "head.sofa")), expected)


def test_sofa_with_cartesian_sources(tmp_path, expected):
    metres = 1.4 * np.asarray(unit_vector(AZIMUTH, ELEVATION))
    path = write_sofa(
        tmp_path / "head.sofa", SourcePosition=metres, SourcePosition_Type="cartesian", SourcePosition_Units="metre"
    )
    assert_same_head(load_head(path), expected)


@pytest.mark.parametrize("kind", ["cartesian", "spherical"])
def test_sofa_whose_first_receiver_is_the_right_ear(tmp_path, expected, kind):
    cartesian = kind == "cartesian"
    path = write_sofa(
        tmp_path / "head.sofa",
        Data_IR=RESPONSES[:, ::-1],
        ReceiverPosition=[[0, -0.09, 0], [0, 0.09, 0]] if cartesian else [[300, 0, 0.09], [100, 0, 0.09]],
        ReceiverPosition_Type=kind,
        ReceiverPosition_Units="metre" if cartesian else "degree, degree, metre",
    )
    assert_same_head(load_head(path), expected)


@pytest.mark.parametrize("exchanged", [False, True])
def test_delays_of_a_sofa_file_belong_to_its_receivers(tmp_path, exchanged):
    """Cut to begin with the sound, as files with Data.Delay are: each response by another number of samples."""
    whole = RESPONSES * (np.arange(sampled_heads.TAPS) >= 20)
    delay = np.random.default_rng(0).integers(0, 21, (len(AZIMUTH), 2))
    cut = np.stack([[np.roll(whole[row, ear], -delay[row, ear]) for ear in (0, 1)] for row in range(len(AZIMUTH))])
    ears = [[0, 0.09, 0], [0, -0.09, 0]]
    order = [1, 0] if exchanged else [0, 1]
    path = write_sofa(
        tmp_path / "head.sofa",
        Data_IR=cut[:, order],
        Data_Delay=delay[:, order].astype(float),
        ReceiverPosition=[ears[ear] for ear in order],
    )
    read = load_head(path)
    np.testing.assert_array_equal(read.responses[..., : sampled_heads.TAPS], whole)
    assert read.responses.shape[-1] == sampled_heads.TAPS + 20 and not read.responses[..., sampled_heads.TAPS :].any()


def test_one_delay_for_all_measurements(tmp_path):
    read = load_head(write_sofa(tmp_path / "head.sofa", Data_Delay=[[12.0, 12.0]]))
    np.testing.assert_array_equal(read.responses[..., 12:], RESPONSES)
    assert not read.responses[..., :12].any()


def test_a_mirrored_file_is_refused_and_can_be_mirrored_back(tmp_path, expected):
    for path in (
        write_npz(tmp_path / "clockwise.npz", azimuth_deg=-AZIMUTH),
        write_sofa(
            tmp_path / "clockwise.sofa", SourcePosition=np.stack([-AZIMUTH % 360, ELEVATION, AZIMUTH * 0 + 1], -1)
        ),
    ):
        with pytest.raises(DataError, match=rf"{path.name}: .*the left reaches the right ear first.*mirrored=True"):
            load_head(path)
        assert_same_head(load_head(path, mirrored=True), expected)
    with pytest.raises(DataError, match="reaches the right ear first"):
        load_head(write_npz(tmp_path / "right.npz"), mirrored=True)


def test_directions_in_another_order_are_no_head(tmp_path):
    shuffled = np.random.default_rng(0).permutation(RESPONSES)
    with pytest.raises(DataError, match=r"only \d\d% of its lateral directions"):
        load_head(write_npz(tmp_path / "shuffled.npz", ir=shuffled))


BAD_NPZ = [
    ({"elevation_deg": None}, "lacks elevation_deg; a head has ir, azimuth_deg, elevation_deg, sample_rate"),
    ({"ir": RESPONSES[:, 0]}, r"ir has shape \(375, 256\)"),
    ({"ir": RESPONSES[:, [0, 1, 1]]}, r"ir has shape \(375, 3, 256\)"),
    ({"azimuth_deg": AZIMUTH[:-1]}, r"azimuth_deg \(374,\)"),
    ({"elevation_deg": np.array(0.0)}, r"elevation_deg \(\)"),
    ({"sample_rate": np.array([48_000, 48_000])}, r"sample_rate \(2,\)"),
    ({"sample_rate": np.array(48_000.5)}, r"sample rate 48000\.5: expected a whole number"),
    ({"sample_rate": np.array(np.nan)}, "sample rate nan"),
    ({"sample_rate": np.array(48)}, "sample rate 48: expected a whole number from 4000"),
    ({"ir": RESPONSES * np.nan}, "not finite"),
    ({"azimuth_deg": np.full_like(AZIMUTH, np.inf)}, "not finite"),
    ({"azimuth_deg": AZIMUTH.astype(object)}, "azimuth_deg holds object; expected numbers"),
    ({"azimuth_deg": AZIMUTH.astype(str)}, "azimuth_deg holds <U.*; expected numbers"),
    ({"ir": RESPONSES.astype(complex)}, "ir holds complex128"),
    ({"ir": RESPONSES[:9], "azimuth_deg": AZIMUTH[:9], "elevation_deg": ELEVATION[:9]}, "9 directions do not enclose"),
]


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(("changes", "message"), BAD_NPZ)
def test_a_bad_npz_file_is_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=rf"bad\.npz: .*{message}"):
        load_head(write_npz(tmp_path / "bad.npz", **changes))


def test_an_object_array_is_not_unpickled(tmp_path):
    marker = tmp_path / "was-run"

    class Runs:
        def __reduce__(self):
            return Path.touch, (marker,)

    write_npz(tmp_path / "bad.npz", sample_rate=np.array([Runs()], dtype=object))
    with pytest.raises(DataError, match=r"bad\.npz: sample_rate holds object"):
        load_head(tmp_path / "bad.npz")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Runs()))
    assert marker.exists()  # it would have been


@pytest.mark.parametrize("suffix", [".npz", ".sofa"])
def test_a_truncated_file_is_named(tmp_path, suffix):
    whole = (write_npz if suffix == ".npz" else write_sofa)(tmp_path / f"whole{suffix}").read_bytes()
    for keep in (0, 100, len(whole) // 2, len(whole) - 40):
        (tmp_path / f"cut{suffix}").write_bytes(whole[:keep])
        with pytest.raises(DataError, match=rf"cut\{suffix}: not a readable"):
            load_head(tmp_path / f"cut{suffix}")


def test_a_changed_npz_file_is_named(tmp_path):
    content = bytearray(write_npz(tmp_path / "head.npz").read_bytes())
    content[len(content) // 3] ^= 0xFF
    (tmp_path / "head.npz").write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"head\.npz: not a readable NPZ file: .*CRC"):
        load_head(tmp_path / "head.npz")


def test_an_array_that_claims_more_than_it_has_is_not_allocated(tmp_path):
    path = write_npz(tmp_path / "head.npz")
    claim = path.read_bytes().replace(b"'shape': (375, 2, 256), }        ", b"'shape': (375, 2, 256000000), }  ")
    path.write_bytes(claim)
    with pytest.raises(DataError, match=r"ir claims 768000000000 bytes"):
        load_head(path)
    with netCDF4.Dataset(str(tmp_path / "head.sofa"), "w") as file:
        for name, size in (("M", 1_000_000), ("R", 2), ("N", 1_000_000)):
            file.createDimension(name, size)
        file.createVariable("Data.IR", "f8", ("M", "R", "N"), chunksizes=(1, 1, 1024), compression="zlib")
    with pytest.raises(DataError, match=r"head\.sofa: .*claims an array of 16000000000000 bytes"):
        load_head(tmp_path / "head.sofa")


def test_another_sofa_convention_is_named(tmp_path):
    path = tmp_path / "tf.sofa"
    sofa = sofar.Sofa("SimpleFreeFieldHRTF")
    sofa.Data_Real, sofa.Data_Imag = np.ones((20, 2, 4)), np.ones((20, 2, 4))
    sofa.N = np.arange(4.0)
    sofa.SourcePosition = np.ones((20, 3))
    sofar.write_sofa(str(path), sofa)
    with pytest.raises(DataError, match=r"tf\.sofa: SimpleFreeFieldHRTF .* as SimpleFreeFieldHRIR has them"):
        load_head(path)


BAD_SOFA = [
    ({"Data_IR": np.where(np.arange(256) == 7, np.nan, RESPONSES)}, "not finite"),
    ({"SourcePosition": np.array([[0.0, 0.0, 1.4]])}, "1 directions do not enclose"),
    ({"Data_Delay": [[0.0, 300.0]]}, "delays from 0 to 300 samples; expected 0 to 256"),
    ({"Data_Delay": [[-1.0, 0.0]]}, "delays from -1 to 0 samples"),
    ({"Data_SamplingRate": 100.0}, "sample rate 100"),
    ({"ListenerView": [[0.0, 1.0, 0.0]]}, r"does not look along \+x"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_SOFA)
def test_a_bad_sofa_file_is_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=rf"bad\.sofa: .*{message}"):
        load_head(write_sofa(tmp_path / "bad.sofa", **changes))


def test_what_is_no_file_of_a_head(tmp_path):
    with pytest.raises(DataError, match=r"gone\.sofa: no such file"):
        load_head(tmp_path / "gone.sofa")
    (tmp_path / "head.mat").write_bytes(b"MATLAB")
    with pytest.raises(DataError, match=r"head\.mat: a head is a \.sofa or \.npz file"):
        load_head(tmp_path / "head.mat")


def test_without_sofar_the_extra_is_named(tmp_path, monkeypatch):
    path = write_sofa(tmp_path / "head.sofa")
    monkeypatch.setitem(sys.modules, "sofar", None)  # as where it is not installed
    with pytest.raises(MissingExtraError, match=r"spatial-audio-lm\[sofa\]"):
        load_head(path)


def test_the_store_finds_heads_by_what_is_in_their_files(tmp_path):
    path = write_npz(tmp_path / "sphere-like.npz")
    store = HeadStore(("sphere", "sphere:0.09", str(path)))
    assert store.record("sphere") == Head("sphere") and isinstance(store.model(Head("sphere")), SphericalHead)
    assert store.record("sphere:0.09") == Head("sphere", radius_m=0.09)
    assert store.model(store.record("sphere:0.09")) == SphericalHead(0.09)
    record = store.record(str(path))
    assert record.name == "sphere-like" and record.radius_m is None
    again = pickle.loads(pickle.dumps(store))  # as a worker process gets it
    assert_same_head(again.model(record), store.model(record))
    with pytest.raises(DataError, match=r"head sphere-like .* none of the files given: \[\]"):
        HeadStore().model(record)
    for name, error, message in (
        ("sphere:big", ConfigError, "expected sphere, sphere:RADIUS in metres, or a file"),
        ("sphere:0.5", ConfigError, "heads have 0.06 to 0.12 m"),
        ("gone.sofa", DataError, "no such file"),
    ):
        with pytest.raises(error, match=message):
            store.record(name)


MEASURED = ("MIT_KEMAR_normal_pinna.sofa", "sadie_subject002_kemar_dfc_48k.npz")


@pytest.mark.parametrize("name", MEASURED)
def test_a_dummy_head_hears_what_a_sphere_cannot(data_dir, name):
    """Read with the right sides; its interaural delay is a head's; its pinnae tell front, back, up and down apart."""
    path = data_dir / "real_spatial" / "hrtf" / name
    head = load_head(path)
    with pytest.raises(DataError, match="reaches the right ear first"):
        load_head(path, mirrored=True)
    left = head.responses[np.argmax(head.directions[:, 1])]
    early, late = onset_delays(left) / head.sample_rate
    assert 600e-6 < late - early < 850e-6
    frequency = np.fft.rfftfreq(4096, 1 / 44_100)
    band = (frequency > 3000) & (frequency < 12_000)

    def shape_db(model, azimuth: float, elevation: float):
        level = 20 * np.log10(np.abs(model.ear_spectra(np.atleast_2d(unit_vector(azimuth, elevation)), 4096, 44_100)))
        return (level - level[..., band].mean())[0, 0, band]

    def apart_db(model, one: tuple[float, float], other: tuple[float, float]) -> float:
        return float(np.sqrt(np.square(shape_db(model, *one) - shape_db(model, *other)).mean()))

    for one, other in (((0.0, 0.0), (180.0, 0.0)), ((30.0, 40.0), (30.0, -40.0)), ((0.0, 0.0), (0.0, 60.0))):
        assert apart_db(head, one, other) > 4.0
        assert apart_db(SphericalHead(), one, other) < 1.5
    assert apart_db(SphericalHead(), (30.0, 40.0), (30.0, -40.0)) == 0.0
