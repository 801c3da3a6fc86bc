"""Everyday hints at each class, in words that no training caption contains; for evaluation only.

Whoever asks a model for "woof woof" means a dog. Whether the model understands is a question to its text tower alone,
since training never showed it the word: these are the test of open vocabulary, after the two lists of hints of which
zero-shot studies of small models report one score each. `spatial_audio_lm.language.templates.training_words` is what
they must not share a content word with.
"""

from __future__ import annotations

from spatial_audio_lm.language.vocabulary import SOUND_CLASSES

EVERYDAY_WORDS: dict[str, tuple[str, str]] = {
    "dog_bark": ("woof woof", "an angry German shepherd"),
    "rain": ("wet weather", "a thunderstorm outdoors"),
    "sea_waves": ("surf at the beach", "the tide rolling onto the shore"),
    "baby_cry": ("toddler in distress", "a newborn who wants milk"),
    "clock_tick": ("seconds passing on a wristwatch", "grandfather's old timepiece"),
    "person_sneeze": ("achoo", "hay fever and allergies"),
    "helicopter": ("a chopper in the sky", "aircraft with rotor blades"),
    "chainsaw": ("lumberjack tool", "felling trees in the forest"),
    "rooster": ("cock-a-doodle-doo", "poultry yard morning call"),
    "fire_crackling": ("logs in the hearth", "flames and glowing embers"),
    "siren": ("an ambulance in a hurry", "police pursuit"),
    "alarm": ("a smoke detector", "burglar alert"),
    "telephone": ("an incoming call", "landline handset"),
    "bell": ("ding dong", "a church tower on Sunday"),
    "knocking": ("a visitor wants to enter", "rapping of knuckles against wood"),
    "footsteps": ("a pedestrian in leather shoes", "strolling in boots"),
    "engine": ("a truck on the highway", "tractor"),
    "water_drip": ("a leaky faucet", "bathroom tap plinking"),
    "bird": ("tweet tweet", "a nightingale or a sparrow"),
    "buzz": ("a bee at a flower", "mosquito at night"),
    "clap": ("applause", "an audience after the concert"),
    "wind": ("a stiff breeze", "gale and storm"),
    "whistle": ("a tune through pursed lips", "a melody without words"),
    "horn": ("an impatient driver in traffic", "klaxon"),
}
"""By class id, one hint for each of two lists."""


def everyday_list(index: int, source: str | None = None) -> dict[str, str]:
    """One of the two lists of hints.

    Args:
        index: 0 or 1.
        source: Only classes of this source ("esc10" or "procedural"); None for all.

    Returns:
        By class id, in the order of the vocabulary, one hint each.
    """
    return {sound.id: EVERYDAY_WORDS[sound.id][index] for sound in SOUND_CLASSES if source in (None, sound.source)}
