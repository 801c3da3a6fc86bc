"""Draw scenes: scene k of a data set is a pure function of (settings, bank, clips, seed, k)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.simulation.clips import PROCEDURAL_DURATION_S
from spatial_audio_lm.simulation.records import (
    BankReference,
    Clip,
    NoiseRow,
    Receiver,
    SceneRecord,
    SceneRoom,
    SceneSource,
    SoundEvent,
)
from spatial_audio_lm.simulation.rir_bank import RirBank
from spatial_audio_lm.simulation.rooms import BAND_CENTRES_HZ
from spatial_audio_lm.simulation.scenes import MADE_WITH

MAX_SOURCES = 4


@dataclass(frozen=True)
class SceneSettings:
    """How scenes are drawn. Rates are probabilities."""

    duration_s: float = 4.0
    num_sources: int = 1  # up to MAX_SOURCES, in different places of one room
    speeds: tuple[float, ...] = (1.0,)  # of which one is drawn a clip; speed shifts pitch too
    overlap_rate: float = 0.0  # a second clip of the same class from the same place
    gap_s: tuple[float, float] = (0.0, 0.7)  # pause before a short clip is repeated: it lets the decay be heard
    equalizer_rate: float = 0.0
    equalizer_db: float = 8.0  # standard deviation of the band gains
    noise_rate: float = 0.0
    snr_db: tuple[float, float] = (15.0, 50.0)

    def __post_init__(self) -> None:
        if not 1 <= self.num_sources <= MAX_SOURCES:
            raise ConfigError(f"num_sources is {self.num_sources}; 1 to {MAX_SOURCES} are possible")
        if not 0 < self.duration_s < math.inf or not self.speeds or min(self.speeds) <= 0:
            raise ConfigError(f"duration_s and speeds must be positive, got {self.duration_s} and {self.speeds}")
        for name in ("overlap_rate", "equalizer_rate", "noise_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; a probability is between 0 and 1")
        if not 0 <= self.gap_s[0] <= self.gap_s[1] or self.snr_db[0] > self.snr_db[1]:
            raise ConfigError(f"gap_s {self.gap_s} and snr_db {self.snr_db} are ranges: low, high; no gap is negative")


def sample_scene(
    settings: SceneSettings,
    bank: RirBank,
    clips: Mapping[str, Sequence[Clip]],
    seed: int,
    index: int,
    sound_class: str | None = None,
    clip_index: int | None = None,
) -> SceneRecord:
    """Draw scene `index`.

    Args:
        settings: how.
        bank: gives room and places.
        clips: clips by class; a class is drawn first, then a clip of it.
        seed: of the data set.
        index: of the scene.
        sound_class: fixes the class of the first source.
        clip_index: fixes its clip within the class.
    """
    generator = np.random.default_rng([seed, index])
    rooms = bank.settings.num_rooms
    room = int(generator.integers(rooms))
    per_room = bank.settings.sources_per_room
    if settings.num_sources > per_room:
        raise ConfigError(f"num_sources is {settings.num_sources}, the bank has {per_room} places a room")
    places = generator.choice(per_room, size=settings.num_sources, replace=False) + room * per_room
    sources = []
    for number, place in enumerate(places):
        names = sorted(clips)
        name = names[generator.integers(len(names))] if number or sound_class is None else sound_class
        row = bank.rows[int(place)]
        fixed = clip_index if number == 0 else None
        sources.append(
            SceneSource(
                sound_class=name,
                azimuth_deg=row.azimuth_deg,
                elevation_deg=row.elevation_deg,
                distance_m=row.distance_m,
                position_m=row.position_m,
                rir_index=row.index,
                drr_db=row.drr_db,
                events=_events(settings, clips[name], fixed, generator),
                equalizer_db=_equalizer(settings, generator),
            )
        )
    noise = []
    if generator.random() < settings.noise_rate:
        noise.append(
            NoiseRow(
                kind=("isotropic", "sensor")[generator.integers(2)],
                snr_db=float(generator.uniform(*settings.snr_db)),
                seed=int(generator.integers(2**31)),
                color=("white", "pink")[generator.integers(2)],
            )
        )
    first = bank.rows[int(places[0])]
    return SceneRecord(
        scene_id=f"{bank.settings.split}-{seed}-{index:07d}",
        sample_rate=bank.settings.sample_rate,
        duration_s=settings.duration_s,
        receiver=Receiver(bank.settings.receiver_format, first.receiver_m, first.yaw_deg, first.head),
        room=SceneRoom(
            size_m=first.size_m,
            floor_area_m2=first.floor_area_m2,
            volume_m3=first.volume_m3,
            t30_s=float(np.mean([bank.rows[int(p)].t30_s for p in places])),
        ),
        sources=tuple(sources),
        bank=BankReference(**bank.reference),
        seed=seed,
        noise=tuple(noise),
        made_with=dict(MADE_WITH),
    )


def _events(
    settings: SceneSettings, clips: Sequence[Clip], fixed: int | None, generator: np.random.Generator
) -> tuple[SoundEvent, ...]:
    events = _repeated(settings, clips, fixed, 0.0, generator)
    if generator.random() < settings.overlap_rate:
        events += _repeated(settings, clips, None, float(generator.uniform(-6, 3)), generator)
    return tuple(events)


def _repeated(
    settings: SceneSettings,
    clips: Sequence[Clip],
    fixed: int | None,
    gain_db: float,
    generator: np.random.Generator,
) -> list[SoundEvent]:
    """A clip from a random moment on, again after a pause until the scene is full."""
    chosen = clips[fixed if fixed is not None else int(generator.integers(len(clips)))]
    speed = float(settings.speeds[generator.integers(len(settings.speeds))])
    whole_s = PROCEDURAL_DURATION_S if chosen.duration_s is None else chosen.duration_s
    length_s = whole_s / speed
    clip = replace(chosen, speed=speed)
    if length_s > settings.duration_s:  # a longer clip has begun before the scene: a random part of it is heard
        return [SoundEvent(clip, -float(generator.uniform(0, length_s - settings.duration_s)), gain_db)]
    onset_s = float(generator.uniform(0, min(0.5, settings.duration_s - length_s)))
    events = []
    while onset_s < settings.duration_s - 0.1:
        events.append(SoundEvent(clip, onset_s, gain_db))
        onset_s += length_s + float(generator.uniform(*settings.gap_s))
    return events


def _equalizer(settings: SceneSettings, generator: np.random.Generator) -> tuple[float, ...]:
    if generator.random() >= settings.equalizer_rate:
        return ()
    gains = np.clip(generator.normal(0, settings.equalizer_db / 2, len(BAND_CENTRES_HZ)), -12, 12)
    return tuple(float(g) for g in gains)
