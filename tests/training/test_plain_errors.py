"""How a program that reads a recipe's settings ends: by a message for users, by a traceback for programmers."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.training.config import load_config
from spatial_audio_lm.training.plain_errors import end_plainly

PROGRAM = """
from spatial_audio_lm.errors import DataError
from spatial_audio_lm.training.plain_errors import end_plainly

end_plainly()
raise {error}
"""


@dataclass
class Config:
    seed: int = 0


@pytest.mark.parametrize(
    ("error", "options", "plain"),
    [
        ('DataError("clips.csv has no rows")', [], True),
        ('DataError("clips.csv has no rows")', ["-X", "dev"], False),
        ('ValueError("clips.csv has no rows")', [], False),
    ],
)
def test_what_users_can_put_right_has_no_traceback(tmp_path: Path, error: str, options: list[str], plain: bool) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(error=error))
    done = subprocess.run([sys.executable, *options, str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    if plain:
        assert done.stderr == "error: clips.csv has no rows\n"
    else:
        assert "Traceback" in done.stderr and "clips.csv has no rows" in done.stderr


def test_a_hook_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", print)
    end_plainly()
    assert sys.excepthook is print


def test_recipes_end_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    with pytest.raises(ConfigError) as raised:
        load_config(Config, ["--seeds", "1"])
    sys.excepthook(raised.type, raised.value, raised.tb)
    assert capsys.readouterr().err.startswith("error: unknown config key 'seeds': did you mean 'seed'?")
