"""A converted case as a world, straight from its files: for measuring rules by themselves.

Reads only what the converters here write; a real replay goes through the snapshot source.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.evidence import Change, Evidence, EvidenceStatus, LogLine, Sample, Series, TraceSpan, Window
from bot.domain.ids import EvidenceId
from investigators.world.cluster import Cluster
from investigators.world.graph import Edge, Graph
from investigators.world.world import Line, Track, World, index_lines

Row = dict[str, Any]


def load(case: Path) -> World:
    """Never reads ``expected.yaml``."""
    raw = json.loads((case / "alert.json").read_text())
    now = _moment((case / "meta.yaml").read_text().split("now:", 1)[1].strip())
    started = _moment(raw["startsAt"])
    alert = Alert(
        source="snapshot",
        fingerprint=case.name,
        status=AlertStatus.FIRING,
        name=raw["alertname"],
        severity=Severity.CRITICAL,
        labels={**raw["labels"], "alertname": raw["alertname"]},
        annotations={key: raw[key] for key in ("summary", "description") if raw.get(key)},
        starts_at=started,
        received_at=now,
        links={},
    )
    window = Window(start=started, end=now)
    logs = tuple(_log_line(row) for path in sorted((case / "logs").glob("*.jsonl")) for row in _rows(path))
    spans = tuple(_span(row) for path in sorted((case / "spans").glob("*.jsonl")) for row in _rows(path))
    series = tuple(one for path in sorted((case / "metrics").glob("*.csv")) for one in _series(path))
    changes = tuple(_change(row) for row in _rows(case / "changes.jsonl"))
    lines = _evidence("ev-log", "log.lines", window, lines=logs)
    traces = _evidence("ev-trace", "trace.spans", window, spans=spans)
    metrics = _evidence("ev-metric", "metric.survey", window, series=series)
    changed = _evidence("ev-change", "change.list", window, changes=changes)
    read = tuple(_line(line, lines) for line in logs)
    return World(
        now=now,
        onset=started,
        alerts=(alert,),
        subjects=(raw["labels"]["service"],),
        cluster=Cluster.build(()),
        graph=_graph(spans),
        lines=read,
        tracks=tuple(
            Track(
                object=one.labels.get("service", ""),
                object_kind="service",
                pod="",
                series=one,
                evidence=metrics,
            )
            for one in series
        ),
        spans=spans,
        changes=changes,
        asked={one.kind: (one,) for one in (lines, traces, metrics, changed)},
        _lines_by=index_lines(read),
    )


def _evidence(name: str, kind: str, window: Window, **data: Any) -> Evidence:
    return Evidence(
        id=EvidenceId(name),
        source="snapshot",
        kind=kind,
        query=kind,
        window=window,
        taken_at=window.end,
        status=EvidenceStatus.OK if any(data.values()) else EvidenceStatus.EMPTY,
        summary=kind,
        **data,
    )


def _graph(spans: Iterable[TraceSpan]) -> Graph:
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    edges = []
    for span in by_id.values():
        parent = by_id.get((span.trace_id, span.parent_id or ""))
        if parent is not None and parent.service != span.service:
            edges.append(
                Edge(
                    source=parent.service,
                    target=span.service,
                    kind="calls",
                    origin="spans",
                    seen_at=span.start,
                )
            )
    return Graph.build({}, edges)


def _line(line: LogLine, evidence: Evidence) -> Line:
    labels = line.labels
    return Line(
        service=labels.get("service", ""),
        pod=labels.get("pod", ""),
        node=labels.get("node", ""),
        at=line.at,
        text=line.text,
        level=labels.get("level", ""),
        evidence=evidence,
    )


def _log_line(row: Row) -> LogLine:
    own = {key: row[key] for key in ("service", "pod", "node", "level") if row.get(key)}
    return LogLine(at=_moment(row["ts"]), text=row["message"], labels={**row.get("labels", {}), **own})


def _span(row: Row) -> TraceSpan:
    return TraceSpan(
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_id=row.get("parent_id"),
        service=row["service"],
        operation=row["operation"],
        kind=row.get("kind", ""),
        start=_moment(row["start"]),
        duration_ms=float(row["duration_ms"]),
        error=row.get("status") == "error",
        peer=row.get("peer", ""),
        attributes=row.get("attributes", {}),
    )


def _series(path: Path) -> Iterable[Series]:
    found: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            sample = Sample(at=_moment(row["timestamp"]), value=float(row["value"]))
            found[row["metric"], row["service"]].append(sample)
    for (metric, service), samples in found.items():
        yield Series(
            name=metric, labels={"service": service}, samples=tuple(sorted(samples, key=lambda s: s.at))
        )


def _change(row: Row) -> Change:
    return Change(
        id=row["id"],
        kind=row["kind"],
        at=_moment(row["ts"]),
        service=row.get("service", ""),
        title=row.get("title", ""),
        author=row.get("author", ""),
        files=tuple(row.get("files", ())),
        diff=row.get("diff", ""),
        version=row.get("version", ""),
        before=row.get("from", ""),
        after=row.get("to", ""),
    )


def _rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
