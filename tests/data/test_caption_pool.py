"""The caption pool: captions say what their numbers say, and what fits is what is true."""

import numpy as np

from spatial_audio_lm.data.caption_pool import SIZES, CaptionPool, fits, leave_out, scene_codes
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS
from spatial_audio_lm.language.parsing import parse_attributes
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES

POOL = CaptionPool(num_wordings=6, seed=0)


def test_captions_say_their_numbers():
    generator = np.random.default_rng(0)
    for _ in range(500):
        meaning = np.array([[generator.integers(size) for size in SIZES]])
        number = int(POOL.numbers(meaning, [int(generator.integers(6))])[0])
        said = parse_attributes(POOL.caption(number))
        for code, (name, words) in zip(meaning[0, 1:], ATTRIBUTE_WORDS.items(), strict=True):
            assert getattr(said, name) == (words[code - 1] if code else None), POOL.caption(number)


def test_numbers_are_all_different():
    assert len(POOL) == np.prod(SIZES) * 6
    meanings = np.array([[0] * 6, [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
    numbers = {int(n) for wording in range(6) for n in POOL.numbers(meanings, [wording] * 4)}
    assert len(numbers) == 24 and max(numbers) < len(POOL)
    assert POOL.caption(77) == CaptionPool(6, 0).caption(77)


def test_codes_follow_the_table():
    labels = np.array([[90.0, 0.0, 0.8, 30.0, 1.5], [45.0, 45.0, 1.5, 75.0, 0.15], [-90.0, 0.0, 3.0, 200.0, 0.5]])
    codes = scene_codes(labels, [0, 5, 2], [True, True, False])
    left, up, near, small, reverberant = 1, 1, 1, 1, 1
    assert codes[0].tolist() == [1, left, 0, near, small, reverberant]
    assert codes[1].tolist() == [6, 0, up, 0, 0, 2]  # 45 degrees lies in a gap of the table
    assert codes[2].tolist() == [3, 0, 0, 0, 0, 0]  # mono: the sound alone
    assert len(SOUND_CLASSES) + 1 == SIZES[0]


def test_fitting_is_truth():
    scenes = np.array([[1, 1, 0, 1, 1, 1], [1, 2, 0, 0, 0, 0], [2, 1, 0, 1, 0, 0]])
    captions = np.array([[1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0], [1, 1, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0]])
    expected = [[True, True, True, False], [True, False, False, False], [False, True, False, False]]
    assert fits(scenes, captions).tolist() == expected


def test_leaving_out_keeps_something_and_stays_true():
    codes = np.array([[3, 1, 0, 2, 1, 2], [4, 0, 0, 0, 0, 0]] * 500)
    stated = leave_out(codes, [np.random.default_rng(s) for s in range(1000)])
    assert fits(codes, stated).diagonal().all()
    assert (stated != 0).any(1).all()  # a caption always says something
    dropped = 1 - (stated[::2] != 0).mean(0) / np.array([1, 1, np.nan, 1, 1, 1])
    assert np.nanmax(np.abs(dropped - [0.15, 0.2, np.nan, 0.3, 0.4, 0.4])) < 0.08
