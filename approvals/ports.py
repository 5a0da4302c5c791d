"""What the approval engine needs from the outside, in its own words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from approvals.ledger import Checkpoint, Entry, Head
from approvals.model import ApprovalRequest, Review
from bot.domain.audit import AuditEvent
from bot.domain.graph import Edge
from bot.domain.ids import ExecutionId, RequestId
from bot.domain.incident import Incident, IncidentState
from bot.domain.outcome import Execution, ExecutionResult, VerificationCheck
from bot.domain.proposal import Action, DryRun, Proposal, Target


class Inspector(Protocol):
    """The reading half of an executor: may be handed to the workflow."""

    name: str

    async def locate(self, action: Action) -> Target:
        """Return the target as it is now, with its current uid.

        Raises InputError when the action names nothing in the inventory, Unavailable when it cannot be seen.
        """
        ...

    async def dry_run(self, action: Action, target: Target) -> DryRun:
        """Try the action without effect. A refusal is ``ok=False``; Unavailable when it cannot be tried."""
        ...

    async def check(
        self, action: Action, before: Target, result: ExecutionResult
    ) -> Sequence[VerificationCheck]:
        """Look whether the action took effect: identity, convergence, health. Never raises for a 'no'."""
        ...

    def compensation(self, action: Action, result: ExecutionResult) -> Action | None:
        """The catalogue action that undoes this one, given what it did; None where nothing can."""
        ...

    def human_command(self, action: Action) -> str:
        """The shell command with which a person would do the same."""
        ...

    def inspect_hint(self, action: Action, target: Target) -> str:
        """How a person finds out whether the action really ran."""
        ...


class Executor(Protocol):
    """The writing half: only the gate may hold one."""

    name: str

    async def run(self, action: Action, target: Target, idempotency_key: str) -> ExecutionResult:
        """Run the typed action once. A failure of the action is ``ok=False``, not an exception."""
        ...


class PolicyEngine(Protocol):
    """Evaluates a policy bundle. Raises Unavailable on an error or a timeout; the caller then denies."""

    @property
    def policy_hash(self) -> str:
        """SHA-256 over the bundle's files and data, lower-case hex."""
        ...

    async def evaluate(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return ``{allow: bool, deny: [{id, reason}], require: [{id, count, roles, strength}],
        rules: [id]}``; a key is missing where the policy leaves it undefined."""
        ...


class Signer(Protocol):
    """Signs bytes with the bot's Ed25519 key."""

    @property
    def key_id(self) -> str: ...

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        """Return a DSSE envelope (JSON bytes) over ``payload``."""
        ...


class EnvelopeVerifier(Protocol):
    """Checks DSSE envelopes against the trusted public keys."""

    def verify(self, payload_type: str, envelope: bytes) -> bytes:
        """Return the payload. Raises IntegrityError when no trusted key signed exactly it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The kill switch as stored."""

    paused: bool
    actor: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCase:
    """Everything the gate judges, read in one snapshot straight from the rows.

    ``canonical_bytes`` and ``envelope`` are the stored bytes, untouched. ``band`` is the latest diagnosis's,
    ``evidence_taken_at`` when its newest evidence was taken.
    """

    incident: Incident
    proposal: Proposal
    request: ApprovalRequest
    reviews: tuple[Review, ...]
    canonical_bytes: bytes
    envelope: bytes | None
    claimed: bool
    band: str | None
    evidence_taken_at: datetime | None


class GateStore(Protocol):
    """The rows the gate reads and the two transactions it writes."""

    async def switch(self) -> Switch: ...

    async def ledger_problem(self) -> str | None:
        """None while the ledger is intact, else what is wrong with it."""
        ...

    async def recent_executions(self, target: str, since: datetime) -> int:
        """Executions claimed on this target name since then."""
        ...

    async def edges(self, seen_after: datetime) -> Sequence[Edge]:
        """The service graph: declared edges, and those seen after then."""
        ...

    async def gate_case(self, request_id: RequestId) -> GateCase | None: ...

    async def claim(self, execution: Execution, request_version: int, events: Sequence[AuditEvent]) -> bool:
        """Insert the execution by its idempotency key, move the incident to ``executing`` and append the
        events, all in one transaction. False when the key exists, the request has another version or is
        not approved, or the incident is not awaiting approval: then nothing was written. Raises StaleWrite
        when the kill switch was turned on meanwhile: asked again, the gate says so."""
        ...

    async def finish(
        self,
        execution_id: ExecutionId,
        result: ExecutionResult,
        incident_to: IncidentState,
        events: Sequence[AuditEvent],
    ) -> None:
        """Store the result, move the incident and append the events in one transaction.

        The execution becomes ``unknown`` when ``incident_to`` is ``outcome_unknown`` (it may have acted),
        else ``succeeded`` or ``failed`` as the result says. Raises StaleWrite, nothing written, when the
        execution is not claimed any more."""
        ...

    async def refuse(
        self, request_id: RequestId, request_version: int, reason: str, events: Sequence[AuditEvent]
    ) -> bool:
        """End the request as cancelled, move the incident back to ``diagnosed`` and append the events.

        False when the request has changed meanwhile or was claimed: then only the events are written."""
        ...


class LedgerRows(Protocol):
    """The stored chain, for verification, export and checkpoints."""

    async def head(self) -> Head: ...

    def entries(self, after: int = 0) -> AsyncIterator[Sequence[Entry]]:
        """Batches of stored entries with ``seq > after``, ordered by ``seq``, as they stand in the rows."""
        ...

    async def checkpoints(self) -> Sequence[Checkpoint]: ...
    async def add_checkpoint(self, checkpoint: Checkpoint) -> None: ...
