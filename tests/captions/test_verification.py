"""The verifier keeps what says the facts and rejects what does not, with the right reason."""

import pytest

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.verification import REASONS, Rejection, Verifier, VerifierSettings
from spatial_audio_lm.errors import ConfigError, DataError, TextError
from spatial_audio_lm.language.attributes import SpatialAttributes

BARK = "a dog barks"
DUET = "A man speaks while birds chirp"


def facts(caption: str, **attributes: str) -> CaptionFacts:
    return CaptionFacts(caption, SpatialAttributes(**attributes))


def reasons(text: str, caption: str, **attributes: str) -> set[str]:
    """The reasons against a text."""
    verdict = Verifier().check(text, facts(caption, **attributes))
    assert verdict.accepted is not bool(verdict.reasons)
    return {rejection.reason for rejection in verdict.reasons}


def test_a_cat_made_of_a_car_is_not_kept() -> None:
    # ELSA, arXiv 2409.11369, appendix A.4
    assert "sound invented" in reasons("the purring cat named Carerra", "the purr of a carerra")
    assert reasons("a Carerra, purring", "the purr of a carerra") == set()


def test_a_basement_is_not_below_and_cards_are_not_papers() -> None:
    # ELSA, arXiv 2409.11369, appendix A.4
    text = "the sound of someone shuffling cards in the basement"
    found = reasons(text, "the sounds of papers turning", elevation="down")
    assert {"attribute missing", "sound lost", "sound invented"} <= found
    assert reasons("the sounds of papers turning below you", "the sounds of papers turning", elevation="down") == set()


RIGHT = [
    ("To your left, close at hand, a dog barks.", BARK, {"direction": "left", "distance": "near"}),
    ("A dog's bark echoes through the room.", BARK, {"reverberation": "highly reverberant"}),
    ("A dog could be heard barking, far from the listener.", BARK, {"distance": "far"}),
    ("Is that a dog barking behind you?", "is that a dog barking?", {"direction": "back"}),
    ("A drill stops running, close to you.", "a drill finishes running", {"distance": "near"}),
    ("Somewhere above, a dog is barking in a tiny booth.", BARK, {"elevation": "up", "size": "small"}),
    ("From the near upper right comes the bark of a dog.", BARK, {"direction": "right", "elevation": "up",
                                                                 "distance": "near"}),
    ("In a boomy, cavernous hall, a dog barks.", BARK, {"size": "large", "reverberation": "highly reverberant"}),
    ("In a muffled and dry room, a dog barks.", BARK, {"reverberation": "acoustically dampened"}),
    ("A dog barks in a room that swallows every echo.", BARK, {"reverberation": "acoustically dampened"}),
    ("From the left come a man's voice and the chirping of birds.", DUET, {"direction": "left"}),
    ("In a room, an automobile passes with the engine revving up.", "a car passes, its engine revving up", {}),
    ("Rain falls without stopping, behind you.", "rain falls without stopping", {"direction": "back"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "caption", "given"), RIGHT, ids=[text for text, _, _ in RIGHT])
def test_right_paraphrases_are_accepted(text: str, caption: str, given: dict[str, str]) -> None:
    verdict = Verifier().check(text, facts(caption, **given))
    assert verdict.accepted, verdict.reasons


ATTRIBUTE_FAULTS = [
    # "far end" for front and far
    ("A dog barks at the far end of the room.", {"direction": "front", "distance": "far"}, "attribute missing"),
    ("A dog barks on the right.", {"direction": "left"}, "attribute wrong"),
    ("A dog barks on the left, far away.", {"direction": "left"}, "attribute invented"),
    ("The dog, left behind, barks.", {"direction": "back"}, "attribute wrong"),
    ("The dog left, barking.", {"direction": "left"}, "attribute missing"),
    ("A dog barks, not on the left.", {"direction": "left"}, "attribute missing"),
    ("A dog barks to the left of the car.", {"direction": "left"}, "attribute missing"),
    ("A small dog barks.", {"size": "small"}, "attribute missing"),
    ("A dog barks in a damp room.", {"reverberation": "acoustically dampened"}, "attribute missing"),
    ("A dog barks slightly to the left.", {"direction": "left"}, "attribute wrong"),
    ("A dog barks at nine o'clock.", {"direction": "left"}, "attribute wrong"),
    ("A dog barks in the west.", {}, "attribute invented"),
    ("A dog barks two metres away.", {"distance": "far"}, "attribute wrong"),
    ("A dog barks at a height.", {}, "attribute invented"),
    ("A dog barks in a medium-sized room.", {}, "attribute invented"),
    ("A dog barks in a slightly reverberant room.", {"reverberation": "highly reverberant"}, "attribute wrong"),
    ("A dog's bark echoes through the room.", {}, "attribute invented"),
    ("A dog barks in a cathedral.", {}, "attribute invented"),
    ("A dog barks in the background.", {}, "attribute invented"),
    ("A dog barks in the corner of the room.", {}, "attribute invented"),
    ("A dog barks in another room.", {}, "attribute invented"),
    ("A dog barks from left to right.", {"direction": "left"}, "attribute wrong"),
    ("Far from quiet, a dog barks.", {"distance": "far"}, "attribute missing"),
    ("A dog barks close to the left.", {"direction": "left", "distance": "near"}, "attribute missing"),
    ("A dog barks close to your left.", {"direction": "left", "distance": "near"}, "attribute missing"),
    ("A dog barks close to the house.", {"distance": "near"}, "attribute missing"),
    ("A dog barks in a small-ish room.", {"size": "small"}, "attribute missing"),
]


@pytest.mark.parametrize(("text", "given", "reason"), ATTRIBUTE_FAULTS, ids=[text for text, _, _ in ATTRIBUTE_FAULTS])
def test_faults_of_attributes(text: str, given: dict[str, str], reason: str) -> None:
    assert reason in reasons(text, BARK, **given)


OWN_PLACES = [  # of the caption itself: the text, the caption, what is given, the reason or None
    ("A car passes in the distance, on the left.", "a car passes in the distance", {"direction": "left"}, None),
    ("Far away, a car passes on the left.", "a car passes in the distance", {"direction": "left"}, None),
    ("A car passes in the distance.", "a car passes in the distance", {"distance": "far"}, None),
    ("A car passes in the distance.", "a car passes in the distance", {"distance": "near"}, "attribute missing"),
    ("People talk in a large hall on the left.", "people talking in a large hall", {"direction": "left"}, None),
    ("People talk in a large hall.", "people talking in a large hall", {"size": "large"}, None),
    ("People talk in a large hall.", "people talking in a large hall", {"size": "small"}, "attribute missing"),
    # said of one sound in the caption, it is not said of all
    ("Birds chirp nearby and a man speaks.", "birds chirp nearby and a man speaks", {}, None),
    ("Birds chirp nearby and a man speaks.", "birds chirp nearby and a man speaks", {"distance": "near"},
     "attribute missing"),
    ("Near the listener, birds chirp nearby and a man speaks.", "birds chirp nearby and a man speaks",
     {"distance": "near"}, None),
    ("Birds chirp and a man speaks nearby.", "birds chirp nearby and a man speaks", {}, "attribute invented"),
    ("Frogs of a pond croak near you.", "frogs croak near a pond", {}, "attribute invented"),
    ("The dog left on the right.", "the dog left", {"direction": "right"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "caption", "given", "reason"), OWN_PLACES)
def test_places_of_the_caption_itself_are_neither_invented_nor_taken_for_the_given(
    text: str, caption: str, given: dict[str, str], reason: str | None
) -> None:
    assert reasons(text, caption, **given) == ({reason} if reason else set())


@pytest.mark.parametrize(
    "text",
    [
        "A man speaks on the left while birds chirp nearby.",
        "On the left, a man speaks while birds chirp nearby.",
        "A nearby man speaks while birds chirp, on the left.",
    ],
)
def test_a_place_of_one_of_two_sounds_is_moved(text: str) -> None:
    assert reasons(text, DUET, direction="left", distance="near") == {"attribute moved"}


@pytest.mark.parametrize(
    ("text", "caption", "reason"),
    [
        ("A car meows.", "a cat meows", "sound invented"),
        ("A woman speaks while birds chirp.", DUET, "sound lost"),
        ("A man speaks.", DUET, "sound lost"),
        ("A man speaks while birds chirp and music plays softly.", DUET, "sound invented"),
        ("A dog barks softly.", "a dog barks loudly", "sound invented"),
        ("Three dogs bark.", "two dogs bark", "sound invented"),
        ("No dog barks.", BARK, "denied"),
        ("A dog stops barking.", BARK, "denied"),
        ("A dog ceases to bark.", BARK, "denied"),
        ("A dog barks in the kitchen.", BARK, "sound invented"),
        ("A dog barks in a busy room.", BARK, "sound invented"),
    ],
)
def test_faults_of_sounds(text: str, caption: str, reason: str) -> None:
    assert reason in reasons(text, caption)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n...", "empty"),
        ("a dog barks " * 20, "too long"),
        ("Un perro ladra en la sala", "not English"),
        ("A dog barks 狗", "not English"),
        ("A dog barks. A dog barks.", "not one sentence"),
        ("A dog barks.\nA dog barks.", "not one sentence"),
        ('"A dog barks."', "talk left"),
        ("**A dog barks.**", "talk left"),
        ("<think>short</think>A dog barks.", "talk left"),
        ("Sure! A dog barks.", "talk left"),
        ("Here is the rephrased sentence: A dog barks.", "talk left"),
        ("The sound: a dog barks.", "talk left"),
        ("A dog barks?", "not stated"),
        ("Is a dog barking", "not stated"),
        ("If a dog barked, it would bark.", "not stated"),
        ("A dog might bark.", "not stated"),
        ("A dog could be barking.", "not stated"),
    ],
)
def test_faults_of_form(text: str, reason: str) -> None:
    assert reason in reasons(text, BARK)


def test_similarity_is_asked_once_for_what_passed_the_words() -> None:
    asked: list[tuple[list[str], list[str]]] = []

    def similarity(first: list[str], second: list[str]) -> list[float]:
        asked.append((first, second))
        return [0.9, 0.1, float("nan")][: len(first)]

    verifier = Verifier(VerifierSettings(min_similarity=0.5), similarity)
    texts = ["A dog barks on the left.", "A cat meows.", "On the left, a dog barks.", "Left: a dog barks"]
    verdicts = verifier.check_all(texts, [facts(BARK, direction="left")] * 4)
    assert len(asked) == 1
    assert asked[0][0] == [texts[0], texts[2], texts[3]]
    assert asked[0][1][0] == "a dog barks is coming from the left of a room"
    assert [verdict.accepted for verdict in verdicts] == [True, False, False, False]
    assert [r.reason for verdict in verdicts[2:] for r in verdict.reasons] == ["not alike", "not alike"]


def test_what_is_no_text_or_does_not_pair_is_refused() -> None:
    with pytest.raises(TextError, match="NoneType"):
        Verifier().check(None, facts(BARK))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="2 texts and 1 facts"):
        Verifier().check_all(["a", "b"], [facts(BARK)])
    with pytest.raises(DataError, match="0 values for 1"):
        Verifier(similarity=lambda first, second: []).check(BARK, facts(BARK))


@pytest.mark.parametrize(("name", "value"), [("min_recall", 1.5), ("min_similarity", -0.1), ("extra_words", -1)])
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        VerifierSettings(**{name: value})  # type: ignore[arg-type]


def test_reasons_are_a_closed_list() -> None:
    assert all(Rejection(reason, None, "x").reason == reason for reason in REASONS)
    with pytest.raises(ConfigError, match="no reason 'odd'"):
        Rejection("odd", None, "x")
