"""What the loop does in a step: accumulation, clipping, average, evaluation, log; alone and with two processes."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import tiny_training
import torch
from tiny_training import Images, add_noise, settings
from together import run_together
from torch import Tensor, nn

from spatial_audio_lm.errors import ConfigError, MissingExtraError
from spatial_audio_lm.training.data_order import Augmented, EpochSampler, epoch_loader
from spatial_audio_lm.training.ema import ExponentialMovingAverage
from spatial_audio_lm.training.loop import train
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.state_files import read_state
from spatial_audio_lm.training.tracking import build_accelerator


def linear() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 1))


def images_loader(batch_size: int, **processes: int) -> Any:
    return epoch_loader(Augmented(Images(), add_noise, 0), EpochSampler(38, batch_size, 0, **processes))


def mean_square(model: nn.Module, images: Tensor, progress: object) -> tuple[Tensor, dict[str, float]]:
    return (model(images) - 1).square().mean(), {"items": len(images)}


def fit(folder: Path, batch_size: int, **changes: Any) -> tuple[nn.Module, list[dict]]:
    model = linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    config = LoopConfig(**{"steps": 4, "output_dir": str(folder), "log_every_steps": 1, **changes})
    train(model, optimizer, None, images_loader(batch_size), mean_square, config)
    return model, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_accumulated_batches_step_like_one_of_twice_the_size(tmp_path: Path):
    one, log_one = fit(tmp_path / "one", 8)
    two, log_two = fit(tmp_path / "two", 4, accumulate=2)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    assert [line["loss"] for line in log_one] == pytest.approx([line["loss"] for line in log_two], rel=1e-5)
    assert [line["gradient_norm"] for line in log_one] == pytest.approx([x["gradient_norm"] for x in log_two], rel=1e-5)
    assert [(line["step"], line["items"]) for line in log_two] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_first_step_is_the_one_computed_by_hand(tmp_path: Path):
    images = next(iter(images_loader(6)))
    for clip_norm in (None, 0.1):
        by_hand = linear()
        mean_square(by_hand, images, None)[0].backward()
        norm = torch.cat([p.grad.flatten() for p in by_hand.parameters()]).norm().item()
        share = 1.0 if clip_norm is None else clip_norm / norm
        trained, log = fit(tmp_path / str(clip_norm), 6, steps=1, clip_norm=clip_norm)
        assert log[0]["gradient_norm"] == pytest.approx(norm, rel=1e-5)
        assert log[0]["learning_rate"] == 0.01
        for a, b in zip(trained.parameters(), by_hand.parameters(), strict=True):
            torch.testing.assert_close(a, b - 0.01 * share * b.grad, rtol=1e-4, atol=1e-6)


def test_bf16_runs_the_step_under_autocast_and_leaves_float32_gradients(tmp_path: Path):
    seen = []

    def step(model: nn.Module, images: Tensor, progress: object) -> tuple[Tensor, dict]:
        output = model(images)
        seen.append((output.dtype, next(model.parameters()).dtype))
        return output.float().square().mean(), {}

    model = linear()
    config = LoopConfig(steps=1, output_dir=str(tmp_path), mixed_precision="bf16")
    train(model, torch.optim.SGD(model.parameters(), lr=0.1), None, images_loader(4), step, config)
    assert seen == [(torch.bfloat16, torch.float32)]
    assert next(model.parameters()).grad.dtype == torch.float32


def test_evaluation_sees_the_average_in_eval_mode_and_training_goes_on_with_its_own(tmp_path: Path):
    model = tiny_training.build_model()
    ema, seen = ExponentialMovingAverage(model, 0.9), []

    def evaluate(model: nn.Module, progress: Any) -> dict[str, float]:
        assert not model.training and not torch.is_grad_enabled()
        seen.append((progress.step, all(torch.equal(v, ema.average[k]) for k, v in model.state_dict().items())))
        return {"half": 0.5, "endless": float("inf")}

    def step(model: nn.Module, images: Tensor, progress: Any) -> tuple[Tensor, dict]:
        assert model.training
        assert progress.step < 2 or any(not torch.equal(v, ema.average[k]) for k, v in model.state_dict().items())
        return model(images).square().mean(), {}

    config = LoopConfig(steps=5, output_dir=str(tmp_path), evaluate_every_steps=2, log_every_steps=100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    result = train(model, optimizer, None, images_loader(4), step, config, ema=ema, evaluate=evaluate)
    assert seen == [(2, True), (4, True), (5, True)]
    assert result.progress.evaluation["half"] == 0.5
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "evaluation" in line] == [2, 4, 5]
    assert lines[0]["evaluation"] == {"half": 0.5, "endless": None}
    ema.copy_to(model)
    assert all(torch.equal(v, ema.average[k]) for k, v in model.state_dict().items())


def test_the_average_is_ramped_and_counts_batchnorm_statistics():
    model = nn.BatchNorm1d(1)
    ema = ExponentialMovingAverage(model, decay=0.5)
    average = 1.0
    for n, value in enumerate([3.0, -2.0, 5.0, 0.0, 1.0, 9.0, 4.0, 2.0, 2.0, 8.0, 8.0]):
        with torch.no_grad():
            model.weight.fill_(value)
            model.running_mean.fill_(value)
            model.num_batches_tracked.fill_(n)
        ema.update(model)
        decay = min(0.5, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * value
    assert ema.average["weight"].item() == pytest.approx(average, rel=1e-5)
    assert ema.average["running_mean"].item() == pytest.approx(average, rel=1e-3)
    assert ema.average["num_batches_tracked"].item() == 10
    with pytest.raises(ConfigError, match=r"decay of the moving average is 1\.0"):
        ExponentialMovingAverage(model, 1.0)


def test_misuse_is_named(tmp_path: Path):
    model, config = linear(), LoopConfig(steps=1, output_dir=str(tmp_path))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plain = torch.utils.data.DataLoader(Images(), batch_size=4)
    with pytest.raises(ConfigError, match="needs a loader from epoch_loader"):
        train(model, optimizer, None, plain, mean_square, config)
    with pytest.raises(ConfigError, match="the loop saves its own model, process_0"):
        state = {"model": model, "process_0": model, "mine": model}
        train(model, optimizer, None, images_loader(4), mean_square, config, state=state)
    with pytest.raises(ConfigError, match="unknown tracker 'diary'"):
        build_accelerator(["diary"])


def test_a_tracker_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"spatial-audio-lm\[train\]"):
        build_accelerator(["tensorboard"])


def test_tensorboard_is_told_what_the_log_is_told(tmp_path: Path):
    pytest.importorskip("tensorboard")
    fit(tmp_path, 4, trackers=["tensorboard"])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = (path for path in tmp_path.rglob("events.out.tfevents*") if "loss" in scalar_names(path))
    reader = EventAccumulator(str(events))
    reader.Reload()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [event.value for event in reader.Scalars("loss")] == pytest.approx(losses)


def scalar_names(path: Path) -> list[str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(path))
    reader.Reload()
    return reader.Tags()["scalars"]


def one_of_two(rank: int, folder: str) -> None:
    accelerator = build_accelerator(cpu=True)
    assert accelerator.num_processes == 2

    def fit_share(name: str, stop_at: int = 0) -> nn.Module:
        model = linear()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        loader = images_loader(3, process_index=rank, num_processes=2)
        config = LoopConfig(steps=12, output_dir=f"{folder}/{name}", log_every_steps=3, accumulate=2, resume=True)

        def step(model: nn.Module, images: Tensor, progress: Any) -> tuple[Tensor, dict]:
            if rank == 1 and progress.step + 1 == stop_at and progress.batch % 2:
                signal.raise_signal(signal.SIGTERM)
            noise = 0.1 * torch.randn(())  # each process draws its own numbers
            return (model(images) - 1).square().mean() + 0 * noise, {"noise": noise}

        train(model, optimizer, None, loader, step, config, accelerator=accelerator)
        return model

    fit_share("whole")
    try:
        fit_share("halved", stop_at=5)
        raise AssertionError("the signal to one process did not stop both")
    except SystemExit as ended:
        assert ended.code == 143
    accelerator.wait_for_everyone()
    assert Path(folder, "halved", "checkpoint-5", "complete.json").is_file()
    fit_share("halved")


def test_two_processes_train_like_one_and_resume_exactly(tmp_path: Path):
    run_together(one_of_two, str(tmp_path))
    states = {name: tmp_path / name / "checkpoint-12" for name in ("whole", "halved")}
    for name in ("model", "optimizer", "process_0", "process_1"):
        file = f"{name}.safetensors"
        assert (states["whole"] / file).read_bytes() == (states["halved"] / file).read_bytes(), name
    logs = [(path.parent / "metrics.jsonl").read_text().splitlines() for path in states.values()]
    whole, halved = ([{**json.loads(line), "time_s": 0} for line in lines] for lines in logs)
    assert whole == halved and len(whole) == 4

    model = linear()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    config = LoopConfig(steps=12, output_dir=str(tmp_path / "one"), log_every_steps=3, accumulate=2)
    train(model, optimizer, None, images_loader(6), mean_square, config)
    together = read_state(states["whole"], "model")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(together[name], value, rtol=1e-4, atol=1e-6)
    alone = [json.loads(line)["loss"] for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in whole] == pytest.approx(alone, rel=1e-4)


def test_metrics_are_logged_at_the_end_whatever_the_interval(tmp_path: Path):
    tiny_training.run(settings(tmp_path, steps=7, log_every_steps=5))
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [5, 7, 7]  # the second 7 is the evaluation
