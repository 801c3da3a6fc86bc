"""Banks and scenes with two ears: drawn heads are written down, found again, and give the same bits."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import csd, welch

from spatial_audio_lm.errors import BankError, ConfigError, DataError, RecordError
from spatial_audio_lm.simulation.clips import ClipStore, procedural_clip
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.heads import SphericalHead
from spatial_audio_lm.simulation.records import Head, NoiseRow, SceneRecord
from spatial_audio_lm.simulation.rir_bank import (
    SPHERE_RADII_M,
    BankSettings,
    RirBank,
    begin_bank,
    finish_bank,
    make_bank,
    process_shard,
)
from spatial_audio_lm.simulation.rooms import sample_elevation
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene
from spatial_audio_lm.simulation.scenes import render_scene
from tests.simulation.sampled_heads import write_npz

RATE = 16_000
SPHERES = BankSettings(
    num_rooms=6,
    sources_per_room=2,
    rooms_per_shard=2,
    seed=5,
    receiver_format="binaural",
    elevations="isotropic",
    heads=(Head("sphere"), Head("sphere", radius_m=0.11)),
)


@pytest.fixture(scope="module")
def ears(tmp_path_factory) -> RirBank:
    return make_bank(tmp_path_factory.mktemp("banks") / "ears", SPHERES)


@pytest.fixture(scope="module")
def clips():
    return {kind: [procedural_clip(kind, 1, RATE)] for kind in ("siren", "bell")}


@pytest.fixture
def store() -> ClipStore:
    return ClipStore(None, RATE)


def test_every_row_has_the_head_that_was_drawn(ears):
    by_room = {row.room: row.head for row in ears.rows}
    assert all(row.head == by_room[row.room] and row.head.name == "sphere" for row in ears.rows)
    radii = {head.radius_m for head in by_room.values()}
    assert radii <= set(SPHERE_RADII_M) | {0.11} and len(radii) > 2
    for row in ears.rows:
        rir = ears.rir(row.index)
        assert rir.shape[0] == 2 and rir.dtype == np.float32
        assert 0.02 < row.t30_s < 4 and -25 < row.drr_db < 25


def test_sources_at_the_left_are_louder_at_the_left_ear(ears):
    """By the side that the row says, over direct sound and room."""
    for row in ears.rows:
        energy = np.square(ears.rir(row.index), dtype=np.float64).sum(1)
        side = np.sin(np.radians(row.azimuth_deg)) * np.cos(np.radians(row.elevation_deg))
        if abs(side) > 0.5:
            assert np.sign(energy[0] - energy[1]) == np.sign(side)


def test_isotropic_elevations_are_drawn():
    generator = np.random.default_rng(0)
    drawn = np.array([sample_elevation(generator, "isotropic") for _ in range(4000)])
    assert drawn.min() > -47.6 and drawn.max() < 48.8
    height = np.sin(np.radians(drawn))  # every part of a sphere alike: heights are uniform
    counts, _ = np.histogram(height, bins=8, range=(np.sin(np.radians(-47.5)), np.sin(np.radians(48.7))))
    assert counts.min() > 0.85 * 500 and counts.max() < 1.15 * 500


def test_a_bank_is_drawn_with_its_elevations(ears, tmp_path):
    captions = make_bank(tmp_path / "bank", replace(SPHERES, num_rooms=1, elevations="captions"))
    for here, there in zip(ears.rows, captions.rows, strict=False):
        assert here.size_m == there.size_m and here.head == there.head and here.elevation_deg != there.elevation_deg


def test_ambisonic_banks_have_no_heads(bank):
    assert all(row.head is None for row in bank.rows)
    for path in bank.folder.glob("shard-*.json"):
        assert all("head" not in row for row in json.loads(path.read_text()))
    assert json.loads((bank.folder / "bank.json").read_text())["settings"]["heads"] == []


def test_a_bank_from_before_heads_still_opens_and_goes_on(tmp_path):
    settings = BankSettings(num_rooms=2, sources_per_room=1, rooms_per_shard=1, seed=4)
    whole = make_bank(tmp_path / "whole", settings)
    old = tmp_path / "old"
    begin_bank(old, settings)
    content = json.loads((old / "bank.json").read_text())
    for name in ("heads", "elevations"):
        del content["settings"][name]
    (old / "bank.json").write_text(json.dumps(content))
    process_shard(0, settings, old)
    begin_bank(old, settings)
    assert make_bank(old, settings).sha256 == whole.sha256
    assert RirBank(old).settings == settings
    with pytest.raises(BankError, match=r"settings\.elevations = 'captions', this job has 'isotropic'"):
        begin_bank(old, replace(settings, elevations="isotropic"))


def test_a_binaural_bank_goes_on_where_it_was_to_the_same_bytes(ears, tmp_path):
    folder = tmp_path / "killed"
    begin_bank(folder, SPHERES)
    assert process_shard(1, SPHERES, folder)
    (folder / "shard-00002.safetensors").write_bytes(b"half of")  # its rows were not yet there
    (folder / ".unfinished-1-abc.json").write_text("[")
    with pytest.raises(BankError, match="missing: run the job again"):
        finish_bank(folder, SPHERES)
    again = make_bank(folder, SPHERES)
    assert again.sha256 == ears.sha256 and again.rows == ears.rows
    assert not process_shard(1, SPHERES, folder) and not list(folder.glob(".unfinished*"))


def test_another_head_is_another_bank(ears):
    with pytest.raises(BankError, match=r"begun with settings\.heads = .*, this job has"):
        begin_bank(ears.folder, replace(SPHERES, heads=(Head("sphere"),)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"receiver_format": "binaural"}, "'binaural' with 0 heads: binaural banks need at least one"),
        ({"heads": (Head("sphere"),)}, "'foa' with 1 heads: .* others none"),
        ({"elevations": "sideways"}, "elevations is 'sideways'; one of"),
        ({"split": "all"}, "split is 'all'"),
        ({"num_rooms": 0}, "at least 1"),
    ],
)
def test_bad_bank_settings_are_refused(settings, message):
    with pytest.raises(BankError, match=message):
        BankSettings(**settings)


def test_a_receiver_of_another_kind_is_refused():
    with pytest.raises(RecordError, match=r"'quad' is not known; this version has \['binaural', 'foa'\]"):
        BankSettings(receiver_format="quad")
    with pytest.raises(ConfigError, match="heads have"):
        process_shard(0, replace(SPHERES, heads=(Head("sphere", radius_m=0.3),)), Path("never"))


def test_a_bank_heard_by_a_measured_head_wants_its_file(tmp_path):
    path = write_npz(tmp_path / "dummy.npz")
    heads = HeadStore((str(path),))
    settings = replace(SPHERES, num_rooms=1, heads=(heads.record(str(path)),))
    with pytest.raises(DataError, match=r"the head dummy .* is none of the files given"):
        make_bank(tmp_path / "bank", settings)
    made = make_bank(tmp_path / "bank", settings, heads)
    assert {row.head.name for row in made.rows} == {"dummy"} and made.rows[0].head.sha256 == settings.heads[0].sha256
    # What was measured is a sphere of average size: the same rooms, heard by that one, differ between the ears alike.
    sphere = make_bank(tmp_path / "sphere", replace(settings, heads=(Head("sphere", radius_m=0.0875),)))
    for row in made.rows:
        ratios = []
        for other in (made, sphere):
            left, right = np.abs(np.fft.rfft(other.rir(row.index)[:, :550], 4096))[:, 100:500]  # to 2 kHz, early
            ratios.append(np.log10(left / right))
        assert np.corrcoef(*ratios)[0, 1] > 0.98


def test_a_scene_says_who_hears_it_and_renders_again_bit_for_bit(ears, clips, store, tmp_path):
    for index in range(4):
        settings = SceneSettings(num_sources=2, noise_rate=1.0, equalizer_rate=1.0, duration_s=2.0)
        record = sample_scene(settings, ears, clips, seed=1, index=index)
        head = ears.rows[record.sources[0].rir_index].head
        assert head is not None and head.radius_m is not None
        assert record.receiver.format == "binaural" and record.receiver.head == head
        record.save(tmp_path / "scene.json")
        again = SceneRecord.load(tmp_path / "scene.json")
        assert again == record and again.receiver.head == head
        first = render_scene(record, ears, store)
        second = render_scene(again, RirBank(ears.folder), ClipStore(None, RATE))
        assert first.format == "binaural" and first.waveform.shape == (2, 2 * RATE)
        assert torch.equal(first.waveform, second.waveform)


def test_bad_heads_in_records_are_named(ears, clips):
    data = sample_scene(SceneSettings(), ears, clips, seed=1, index=0).to_dict()
    data["receiver"]["head"] = {"name": "sphere", "radius_m": "wide"}
    with pytest.raises(RecordError, match=r"receiver\.head\.radius_m is 'wide'; float is wanted"):
        SceneRecord.from_dict(data)
    data["receiver"]["head"] = {"name": "sphere", "ears": 2}
    with pytest.raises(RecordError, match=r"receiver\.head has unknown keys: ears"):
        SceneRecord.from_dict(data)


def test_a_record_from_before_heads_is_read(bank, clips):
    data = sample_scene(SceneSettings(), bank, clips, seed=1, index=0).to_dict()
    assert data["receiver"].pop("head") is None
    assert SceneRecord.from_dict(data).receiver.head is None


@pytest.mark.parametrize("kind", ["isotropic", "sensor"])
def test_isotropic_noise_is_alike_at_both_ears_where_waves_are_long(ears, clips, store, kind):
    record = replace(sample_scene(SceneSettings(duration_s=8.0), ears, clips, seed=1, index=0), peak=None)
    clean = render_scene(record, ears, store).waveform.double()
    noisy = render_scene(replace(record, noise=(NoiseRow(kind, 10.0, 7),)), ears, store).waveform.double()
    assert 10 * torch.log10(clean.square().sum() / (noisy - clean).square().sum()) == pytest.approx(10.0, abs=0.01)
    left, right = (noisy - clean).numpy()
    frequency, cross = csd(left, right, RATE, nperseg=1024)
    powers = [welch(ear, RATE, nperseg=1024)[1] for ear in (left, right)]
    coherence = cross.real / np.sqrt(powers[0] * powers[1])
    if kind == "sensor":
        assert np.abs(coherence[1:]).max() < 0.35
        return
    heard_by = SphericalHead(record.receiver.head.radius_m).diffuse_spectra(1024, RATE)
    expected = heard_by[2].real / np.sqrt(heard_by[0] * heard_by[1])
    assert np.abs(coherence - expected)[4:-4].max() < 0.3  # of 250 windows
    for low, high in ((50, 200), (200, 400), (500, 1000), (2000, 7500)):
        band = (frequency >= low) & (frequency < high)
        assert coherence[band].mean() == pytest.approx(expected[band].mean(), abs=0.04)
    assert coherence[(frequency > 50) & (frequency < 150)].mean() > 0.9
