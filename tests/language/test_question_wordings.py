import re

import numpy as np
import pytest

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.language.question_types import QUESTION_TYPES, question_type
from spatial_audio_lm.language.question_wordings import (
    COMPARATIVES,
    HELDOUT_WORDINGS,
    RELATIONS,
    TRAIN_WORDINGS,
    number_of_wordings,
    patterns_of,
    write_question,
)
from spatial_audio_lm.language.sound_names import ANSWER_NAMES, answer_name, definite_phrase
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES

SLOTS = {
    "sound": "the dog", "other": "the rain", "is": "is", "do": "does", "place": "on the left",
    "relation": "closer than", "first": "to the left of", "second": "to the right of", "either": "left", "or": "right",
    "more": "closer",
}  # fmt: skip


@pytest.mark.parametrize("name", QUESTION_TYPES)
@pytest.mark.parametrize("forms", ["train", "heldout"])
def test_every_wording_is_a_sentence(name: str, forms: str) -> None:
    draw = np.random.default_rng(0).random
    written = {write_question(name, SLOTS, draw, forms) for _ in range(600)}
    for text in written:
        assert re.fullmatch(r"[A-Z].*[?.]", text), text
        assert not re.search(r"[(){}|]|  | [?.,:;]", text), text
    assert len(written) <= number_of_wordings(name, forms)
    assert len(written) > 0.9 * number_of_wordings(name, forms)


@pytest.mark.parametrize("name", QUESTION_TYPES)
def test_there_are_many_wordings_and_those_held_out_are_others(name: str) -> None:
    assert number_of_wordings(name) >= 8 and number_of_wordings(name, "heldout") >= 2
    assert not set(patterns_of(name)) & set(patterns_of(name, "heldout"))


def test_every_type_has_wordings_and_every_relation_its_comparative():
    assert TRAIN_WORDINGS.keys() == HELDOUT_WORDINGS.keys() == QUESTION_TYPES.keys()
    assert RELATIONS.keys() == COMPARATIVES.keys()


def test_no_wording_of_a_comparison_says_left_or_right_by_itself():
    # the control with exchanged channels reads from the question whether left and right are what is asked
    for forms in ("train", "heldout"):
        for pattern in patterns_of("MIXUP_DIRECTION", forms):
            assert not re.search(r"\b(left|right)\b", pattern), pattern


def test_same_draws_same_question():
    def written(seed: int) -> str:
        return write_question("MIXUP_SINGLE_DOA", SLOTS, np.random.default_rng(seed).random)

    assert written(3) == written(3)
    assert len({written(seed) for seed in range(20)}) > 5


def test_a_pattern_whose_slots_are_not_given_is_not_used():
    draw = np.random.default_rng(0).random
    texts = {write_question("DOA", {}, draw) for _ in range(200)}
    assert not any("dog" in text for text in texts)
    with pytest.raises(ConfigError, match="no wording of MIXUP_SINGLE_DOA does with"):
        write_question("MIXUP_SINGLE_DOA", {}, draw)
    with pytest.raises(ConfigError, match="expected 'train' or 'heldout'"):
        write_question("DOA", {}, draw, "test")


def test_unknown_types_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="the nearest is MIXUP_DIRECTION"):
        question_type("mixup_directions")
    with pytest.raises(ConfigError, match="there are CLASSIFICATION"):
        question_type("x")


def test_types_are_sorted_as_in_the_tables():
    letters = [kind.letter for kind in QUESTION_TYPES.values()]
    assert letters == list("ABCD") + ["E"] * 5
    assert [kind.name for kind in QUESTION_TYPES.values() if kind.letter == "E" and kind.in_table] == [
        "MIXUP_DIRECTION", "MIXUP_DISTANCE_BOTH",
    ]  # fmt: skip


def test_names_of_answers_are_unique_and_without_article():
    assert len(set(ANSWER_NAMES.values())) == len(SOUND_CLASSES)
    assert not any(re.match(r"(an?|the) ", name) for name in ANSWER_NAMES.values())
    assert answer_name("dog_bark") == "dog barking"
    with pytest.raises(ConfigError):
        answer_name("dog")


@pytest.mark.parametrize("sound", SOUND_CLASSES, ids=lambda sound: sound.id)
def test_phrases_speak_of_a_known_sound(sound) -> None:
    draw = np.random.default_rng(0).random
    phrases = {definite_phrase(sound.id, draw) for _ in range(300)}
    assert all(re.match(r"the (?!an? |someone)", phrase) for phrase, _ in phrases)
    assert len(phrases) > len(sound.spoken)
    plurals = {phrase.removeprefix("the ") for phrase, plural in phrases if plural}
    assert plurals == set(sound.plural)
    of_label = {definite_phrase(sound.id, draw, label_only=True)[0] for _ in range(50)}
    assert of_label == {f"the {ANSWER_NAMES[sound.id]}", f"the sound of {sound.label}"}
