"""Small worlds: objects, log lines, series and spans around one incident, and what is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from bot.domain.evidence import (
    Change,
    Evidence,
    EvidenceStatus,
    Fact,
    FactVerdict,
    Sample,
    Series,
    TraceSpan,
    Window,
)
from bot.domain.ids import EvidenceId
from investigators.facts.platform.catalogue import WORLD_RULES
from investigators.world.cluster import Cluster
from investigators.world.graph import Edge, Graph
from investigators.world.world import Line, Track, World, index_lines
from tests.investigators.platform.objects import NOW, Object

ONSET = NOW - timedelta(minutes=10)
WINDOW = Window(start=NOW - timedelta(hours=1), end=NOW)

EVERY = (
    "Pod", "Deployment", "StatefulSet", "DaemonSet", "Service", "Endpoints", "EndpointSlice", "NetworkPolicy",
    "Namespace", "Ingress", "IngressClass", "Node", "Event", "HorizontalPodAutoscaler", "Lease",
)  # fmt: skip
"""What a cluster is asked for in these worlds, unless a test says that it failed."""


def evidence(kind: str, ident: str, *, failed: str = "", cut: str = "", empty: bool = False) -> Evidence:
    status = EvidenceStatus.FAILED if failed else EvidenceStatus.EMPTY if empty else EvidenceStatus.OK
    return Evidence(
        id=EvidenceId(ident),
        source="test",
        kind=kind,
        query=ident,
        window=WINDOW,
        taken_at=NOW,
        status=status,
        summary=ident,
        reason=failed or cut or ("there is none" if empty else None),
    )


def line(text: str, *, minutes: float = 5, service: str = "", pod: str = "", node: str = "") -> Line:
    return Line(
        service=service,
        pod=pod,
        node=node,
        at=NOW - timedelta(minutes=minutes),
        text=text,
        level="error",
        evidence=evidence("log.lines", "logs"),
    )


def track(
    metric: str,
    values: Sequence[float],
    object: str,
    *,
    kind: str = "service",
    pod: str = "",
    step: float = 60,
    **labels: str,
) -> Track:
    """A series that ends now."""
    count = len(values)
    samples = tuple(
        Sample(at=NOW - timedelta(seconds=step * (count - 1 - index)), value=float(value))
        for index, value in enumerate(values)
    )
    return Track(
        object=object,
        object_kind=kind,
        pod=pod,
        series=Series(name=metric, labels=labels, samples=samples),
        evidence=evidence("metric.survey", "series"),
    )


def counter(before: float, after: float, *, samples: int = 60, since: int = 12) -> list[float]:
    """A counter's readings a minute apart: so much a second before the trouble, so much after it began."""
    total, found = 1000.0, []
    for index in range(samples):
        found.append(total)
        total += 60 * (before if index < samples - since else after)
    return found


def step(before: float, after: float, *, samples: int = 60, since: int = 12) -> list[float]:
    """A gauge that changed ``since`` samples ago."""
    return [before if index < samples - since else after for index in range(samples)]


def span(
    trace: str,
    ident: str,
    name: str,
    *,
    parent: str | None = None,
    kind: str = "server",
    ms: float = 10,
    minutes: float = 5,
    error: bool = False,
    peer: str = "",
) -> TraceSpan:
    return TraceSpan(
        trace_id=trace, span_id=ident, parent_id=parent, service=name, operation="GET /", kind=kind,
        start=NOW - timedelta(minutes=minutes), duration_ms=ms, error=error, peer=peer,
    )  # fmt: skip


def call(
    caller: str,
    callee: str,
    *,
    client: float,
    server: float,
    count: int = 10,
    error: bool = False,
    mark: str = "",
) -> list[TraceSpan]:
    """Traces in which one service calls another, with the time each of them measured."""
    found = []
    for index in range(count):
        trace = f"{mark}{caller}-{callee}-{index}"
        found.append(span(trace, "c", caller, kind="client", ms=client, error=error))
        found.append(span(trace, "s", callee, parent="c", ms=server, error=error))
    return found


def world(
    *objects: Object | list[Object],
    logs: Mapping[str, Sequence[str]] | None = None,
    lines: Iterable[Line] = (),
    healthy_logs: Mapping[str, Sequence[str]] | None = None,
    failed: Sequence[str] = (),
    log_cut: str = "",
    asked: Sequence[str] = (),
    tracks: Sequence[Track] = (),
    healthy_tracks: Sequence[Track] = (),
    spans: Sequence[TraceSpan] = (),
    healthy_spans: Sequence[TraceSpan] = (),
    edges: Sequence[tuple[str, str]] = (),
    kinds: Mapping[str, str] | None = None,
    subjects: Sequence[str] = ("cart",),
    changes: Sequence[Change] = (),
) -> World:
    """``failed`` are object kinds whose list failed; ``logs`` are lines of five minutes ago by service."""
    every = [one for item in objects for one in (item if isinstance(item, list) else [item])]
    by_kind: dict[str, list[Object]] = {kind: [] for kind in (*EVERY, *asked)}
    for one in every:
        by_kind.setdefault(one["kind"], []).append(one)
    answers = []
    for kind, found in by_kind.items():
        if kind in failed:
            answers.append((kind, evidence("kubernetes.objects", kind, failed="403 may not list")))
        elif not found:
            answers.append((kind, evidence("kubernetes.objects", kind, empty=True)))
        else:
            base = evidence("kubernetes.objects", kind)
            answers.append((kind, _with(base, objects=tuple(found))))
    text = evidence("log.lines", "logs", cut=log_cut)
    made = [_line(one, name, text, 5) for name, texts in (logs or {}).items() for one in texts]
    made += [_with_evidence(one, text) for one in lines]
    healthy = [
        _line(one, name, text, 5 + index) for name, texts in (healthy_logs or {}).items()
        for index, one in enumerate(texts)
    ]  # fmt: skip
    graph = Graph.build(
        kinds or {}, [Edge(source=a, target=b, kind="calls", origin="spans", seen_at=NOW) for a, b in edges]
    )
    return World(
        now=NOW,
        onset=ONSET,
        alerts=(),
        subjects=tuple(subjects),
        cluster=Cluster.build(answers) if objects or failed else Cluster(),
        graph=graph,
        lines=tuple(made),
        healthy_lines=tuple(healthy),
        tracks=tuple(tracks),
        healthy_tracks=tuple(healthy_tracks),
        spans=tuple(spans),
        healthy_spans=tuple(healthy_spans),
        changes=tuple(changes),
        asked={
            "log.lines": (text,),
            "metric.survey": (evidence("metric.survey", "series", empty=not tracks),),
            "trace.spans": (evidence("trace.spans", "spans", empty=not spans),),
        },
        _lines_by=index_lines(made),
    )


def _line(text: str, name: str, source: Evidence, minutes: float) -> Line:
    return _with_evidence(line(text, service=name, minutes=minutes), source)


def _with_evidence(one: Line, source: Evidence) -> Line:
    return Line(
        service=one.service,
        pod=one.pod,
        node=one.node,
        at=one.at,
        text=one.text,
        level=one.level,
        evidence=source,
    )


def _with(base: Evidence, **parts: Any) -> Evidence:
    fields = {name: getattr(base, name) for name in Evidence.__dataclass_fields__}
    return Evidence(**{**fields, **parts})


def facts(of: World) -> list[Fact]:
    """What all platform rules together make of a world."""
    return [fact for rule in WORLD_RULES for fact in rule.check(of)]


def found(of: World, kind: str) -> dict[tuple[str, str], Fact]:
    """Found facts of a kind, the surest, by (subject kind, subject)."""
    best: dict[tuple[str, str], Fact] = {}
    for fact in facts(of):
        key = (fact.subject_kind, fact.subject)
        hit = fact.kind == kind and fact.verdict is FactVerdict.FOUND
        if hit and (key not in best or best[key].confidence < fact.confidence):
            best[key] = fact
    return best


def verdicts(of: World, kind: str, subject: str) -> set[FactVerdict]:
    return {fact.verdict for fact in facts(of) if fact.kind == kind and fact.subject == subject}
