"""Walks the models: which fields a section has, which are secrets, which are paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from config.types import Section


def leaves(annotation: Any) -> Iterator[Any]:
    """The plain types an annotation is made of, without None, ``Annotated`` and containers."""
    arguments = get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        arguments = arguments[:1]
    if not arguments or get_origin(annotation) is None:
        if annotation not in (NoneType, Ellipsis):
            yield annotation
        return
    for argument in arguments:
        yield from leaves(argument)


def section_of(annotation: Any) -> type[Section] | None:
    """The section a field holds, alone or in a list."""
    for leaf in leaves(annotation):
        if isinstance(leaf, type) and issubclass(leaf, Section):
            return leaf
    return None


def is_secret(field: FieldInfo) -> bool:
    return SecretStr in leaves(field.annotation)


def is_path(field: FieldInfo) -> bool:
    return Path in leaves(field.annotation)


def is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def known_keys(section: type[Section]) -> list[str]:
    """Every key the section takes, with ``…_file`` for each secret."""
    keys: list[str] = []
    for name, field in section.model_fields.items():
        keys.append(name)
        if is_secret(field):
            keys.append(f"{name}_file")
    return keys
