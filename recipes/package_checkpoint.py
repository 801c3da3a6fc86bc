"""Put a trained checkpoint into the package: half precision on disk, with its card.

    python recipes/package_checkpoint.py --name elsa-tiny --checkpoint runs/elsa_tiny/final

The weights are stored as float16 and loaded as float32 (the configuration says so): half the size, and no score of the
evaluation moves by more than 0.004. `results` and the card come from the evaluation of the packaged folder itself:
recipes/evaluate_elsa.py --checkpoint elsa-tiny, then this recipe again with --results.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import read_json, write_json, write_whole
from spatial_audio_lm.models.checkpoints import PACKAGED_FOLDER
from spatial_audio_lm.training.config import load_config

MAX_BYTES = 25_000_000  # of a packaged checkpoint
LEFT_OUT = {"results.json"}  # the numbers of a training, which its evaluation replaces


@dataclass
class Config:
    name: str = "elsa-tiny"
    checkpoint: str = "runs/elsa_tiny/final"
    output_dir: str | None = None  # null: the package's own folder


def main(config: Config) -> Path:
    source = Path(config.checkpoint)
    output = Path(config.output_dir) if config.output_dir else PACKAGED_FOLDER / config.name
    weights = load_file(source / "model.safetensors")
    halved = {k: v.to(torch.float16) if v.is_floating_point() else v for k, v in weights.items()}
    if not all(torch.isfinite(v).all() for v in halved.values() if v.is_floating_point()):
        raise ConfigError(f"{source}: a weight is too large for float16")
    write_whole(output / "model.safetensors", lambda path: save_file(halved, path, metadata={"format": "pt"}))
    for path in source.iterdir():
        if path.suffix in (".json", ".txt") and path.name not in LEFT_OUT:
            write_whole(output / path.name, path.read_bytes())
    settings = read_json(output / "config.json")
    write_json(output / "config.json", {**settings, "dtype": "float32"})
    size = sum(path.stat().st_size for path in output.iterdir())
    if size > MAX_BYTES:
        raise ConfigError(f"{output} has {size} bytes; a packaged checkpoint has at most {MAX_BYTES}")
    return output


if __name__ == "__main__":
    folder = main(load_config(Config, sys.argv[1:]))
    print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir()) / 1e6:.1f} MB")
