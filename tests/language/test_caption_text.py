"""What is no caption of a sound is refused, with what is wrong."""

import pytest

from spatial_audio_lm.errors import TextError
from spatial_audio_lm.language.caption_text import MAX_WORD_CHARACTERS, require_caption


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "is empty"),
        (" \n ", "is empty"),
        (b"rain", r"is b'rain' \(bytes\); expected what sounds"),
        ("42", "is '42', without a word"),
        ("?!", "without a word"),
        (" NaN ", "is 'NaN', which programs write where there is none"),
        ("a " * 15_000, "has 30000 characters"),
        ("rain " + "x" * 5_000, "has a word of 5000 characters, 'xxxxxxxxxxxxxxxxxxxx' and so on"),
        ("a dog\x07 barks", r"control character U\+0007"),
        ("a dog \ud800 barks", "half of a character"),
    ],
)
def test_what_is_no_caption_is_refused(text: object, problem: str) -> None:
    with pytest.raises(TextError, match=problem):
        require_caption(text)


@pytest.mark.parametrize(
    "text", ["rain", "None of the dogs barks", "Glocken läuten", "雨" * MAX_WORD_CHARACTERS, "a\nb"]
)
def test_every_text_in_words_is_one(text: str) -> None:
    require_caption(text)
