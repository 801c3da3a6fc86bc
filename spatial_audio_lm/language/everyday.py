"""Everyday hints at each class, in words that no training caption contains; for evaluation only.

Whoever asks for "woof woof" means a dog. Whether a model understands is a question to its text tower alone, since
training never showed it the word: this is the test of its open vocabulary. The hints share no content word with
`spatial_audio_lm.language.templates.training_words`, and form two lists, which are scored apart.
"""

from __future__ import annotations

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
