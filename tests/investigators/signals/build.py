"""Worlds of series, spans and lines in a few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.evidence.build import answered
from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.evidence import Evidence, LogLine, Sample, Series, TraceSpan, Window
from investigators.queries import GraphQuery, LogQuery, Query, SpanQuery, SurveyQuery
from investigators.world.building import build_world
from investigators.world.world import World

ONSET = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW = ONSET + timedelta(minutes=5)
HOUR = Window(start=ONSET - timedelta(hours=1), end=NOW)
MINUTE = timedelta(minutes=1)


def evidence(query: Query, source: str = "world", **content: Any) -> Evidence:
    return answered(
        source=source, kind=query.kind, query=query.kind, window=HOUR, taken_at=NOW, summary="x", subject="x",
        excerpt="x", **content,
    )  # fmt: skip


def series(name: str, values: Sequence[float], *, start: datetime | None = None, **labels: str) -> Series:
    """A value a minute, of which the last is just before the end of the investigation's time."""
    begin = start or NOW - MINUTE * len(values)
    samples = tuple(Sample(at=begin + MINUTE * i, value=float(v)) for i, v in enumerate(values))
    return Series(name=name, labels=labels, samples=samples)


def shifted(name: str, before: float, after: float, **labels: str) -> Series:
    """An hour of slightly wobbling normal, then five minutes of something else."""
    usual = [before * (1 + 0.01 * (i % 3)) for i in range(55)]
    return series(name, [*usual, *([after] * 5)], **labels)


def span(
    trace: str, name: str, service: str, parent: str | None, ms: float, *, at: float = 0.0, op: str = "op"
) -> TraceSpan:
    """``at`` in seconds from the onset."""
    return TraceSpan(
        trace_id=trace,
        span_id=name,
        parent_id=parent,
        service=service,
        operation=op,
        kind="",
        start=ONSET + timedelta(seconds=at),
        duration_ms=ms,
    )


def line(service: str, text: str, span_id: str = "", *, at: float = 0.0, level: str = "info") -> LogLine:
    return LogLine(
        at=ONSET + timedelta(seconds=at),
        text=text,
        labels={"service": service, "level": level, "span_id": span_id},
    )


def told(name: str = "Slow", summary: str = "requests are slow", **labels: str) -> Alert:
    return Alert(
        source="test",
        fingerprint="f",
        status=AlertStatus.FIRING,
        name=name,
        severity=Severity.WARNING,
        labels=labels,
        annotations={"summary": summary},
        starts_at=ONSET,
        received_at=NOW,
    )


def world(
    *,
    alert: Alert | None = None,
    tracks: Iterable[Series] = (),
    healthy_tracks: Iterable[Series] = (),
    spans: Iterable[TraceSpan] = (),
    healthy_spans: Iterable[TraceSpan] = (),
    lines: Iterable[LogLine] = (),
    healthy_lines: Iterable[LogLine] = (),
    edges: Iterable[tuple[str, str]] = (),
    more: Sequence[tuple[Query, Evidence]] = (),
) -> World:
    alert = alert or told(service="front")
    parts: Mapping[Query, Mapping[str, Any]] = {
        SurveyQuery(): {"series": tuple(tracks)},
        SurveyQuery(healthy=True): {"series": tuple(healthy_tracks)},
        SpanQuery(): {"spans": tuple(spans)},
        SpanQuery(healthy=True): {"spans": tuple(healthy_spans)},
        LogQuery(): {"lines": tuple(lines)},
        LogQuery(healthy=True): {"lines": tuple(healthy_lines)},
        GraphQuery(): {
            "records": tuple(
                {"from": a, "to": b, "kind": "calls", "origin": "test", "declared": True} for a, b in edges
            )
        },
    }
    answers = [
        (query, evidence(query, **content)) for query, content in parts.items() if any(content.values())
    ]
    return build_world(NOW, ONSET, (alert,), (), [*answers, *more])
