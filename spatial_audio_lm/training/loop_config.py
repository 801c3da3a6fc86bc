"""Settings of the training loop, a section in the config of every recipe."""

from dataclasses import dataclass, field
from typing import Literal

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.training.config import MAY_CHANGE


@dataclass
class LoopConfig:
    """What the loop does, and how often; fields marked `MAY_CHANGE` may differ when a training is resumed."""

    steps: int = 1000  # optimizer steps of the whole training
    accumulate: int = 1  # batches a step; a contrastive loss sees each batch alone
    clip_norm: float | None = None  # largest norm of the gradient
    mixed_precision: Literal["no", "bf16"] = "no"  # bf16 runs the step function under autocast
    seed: int = 0
    deterministic: bool = False  # refuse operations whose result varies from run to run (matters on a GPU)
    output_dir: str = field(default="out", metadata=MAY_CHANGE)  # checkpoints, config.yaml, metrics.jsonl
    resume: bool = field(default=False, metadata=MAY_CHANGE)  # continue what output_dir holds; starts anew if nothing
    save_every_steps: int = field(default=500, metadata=MAY_CHANGE)  # 0: at the end only
    evaluate_every_steps: int = field(default=0, metadata=MAY_CHANGE)  # 0: at the end only
    log_every_steps: int = field(default=10, metadata=MAY_CHANGE)
    keep_checkpoints: int = field(default=1, metadata=MAY_CHANGE)
    trackers: list[str] = field(default_factory=list, metadata=MAY_CHANGE)  # tensorboard, trackio

    def __post_init__(self) -> None:
        least = {"steps": 1, "accumulate": 1, "log_every_steps": 1, "keep_checkpoints": 1, "seed": 0}
        for name, low in (least | {"save_every_steps": 0, "evaluate_every_steps": 0}).items():
            if getattr(self, name) < low:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least {low}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ConfigError(f"clip_norm is {self.clip_norm}, expected more than 0, or null for none")
        if self.mixed_precision not in ("no", "bf16"):
            raise ConfigError(f"mixed_precision is {self.mixed_precision!r}, expected no or bf16")
