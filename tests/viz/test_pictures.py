"""Pictures: every answer can be drawn, the right words are on it, and no text overlaps another or leaves the page."""

import itertools
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from spatial_audio_lm.errors import DataError
from spatial_audio_lm.pipelines.answers import EventsResult, HeardEvent, Location, QueryResult, TextMatch, Window
from spatial_audio_lm.simulation.records import (
    BankReference,
    Receiver,
    SceneRecord,
    SceneRoom,
    SceneSource,
)
from spatial_audio_lm.simulation.rooms import sample_placement, sample_room
from spatial_audio_lm.viz.directions import plot_answer
from spatial_audio_lm.viz.figures import save_figure
from spatial_audio_lm.viz.scenes import plot_scene
from spatial_audio_lm.viz.timelines import plot_timeline

SENTENCES = [
    "a dog barking from the left, far away",
    "rain",
    "a very long sentence that somebody types because nobody says how long it may be, about a siren that passes on the "
    "right side of the street while it rains and a telephone rings and rings",
    "$100 of noise_{x} \\frac ^ %",
    "Unerträglichdonaudampfschifffahrtsgesellschaftskapitänsmützenabzeichengeräuschvonlinkshintenuntengehört",
    "a\nnew   line",
]
PLACES = [
    Location(azimuth_deg=a, elevation_deg=e, distance_m=d, confidence=c, spread_deg=s)
    for a, e, d, c, s in [
        (90.0, 0.0, 2.0, 0.9, 15.0),
        (-179.9, 60.0, 0.3, 0.2, 90.0),
        (180.0, -80.0, 120.0, 0.01, 140.0),
        (0.0, 20.0, 1.0, 1.0, 0.1),
        (-45.0, -15.0, 9.0, 0.5, 40.0),
    ]
] + [Location(reason="mono: one channel holds no direction")]


def _matches(count: int) -> tuple[TextMatch, ...]:
    texts = list(itertools.islice(itertools.cycle(SENTENCES), count))
    scores = np.exp(-np.arange(count)) / np.exp(-np.arange(count)).sum()
    return tuple(
        TextMatch(text, 0.5 - 0.05 * i, float(scores[i]) if count > 1 else None) for i, text in enumerate(texts)
    )


def _fields(place: Location) -> dict:
    return {name: getattr(place, name) for name in Location.__dataclass_fields__}


def _answer(count: int, place: Location, windows: tuple[Window, ...] = ()) -> QueryResult:
    return QueryResult(
        file="folder/a recording with a name that is rather long for a heading, but such names are found.wav",
        results=_matches(count), start_s=0.0, end_s=4.0, windows=windows, **_fields(place),
    )  # fmt: skip


def texts_of(figure: Figure) -> list[Text]:
    """All texts that are seen."""
    return [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]


def assert_legible(figure: Figure) -> None:
    """Every text is on the page, and none lies on another."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a letter that the font lacks is warned of
        figure.canvas.draw()
    page = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(figure)]
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1, f"{text!r} leaves the page"
    for (first, a), (second, b) in itertools.combinations(boxes, 2):
        across, along = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or along <= 2, f"{first!r} lies on {second!r}"


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.azimuth_deg}")
@pytest.mark.parametrize("count", [0, 1, 6, 40])
def test_an_answer_is_legible(place, count):
    assert_legible(plot_answer(_answer(count, place)))


def test_an_answer_says_what_is_known():
    said = " ".join(text.get_text() for text in texts_of(plot_answer(_answer(2, PLACES[0]))))
    shown = (SENTENCES[0], "FRONT", "LEFT", "from the left", "90° to the left", "2.0 m", "8 cases of 10", "73.1%")
    for words in shown:
        assert words in said, words
    said = " ".join(text.get_text() for text in texts_of(plot_answer(_answer(2, PLACES[-1]))))
    assert "mono" in said and "°" not in said


def test_a_sound_overhead_is_drawn_over_the_head():
    place = Location(azimuth_deg=90.0, elevation_deg=80.0, distance_m=2.0, confidence=0.9, spread_deg=10.0)
    markers = [line for line in plot_answer(_answer(0, place)).axes[0].lines if line.get_marker() == "o"]
    assert np.ravel(markers[0].get_xydata()).tolist() == [0.0, 0.0]


def test_left_is_drawn_at_the_left_and_front_up():
    def dot(azimuth_deg: float) -> np.ndarray:
        place = Location(azimuth_deg=azimuth_deg, elevation_deg=0.0, distance_m=2.0, confidence=0.9, spread_deg=10.0)
        markers = [line for line in plot_answer(_answer(0, place)).axes[0].lines if line.get_marker() == "o"]
        return np.ravel(markers[0].get_xydata())

    assert dot(90.0)[0] < -0.5 and abs(dot(90.0)[1]) < 1e-9
    assert dot(-90.0)[0] > 0.5
    assert dot(0.0)[1] > 0.5 and dot(180.0)[1] < -0.5


def _events(count: int, place: Location, label: str | None = None) -> EventsResult:
    numbers = {name: getattr(place, name) for name in ("azimuth_deg", "elevation_deg", "distance_m")}
    labels = itertools.islice(itertools.cycle(["dog bark", "siren", *SENTENCES[2:]]), count)
    events = tuple(HeardEvent(label or name, 0.97 - 0.01 * k, **numbers) for k, name in enumerate(labels))
    return EventsResult(
        file="yard.wav", events=events, start_s=0.0, end_s=4.0, windows=(), **_fields(place)
    )  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 3, 40])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.azimuth_deg}")
def test_events_are_legible(place, count):
    assert_legible(plot_answer(_events(count, place)))


@pytest.mark.parametrize("distance_m", [0.0, 0.4, 1.5, 3.0, 10.0])
@pytest.mark.parametrize("azimuth_deg", range(-180, 180, 30))
def test_names_of_events_are_legible_everywhere(azimuth_deg, distance_m):
    place = Location(
        azimuth_deg=float(azimuth_deg), elevation_deg=5.0, distance_m=distance_m, confidence=0.8, spread_deg=20.0
    )
    assert_legible(plot_answer(_events(5, place, "a sound with a long name")))


def test_events_are_named_at_their_place():
    figure = plot_answer(_events(2, PLACES[0]))
    on_plan = [text.get_text() for text in figure.axes[0].texts]
    assert "dog bark 97%" in on_plan and "siren 96%" in on_plan
    said = " ".join(text.get_text() for text in texts_of(figure))
    for words in ("What sounds", "90° to the left", "2.0 m", "80% sure", "all have the one place"):
        assert words in said, words
    without = plot_answer(_events(2, PLACES[-1]))
    assert not any("dog bark" in text.get_text() for text in without.axes[0].texts)
    assert "dog bark" in " ".join(text.get_text() for text in texts_of(without))


def _windows(number: int, texts: int, mono: bool = False) -> tuple[Window, ...]:
    generator = np.random.default_rng(0)
    windows = []
    for index in range(number):
        silent = number // 3 < index < number // 2
        place = Location(reason="mono" if mono else "silence") if mono or silent else PLACES[index % 5]
        matches = tuple(
            TextMatch(SENTENCES[i], None if silent else float(generator.normal(0.2, 0.2)), None) for i in range(texts)
        )
        windows.append(Window(start_s=2.0 * index, end_s=2.0 * index + 4.0, results=matches, **_fields(place)))
    return tuple(windows)


@pytest.mark.parametrize(
    ("number", "texts", "mono"), [(2, 1, False), (5, 6, True), (60, 3, False), (1800, 6, False), (9, 0, False)]
)
def test_a_timeline_is_legible(number, texts, mono):
    windows = _windows(number, texts, mono)
    assert_legible(plot_timeline(_answer(texts, PLACES[0], windows)))


def test_a_timeline_of_one_window_is_refused():
    with pytest.raises(DataError, match="plot_answer"):
        plot_timeline(_answer(1, PLACES[0], _windows(1, 1)))


def _scene(seed: int, sources: int) -> SceneRecord:
    generator = np.random.default_rng(seed)
    room = sample_room(generator)
    placed = sample_placement(room, generator, sources)
    classes = ["dog_bark", "person_sneeze", "telephone", "something_unknown"]
    return SceneRecord(
        scene_id=f"scene-{seed}",
        sample_rate=16_000,
        duration_s=4.0,
        receiver=Receiver("foa", placed.receiver_m, placed.yaw_deg),
        room=SceneRoom(room.size_m, room.floor_area_m2, room.volume_m3, 0.5),
        sources=tuple(
            SceneSource(classes[i], placed.azimuth_deg[i], placed.elevation_deg[i], placed.distance_m[i],
                        placed.sources_m[i], i, 0.0, ())
            for i in range(sources)
        ),
        bank=BankReference(1, "bank", ""),
        seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_a_plan_is_legible(seed):
    sources = 1 + seed % 4
    assert_legible(
        plot_scene(_scene(seed, sources), PLACES[seed % len(PLACES)], title=SENTENCES[2] if seed % 2 else None)
    )


def test_a_right_estimate_lies_on_the_source():
    for seed in range(6):
        scene = _scene(seed, 1)
        (source,) = scene.sources
        exact = Location(
            azimuth_deg=source.azimuth_deg, elevation_deg=source.elevation_deg, distance_m=source.distance_m,
            confidence=0.9, spread_deg=10.0,
        )  # fmt: skip
        axes = plot_scene(scene, exact).axes[0]
        marks = {
            line.get_marker(): np.ravel(line.get_xydata()) for line in axes.lines if line.get_marker() in ("o", "D")
        }
        assert marks["o"] == pytest.approx(marks["D"], abs=1e-6)


def test_pictures_are_written_whole_and_the_same_every_time(tmp_path):
    for suffix in (".png", ".svg", ".pdf"):
        for name in ("first", "second"):
            save_figure(plot_answer(_answer(3, PLACES[0])), tmp_path / f"{name}{suffix}")
        first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("first", "second"))
        assert len(first) > 5_000 and first == second
    with pytest.raises(DataError, match=r"\.png"):
        save_figure(plot_answer(_answer(1, PLACES[0])), tmp_path / "picture.gif")
    assert len(list(tmp_path.iterdir())) == 6
