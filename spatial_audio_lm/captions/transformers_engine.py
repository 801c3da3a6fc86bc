"""Rewriting by a causal language model of transformers: the second engine behind `engines.Engine`.

Prompts come in the formats of `chat_formats`, the tokenizer's own chat template is not run. Every answer is drawn with
a generator of its own, so that it does not hang on what stands beside it in a batch (but for the last bits of a sum).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList

from spatial_audio_lm.captions.engines import Completion, Sampling, require_room, until_stop
from spatial_audio_lm.captions.prompts import Prompt
from spatial_audio_lm.errors import CheckpointError, ConfigError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TransformersEngine:
    """A causal language model of transformers; see `engines.Engine`.

    A prompt's schema is not forced: what the model makes of the request for JSON is read and judged as it comes.

    Args:
        model: folder, or name on the Hub.
        revision: of the name on the Hub.
        device: "cpu", "cuda", "cuda:1" ...
        dtype: "float32", "bfloat16" or "float16".
        batch_size: prompts at once.
        context: tokens of a prompt and its answer together.

    Raises:
        CheckpointError: there is no such model, or it does not load.
        ConfigError: a type or context that it does not have.
    """

    forces_schema = False

    def __init__(
        self,
        model: str | os.PathLike,
        revision: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        batch_size: int = 16,
        context: int = 2048,
    ):
        if dtype not in DTYPES:
            raise ConfigError(f"dtype is {dtype!r}; expected one of {', '.join(DTYPES)}")
        require_device(device)
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; expected at least 1")
        self._context = longest_context(model, revision, context)
        self._tokenizer = _loaded(AutoTokenizer, model, revision, padding_side="left")
        self._model = _loaded(AutoModelForCausalLM, model, revision, dtype=DTYPES[dtype]).eval().to(device)
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._batch_size = batch_size

    def complete(self, prompts: Sequence[Prompt], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        """See `engines.Engine.complete`."""
        completions: list[Completion] = []
        for start in range(0, len(prompts), self._batch_size):
            chosen = slice(start, start + self._batch_size)
            completions += self._batch(prompts[chosen], seeds[chosen], sampling)
        return completions

    @torch.inference_mode()
    def _batch(self, prompts: Sequence[Prompt], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        inputs = self._tokenizer([prompt.text for prompt in prompts], return_tensors="pt", padding=True)
        inputs.pop("token_type_ids", None)
        for number in inputs["attention_mask"].sum(-1).tolist():
            require_room(number, sampling.max_tokens, self._context)
        ends = self._ends(prompts)
        answers = self._model.generate(
            **inputs.to(self._model.device),
            do_sample=False,  # the chance is in the processor
            logits_processor=LogitsProcessorList([_DrawnBySeed(seeds, sampling)]),
            max_new_tokens=sampling.max_tokens,
            eos_token_id=ends or None,
            pad_token_id=self._tokenizer.pad_token_id,
        )[:, inputs["input_ids"].shape[1] :]
        return [
            self._completion(tokens, prompt, ends) for tokens, prompt in zip(answers.tolist(), prompts, strict=True)
        ]

    def _ends(self, prompts: Sequence[Prompt]) -> list[int]:
        """The tokens that end an answer: the model's own, and those of the chat format that it has as one token."""
        settings = self._model.generation_config.eos_token_id
        known = settings if isinstance(settings, list) else [settings, self._tokenizer.eos_token_id]
        vocabulary = self._tokenizer.get_vocab()
        stops = [vocabulary.get(text) for prompt in prompts for text in prompt.stop]
        return sorted({token for token in [*known, *stops] if token is not None})

    def _completion(self, tokens: list[int], prompt: Prompt, ends: Sequence[int]) -> Completion:
        end = next((place for place, token in enumerate(tokens) if token in ends), None)
        text = self._tokenizer.decode(tokens[:end], skip_special_tokens=False)
        text, stopped = until_stop(text, prompt.stop)
        return Completion(text, stopped or end is not None)


def require_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        ConfigError: naming it.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts that it has it
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"device is {device!r}, which cannot be used here: {reason}; give cpu or another") from error


def count_tokens(model: str | os.PathLike, revision: str | None, texts: Sequence[str]) -> list[int]:
    """How many tokens a model's tokenizer makes of each text.

    Raises:
        CheckpointError: there is no such model.
    """
    tokenizer = _loaded(AutoTokenizer, model, revision)
    return [len(tokens) for tokens in tokenizer(list(texts))["input_ids"]]


def longest_context(model: str | os.PathLike, revision: str | None, wanted: int) -> int:
    """The context that is wanted, if the model was made for as much.

    Raises:
        CheckpointError: there is no such model.
        ConfigError: it was made for less.
    """
    config = _loaded(AutoConfig, model, revision).get_text_config()
    made_for = getattr(config, "max_position_embeddings", None)
    if made_for is not None and not 1 <= wanted <= made_for:
        raise ConfigError(f"context is {wanted}; {Path(model).name} was made for at most {made_for}")
    return wanted


def _loaded(kind: Any, model: str | os.PathLike, revision: str | None, **options: Any) -> Any:
    try:
        return kind.from_pretrained(model, revision=revision, **options)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[:1]
        raise CheckpointError(f"{model} is no causal language model that transformers loads: {first}") from error


class _DrawnBySeed(LogitsProcessor):
    """Draws the next token of every row with the row's own generator, and leaves it as the largest logit.

    The largest of log-probabilities with Gumbel noise added is a draw from the distribution.
    """

    def __init__(self, seeds: Sequence[int], sampling: Sampling):
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._sampling = sampling

    def __call__(self, input_ids: Any, scores: Tensor) -> Tensor:
        if self._sampling.temperature == 0:
            return scores
        logits = (scores.float() / self._sampling.temperature).log_softmax(-1)
        ordered, places = logits.sort(descending=True, dim=-1)
        before = ordered.exp().cumsum(-1) - ordered.exp()
        kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, places, before < self._sampling.top_p)
        # On the CPU on every machine, so that the same seeds give the same draws.
        uniform = torch.stack([torch.rand(logits.shape[-1], generator=g) for g in self._generators])
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        return (logits + gumbel.to(logits.device)).masked_fill(~kept, -torch.inf)
