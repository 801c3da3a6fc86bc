"""Naturalistic scenes: drawn from (seed, k), kept as JSON, rendered again to the bit, measured."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import AudioValueError, BankError, ConfigError, RecordError, SampleRateError
from spatial_audio_lm.simulation.clips import ClipStore, procedural_clip
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.naturalistic_mixing import convolve, level_normalised
from spatial_audio_lm.simulation.naturalistic_records import NaturalisticRecord, NaturalisticSettings
from spatial_audio_lm.simulation.naturalistic_scenes import draw_naturalistic, render_naturalistic
from spatial_audio_lm.simulation.naturalistic_sources import BankRirs, ClipSource, ListedClips, NoRirs, RirSource
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.worker_processes import start_worker

RATE = 16_000
SETTINGS = NaturalisticSettings(duration_s=5.0)


def sounds(*kinds: str) -> ListedClips:
    """Two clips of four seconds of each kind."""
    clips = [procedural_clip(kind, seed, RATE) for kind in kinds for seed in (1, 2)]
    return ListedClips(clips, [clip.name for clip in clips], ClipStore(None, RATE))


class Noise(ListedClips):
    """Clips of noise, each given as long as the test wants."""

    def __init__(self, length: int):
        clip = procedural_clip("wind", 3, RATE)
        super().__init__([clip], [None], ClipStore(None, RATE))
        self._length = length

    def samples(self, clip):
        return np.resize(super().samples(clip), self._length)


@pytest.fixture(scope="module")
def targets() -> ListedClips:
    return sounds("bell", "siren")


def draw(index: int, targets: ClipSource, noises: ClipSource, rirs: RirSource, **settings) -> NaturalisticRecord:
    return draw_naturalistic(replace(SETTINGS, **settings), targets, noises, rirs, seed=3, index=index)


def dry_target(record: NaturalisticRecord, targets: ClipSource) -> torch.Tensor:
    clip = level_normalised(torch.from_numpy(targets.samples(record.clip)))[: record.num_samples]
    return torch.nn.functional.pad(clip, (0, record.num_samples - len(clip)))


@pytest.mark.parametrize("length", [RATE, 5 * RATE, 7 * RATE])
def test_the_ratio_and_the_room_are_those_of_the_record(bank, targets, length) -> None:
    noises, rirs = Noise(length), BankRirs(bank)
    for index in range(4):
        record = draw(index, targets, noises, rirs)
        scene = render_naturalistic([record], targets, noises, rirs)[0]
        assert scene.shape == (4, 5 * RATE)
        response = torch.from_numpy(rirs.load(record.rirs.rows)[0])
        target = convolve(dry_target(record, targets)[None], response)
        added, begin = scene - target, record.noise.begin
        active = slice(begin, begin + min(length, 5 * RATE))
        ratio = 10 * torch.log10(target[:, active].square().sum() / added[:, active].square().sum())
        assert float(ratio) == pytest.approx(record.noise.snr_db, abs=0.05)
        assert 5 <= record.noise.snr_db <= 40
        assert added[:, :begin].abs().sum() <= 1e-6 * begin


def test_where_noise_begins(bank, targets) -> None:
    """Uniformly, so that half of the shorter of clip and noise sounds with the other; crops begin anywhere."""
    rirs, short, longer = BankRirs(bank), Noise(RATE), Noise(7 * RATE)
    begins = [draw(k, targets, short, rirs).noise.begin for k in range(200)]
    assert min(begins) < 0.1 * RATE and 3.3 * RATE < max(begins) <= 3.5 * RATE  # the clips end after 4 s
    long = [draw(k, targets, longer, rirs).noise for k in range(200)]
    assert {noise.begin for noise in long} == {0}
    assert min(n.crop for n in long) < 0.1 * RATE and 1.9 * RATE < max(n.crop for n in long) <= 2 * RATE
    exact = draw(0, targets, Noise(5 * RATE), rirs).noise
    assert (exact.begin, exact.crop) == (0, 0)


def test_rows_are_of_one_room_and_half_of_the_noises_are_localized(bank, targets) -> None:
    rirs, noises, places = BankRirs(bank), Noise(RATE), []
    for index in range(200):
        rows = draw(index, targets, noises, rirs).rirs.rows
        assert len({row // 4 for row in (rows.target, *rows.noise)}) == 1
        assert len({rows.target, *rows.noise}) == 1 + len(rows.noise)
        places.append(len(rows.noise))
    assert set(places) == {1, 3} and 70 < places.count(1) < 130
    assert {len(draw(k, targets, noises, BankRirs(bank, 1.0)).rirs.rows.noise) for k in range(20)} == {1}


def test_a_binaural_bank_gives_two_ears(targets, tmp_path) -> None:
    heads = (HeadStore().record("sphere"),)
    settings = BankSettings(num_rooms=1, sources_per_room=2, receiver_format="binaural", heads=heads)
    ears = make_bank(tmp_path / "ears", settings)
    noises, rirs = Noise(RATE), BankRirs(ears, localized_rate=1.0)
    record = draw(0, targets, noises, rirs)
    assert rirs.num_channels == 2 and sorted((record.rirs.rows.target, *record.rirs.rows.noise)) == [0, 1]
    target, noise = rirs.load(record.rirs.rows)
    np.testing.assert_array_equal(target, ears.rir(record.rirs.rows.target))
    np.testing.assert_array_equal(noise, ears.rir(record.rirs.rows.noise[0]))
    assert render_naturalistic([record], targets, noises, rirs).shape == (1, 2, 5 * RATE)


def test_the_record_knows_where_its_target_is(bank, targets) -> None:
    record = draw(5, targets, Noise(RATE), BankRirs(bank))
    row, place = bank.rows[record.rirs.rows.target], record.rirs.place
    assert (place.azimuth_deg, place.elevation_deg, place.distance_m) == (
        row.azimuth_deg, row.elevation_deg, row.distance_m,
    )  # fmt: skip
    assert record.clip == targets.clip(1) and record.sound_class == "bell"


def test_same_record_same_bits_alone_or_in_a_batch_and_through_json(bank, targets, tmp_path) -> None:
    noises, rirs = Noise(2 * RATE), BankRirs(bank)
    records = [draw(k, targets, noises, rirs, clean_ratio=0.3) for k in range(6)]
    together = render_naturalistic(records, targets, noises, rirs)
    for record, scene in zip(records, together, strict=True):
        record.save(tmp_path / "scene.json")
        again = NaturalisticRecord.load(tmp_path / "scene.json")
        assert again == record
        other = BankRirs(RirBank(bank.folder))
        assert torch.equal(render_naturalistic([again], sounds("bell", "siren"), Noise(2 * RATE), other)[0], scene)


def _scene(folder: str, index: int) -> bytes:
    targets, noises, rirs = sounds("bell", "siren"), Noise(2 * RATE), BankRirs(RirBank(folder))
    return render_naturalistic([draw(index, targets, noises, rirs)], targets, noises, rirs).numpy().tobytes()


def test_scene_k_is_the_same_in_every_process(bank) -> None:
    with ProcessPoolExecutor(1, get_context("spawn"), start_worker) as pool:
        there = list(pool.map(_scene, [str(bank.folder)] * 2, (1, 6), timeout=120))
    assert there == [_scene(str(bank.folder), 1), _scene(str(bank.folder), 6)] and there[0] != there[1]


def test_a_clean_clip_is_the_dry_one_in_every_channel(bank, targets) -> None:
    noises, rirs = Noise(RATE), BankRirs(bank)
    record = draw(0, targets, noises, rirs, clean_ratio=1.0)
    assert record.rirs is None and record.noise is None
    scene = render_naturalistic([record], targets, noises, rirs)[0]
    assert torch.equal(scene, dry_target(record, targets).expand(4, -1))
    drawn = [draw(k, targets, noises, rirs, clean_ratio=0.5).noise is None for k in range(200)]
    assert 70 < sum(drawn) < 130  # each clip for itself


def test_clean_clips_need_no_responses(bank, targets) -> None:
    none = NoRirs(RATE, 2)
    record = draw(0, targets, targets, none, clean_ratio=1.0)
    scene = render_naturalistic([record], targets, targets, none)
    assert scene.shape == (1, 2, 5 * RATE) and torch.equal(scene[0, 1], dry_target(record, targets))
    with pytest.raises(ConfigError, match="there are no responses: give some, or set clean_ratio 1"):
        draw(0, targets, targets, none, clean_ratio=0.0)
    with pytest.raises(RecordError, match="was made with the responses"):
        render_naturalistic([draw(0, targets, targets, BankRirs(bank))], targets, targets, none)


def test_the_older_rule_is_in_the_record(bank, targets) -> None:
    noises, rirs = Noise(RATE), BankRirs(bank)
    record = draw(0, targets, noises, rirs, snr_over="each_channel", snr_db=(10.0, 10.0))
    scene = render_naturalistic([record], targets, noises, rirs)[0]
    target = convolve(dry_target(record, targets)[None], torch.from_numpy(rirs.load(record.rirs.rows)[0]))
    ratio = 10 * torch.log10(target.square().sum(-1) / (scene - target).square().sum(-1))
    assert ratio.tolist() == pytest.approx([10.0] * 4, abs=0.05)


def test_a_silent_clip_or_noise_is_named_and_stays_as_a_clean_clip(bank, targets) -> None:
    class Silent(Noise):
        def samples(self, clip):
            return np.zeros(self._length, dtype=np.float32)

    rirs, silent = BankRirs(bank), Silent(RATE)
    with pytest.raises(AudioValueError, match=r"the noise wind is silent.*leave the file out"):
        draw(0, targets, silent, rirs)
    with pytest.raises(AudioValueError, match="the clip wind is silent"):
        draw(0, silent, targets, rirs)

    class SoundsLate(Noise):
        def samples(self, clip):
            return np.concatenate([np.zeros(8 * RATE, np.float32), super().samples(clip)[8 * RATE :]])

    late = SoundsLate(9 * RATE)
    record = draw(0, targets, late, rirs)
    with pytest.raises(
        AudioValueError, match=rf"the noise wind is silent in the {record.num_samples} samples that are"
    ):
        render_naturalistic([replace(record, noise=replace(record.noise, crop=0))], targets, late, rirs)
    assert not render_naturalistic([draw(0, late, targets, rirs, clean_ratio=1.0)], late, targets, rirs).any()
    with pytest.raises(AudioValueError, match=rf"the clip wind is silent in the {record.num_samples} samples"):
        draw(0, late, targets, rirs)
    assert not render_naturalistic([draw(0, silent, targets, rirs, clean_ratio=1.0)], silent, targets, rirs).any()


def test_a_noise_is_drawn_again_until_it_sounds_with_the_clip(bank, targets) -> None:
    """Recordings are padded with digital zeros; whatever is drawn, the scene has its ratio."""

    class Gaps(Noise):
        def samples(self, clip):
            samples = super().samples(clip).copy()
            samples[RATE // 2 : len(samples) - RATE // 2] = 0.0
            return samples

    rirs, long, short = BankRirs(bank), Gaps(12 * RATE), Noise(RATE // 10)
    first = Gaps(4 * RATE)
    for index in range(30):
        for clips, noises in ((targets, long), (first, short)):
            record = draw(index, clips, noises, rirs)
            part = noises.samples(record.noise.clip)[record.noise.crop :][: record.num_samples]
            assert part.any() and clips.samples(record.clip)[record.noise.begin :][: len(part)].any()
            assert torch.isfinite(render_naturalistic([record], clips, noises, rirs)).all()

    class Never(Noise):
        def samples(self, clip):
            return np.eye(1, 40 * RATE, dtype=np.float32)[0] * 0.5

    class Late(Noise):
        def samples(self, clip):
            return np.eye(1, 5 * RATE, 5 * RATE - 1, dtype=np.float32)[0]

    with pytest.raises(AudioValueError, match="in 50 draws no part of a noise sounded while the clip wind did"):
        draw(0, Late(5 * RATE), Never(40 * RATE), rirs)


def test_what_does_not_fit_is_refused(bank, targets, tmp_path) -> None:
    noises, rirs = Noise(RATE), BankRirs(bank)
    record = draw(0, targets, noises, rirs)
    other = make_bank(tmp_path / "other", BankSettings(num_rooms=1, seed=9))
    with pytest.raises(RecordError, match="was made with the responses bank"):
        render_naturalistic([record], targets, noises, BankRirs(other))
    with pytest.raises(RecordError, match="a batch has one length"):
        render_naturalistic([record, replace(record, duration_s=6.0)], targets, noises, rirs)
    with pytest.raises(
        AudioValueError, match=r"the responses room \d of bank have \d+ samples, the scene 800; expected"
    ):
        short = draw(0, targets, noises, rirs, duration_s=0.05)
        render_naturalistic([short], targets, noises, rirs)
    slow = ListedClips([procedural_clip("bell", 0, 8000)], ["bell"], ClipStore(None, 8000))
    with pytest.raises(SampleRateError, match=r"clips are given at 8000 Hz.*open them with sample_rate=16000"):
        draw(0, slow, noises, rirs)
    with pytest.raises(ConfigError, match="responses is a PosixPath; expected a source such as BankRirs"):
        draw(0, targets, noises, bank.folder)
    with pytest.raises(ConfigError, match="clips is a str; expected a source such as AudioFolder"):
        draw(0, "clips", noises, rirs)
    with pytest.raises(ConfigError, match="0 clips"):
        ListedClips([], [], ClipStore(None, RATE))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        BankRirs(bank, localized_rate=1.5)
    with pytest.raises(BankError, match=r"is no bank \(it has no bank\.json\)"):
        BankRirs(tmp_path)
    assert BankRirs(str(bank.folder)).sha256 == rirs.sha256
    few = make_bank(tmp_path / "few", BankSettings(num_rooms=1, sources_per_room=2))
    with pytest.raises(ConfigError, match=r"2 sources a room.*sources_per_room"):
        BankRirs(few)
    assert len(BankRirs(few, localized_rate=1.0).draw(np.random.default_rng(0))[0].noise) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration_s": 0.0},
        {"clean_ratio": 1.1},
        {"snr_db": (40.0, 5.0)},
        {"snr_db": (5.0, float("inf"))},
        {"fade_s": -0.1},
        {"level_dbfs": float("nan")},
        {"snr_over": "clip"},
    ],
)
def test_bad_settings_are_refused(wrong) -> None:
    with pytest.raises(ConfigError):
        NaturalisticSettings(**wrong)


def test_a_record_that_is_none_is_refused(bank, targets, tmp_path) -> None:
    data = draw(0, targets, Noise(RATE), BankRirs(bank)).to_dict()
    for change, message in [
        ({"version": 2}, "of version 2"),
        ({"noise": None}, "both, a clean clip neither"),
        ({"sample_rate": 0}, "must be positive"),
        ({"seed": 1}, "unknown keys: seed"),
        ({"clip": "bell"}, r"record\.clip is 'bell'"),
    ]:
        path = Path(tmp_path / "scene.json")
        path.write_text(json.dumps(data | change))
        with pytest.raises(RecordError, match=message):
            NaturalisticRecord.load(path)
