"""Forms of one word are told from other words, and synonyms from things that only go together."""

import pytest

from spatial_audio_lm.language.caption_words import FUNCTION_WORDS, MANNER_WORDS
from spatial_audio_lm.language.synonyms import same_meaning
from spatial_audio_lm.language.word_forms import stems, words


@pytest.mark.parametrize(
    ("first", "second"),
    [("barks", "barking"), ("tapped", "tap"), ("hissing", "hisses"), ("sang", "sing"), ("cries", "crying"),
     ("dog's", "dogs"), ("loudly", "loud"), ("children", "child"), ("leaves", "leaf"), ("leaves", "left"),
     ("breathing", "breathes"), ("hurried", "hurry")],
)  # fmt: skip
def test_forms_of_one_word(first: str, second: str) -> None:
    assert stems(first) & stems(second)


@pytest.mark.parametrize(("first", "second"), [("car", "cat"), ("bus", "bust"), ("sing", "sings-song"), ("ring", "r")])
def test_other_words_share_no_stem(first: str, second: str) -> None:
    assert not stems(first) & stems(second)


@pytest.mark.parametrize(("first", "second"), [("automobile", "cars"), ("talks", "speaking"), ("twice", "two")])
def test_synonyms(first: str, second: str) -> None:
    assert same_meaning(first, second) and same_meaning(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [("car", "cat"), ("car", "truck"), ("man", "woman"), ("dog", "animal"), ("helicopter", "airplane"),
     ("rain", "fire"), ("two", "three"), ("boy", "girl"), ("people", "women"), ("papers", "cards")],
)  # fmt: skip
def test_what_sounds_otherwise_is_no_synonym(first: str, second: str) -> None:
    assert not same_meaning(first, second)


def test_words_are_lower_case_without_signs() -> None:
    assert words("High-pitched, the dog\u2019s \u201cwoof\u201d!") == ["high", "pitched", "the", "dog's", "woof"]
    assert "the" in FUNCTION_WORDS and "loudly" in MANNER_WORDS
