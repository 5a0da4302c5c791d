"""Pydantic's errors in our words: what is wrong, and what to write."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from config.errors import Place
from config.shape import known_keys, section_of
from config.types import Section

_WORDS: Mapping[str, tuple[str, str]] = {
    "string_type": ("must be text", "put the value in quotes"),
    "int_type": ("must be a whole number", "write digits without quotes"),
    "int_parsing": ("must be a whole number", "write digits without quotes"),
    "int_from_float": ("must be a whole number", "write digits without a point"),
    "int_parsing_size": ("is too large a number", "write a smaller one"),
    "bool_type": ("must be true or false", "write one of the two"),
    "bool_parsing": ("must be true or false", "write one of the two"),
    "tuple_type": ("must be a list", "write [a, b], or one '- item' a line"),
    "dict_type": ("must be a mapping", "write one 'name: value' a line"),
    "model_type": ("must be a section", "write its keys below it, indented"),
    "model_attributes_type": ("must be a section", "write its keys below it, indented"),
    "path_type": ("must be a path", "put the value in quotes"),
}


def section_at(root: type[Section], place: Place) -> type[Section] | None:
    """The section whose keys stand at ``place``, or None where that is no section."""
    section: type[Section] | None = root
    for part in place:
        if section is None:
            return None
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part)
        section = None if field is None else section_of(field.annotation)
    return section


def nearest(word: str, known: list[str]) -> str:
    """``did you mean …?`` or an empty text."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""


def explain(error: ErrorDetails, root: type[Section]) -> tuple[str, str]:
    """Return reason and remedy. Neither holds the value that was given."""
    kind = error["type"]
    place: Place = error["loc"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "value_error":
        reason, _, remedy = str(context["error"]).partition("; ")
        return reason, remedy
    if kind == "missing":
        return "is missing", _how_to_add(root, place)
    if kind == "extra_forbidden":
        return "is no key of this section", _what_instead(root, place)
    if kind == "literal_error":
        expected = str(context["expected"])
        given = error["input"]
        choices = [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")]
        hint = nearest(given, choices) if isinstance(given, str) else ""
        return f"must be {expected}", hint or (
            f"write {expected}" if len(choices) == 1 else "write one of these"
        )
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context["ge"] if "ge" in context else context["le"]
        side = "least" if "ge" in context else "most"
        return f"must be at {side} {bound}", "write a number within the bounds"
    if kind == "too_short":
        return "must not be empty", "name at least one, or remove the key"
    if kind.startswith("url_"):
        return "is not a URL of http or https", "write for example http://127.0.0.1:9090"
    return error["msg"], "see docs/configuration.md"


def _how_to_add(root: type[Section], place: Place) -> str:
    section = section_at(root, place[:-1])
    field = None if section is None else section.model_fields.get(str(place[-1]))
    said = "" if field is None or field.description is None else f" ({field.description.rstrip('.')})"
    return f"add {place[-1]}:{said}"


def _what_instead(root: type[Section], place: Place) -> str:
    section = section_at(root, place[:-1])
    if section is None:
        return "remove it"
    keys = known_keys(section)
    return nearest(str(place[-1]), keys) or f"remove it, or use one of: {', '.join(keys)}"
