"""The feature cache: whole, resumable, and true to the audio it was made from."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.data.clip_folders import procedural_clips
from spatial_audio_lm.data.feature_augmentation import AZIMUTH, Augmentation, augment
from spatial_audio_lm.data.scene_features import (
    FeaturePlan,
    LiveScenes,
    SceneFeatures,
    begin_features,
    process_feature_shard,
    scene_batch,
)
from spatial_audio_lm.errors import DataError
from spatial_audio_lm.models.elsa.feature_extraction_elsa import ElsaFeatureExtractor
from spatial_audio_lm.signal.ambisonics import mirror_foa, rotate_foa
from spatial_audio_lm.simulation.clips import ClipStore
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings
from spatial_audio_lm.simulation.scenes import render_scene

CHANNELS = ("active", "reactive", "unit_active", "log_energy")


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> FeaturePlan:
    bank = make_bank(tmp_path_factory.mktemp("bank"), BankSettings(num_rooms=2, sources_per_room=2, seed=3))
    return FeaturePlan(
        bank_folder=str(bank.folder),
        clip_folder=None,
        clips=tuple(procedural_clips(("bell", "siren", "wind"), range(2), 16_000)),
        extractor=ElsaFeatureExtractor.compact(spatial_channels=list(CHANNELS)),
        scenes=SceneSettings(duration_s=1.0, noise_rate=0.5),
        num_scenes=7,
        scenes_per_shard=3,
        mono_rate=0.3,
        class_weights=(("bell", 0.5), ("siren", 0.5)),
    )


def make(plan: FeaturePlan, folder: Path) -> SceneFeatures:
    begin_features(folder, plan)
    for shard in range(plan.num_shards):
        process_feature_shard(shard, plan, folder)
    return SceneFeatures(folder)


def test_cache_holds_what_is_rendered(plan, tmp_path):
    cached, live = make(plan, tmp_path)[[6, 0, 4]], LiveScenes(plan)[[6, 0, 4]]
    assert set(cached) == set(live)
    for name, value in live.items():
        if name.endswith("features"):
            torch.testing.assert_close(cached[name], value, atol=2e-3, rtol=2e-3)  # half precision
        else:
            assert torch.equal(cached[name], value)


def test_class_weights_and_mono_rate(plan):
    records = [replace(plan, num_scenes=300).record(index) for index in range(300)]
    names = {record.sources[0].sound_class for record, _ in records}
    assert names == {"bell", "siren"}  # wind has no weight
    assert 60 < sum(mono for _, mono in records) < 120
    assert all(
        spatial == (not mono)
        for spatial, (_, mono) in zip(scene_batch(plan, range(7))["is_spatial"].tolist(), records[:7], strict=True)
    )


def test_interrupted_job_ends_with_the_same_bytes(plan, tmp_path):
    make(plan, tmp_path / "whole")
    begin_features(tmp_path / "twice", plan)
    process_feature_shard(1, plan, tmp_path / "twice")
    with pytest.raises(DataError, match=r"shard-00000\.safetensors is missing"):
        SceneFeatures(tmp_path / "twice")
    (tmp_path / "twice" / f".unfinished-{os.getpid()}-0.safetensors").write_bytes(b"torn")
    make(plan, tmp_path / "twice")
    names = sorted(path.name for path in (tmp_path / "twice").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "whole").iterdir())
    for name in names:
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_plan_is_refused(plan, tmp_path):
    begin_features(tmp_path, plan)
    begin_features(tmp_path, plan)
    for other in (replace(plan, seed=1), replace(plan, mono_rate=0.0), replace(plan, clips=plan.clips[:3])):
        with pytest.raises(DataError, match="other scenes or settings"):
            begin_features(tmp_path, other)


def plain(**settings) -> Augmentation:
    nothing = {"rotate": False, "mirror": False, "num_time_masks": 0, "max_mel_mask": 0, "tilt": 0.0}
    return Augmentation(**nothing | settings)


@pytest.mark.parametrize("settings", [plain(rotate=True), plain(mirror=True), plain(rotate=True, mirror=True)])
def test_turning_features_is_turning_the_scene(plan, settings):
    """The features of the turned recording, within rounding, and the direction turned along."""
    plan = replace(plan, mono_rate=0.0)
    batch = scene_batch(plan, range(7))
    before = {name: value.clone() for name, value in batch.items()}
    seeds = range(7)
    augment(batch, [np.random.default_rng(s) for s in seeds], CHANNELS, settings)
    bank = RirBank(plan.bank_folder)
    flips = 0
    for index in seeds:
        draws = np.random.default_rng(index).random(8)
        audio = render_scene(plan.record(index)[0], bank, ClipStore(None, 16_000)).waveform
        azimuth = float(before["labels"][index, AZIMUTH])
        if settings.mirror and draws[1] < 0.5:
            audio, azimuth, flips = mirror_foa(audio, "left_right"), -azimuth, flips + 1
        if settings.rotate:
            turn = draws[0] * 360 - 180
            audio, azimuth = rotate_foa(audio, yaw_deg=turn), azimuth + turn
        expected = plan.extractor.extract(audio[None])
        torch.testing.assert_close(
            batch["spatial_features"][index], expected["spatial_features"][0], atol=5e-3, rtol=1e-3
        )
        torch.testing.assert_close(batch["input_features"][index], expected["input_features"][0], atol=1e-3, rtol=1e-3)
        assert (float(batch["labels"][index, AZIMUTH]) - azimuth + 180) % 360 == pytest.approx(180, abs=1e-3)
    assert flips > 0 or not settings.mirror
    assert torch.equal(batch["labels"][:, 1:], before["labels"][:, 1:])


def test_mono_is_never_turned(plan):
    plan = replace(plan, mono_rate=1.0)
    batch = scene_batch(plan, range(4))
    before = batch["spatial_features"].clone()
    augment(batch, [np.random.default_rng(s) for s in range(4)], CHANNELS, plain(rotate=True, mirror=True))
    torch.testing.assert_close(batch["spatial_features"], before)


def test_masks_hide_and_neighbours_do_not_matter(plan):
    settings = Augmentation(num_time_masks=2, max_time_mask=20, max_mel_mask=8, tilt=0.1)
    batch = scene_batch(plan, range(7))
    alone = {name: value[2:3].clone() for name, value in batch.items()}
    augment(batch, [np.random.default_rng([9, i]) for i in range(7)], CHANNELS, settings)
    augment(alone, [np.random.default_rng([9, 2])], CHANNELS, settings)
    for name, value in alone.items():
        assert torch.equal(batch[name][2:3], value)
    hidden = (batch["input_features"] == 0).float().mean()
    assert 0.02 < hidden < 0.5
