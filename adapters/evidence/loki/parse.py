"""Loki's JSON as entries; anything malformed raises Malformed with where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.evidence.entries import Entry
from adapters.evidence.http import Malformed
from adapters.evidence.texts import MAX_LINE

_LEVELS = ("detected_level", "level", "severity")
"""Where a level stands when not under the configured name."""


def parse_streams(body: Any, names: Mapping[str, str]) -> list[Entry]:
    """Entries of a ``streams`` result; ``names`` maps the labels we know to Loki's. Raises Malformed."""
    if not isinstance(body, dict) or body.get("status") != "success":
        raise Malformed("no status success")
    data = body.get("data")
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(data, dict) or data.get("resultType") != "streams" or not isinstance(result, list):
        raise Malformed("the result is not a list of streams")
    entries: list[Entry] = []
    for number, item in enumerate(result, 1):
        stream = item.get("stream") if isinstance(item, dict) else None
        values = item.get("values") if isinstance(item, dict) else None
        if not isinstance(stream, dict) or not isinstance(values, list):
            raise Malformed(f"stream {number} has no labels or no values")
        key = tuple(sorted((str(name), str(value)) for name, value in stream.items()))
        own = _known(stream, names)
        for value in values:
            try:
                at, text = int(value[0]), value[1]
            except (TypeError, ValueError, IndexError):
                raise Malformed(f"stream {number}: an entry is not a [time, text] pair") from None
            if not isinstance(text, str):
                raise Malformed(f"stream {number}: an entry is not text")
            labels = _known({**stream, **extra}, names) if (extra := _extra(value)) else own
            entries.append(Entry(at=at, text=text[: 2 * MAX_LINE], labels=labels, stream=key))
    return entries


def warnings_of(body: Any) -> list[str]:
    """What Loki says of an answer that is not all it should be."""
    warnings = body.get("warnings") if isinstance(body, dict) else None
    return [str(one) for one in warnings] if isinstance(warnings, list) else []


def _extra(value: Any) -> dict[str, Any]:
    """Structured metadata of one entry, as Loki 3 sends it when asked to keep it apart."""
    parts = value[2] if len(value) > 2 and isinstance(value[2], dict) else {}
    metadata = parts.get("structuredMetadata")
    return metadata if isinstance(metadata, dict) else {}


def _known(labels: Mapping[str, Any], names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = {known: str(labels[name]) for known, name in names.items() if labels.get(name)}
    if "level" not in found:
        level = next((str(labels[name]) for name in _LEVELS if labels.get(name)), "")
        if level:
            found["level"] = level
    return tuple(found.items())
