import numpy as np
import pytest

from spatial_audio_lm.data.clip_folders import procedural_clips
from spatial_audio_lm.simulation.head_files import HeadStore
from spatial_audio_lm.simulation.records import SceneRecord
from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank
from spatial_audio_lm.simulation.scene_sampling import SceneSettings, sample_scene

RATE = 16_000


@pytest.fixture(scope="session")
def banks(tmp_path_factory) -> dict[str, RirBank]:
    """Six small rooms, heard with two ears and in ambisonics."""
    folder = tmp_path_factory.mktemp("qa_banks")
    common = {"num_rooms": 6, "sources_per_room": 3, "elevations": "isotropic"}
    ears = BankSettings(receiver_format="binaural", heads=(HeadStore().record("sphere"),), **common)
    return {
        "binaural": make_bank(folder / "binaural", ears),
        "foa": make_bank(folder / "foa", BankSettings(**common)),
    }


@pytest.fixture(scope="session")
def simulated(banks) -> dict[str, list[SceneRecord]]:
    """Sixty scenes a format, one source in a third of them and two in the others."""
    by_class = {}
    for item in procedural_clips(("bell", "siren", "wind", "clap"), (0,), RATE):
        by_class.setdefault(item.sound_class, []).append(item.clip)
    return {
        format: [
            sample_scene(SceneSettings(num_sources=1 + (index % 3 > 0), duration_s=1.0), bank, by_class, 0, index)
            for index in range(60)
        ]
        for format, bank in banks.items()
    }


@pytest.fixture
def draw():
    """A source of chance."""
    return np.random.default_rng(0).random
