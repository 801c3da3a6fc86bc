"""A parity case: a published implementation's inputs and answers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True)
class ParityCase:
    """One folder of recorded answers."""

    name: str
    manifest: dict[str, Any]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> "ParityCase":
        return cls(
            folder.name,
            json.loads((folder / "manifest.json").read_text(encoding="utf-8")),
            load_file(folder / "inputs.safetensors"),
            load_file(folder / "outputs.safetensors"),
            folder,
        )

    def check(self, answers: dict[str, Tensor], tolerances: dict[str, dict[str, float]]) -> None:
        """Compare every answer with the recorded one; report all that differ, with the largest difference."""
        problems = []
        for name, answer in answers.items():
            expected = self.outputs[name]
            assert answer.shape == expected.shape, f"{name}: {tuple(answer.shape)}, recorded {tuple(expected.shape)}"
            allowed = tolerances[name]["atol"] + tolerances[name]["rtol"] * expected.abs()
            excess = (answer - expected).abs()
            if not (excess <= allowed).all():
                problems.append(f"{name}: off by {excess.max():.2e}, allowed about {allowed.min():.2e}")
        assert not problems, "\n".join(problems)
