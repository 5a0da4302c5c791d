"""Stories of incidents that are over, for tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.diagnosis import Band, Citation, Diagnosis, DiagnosisVerdict, Hypothesis, Origin
from bot.domain.evidence import Evidence, EvidenceStatus, Fact, FactVerdict, LogLine, Window, content_digest
from bot.domain.ids import DiagnosisId, EvidenceId, IncidentId, ShortId
from bot.domain.incident import Incident, IncidentState, Route
from bot.domain.outcome import ExecutionState, OutcomeVerdict
from bot.domain.redaction import clean
from bot.domain.summary import TimelineEntry
from investigators.retrospect.story import Deed, Story

BEGAN = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
OPENED = BEGAN + timedelta(seconds=20)
RESOLVED = BEGAN + timedelta(minutes=42)
RSS = EvidenceId("ev_rss")
RUNBOOK = EvidenceId("ev_runbook")
MARKDOWN = "# cart\n\n## Checks\n\n1. Look at its memory.\n\n## Contacts\n\nThe shop's team.\nCall first."


def incident(**changes: object) -> Incident:
    made = Incident(
        id=IncidentId("inc_1"),
        short_id=ShortId("K7QX"),
        state=IncidentState.RESOLVED,
        severity=Severity.WARNING,
        title="MemoryHigh: MemoryHigh on cart",
        service="cart",
        environment=None,
        source="alertmanager",
        group_key="g1",
        route=Route(name="default", rooms=("ops",)),
        opened_at=OPENED,
        updated_at=RESOLVED,
        resolved_at=RESOLVED,
        run=1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of Incident


def alert(name: str = "MemoryHigh", **labels: str) -> Alert:
    return Alert(
        source="alertmanager",
        fingerprint=f"fp-{name}",
        status=AlertStatus.RESOLVED,
        name=name,
        severity=Severity.WARNING,
        labels={"alertname": name, "service": "cart", **labels},
        annotations={},
        starts_at=BEGAN,
        received_at=OPENED,
    )


def evidence(identity: str = RSS, text: str = "rss 80 MiB → 900 MiB", **changes: object) -> Evidence:
    made = Evidence(
        id=EvidenceId(identity),
        source="prometheus",
        kind="metric.range",
        query='process_resident_memory_bytes{job="cart"}',
        window=Window(start=BEGAN, end=OPENED),
        taken_at=OPENED,
        status=EvidenceStatus.OK,
        summary=text,
        excerpt=text,
        content_digest=content_digest(text),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of Evidence


def runbook(text: str = MARKDOWN, query: str = "cart.md", **changes: object) -> Evidence:
    """As the source of runbooks answers it."""
    return evidence(
        RUNBOOK,
        clean(text, limit=4_000),
        source="runbooks",
        kind="runbook.text",
        query=query,
        summary="runbook",
        lines=tuple(LogLine(at=None, text=line) for line in text.split("\n")),
        **changes,
    )


LEAK = Hypothesis(
    object="cart",
    object_kind="service",
    fault="memory_growth",
    score=0.9,
    statement="it leaks",
    evidence_ids=(RSS,),
)


def diagnosis(run: int = 1, **changes: object) -> Diagnosis:
    made = Diagnosis(
        id=DiagnosisId(f"dia_{run}"),
        incident_id=IncidentId("inc_1"),
        run=run,
        at=OPENED + timedelta(seconds=run),
        verdict=DiagnosisVerdict.ACTION_NEEDED,
        summary="cart leaks memory",
        root_cause="cart: memory keeps growing",
        band=Band.HIGH,
        origin=Origin.RULES,
        citations=(Citation(evidence_id=RSS, source="prometheus", finding="rss 80 MiB → 900 MiB"),),
        hypotheses=(LEAK,),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of Diagnosis


def inconclusive(run: int = 1) -> Diagnosis:
    return diagnosis(
        run,
        verdict=DiagnosisVerdict.INCONCLUSIVE,
        summary="nothing stood out",
        root_cause=None,
        band=Band.LOW,
        hypotheses=(),
    )


def onset(minutes: float, rule: str = "alert_onset.curve") -> Fact:
    """So long before the alert."""
    return Fact(
        kind="alert_onset",
        verdict=FactVerdict.FOUND,
        confidence=0.8,
        subject="cart",
        evidence_ids=(RSS,),
        rule=rule,
        values={"onset": BEGAN.timestamp() - 60 * minutes},
    )


def deed(verdict: OutcomeVerdict | None = OutcomeVerdict.VERIFIED, **changes: object) -> Deed:
    made = Deed(
        action="process.restart",
        target="cart",
        proposed_at=OPENED + timedelta(minutes=1),
        people=("ana",),
        began_at=OPENED + timedelta(minutes=5),
        state=ExecutionState.SUCCEEDED,
        result="restarted",
        verdict=verdict,
        evidence_ids=(RSS,),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of Deed


def story(**changes: object) -> Story:
    made = Story(
        incident=incident(),
        alerts=(alert(),),
        began_at=BEGAN,
        diagnoses=(diagnosis(),),
        evidence=(evidence(),),
        now=RESOLVED + timedelta(minutes=2),
        timeline=(
            TimelineEntry(at=BEGAN, what="the first alert began to fire"),
            TimelineEntry(at=RESOLVED, what="resolved"),
        ),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of Story
