"""Invented incidents (``incidents/*.yaml``): a few lines of log, some series, and changes with their diffs,
made into a world. Minutes count back from the alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.evidence import Change, Evidence, EvidenceStatus, LogLine, Sample, Series, TraceSpan, Window
from bot.domain.ids import EvidenceId
from investigators.world.cluster import Cluster
from investigators.world.graph import Edge, Graph
from investigators.world.world import Line, Track, World, index_lines

ONSET = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW = ONSET + timedelta(minutes=10)
BEGAN = 5.0
"""Minutes before the alert at which an invented fault shows its first sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """``count`` lines of a service, the first ``before`` minutes before the alert, spread over the rest; each
    ``{n}`` in the text is the line's number."""

    service: str
    text: str
    level: str = "error"
    count: int = 12
    before: float = BEGAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A series that stood at ``usual`` and, ``before`` minutes before the alert, went to ``now``: at once, or
    (``slowly``) in a line."""

    service: str
    name: str
    usual: float
    now: float
    before: float = BEGAN
    slowly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """``culprit`` None: no change is to blame."""

    name: str
    service: str
    alert: str
    logs: Sequence[Log]
    changes: Sequence[Change]
    culprit: str | None
    metrics: Sequence[Metric] = ()
    calls: Sequence[tuple[str, str]] = ()
    spans: Sequence[TraceSpan] = ()


def change(
    name: str,
    minutes: float,
    files: str = "",
    diff: str = "",
    *,
    service: str = "",
    title: str = "",
    kind: str = "",
) -> Change:
    """A change ``minutes`` before the alert; with a service it was deployed then."""
    return Change(
        id=name,
        kind=kind or ("deploy" if service else "commit"),
        at=ONSET - timedelta(minutes=minutes),
        service=service,
        title=title,
        files=tuple(files.split()),
        diff=diff,
    )


def everyday() -> tuple[Change, ...]:
    """A morning's changes that break nothing, some of them near what often breaks."""
    return tuple(_change(row) for row in _rows("everyday"))


def incidents(name: str) -> list[Incident]:
    """One set, each incident with the changes of every day among its own."""
    return [
        Incident(
            name=row["name"],
            service=row["service"],
            alert=row["alert"],
            culprit=row["culprit"],
            logs=[Log(**log) for log in row["logs"]],
            metrics=[Metric(**metric) for metric in row.get("metrics", ())],
            calls=[(caller, callee) for caller, callee in row.get("calls", ())],
            changes=[*(_change(one) for one in row["changes"]), *everyday()],
        )
        for row in _rows(name)
    ]


def _rows(name: str) -> list[Any]:
    path = Path(__file__).with_name("incidents") / f"{name}.yaml"
    rows = yaml.safe_load(path.read_text())
    assert isinstance(rows, list)
    return rows


def _change(row: dict[str, Any]) -> Change:
    own = change(
        row["id"],
        row["before"],
        " ".join(row.get("files", ())),
        row.get("diff", ""),
        service=row.get("service", ""),
        title=row.get("title", ""),
        kind=row.get("kind", ""),
    )
    return replace(own, before=row.get("from", ""), after=row.get("to", ""))


def world(incident: Incident, *, asked: Sequence[Evidence] = ()) -> World:
    start = ONSET - timedelta(hours=4)
    window = Window(start=start, end=NOW)
    services = [
        incident.service,
        *(log.service for log in incident.logs),
        *(m.service for m in incident.metrics),
    ]
    quiet = [
        LogLine(
            at=start + timedelta(minutes=15 * i),
            text="request handled",
            labels={"service": name, "level": "info"},
        )
        for name in dict.fromkeys(services)
        for i in range(15)
    ]
    lines = tuple(quiet + [line for log in incident.logs for line in _lines(log)])
    series = tuple(_series(metric, start) for metric in incident.metrics)
    logs = evidence("ev-log", "log.lines", window, lines=lines)
    metrics = evidence("ev-metric", "metric.survey", window, series=series)
    spans = evidence("ev-trace", "trace.spans", window, spans=tuple(incident.spans))
    changed = evidence("ev-change", "change.list", window, changes=tuple(incident.changes))
    read = tuple(
        Line(
            service=line.labels["service"],
            pod="",
            node="",
            at=line.at,
            text=line.text,
            level=line.labels["level"],
            evidence=logs,
        )
        for line in lines
    )
    return World(
        now=NOW,
        onset=ONSET,
        alerts=(_alert(incident),),
        subjects=(incident.service,),
        cluster=Cluster.build(()),
        graph=Graph.build(
            {},
            [
                Edge(source=a, target=b, kind="calls", origin="spans", seen_at=ONSET)
                for a, b in incident.calls
            ],
        ),
        lines=read,
        tracks=tuple(
            Track(object=one.labels["service"], object_kind="service", pod="", series=one, evidence=metrics)
            for one in series
        ),
        spans=tuple(incident.spans),
        changes=tuple(incident.changes),
        asked={one.kind: (one,) for one in (logs, metrics, spans, changed, *asked)},
        _lines_by=index_lines(read),
    )


def evidence(name: str, kind: str, window: Window, **data: Any) -> Evidence:
    return Evidence(
        id=EvidenceId(name),
        source="test",
        kind=kind,
        query=kind,
        window=window,
        taken_at=NOW,
        status=EvidenceStatus.OK if any(data.values()) else EvidenceStatus.EMPTY,
        summary=kind,
        **data,
    )


def _lines(log: Log) -> list[LogLine]:
    first = ONSET - timedelta(minutes=log.before)
    step = (NOW - first) / (log.count + 1)
    return [
        LogLine(
            at=first + step * i,
            text=log.text.replace("{n}", str(1000 + 37 * i)),
            labels={"service": log.service, "level": log.level},
        )
        for i in range(log.count)
    ]


def _series(metric: Metric, start: datetime) -> Series:
    samples = []
    turn = ONSET - timedelta(minutes=metric.before)
    minutes = int((NOW - start).total_seconds() // 60)
    for minute in range(minutes):
        at = start + timedelta(minutes=minute)
        wobble = metric.usual * 0.02 * ((minute * 7) % 5 - 2)
        if at < turn:
            value = metric.usual + wobble
        elif metric.slowly:
            value = metric.usual + (metric.now - metric.usual) * ((at - turn) / (NOW - turn)) + wobble
        else:
            value = metric.now + wobble
        samples.append(Sample(at=at, value=value))
    return Series(name=metric.name, labels={"service": metric.service}, samples=tuple(samples))


def _alert(incident: Incident) -> Alert:
    return Alert(
        source="test",
        fingerprint=incident.name,
        status=AlertStatus.FIRING,
        name=f"{incident.service} alert",
        severity=Severity.CRITICAL,
        labels={"service": incident.service},
        annotations={"summary": incident.alert},
        starts_at=ONSET,
        received_at=NOW,
        links={},
    )
