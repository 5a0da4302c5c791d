"""The closed set of audit events: everything the ledger may hold, and nothing else.

Each event has a tag ``subject:action`` and plain JSON-able fields. The ledger writes
:func:`event_body` of an event in canonical form, in the transaction of the state it records.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    TAG: ClassVar[str] = ""
    incident_id: str | None = None
    causation_id: str | None = None
    """Id of the event, row or platform event that led to this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStarted(_Event):
    TAG: ClassVar[str] = "service:started"
    version: str
    config_digest: str
    execution_enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentOpened(_Event):
    TAG: ClassVar[str] = "incident:opened"
    short_id: str
    title: str
    severity: str
    route: str
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsJoined(_Event):
    """Alerts placed in an incident by one intake batch; ``alert_ids`` at most 50 of them."""

    TAG: ClassVar[str] = "incident:alerts_joined"
    count: int
    firing: int
    resolved: int
    alert_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentMoved(_Event):
    TAG: ClassVar[str] = "incident:moved"
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsIgnored(_Event):
    """Alerts that made no incident: an ``ignore`` route, a heartbeat, a resolve nobody waited for."""

    TAG: ClassVar[str] = "alert:ignored"
    count: int
    reason: str
    alert_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatMissed(_Event):
    TAG: ClassVar[str] = "heartbeat:missed"
    heartbeat: str
    last_seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvestigationStarted(_Event):
    TAG: ClassVar[str] = "investigation:started"
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceTaken(_Event):
    """``items`` are objects {id, source, query, status, digest}."""

    TAG: ClassVar[str] = "investigation:evidence_taken"
    run: int
    items: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvestigationFinished(_Event):
    TAG: ClassVar[str] = "investigation:finished"
    run: int
    verdict: str
    band: str
    origin: str
    root_cause: str | None
    diagnosis_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDecided(_Event):
    TAG: ClassVar[str] = "policy:decided"
    proposal_id: str
    stage: str
    decision: str
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    policy_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalCreated(_Event):
    TAG: ClassVar[str] = "proposal:created"
    proposal_id: str
    action: str
    target: str
    target_uid: str
    risk: str
    digest: str
    dry_run_ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOpened(_Event):
    TAG: ClassVar[str] = "request:opened"
    request_id: str
    proposal_id: str
    digest: str
    count: int
    roles: tuple[str, ...]
    strength: str
    expires_at: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnded(_Event):
    """``state`` is approved, rejected, expired, superseded, withdrawn or cancelled."""

    TAG: ClassVar[str] = "request:ended"
    request_id: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReminded(_Event):
    TAG: ClassVar[str] = "request:reminded"
    request_id: str
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRecorded(_Event):
    TAG: ClassVar[str] = "review:recorded"
    request_id: str
    review_id: str
    person: str
    platform: str
    user_id: str
    verdict: str
    means: str
    strength: str
    platform_event_id: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRefused(_Event):
    """Somebody tried to review and could not; ``reason`` is a code."""

    TAG: ClassVar[str] = "review:refused"
    request_id: str
    platform: str
    user_id: str
    verdict: str
    reason: str
    platform_event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewWithdrawn(_Event):
    TAG: ClassVar[str] = "review:withdrawn"
    request_id: str
    review_id: str
    person: str
    platform_event_id: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSigned(_Event):
    TAG: ClassVar[str] = "approval:signed"
    request_id: str
    digest: str
    key_id: str
    envelope_digest: str
    reviewers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRefused(_Event):
    """``check`` is the number of the gate check that refused, ``reason`` its code."""

    TAG: ClassVar[str] = "gate:refused"
    request_id: str
    check: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionClaimed(_Event):
    TAG: ClassVar[str] = "execution:claimed"
    execution_id: str
    request_id: str
    digest: str
    idempotency_key: str
    executor: str
    policy_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFinished(_Event):
    TAG: ClassVar[str] = "execution:finished"
    execution_id: str
    ok: bool
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionUnknown(_Event):
    TAG: ClassVar[str] = "execution:unknown"
    execution_id: str
    inspect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeVerified(_Event):
    TAG: ClassVar[str] = "outcome:verified"
    execution_id: str
    verdict: str
    attempt: int
    checks: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentSummarised(_Event):
    """``summary_digest`` is over the summary's texts; ``evidence_ids`` are those that it cites."""

    TAG: ClassVar[str] = "incident:summarised"
    run: int
    reopened: int
    origin: str
    evidence_ids: tuple[str, ...]
    summary_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchTurned(_Event):
    """The kill switch: ``paused`` True means nothing is executed."""

    TAG: ClassVar[str] = "switch:turned"
    paused: bool
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRefused(_Event):
    TAG: ClassVar[str] = "command:refused"
    platform: str
    user_id: str
    command: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAsked(_Event):
    """``text_digest`` is over the question as it is stored, redacted."""

    TAG: ClassVar[str] = "question:asked"
    question_id: str
    person: str
    platform: str
    user_id: str
    text_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionEnded(_Event):
    """``state`` is answered or failed; ``model`` what became of the model, "" where none is configured;
    ``evidence_ids`` name what the answer cites, ``items`` what was looked at anew, as in evidence_taken."""

    TAG: ClassVar[str] = "question:ended"
    question_id: str
    state: str
    answer_digest: str
    evidence_ids: tuple[str, ...]
    items: tuple[dict[str, str], ...]
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionWished(_Event):
    """A person asked for an action. ``origin`` is command, or answer where a model's answer named it."""

    TAG: ClassVar[str] = "action:wished"
    wish_id: str
    person: str
    origin: str
    action: str
    params_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WishEnded(_Event):
    """``state`` is proposed or declined."""

    TAG: ClassVar[str] = "action:wish_ended"
    wish_id: str
    state: str
    proposal_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSent(_Event):
    TAG: ClassVar[str] = "notification:sent"
    op: str
    platform: str
    room: str
    message_id: str
    key: str


AuditEvent = (
    ServiceStarted
    | IncidentOpened
    | AlertsJoined
    | IncidentMoved
    | AlertsIgnored
    | HeartbeatMissed
    | InvestigationStarted
    | EvidenceTaken
    | InvestigationFinished
    | PolicyDecided
    | ProposalCreated
    | RequestOpened
    | RequestEnded
    | RequestReminded
    | ReviewRecorded
    | ReviewRefused
    | ReviewWithdrawn
    | ApprovalSigned
    | GateRefused
    | ExecutionClaimed
    | ExecutionFinished
    | ExecutionUnknown
    | OutcomeVerified
    | IncidentSummarised
    | SwitchTurned
    | CommandRefused
    | QuestionAsked
    | QuestionEnded
    | ActionWished
    | WishEnded
    | NotificationSent
)


def event_body(event: AuditEvent) -> dict[str, Any]:
    """Return the event's fields as JSON-able values, without tag and incident (the entry holds those)."""
    body: dict[str, Any] = {}
    for field in fields(event):
        if field.name == "incident_id":
            continue
        value = getattr(event, field.name)
        body[field.name] = list(value) if isinstance(value, tuple) else value
    return body
