"""Settings of a recipe: nested dataclasses, a YAML file, and dotted overrides on the command line.

    python recipes/some_recipe.py --config tiny.yaml --optim.lr 1e-4

The dataclass is the one list of what can be set, with types and defaults; jsonargparse checks values against it. Keys
are checked before, so that a misspelt one is answered with the nearest that exists.

Of a section that is a dict (`model`, a model's own settings) one rule holds: `--model.hidden_size 16` sets one key on
top of the file's (or the default's), and `--model '{hidden_size: 16}'` gives the section whole. What was in it then no
longer counts, which a warning says, key by key.
"""

import argparse
import dataclasses
import difflib
import logging
import re
import types
import typing
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jsonargparse
import yaml
from transformers import PretrainedConfig

from spatial_audio_lm.errors import ConfigError
from spatial_audio_lm.files import write_whole
from spatial_audio_lm.training.number_ranges import require_ranges
from spatial_audio_lm.training.plain_errors import end_plainly
from spatial_audio_lm.training.strict_yaml import read_yaml, yaml_value

Config = TypeVar("Config")

log = logging.getLogger(__name__)

_IN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "keys and values",
}

# Taken where a model's settings go, and nothing that a recipe is asked for.
_TRANSFORMERS_OWN = frozenset(PretrainedConfig().to_dict())

MAY_CHANGE = {"may_change": True}
"""Metadata of a field (`field(default=..., metadata=MAY_CHANGE)`) whose value may differ when a training is resumed."""


def load_config(cls: type[Config], argv: Sequence[str] | None = None) -> Config:
    """Build a config from `--config FILE` and dotted overrides; overrides win over the file, the file over defaults.

    It is the first thing that a recipe does: from here on the package's own errors end it by their message alone
    (`end_plainly`).

    Args:
        cls: dataclass, whose fields may be dataclasses.
        argv: command line without the program's name; None takes the process's own.

    Raises:
        ConfigError: an unknown key (the nearest is named), a value of the wrong type or out of range, or a file that
            cannot be read.
    """
    end_plainly()
    file_option = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    file_option.add_argument("--config", help="YAML file")
    try:
        found, rest = file_option.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError("--config needs the path of a YAML file") from error
    for option in (token[2:].split("=")[0].rstrip("+") for token in rest if token.startswith("--")):
        if option != "help":
            _check_option(cls, option)
    content = read_yaml(found.config) if found.config else {}
    _check_section(cls, content, "")
    config = _build(cls, content, _set_dicts(cls, content, rest))
    require_ranges(config)
    return config


def require_known(section: str, given: Collection[str], known: Collection[str]) -> None:
    """Of a section that is free in the dataclass, because a model's own settings go there: refuse what it has not.

    Raises:
        ConfigError: which keys, and what there is.
    """
    if unknown := sorted(set(given) - set(known)):
        own = sorted(set(known) - _TRANSFORMERS_OWN)
        near = difflib.get_close_matches(unknown[0], own, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"{section} has {', '.join(unknown)}: {hint}known are {', '.join(own)}")


def as_dict(config: Any) -> dict[str, Any]:
    """The resolved settings as plain types (tuples as lists), as they are saved."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def leaves(config: Any) -> Iterator[tuple[str, Any]]:
    """The resolved settings as dotted keys and values."""
    return _leaves(as_dict(config), "")


def save_config(config: Any, path: str | Path) -> None:
    """Write the resolved settings as YAML that `load_config` reads back."""
    write_whole(path, yaml.safe_dump(as_dict(config), sort_keys=False, allow_unicode=True).encode())


def changed_keys(config: Any, saved: dict[str, Any]) -> list[str]:
    """What differs from settings saved by `as_dict`, as `key: saved -> now`, without fields marked `MAY_CHANGE`."""
    free = set(_free_keys(config, ""))
    now, before = dict(leaves(config)), dict(_leaves(saved, ""))
    return [
        f"{key}: {before.get(key, 'not set')!r} -> {now.get(key, 'not set')!r}"
        for key in sorted(now.keys() | before.keys())
        if key not in free
        and before.get(key, _build) != now.get(key, _build)  # a value that equals no other stands for "absent"
    ]


def _build(cls: type[Config], content: dict[str, Any], overrides: list[str]) -> Config:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", help="YAML file with any of the keys below")
    parser.add_class_arguments(cls)
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # renamed in jsonargparse 4.49
    try:
        from_file = parser.parse_object(content, defaults=False)
        built = instantiate(parser.parse_args(overrides, namespace=from_file))
        return cls(**{field.name: built[field.name] for field in dataclasses.fields(cls)})  # type: ignore[arg-type]
    except (argparse.ArgumentError, TypeError) as error:
        message = " ".join(str(error).replace("Parser key", "config key").split())
        raise ConfigError(_without_python(message)) from error


def _without_python(message: str) -> str:
    """jsonargparse's words for a value of the wrong type, in those of a settings file."""
    optional = re.compile(
        r"Does not validate against any of the Union subtypes Subtypes: .* Errors: - (Expected a .+?) "
        r"- Expected a <class 'NoneType'> Given value type: .+? Given value: "
    )
    message = optional.sub(r"\1, or null. Got value: ", message)
    message = re.sub(r"Expected a typing\.Literal\[(.*?)\]", r"expected one of \1", message)
    for kind, words in _IN_WORDS.items():
        message = message.replace(f"Expected a <class '{kind}'>", f"expected {words}")
    return message.replace(". Got value: ", ", got ")


def _sections(cls: Any) -> dict[str, Any]:
    """Fields of a dataclass: name to the dataclass of a section, or None for a value."""
    hints = typing.get_type_hints(cls)
    return {field.name: _dataclass_in(hints[field.name]) for field in dataclasses.fields(cls)}


def _dataclass_in(hint: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return hint
    if typing.get_origin(hint) in (typing.Union, types.UnionType):  # an optional section
        return next((kind for kind in typing.get_args(hint) if dataclasses.is_dataclass(kind)), None)
    return None


def _check_section(cls: Any, content: dict[str, Any], prefix: str) -> None:
    sections = _sections(cls)
    for key, value in content.items():
        if key not in sections:
            raise _unknown(prefix + key, [prefix + name for name in sections])
        section = sections[key]
        if section is not None and isinstance(value, dict):
            _check_section(section, value, f"{prefix}{key}.")
        elif section is not None and value is not None:
            raise ConfigError(
                f"config key {prefix + key} is a section with {', '.join(_sections(section))}, got {value!r}"
            )


def _set_dicts(cls: Any, content: dict[str, Any], overrides: list[str]) -> list[str]:
    """Put what the command line says of dicts into the file's content; gives back the other overrides."""
    tokens, others = list(overrides), []
    while tokens:
        token = tokens.pop(0)
        option, equals, text = token[2:].partition("=")
        found = _dict_of(cls, option.split(".")) if token.startswith("--") else None
        if found is None:
            others.append(token)
            continue
        if not equals and (not tokens or tokens[0].startswith("--")):
            raise ConfigError(f"--{option} needs a value")
        value = yaml_value(text if equals else tokens.pop(0), option)
        sections, field, keys = found
        place = content
        for name in sections:
            place[name] = place.get(name) or {}  # an optional section may be null
            place = place[name]
        if field.name not in place:
            made = field.default_factory() if callable(field.default_factory) else field.default
            place[field.name] = made if isinstance(made, dict) else {}
        if keys:
            _set_key(place[field.name], keys, value, option)
            continue
        before = place[field.name]
        gone = sorted(set(before) - set(value)) if isinstance(before, dict) and isinstance(value, dict) else []
        if gone:
            said = "--%s gives the section whole: %s of it no longer count; --%s.KEY VALUE sets one key on top"
            log.warning(said, option, ", ".join(gone), option)
        place[field.name] = value
    return others


def _dict_of(cls: Any, parts: list[str]) -> tuple[list[str], dataclasses.Field, list[str]] | None:
    """Where an option leads into a dict: the sections before it, its field, and the keys in it."""
    for index, part in enumerate(parts):
        field = next((field for field in dataclasses.fields(cls) if field.name == part), None)
        if field is None:
            return None
        hint = typing.get_type_hints(cls)[part]
        kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        if any(typing.get_origin(kind) is dict for kind in kinds):
            return parts[:index], field, parts[index + 1 :]
        if (cls := _dataclass_in(hint)) is None:
            return None
    return None


def _set_key(place: dict[str, Any], keys: list[str], value: Any, option: str) -> None:
    for key in keys[:-1]:
        if not isinstance(place, dict) or not isinstance(place.setdefault(key, {}), dict):
            raise ConfigError(f"--{option} sets a key in {key}, which is no section but {place[key]!r}")
        place = place[key]
    place[keys[-1]] = value


def _check_option(cls: Any, option: str) -> None:
    if (found := _dict_of(cls, option.split("."))) is not None and all(found[2]):
        return  # what keys a dict may have, the recipe knows (`require_known`)
    section, prefix = cls, ""
    for part in option.split("."):
        fields = _sections(section) if section is not None else {}
        if part not in fields:
            raise _unknown(option, [prefix + name for name in fields] or [prefix.rstrip(".")])
        section, prefix = fields[part], f"{prefix}{part}."
    if section is not None:
        raise ConfigError(
            f"{option} is a section: set its keys, for example --{option}.{next(iter(_sections(section)))}"
        )


def _unknown(key: str, known: list[str]) -> ConfigError:
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return ConfigError(f"unknown config key {key!r}: did you mean {nearest[0]!r}? known here: {', '.join(known)}")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return as_dict(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _leaves(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _free_keys(config: Any, prefix: str) -> Iterator[str]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get("may_change"):
            yield prefix + field.name
        elif dataclasses.is_dataclass(value):
            yield from _free_keys(value, f"{prefix}{field.name}.")
