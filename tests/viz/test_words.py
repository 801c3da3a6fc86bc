"""Wrapping by measured width, the shape of a cone seen from above, and directions in words."""

import pytest

from spatial_audio_lm.pipelines.wording import clock, direction_numbers, direction_words
from spatial_audio_lm.viz.listener import plan_half_width_deg
from spatial_audio_lm.viz.text_layout import text_width, wrap_text


@pytest.mark.parametrize("text", ["", "one", "many words " * 20, "W" * 200, "i" * 200, "wide WORDS " + "m" * 80])
@pytest.mark.parametrize("width", [0.8, 3.0])
def test_lines_fit(text, width):
    lines = wrap_text(text, width, 11.0)
    assert 1 <= len(lines) <= 4
    assert all(text_width(line, 11.0) <= width for line in lines)
    whole = wrap_text(text, width, 11.0, max_lines=10_000)
    assert "".join("".join(whole).split()) == "".join(text.split())


def test_what_is_cut_says_so():
    assert wrap_text("many words " * 50, 2.0, 11.0, max_lines=2)[-1].endswith("…")


@pytest.mark.parametrize(
    ("elevation_deg", "spread_deg", "expected"),
    [
        (0.0, 20.0, 20.0),
        (0.0, 95.0, 180.0),
        (60.0, 35.0, 180.0),
        (60.0, 20.0, 43.16),
        (-60.0, 20.0, 43.16),
        (30.0, 0.0, 0.0),
    ],
)
def test_a_cone_looks_wider_from_above_when_it_is_high(elevation_deg, spread_deg, expected):
    assert plan_half_width_deg(elevation_deg, spread_deg) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "words", "numbers"),
    [
        (0.0, 0.0, "from the front, at ear level", "0°, level"),
        (90.0, 14.0, "from the left, slightly above ear level", "90° to the left, 14° up"),
        (-90.0, -40.0, "from the right, below ear level", "90° to the right, 40° down"),
        (-180.0, 0.2, "from behind, at ear level", "180°, level"),
        (45.0, 5.0, "from the front left, at ear level", "45° to the left, 5° up"),
        (-135.0, 80.0, "from above", "135° to the right, 80° up"),
    ],
)
def test_directions(azimuth_deg, elevation_deg, words, numbers):
    assert direction_words(azimuth_deg, elevation_deg) == words
    assert direction_numbers(azimuth_deg, elevation_deg) == numbers


def test_clock():
    assert [clock(seconds) for seconds in (0, 7.9, 65, 3723)] == ["0:00", "0:07", "1:05", "1:02:03"]
