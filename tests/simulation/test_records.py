"""Scene records: complete on the way through JSON, and strict."""

import json

import pytest

from spatial_audio_lm.errors import RecordError
from spatial_audio_lm.simulation.clips import procedural_clip
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene


@pytest.fixture(scope="module")
def record(bank) -> SceneRecord:
    clips = {kind: [procedural_clip(kind, 1, 16_000)] for kind in ("bell", "siren")}
    settings = SceneSettings(num_sources=2, equalizer_rate=1.0, noise_rate=1.0)
    return sample_scene(settings, bank, clips, seed=3, index=0)


def test_json_round_trip(record, tmp_path):
    record.save(tmp_path / "scene.json")
    assert SceneRecord.load(tmp_path / "scene.json") == record


def edited(record: SceneRecord, change) -> dict:
    data = json.loads(json.dumps(record.to_dict()))
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(version=2), "version 2"),
        (lambda d: d.pop("version"), "version None"),
        (lambda d: d.update(colour="red"), "unknown keys: colour"),
        (lambda d: d.pop("room"), "lacks room"),
        (lambda d: d["room"].update(t30_s="0.5"), "room.t30_s is '0.5'; float is wanted"),
        (lambda d: d["sources"][1].update(azimuth_deg=True), r"sources\[1\].azimuth_deg is True"),
        (lambda d: d["receiver"].update(format="octo"), "receiver.format is 'octo'"),
        (lambda d: d["receiver"].update(position_m=[1.0, 2.0]), "2 values; 3 are wanted"),
        (lambda d: d["sources"][0]["events"][0]["clip"].update(kind="url"), "clip.kind is 'url'"),
    ],
)
def test_bad_records_are_named(record, change, message):
    with pytest.raises(RecordError, match=message):
        SceneRecord.from_dict(edited(record, change))


def test_whole_numbers_are_numbers(record):
    data = edited(record, lambda d: d.update(duration_s=4))
    assert SceneRecord.from_dict(data).duration_s == 4.0
