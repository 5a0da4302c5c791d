"""What a person sees of an answer at a glance: a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.evidence.build import Record
from bot.domain.clock import to_rfc3339
from bot.domain.evidence import Change, Series

_SHOWN = 20


def shown_series(series: Sequence[Series]) -> str:
    lines = []
    for one in series[:_SHOWN]:
        labels = ",".join(f'{key}="{value}"' for key, value in sorted(one.labels.items()))
        values = one.values
        lines.append(
            f"{one.name}{{{labels}}} first {values[0]:.6g} last {values[-1]:.6g} "
            f"min {min(values):.6g} max {max(values):.6g} ({len(values)} samples)"
        )
    return _more(lines, len(series), "series")


def shown_records(records: Sequence[Record]) -> str:
    lines = [
        " ".join(f"{key}={value}" for key, value in record.items() if value is not None)
        for record in records[:_SHOWN]
    ]
    return _more(lines, len(records), "rows")


def shown_changes(changes: Sequence[Change]) -> str:
    lines = [
        f"{to_rfc3339(change.at)[:19]}Z {change.kind} {change.id} {change.service} {change.title}".rstrip()
        for change in changes[-_SHOWN:]
    ]
    return _more(lines, len(changes), "changes")


def shown_objects(objects: Sequence[Mapping[str, Any]]) -> str:
    return _more([_object(one) for one in objects[:_SHOWN]], len(objects), "objects")


def _object(one: Mapping[str, Any]) -> str:
    metadata = one["metadata"]
    name = "/".join(str(metadata[key]) for key in ("namespace", "name") if metadata.get(key))
    if one.get("kind") == "Event":
        about = one.get("involvedObject") or one.get("regarding") or {}
        note = one.get("message") or one.get("note") or ""
        name = f"{about.get('kind', '')} {about.get('name', '')}: {one.get('reason', '')}: {note}"
    status = one.get("status")
    phase = status.get("phase") if isinstance(status, Mapping) else None
    return f"{one.get('kind')} {name}" + (f" {phase}" if phase else "")


def _more(lines: list[str], total: int, what: str) -> str:
    if total > len(lines):
        lines.append(f"… and {total - len(lines)} more {what}")
    return "\n".join(lines)
