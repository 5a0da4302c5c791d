"""What to ask, decided before anything is asked: a pure function of the case and its entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.domain.evidence import Window
from investigators.entities import Entity, host_matchers
from investigators.expression import alert_expression, split_threshold
from investigators.ports import Case, Matcher, MatchOp, MetricQuery

RECENT = timedelta(minutes=5)
"""The close look, at a second per point, where a fault that is seconds old shows."""
_RECENT_POINTS = 300
_POINTS = 240
_MAX_WINDOW = timedelta(hours=24)
_DAY = timedelta(days=1)
_DAYS = 14
"""Prometheus keeps fifteen by default."""
_IN_A_CLUSTER = ("namespace", "exported_namespace", "kubernetes_namespace", "pod")
CLUSTER_METRICS = (
    "kube_node_status_condition", "kube_node_info", "kube_pod_status_phase",
    "kube_pod_container_status_waiting_reason", "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes", "node_cpu_seconds_total", "ALERTS",
)  # fmt: skip
_REAL_FILESYSTEMS = Matcher(
    label="fstype",
    op=MatchOp.NOT_REGEX,
    value="tmpfs|ramfs|overlay|squashfs|devtmpfs|nsfs|iso9660|autofs|fuse.*",
)


class Span(StrEnum):
    """Which of the two looks an answer belongs to."""

    LONG = "long"
    RECENT = "recent"


class Scope(StrEnum):
    """Whose series: the entity's own, those of its job, those of its machine, or everybody's."""

    OWN = "own"
    PEERS = "peers"
    MACHINE = "machine"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeAsk:
    query: MetricQuery
    window: Window
    step: timedelta
    subject: str
    scope: Scope
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class InstantAsk:
    query: MetricQuery
    at: datetime
    subject: str
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionAsk:
    """The alert's own expression as it stands, or (``bare``) without its threshold."""

    promql: str
    window: Window
    step: timedelta
    subject: str
    bare: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveAsk:
    """The quantity that the alert's expression compares, over the long look: when did it change?"""

    promql: str
    window: Window
    step: timedelta
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SameHourAsk:
    """The same quantity at this time of the earlier days: is it ever otherwise?"""

    promql: str
    window: Window
    step: timedelta
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsAsk:
    matchers: tuple[Matcher, ...]
    at: datetime
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesAsk:
    name: str
    at: datetime
    subject: str


class HostPart(StrEnum):
    """A method of the HostSource port."""

    PROCESSES = "processes"
    RESOURCES = "resources"
    DISKS = "disks"
    PORTS = "ports"
    LOG = "log"
    EXITS = "exits"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAsk:
    part: HostPart
    window: Window
    subject: str


MetricAsk = RangeAsk | InstantAsk | ExpressionAsk | CurveAsk | SameHourAsk | TargetsAsk | RulesAsk
Ask = MetricAsk | HostAsk


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``metrics`` go to every metric source, ``host`` to the host sources that cover the entity."""

    window: Window
    metrics: tuple[MetricAsk, ...]
    host: tuple[HostAsk, ...]


def make_plan(case: Case, entities: Sequence[Entity], lookback: timedelta) -> Plan:
    """The questions for these entities; the same question is asked once."""
    onset = min((entity.onset for entity in entities), default=case.now)
    window = Window(start=max(onset - lookback, case.now - _MAX_WINDOW), end=case.now)
    metrics: dict[MetricAsk, None] = {}
    host: dict[HostAsk, None] = {}
    for entity in entities:
        metrics.update(dict.fromkeys(_metric_asks(entity, window)))
        if entity.host_queries:
            host.update(dict.fromkeys(_host_asks(entity, window)))
    return Plan(window=window, metrics=tuple(metrics), host=tuple(host))


def _metric_asks(entity: Entity, window: Window) -> list[MetricAsk]:
    recent = Window(start=max(window.start, window.end - RECENT), end=window.end)
    asks: list[MetricAsk] = []
    asks += _alert_asks(entity, recent)
    asks += _curve_asks(entity, window)
    asks += _process_asks(entity, window, recent)
    if entity.host is not None:
        asks += _machine_asks(entity, window, recent)
    if entity.peers:
        asks += _peer_asks(entity, recent)
    if any(entity.labels.get(label) for label in _IN_A_CLUSTER):
        asks += _cluster_asks(entity, recent)
    return asks


def _alert_asks(entity: Entity, window: Window) -> list[MetricAsk]:
    """Over the close look: on a coarse grid, a condition that holds for seconds would seem to be over."""
    asks: list[MetricAsk] = []
    for alert in entity.alerts[:3]:
        asks.append(RulesAsk(name=alert.name, at=window.end, subject=entity.subject))
        promql = alert_expression(alert)
        if promql is None:
            continue
        step = _step(window, _RECENT_POINTS)
        asks.append(
            ExpressionAsk(promql=promql, window=window, step=step, subject=entity.subject, bare=False)
        )
        threshold = split_threshold(promql)
        if threshold is not None:
            asks.append(
                ExpressionAsk(
                    promql=threshold.quantity, window=window, step=step, subject=entity.subject, bare=True
                )
            )
    return asks


def _curve_asks(entity: Entity, window: Window) -> list[MetricAsk]:
    thresholds = [split_threshold(alert_expression(alert) or "") for alert in entity.alerts[:3]]
    step = _step(window, _POINTS)
    earlier = Window(start=window.end - _DAYS * _DAY, end=window.end - _DAY)
    asks: list[MetricAsk] = []
    for one in thresholds:
        if one is not None:
            asks += [
                CurveAsk(promql=one.quantity, window=window, step=step, subject=entity.subject),
                SameHourAsk(promql=one.quantity, window=earlier, step=_DAY, subject=entity.subject),
            ]
    return asks


def _process_asks(entity: Entity, window: Window, recent: Window) -> list[MetricAsk]:
    if not entity.selectors:
        return []

    def ask(metric: str, span: Span, function: str | None = None) -> RangeAsk:
        look = window if span is Span.LONG else recent
        step = _step(look, _POINTS if span is Span.LONG else _RECENT_POINTS)
        over = max(timedelta(minutes=1), 4 * step) if function else None
        return RangeAsk(
            query=MetricQuery(metric=metric, matchers=entity.selectors, function=function, over=over),
            window=look,
            step=step,
            subject=entity.subject,
            scope=Scope.OWN,
            span=span,
        )

    asks: list[MetricAsk] = [
        TargetsAsk(matchers=entity.selectors, at=window.end, subject=entity.subject),
        ask("up", Span.LONG),
        ask("scrape_duration_seconds", Span.RECENT),
        InstantAsk(
            query=MetricQuery(metric="up", matchers=entity.selectors),
            at=window.end,
            subject=entity.subject,
            scope=Scope.OWN,
        ),
    ]
    if not entity.machine:
        asks += [
            ask("process_resident_memory_bytes", Span.LONG),
            ask("process_resident_memory_bytes", Span.RECENT),
            ask("process_cpu_seconds_total", Span.LONG, "rate"),
            ask("process_cpu_seconds_total", Span.RECENT),
            ask("process_start_time_seconds", Span.LONG),
            ask("process_open_fds", Span.RECENT),
            ask("process_max_fds", Span.RECENT),
        ]
    return asks


def _machine_asks(entity: Entity, window: Window, recent: Window) -> list[MetricAsk]:
    assert entity.host is not None
    matchers = host_matchers(entity.host)

    def ask(query: MetricQuery, span: Span) -> RangeAsk:
        look = window if span is Span.LONG else recent
        step = _step(look, _POINTS if span is Span.LONG else _RECENT_POINTS)
        return RangeAsk(
            query=query,
            window=look,
            step=step,
            subject=entity.host or "",
            scope=Scope.MACHINE,
            span=span,
        )

    disks = (*matchers, _REAL_FILESYSTEMS)
    if entity.labels.get("mountpoint"):
        mount = Matcher(label="mountpoint", op=MatchOp.EQUAL, value=entity.labels["mountpoint"])
        disks = (*matchers, mount)
    idle = MetricQuery(
        metric="node_cpu_seconds_total",
        matchers=(*matchers, Matcher(label="mode", op=MatchOp.EQUAL, value="idle")),
        function="rate",
        over=timedelta(minutes=1),
        aggregate="avg",
        by=("instance",),
    )
    return [
        ask(MetricQuery(metric="node_filesystem_avail_bytes", matchers=disks), Span.LONG),
        ask(MetricQuery(metric="node_filesystem_avail_bytes", matchers=disks), Span.RECENT),
        ask(MetricQuery(metric="node_filesystem_size_bytes", matchers=disks), Span.RECENT),
        ask(idle, Span.LONG),
        ask(MetricQuery(metric="node_load1", matchers=matchers), Span.LONG),
        ask(MetricQuery(metric="node_memory_MemAvailable_bytes", matchers=matchers), Span.LONG),
        ask(MetricQuery(metric="node_memory_MemTotal_bytes", matchers=matchers), Span.RECENT),
    ]


def _peer_asks(entity: Entity, recent: Window) -> list[MetricAsk]:
    asks: list[MetricAsk] = [
        InstantAsk(
            query=MetricQuery(metric="up", matchers=entity.peers),
            at=recent.end,
            subject=entity.subject,
            scope=Scope.PEERS,
        )
    ]
    return asks


def _cluster_asks(entity: Entity, recent: Window) -> list[MetricAsk]:
    """The cluster at a glance, summed up where it is stored: one bad pod, or everybody?"""

    def only(label: str, value: str) -> tuple[Matcher, ...]:
        return (Matcher(label=label, op=MatchOp.EQUAL, value=value),)

    queries = (
        MetricQuery(
            metric="kube_node_status_condition",
            matchers=only("status", "true"),
            aggregate="sum",
            by=("condition",),
        ),
        MetricQuery(metric="kube_node_info", aggregate="count"),
        MetricQuery(metric="kube_pod_status_phase", aggregate="sum", by=("phase",)),
        MetricQuery(metric="kube_pod_container_status_waiting_reason", aggregate="sum", by=("reason",)),
        MetricQuery(metric="node_memory_MemAvailable_bytes", aggregate="min", by=("instance",)),
        MetricQuery(metric="node_memory_MemTotal_bytes", aggregate="max", by=("instance",)),
        MetricQuery(
            metric="node_cpu_seconds_total",
            matchers=only("mode", "idle"),
            function="rate",
            over=timedelta(minutes=2),
            aggregate="avg",
            by=("instance",),
        ),
        MetricQuery(metric="ALERTS", matchers=only("alertstate", "firing"), aggregate="count"),
    )
    return [
        InstantAsk(query=query, at=recent.end, subject=entity.subject, scope=Scope.CLUSTER)
        for query in queries
    ]


def _host_asks(entity: Entity, window: Window) -> list[HostAsk]:
    parts = [HostPart.PROCESSES, HostPart.RESOURCES, HostPart.DISKS]
    if entity.process is not None:
        parts += [HostPart.PORTS, HostPart.LOG, HostPart.EXITS]
    return [HostAsk(part=part, window=window, subject=entity.subject) for part in parts]


def _step(window: Window, points: int) -> timedelta:
    return timedelta(seconds=max(1, round(window.length.total_seconds() / points)))
