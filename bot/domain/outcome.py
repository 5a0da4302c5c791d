"""What happened when an approved action was run, and whether it helped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.ids import Digest, ExecutionId, IncidentId, ProposalId, RequestId


class ExecutionState(StrEnum):
    """``claimed`` without a result after a restart becomes ``unknown`` and is never run again."""

    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """What the executor reported. ``output`` is redacted and at most 64 KiB."""

    ok: bool
    summary: str
    output: str
    started_at: datetime
    finished_at: datetime
    new_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One use of one approval. ``idempotency_key`` is unique for ever. ``inspect`` tells a person how
    to see what really happened when the state is unknown."""

    id: ExecutionId
    incident_id: IncidentId
    proposal_id: ProposalId
    request_id: RequestId
    digest: Digest
    idempotency_key: str
    state: ExecutionState
    claimed_at: datetime
    inspect: str
    result: ExecutionResult | None = None


class OutcomeVerdict(StrEnum):
    VERIFIED = "verified"
    FAILED = "failed"
    PENDING = "pending"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationCheck:
    """One thing looked at after the run. ``ok`` None means it could not be seen."""

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The judgement after a verification round; ``attempt`` counts from 1."""

    execution_id: ExecutionId
    verdict: OutcomeVerdict
    at: datetime
    attempt: int
    checks: tuple[VerificationCheck, ...]
    last: bool
