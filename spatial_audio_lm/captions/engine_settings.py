"""Which language model rewrites, and how it is run: as a job's configuration says it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spatial_audio_lm.captions.engines import Engine, require_room
from spatial_audio_lm.captions.gguf_files import read_gguf_header
from spatial_audio_lm.captions.rewriting import LlamaCppEngine, try_gguf
from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import sha256_of_file


@dataclass(frozen=True)
class EngineSettings:
    """A model and its engine.

    Attributes:
        model: a GGUF file (`llama_cpp`), or a folder or name on the Hub (`transformers`).
        kind: the engine.
        context: tokens of a prompt and its answer together.
        threads: llama.cpp's on the CPU; None takes half of the cores.
        gpu_layers: llama.cpp's on the GPU, -1 for all.
        revision: of a name on the Hub.
        device: of transformers.
        dtype: likewise.
        batch_size: prompts that transformers answers at once.
    """

    model: str = ""
    kind: Literal["llama_cpp", "transformers"] = "llama_cpp"
    context: int = 2048
    threads: int | None = None
    gpu_layers: int = 0
    revision: str | None = None
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_size: int = 16

    def identity(self) -> dict[str, Any]:
        """What answers depend on: the model's weights, and what decides how its sums are rounded.

        Raises:
            ConfigError, CheckpointError: no model is given, or it is no GGUF.
        """
        self._require_model()
        if self.kind == "llama_cpp":
            read_gguf_header(self.model)
            return {"sha256": sha256_of_file(self.model), "gpu": self.gpu_layers != 0}
        folder = Path(self.model)
        weights = {path.name: sha256_of_file(path) for path in _files(folder)} if folder.is_dir() else self.model
        return {"model": weights, "revision": self.revision, "dtype": self.dtype, "batch_size": self.batch_size}

    def check(self, prompts: list[str], max_tokens: int) -> None:
        """Refuse a model that does not load, or a context that prompts do not fit into, before any work is done.

        Args:
            prompts: the longest of the job.
            max_tokens: of an answer.

        Raises:
            MissingExtraError, CheckpointError: see the engines.
            ConfigError: no model is given, the context is too small, or there is no such device.
        """
        self._require_model()
        if self.kind == "llama_cpp":
            counts, context = try_gguf(self.model, self.context, self.gpu_layers, prompts), self.context
        else:
            from spatial_audio_lm.captions.transformers_engine import count_tokens, longest_context, require_device

            require_device(self.device)
            counts = count_tokens(self.model, self.revision, prompts)
            context = longest_context(self.model, self.revision, self.context)
        require_room(max(counts), max_tokens, context, "the longest prompt")

    def _require_model(self) -> None:
        if not self.model:
            what = "the path of a GGUF file" if self.kind == "llama_cpp" else "a folder or a name on the Hub"
            raise ConfigError(f"no model is given; set engine.model to {what}")

    def open(self) -> Engine:
        """The engine of a model that `check` has passed.

        Raises:
            MissingExtraError, CheckpointError, ConfigError: see the engines.
        """
        if self.kind == "llama_cpp":
            return LlamaCppEngine(self.model, self.context, self.threads, self.gpu_layers, tried=True)
        # Here: importing transformers' models takes seconds, and every worker of llama.cpp would wait for them.
        from spatial_audio_lm.captions.transformers_engine import TransformersEngine

        return TransformersEngine(self.model, self.revision, self.device, self.dtype, self.batch_size, self.context)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors", ".model"))
