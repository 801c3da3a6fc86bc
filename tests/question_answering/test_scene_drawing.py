from dataclasses import replace

import pytest

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.question_answering.scene_drawing import draw_scene
from spatial_audio_lm.simulation.records import Clip
from spatial_audio_lm.simulation.scene_sampling import SceneSettings

CLIPS = {name: [Clip("procedural", name, "0" * 64, seed) for seed in range(3)] for name in ("bell", "siren", "wind")}
SETTINGS = SceneSettings(num_sources=2, duration_s=1.0)


def drawn(bank, count: int = 90, rate: float = 0.6, clips=CLIPS, seed: int = 0, settings=SETTINGS):
    return [draw_scene(settings, rate, bank, clips, seed, index) for index in range(count)]


def test_sounds_of_a_scene_are_of_different_classes_and_the_first_take_turns(banks) -> None:
    scenes = drawn(banks["binaural"])
    classes = [[source.sound_class for source in scene.sources] for scene in scenes]
    assert all(len(set(names)) == len(names) for names in classes)
    assert [names[0] for names in classes] == ["bell", "siren", "wind"] * 30
    assert 0.45 < sum(len(names) == 2 for names in classes) / len(classes) < 0.75
    assert len({scene.scene_id for scene in scenes}) == 90 and scenes[7].scene_id == "train-0-0000007"
    places = [{source.rir_index for source in scene.sources} for scene in scenes]
    assert all(len(place) == len(names) for place, names in zip(places, classes, strict=True))


def test_a_scene_is_a_function_of_seed_and_index(banks) -> None:
    bank = banks["binaural"]
    assert drawn(bank, 12) == drawn(bank, 12) == drawn(bank, 20)[:12]
    assert drawn(bank, 12, seed=1) != drawn(bank, 12)


def test_only_one_or_only_several(banks) -> None:
    assert {len(scene.sources) for scene in drawn(banks["foa"], 12, 0.0)} == {1}
    three = drawn(banks["foa"], 12, 1.0, settings=replace(SETTINGS, num_sources=3))
    assert {len({source.sound_class for source in scene.sources}) for scene in three} == {3}
    assert {len(scene.sources) for scene in drawn(banks["foa"], 3, 0.0, {"bell": CLIPS["bell"]})} == {1}


def test_what_cannot_be_drawn_is_refused(banks) -> None:
    with pytest.raises(ConfigError, match="1 classes of sounds for 2 different ones a scene"):
        drawn(banks["foa"], 1, 0.5, {"bell": CLIPS["bell"]})
    for rate in (-0.1, 1.1):
        with pytest.raises(ConfigError, match="two_source_rate"):
            drawn(banks["foa"], 1, rate)
