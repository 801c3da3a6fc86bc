"""Mixtures and changes of binaural scenes: what is done to the sound is done to the labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spatial_audio_lm.data.binaural_scenes import BinauralAugmentation, BinauralScenes
from spatial_audio_lm.data.clip_folders import procedural_clips
from spatial_audio_lm.data.scene_features import CLASS_INDEX, AsSound, FeaturePlan, SceneFeatures, begin_features
from spatial_audio_lm.data.scene_features import process_feature_shard as process
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.rir_bank import BankSettings, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings

CLASSES = ("siren", "bell")  # the order of the vocabulary
PLAIN = BinauralAugmentation(mixup="none", gain=False, mirror=False, roll=False)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> SceneFeatures:
    heads = (HeadStore().record("sphere"),)
    settings = BankSettings(num_rooms=2, sources_per_room=3, seed=3, receiver_format="binaural", heads=heads)
    bank = make_bank(tmp_path_factory.mktemp("bank"), settings)
    plan = FeaturePlan(
        bank_folder=str(bank.folder),
        clip_folder=None,
        clips=tuple(procedural_clips(CLASSES, range(2), 16_000)),
        extractor=AsSound(),
        scenes=SceneSettings(duration_s=0.5),
        num_scenes=40,
        scenes_per_shard=15,
        mono_rate=0.1,
    )
    folder = tmp_path_factory.mktemp("scenes")
    begin_features(folder, plan)
    for shard in range(plan.num_shards):
        process(shard, plan, folder)
    return SceneFeatures(folder)


def examples(scenes: SceneFeatures, augmentation: BinauralAugmentation, items: list[int], seed: int = 0):
    made = BinauralScenes(scenes, CLASSES, 3, augmentation)
    return made.examples(items, [np.random.default_rng([seed, item]) for item in items])


def test_without_augmentation_a_scene_is_what_was_rendered(scenes) -> None:
    batch, raw = examples(scenes, PLAIN, [3, 30]), scenes[[3, 30]]
    assert torch.equal(batch["waveform"], raw["waveform"]) and batch["waveform"].shape == (2, 2, 8000)
    assert batch["events"].sum(1).tolist() == [1.0, 1.0]
    torch.testing.assert_close(batch["azimuth_deg"], raw["labels"][:, 0], atol=1e-3, rtol=0)
    assert torch.equal(batch["distance_m"], raw["labels"][:, 2])


def test_mono_scenes_have_equal_ears_and_are_never_mixed(scenes) -> None:
    mono = np.flatnonzero(~scenes.column("is_spatial").numpy()).tolist()
    assert 1 <= len(mono) <= 12
    batch = examples(scenes, BinauralAugmentation(mixup_rate=1.0), mono)
    assert torch.equal(batch["waveform"][:, 0], batch["waveform"][:, 1])
    assert not batch["is_spatial"].any() and (batch["events"].sum(1) == 1).all()


def test_two_places_of_one_room(scenes) -> None:
    settings = replace(PLAIN, mixup="places", mixup_rate=1.0, second_level_db=(-6.0, -6.0))
    items = np.flatnonzero(scenes.column("is_spatial").numpy()).tolist()
    batch, raw = examples(scenes, settings, items), scenes[items]
    added = batch["waveform"] - raw["waveform"]
    level = added.square().mean((1, 2)).sqrt() / raw["waveform"].square().mean((1, 2)).sqrt()
    mixed = level > 0
    assert mixed.sum() >= len(items) - 3  # a scene whose room has no second place stays alone
    torch.testing.assert_close(level[mixed], torch.full_like(level[mixed], 10 ** (-6 / 20)), atol=1e-3, rtol=0)
    torch.testing.assert_close(batch["azimuth_deg"], raw["labels"][:, 0], atol=1e-3, rtol=0)  # the louder one's
    counts = batch["events"].sum(1)
    assert set(counts.tolist()) == {1.0, 2.0}
    # each event has its place, and no other has one
    places = batch["places"]
    assert torch.equal(places.isnan().all(-1), batch["events"] == 0) and torch.equal(
        places.isnan().any(-1), places.isnan().all(-1)
    )
    # what was added is another scene of the same room and from another place, to a factor
    label_of = {index: label for label, index in enumerate(dict.fromkeys(CLASS_INDEX[name] for name in CLASSES))}
    whole = scenes[list(range(40))]
    everything, place = whole["waveform"].flatten(1), scenes.column("rir_index")
    for row in np.flatnonzero(mixed.numpy())[:6]:
        likeness = torch.cosine_similarity(added[row].flatten()[None], everything)
        found = int(likeness.argmax())
        assert likeness[found] > 0.9999
        assert place[found] != place[items[row]] and place[found] // 3 == place[items[row]] // 3
        for other, louder in ((found, False), (items[row], True)):
            label, raw_place = label_of[int(whole["sound_class"][other])], whole["labels"][other, :3]
            if louder or counts[row] == 2:  # of two of one name the louder's is given
                torch.testing.assert_close(places[row, label], raw_place, atol=1e-3, rtol=0)


def test_shared_response_has_shares_for_labels(scenes) -> None:
    settings = replace(PLAIN, mixup="shared_rir", mixup_rate=1.0)
    items = np.flatnonzero(scenes.column("is_spatial").numpy()).tolist()
    batch, raw = examples(scenes, settings, items), scenes[items]
    assert torch.allclose(batch["events"].sum(1), torch.ones(len(items)))
    share = batch["events"].amax(1)
    assert ((share < 1) & (share > 0.5)).any()
    place = scenes.column("rir_index")
    everything = scenes[list(range(40))]["waveform"].flatten(1)
    row = int(np.flatnonzero((share < 0.99).numpy())[0])
    own = int((raw["sound_class"][row] != raw["sound_class"].min()).long())
    part = float(batch["events"][row, own])
    rest = (batch["waveform"][row] - part * raw["waveform"][row]).flatten() / (1 - part)
    found = int((everything - rest).square().sum(1).argmin())
    torch.testing.assert_close(rest, everything[found], atol=1e-5, rtol=1e-3)
    assert place[found] == place[items[row]]


def test_mirror_gain_and_roll(scenes) -> None:
    item = int(np.flatnonzero(scenes.column("is_spatial").numpy())[0])
    raw = scenes[[item]]
    seen = set()
    for seed in range(12):
        mirrored = examples(scenes, replace(PLAIN, mirror=True), [item], seed)
        sign = float(mirrored["azimuth_deg"][0] / raw["labels"][0, 0])
        expected = raw["waveform"] if sign > 0 else raw["waveform"].flip(1)
        assert torch.equal(mirrored["waveform"], expected) and abs(sign) == pytest.approx(1.0)
        there = mirrored["events"][0] > 0
        assert torch.equal(mirrored["places"][0, there, 0], mirrored["azimuth_deg"])
        seen.add(sign > 0)
        gained = examples(scenes, replace(PLAIN, gain=True), [item], seed)["waveform"]
        factor = gained.norm() / raw["waveform"].norm()
        assert 0.5 < factor < 1.5
        torch.testing.assert_close(gained, factor * raw["waveform"])
        rolled = examples(scenes, replace(PLAIN, roll=True), [item], seed)["waveform"]
        assert torch.equal(rolled.sort(-1).values, raw["waveform"].sort(-1).values)
        assert not torch.equal(rolled, raw["waveform"])
    assert seen == {True, False}


def test_an_example_depends_on_its_own_numbers_alone(scenes) -> None:
    settings = BinauralAugmentation(mixup_rate=1.0)
    together, alone = examples(scenes, settings, [5, 6, 7]), examples(scenes, settings, [6])
    for name, value in alone.items():
        torch.testing.assert_close(together[name][1:2], value, rtol=0, atol=0, equal_nan=True)


def test_cache_in_memory_is_the_cache(scenes) -> None:
    held = SceneFeatures(scenes.folder, in_memory=True)
    for name, value in scenes[[39, 0, 14, 15]].items():
        assert torch.equal(held[[39, 0, 14, 15]][name], value)


@pytest.mark.parametrize(
    "wrong", [{"mixup_rate": 1.5}, {"second_level_db": (-3.0, 2.0)}, {"second_level_db": (0.0, -3)}]
)
def test_impossible_settings(wrong) -> None:
    with pytest.raises(ConfigError, match="range up to 0 dB"):
        BinauralAugmentation(**wrong)
