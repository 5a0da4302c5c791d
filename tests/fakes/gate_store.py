"""The gate's rows in memory, honouring the port; it runs the same contract as the store on SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from approvals.model import ApprovalRequest, RequestState, Review
from approvals.ports import GateCase, Switch
from bot.domain.audit import AuditEvent
from bot.domain.clock import Clock
from bot.domain.errors import StaleWrite
from bot.domain.graph import Edge
from bot.domain.ids import ExecutionId, RequestId
from bot.domain.incident import Incident, IncidentState
from bot.domain.outcome import Execution, ExecutionResult, ExecutionState
from bot.domain.proposal import Proposal


class MemoryGateStore:
    """One incident, one proposal, one request. The rows are public: an attacker may write them too."""

    def __init__(
        self,
        clock: Clock,
        incident: Incident,
        proposal: Proposal,
        request: ApprovalRequest,
        reviews: Sequence[Review] = (),
        envelope: bytes | None = None,
        band: str | None = "high",
        evidence_taken_at: datetime | None = None,
    ) -> None:
        self.incident = incident
        self.proposal = proposal
        self.request = request
        self.reviews = list(reviews)
        self.envelope = envelope
        self.canonical_bytes = proposal.canonical_bytes
        self.band = band
        self.evidence_taken_at = evidence_taken_at
        self.paused = Switch(paused=False)
        self.problem: str | None = None
        self.executions: dict[ExecutionId, Execution] = {}
        self.earlier_executions: list[tuple[str, datetime]] = []
        self.events: list[AuditEvent] = []
        self.known_edges: list[Edge] = []
        self._clock = clock

    async def switch(self) -> Switch:
        return self.paused

    async def ledger_problem(self) -> str | None:
        return self.problem

    async def recent_executions(self, target: str, since: datetime) -> int:
        ours = [(self.proposal.target.name, execution.claimed_at) for execution in self.executions.values()]
        return sum(name == target and at >= since for name, at in [*self.earlier_executions, *ours])

    async def edges(self, seen_after: datetime) -> Sequence[Edge]:
        known = [e for e in self.known_edges if e.declared or (e.seen_at and e.seen_at > seen_after)]
        return sorted(known, key=lambda edge: not edge.declared)

    async def gate_case(self, request_id: RequestId) -> GateCase | None:
        if request_id != self.request.id:
            return None
        return GateCase(
            incident=self.incident,
            proposal=self.proposal,
            request=self.request,
            reviews=tuple(self.reviews),
            canonical_bytes=self.canonical_bytes,
            envelope=self.envelope,
            claimed=self._claimed(request_id),
            band=self.band,
            evidence_taken_at=self.evidence_taken_at,
        )

    async def claim(self, execution: Execution, request_version: int, events: Sequence[AuditEvent]) -> bool:
        if (
            execution.request_id != self.request.id
            or self.request.version != request_version
            or self.request.state is not RequestState.APPROVED
            or self.incident.state is not IncidentState.AWAITING_APPROVAL
            or any(other.idempotency_key == execution.idempotency_key for other in self.executions.values())
        ):
            return False
        self.executions[execution.id] = execution
        self.incident = self.incident.moved(IncidentState.EXECUTING, execution.claimed_at)
        self.events.extend(events)
        return True

    async def finish(
        self,
        execution_id: ExecutionId,
        result: ExecutionResult,
        incident_to: IncidentState,
        events: Sequence[AuditEvent],
    ) -> None:
        execution = self.executions.get(execution_id)
        if execution is None or execution.state is not ExecutionState.CLAIMED:
            raise StaleWrite(f"execution {execution_id} is not claimed")
        state = ExecutionState.SUCCEEDED if result.ok else ExecutionState.FAILED
        if incident_to is IncidentState.OUTCOME_UNKNOWN:
            state = ExecutionState.UNKNOWN
        moved = self.incident.moved(incident_to, self._clock.now())
        self.incident = moved
        self.executions[execution_id] = replace(execution, state=state, result=result)
        self.events.extend(events)

    async def refuse(
        self, request_id: RequestId, request_version: int, reason: str, events: Sequence[AuditEvent]
    ) -> bool:
        self.events.extend(events)
        if (
            request_id != self.request.id
            or request_version != self.request.version
            or self.request.state not in (RequestState.PENDING, RequestState.APPROVED)
            or self._claimed(request_id)
        ):
            return False
        now = self._clock.now()
        self.request = replace(
            self.request,
            state=RequestState.CANCELLED,
            ended_at=now,
            ended_reason=reason,
            version=self.request.version + 1,
        )
        if self.incident.state is IncidentState.AWAITING_APPROVAL:
            self.incident = self.incident.moved(IncidentState.DIAGNOSED, now)
        return True

    def _claimed(self, request_id: RequestId) -> bool:
        return any(execution.request_id == request_id for execution in self.executions.values())
