"""YAML documents as plain values, some three times faster than the loader of PyYAML.

The C parser's events are built into dictionaries directly. Times stay text, as in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

_MANAGED = re.compile(r"^( *)managedFields:[ ]*\n(?:\1(?:[ ]+|- ?).*\n)+", re.MULTILINE)
"""The block style in which kubectl prints it, with its items on the same indentation or deeper."""
_MAX_VALUES = 1_000_000
"""A few lines can stand for billions of values, by aliases of aliases."""
_RESOLVE: Callable[..., str] = yaml.SafeLoader.resolve


class _Special(Exception):
    """The text uses anchors, tags or merge keys, which are left to the loader of PyYAML."""


class _Scalars:
    """Plain scalars by their YAML 1.1 meaning; every text is looked at once."""

    def __init__(self) -> None:
        self._loader = yaml.SafeLoader("")
        self._known: dict[str, Any] = {}

    def value(self, text: str) -> Any:
        if text in self._known:
            return self._known[text]
        loader = self._loader
        tag: str = _RESOLVE(loader, yaml.ScalarNode, text, (True, False))
        node = yaml.ScalarNode(tag, text)
        value: Any = text
        match tag.rpartition(":")[2]:
            case "int":
                value = loader.construct_yaml_int(node)
            case "float":
                value = loader.construct_yaml_float(node)
            case "bool":
                value = loader.construct_yaml_bool(node)
            case "null":
                value = None
            case "merge":
                raise _Special
        self._known[text] = value
        return value


def documents(text: str) -> list[Any]:
    """Every document. Raises yaml.YAMLError."""
    text = _MANAGED.sub("", text)
    try:
        return _build(text)
    except _Special:
        found = list(yaml.load_all(text, Loader=_TextTimes))
        _measured(found, {})
        return found


def _measured(value: Any, known: dict[int, int]) -> int:
    """How many values it stands for, with every alias written out. Raises yaml.YAMLError when too many."""
    if not isinstance(value, dict | list):
        return 1
    size = known.get(id(value))
    if size is None:
        # Infinite until it is known: an alias may hold itself.
        known[id(value)] = _MAX_VALUES + 1
        size = 1 + sum(
            _measured(one, known) for one in (value.values() if isinstance(value, dict) else value)
        )
        known[id(value)] = size
    if size > _MAX_VALUES:
        raise yaml.YAMLError(f"its aliases stand for more than {_MAX_VALUES} values")
    return size


class _TextTimes(yaml.CSafeLoader):
    """PyYAML's safe loader without its times."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class declares it
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def _build(text: str) -> list[Any]:
    scalars = _Scalars().value
    found: list[Any] = []
    stack: list[Any] = []
    keys: list[Any] = []
    no_key = object()
    here: Any = found
    key: Any = no_key
    event: Any
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        kind = type(event)
        if kind is yaml.ScalarEvent:
            if event.anchor is not None or (event.tag is not None and event.tag != "!"):
                raise _Special
            value = scalars(event.value) if event.implicit[0] else event.value
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if event.anchor is not None or event.tag is not None or (type(here) is dict and key is no_key):
                raise _Special
            value = {} if kind is yaml.MappingStartEvent else []
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            here, key = stack.pop(), keys.pop()
            continue
        elif kind is yaml.AliasEvent:
            raise _Special
        else:
            continue
        if type(here) is list:
            here.append(value)
        elif key is no_key:
            key = value
            continue
        else:
            here[key] = value
            key = no_key
        if kind is not yaml.ScalarEvent:
            stack.append(here)
            keys.append(key)
            here, key = value, no_key
    return found
