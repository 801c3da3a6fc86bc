"""The one training loop of all recipes: read it top to bottom.

A recipe gives the model, the optimizer, the schedule, a loader over an `EpochSampler` and a step function; the loop
does the rest. Where it is, is `Progress`; what it does next depends on that, the seed and the states in the
checkpoint, so that a training killed at any moment and started again ends with the same bits.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.training.checkpointing import Checkpoints
from spatial_audio_lm.training.config import save_config
from spatial_audio_lm.training.data_order import EpochSampler
from spatial_audio_lm.training.ema import WeightAverage
from spatial_audio_lm.training.loop_config import LoopConfig
from spatial_audio_lm.training.random_state import random_state, seed_everything, set_random_state
from spatial_audio_lm.training.saving_on_error import Diverged, SavingOnError
from spatial_audio_lm.training.stopping import StopRequest
from spatial_audio_lm.training.tracking import MetricsLog, add_to_means, build_accelerator, take_means
from spatial_audio_lm.training.training_state import Progress, Stateful, TrainingState

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a training came to."""

    progress: Progress
    checkpoint: Path
    resumed_from: Path | None
    skipped: tuple[str, ...]  # damaged checkpoints that were passed over, with the reason


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None,
    loader: DataLoader,
    step: Callable[[nn.Module, Any, Progress], tuple[Tensor, Mapping[str, float | Tensor]]],
    config: LoopConfig,
    *,
    accelerator: Accelerator | None = None,
    ema: WeightAverage | None = None,
    evaluate: Callable[[nn.Module, Progress], Mapping[str, float]] | None = None,
    state: Mapping[str, Stateful] | None = None,
    settings: Any = None,
) -> TrainResult:
    """Train for `config.steps` optimizer steps, or what is left of them.

    Args:
        model: trained in place, in train mode; wrapped for data-parallel training when there are several processes.
        optimizer: over the model's parameters.
        schedule: stepped once an optimizer step.
        loader: from `epoch_loader`.
        step: `(model, batch, progress) -> (loss, scalars to log)`, called under autocast with `mixed_precision`.
        config: of the loop.
        accelerator: from `build_accelerator`; None builds one.
        ema: updated after every step, saved, and swapped in for evaluation. `ema.copy_to(model)` is left to the recipe.
        evaluate: `(model in eval mode, progress) -> numbers`, without gradient, in every process; it draws for itself.
        state: more to save and resume, by name.
        settings: the recipe's whole config dataclass, which a resumed training must share; None takes `config`.

    Raises:
        ConfigError: settings that cannot work, that differ from those of the training to resume, or a folder in use.
        CheckpointError: the checkpoint does not fit the model.
        Diverged: the loss or its gradient is not finite; names step, items and the last good checkpoint.
        Exception: what loader or step raise; the state from before is saved first, and the message ends with where.
        SystemExit: after SIGTERM or SIGINT, with a checkpoint saved; status 143 or 130.
    """
    settings = config if settings is None else settings
    accelerator = accelerator or build_accelerator(config.trackers, config.output_dir)
    sampler = loader.batch_sampler
    if not isinstance(sampler, EpochSampler) or loader.generator is None or accelerator.mixed_precision != "no":
        raise ConfigError("train needs a loader from epoch_loader and an accelerator from build_accelerator")
    folder, main = Path(config.output_dir), accelerator.is_main_process
    wrapped = accelerator.prepare_model(model)
    checkpoints = Checkpoints(folder, config.keep_checkpoints)
    own = {"model": model, "optimizer": optimizer, "schedule": schedule, "ema": ema}
    training = TrainingState(checkpoints, own, state or {}, settings, sampler, accelerator)

    with contextlib.ExitStack() as stack:
        if main:
            stack.enter_context(checkpoints.locked())
            checkpoints.sweep()
        accelerator.wait_for_everyone()
        stop = stack.enter_context(StopRequest())

        # ---- where to begin
        seed_everything(config.seed, accelerator.process_index, config.deterministic)
        newest, skipped = training.find(config.resume)
        progress = training.restore(newest) if newest is not None else Progress()
        result = TrainResult(progress, checkpoints.path(config.steps), newest, skipped)
        if progress.step >= config.steps:
            return result  # it was finished
        last_saved, begun = newest, time.monotonic() - progress.time_s
        metrics = stack.enter_context(MetricsLog(folder / "metrics.jsonl", progress.step, accelerator, settings))
        if main:
            save_config(settings, folder / "config.yaml")
        bar = stack.enter_context(tqdm(total=config.steps, initial=progress.step, disable=None if main else True))

        def due(every: int) -> bool:
            return progress.step == config.steps or (every > 0 and progress.step % every == 0)

        # ---- training
        model.train()
        batches, saving = _batches(loader, sampler, progress), SavingOnError(training, model, state or {})
        while progress.step < config.steps:
            optimizer.zero_grad(set_to_none=True)
            with saving.watch(progress, last_saved):
                for part in range(config.accumulate):
                    items, batch = next(batches)
                    batch = send_to_device(batch, accelerator.device)
                    waits = part < config.accumulate - 1  # gradients are exchanged between processes once a step
                    with accelerator.no_sync(wrapped) if waits else contextlib.nullcontext():
                        with torch.autocast(accelerator.device.type, torch.bfloat16, config.mixed_precision == "bf16"):
                            loss, scalars = step(wrapped, batch, progress)
                        value = loss.item()
                        _check_finite("loss", value, progress, items, last_saved)
                        (loss / config.accumulate).backward()
                    add_to_means(progress.means, {"loss": value, **{name: float(x) for name, x in scalars.items()}})
                    progress.batch += 1
                norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm or math.inf).item()
                _check_finite("norm of the gradient", norm, progress, items, last_saved)
            add_to_means(progress.means, {"gradient_norm": norm, "learning_rate": optimizer.param_groups[0]["lr"]})
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if ema is not None:
                ema.update(model)
            progress.step += 1
            progress.time_s = time.monotonic() - begun
            bar.update()

            # ---- logging, evaluation, saving
            if due(config.log_every_steps):
                means = take_means(progress.means, accelerator)
                metrics.write(progress, means)
                bar.set_postfix(loss=f"{means['loss']:.4g}")
            if evaluate is not None and due(config.evaluate_every_steps):
                progress.evaluation = _evaluate(model, ema, evaluate, progress)
                metrics.write(progress, {"evaluation": progress.evaluation})
            signalled = _signal_of_any(stop, accelerator)
            if signalled or due(config.save_every_steps):
                metrics.sync()
                last_saved = training.save(progress)
            if signalled and progress.step < config.steps:
                log.warning("stopped by signal %d at step %d; %s continues it", signalled, progress.step, last_saved)
                raise SystemExit(128 + signalled)
    return result


def _batches(loader: DataLoader, sampler: EpochSampler, progress: Progress) -> Iterator[tuple[list[int], Any]]:
    """Batches without end from where `progress` is, each with the indices of its items."""
    while True:
        order = sampler.order(progress.epoch)
        sampler.seek(progress.epoch, progress.batch)
        for batch in loader:
            yield sampler.batch_items(progress.epoch, progress.batch, order), batch
        progress.epoch, progress.batch = progress.epoch + 1, 0


def _check_finite(name: str, value: float, progress: Progress, items: list[int], last: Path | None) -> None:
    if not math.isfinite(value):
        raise Diverged(
            f"{name} is {value} in step {progress.step + 1} (epoch {progress.epoch}, items {items}); last good "
            f"checkpoint: {last or 'none'}. Look at these items, lower the learning rate or set clip_norm"
        )


@torch.no_grad()
def _evaluate(model: nn.Module, ema: WeightAverage | None, evaluate: Callable, progress: Progress) -> dict[str, float]:
    before = random_state()
    model.eval()
    with ema.swapped_in(model) if ema is not None else contextlib.nullcontext():
        found = {name: float(value) for name, value in evaluate(model, progress).items()}
    model.train()
    set_random_state(before)
    return found


def _signal_of_any(stop: StopRequest, accelerator: Accelerator) -> int:
    """The signal that any process has received: all must save together."""
    if accelerator.num_processes == 1:
        return stop.signal
    return int(accelerator.gather(torch.tensor([stop.signal], device=accelerator.device)).max())
