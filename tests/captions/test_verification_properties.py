"""What holds for captions of any facts: what is written from facts is accepted with them, and not with others."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.verification import REASONS, Verifier, plain_statement
from spatial_audio_lm.language.attributes import ATTRIBUTE_WORDS, SpatialAttributes
from spatial_audio_lm.language.templates import write_caption
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES

VERIFIER = Verifier()
IDS = {sound.id for sound in SOUND_CLASSES}  # of which `write_caption` takes any spoken form
CAPTIONS = (
    *(phrase for sound in SOUND_CLASSES for phrase in sound.spoken if phrase not in IDS),
    "two dogs barking at each other",
    "a man speaks while birds chirp",
    "rain falling on a tin roof and distant thunder",
    "a car passes by in the distance",
    "people talking in a large hall",
    "a bag left behind on a bus",
    "a machine that never stops",
    "a small dog yapping near a high fence",
)
attributes = st.builds(
    SpatialAttributes, **{name: st.none() | st.sampled_from(words) for name, words in ATTRIBUTE_WORDS.items()}
)
captions = st.sampled_from(CAPTIONS)
forms = st.sampled_from(("train", "heldout"))
seeds = st.integers(0, 2**32)


@settings(max_examples=150, deadline=None)
@given(captions, attributes, forms, seeds)
def test_what_is_written_from_facts_is_accepted(
    caption: str, given_attributes: SpatialAttributes, form: str, seed: int
) -> None:
    text = write_caption(caption, given_attributes, np.random.default_rng(seed), form)
    verdict = VERIFIER.check(text, CaptionFacts(caption, given_attributes))
    if text.endswith("?"):  # a query may ask, a caption may not
        assert [rejection.reason for rejection in verdict.reasons] == ["not stated"], text
    else:
        assert verdict.accepted, (text, verdict.reasons)


@settings(max_examples=100, deadline=None)
@given(captions, attributes)
def test_the_plain_statement_holds_every_word(caption: str, given_attributes: SpatialAttributes) -> None:
    text = plain_statement(CaptionFacts(caption, given_attributes))
    words = [getattr(given_attributes, name) for name in ATTRIBUTE_WORDS]
    assert all(word in text for word in [caption, *filter(None, words)])


@settings(max_examples=150, deadline=None)
@given(captions, attributes, seeds, st.sampled_from(tuple(ATTRIBUTE_WORDS)), st.data())
def test_other_facts_are_told_from_these(
    caption: str, said: SpatialAttributes, seed: int, name: str, data: st.DataObject
) -> None:
    """Written from one set of facts and checked with another that differs in one attribute."""
    word = getattr(said, name)
    other = data.draw(st.sampled_from([each for each in (None, *ATTRIBUTE_WORDS[name]) if each != word]))
    facts = CaptionFacts(caption, replace(said, **{name: other}))
    own = VERIFIER.check(caption, CaptionFacts(caption, SpatialAttributes(**{name: other or word}))).accepted
    if own:  # "a car passes by in the distance" says far itself, with or without a phrase for it
        return
    verdict = VERIFIER.check(write_caption(caption, said, np.random.default_rng(seed)), facts)
    expected = "attribute missing" if word is None else "attribute wrong" if other else "attribute invented"
    assert expected in {r.reason for r in verdict.reasons if r.attribute == name}, (facts, verdict.reasons)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), captions, attributes)
def test_any_text_gets_a_verdict_with_known_reasons(
    text: str, caption: str, given_attributes: SpatialAttributes
) -> None:
    verdict = VERIFIER.check(text, CaptionFacts(caption, given_attributes))
    assert verdict.accepted is not bool(verdict.reasons)
    assert all(r.reason in REASONS and r.attribute in (None, *ATTRIBUTE_WORDS) and r.detail for r in verdict.reasons)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(captions, attributes, seeds), max_size=8))
def test_checking_all_is_checking_each(drawn: list[tuple[str, SpatialAttributes, int]]) -> None:
    facts = [CaptionFacts(caption, said) for caption, said, _ in drawn]
    texts = [write_caption(caption, said, np.random.default_rng(seed)) for caption, said, seed in drawn]
    texts = [text[: len(text) // 2] if number % 2 else text for number, text in enumerate(texts)]
    assert VERIFIER.check_all(texts, facts) == [VERIFIER.check(*pair) for pair in zip(texts, facts, strict=True)]
