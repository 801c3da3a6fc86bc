"""The verifier keeps what says the facts and rejects what does not, with the right reason."""

import pytest

from spatial_audio_lm.captions.facts import CaptionFacts
from spatial_audio_lm.captions.verification import Verifier
from spatial_audio_lm.language.attributes import SpatialAttributes


def reasons(text: str, caption: str, **attributes: str) -> set[str]:
    """The reasons against a text."""
    verdict = Verifier().check(text, CaptionFacts(caption, SpatialAttributes(**attributes)))
    assert verdict.accepted is not bool(verdict.reasons)
    return {rejection.reason for rejection in verdict.reasons}


def test_a_cat_made_of_a_car_is_not_kept() -> None:
    # ELSA, arXiv 2409.11369, appendix A.4
    assert "sound invented" in reasons("the purring cat named Carerra", "the purr of a carerra")
    assert reasons("a Carerra, purring", "the purr of a carerra") == set()


def test_a_basement_is_not_below_and_cards_are_not_papers() -> None:
    # ELSA, arXiv 2409.11369, appendix A.4
    found = reasons(
        "the sound of someone shuffling cards in the basement", "the sounds of papers turning", elevation="down"
    )
    assert {"attribute missing", "sound lost", "sound invented"} <= found
    assert reasons("the sounds of papers turning below you", "the sounds of papers turning", elevation="down") == set()


@pytest.mark.parametrize(
    ("text", "given", "reason"),
    [
        ("A dog barks at the far end of the room.", {"direction": "front", "distance": "far"}, "attribute missing"),
        ("A dog barks on the right.", {"direction": "left"}, "attribute wrong"),
        ("A dog barks on the left, far away.", {"direction": "left"}, "attribute invented"),
    ],
)
def test_faults_of_attributes(text: str, given: dict[str, str], reason: str) -> None:
    assert reasons(text, "a dog barks", **given) == {reason}
