"""Read parsed JSON that another system wrote: the expected shape, or a sentence about what is not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.evidence.json_api import Refused


class Malformed(Refused):
    """An answer that does not have the shape its API documents."""


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"answered with {what} that is no object")
    return value


def listing(value: Any, what: str) -> list[Mapping[str, Any]]:
    """A list of objects."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Malformed(f"answered with {what} that are no list of objects")
    return value


def text(holder: Mapping[str, Any], key: str, what: str) -> str:
    """A text or a number that must be there, as text."""
    value = holder.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Malformed(f"answered with {what} without {key}")
    return str(value)


def optional(holder: Mapping[str, Any], *path: str) -> str:
    """The text at the end of the path; "" where there is none."""
    value: Any = holder
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def moment(holder: Mapping[str, Any], key: str, what: str) -> datetime:
    """A time that must be there: RFC 3339, or with an offset without colon, as Jira and TeamCity write it."""
    found = optional_moment(holder, key)
    if found is None:
        raise Malformed(f"answered with {what} without a readable {key}")
    return found


def optional_moment(holder: Mapping[str, Any], *path: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(optional(holder, *path))
    except ValueError:
        return None
    return None if found.tzinfo is None else found.astimezone(UTC)
