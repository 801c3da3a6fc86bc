"""Rendering: linear, placed, levelled, and the same bits every time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import BankError, ChannelError, ConfigError, DataError, RecordError
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.clips import ClipStore, file_clip, procedural_clip
from spatial_audio_lm.simulation.records import Clip, NoiseRow, SceneRecord, SoundEvent
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, begin_bank, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene
from spatial_audio_lm.simulation.scenes import dry_signal, render_scene, render_sources

RATE = 16_000


@pytest.fixture(scope="module")
def clips() -> dict[str, list[Clip]]:
    return {kind: [procedural_clip(kind, seed, RATE) for seed in (1, 2)] for kind in ("bell", "siren", "knocking")}


@pytest.fixture
def store() -> ClipStore:
    return ClipStore(None, RATE)


def scene(bank, clips, index=0, **settings) -> SceneRecord:
    return sample_scene(SceneSettings(**settings), bank, clips, seed=1, index=index)


def test_same_record_same_bits(bank, clips, store):
    for index in range(5):
        record = scene(
            bank, clips, index, num_sources=3, noise_rate=1.0, equalizer_rate=1.0, overlap_rate=1.0, speeds=(0.9, 1.1)
        )
        again = SceneRecord.from_dict(record.to_dict())
        first = render_scene(record, bank, store).waveform
        second = render_scene(again, RirBank(bank.folder), ClipStore(None, RATE)).waveform
        assert torch.equal(first, second)


def test_scene_is_the_convolution_of_its_parts(bank, clips, store):
    record = replace(scene(bank, clips, duration_s=1.0), peak=None)
    source = record.sources[0]
    dry = dry_signal(source, RATE, store).astype(np.float64)
    rir = bank.rir(source.rir_index).astype(np.float64)
    expected = np.stack([np.convolve(dry, channel)[:RATE] for channel in rir])
    made = render_scene(record, bank, store).waveform.numpy()
    np.testing.assert_allclose(made, expected, atol=2e-6 * np.abs(expected).max() + 1e-7)


def test_sources_add_up(bank, clips, store):
    record = scene(bank, clips, num_sources=4)
    together = render_sources(record.sources, 4 * RATE, bank, store)
    alone = sum(render_sources((source,), 4 * RATE, bank, store) for source in record.sources)
    np.testing.assert_allclose(together, alone, atol=1e-4 * np.abs(together).max())
    assert len({source.rir_index for source in record.sources}) == 4


def test_gain_onset_and_an_earlier_beginning(bank, store):
    clip = procedural_clip("siren", 1, RATE)
    source = scene(bank, {"siren": [clip]}).sources[0]
    plain = store.samples(clip)
    later = dry_signal(replace(source, events=(SoundEvent(clip, 0.5, -20.0),)), RATE, store)
    assert not later[: RATE // 2].any()
    np.testing.assert_allclose(later[RATE // 2 :], 0.1 * plain[: RATE // 2], rtol=1e-5)
    earlier = dry_signal(replace(source, events=(SoundEvent(clip, -1.0),)), RATE, store)
    np.testing.assert_array_equal(earlier, plain[RATE : 2 * RATE])


@pytest.mark.parametrize("kind", ["isotropic", "sensor"])
@pytest.mark.parametrize("color", ["white", "pink"])
def test_noise_has_its_level(bank, clips, store, kind, color):
    record = replace(scene(bank, clips), peak=None)
    clean = render_scene(record, bank, store).waveform.double()
    noisy = render_scene(replace(record, noise=(NoiseRow(kind, 10.0, 7, color),)), bank, store).waveform.double()
    noise = noisy - clean
    assert 10 * torch.log10(clean.square().sum() / noise.square().sum()) == pytest.approx(10.0, abs=0.01)
    ratio = noise[1:].square().mean() / noise[0].square().mean()
    assert ratio == pytest.approx(1 / 3 if kind == "isotropic" else 1.0, rel=0.1)
    half = torch.fft.rfft(noise).abs().square().mean(0)
    low, high = half[200 : len(half) // 8].mean(), half[len(half) // 2 :].mean()
    assert (low / high > 3) == (color == "pink")


def test_placed_noise_comes_from_its_place(bank, clips, store):
    record = replace(scene(bank, clips), peak=None)
    row = NoiseRow("placed", 5.0, sources=scene(bank, clips, index=9, num_sources=3).sources)
    clean = render_scene(record, bank, store).waveform.double()
    noisy = render_scene(replace(record, noise=(row,)), bank, store).waveform.double()
    noise = noisy - clean
    assert 10 * torch.log10(clean.square().sum() / noise.square().sum()) == pytest.approx(5.0, abs=0.01)
    expected = torch.from_numpy(render_sources(row.sources, noise.shape[-1], bank, store)).double()
    cosine = (noise * expected).sum() / (noise.norm() * expected.norm())
    assert cosine == pytest.approx(1.0, abs=1e-4)


def test_peak_is_set(bank, clips, store):
    assert render_scene(scene(bank, clips), bank, store).waveform.abs().max() == pytest.approx(0.5, rel=1e-6)


def test_settings_reach_the_scene(bank, clips):
    drawn = [scene(bank, clips, i, num_sources=2, equalizer_rate=0.5, noise_rate=0.5) for i in range(60)]
    assert all(len(record.sources) == 2 for record in drawn)
    assert 15 < sum(bool(record.noise) for record in drawn) < 45
    assert 30 < sum(bool(s.equalizer_db) for record in drawn for s in record.sources) < 90
    assert drawn[0] == scene(bank, clips, 0, num_sources=2, equalizer_rate=0.5, noise_rate=0.5)
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"num_sources": 5},
        {"num_sources": 0},
        {"duration_s": 0.0},
        {"duration_s": float("nan")},
        {"speeds": ()},
        {"noise_rate": 2.0},
        {"snr_db": (50.0, 15.0)},
        {"gap_s": (-1.0, 0.5)},
    ],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ConfigError):
        SceneSettings(**settings)


def test_another_bank_is_refused(bank, clips, store, tmp_path):
    other = make_bank(tmp_path / "other", BankSettings(num_rooms=1, sources_per_room=1, seed=99))
    with pytest.raises(RecordError, match="was made with the bank"):
        render_scene(scene(bank, clips), other, store)


def test_a_changed_clip_is_noticed(bank, clips, store):
    record = scene(bank, clips)
    source = record.sources[0]
    event = source.events[0]
    changed = replace(event, clip=replace(event.clip, sha256="0" * 64))
    with pytest.raises(RecordError, match="not the one the record was made with"):
        render_scene(replace(record, sources=(replace(source, events=(changed,)),)), bank, store)


def test_another_rate_is_refused(bank, clips):
    with pytest.raises(RecordError, match="16000 Hz, the clip store has 8000 Hz"):
        render_scene(scene(bank, clips), bank, ClipStore(None, 8000))


def test_file_clips_are_cut_to_their_sound(tmp_path):
    samples = torch.zeros(1, 2 * RATE)
    samples[0, RATE // 2 : RATE] = 0.3 * torch.sin(torch.arange(RATE // 2) * 0.3)
    SpatialAudio.from_array(samples, RATE).save(tmp_path / "beep.wav")
    clip = file_clip(tmp_path, "beep.wav")
    assert clip.start_s == pytest.approx(0.5, abs=0.03) and clip.duration_s == pytest.approx(0.5, abs=0.05)
    store = ClipStore(tmp_path, RATE)
    assert len(store.samples(clip)) == pytest.approx(clip.duration_s * RATE, abs=1)
    assert len(store.samples(replace(clip, speed=2.0))) == pytest.approx(clip.duration_s * RATE / 2, abs=2)
    SpatialAudio.from_array(samples * 0.5, RATE).save(tmp_path / "beep.wav")
    with pytest.raises(RecordError, match="SHA-256"):
        ClipStore(tmp_path, RATE).samples(clip)


def test_bad_file_clips_are_named(tmp_path):
    SpatialAudio.from_array(torch.zeros(1, RATE), RATE).save(tmp_path / "silent.wav")
    with pytest.raises(DataError, match=r"silent\.wav is silent"):
        file_clip(tmp_path, "silent.wav")
    SpatialAudio.from_array(torch.randn(2, RATE) * 0.1, RATE).save(tmp_path / "two.wav")
    with pytest.raises(ChannelError, match="2 channels"):
        file_clip(tmp_path, "two.wav")
    with pytest.raises(RecordError, match="leaves its folder"):
        file_clip(tmp_path, "../two.wav")
    with pytest.raises(RecordError, match="say which folder"):
        ClipStore(None, RATE).samples(Clip("file", "two.wav", "0" * 64))


def test_bank_of_another_version_is_refused(bank, tmp_path):
    text = (bank.folder / "bank.json").read_text()
    (tmp_path / "bank.json").write_text(text.replace('"version": 1', '"version": 0'))
    with pytest.raises(BankError, match="made by bank version 0"):
        RirBank(tmp_path)


def test_unfinished_and_missing_banks_are_named(tmp_path):
    with pytest.raises(BankError, match="is no bank"):
        RirBank(tmp_path)
    begin_bank(tmp_path, BankSettings(num_rooms=2))
    with pytest.raises(BankError, match="is not finished"):
        RirBank(tmp_path)
    with pytest.raises(BankError, match=r"settings\.num_rooms = 2, this job has 3"):
        begin_bank(tmp_path, BankSettings(num_rooms=3))


def test_splits_share_no_room(bank, tmp_path):
    test = make_bank(tmp_path / "test", BankSettings(split="test", num_rooms=4, seed=5, rooms_per_shard=2))
    assert not {row.size_m for row in bank.rows} & {row.size_m for row in test.rows}


def test_rows_say_what_is_measured(bank):
    for row in bank.rows:
        rir = bank.rir(row.index)
        assert rir.shape[0] == 4 and rir.dtype == np.float32
        assert 0.02 < row.t30_s < 4 and -25 < row.drr_db < 25 and row.c50_db > -10
        assert row.volume_m3 == pytest.approx(np.prod(row.size_m))
    with pytest.raises(BankError, match="it holds 16"):
        bank.rir(16)


def test_a_record_that_lies_about_its_place_is_refused(bank, clips, store):
    record = scene(bank, clips)
    moved = replace(record.sources[0], azimuth_deg=-record.sources[0].azimuth_deg)
    with pytest.raises(RecordError, match="says azimuth_deg"):
        render_scene(replace(record, sources=(moved,)), bank, store)


def test_a_changed_shard_is_noticed(tmp_path):
    own = make_bank(tmp_path / "bank", BankSettings(num_rooms=1, sources_per_room=1, seed=4))
    shard = tmp_path / "bank" / "shard-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(BankError, match="not the file the bank was finished with"):
        RirBank(own.folder).rir(0)
