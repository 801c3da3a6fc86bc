"""Examples from a copy of SpatialSound: places by hand, and sounds by a second convolution."""

import math
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch

from spatial_audio_lm.data.spatial_sound import SpatialSoundSettings
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.layers.localization_bins import LocalizationBins
from spatial_audio_lm.signal.conventions import azimuth_from_spatial_ast_deg, direction_of, vector_from_spatial_ast
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.training.data_order import Augmented, EpochSampler, ItemKey, epoch_loader, item_generator
from tests.data.spatial_sound_copy import RATE, RESPONSES, opened, write_copy, write_responses, write_sound


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return write_copy(tmp_path)


def response_of(root: Path, example: dict[str, torch.Tensor]) -> int:
    """Which response an example has: its distance tells."""
    lengths = [np.linalg.norm(source) for _, source in RESPONSES]
    return int(np.argmin(np.abs(np.array(lengths) - float(example["distance_m"]))))


def wet(root: Path, clip: int, response: int) -> np.ndarray:
    """A clip at -14 dBFS through a response by scipy's convolution, `(2, samples)` of half a second, without a gain."""
    path = root / f"AudioSet/balanced_train/audio/Y{clip}.wav"
    dry = SpatialAudio.load(path).waveform[0].numpy().astype(np.float64)
    dry *= 10 ** (-14 / 20) / np.sqrt(np.mean(dry**2))
    taps = np.load(root / "mp3d_reverb/binaural" / RESPONSES[response][0], allow_pickle=False)
    padded = np.pad(dry, (0, RATE // 2 - len(dry)))
    return scipy.signal.fftconvolve(padded[None], taps, axes=-1)[:, : RATE // 2]


@pytest.mark.parametrize(
    ("source", "azimuth_deg", "elevation_deg", "distance_m"),
    [
        ((2.0, 0.0, 0.0), -90.0, 0.0, 2.0),
        ((0.0, 0.0, -3.0), 0.0, 0.0, 3.0),
        ((-4.0, 0.0, 0.0), 90.0, 0.0, 4.0),
        ((0.0, 0.0, 1.0), -180.0, 0.0, 1.0),
        ((0.0, 1.0, -1.0), 0.0, 45.0, math.sqrt(2)),
        ((0.0, -1.0, -math.sqrt(3)), 0.0, -30.0, 2.0),
        ((1.0, 0.0, -1.0), -45.0, 0.0, math.sqrt(2)),
        ((10.25, 0.0, 0.0), -90.0, 0.0, 10.25),
    ],
)
def test_places_are_the_houses(copy, source, azimuth_deg, elevation_deg, distance_m):
    write_responses(copy, [("house_a/0.npy", source)])
    example = opened(copy, mixup="none").evaluation_example(0, seed=0)
    for name, expected in [("azimuth_deg", azimuth_deg), ("elevation_deg", elevation_deg), ("distance_m", distance_m)]:
        assert example[name].shape == () and example[name].dtype == torch.float32
        assert float(example[name]) == pytest.approx(expected, abs=1e-5)


def test_axes_agree_with_the_published_azimuth():
    vectors = np.random.default_rng(1).standard_normal((50, 3))
    published = np.degrees(np.arctan2(-vectors[:, 2], vectors[:, 0]))
    azimuth, elevation = direction_of(vector_from_spatial_ast(vectors))
    np.testing.assert_allclose(azimuth, azimuth_from_spatial_ast_deg(published), atol=1e-9)
    np.testing.assert_allclose(
        elevation, np.degrees(np.arctan2(vectors[:, 1], np.hypot(*vectors[:, ::2].T))), atol=1e-9
    )
    assert torch.equal(vector_from_spatial_ast(torch.tensor([1.0, 2.0, 3.0])), torch.tensor([-3.0, -1.0, 2.0]))


def test_labels_are_rows_of_the_table(copy):
    dataset = opened(copy)
    assert dataset.labels == ("Speech", "Bell", "Knock, tap", "Siren")
    assert [dataset.evaluation_example(k, 0)["events"].tolist() for k in range(3)] == [
        [0, 0, 0, 1],
        [0, 1, 1, 0],
        [0, 0, 1, 0],
    ]
    assert len(dataset) == 3 and dataset.weights is None


def test_the_convolution_is_exact_and_what_follows_is_silent(copy):
    dataset = opened(copy)
    for clip in range(3):
        example = dataset.evaluation_example(clip, seed=4)
        waveform = example["waveform"]
        assert waveform.shape == (2, RATE // 2) and waveform.dtype == torch.float32
        expected = wet(copy, clip, response_of(copy, example))
        np.testing.assert_allclose(waveform.numpy(), expected, atol=2e-6 * np.abs(expected).max())
        end = round(0.3 * RATE) + 1280 - 1
        assert not waveform[:, end:].any() and waveform[:, end - 1].any()


def test_responses_and_examples_are_cut(copy):
    dataset = opened(copy, mixup="none", duration_s=0.2, response_duration_s=0.01)
    example = dataset.evaluation_example(1, seed=0)
    dry = SpatialAudio.load(copy / "AudioSet/balanced_train/audio/Y1.wav").waveform[0].double().numpy()
    dry *= 10 ** (-14 / 20) / np.sqrt(np.mean(dry**2))  # the level is that of the whole clip
    name = RESPONSES[response_of(copy, example)][0]
    taps = np.load(copy / "mp3d_reverb/binaural" / name, allow_pickle=False)[:, :320]
    expected = scipy.signal.fftconvolve(dry[None], taps, axes=-1)[:, : RATE // 5]
    np.testing.assert_allclose(example["waveform"].numpy(), expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize(("rate", "channels"), [(32_000, 1), (16_000, 1), (44_100, 2)])
def test_the_level_of_the_first_channel_is_14_db_below_full_scale(copy, rate, channels):
    tone = 0.01 * torch.sin(torch.arange(rate // 4) * (2 * math.pi * 800 / rate))
    write_sound(copy, 0, torch.stack([tone, torch.full_like(tone, 0.7)])[:channels], rate)
    response = np.zeros((2, 100))
    response[0, 0] = 1.0
    np.save(copy / "mp3d_reverb/binaural/house_a/0.npy", response)
    write_responses(copy, RESPONSES[:1])
    waveform = opened(copy, mixup="none").evaluation_example(0, seed=0)["waveform"].double()
    assert 20 * torch.log10(waveform[0, : RATE // 4].square().mean().sqrt()) == pytest.approx(-14.0, abs=0.01)
    assert not waveform[1].abs().gt(1e-7).any()


def test_training_multiplies_by_the_drawn_gain(copy):
    dataset = opened(copy, mixup="none")
    for seed in range(5):
        example = dataset.example(2, np.random.default_rng(seed))
        gain = 0.5 + np.random.default_rng(seed).beta(10, 10)
        expected = gain * wet(copy, 2, response_of(copy, example))
        np.testing.assert_allclose(example["waveform"].numpy(), expected, atol=2e-6 * np.abs(expected).max())


def parts(waveform: torch.Tensor, *sounds: np.ndarray) -> tuple[np.ndarray, float]:
    """How much of each sound a waveform holds, and the share of it that is left, by least squares."""
    columns = np.stack([sound.ravel() for sound in sounds], axis=1)
    target = waveform.numpy().astype(np.float64).ravel()
    amounts = np.linalg.lstsq(columns, target, rcond=None)[0]
    return amounts, float(np.linalg.norm(target - columns @ amounts) / np.linalg.norm(target))


def test_mixing_at_places_puts_a_softer_clip_into_the_same_house(copy):
    dataset = opened(copy, mixup_rate=1.0, gain_augmentation=False)
    seen = set()
    for seed in range(12):
        example = dataset.example(0, np.random.default_rng(seed))
        response = response_of(copy, example)
        house = RESPONSES[response][0][:7]
        first = wet(copy, 0, response)
        candidates = {
            (clip, other): parts(example["waveform"], first, wet(copy, clip, other))
            for clip in (1, 2)
            for other in range(len(RESPONSES))
        }
        (clip, other), (amounts, left) = min(candidates.items(), key=lambda item: item[1][1])
        assert left < 1e-5
        assert other != response and RESPONSES[other][0].startswith(house)
        assert amounts[0] == pytest.approx(1.0, abs=1e-4)
        # both clips are equally long, so that the levels of the whole are those of the parts
        level_db = 20 * np.log10(amounts[1] * np.linalg.norm(wet(copy, clip, other)) / np.linalg.norm(first))
        assert -12.01 < level_db < 0.01
        events = dataset.evaluation_example(0, 0)["events"] + dataset.evaluation_example(clip, 0)["events"]
        assert torch.equal(example["events"], events)
        seen.add((clip, response, other))
    assert len(seen) > 6


def test_the_level_of_the_second_clip_is_the_one_asked_for(copy):
    dataset = opened(copy, mixup_rate=1.0, second_level_db=(-6.0, -6.0))
    alone = opened(copy, mixup="none")
    for seed in range(4):
        both, first = (d.example(1, np.random.default_rng(seed))["waveform"].double() for d in (dataset, alone))
        assert 20 * torch.log10((both - first).norm() / first.norm()) == pytest.approx(-6.0, abs=1e-3)


def test_a_house_of_one_response_takes_the_second_from_another(copy):
    write_responses(copy, [RESPONSES[0], RESPONSES[3]])
    dataset = opened(copy, mixup_rate=1.0, gain_augmentation=False)
    for seed in range(4):
        example = dataset.example(0, np.random.default_rng(seed))
        response = response_of(copy, example)
        sounds = [wet(copy, 0, response), *(wet(copy, clip, 3 - response) for clip in (1, 2))]
        assert parts(example["waveform"], *sounds)[1] < 1e-5


def test_a_silent_clip_stays_silent_and_is_not_mixed_at_places(copy):
    write_sound(copy, 0, torch.zeros(RATE // 4))
    dataset = opened(copy, mixup_rate=1.0)
    for seed in range(4):
        example = dataset.example(0, np.random.default_rng(seed))
        assert not example["waveform"].any()
        assert example["events"].tolist() == [0, 0, 0, 1]


def test_the_published_mixing_shares_a_response_and_weighs_the_events(copy):
    dataset = opened(copy, mixup="shared_rir", mixup_rate=1.0, gain_augmentation=False)
    seen = set()
    for seed in range(10):
        example = dataset.example(0, np.random.default_rng(seed))
        response = response_of(copy, example)
        events = example["events"].double().numpy()
        share = events[3]  # the siren's
        clip = 1 if events[1] else 2
        (first, second), left = parts(example["waveform"], wet(copy, 0, response), wet(copy, clip, response))
        assert left < 1e-5
        assert first == pytest.approx(share, abs=1e-4) and second == pytest.approx(1 - share, abs=1e-4)
        assert events.tolist() == pytest.approx([0, (1 - share) * (clip == 1), 1 - share, share])
        assert 0.1 < share < 0.9
        seen.add((clip, response))
    assert {clip for clip, _ in seen} == {1, 2} and len(seen) > 4


def test_an_event_of_both_clips_counts_one(copy):
    dataset = opened(copy, mixup="shared_rir", mixup_rate=1.0)
    for seed in range(20):  # clips 1 and 2 share the knock
        events = dataset.example(2, np.random.default_rng(seed))["events"]
        assert events.max() <= 1
        if events[1]:
            assert events[2] == pytest.approx(1.0, abs=1e-6) and 0 < events[1] < 1
            break
    else:
        pytest.fail("clip 2 never met clip 1")


def test_clips_are_mixed_as_often_as_asked_for(copy):
    for rate, least, most in [(0.0, 0, 0), (0.5, 35, 65), (1.0, 100, 100)]:
        dataset = opened(copy, mixup_rate=rate)
        mixed = [dataset.example(0, np.random.default_rng(seed))["events"].sum() > 1 for seed in range(100)]
        assert least <= sum(mixed) <= most


def test_an_example_depends_on_its_generator_alone(copy):
    dataset = opened(copy)
    again = pickle.loads(pickle.dumps(dataset))  # as a worker gets it
    keys = [ItemKey(epoch, item) for epoch in range(2) for item in range(3)]
    forwards = [dataset.example(key.item, item_generator(7, key)) for key in keys]
    np.random.seed(0)
    backwards = [again.example(key.item, item_generator(7, key)) for key in reversed(keys)][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert one.keys() == {"waveform", "events", "azimuth_deg", "elevation_deg", "distance_m"}
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(forwards[0]["waveform"], forwards[3]["waveform"])


def test_the_loader_of_a_training_takes_it(copy):
    dataset = opened(copy)
    items = Augmented(range(len(dataset)), dataset.example, seed=3)
    (batch,) = epoch_loader(items, EpochSampler(len(dataset), 3, seed=3))
    shapes = {name: tuple(values.shape) for name, values in batch.items()}
    assert shapes == {
        "waveform": (3, 2, RATE // 2),
        "events": (3, 4),
        "azimuth_deg": (3,),
        "elevation_deg": (3,),
        "distance_m": (3,),
    }
    LocalizationBins().distance_bin(batch["distance_m"])


def test_the_evaluation_pairs_alike_in_any_order_and_copy(copy):
    dataset = opened(copy)
    pairs = {(k, seed): response_of(copy, dataset.evaluation_example(k, seed)) for seed in range(8) for k in range(3)}
    assert set(pairs.values()) == set(range(5))
    assert [pairs[k, 0] for k in range(3)] == [4, 1, 4]  # the same in every version
    again = {key: response_of(copy, opened(copy).evaluation_example(*key)) for key in reversed(pairs)}
    assert again == pairs
    (copy / "AudioSet/balanced_train/audio/Y0.wav").unlink()
    less = opened(copy, skip_missing_clips=True, weights_file="AudioSet/metadata/weights/balanced_weight.csv")
    assert [response_of(copy, less.evaluation_example(k, s)) for s in range(8) for k in range(2)] == [
        pairs[k, s] for s in range(8) for k in (1, 2)
    ]
    assert len(less) == 2 and less.num_missing_clips == 1
    assert less.weights.tolist() == [2.5, 4.0]


def test_evaluation_examples_have_neither_gain_nor_mixing(copy):
    one = opened(copy, mixup_rate=1.0).evaluation_example(1, 3)
    other = opened(copy, mixup="none", gain_augmentation=False).evaluation_example(1, 3)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_deep_folders_of_unbalanced_clips_are_found(copy):
    path = copy / "AudioSet/metadata/balanced.json"
    path.write_text(path.read_text().replace("balanced_train/audio", "unbalanced_train/audio/unbalanced_train07"))
    shutil.move(copy / "AudioSet/balanced_train", copy / "AudioSet/unbalanced_train")
    assert len(opened(copy)) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixup": "both"}, "mixup is 'both'; expected one of places, shared_rir, none"),
        ({"mixup_rate": 1.5}, "mixup_rate is 1.5"),
        ({"duration_s": 0.0}, "duration_s is 0.0"),
        ({"response_duration_s": math.nan}, "response_duration_s is nan"),
        ({"second_level_db": (-3.0, 3.0)}, "second_level_db is"),
        ({"second_level_db": (0.0, -12.0)}, "second_level_db is"),
    ],
)
def test_settings_out_of_range_are_named(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        SpatialSoundSettings(tmp_path, **changes)


def test_published_responses_are_read(data_dir, tmp_path, copy):
    """The two responses that are public outside of the data set: 32 kHz, float64, 1.2 and 1.3 s."""
    for name in ("74.npy", "75.npy"):
        found = sorted(data_dir.rglob(f"bat_example/{name}"))
        if not found:
            pytest.skip("needs bat_example/74.npy and 75.npy below --data")
        shutil.copyfile(found[0], copy / "mp3d_reverb/binaural/house_a" / name)
    write_responses(copy, [(f"house_a/{name}", (1.0, 0.0, -1.0)) for name in ("74.npy", "75.npy")])
    dataset = opened(copy, response_duration_s=2.0)
    level_db = {
        tuple((20 * torch.log10(e["waveform"].norm(dim=1))).diff().round().tolist())
        for e in (dataset.evaluation_example(2, seed) for seed in range(8))
    }
    assert {sign > 0 for (sign,) in level_db} == {True, False}  # one to each side, by about 14 dB
