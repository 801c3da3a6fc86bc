"""Rewriting by llama.cpp: any language model in a GGUF file, on a CPU or a GPU. The only file that knows llama_cpp.

A GGUF file is somebody's data. Its header is checked first, then the model is loaded and asked once in a process of its
own: a file that llama.cpp does not survive ends that process, not the job. The chat template in the file, a program in
Jinja, is neither run nor compiled; `chat_formats` has those in use.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from spatial_audio_lm.captions.engines import Completion, Sampling, require_room
from spatial_audio_lm.captions.gguf_files import read_gguf_header
from spatial_audio_lm.captions.prompts import Prompt
from spatial_audio_lm.errors import CheckpointError, ConfigError, MissingExtraError
from spatial_audio_lm.files import shown_name

TRIAL_LIMIT_S = 900.0  # tens of gigabytes from a slow disk

# Nothing of the parent is imported again; what the child has to know comes by its standard input.
_TRIAL = "from spatial_audio_lm.captions.rewriting import answer_trial; answer_trial()"
_TEMPLATE = "tokenizer.chat_template"


class LlamaCppEngine:
    """A GGUF model in llama.cpp; see `engines.Engine`.

    Args:
        path: the GGUF file; of a model in several files, the first.
        context: tokens of a prompt and its answer together.
        threads: of the CPU; None takes half of them, llama.cpp's own choice.
        gpu_layers: layers on the GPU; -1 for all.
        tried: the file was tried before by `try_gguf`, in this run; False tries it now.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        CheckpointError: the file is no GGUF, damaged, or does not load.
        ConfigError: a context that the model was not made for.
    """

    forces_schema = True

    def __init__(
        self,
        path: str | os.PathLike,
        context: int = 2048,
        threads: int | None = None,
        gpu_layers: int = 0,
        tried: bool = False,
    ):
        if not tried:
            try_gguf(path, context, gpu_layers)
        self._path, self._context = Path(path), context
        self._model = _load(path, context, threads, gpu_layers)

    def complete(self, prompts: Sequence[Prompt], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        """See `engines.Engine.complete`; one prompt after the other."""
        return [self._one(prompt, seed, sampling) for prompt, seed in zip(prompts, seeds, strict=True)]

    def close(self) -> None:
        """Free the model's memory; at the interpreter's exit it would be too late for that."""
        self._model.close()

    def __enter__(self) -> "LlamaCppEngine":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _one(self, prompt: Prompt, seed: int, sampling: Sampling) -> Completion:
        tokens = _tokens(self._model, prompt.text)
        require_room(len(tokens), sampling.max_tokens, self._context)
        # What is left of the prompt before would be used again, and with it other roundings.
        self._model.reset()
        answer = self._model.create_completion(
            tokens,
            seed=seed,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
            min_p=0.0,
            max_tokens=sampling.max_tokens,
            stop=list(prompt.stop),
            grammar=None if prompt.schema is None else _grammar(json.dumps(dict(prompt.schema))),
        )
        choice = answer["choices"][0]
        return Completion(choice["text"], choice["finish_reason"] == "stop")


def try_gguf(
    path: str | os.PathLike, context: int = 2048, gpu_layers: int = 0, prompts: Sequence[str] = ("Hello",)
) -> list[int]:
    """Check the file's header, then load the model in another process and let it read one token.

    Args:
        path: the GGUF file.
        context: that is wanted.
        gpu_layers: as for the engine.
        prompts: texts to count the tokens of, at least one.

    Returns:
        How many tokens each prompt has.

    Raises:
        MissingExtraError, CheckpointError, ConfigError: see `LlamaCppEngine`.
    """
    header = read_gguf_header(path)
    _llama_cpp()
    if not 8 <= context <= header.context_length:
        raise ConfigError(
            f"context is {context}; {shown_name(path)} was trained with {header.context_length}: give 8 to that many"
        )
    wanted = {"path": os.fspath(path), "context": context, "gpu_layers": gpu_layers, "prompts": list(prompts)}
    # GGML_NO_BACKTRACE: a failed assertion would start a debugger, to write where.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "GGML_NO_BACKTRACE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _TRIAL],
            input=json.dumps(wanted).encode(), capture_output=True, env=environment, timeout=TRIAL_LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise CheckpointError(f"{shown_name(path)} was not loaded within {TRIAL_LIMIT_S:.0f} s") from error
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        raise CheckpointError(
            f"{shown_name(path)} cannot be used: loading it ended a process by {how}. llama.cpp said: "
            f"{_last_words(done.stderr)!r}. Download the file again, or a newer llama-cpp-python may know its kind"
        )
    return json.loads(done.stdout.splitlines()[-1])


def answer_trial() -> None:
    """The other process of `try_gguf`: reads what is wanted from standard input, prints the numbers of tokens."""
    wanted = json.load(sys.stdin)
    # One thread: on a machine that is busy, llama.cpp's threads wait long for each other.
    model = _load(wanted["path"], wanted["context"], 1, wanted["gpu_layers"], verbose=True)
    counts = [_tokens(model, prompt) for prompt in wanted["prompts"]]
    model.eval(counts[-1][:1])
    model.close()
    print(json.dumps([len(tokens) for tokens in counts]), flush=True)


def _load(path: str | os.PathLike, context: int, threads: int | None, gpu_layers: int, verbose: bool = False) -> Any:
    base: Any = _llama_cpp().Llama

    class WithoutTemplates(base):
        """Compiles no chat template: it sees none among the keys of the file."""

        @property
        def metadata(self) -> dict[str, str]:
            return self._metadata

        @metadata.setter
        def metadata(self, found: Mapping[str, str]) -> None:
            self._metadata = {key: value for key, value in found.items() if not key.startswith(_TEMPLATE)}

    return WithoutTemplates(
        os.fspath(path), n_ctx=context, n_threads=threads, n_threads_batch=threads, n_gpu_layers=gpu_layers,
        chat_format="chatml", verbose=verbose,
    )  # fmt: skip


def _tokens(model: Any, text: str) -> list[int]:
    """Tokens with the markers of chat formats as such, begun as the model wants its texts begun."""
    return model.tokenize(text.encode("utf-8"), add_bos=True, special=True)


@lru_cache(maxsize=8)
def _grammar(schema: str) -> Any:
    return _llama_cpp().LlamaGrammar.from_json_schema(schema, verbose=False)


def _llama_cpp() -> Any:
    try:
        import llama_cpp
    except ImportError as error:
        raise MissingExtraError("Rewriting captions with llama.cpp", "rewrite", str(error)) from error
    return llama_cpp


def _last_words(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "assert" in line.lower()]
    return (telling[:1] or lines[-1:] or ["nothing"])[0][:200]
