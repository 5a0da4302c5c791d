"""What the workflow needs from the outside, in verbs of the incident."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from approvals.ledger import Anchor
from approvals.model import ApprovalRequest, Review
from approvals.ports import Switch
from bot.domain.alert import Alert, IngestResult, StoredAlert
from bot.domain.audit import AuditEvent
from bot.domain.chat import Delivery, Inbound, MessageRef, PendingDelivery
from bot.domain.clock import Clock
from bot.domain.diagnosis import Diagnosis
from bot.domain.evidence import Evidence
from bot.domain.graph import Edge
from bot.domain.ids import AlertId, ExecutionId, IncidentId, PersonId, ProposalId, RequestId, ReviewId
from bot.domain.incident import Incident
from bot.domain.message import Message
from bot.domain.outcome import Execution, Outcome
from bot.domain.past import PastIncident
from bot.domain.proposal import Proposal, Remediation
from bot.domain.summary import Summary
from bot.questions import AskedChanges, AskedRows
from bot.remembered import RememberedRows

__all__ = [
    "AlertSink",
    "Anchors",
    "Chat",
    "Clock",
    "Inbox",
    "IncidentStore",
    "Job",
    "JobKind",
    "PendingJob",
    "Reading",
    "Transaction",
    "WorkQueue",
]


class JobKind(StrEnum):
    """Work is implied by rows; a job only wakes the step that looks at them."""

    INTAKE = "intake"
    INVESTIGATE = "investigate"
    REMEDIATE = "remediate"
    EXECUTE = "execute"
    VERIFY = "verify"
    EXPIRE = "expire"
    REMIND = "remind"
    ANNOUNCE = "announce"
    DELIVER = "deliver"
    INBOUND = "inbound"
    HEARTBEAT = "heartbeat"
    SUMMARISE = "summarise"
    ASK = "ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A wake-up. ``subject`` is the row's id, or "" for the kinds that look at a whole queue of rows."""

    kind: JobKind
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingJob:
    job: Job
    due_at: datetime | None = None


class Reading(AskedRows, RememberedRows, Protocol):
    """Queries over one consistent snapshot."""

    async def incident(self, incident_id: IncidentId) -> Incident | None: ...
    async def incident_by_short_id(self, short_id: str) -> Incident | None:
        """Case-insensitive; the newest when a short id was used again."""
        ...

    async def incidents(self, *, live_only: bool, limit: int) -> Sequence[Incident]:
        """Newest first."""
        ...

    async def stale_incidents(self, before: datetime, limit: int) -> Sequence[Incident]:
        """Incidents last updated before then that may be closed: not closed yet, nothing of them under way
        (not investigating, awaiting approval, executing or verifying)."""
        ...

    async def joinable_incident(
        self, *, source: str, group_key: str, correlation: Mapping[str, str], resolved_after: datetime
    ) -> Incident | None:
        """The incident an alert belongs to: a live one of the same source and group key, else a live one
        with the same non-empty correlation, else the like resolved after ``resolved_after``."""
        ...

    async def incident_of_firing(self, source: str, fingerprint: str) -> Incident | None:
        """The live incident that holds an alert of this fingerprint whose last known state is firing."""
        ...

    async def incident_with_fingerprint(self, fingerprint: str) -> Incident | None:
        """The newest incident that holds an alert with this fingerprint, from any source."""
        ...

    async def change_of(self, incident_id: IncidentId) -> int:
        """How many times anything that chat shows of the incident has changed; 0 for an unknown one."""
        ...

    async def pending_alerts(self, limit: int) -> Sequence[StoredAlert]:
        """Alerts that intake has not placed yet, oldest first."""
        ...

    async def alerts_of(self, incident_id: IncidentId, limit: int) -> Sequence[StoredAlert]:
        """The newest deliveries of an incident's alerts, newest first."""
        ...

    async def current_alerts(self, incident_id: IncidentId, limit: int) -> Sequence[StoredAlert]:
        """The last known state of each distinct fingerprint of the incident, firing first."""
        ...

    async def evidence_of(self, incident_id: IncidentId, run: int) -> Sequence[Evidence]: ...
    async def latest_diagnosis(self, incident_id: IncidentId) -> Diagnosis | None: ...
    async def diagnoses_of(self, incident_id: IncidentId, limit: int) -> Sequence[Diagnosis]:
        """Newest first."""
        ...

    async def summary_of(self, incident_id: IncidentId) -> Summary | None:
        """The newest one that was written."""
        ...

    async def summary_wanted(self, incident_id: IncidentId) -> int | None:
        """For which ``reopened`` of the incident, the newest, a summary is planned and not written."""
        ...

    async def edges(self, seen_after: datetime) -> Sequence[Edge]:
        """The service graph: declared edges, then those seen after then, newest first. An edge that is both
        comes twice."""
        ...

    async def remediation_of(self, incident_id: IncidentId) -> Remediation | None:
        """What came of the newest remediation step."""
        ...

    async def proposal(self, proposal_id: ProposalId) -> Proposal | None: ...
    async def request(self, request_id: RequestId) -> ApprovalRequest | None: ...
    async def requests_of(self, incident_id: IncidentId) -> Sequence[ApprovalRequest]:
        """Oldest first."""
        ...

    async def reviews_of(self, request_id: RequestId) -> Sequence[Review]:
        """In the order they were recorded, withdrawn ones included."""
        ...

    async def review_by_event(self, platform: str, platform_event_id: str) -> Review | None: ...
    async def approvals_by(self, person: PersonId, since: datetime) -> int:
        """How many approving reviews the person gave since then."""
        ...

    async def executions_of(self, incident_id: IncidentId) -> Sequence[Execution]:
        """Oldest first."""
        ...

    async def execution(self, execution_id: ExecutionId) -> Execution | None: ...
    async def recent_executions(self, target: str, since: datetime) -> int:
        """Executions claimed on this target name since then."""
        ...

    async def outcomes_of(self, execution_id: ExecutionId) -> Sequence[Outcome]: ...
    async def message_ref(self, incident_id: IncidentId, room: str, slot: str) -> MessageRef | None:
        """Where a slot's message was delivered; ``room`` is the configured name."""
        ...

    async def slot_of(self, ref: MessageRef) -> tuple[IncidentId, str] | None:
        """Which incident and slot a delivered message is; None for messages that are not ours."""
        ...

    async def due_deliveries(self, now: datetime, limit: int) -> Sequence[PendingDelivery]:
        """Unsent deliveries whose turn it is: the oldest of each (incident, room), due by ``now``."""
        ...

    async def next_delivery_at(self) -> datetime | None: ...
    async def card_on_its_way(self, room: str) -> bool:
        """Whether an approval card for this configured room is not recorded as posted; it may be posted."""
        ...

    async def pending_inbound(self, limit: int) -> Sequence[Inbound]:
        """Stored inbound events not handled yet, in order of arrival."""
        ...

    async def heartbeats(self) -> Mapping[str, datetime]:
        """When each heartbeat was last seen."""
        ...

    async def switch(self) -> Switch: ...


class Transaction(Reading, AskedChanges, Protocol):
    """One atomic change. Leaving the context commits; an exception or a cancellation rolls back."""

    async def add_incident(self, incident: Incident) -> Incident:
        """Insert; a short id that is taken is replaced by a longer one. Returns what was stored."""
        ...

    async def save_incident(self, incident: Incident) -> Incident:
        """Compare-and-swap on ``version``; returns it with the next version. Raises StaleWrite."""
        ...

    async def place_alerts(self, alert_ids: Sequence[AlertId], incident_id: IncidentId | None) -> None:
        """Record that intake is done with these alerts; None where they belong to no incident."""
        ...

    async def firing_members(self, incident_id: IncidentId) -> int:
        """Distinct fingerprints of the incident whose last known state is firing."""
        ...

    async def add_evidence(self, incident_id: IncidentId, run: int, evidence: Sequence[Evidence]) -> None: ...
    async def add_diagnosis(self, diagnosis: Diagnosis) -> None: ...
    async def remember(self, incident: PastIncident) -> None:
        """Keep what is known of an incident that is over, in place of what was kept of it before."""
        ...

    async def plan_summary(self, incident_id: IncidentId, reopened: int) -> None:
        """Note that a summary is to be written; once for each ``reopened``."""
        ...

    async def add_summary(self, summary: Summary) -> bool:
        """Store the summary that was planned; False where none is, or it was written before."""
        ...

    async def drop_summaries(self, incident_id: IncidentId, upto: int) -> None:
        """Forget what is planned and not written, up to and with this ``reopened``."""
        ...

    async def keep_edges(self, seen: Sequence[Edge], forget_before: datetime) -> None:
        """Keep edges that were seen, each as it was seen last, and forget those not seen since then and the
        oldest beyond a limit; declared ones stay."""
        ...

    async def declare_edges(self, declared: Sequence[Edge], at: datetime) -> None:
        """Put these declared edges in place of those declared before."""
        ...

    async def add_remediation(self, remediation: Remediation) -> None:
        """Store how the remediation step of ``remediation.run`` ended; that run then needs no more work."""
        ...

    async def add_proposal(self, proposal: Proposal) -> None: ...
    async def add_request(self, request: ApprovalRequest) -> None: ...
    async def save_request(self, request: ApprovalRequest) -> ApprovalRequest:
        """Compare-and-swap on ``version``; returns it with the next version. Raises StaleWrite."""
        ...

    async def add_review(self, review: Review) -> bool:
        """False when a review of the same platform event is stored already."""
        ...

    async def withdraw_review(self, review_id: ReviewId, at: datetime) -> None: ...
    async def add_approval(self, request_id: RequestId, envelope: bytes) -> None:
        """Store the signed approval. Raises StaleWrite when the request has one."""
        ...

    async def remove_approval(self, request_id: RequestId) -> None:
        """Take back a signed approval that no gate has used (a review was withdrawn in time)."""
        ...

    async def save_execution(self, execution: Execution) -> None: ...
    async def add_outcome(self, outcome: Outcome) -> None: ...
    async def set_switch(self, switch: Switch, at: datetime) -> None: ...
    async def beat(self, name: str, at: datetime) -> None: ...
    async def put(self, delivery: Delivery) -> None:
        """Put one delivery into the outbox; a known key is ignored."""
        ...

    async def project(self, deliveries: Sequence[Delivery]) -> None:
        """Bring editable slots to the wanted content: nothing when the content is already there, a
        replaced body where an unsent delivery of the slot waits, else a new delivery."""
        ...

    async def mark_announced(self, incident_id: IncidentId, version: int) -> None:
        """Record that chat shows this version of the incident."""
        ...

    async def mark_sent(self, sequence: int, ref: MessageRef | None, at: datetime) -> None: ...
    async def mark_failed(self, sequence: int, reason: str, retry_at: datetime) -> None: ...
    async def mark_handled(self, platform: str, event_id: str) -> None: ...
    async def record(self, *events: AuditEvent) -> None:
        """Append to the ledger, in this transaction."""
        ...

    async def enqueue(self, job: Job, at: datetime | None = None) -> None:
        """Wake a step once this transaction has committed."""
        ...


class IncidentStore(Protocol):
    """The rows that are the truth."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...
    def reading(self) -> AbstractAsyncContextManager[Reading]: ...
    async def pending_work(self) -> Sequence[PendingJob]:
        """Everything the rows imply, for a process that has just started."""
        ...


class AlertSink(Protocol):
    """Where the listener puts a batch; returns when every alert is durable."""

    async def ingest(self, alerts: Sequence[Alert]) -> Sequence[IngestResult]:
        """One result per alert, in order. Raises Unavailable when nothing could be stored."""
        ...


class Inbox(Protocol):
    """Where a chat adapter keeps what came in, together with how far it has read."""

    async def position(self, platform: str) -> str | None: ...
    async def store(self, platform: str, events: Sequence[Inbound], position: str | None) -> None:
        """Store events (a known event id is ignored) and the position in one transaction, then wake."""
        ...


class Anchors(Protocol):
    """A place outside the store where signed ledger heads are kept, append-only."""

    @property
    def where(self) -> str:
        """What a person calls that place."""
        ...

    async def append(self, anchor: Anchor) -> None:
        """Add one, durably. Raises Unavailable."""
        ...

    async def read(self) -> Sequence[Anchor]:
        """All of them, oldest first. Raises Unavailable, or IntegrityError for what is no anchor."""
        ...


class Chat(Protocol):
    """One chat platform. Every sending verb takes an idempotency key: the same key never posts twice.

    All raise Unavailable when the platform did not take the message.
    """

    platform: str

    async def open_thread(self, room: str, message: Message, key: str) -> MessageRef:
        """Post the root message of an incident into the room with this platform id."""
        ...

    async def update_root(self, root: MessageRef, message: Message, key: str) -> None: ...
    async def reply(self, root: MessageRef, message: Message, key: str) -> MessageRef: ...
    async def post_card(self, root: MessageRef, message: Message, key: str) -> MessageRef:
        """Post an approval card in the thread and seed its reactions."""
        ...

    async def update_card(self, card: MessageRef, message: Message, key: str) -> None: ...
    async def settle_card(self, card: MessageRef, message: Message, key: str) -> None:
        """Edit the card for the last time and remove the bot's own seeds."""
        ...

    async def answer_privately(self, room: str, person: str, message: Message, key: str) -> None:
        """Tell one platform user something nobody else in the room needs to see."""
        ...

    async def run(self, inbox: Inbox) -> None:
        """Receive for ever, storing into the inbox. Returns only when cancelled."""
        ...

    def healthy(self) -> str | None:
        """None while connected, else one sentence why not."""
        ...


class WorkQueue(Protocol):
    """Wakes steps; holds no truth."""

    def put(self, job: Job, at: datetime | None = None) -> None:
        """Wake a step now or at a time. The same job waiting twice runs once, at the earlier time;
        a job put while it runs runs once more afterwards."""
        ...
