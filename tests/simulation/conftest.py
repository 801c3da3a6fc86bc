"""A small bank that several tests render with."""

from pathlib import Path

import pytest

from spatial_audio_lm.simulation.rir_bank import BankSettings, RirBank, make_bank


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> RirBank:
    folder: Path = tmp_path_factory.mktemp("banks") / "bank"
    return make_bank(folder, BankSettings(num_rooms=4, sources_per_room=4, rooms_per_shard=2, seed=5))
