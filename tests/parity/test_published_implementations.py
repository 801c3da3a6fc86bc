"""Every recorded answer of a published implementation that is at hand is given again by ours.

Cases are folders under `SPATIAL_AUDIO_LM_PARITY_CASES` (default: the few that the repository carries). A folder's name
says which system it is of. A system that is not built yet is skipped by name; one that is built and has no test fails.
"""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parity.audio_mae_parity import check_audio_mae_finetuned, check_audio_mae_pretrain
from tests.parity.bat_parity import check_bat_end_to_end, check_bat_qformer
from tests.parity.bat_render_parity import check_bat_render
from tests.parity.dspast_parity import check_dspast
from tests.parity.elsa_parity import check_elsa_clap
from tests.parity.gram_parity import check_gram, check_gram_pretrain
from tests.parity.gram_scene_parity import check_gram_scene
from tests.parity.parity_case import ParityCase
from tests.parity.spatial_ast_parity import check_spatial_ast
from tests.parity.wavjepa_parity import check_wavjepa, check_wavjepa_pretrain

CASES = Path(os.environ.get("SPATIAL_AUDIO_LM_PARITY_CASES") or Path(__file__).parent / "cases")
FOLDERS = sorted(path.parent for path in CASES.glob("*/manifest.json"))

# The beginning of a folder's name (the longest that fits) and the package of the system.
SYSTEMS = {
    "audio_mae": "spatial_audio_lm.models.audio_mae",
    "bat": "spatial_audio_lm.models.bat",
    "bat_render": "spatial_audio_lm.question_answering.rendering",
    "dspast": "spatial_audio_lm.models.dspast",
    "elsa": "spatial_audio_lm.models.elsa",
    "gram": "spatial_audio_lm.models.gram",
    "gram_scene": "spatial_audio_lm.simulation.naturalistic_mixing",
    "spatial_ast": "spatial_audio_lm.models.spatial_ast",
    "wavjepa": "spatial_audio_lm.models.wavjepa",
}
CHECKS: dict[str, Callable[[ParityCase], None]] = {
    "audio_mae_finetuned": check_audio_mae_finetuned,
    "audio_mae_pretrain": check_audio_mae_pretrain,
    "bat_qformer": check_bat_qformer,
    "bat_render": check_bat_render,
    "bat_tiny_end_to_end": check_bat_end_to_end,
    "dspast": check_dspast,
    "elsa_clap": check_elsa_clap,
    "gram_scene": check_gram_scene,
    "gram_ambisonics": check_gram,
    "gram_ambisonics_pretrain": check_gram_pretrain,
    "gram_binaural": check_gram,
    "gram_binaural_pretrain": check_gram_pretrain,
    "gram_binaural_time_pretrain": check_gram_pretrain,
    "spatial_ast": check_spatial_ast,
    "wavjepa": check_wavjepa,
    "wavjepa_nat": check_wavjepa,
    "wavjepa_nat_pretrain": check_wavjepa_pretrain,
    "wavjepa_pretrain": check_wavjepa_pretrain,
}


def longest_prefix(name: str, prefixes: dict[str, object]) -> str | None:
    """The longest key that `name` begins with, at a word boundary."""
    return max((p for p in prefixes if name == p or name.startswith(f"{p}_")), key=len, default=None)


def is_built(system: str) -> bool:
    return importlib.util.find_spec(SYSTEMS[system]) is not None


@pytest.mark.parametrize("system", [system for system in SYSTEMS if is_built(system)])
def test_a_built_system_has_cases(system: str) -> None:
    if not any(longest_prefix(folder.name, SYSTEMS) == system for folder in FOLDERS):
        pytest.skip(f"{system}: no case in the folder of cases")


def test_there_are_cases() -> None:
    assert FOLDERS, f"{CASES} holds no parity case (a folder with manifest.json)"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_parity(folder: Path) -> None:
    system = longest_prefix(folder.name, SYSTEMS)
    assert system is not None, f"{folder.name} is of no system that this test knows: {', '.join(SYSTEMS)}"
    if not is_built(system):
        pytest.skip(f"{folder.name}: {system} is not built")
    check = longest_prefix(folder.name, CHECKS)
    assert check is not None, f"{folder.name}: {system} is built, but no parity test is written for this case"
    CHECKS[check](ParityCase.read(folder))
