"""States written as safetensors and JSON come back equal, and nothing else can be written."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.training.random_state import random_state, seed_everything, set_random_state
from spatial_audio_lm.training.state_files import like_parameters, read_state, write_state


def test_every_kind_of_value_comes_back(tmp_path: Path):
    shared = torch.arange(6.0)
    state = {
        "numbers": [1, -2.5, 1e-300, float("inf"), float("-inf"), True, None, "text", 2**60],
        "tuple": (1, (2.0, [])),
        "by_index": {0: {"a": 1}, 7: {"b": shared}, "x": {}},
        "$odd": 3,
        "tensors": [
            shared,
            torch.ones(2, 3, dtype=torch.bfloat16),
            torch.tensor(4),
            torch.zeros(0, 5),
            torch.zeros(3, 0),
        ],
        "view": torch.arange(12).reshape(3, 4)[:, 1:3],
        "channels_last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "empty": {},
    }
    write_state(tmp_path, "state", state)
    found = read_state(tmp_path, "state")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.json", "state.safetensors"]
    for name in ("numbers", "tuple", "$odd", "empty"):
        assert found[name] == state[name]
    assert list(found["by_index"]) == [0, 7, "x"]
    assert torch.equal(found["by_index"][7]["b"], shared)
    for before, after in zip(state["tensors"], found["tensors"], strict=True):
        assert before.dtype == after.dtype and torch.equal(before, after)
    assert torch.equal(found["view"], state["view"])
    assert torch.equal(found["channels_last"], state["channels_last"])
    assert np.isnan(read_state_of(tmp_path, float("nan")))


def read_state_of(folder: Path, value: object) -> object:
    write_state(folder, "one", value)
    return read_state(folder, "one")


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", np.zeros(3), object(), {"deep": [lambda: 0]}])
def test_what_would_need_a_pickle_is_refused(tmp_path: Path, value: object):
    with pytest.raises(CheckpointError, match="cannot be saved: give numbers"):
        write_state(tmp_path, "state", value)


def test_a_damaged_file_is_named(tmp_path: Path):
    write_state(tmp_path, "state", {"a": torch.ones(3)})
    (tmp_path / "state.safetensors").write_bytes(b"\0" * 4)
    with pytest.raises(CheckpointError, match="/state: the training state is damaged"):
        read_state(tmp_path, "state")
    (tmp_path / "state.json").write_text('{"a": {"$tensor": "b"}}')
    with pytest.raises(CheckpointError):
        read_state(tmp_path, "state")
    with pytest.raises(CheckpointError, match="no such file"):
        read_state(tmp_path, "other")


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD, torch.optim.Adagrad, torch.optim.NAdam])
def test_an_optimizer_gets_its_state_back_in_the_layout_of_its_parameters(tmp_path: Path, kind: type):
    def build() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(6, 2)).to(
            memory_format=torch.channels_last
        )
        groups = [{"params": model[0].parameters()}, {"params": model[1].parameters(), "lr": 0.1}]
        return model, kind(groups, lr=0.01, **({"momentum": 0.9} if kind is torch.optim.SGD else {}))

    def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(torch.rand(2, 3, 8, 8).to(memory_format=torch.channels_last)).square().mean().backward()
        optimizer.step()

    model, optimizer = build()
    step(model, optimizer)
    write_state(tmp_path, "optimizer", optimizer.state_dict())
    write_state(tmp_path, "model", model.state_dict())
    other, restored = build()
    other.load_state_dict(read_state(tmp_path, "model"))
    restored.load_state_dict(like_parameters(read_state(tmp_path, "optimizer"), restored))
    for parameter, entry in restored.state.items():
        for value in entry.values():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                assert value.stride() == parameter.stride()
    for pair in ((model, optimizer), (other, restored)):
        torch.manual_seed(1)
        step(*pair)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_all_random_numbers_go_on_where_they_were(tmp_path: Path):
    def draw() -> list[float]:
        numbers = [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn()]
        return [*numbers, torch.rand(()).item(), torch.randn(3).sum().item()]

    seed_everything(3)
    first = draw()
    random.gauss(0, 1), np.random.randn()  # an odd number of draws leaves a second one in store
    write_state(tmp_path, "random", random_state())
    expected = draw()
    set_random_state(read_state(tmp_path, "random"))
    assert draw() == expected
    seed_everything(3)
    assert draw() == first
    seed_everything(3, process_index=1)
    assert draw() != first
