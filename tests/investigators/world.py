"""Build a case and run the real investigator over a world in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.evidence import Fact, FactVerdict
from bot.domain.ids import IncidentId, ShortId
from bot.domain.incident import Incident, IncidentState, Route
from investigators.ports import Case, HostSource, Investigation, MetricSource
from investigators.queries import Sources
from investigators.registry import DeterministicInvestigator
from tests.fakes.evidence import NOW, FixedClock

LABELS = {"alertname": "Demo", "job": "demo", "instance": "box:8000", "service": "demo"}


def alert(
    name: str = "Demo",
    *,
    labels: Mapping[str, str] = LABELS,
    expr: str | None = None,
    started: timedelta = timedelta(minutes=2),
    status: AlertStatus = AlertStatus.FIRING,
    now: datetime = NOW,
    fingerprint: str = "f1",
) -> Alert:
    links = {} if expr is None else {"generator": f"http://prom/graph?{urlencode({'g0.expr': expr})}"}
    return Alert(
        source="test",
        fingerprint=fingerprint,
        status=status,
        name=name,
        severity=Severity.WARNING,
        labels={**labels, "alertname": name},
        annotations={},
        starts_at=now - started,
        received_at=now,
        links=links,
    )


def case(*alerts: Alert, route: Route | None = None, now: datetime = NOW, **incident: Any) -> Case:
    firing = sum(one.status is AlertStatus.FIRING for one in alerts)
    return Case(
        incident=Incident(
            id=IncidentId("inc_1"),
            short_id=ShortId("K7QX"),
            state=IncidentState.INVESTIGATING,
            severity=Severity.WARNING,
            title="Demo",
            service=None,
            environment=None,
            source="test",
            group_key="g",
            route=route or Route(name="default"),
            opened_at=now,
            updated_at=now,
            firing=firing,
            **incident,
        ),
        alerts=alerts,
        run=1,
        now=now,
    )


def investigator(
    metrics: Sequence[MetricSource] = (), hosts: Sequence[HostSource] = (), deadline: float = 5.0
) -> DeterministicInvestigator:
    sources = Sources(metrics=tuple(metrics), hosts=tuple(hosts))
    return DeterministicInvestigator(sources, FixedClock(), timedelta(seconds=deadline), timedelta(hours=1))


async def investigate(
    asked: Case | None = None, metrics: Sequence[MetricSource] = (), hosts: Sequence[HostSource] = ()
) -> Investigation:
    return await investigator(metrics, hosts).investigate(asked or case(alert()))


def verdicts(investigation: Investigation, kind: str) -> list[FactVerdict]:
    """The distinct verdicts on a kind, found first."""
    order = [FactVerdict.FOUND, FactVerdict.ABSENT, FactVerdict.UNKNOWN]
    seen = {fact.verdict for fact in investigation.diagnosis.facts if fact.kind == kind}
    return [verdict for verdict in order if verdict in seen]


def the_fact(investigation: Investigation, kind: str, verdict: FactVerdict = FactVerdict.FOUND) -> Fact:
    facts = [f for f in investigation.diagnosis.facts if f.kind == kind and f.verdict is verdict]
    assert facts, f"no {verdict} {kind} among {[(f.kind, f.verdict) for f in investigation.diagnosis.facts]}"
    return facts[0]
