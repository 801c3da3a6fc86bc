"""Scenes to be asked about: one sound or two of different classes, so that a name says which one is meant."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.simulation.records import Clip, SceneRecord
from spatial_audio_lm.simulation.rir_bank import RirBank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene

_STREAM = 7  # first word of the seeds of the number of sounds
_NEXT_ATTEMPT = 2**32  # beyond the numbers of scenes


def draw_scene(
    settings: SceneSettings,
    two_source_rate: float,
    bank: RirBank,
    clips: Mapping[str, Sequence[Clip]],
    seed: int,
    index: int,
) -> SceneRecord:
    """Scene `index`, a pure function of the arguments. The classes of the first sound take turns.

    Args:
        settings: how; `num_sources` is that of scenes with more than one sound.
        two_source_rate: share of the scenes with more than one sound.
        bank: gives room and places.
        clips: clips by class.
        seed: of the set.
        index: of the scene.

    Raises:
        ConfigError: fewer classes than sounds, or a rate that is none.
    """
    if not 0 <= two_source_rate <= 1:
        raise ConfigError(f"two_source_rate is {two_source_rate}; a probability is between 0 and 1")
    if two_source_rate > 0 and len(clips) < settings.num_sources:
        raise ConfigError(
            f"{len(clips)} classes of sounds for {settings.num_sources} different ones a scene; give more clips, or "
            "fewer num_sources"
        )
    several = np.random.default_rng([_STREAM, seed, index]).random() < two_source_rate
    drawn = settings if several else replace(settings, num_sources=1)
    names = sorted(clips)
    attempt = index
    while True:
        scene = sample_scene(drawn, bank, clips, seed, attempt, sound_class=names[index % len(names)])
        if len({source.sound_class for source in scene.sources}) == len(scene.sources):
            return replace(scene, scene_id=f"{bank.settings.split}-{seed}-{index:07d}")
        attempt += _NEXT_ATTEMPT
