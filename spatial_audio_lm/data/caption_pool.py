"""A finite pool of captions: every meaning that a caption of one sound can have, in several wordings.

A meaning is six small numbers: sound (0: not named), direction, elevation, distance, size, reverberation (0: not
stated). With a pool, a frozen text tower reads each caption once, not once a training step; and whether a caption fits
a scene (so that it is no negative for it) is a comparison of numbers.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, DROP_RATES, SpatialAttributes, spatial_attributes
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES

SOUND_DROP_RATE = 0.15  # of captions say "a sound" instead of naming it
SIZES = (len(SOUND_CLASSES) + 1, *(len(words) + 1 for words in ATTRIBUTE_WORDS.values()))

Codes = NDArray[np.int64]


class CaptionPool:
    """Captions by number.

    Args:
        num_wordings: captions a meaning.
        seed: of the wordings.
    """

    def __init__(self, num_wordings: int, seed: int):
        self.num_wordings, self.seed = num_wordings, seed

    def __len__(self) -> int:
        return int(np.prod(SIZES)) * self.num_wordings

    def caption(self, number: int) -> str:
        """The caption with a number: a function of (seed, number)."""
        meaning = np.unravel_index(number // self.num_wordings, SIZES)
        sound = SOUND_CLASSES[meaning[0] - 1].id if meaning[0] else None
        said = {
            name: words[code - 1] if code else None
            for (name, words), code in zip(ATTRIBUTE_WORDS.items(), meaning[1:], strict=True)
        }
        return write_caption(sound, SpatialAttributes(**said), np.random.default_rng([self.seed, number]))

    def numbers(self, stated: Codes, wordings: Sequence[int] | Codes) -> Codes:
        """Caption numbers of meanings `(batch, 6)` in the given wordings `(batch,)`."""
        return np.ravel_multi_index(tuple(stated.T), SIZES) * self.num_wordings + np.asarray(wordings)


def scene_codes(labels: NDArray[np.floating], sound_class: Sequence[int], is_spatial: Sequence[bool]) -> Codes:
    """What can truly be said of scenes, `(batch, 6)`; 0 where ELSA's table has no word, or nothing spatial is known.

    Args:
        labels: azimuth, elevation, distance, area, T30 a row (the order of `scene_features.LABELS`).
        sound_class: index into the vocabulary.
        is_spatial: False for mono.
    """
    codes = np.zeros((len(labels), len(SIZES)), dtype=np.int64)
    codes[:, 0] = np.asarray(sound_class) + 1
    for row, (values, spatial) in enumerate(zip(labels, is_spatial, strict=True)):
        if spatial:
            attributes = spatial_attributes(*(float(v) for v in values))
            codes[row, 1:] = [_code(name, getattr(attributes, name)) for name in ATTRIBUTE_WORDS]
    return codes


@cache
def _code(name: str, word: str | None) -> int:
    return 0 if word is None else 1 + ATTRIBUTE_WORDS[name].index(word)


def leave_out(codes: Codes, generators: Sequence[np.random.Generator]) -> Codes:
    """Codes with some attributes no longer stated, at the rates of `DROP_RATES`; something is always left to say."""
    rates = np.array([SOUND_DROP_RATE, *(DROP_RATES[name] for name in ATTRIBUTE_WORDS)])
    stated = codes.copy()
    for row, generator in enumerate(generators):
        dropped = generator.random(len(rates)) < rates
        if (stated[row, 1:] * ~dropped[1:] == 0).all():
            dropped[0] = False
        stated[row, dropped] = 0
    return stated


def fits(scenes: Codes, captions: Codes) -> NDArray[np.bool_]:
    """Whether each caption is true of each scene: `(scenes, captions)`."""
    return ((captions[None] == 0) | (captions[None] == scenes[:, None])).all(-1)
