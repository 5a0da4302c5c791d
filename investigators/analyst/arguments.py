"""The arguments of the read-only tools: as a JSON Schema for the model, and checked when it used them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.domain.errors import InputError
from bot.domain.redaction import redact, visible

NAME = r"[A-Za-z0-9_.:/@-]+"
"""Of services, pods, hosts, namespaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """``pattern`` is for the whole text; ``choices``, where given, are all there is."""

    description: str
    longest: int = 120
    pattern: str | None = NAME
    choices: tuple[str, ...] = ()
    required: bool = False

    def schema(self) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "string", "description": self.description, "maxLength": self.longest}
        if self.choices:
            made["enum"] = list(self.choices)
        return made

    def check(self, value: object) -> str:
        if not isinstance(value, str):
            raise InputError("must be a text")
        if not value.strip() or len(value) > self.longest:
            raise InputError(f"must have 1 to {self.longest} characters")
        if self.choices and value not in self.choices:
            raise InputError(f"must be one of {', '.join(self.choices)}")
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            raise InputError(f"must match {self.pattern}")
        if visible(value) != value:
            raise InputError("must hold visible characters only")
        if redact(value) != value:
            raise InputError("must not hold what looks like a secret")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number in a closed range."""

    description: str
    minimum: int
    maximum: int
    default: int | None = None
    required: bool = False

    def schema(self) -> dict[str, Any]:
        return {
            "type": "integer",
            "description": self.description,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }

    def check(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError("must be a whole number")
        if not self.minimum <= value <= self.maximum:
            raise InputError(f"must be from {self.minimum} to {self.maximum}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    description: str
    required: bool = False

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean", "description": self.description}

    def check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise InputError("must be true or false")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """At most ``most`` texts, each as ``each`` says."""

    description: str
    each: Text
    most: int = 10
    required: bool = False

    def schema(self) -> dict[str, Any]:
        return {
            "type": "array",
            "description": self.description,
            "items": self.each.schema(),
            "maxItems": self.most,
        }

    def check(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or len(value) > self.most:
            raise InputError(f"must be a list of at most {self.most} texts")
        return tuple(self.each.check(one) for one in value)


Argument = Text | Whole | Flag | Texts


def schema_of(arguments: Mapping[str, Argument]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: argument.schema() for name, argument in arguments.items()},
        "required": [name for name, argument in arguments.items() if argument.required],
        "additionalProperties": False,
    }


def checked(arguments: Mapping[str, Argument], given: object) -> dict[str, Any]:
    """The arguments with their defaults, None dropped. Raises InputError naming every problem at once."""
    if not isinstance(given, Mapping):
        raise InputError("the arguments must be an object")
    problems = []
    if any(name not in arguments for name in given):
        # The names themselves are the model's words and are not repeated.
        problems.append(f"only these arguments are known: {', '.join(arguments) or 'none'}")
    found: dict[str, Any] = {}
    for name, argument in arguments.items():
        value = given.get(name)
        if value is None:
            if argument.required:
                problems.append(f"{name} is missing ({argument.description})")
            elif isinstance(argument, Whole) and argument.default is not None:
                found[name] = argument.default
            continue
        try:
            found[name] = argument.check(value)
        except InputError as error:
            problems.append(f"{name} {error}")
    if problems:
        raise InputError("; ".join(problems))
    return found
