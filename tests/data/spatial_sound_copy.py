"""A small copy of SpatialSound in its authors' layout: procedural clips, and noise that decays as responses."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from spatial_audio_lm.data.spatial_sound import SpatialSoundDataset, SpatialSoundSettings
from spatial_audio_lm.signal.spatial_audio import SpatialAudio
from spatial_audio_lm.simulation.sounds import synthesize

RATE = 32_000
SENSOR = (1.0, 1.5, -2.0)
# (name, source relative to the sensor: x right, y up, z back); distances tell the responses apart
RESPONSES = [
    ("house_a/0.npy", (2.0, 0.0, 0.0)),
    ("house_a/1.npy", (0.0, 0.0, -3.0)),
    ("house_a/2.npy", (-4.0, 0.0, 0.0)),
    ("house_b/0.npy", (0.0, 1.0, -1.0)),
    ("house_b/1.npy", (3.0, 0.0, 4.0)),
]
LABELS = 'index,mid,display_name\n0,/m/09x0r,Speech\n5,/m/0395lw,Bell\n6,/t/dd00067,"Knock, tap"\n9,/m/03kmc9,Siren\n'
CLIPS = [("siren", ["/m/03kmc9"]), ("bell", ["/m/0395lw", "/t/dd00067"]), ("knocking", ["/t/dd00067"])]
SHORT: dict[str, Any] = {"duration_s": 0.5, "response_duration_s": 0.05}


def write_responses(root: Path, responses: list[tuple[str, tuple[float, float, float]]]) -> None:
    """The list of responses of a copy; their files are left as they are."""
    data = []
    for name, source in responses:
        position = ",".join(str(s + d) for s, d in zip(SENSOR, source, strict=True))
        sensor = ",".join(map(str, SENSOR))
        data.append({"fname": name, "sensor_position": sensor, "source_position": position, "agent_position": sensor})
    (root / "mp3d_reverb/train_reverberation.json").write_text(json.dumps({"data": data}))


def write_sound(root: Path, number: int, samples: Any, rate: int = RATE) -> None:
    """The sound of a clip of a copy."""
    SpatialAudio.from_array(samples, rate).save(root / f"AudioSet/balanced_train/audio/Y{number}.wav")


def write_copy(root: Path) -> Path:
    """A small copy of SpatialSound: three clips of 0.3 s and five responses of 40 ms in two houses."""
    metadata = root / "AudioSet/metadata"
    (metadata / "weights").mkdir(parents=True)
    (root / "AudioSet/balanced_train/audio").mkdir(parents=True)
    entries = []
    for number, (kind, mids) in enumerate(CLIPS):
        entries.append({"folder": "balanced_train/audio", "id": f"Y{number}", "label": mids})
        write_sound(root, number, 0.5 * synthesize(kind, 1, RATE, 0.3))
    (metadata / "balanced.json").write_text(json.dumps(entries))
    (metadata / "class_labels_indices_subset.csv").write_text(LABELS)
    (metadata / "weights/balanced_weight.csv").write_text("1.0e+00\n2.5e+00\n4.0e+00\n")
    generator = np.random.default_rng(0)
    for name, _ in RESPONSES:
        path = root / "mp3d_reverb/binaural" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, generator.standard_normal((2, 1280)) * np.exp(-np.arange(1280) / 200))
    write_responses(root, RESPONSES)
    return root


def opened(root: Path, **changes: Any) -> SpatialSoundDataset:
    """The copy as a data set, with short examples."""
    return SpatialSoundDataset(SpatialSoundSettings(root, **{**SHORT, **changes}))
