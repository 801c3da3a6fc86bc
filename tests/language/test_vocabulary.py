"""The vocabulary: ids, labels, spoken forms, and the everyday hints that training never shows."""

import re

import pytest

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.language.everyday import EVERYDAY_WORDS
from spatial_audio_lm.language.templates import training_words
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES, sound_class
from spatial_audio_lm.simulation.sounds import SOUND_KINDS

ESC10 = {
    "dog_bark",
    "rain",
    "sea_waves",
    "baby_cry",
    "clock_tick",
    "person_sneeze",
    "helicopter",
    "chainsaw",
    "rooster",
    "fire_crackling",
}
# words that carry no class: articles, prepositions, pronouns, conjunctions
FUNCTION_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "onto",
        "who",
        "from",
        "with",
        "without",
        "and",
        "or",
        "against",
        "after",
        "through",
    ]
)


def stem(word: str) -> str:
    return re.sub(r"(?:'s|ing|ed|es|s|e)$", "", word) if len(word) > 4 else word


def test_ids_are_unique_and_complete() -> None:
    ids = [sound.id for sound in SOUND_CLASSES]
    assert len(set(ids)) == len(ids)
    assert {sound.id for sound in SOUND_CLASSES if sound.source == "esc10"} == ESC10
    assert {sound.id for sound in SOUND_CLASSES if sound.source == "procedural"} == set(SOUND_KINDS)


def test_every_class_has_a_few_spoken_forms_and_no_two_classes_share_one() -> None:
    forms = [form for sound in SOUND_CLASSES for form in sound.spoken]
    assert len(set(forms)) == len(forms)
    for sound in SOUND_CLASSES:
        assert 4 <= len(sound.spoken) <= 8, sound.id
        assert sound.label == sound.spoken[0]
        assert sound.plural <= set(sound.spoken)


def test_unknown_id_names_the_nearest() -> None:
    assert sound_class("dog_bark").label == "a dog barking"
    with pytest.raises(ConfigError, match="'dog_bark'"):
        sound_class("dog bark")
    with pytest.raises(ConfigError, match="known ids"):
        sound_class("qqqq")


def test_everyday_hints_share_no_content_word_with_training_captions() -> None:
    assert set(EVERYDAY_WORDS) == {sound.id for sound in SOUND_CLASSES}
    seen = {stem(word) for word in training_words()}
    for class_id, hints in EVERYDAY_WORDS.items():
        assert len(set(hints)) == 2
        for hint in hints:
            words = [word for word in re.findall(r"[a-z']+", hint.lower()) if word not in FUNCTION_WORDS]
            assert words, hint
            known = [word for word in words if stem(word) in seen or word in training_words()]
            assert not known, f"{class_id}: {hint!r} contains {known}, which training captions contain"


def test_no_hint_serves_two_classes() -> None:
    hints = [hint for pair in EVERYDAY_WORDS.values() for hint in pair]
    assert len(set(hints)) == 2 * len(SOUND_CLASSES)
