"""Seq's events as entries; anything malformed raises Malformed with where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.evidence.entries import Entry, nanoseconds
from adapters.evidence.http import Malformed
from adapters.evidence.texts import MAX_LINE

_RESOURCE = "@Resource."


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Events, newest first as Seq gives them. ``last_id`` is where the next page goes on; ``complete`` False:
    the server stopped looking before it had them all."""

    entries: tuple[Entry, ...]
    last_id: str | None
    complete: bool


def parse_page(body: Any, properties: Mapping[str, str]) -> Page:
    """A result set; ``properties`` maps the labels we know to Seq's. Raises Malformed."""
    events = body.get("Events") if isinstance(body, dict) else None
    statistics = body.get("Statistics") if isinstance(body, dict) else None
    if not isinstance(events, list) or not isinstance(statistics, dict):
        raise Malformed("no Events or no Statistics")
    entries = []
    last_id = statistics.get("LastReadEventId")
    for number, event in enumerate(events, 1):
        if not isinstance(event, dict) or not isinstance(event.get("Id"), str):
            raise Malformed(f"event {number} has no Id")
        entries.append(_entry(event, number, properties))
    if not isinstance(last_id, str):
        last_id = events[-1]["Id"] if events else None
    return Page(entries=tuple(entries), last_id=last_id, complete=statistics.get("Status") != "Partial")


def _entry(event: Mapping[str, Any], number: int, properties: Mapping[str, str]) -> Entry:
    try:
        at = datetime.fromisoformat(str(event["Timestamp"]))
    except (KeyError, ValueError):
        raise Malformed(f"event {number} has no readable Timestamp") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    parts = (event.get("RenderedMessage"), event.get("Exception"))
    text = "\n".join(part[: 2 * MAX_LINE] for part in parts if isinstance(part, str) and part)
    own = _named(event.get("Properties"))
    resource = _named(event.get("Resource"))
    labels: dict[str, str] = {}
    for known, place in properties.items():
        if place.startswith(_RESOURCE):
            value = _at(resource, place.removeprefix(_RESOURCE))
        else:
            value = _at(own, place)
        if value is not None:
            labels[known] = value
    # Seq leaves the level out of what is only information.
    labels["level"] = str(event.get("Level") or "Information")
    return Entry(
        at=nanoseconds(at), text=text, labels=tuple(labels.items()), stream=tuple(labels.items())[:-1]
    )


def _named(parts: Any) -> dict[str, Any]:
    if not isinstance(parts, list):
        return {}
    return {
        str(part["Name"]): part.get("Value") for part in parts if isinstance(part, dict) and "Name" in part
    }


def _at(values: Mapping[str, Any], path: str) -> str | None:
    """The value at a path of names; a name may hold the dots itself, as OpenTelemetry's do."""
    if path in values:
        value = values[path]
        return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    head, _, rest = path.partition(".")
    inner = values.get(head)
    return _at(inner, rest) if rest and isinstance(inner, dict) else None
