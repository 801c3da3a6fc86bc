"""A language model of llama.cpp's format, written from nothing: two layers, a token for each byte, random weights.

It says nonsense, and with a grammar nonsense of a form. Everything that a real model goes through is real: the file,
its loading, tokens, the sampler, grammars and the context's end.
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 32, 2, 2, 64, 1024
MARKERS = ("<|bos|>", "<|im_start|>", "<|im_end|>")
# A template that is no Jinja: whoever compiles it fails.
TEMPLATE = "{% for message in %}{{ never run }}"

_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_NORMAL, _CONTROL = 1, 3


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte: printable ones stand for themselves, the others begin at U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _value(value: Any) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case int():
            return struct.pack("<II", _U32, value)
        case float():
            return struct.pack("<If", _F32, value)
        case str():
            return struct.pack("<I", _STRING) + _text(value)
        case [str(), *_]:
            return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(_text, value))
        case [*numbers]:
            return struct.pack("<IIQ", _ARRAY, _I32, len(numbers)) + struct.pack(f"<{len(numbers)}i", *numbers)
    raise TypeError(value)


def keys(**changes: Any) -> dict[str, Any]:
    """The keys of the file; dots in the names of changes are written as two underscores."""
    letters = _byte_letters()
    merges = [f"{a} {b}" for a, b in ("th", "in", "er")]
    tokens = [*letters, *MARKERS, *(merge.replace(" ", "") for merge in merges)]
    found = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [
            _CONTROL if token in MARKERS else _NORMAL for token in tokens
        ],
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": tokens.index("<|bos|>"),
        "tokenizer.ggml.eos_token_id": tokens.index("<|im_end|>"),
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.chat_template": TEMPLATE,
    }  # fmt: skip
    return found | {name.replace("__", "."): value for name, value in changes.items()}


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights; the output has the scale that makes some answers end."""
    generator = np.random.default_rng(seed)
    vocabulary = len(keys()["tokenizer.ggml.tokens"])

    def weight(*shape: int) -> np.ndarray:
        return (generator.standard_normal(shape) * 0.1).astype("<f4")

    made = {"token_embd.weight": weight(vocabulary, WIDTH)}
    for layer in range(LAYERS):
        made |= {f"blk.{layer}.{name}_norm.weight": np.ones(WIDTH, "<f4") for name in ("attn", "ffn")}
        made |= {f"blk.{layer}.attn_{name}.weight": weight(WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        made |= {f"blk.{layer}.ffn_{name}.weight": weight(INNER, WIDTH) for name in ("gate", "up")}
        made[f"blk.{layer}.ffn_down.weight"] = weight(WIDTH, INNER)
    return made | {"output_norm.weight": np.ones(WIDTH, "<f4"), "output.weight": weight(vocabulary, WIDTH)}


def write_gguf(path: Path, seed: int = 0, version: int = 3, without: Iterable[str] = (), **changes: Any) -> Path:
    """Write the file.

    Args:
        path: of the file.
        seed: of the weights.
        version: that it claims.
        without: keys to leave out.
        changes: of keys, see `keys`.
    """
    written = {name: value for name, value in keys(**changes).items() if name not in set(without)}
    weights = tensors(seed)
    head = b"GGUF" + struct.pack("<IQQ", version, len(weights), len(written))
    head += b"".join(_text(name) + _value(value) for name, value in written.items())
    data = b""
    for name, weight in weights.items():
        shape = weight.shape[::-1]  # the fastest dimension first
        head += _text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", 0, len(data))  # float32, at this byte of the data
        data += weight.tobytes() + bytes(-weight.nbytes % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path
