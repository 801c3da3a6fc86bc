"""YAML without surprises: no duplicate keys, no aliases, no tags, and `1e-4` is a number.

Plain YAML lets the later of two equal keys win in silence, lets a file of a hundred bytes unfold into gigabytes by
aliases, and reads `1e-4` as text and `no` as False.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import shown_name

MAX_BYTES = 1024**2


class _StrictLoader(yaml.SafeLoader):
    """Core types only. The resolvers are built anew: those of YAML 1.1 know `no`, octals and dates."""

    yaml_implicit_resolvers: dict[str, list] = {}  # noqa: RUF012  the name and form that PyYAML reads

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refusal("anchors and aliases are not read: write the value out", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _refusal(f"key {key!r} is not text", key_node)
            if key in seen:
                raise _refusal(f"key {key!r} appears twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _refusal(problem: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


for _tag, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+0123456789.")),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def yaml_value(text: str, name: str) -> Any:
    """What a value on a command line means: the same as in a file.

    Args:
        text: of the value.
        name: of the option, for the error.

    Raises:
        ConfigError: no YAML, or against the rules above.
    """
    try:
        return _StrictLoader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{name}: {error.problem}, in {text!r}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: the file is missing, too long, no mapping, or breaks the rules above; the message names file and
        line.
    """
    name, path = shown_name(path), Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{name}: {path.stat().st_size} bytes of YAML; at most {MAX_BYTES} are read")
        text = path.read_text(encoding="utf-8")
        content = _StrictLoader(text).get_single_data()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise ConfigError(f"{name}:{line} {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{name}: expected keys and values, got {type(content).__name__}")
    return content
