"""Nouns for the store's tests, and a store with a clock that stands still and ears for its wake-ups."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from approvals.model import (
    ApprovalRequest,
    Identity,
    Means,
    RequestState,
    Requirement,
    Review,
    ReviewVerdict,
    Strength,
)
from approvals.ports import GateStore, LedgerRows
from bot.domain.alert import Alert, AlertStatus, Severity
from bot.domain.audit import AuditEvent, SwitchTurned
from bot.domain.chat import ROOT_SLOT, Delivery, DeliveryOp, MessageRef
from bot.domain.diagnosis import Band, Citation, Diagnosis, DiagnosisVerdict, Origin
from bot.domain.evidence import Evidence, EvidenceStatus, Sample, Series, Window
from bot.domain.graph import Edge
from bot.domain.ids import (
    AlertId,
    DiagnosisId,
    Digest,
    EvidenceId,
    ExecutionId,
    IncidentId,
    PersonId,
    ProposalId,
    RequestId,
    ReviewId,
    ShortId,
)
from bot.domain.incident import Incident, IncidentState, Mode, Route
from bot.domain.message import Message, paragraph
from bot.domain.outcome import Execution, ExecutionResult, ExecutionState
from bot.domain.past import PastCause, PastFact, PastIncident, Role
from bot.domain.proposal import Action, DryRun, Proposal, Risk, Target
from bot.domain.summary import Finding, Summary, TimelineEntry
from bot.ports import AlertSink, Inbox, IncidentStore, Job, JobKind
from investigators.ports import PastMemory

NOW = datetime(2026, 11, 21, 3, 0, 0, 123456, tzinfo=UTC)
ROOM = "ops"
LONG_AGO = NOW - timedelta(days=365)


@dataclass(slots=True)
class StillClock:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def forward(self, by: timedelta) -> datetime:
        self.at += by
        return self.at


class AnyStore(IncidentStore, PastMemory, AlertSink, Inbox, GateStore, LedgerRows, Protocol):
    """Everything a store is, whatever holds its rows."""

    def set_ledger_problem(self, problem: str | None) -> None: ...


@dataclass(slots=True)
class Woken:
    """The jobs a store has woken, in order."""

    calls: list[tuple[Job, datetime | None]] = field(default_factory=list)

    def __call__(self, job: Job, at: datetime | None) -> None:
        self.calls.append((job, at))

    def take(self) -> list[tuple[JobKind, str]]:
        """Kinds and subjects since the last call."""
        taken = [(job.kind, job.subject) for job, _ in self.calls]
        self.calls.clear()
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreWorld:
    """The store under test, its clock, and what it woke."""

    store: AnyStore
    clock: StillClock
    woken: Woken


def alert(
    fingerprint: str = "fp1",
    status: AlertStatus = AlertStatus.FIRING,
    *,
    source: str = "alertmanager",
    starts_at: datetime = NOW,
    ends_at: datetime | None = None,
) -> Alert:
    return Alert(
        source=source,
        fingerprint=fingerprint,
        status=status,
        name="HighMemory",
        severity=Severity.CRITICAL,
        labels={"service": "checkout", "text": "ü 🔥 \u202e \x00"},
        annotations={"summary": "memory grows"},
        starts_at=starts_at,
        received_at=NOW + timedelta(seconds=5),
        ends_at=ends_at,
        values={"A": 0.21, "limit": float("inf")},
        links={"generator": "http://prometheus.test/graph"},
        group_key="g1",
    )


def incident(number: int = 1, **changes: object) -> Incident:
    made = Incident(
        id=IncidentId(f"inc_{number}"),
        short_id=ShortId(f"K7Q{'23456789ABCDEFGHJKLMNPQRSTUVWXYZ'[number % 32]}"),
        state=IncidentState.OPEN,
        severity=Severity.CRITICAL,
        title="HighMemory: memory grows",
        service="checkout",
        environment=None,
        source="alertmanager",
        group_key=f"g{number}",
        route=Route(name="default", rooms=(ROOM,), suggested_params={"process": "leaky"}),
        correlation={},
        opened_at=NOW,
        updated_at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of Incident


def notify_only(number: int = 1) -> Incident:
    return incident(number, route=Route(name="info", mode=Mode.NOTIFY, rooms=(ROOM,)))


def evidence(identity: str = "ev_1", taken_at: datetime = NOW) -> Evidence:
    return Evidence(
        id=EvidenceId(identity),
        source="prometheus",
        kind="metric.range",
        query="process_resident_memory_bytes",
        window=Window(start=NOW - timedelta(hours=1), end=NOW),
        taken_at=taken_at,
        status=EvidenceStatus.OK,
        summary="grows by 2 MiB a minute",
        content_digest=Digest("0" * 64),
        series=(
            Series(
                name="rss",
                labels={"job": "leaky"},
                samples=(Sample(at=NOW, value=1.5), Sample(at=NOW, value=2)),
            ),
        ),
        records=({"pid": 17, "cpu": 1.0, "name": "17", "up": True, "exit": None},),
    )


def diagnosis(number: int = 1, *, run: int = 1, band: Band = Band.HIGH) -> Diagnosis:
    return Diagnosis(
        id=DiagnosisId(f"dia_{number}_{run}"),
        incident_id=IncidentId(f"inc_{number}"),
        run=run,
        at=NOW,
        verdict=DiagnosisVerdict.ACTION_SUGGESTED,
        summary="leaky leaks",
        root_cause="a leak",
        band=band,
        origin=Origin.RULES,
        citations=(Citation(evidence_id=EvidenceId("ev_1"), source="prometheus", finding="it grows"),),
    )


def past_incident(number: int = 1, **changes: object) -> PastIncident:
    made = PastIncident(
        id=IncidentId(f"inc_{number}"),
        short_id=ShortId("K7Q2"),
        service="checkout",
        environment=None,
        title="HighMemory: memory grows",
        alert_names=("HighMemory",),
        facts=(
            PastFact(kind="memory_growth", subject_kind="", role=Role.OWN),
            PastFact(kind="oom_killed", subject_kind="pod", role=Role.DEPENDENCY),
        ),
        cause=PastCause(object="checkout", object_kind="service", fault="memory_growth"),
        root_cause="checkout: memory keeps growing",
        resolution="process.restart of checkout, verified: it helped",
        opened_at=NOW - timedelta(hours=1),
        resolved_at=NOW,
        quality=0.8,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of PastIncident


def summary(number: int = 1, **changes: object) -> Summary:
    made = Summary(
        incident_id=IncidentId(f"inc_{number}"),
        run=1,
        reopened=0,
        at=NOW,
        origin=Origin.RULES,
        timeline=(TimelineEntry(at=NOW, what="the alert began to fire"),),
        cause=(Finding(text="a leak", evidence_ids=(EvidenceId("ev_1"),)),),
        what_was_done=(Finding(text="nothing"),),
        sooner=(Finding(text="a lower threshold", evidence_ids=(EvidenceId("ev_1"),)),),
        runbook_section="## Seen\n",
        runbook_patch="--- /dev/null\n+++ b/checkout.md\n@@ -0,0 +1 @@\n+## Seen\n",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of Summary


def edge(source: str, target: str, **changes: object) -> Edge:
    made = Edge(
        source=source,
        target=target,
        kind="calls",
        origin="spans",
        seen_at=NOW,
        source_kind="service",
        target_kind="service",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of Edge


def declared_edge(source: str, target: str) -> Edge:
    return edge(source, target, origin="configuration", seen_at=None, declared=True)


CANONICAL = b'{"action":"process.restart","params":{"process":"leaky"}}'


def proposal(number: int = 1, *, target: str = "leaky") -> Proposal:
    return Proposal(
        id=ProposalId(f"pro_{number}"),
        incident_id=IncidentId(f"inc_{number}"),
        action=Action(name="process.restart", executor="process", params={"process": target, "grace": 5}),
        target=Target(kind="process", name=target, uid="pid:17:1234", labels={"tier": "2"}),
        rationale="it leaks",
        rationale_evidence_ids=(EvidenceId("ev_1"),),
        evidence_digest=Digest("1" * 64),
        risk=Risk.LOW,
        dry_run=DryRun(ok=True, summary="would restart", at=NOW),
        created_at=NOW,
        max_age=timedelta(minutes=30, microseconds=5),
        canonical_bytes=CANONICAL + b"\x00\xff not touched",
        digest=Digest(hashlib.sha256(CANONICAL).hexdigest()),
    )


def request(number: int = 1, **changes: object) -> ApprovalRequest:
    made = ApprovalRequest(
        id=RequestId(f"req_{number}"),
        incident_id=IncidentId(f"inc_{number}"),
        proposal_id=ProposalId(f"pro_{number}"),
        proposal_digest=Digest("2" * 64),
        state=RequestState.PENDING,
        requirement=Requirement(count=1, roles=("approver",), strength=Strength.COMMAND),
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=30),
        nonce="n1",
        policy_hash="3" * 64,
        evidence_digest=Digest("1" * 64),
        target_uid="pid:17:1234",
        envelope=b'{"asked": "\xfe\x00"}',
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name fields of ApprovalRequest


def review(
    number: int = 1, *, of: int = 1, event: str | None = None, person: str = "ada", at: datetime = NOW
) -> Review:
    return Review(
        id=ReviewId(f"rev_{number}"),
        request_id=RequestId(f"req_{of}"),
        reviewer=PersonId(person),
        identity=Identity(platform="matrix", user_id=f"@{person}:test"),
        verdict=ReviewVerdict.APPROVE,
        means=Means.REACTION,
        platform_event_id=event or f"$event{number}",
        at=at,
        envelope=b'{"payload": "\xff\x00"}',
    )


ENVELOPE = b'{"signatures": [], "payload": "\xfe"}'


def execution(number: int = 1, *, key: str | None = None, claimed_at: datetime = NOW) -> Execution:
    return Execution(
        id=ExecutionId(f"exe_{number}"),
        incident_id=IncidentId(f"inc_{number}"),
        proposal_id=ProposalId(f"pro_{number}"),
        request_id=RequestId(f"req_{number}"),
        digest=Digest("2" * 64),
        idempotency_key=key or f"key_{number}",
        state=ExecutionState.CLAIMED,
        claimed_at=claimed_at,
        inspect="ps -p 17",
    )


def result(*, ok: bool = True) -> ExecutionResult:
    return ExecutionResult(
        ok=ok, summary="restarted", output="ok\n", started_at=NOW, finished_at=NOW, new_uid="pid:18:99"
    )


def event(text: str = "for the test", incident_id: str | None = None) -> AuditEvent:
    return SwitchTurned(paused=True, actor="ada", reason=text, incident_id=incident_id)


def delivery(
    key: str,
    op: DeliveryOp = DeliveryOp.REPLY,
    *,
    number: int | None = 1,
    slot: str | None = None,
    text: str = "hello",
    room: str = ROOM,
) -> Delivery:
    roots = (DeliveryOp.OPEN_THREAD, DeliveryOp.UPDATE_ROOT)
    return Delivery(
        key=key,
        op=op,
        room=room,
        slot=slot or (ROOT_SLOT if op in roots else key),
        message=Message(title=text, blocks=(paragraph(text, untrusted=True),)),
        incident_id=None if number is None else IncidentId(f"inc_{number}"),
        person="@ada:test" if op is DeliveryOp.ANSWER_PRIVATELY else None,
    )


def posted(message_id: str) -> MessageRef:
    return MessageRef(platform="matrix", room="!room:test", message_id=message_id)


async def add_incident(store: IncidentStore, made: Incident) -> Incident:
    async with store.transaction() as tx:
        return await tx.add_incident(made)


async def place(store: AnyStore, incident_id: IncidentId, alerts: Sequence[Alert]) -> list[AlertId]:
    """Ingest and place; the ids in order."""
    ids = [found.alert_id for found in await store.ingest(alerts)]
    placed = [identity for identity in ids if identity is not None]
    async with store.transaction() as tx:
        await tx.place_alerts(placed, incident_id)
    return placed


async def ready_for_the_gate(store: IncidentStore, number: int = 1, *, target: str = "leaky") -> int:
    """An approved request with everything around it; returns the request's version."""
    async with store.transaction() as tx:
        await tx.add_incident(incident(number, state=IncidentState.AWAITING_APPROVAL, run=1, firing=1))
        await tx.add_evidence(
            IncidentId(f"inc_{number}"), 1, [evidence(), evidence("ev_2", NOW - timedelta(hours=1))]
        )
        await tx.add_diagnosis(diagnosis(number))
        await tx.add_proposal(proposal(number, target=target))
        await tx.add_request(request(number))
        await tx.add_review(review(number, of=number))
        await tx.add_approval(RequestId(f"req_{number}"), ENVELOPE)
        approved = await tx.save_request(request(number, state=RequestState.APPROVED))
        return approved.version


async def all_entries(store: LedgerRows) -> list[bytes]:
    """The bodies of the stored chain."""
    return [entry.body async for batch in store.entries() for entry in batch]
