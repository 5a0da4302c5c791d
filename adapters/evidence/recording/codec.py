"""Evidence as JSON and back, exactly: times in whole microseconds since 1970, numbers as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.evidence import (
    Change,
    Evidence,
    EvidenceStatus,
    LogLine,
    Samples,
    Series,
    TraceSpan,
    Window,
)
from bot.domain.ids import Digest, EvidenceId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_TEXTS = ("source", "kind", "query", "summary", "subject", "excerpt", "link", "reason", "manual")


def to_micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICRO


def from_micros(micros: int) -> datetime:
    return _EPOCH + micros * _MICRO


def window_to_json(window: Window) -> list[int]:
    return [to_micros(window.start), to_micros(window.end)]


def evidence_to_json(evidence: Evidence) -> dict[str, Any]:
    """Without the id, which gathering gives. Raises TypeError, ValueError or AttributeError for evidence
    that is malformed."""
    made: dict[str, Any] = {name: getattr(evidence, name) for name in _TEXTS}
    made["status"] = evidence.status.value
    made["window"] = window_to_json(evidence.window)
    made["taken_at"] = to_micros(evidence.taken_at)
    made["content_digest"] = evidence.content_digest
    made["outsider_writable"] = evidence.outsider_writable
    made["series"] = [
        {
            "name": one.name,
            "labels": dict(one.labels),
            "samples": [[to_micros(at), value] for at, value in zip(one.times, one.values, strict=True)],
        }
        for one in evidence.series
    ]
    made["lines"] = [
        [None if line.at is None else to_micros(line.at), line.text, dict(line.labels)]
        for line in evidence.lines
    ]
    made["records"] = [dict(record) for record in evidence.records]
    made["spans"] = [_fields(span) for span in evidence.spans]
    made["changes"] = [_fields(change) for change in evidence.changes]
    made["objects"] = [dict(one) for one in evidence.objects]
    return {name: value for name, value in made.items() if value not in (None, "", [], False)}


def evidence_from_json(made: Mapping[str, Any]) -> Evidence:
    """Raises KeyError, TypeError or ValueError for what :func:`evidence_to_json` did not make."""
    start, end = made["window"]
    digest = made.get("content_digest")
    return Evidence(
        id=EvidenceId("ev_recorded"),
        source=made["source"],
        kind=made["kind"],
        query=made.get("query", ""),
        window=Window(start=from_micros(start), end=from_micros(end)),
        taken_at=from_micros(made["taken_at"]),
        status=EvidenceStatus(made["status"]),
        summary=made.get("summary", ""),
        subject=made.get("subject", ""),
        excerpt=made.get("excerpt", ""),
        content_digest=None if digest is None else Digest(digest),
        link=made.get("link"),
        reason=made.get("reason"),
        manual=made.get("manual"),
        outsider_writable=made.get("outsider_writable", False),
        series=tuple(_series(one) for one in made.get("series", ())),
        lines=tuple(
            LogLine(at=None if at is None else from_micros(at), text=text, labels=labels)
            for at, text, labels in made.get("lines", ())
        ),
        records=tuple(made.get("records", ())),
        spans=tuple(
            TraceSpan(**{**span, "start": from_micros(span["start"])}) for span in made.get("spans", ())
        ),
        changes=tuple(
            Change(**{**change, "at": from_micros(change["at"]), "files": tuple(change["files"])})
            for change in made.get("changes", ())
        ),
        objects=tuple(made.get("objects", ())),
    )


def _series(made: Mapping[str, Any]) -> Series:
    pairs = made["samples"]
    samples = Samples(tuple([from_micros(at) for at, _ in pairs]), tuple([value for _, value in pairs]))
    return Series(name=made["name"], labels=made["labels"], samples=samples)


def _fields(noun: TraceSpan | Change) -> dict[str, Any]:
    made = {}
    for field in fields(noun):
        value = getattr(noun, field.name)
        if isinstance(value, datetime):
            value = to_micros(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        made[field.name] = list(value) if isinstance(value, tuple) else value
    return made
