"""The one list of sound classes: identifier, label and the spoken forms that captions use.

The ids of the first ten are ESC-10's own category names; the other fourteen are the kinds that
`spatial_audio_lm.simulation.sounds` synthesises. Every spoken form is a noun phrase, so that each fits after
"the sound of" and before "from the left". The forms stay close to the label on purpose: wider words belong to
`spatial_audio_lm.language.everyday`, which measures what a model makes of words that no caption ever showed it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from spatial_audio_lm.errors import ConfigError


@dataclass(frozen=True)
class SoundClass:
    """A kind of sound that can be named.

    Attributes:
        id: Stable identifier, snake case.
        label: The noun phrase that names the class, also `spoken[0]`.
        spoken: Noun phrases for training captions.
        plural: The members of `spoken` that take "are" ("there are footsteps").
        source: Where clips come from: "esc10" or "procedural".
    """

    id: str
    label: str
    spoken: tuple[str, ...]
    plural: frozenset[str]
    source: str


def _sound(class_id: str, source: str, *spoken: str, plural: tuple[str, ...] = ()) -> SoundClass:
    return SoundClass(id=class_id, label=spoken[0], spoken=spoken, plural=frozenset(plural), source=source)


SOUND_CLASSES: tuple[SoundClass, ...] = (
    _sound("dog_bark", "esc10", "a dog barking", "a barking dog", "a dog", "a dog's bark", "the bark of a dog"),
    _sound("rain", "esc10", "rain", "falling rain", "rain falling", "rainfall", "steady rain"),
    _sound(
        "sea_waves",
        "esc10",
        "sea waves",
        "ocean waves",
        "waves",
        "waves of the sea",
        "the sea",
        "breaking waves",
        plural=("sea waves", "ocean waves", "waves", "waves of the sea", "breaking waves"),
    ),
    _sound("baby_cry", "esc10", "a baby crying", "a crying baby", "a baby", "a baby's cry", "the cry of a baby"),
    _sound(
        "clock_tick",
        "esc10",
        "a clock ticking",
        "a ticking clock",
        "a clock",
        "the tick of a clock",
        "clock ticks",
        plural=("clock ticks",),
    ),
    _sound("person_sneeze", "esc10", "a person sneezing", "a sneeze", "someone sneezing", "a sneezing person"),
    _sound(
        "helicopter", "esc10", "a helicopter", "a flying helicopter", "a helicopter flying", "a helicopter hovering"
    ),
    _sound("chainsaw", "esc10", "a chainsaw", "a chainsaw running", "a running chainsaw", "a chain saw"),
    _sound("rooster", "esc10", "a rooster crowing", "a crowing rooster", "a rooster", "the crow of a rooster"),
    _sound("fire_crackling", "esc10", "a crackling fire", "a fire crackling", "fire", "a burning fire", "a fire"),
    _sound("siren", "procedural", "a siren", "a wailing siren", "a siren wailing", "an emergency siren"),
    _sound("alarm", "procedural", "an alarm", "an alarm beeping", "a beeping alarm", "an alarm going off"),
    _sound("telephone", "procedural", "a telephone ringing", "a ringing telephone", "a phone ringing", "a telephone"),
    _sound("bell", "procedural", "a bell", "a bell ringing", "a ringing bell", "a bell chiming", "the chime of a bell"),
    _sound(
        "knocking",
        "procedural",
        "knocking on a door",
        "knocking",
        "someone knocking on a door",
        "a knock on a door",
        "door knocks",
        plural=("door knocks",),
    ),
    _sound(
        "footsteps",
        "procedural",
        "footsteps",
        "someone walking",
        "a person walking",
        "walking footsteps",
        "steps",
        plural=("footsteps", "walking footsteps", "steps"),
    ),
    _sound("engine", "procedural", "an engine running", "a running engine", "an engine", "a motor", "a motor running"),
    _sound(
        "water_drip",
        "procedural",
        "water dripping",
        "dripping water",
        "drops of water",
        "a water drip",
        "drips of water",
        plural=("drops of water", "drips of water"),
    ),
    _sound("bird", "procedural", "a bird singing", "a singing bird", "a bird", "a bird chirping", "birdsong"),
    _sound("buzz", "procedural", "an insect buzzing", "a buzzing insect", "buzzing", "a buzz", "an insect"),
    _sound(
        "clap",
        "procedural",
        "hands clapping",
        "clapping",
        "someone clapping",
        "clapping hands",
        "hand claps",
        plural=("hands clapping", "clapping hands", "hand claps"),
    ),
    _sound("wind", "procedural", "wind", "wind blowing", "blowing wind", "gusts of wind", plural=("gusts of wind",)),
    _sound("whistle", "procedural", "a person whistling", "someone whistling", "whistling", "a whistle"),
    _sound("horn", "procedural", "a horn honking", "a honking horn", "a horn", "a horn blowing"),
)
"""All sound classes, in the order that class indices follow."""

_BY_ID = {sound.id: sound for sound in SOUND_CLASSES}


def sound_class(class_id: str) -> SoundClass:
    """Return the class with this id.

    Args:
        class_id: An id such as "dog_bark".

    Returns:
        The entry of `SOUND_CLASSES`.

    Raises:
        ConfigError: The id is not in the vocabulary; the message names the nearest one.
    """
    found = _BY_ID.get(class_id)
    if found is None:
        raise ConfigError(f"no sound class has the id {class_id!r}; {_nearest(str(class_id))}")
    return found


def _nearest(class_id: str) -> str:
    near = difflib.get_close_matches(class_id.lower().replace(" ", "_"), _BY_ID, n=1, cutoff=0.5)
    return f"the nearest is {near[0]!r}" if near else f"known ids: {', '.join(_BY_ID)}"
