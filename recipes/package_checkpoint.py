"""Put a trained checkpoint into the package: half precision on disk, and its measured numbers in its card.

    python recipes/package_checkpoint.py --name elsa-tiny --checkpoint runs/elsa_tiny/final
    python recipes/evaluate_elsa.py --config recipes/configs/evaluate_elsa/elsa_tiny.yaml --data DIR
    python recipes/package_checkpoint.py --name elsa-tiny --results runs/evaluate_elsa_tiny

The weights are stored as float16 and loaded as float32 (the configuration says so): half the size; what is measured is
the packaged folder. The second call writes the evaluation's table between the markers `<!-- results:begin -->` and
`<!-- results:end -->` of the card and of the pages given by --pages, and its `model-index` into the card's header.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from safetensors.torch import load_file, save_file

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import read_json, write_json, write_whole
from spatial_audio_lm.models.checkpoints import PACKAGED_FOLDER
from spatial_audio_lm.training.config import load_config

MAX_BYTES = 25_000_000  # of a packaged checkpoint
LEFT_OUT = {"results.json"}  # the numbers of a training, which its evaluation replaces
MARKED = re.compile(r"(<!-- results:begin -->\n).*?(<!-- results:end -->)", re.DOTALL)


@dataclass
class Config:
    name: str = "elsa-tiny"
    checkpoint: str | None = None  # folder of a trained model to store; null: leave the weights
    results: str | None = None  # output folder of an evaluation to write into the pages; null: leave them
    pages: list[str] = field(default_factory=lambda: ["README.md"])  # that show the table beside the card
    output_dir: str | None = None  # null: the package's own folder


def store_weights(source: Path, output: Path) -> None:
    """Write the model as float16, and its configuration and tokenizer as they are."""
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


def write_results(results: Path, card: Path, pages: list[Path]) -> None:
    """Write the table between the markers of all pages, and the numbers into the card's header."""
    table = (results / "table.md").read_text(encoding="utf-8")
    for page in (card, *pages):
        text = page.read_text(encoding="utf-8")
        if len(MARKED.findall(text)) != 1:
            raise ConfigError(f"{page} needs one place between <!-- results:begin --> and <!-- results:end -->")
        write_whole(page, MARKED.sub(lambda found: f"{found[1]}\n{table}\n{found[2]}", text).encode())
    loaded = ModelCard.load(card)
    index = read_json(results / "results.json")["model-index"]
    loaded.data.model_name, loaded.data.eval_results = model_index_to_eval_results(index)
    write_whole(card, str(loaded).encode())


def main(config: Config) -> Path:
    output = Path(config.output_dir) if config.output_dir else PACKAGED_FOLDER / config.name
    if config.checkpoint is not None:
        store_weights(Path(config.checkpoint), output)
    if config.results is not None:
        write_results(Path(config.results), output / "README.md", [Path(page) for page in config.pages])
    size = sum(path.stat().st_size for path in output.iterdir())
    if size > MAX_BYTES:
        raise ConfigError(f"{output} has {size} bytes; a packaged checkpoint has at most {MAX_BYTES}")
    print(f"{output}: {size / 1e6:.1f} MB")
    return output


if __name__ == "__main__":
    main(load_config(Config, sys.argv[1:]))
