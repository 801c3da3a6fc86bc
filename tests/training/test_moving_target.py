"""The target encoder's average: its decay at known steps, its order with the optimizer, and an exact resume."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.training.data_order import EpochSampler, epoch_loader
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.moving_target import DecayRamp, MovingTarget
from spatial_audio_lm.training.state_files import read_state


class Learner(nn.Module):
    """An encoder of one number, and a target that follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.encoder.weight)
        self.target = copy.deepcopy(self.encoder).requires_grad_(False)

    @torch.no_grad()
    def update_target_encoder(self, decay: float) -> None:
        self.target.weight.lerp_(self.encoder.weight, 1 - decay)


class Ones:
    """Eight ones, by key."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, key: Any) -> Tensor:
        return torch.ones(1)


def test_the_published_decay_rises_and_stays() -> None:
    ramp = DecayRamp()
    assert ramp.at(0) == 0.999 and ramp.at(50_000) == pytest.approx(0.999495, abs=1e-12)
    assert ramp.at(100_000) == ramp.at(375_000) == 0.99999
    steps = [ramp.at(update) - ramp.at(update - 1) for update in (1, 777, 100_000)]
    assert steps == pytest.approx([9.9e-9] * 3, rel=1e-6)


@pytest.mark.parametrize(
    "changed", [{"first": 0.9, "last": 0.8}, {"last": 1.0}, {"first": -0.1}, {"steps": 0}, {"first": float("nan")}]
)
def test_decays_that_are_none_are_refused(changed: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected 0 <= first <= last < 1"):
        DecayRamp(**changed)


def fit(folder: Path, seen: list[tuple[float, float]] | None = None, **changes: Any) -> Learner:
    model, decay = Learner(), MovingTarget(DecayRamp(0.5, 0.9, 4))
    optimizer = torch.optim.SGD([model.encoder.weight], lr=0.125)
    loader = epoch_loader(Ones(), EpochSampler(8, 2, 0))

    def step(model: nn.Module, batch: Tensor, progress: Any) -> tuple[Tensor, dict[str, float]]:
        if seen is not None:
            seen.append((model.encoder.weight.item(), model.target.weight.item()))
        return model.encoder(batch).sum() / 2, {}  # a gradient of 1

    config = LoopConfig(**{"steps": 6, "output_dir": str(folder), "save_every_steps": 3, **changes})
    train(model, optimizer, None, loader, step, config, ema=decay, evaluate=lambda *_: {"half": 0.5})
    return model


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_target_takes_in_the_weights_after_each_optimizer_step(tmp_path: Path, accumulate: int) -> None:
    seen: list[tuple[float, float]] = []
    fit(tmp_path, seen, accumulate=accumulate)
    weight = target = 1.0
    for step, (found_weight, found_target) in enumerate(seen[::accumulate]):
        assert found_weight == weight and found_target == pytest.approx(target, rel=1e-6)
        decay = (0.5, 0.6, 0.7, 0.8, 0.9, 0.9)[step]
        weight -= 0.125
        target = decay * target + (1 - decay) * weight
    assert len(seen) == 6 * accumulate
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["evaluation"] == {"half": 0.5}


def test_it_resumes_with_the_decay_where_it_was(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    fit(tmp_path / "halved", keep_checkpoints=9)
    for name in ("checkpoint-6", "metrics.jsonl"):
        path = tmp_path / "halved" / name
        path.rename(tmp_path / name)
    assert read_state(tmp_path / "halved" / "checkpoint-3", "ema") == {"updates": 3}
    again = fit(tmp_path / "halved", resume=True, keep_checkpoints=9)
    assert torch.equal(again.target.weight, whole.target.weight)
    assert not torch.equal(again.target.weight, again.encoder.weight)
