"""A training that is interrupted and resumed ends with the bits of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import kill_resume
import pytest
import tiny_training
from tiny_training import job, settings

from spatial_audio_lm.errors import AudioFileError, CheckpointError, ConfigError, DataError
from spatial_audio_lm.training.checkpointing import Checkpoints
from spatial_audio_lm.training.state_files import read_state

SCRIPT = Path(tiny_training.__file__)


def outcome(folder: Path, steps: int = 30) -> dict[str, object]:
    """All that a training leaves, without times and folder names: hashes of the states, the log, what lies there."""
    last = folder / f"checkpoint-{steps}"
    found: dict[str, object] = {
        name: digest for name, digest in kill_resume.hashes(last).items() if name not in ("loop.json", "complete.json")
    }
    loop = read_state(last, "loop")
    found["loop"] = {**loop["progress"], "time_s": 0}, loop["data"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found["log"] = [{**line, "time_s": 0} for line in lines]
    found["names"] = sorted(entry.name for entry in folder.iterdir())
    return found


def interrupted(folder: Path, at: int, **changes: object) -> None:
    """Train until step `at`, where SIGTERM arrives."""
    with pytest.raises(SystemExit) as ended:
        tiny_training.run(settings(folder, raise_signal_in_step=at, **changes))
    assert ended.value.code == 143
    assert (folder / f"checkpoint-{at}" / "complete.json").is_file()


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("at", [14, 15])  # in the middle between two checkpoints and log lines, and on a checkpoint
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path, accumulate: int, at: int):
    whole = tiny_training.run(settings(tmp_path / "whole", accumulate=accumulate))
    interrupted(tmp_path / "halved", at, accumulate=accumulate)
    resumed = tiny_training.run(settings(tmp_path / "halved", accumulate=accumulate))
    assert resumed.resumed_from == tmp_path / "halved" / f"checkpoint-{at}"
    assert whole.resumed_from is None
    assert whole.progress.step == resumed.progress.step == 30
    assert whole.progress.evaluation == resumed.progress.evaluation != {}
    assert outcome(tmp_path / "halved") == outcome(tmp_path / "whole")


def test_bf16_resumes_exactly_and_keeps_float32_weights(tmp_path: Path):
    tiny_training.run(settings(tmp_path / "whole", mixed_precision="bf16"))
    tiny_training.run(settings(tmp_path / "float"))
    interrupted(tmp_path / "halved", 12, mixed_precision="bf16")
    tiny_training.run(settings(tmp_path / "halved", mixed_precision="bf16"))
    found = outcome(tmp_path / "whole")
    assert outcome(tmp_path / "halved") == found
    assert outcome(tmp_path / "float")["model.safetensors"] != found["model.safetensors"]
    model = read_state(tmp_path / "whole" / "checkpoint-30", "model")
    assert {str(value.dtype) for value in model.values()} == {"torch.float32", "torch.int64"}


def test_the_seed_and_the_settings_decide_the_outcome(tmp_path: Path):
    tiny_training.run(settings(tmp_path / "a"))
    tiny_training.run(settings(tmp_path / "b"))
    tiny_training.run(settings(tmp_path / "c", seed=6))
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")
    assert outcome(tmp_path / "a")["model.safetensors"] != outcome(tmp_path / "c")["model.safetensors"]


def test_workers_change_nothing_and_sigterm_saves_before_the_end(tmp_path: Path):
    """In a process of its own, as a user runs it: two workers, terminated from outside, resumed."""
    often = {"steps": 200, "save_every_steps": 50, "log_every_steps": 50, "evaluate_every_steps": 0}
    tiny_training.run(settings(tmp_path / "whole", **often))
    command = [sys.executable, str(SCRIPT), "--num_workers", "2", "--loop.output_dir", str(tmp_path / "workers")]
    same = settings(tmp_path, **often).loop
    for name in ("steps", "resume", "clip_norm", "seed", "save_every_steps", "log_every_steps", "evaluate_every_steps"):
        command += [f"--loop.{name}", str(getattr(same, name)).lower()]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        while process.poll() is None and not list((tmp_path / "workers").glob("checkpoint-*/complete.json")):
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "Traceback" not in errors
    subprocess.run(command, check=True, env=environment, timeout=120)
    assert outcome(tmp_path / "workers", 200) == outcome(tmp_path / "whole", 200)


def check_kills(folder: Path, kills: int, seed: int) -> None:
    job(str(folder / "whole"))
    seconds = read_state(folder / "whole" / "checkpoint-60", "loop")["progress"]["time_s"] + 0.5
    out = folder / "killed"
    story = kill_resume.run_through_kills(job, (str(out),), out, kills, seed, seconds)
    assert outcome(out, 60) == outcome(folder / "whole", 60), story
    assert kill_resume.finish(job, str(out)) == 0  # a finished training ends at once, and changes nothing
    assert outcome(out, 60) == outcome(folder / "whole", 60), story


def test_a_few_kills_leave_no_trace(tmp_path: Path):
    check_kills(tmp_path, kills=4, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_many_kills_leave_no_trace(tmp_path: Path, seed: int):
    check_kills(tmp_path, kills=25, seed=seed)


def test_a_finished_training_is_left_alone(tmp_path: Path):
    tiny_training.run(settings(tmp_path))
    before = kill_resume.hashes(tmp_path)
    result = tiny_training.run(settings(tmp_path))
    assert kill_resume.hashes(tmp_path) == before
    assert result.resumed_from == result.checkpoint == tmp_path / "checkpoint-30"


def test_without_resume_a_training_is_not_overwritten(tmp_path: Path):
    tiny_training.run(settings(tmp_path, steps=5))
    with pytest.raises(ConfigError, match="already holds checkpoint-5: set resume"):
        tiny_training.run(settings(tmp_path, steps=5, resume=False))


def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    tiny_training.run(settings(tmp_path / "whole"))
    interrupted(tmp_path / "out", 17, keep_checkpoints=3)
    newest = tmp_path / "out" / "checkpoint-17" / "model.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    (tmp_path / "out" / "checkpoint-15" / "complete.json").unlink()
    (tmp_path / "out" / "checkpoint-20.tmp").mkdir()
    (tmp_path / "out" / ".unfinished-1-abc.jsonl").write_text("{")
    result = tiny_training.run(settings(tmp_path / "out"))
    assert result.resumed_from == tmp_path / "out" / "checkpoint-10"
    assert result.skipped == (
        "checkpoint-17: the content of model.safetensors has changed",
        "checkpoint-15: no complete.json",
    )
    assert "the content of model.safetensors has changed" in caplog.text
    assert outcome(tmp_path / "out") == outcome(tmp_path / "whole")


def test_a_changed_setting_is_named_and_refused(tmp_path: Path):
    interrupted(tmp_path, 7)
    with pytest.raises(ConfigError, match=r"learning_rate: 0\.01 -> 0\.02; loop\.steps: 30 -> 40\)"):
        tiny_training.run(settings(tmp_path, steps=40, learning_rate=0.02))
    with pytest.raises(ConfigError, match=r"batch_size: 4 -> 5"):
        tiny_training.run(settings(tmp_path, batch_size=5))
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    tiny_training.run(settings(moved, save_every_steps=4, log_every_steps=3, keep_checkpoints=2))


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    interrupted(tmp_path, 7)
    build = tiny_training.build_model
    monkeypatch.setattr(tiny_training, "build_model", lambda: build().append(tiny_training.nn.Linear(1, 1)))
    with pytest.raises(CheckpointError, match="checkpoint-7: the saved model does not fit"):
        tiny_training.run(settings(tmp_path))


def test_a_loss_that_is_not_a_number_stops_with_step_items_and_the_last_good_checkpoint(tmp_path: Path):
    with pytest.raises(DataError, match=r"loss is nan in step \d+ \(epoch 0, items \[.*\b3\b.*\]\).*checkpoint: none"):
        tiny_training.run(settings(tmp_path / "first", poisoned_item=3, save_every_steps=0))
    for seed in range(20):  # an order in which the item comes after a checkpoint
        items = tiny_training.EpochSampler(38, 4, seed).order(0).tolist()
        if 20 <= items.index(3) < 36:
            break
    with pytest.raises(DataError, match=r"last good checkpoint: .*checkpoint-5\."):
        tiny_training.run(settings(tmp_path / "later", poisoned_item=3, seed=seed))
    assert [path.name for path in (tmp_path / "later").glob("checkpoint-*")] == ["checkpoint-5"]  # and it stays


def late_item(accumulate: int) -> int:
    """An item that the first epoch fetches for step 8 or 9, in the last batch of it."""
    batch = 9 // accumulate * accumulate - 1
    return int(tiny_training.EpochSampler(38, 4, 5).order(0)[4 * batch])


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("workers", [0, 1])
def test_an_item_that_cannot_be_read_costs_nothing_of_what_was_trained(tmp_path: Path, accumulate: int, workers: int):
    whole, out = tmp_path / "whole", tmp_path / "out"
    often = {"accumulate": accumulate, "save_every_steps": 0}
    tiny_training.run(settings(whole, **often))
    with pytest.raises(
        AudioFileError, match=r"(?s)cannot be read.*loop.resume goes on from .*checkpoint-\d+$"
    ) as error:
        changes = {"unreadable_item": late_item(accumulate), "num_workers": workers}
        tiny_training.run(settings(out, **often, **changes))
    step = 8 if accumulate == 1 else 3
    assert str(error.value).endswith(str(out / f"checkpoint-{step}"))
    resumed = tiny_training.run(settings(out, **often))
    assert resumed.resumed_from == out / f"checkpoint-{step}"
    assert outcome(out) == outcome(whole)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_error_in_a_step_leaves_what_was_before_it(tmp_path: Path, accumulate: int):
    """Dropout has drawn by then, BatchNorm has moved, and so has what the recipe keeps."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    tiny_training.run(settings(whole, accumulate=accumulate))
    with pytest.raises(RuntimeError, match=r"out of memory.*goes on from .*checkpoint-12$"):
        tiny_training.run(settings(out, accumulate=accumulate, fail_in_step=13))
    with pytest.raises(RuntimeError, match=r"out of memory.*goes on from .*checkpoint-12$"):  # saved already
        tiny_training.run(settings(out, accumulate=accumulate, fail_in_step=13))
    tiny_training.run(settings(out, accumulate=accumulate))
    assert outcome(out) == outcome(whole)


def test_an_error_in_the_first_step_has_nothing_to_save(tmp_path: Path):
    with pytest.raises(RuntimeError, match=r"out of memory\. There is no checkpoint to go on from$"):
        tiny_training.run(settings(tmp_path, fail_in_step=1))
    assert not list(tmp_path.glob("checkpoint-*"))


def test_fewer_items_than_before_are_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    interrupted(tmp_path, 7)
    monkeypatch.setattr(tiny_training.Images, "__len__", lambda self: 37)
    with pytest.raises(ConfigError, match=r"items: 38 -> 37.*must not change between stop and resume, so put back"):
        tiny_training.run(settings(tmp_path))


def test_two_trainings_do_not_write_into_one_folder(tmp_path: Path):
    with Checkpoints(tmp_path).locked(), pytest.raises(ConfigError, match="another training writes into"):
        tiny_training.run(settings(tmp_path))
