"""Writes docs/configuration.md from the schema: ``python -m config.reference > docs/configuration.md``."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import HttpUrl, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from config.dump import plain
from config.schema import Config
from config.shape import is_secret, section_of
from config.types import (
    Extract,
    Instant,
    MatrixUser,
    Name,
    Parameter,
    PrivateKey,
    PublicKey,
    Regex,
    Role,
    Section,
    TextRegex,
)

_INTRODUCTION = """# Configuration

<!-- Written by `make docs` from the schema in config/; a test compares the two. Do not edit. -->

One YAML file, `assent.yaml`. `assent init` writes a commented one that works, `assent check` tests it and
every connection in it, `assent check --dump` prints it as understood, with every secret masked.

- **Unknown keys are refused**, and so is everything else that cannot be right; every mistake is told at once,
  each as `file:line: path.to.key: what is wrong; what to write`.
- **`${NAME}`** within a value is filled in from the environment, **`${NAME:-default}`** with a default where
  the variable is unset or empty; `$${` stands for a plain `${`. Within `{ }` put the value in quotes.
- **A secret may stand in a file of its own**: for each key of type *secret* there is one with `_file` behind
  its name that takes a path instead. One line end at the end of the file is dropped. A file that every user
  of the machine can read is warned of.
- **Paths** are relative to the folder of the configuration file. `~` is not filled in; write `${HOME}`.
- **Durations** are written like `30s`, `5m`, `2h`, `7d` or `1h30m`; the smallest unit is `ms`.
- The scalars are those of YAML 1.2: `yes`, `on` and `2026-12-24` are text, `010` is ten. Anchors and aliases
  work, merge keys (`<<`) do not.
"""

_NAMED: tuple[tuple[Any, str], ...] = (
    (Name, "name"),
    (MatrixUser, "Matrix user id"),
    (Role, "role"),
    (Instant, "RFC 3339 time"),
    (Regex, "regular expression"),
    (TextRegex, "regular expression"),
    (Extract, "regular expression"),
    (Parameter, "text or whole number"),
    (PrivateKey, "secret"),
    (PublicKey, "public key"),
    (timedelta, "duration"),
    (Path, "path"),
    (HttpUrl, "URL"),
    (SecretStr, "secret"),
    (bool, "`true` or `false`"),
    (Decimal, "number"),
    (int, "whole number"),
    (str, "text"),
)


def reference() -> str:
    """Return the text of docs/configuration.md."""
    parts = [_INTRODUCTION, "## The file", "", *_table(Config, "")]
    for path, section in _sections(Config, ""):
        parts += ["", f"## `{path}`", "", _prose(section), "", *_table(section, path)]
    return "\n".join(parts) + "\n"


def _sections(section: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            place = _place(path, name, field)
            yield place, inner
            yield from _sections(inner, place)


def _place(path: str, name: str, field: FieldInfo) -> str:
    listed = "[]" if get_origin(field.annotation) is tuple else ""
    return f"{path}.{name}{listed}".lstrip(".")


def _prose(section: type[Section]) -> str:
    text = inspect.cleandoc(section.__doc__ or "")
    return re.sub(r"``(.+?)``", r"`\1`", text)


def _table(section: type[Section], path: str) -> Iterator[str]:
    hints = get_type_hints(section, include_extras=True)
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in section.model_fields.items():
        key = f"`{name}`" + (f", `{name}_file`" if is_secret(field) else "")
        kind = _kind(hints[name], _place(path, name, field))
        yield f"| {key} | {kind}{_bounds(field)} | {_default(field)} | {field.description} |"


def _kind(hint: Any, place: str) -> str:
    for known, word in _NAMED:
        if hint == known:
            return word
    origin = get_origin(hint)
    if origin is Annotated:
        return _kind(get_args(hint)[0], place)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(hint))
    if origin in (Union, UnionType):
        return _kind(next(part for part in get_args(hint) if part is not NoneType), place)
    if origin is tuple:
        return f"list of {_kind(get_args(hint)[0], place)}"
    if origin is dict:
        return f"mapping of text to {_kind(get_args(hint)[1], place)}"
    return f"[`{place}`](#{re.sub('[^a-z_-]', '', place)})"


def _bounds(field: FieldInfo) -> str:
    bounds = {
        name: getattr(rule, name)
        for rule in field.metadata
        for name in ("ge", "le", "min_length")
        if getattr(rule, name, None) is not None
    }
    if "ge" in bounds and "le" in bounds:
        return f", {bounds['ge']} to {bounds['le']}"
    if "ge" in bounds:
        return f", at least {bounds['ge']}"
    return ", at least one" if "min_length" in bounds else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or value == ():
        return "none"
    if isinstance(value, Section) or value == {}:
        return "see there" if isinstance(value, Section) else "none"
    text = yaml.safe_dump(plain(value), default_flow_style=True, allow_unicode=True, width=10_000)
    return f"`{text.removesuffix('...').strip().removesuffix('...').strip()}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
