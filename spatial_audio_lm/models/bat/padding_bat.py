"""Sequences of one batch: padding before the prompts and behind the answers, so that all prompts end together."""

from collections.abc import Sequence

import torch
from torch import Tensor

IGNORED = -100  # a label that is not learned


def padded_inputs(sequences: Sequence[tuple[list[int], list[int]]], pad_token_id: int) -> dict[str, Tensor]:
    """One batch.

    Args:
        sequences: for each item the tokens of its prompt and those of its answer.
        pad_token_id: stands on both sides; the attention mask is 0 there.

    Returns:
        `input_ids`, `attention_mask` and `labels` (-100 but for the answers), each `(batch, tokens)`, int64.
    """
    before = max(len(prompt) for prompt, _ in sequences)
    behind = max(len(answer) for _, answer in sequences)
    shape = len(sequences), before + behind
    inputs = {
        "input_ids": torch.full(shape, pad_token_id),
        "attention_mask": torch.zeros(shape, dtype=torch.long),
        "labels": torch.full(shape, IGNORED),
    }
    for row, (prompt, answer) in enumerate(sequences):
        start, end = before - len(prompt), before + len(answer)
        inputs["input_ids"][row, start:end] = torch.tensor(prompt + answer)
        inputs["attention_mask"][row, start:end] = 1
        inputs["labels"][row, before:end] = torch.tensor(answer, dtype=torch.long)
    return inputs
