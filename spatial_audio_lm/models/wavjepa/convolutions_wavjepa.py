"""The convolutions that a published configuration describes by a Python expression, read without running it.

An example: `[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)]`, channels, kernel and stride of each.
"""

import ast
from typing import Any

from spatial_audio_lm.errors import CheckpointError
from spatial_audio_lm.layers.waveform_encoder import ConvLayer

MOST_CHARACTERS, MOST_LAYERS = 2_000, 64


def conv_layers_of(expression: Any) -> list[ConvLayer]:
    """The convolutions of an expression made of lists of triples, `+` and `* number`.

    Raises:
        CheckpointError: anything else.
    """
    try:
        if not isinstance(expression, str):
            raise ValueError("it is no text")
        if len(expression) > MOST_CHARACTERS:
            raise ValueError(f"it has {len(expression)} characters")
        layers = _list(ast.parse(expression.strip(), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise CheckpointError(
            f"extractor_layers_spec is {str(expression)[:80]!r}; expected lists of (channels, kernel, stride) with + "
            f"and *: {error}"
        ) from error
    return layers


def _list(node: ast.expr) -> list[ConvLayer]:
    if isinstance(node, ast.List):
        layers = [_layer(item) for item in node.elts]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        layers = _list(node.left) + _list(node.right)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        lists, times = (node.right, node.left) if isinstance(node.left, ast.Constant) else (node.left, node.right)
        layers = _list(lists) * min(_number(times), MOST_LAYERS + 1)
    else:
        raise ValueError(f"{ast.unparse(node)[:40]!r} is no list")
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"more than {MOST_LAYERS} layers")
    return layers


def _layer(node: ast.expr) -> ConvLayer:
    if not isinstance(node, ast.Tuple | ast.List) or len(node.elts) != 3:
        raise ValueError(f"{ast.unparse(node)[:40]!r} is no (channels, kernel, stride)")
    channels, kernel, stride = map(_number, node.elts)
    return channels, kernel, stride


def _number(node: ast.expr) -> int:
    if not isinstance(node, ast.Constant) or type(node.value) is not int or node.value < 1:
        raise ValueError(f"{ast.unparse(node)[:40]!r} is no whole number above 0")
    return node.value
