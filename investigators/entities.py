"""What an incident is about: the things its alerts name, each with one subject that all facts share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.alert import Alert, AlertStatus
from investigators.expression import alert_expression
from investigators.ports import Case, HostQuery, HostSource, Matcher, MatchOp

MAX_ENTITIES = 5
"""Things of one incident that are looked at one by one; the rest are counted."""

_NAMING = ("service", "service_name", "app", "application", "deployment", "pod", "container")
HOST_LABELS = ("instance", "node", "host", "hostname", "nodename")
_HOST_METRIC = re.compile(r"\bnode_[a-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One thing at fault or in pain.

    ``subject`` is the name facts carry. ``host`` is the machine it is on, without a port. ``machine``
    True: the alert is about the machine itself. ``selectors`` find its own series, ``peers`` those of
    its job; either may be empty. ``host_queries`` say which host sources cover it, by source name.
    """

    subject: str
    host: str | None
    machine: bool
    instance: str | None
    job: str | None
    selectors: tuple[Matcher, ...]
    peers: tuple[Matcher, ...]
    alerts: tuple[Alert, ...]
    onset: datetime
    host_queries: Mapping[str, HostQuery]

    @property
    def process(self) -> str | None:
        """The declared process, when a host source knows one."""
        return next((q.process for q in self.host_queries.values() if q.process is not None), None)

    @property
    def machine_name(self) -> str | None:
        """What facts about the machine are charged to."""
        return self.host or next((query.host for query in self.host_queries.values()), None)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.alerts[0].labels

    @property
    def firing(self) -> bool:
        return any(alert.status is AlertStatus.FIRING for alert in self.alerts)


def entities_of(case: Case, hosts: Sequence[HostSource]) -> tuple[tuple[Entity, ...], int]:
    """The incident's entities, worst and oldest first, and how many more there were."""
    groups: dict[tuple[str, str], list[Alert]] = {}
    for alert in sorted(case.alerts, key=_urgency):
        key = (_subject(case, alert, hosts), alert.labels.get("instance", ""))
        groups.setdefault(key, []).append(alert)
    subjects = [subject for subject, _ in groups]
    entities = [
        _entity(case, subject, subjects.count(subject) == 1, alerts, hosts)
        for (subject, _), alerts in list(groups.items())[:MAX_ENTITIES]
    ]
    return tuple(entities), max(0, len(groups) - MAX_ENTITIES)


def subjects_of(case: Case, hosts: Sequence[HostSource], most: int) -> tuple[str, ...]:
    """What all alerts are about, worst and oldest first, also what is not looked at one by one."""
    found = dict.fromkeys(_subject(case, alert, hosts) for alert in sorted(case.alerts, key=_urgency))
    return tuple(found)[:most]


def bare_host(value: str) -> str:
    """A host without its port."""
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0] if value.count(":") == 1 else value


def host_matchers(host: str) -> tuple[Matcher, ...]:
    """Series of any exporter on this host: its name with or without a port."""
    pattern = re.sub(r"([^A-Za-z0-9_-])", r"\\\1", f"[{host}]" if ":" in host else host)
    return (Matcher(label="instance", op=MatchOp.REGEX, value=f"{pattern}(:[0-9]+)?"),)


def _urgency(alert: Alert) -> tuple[bool, int, datetime, str]:
    return (alert.status is not AlertStatus.FIRING, -alert.severity.rank, alert.starts_at, alert.fingerprint)


def _about_machine(alert: Alert) -> bool:
    labels = alert.labels
    if "mountpoint" in labels or "device" in labels:
        return True
    return _HOST_METRIC.search(alert_expression(alert) or "") is not None


def _subject(case: Case, alert: Alert, hosts: Sequence[HostSource]) -> str:
    labels = alert.labels
    host = _host(labels)
    if _about_machine(alert) and host is not None:
        return host
    for source in hosts:
        query = source.covers(labels)
        if query is not None and query.process is not None:
            return query.process
    for label in _NAMING:
        if labels.get(label):
            return labels[label]
    if case.incident.service:
        return case.incident.service
    return labels.get("job") or host or alert.name


def _entity(
    case: Case, subject: str, unique: bool, alerts: list[Alert], hosts: Sequence[HostSource]
) -> Entity:
    labels = alerts[0].labels
    instance = labels.get("instance") or None
    starts = min(alert.starts_at for alert in alerts)
    queries = {source.name: query for source in hosts if (query := source.covers(labels)) is not None}
    return Entity(
        subject=subject if unique or instance is None else f"{subject} on {instance}",
        host=_host(labels),
        machine=_about_machine(alerts[0]),
        instance=instance,
        job=labels.get("job") or None,
        selectors=_selectors(labels),
        peers=_equal(labels, "job"),
        alerts=tuple(alerts),
        # A sender's clock may be ahead of ours.
        onset=min(starts, case.now - timedelta(seconds=1)),
        host_queries=queries,
    )


def _host(labels: Mapping[str, str]) -> str | None:
    return next((bare_host(labels[label]) for label in HOST_LABELS if labels.get(label)), None)


def _selectors(labels: Mapping[str, str]) -> tuple[Matcher, ...]:
    """Labels that scraped series carry themselves. ``cluster`` and ``severity`` are added later, on the
    way to Alertmanager, and would select nothing."""
    for names in (("instance", "job"), ("pod", "namespace"), ("job",), ("service", "namespace")):
        if labels.get(names[0]):
            return _equal(labels, *names)
    return ()


def _equal(labels: Mapping[str, str], *names: str) -> tuple[Matcher, ...]:
    return tuple(
        Matcher(label=name, op=MatchOp.EQUAL, value=labels[name]) for name in names if labels.get(name)
    )
