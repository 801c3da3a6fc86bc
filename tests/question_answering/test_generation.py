import re

import numpy as np
import pytest

from spatial_audio_lm.errors import ConfigError, DataError, RecordError
from spatial_audio_lm.language.answers import AXES, read_distance, read_names, read_sides, read_yes_no
from spatial_audio_lm.language.question_types import QUESTION_TYPES
from spatial_audio_lm.language.question_wordings import RELATIONS
from spatial_audio_lm.language.sound_names import ANSWER_NAMES
from spatial_audio_lm.language.vocabulary import SOUND_CLASSES
from spatial_audio_lm.question_answering.balance import answer_balance
from spatial_audio_lm.question_answering.generation import SceneQuestions, question_about
from spatial_audio_lm.question_answering.question_settings import QuestionSettings
from spatial_audio_lm.question_answering.records import SpatialQuestion
from spatial_audio_lm.question_answering.scene_facts import Margins, PlacedSound, placed_sounds
from tests.question_answering.placed_scenes import Place, scene

BELL: Place = ("bell", 60.0, 30.0, 1.0)
RAIN: Place = ("rain", -120.0, -20.0, 3.2)
SPOKEN = {phrase.removeprefix("the "): sound.id for sound in SOUND_CLASSES for phrase in sound.spoken}


def asked(name: str, *places: Place, count: int = 200, **settings: object) -> list[SpatialQuestion]:
    """Questions of one type about one scene, each drawn anew."""
    about = scene(*places)
    return [
        question_about(about, np.random.default_rng(seed), QuestionSettings(**settings), name) for seed in range(count)
    ]


def order_of(question: str) -> bool:
    """Whether the bell is named before the rain."""
    return question.lower().index("bell") < question.lower().index("rain")


def relation_in(question: str) -> str:
    """Which relation a comparison asks for; the longest wording that stands in it."""
    found = [(len(text), word) for word, texts in RELATIONS.items() for text in texts if f" {text} the" in question]
    assert found, question
    return max(found)[1]


def test_one_sound_is_named_and_placed():
    assert {q.answer for q in asked("CLASSIFICATION", BELL)} == {"bell"}
    assert {q.answer for q in asked("DOA", BELL)} == {"left, front, above; 1m"}
    assert len({q.question for q in asked("CLASSIFICATION", BELL)}) > 60


def test_one_of_two_sounds_is_placed():
    for question in asked("MIXUP_SINGLE_DOA", BELL, RAIN):
        is_bell = "bell" in question.question.lower()
        assert is_bell != ("rain" in question.question.lower())
        assert question.answer == ("left, front, above; 1m" if is_bell else "right, behind, below; 3m")


def test_the_sound_at_a_place_is_named():
    answers = asked("MIXUP_SINGLE_CLASSIFICATION", BELL, RAIN)
    assert {q.answer for q in answers} == {"bell", "rain"}
    for question in answers:
        text = question.question.lower()
        words = ("left", "front", "above", "1 metre") if question.answer == "bell" else ("right", "below", "3 metres")
        others = ("right", "below", "3 metres") if question.answer == "bell" else ("left", "front", "above", "1 metre")
        assert any(word in text for word in (*words, "behind", "back", "rear")), text
        assert not any(re.search(rf"\b{word}\b", text) for word in others), text


def test_comparisons_are_true_of_the_geometry():
    """The bell is left of, before, above the rain, and closer: a second way to the answer, from the words alone."""
    true_of_bell = {"left", "front", "above", "closer"}
    for name in ("MIXUP_DIRECTION", "MIXUP_DISTANCE_BOTH"):
        relations = set()
        for question in asked(name, BELL, RAIN):
            relation = relation_in(question.question)
            relations.add(relation)
            holds = (relation in true_of_bell) == order_of(question.question)
            assert read_yes_no(question.answer) is holds, question
        assert len(relations) == (6 if name == "MIXUP_DIRECTION" else 2)


def test_the_side_and_the_sound_of_a_comparison():
    for question in asked("MIXUP_NONBINARY_DIRECTION", BELL, RAIN):
        # the first of two sounds named is the one that is asked about, but for "taking the rain as the reference"
        text = question.question
        about_bell = order_of(text) != bool(re.match(r"(Compared to)", text))
        if re.search(r"(relative|compared|in relation) to the .*:", text) and not text.startswith("Compared"):
            about_bell = order_of(text)
        assert question.answer in (("left", "front", "above") if about_bell else ("right", "behind", "below")), question
    sounds = asked("MIXUP_NONBINARY_SOURCE", BELL, RAIN)
    assert {q.answer for q in sounds} == {"bell", "rain"}
    for question in sounds:
        bell = re.search(r"to the left|to the front|higher|closer|nearer", question.question)
        rain = re.search(r"to the right|to the back|lower|away|distant", question.question)
        assert bool(bell) != bool(rain) and question.answer == ("bell" if bell else "rain"), question


def test_the_distance_between_two_sounds():
    one, other = placed_sounds(scene(BELL, RAIN))
    metres = np.linalg.norm(one.distance_m * one.direction - other.distance_m * other.direction)
    for question in asked("MIXUP_NONBINARY_DISTANCE", BELL, RAIN):
        assert read_distance(question.answer) == pytest.approx(metres, abs=0.25)
    assert {q.answer for q in asked("MIXUP_NONBINARY_DISTANCE", ("bell", 90, 0, 1), ("rain", -90, 0, 1))} == {"2m"}


def test_what_cannot_be_said_is_not_asked():
    same_class = (BELL, ("bell", -120.0, -20.0, 3.2))
    close = (BELL, ("rain", 61.0, 31.0, 1.1))
    for places, names in (
        ((BELL,), [name for name, kind in QUESTION_TYPES.items() if kind.letter in "CDE"]),
        ((BELL, RAIN), ["CLASSIFICATION", "DOA"]),
        (same_class, [name for name, kind in QUESTION_TYPES.items() if kind.letter in "DE"]),
        (close, [name for name, kind in QUESTION_TYPES.items() if kind.compares and kind.answer != "distance"]),
    ):
        for name in names:
            with pytest.raises(DataError, match=f"{name} can be asked"):
                question_about(scene(*places), np.random.default_rng(0), name=name)
    with pytest.raises(DataError, match="none of the types that are asked for"):
        question_about(scene(BELL), np.random.default_rng(0), QuestionSettings({"MIXUP_SINGLE_DOA": 1.0}))


def test_sides_are_compared_only_where_both_readings_agree():
    # straight left and near, or half left and far: in metres the second is further left, as a direction the first
    near, far = ("bell", 90.0, 0.0, 1.0), ("rain", 30.0, 0.0, 4.0)
    for question in asked("MIXUP_DIRECTION", near, far):
        assert relation_in(question.question) in ("front", "behind"), question.question


def test_two_sounds_at_the_same_place_are_both_named():
    places = (BELL, ("rain", 62.0, 31.0, 1.05))
    for question in asked("MIXUP_SINGLE_CLASSIFICATION", *places, count=30):
        assert question.answer == "bell; rain"
        assert all(word in question.question.lower() for word in ("left", "front", "1 metre"))
        assert "above" in question.question.lower()


def test_noise_is_not_asked_about_and_mono_has_no_places():
    about = scene(BELL, noise=True)
    assert question_about(about, np.random.default_rng(0), name="CLASSIFICATION").answer == "bell"
    with pytest.raises(RecordError, match="only noise"):
        placed_sounds(scene(noise=True))
    with pytest.raises(RecordError, match="is mono"):
        placed_sounds(scene(BELL, format="mono"))


@pytest.mark.parametrize("format", ["binaural", "foa"])
def test_all_types_are_made_of_simulated_scenes_and_can_be_read(simulated, format: str) -> None:
    questions = list(SceneQuestions(simulated[format], per_scene=10))
    assert {q.question_type for q in questions} == set(QUESTION_TYPES)
    for question in questions:
        readable = {
            "classes": lambda text: read_names(text, ANSWER_NAMES.values()).names,
            "place": lambda text: read_sides(text) and read_distance(text) is not None,
            "yes_no": lambda text: read_yes_no(text) is not None,
            "side": lambda text: text in {word for axis in AXES for word in axis},
            "distance": lambda text: read_distance(text) is not None,
        }[question.kind.answer]
        assert readable(question.answer), question
        assert question.audio_id == f"audio/{question.scene_id}" and question.reverb_id is None


def test_a_question_is_a_function_of_seed_and_number_alone(simulated) -> None:
    scenes = simulated["binaural"]
    first, again = SceneQuestions(scenes, per_scene=3, seed=5), SceneQuestions(scenes, per_scene=3, seed=5)
    assert [first[k] for k in reversed(range(len(first)))][::-1] == list(again)
    assert list(SceneQuestions(scenes, per_scene=2, seed=5)) == list(again)[: 2 * len(scenes)]
    assert list(SceneQuestions(scenes, per_scene=3, seed=6)) != list(again)
    assert first[len(scenes) + 7].scene_id == scenes[first.scene_of(len(scenes) + 7)].scene_id == scenes[7].scene_id
    assert [q.question_id for q in first] == list(range(len(first)))
    with pytest.raises(IndexError):
        first[len(first)]


def test_a_type_can_be_asked_for(simulated) -> None:
    questions = SceneQuestions(simulated["binaural"], per_scene=2)
    for name in QUESTION_TYPES:
        made = [questions.of_type(name, index) for index in range(len(questions))]
        found = [question for question in made if question is not None]
        assert found and {question.question_type for question in found} == {name}
        if name in ("CLASSIFICATION", "DOA"):
            assert len(found) == 40  # of the sixty scenes twenty have one source


def test_answers_are_balanced_and_the_question_does_not_tell(simulated) -> None:
    settings = QuestionSettings({"MIXUP_DIRECTION": 1.0, "MIXUP_DISTANCE_BOTH": 1.0, "MIXUP_NONBINARY_DIRECTION": 1.0})
    two = [about for about in simulated["binaural"] if len({s.sound_class for s in about.sources}) == 2]
    questions = []
    for number in range(3000):
        try:
            questions.append(question_about(two[number % len(two)], np.random.default_rng(number), settings))
        except DataError:  # two sounds at almost the same place
            continue
    assert len(questions) > 2500
    balances = answer_balance(questions)
    for name in ("MIXUP_DIRECTION", "MIXUP_DISTANCE_BOTH"):
        assert balances[name].shares["yes"] == pytest.approx(0.5, abs=0.05)
    for share in balances["MIXUP_NONBINARY_DIRECTION"].shares.values():
        assert share == pytest.approx(0.5, abs=0.08)
    # given the words of the question, yes is as likely as no
    for relation in ("left", "right", "front", "behind", "above", "below", "closer", "farther"):
        said = [
            q.answer == "Yes" for q in questions if q.kind.answer == "yes_no" and relation_in(q.question) == relation
        ]
        assert len(said) > 60 and np.mean(said) == pytest.approx(0.5, abs=0.15), relation
    # nor does it say anything which of the two sides is named first
    opposite = {word: axis[1 - number] for axis in AXES for number, word in enumerate(axis)}
    first = [
        q.question.lower().index(q.answer) < q.question.lower().index(opposite[q.answer])
        for q in questions
        if q.question_type == "MIXUP_NONBINARY_DIRECTION"
    ]
    assert np.mean(first) == pytest.approx(0.5, abs=0.06)


def test_weights_are_kept(simulated) -> None:
    settings = QuestionSettings({"MIXUP_SINGLE_DOA": 3.0, "MIXUP_NONBINARY_DISTANCE": 1.0, "DOA": 1.0})
    kinds = [
        question_about(scene(BELL, RAIN), np.random.default_rng(seed), settings).question_type for seed in range(1000)
    ]
    assert kinds.count("MIXUP_SINGLE_DOA") / len(kinds) == pytest.approx(0.75, abs=0.04)
    assert "DOA" not in kinds


def test_heldout_wordings_are_not_those_of_training(simulated) -> None:
    heldout = {q.question for q in asked("MIXUP_SINGLE_DOA", BELL, RAIN, forms="heldout")}
    assert heldout and not heldout & {q.question for q in asked("MIXUP_SINGLE_DOA", BELL, RAIN, count=1000)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": {"DOAS": 1.0}}, "nearest is DOA"),
        ({"weights": {"DOA": -1.0}}, "at least 0"),
        ({"weights": {"DOA": 0.0}}, "nothing to ask"),
        ({"weights": {}}, "nothing to ask"),
        ({"forms": "test"}, "expected one of train, heldout"),
    ],
)
def test_impossible_settings_are_refused(settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        QuestionSettings(**settings)


@pytest.mark.parametrize("changes", [{"scenes": []}, {"per_scene": 0}, {"seed": -1}])
def test_impossible_sets_are_refused(changes) -> None:
    with pytest.raises(ConfigError, match="expected at least one scene"):
        SceneQuestions(**{"scenes": [scene(BELL)], **changes})


def test_a_clear_place_is_off_every_plane() -> None:
    for azimuth_deg, elevation_deg, expected in (
        (45.0, 30.0, True), (-135.0, -30.0, True), (5.0, 30.0, False), (95.0, 30.0, False), (45.0, 8.0, False),
    ):  # fmt: skip
        assert PlacedSound("rain", azimuth_deg, elevation_deg, 2.0).is_clear(Margins()) == expected
