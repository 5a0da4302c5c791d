"""What the gate reads, in one snapshot, and the transactions in which it takes and closes an execution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from sqlalchemy import bindparam, func, select

from adapters.storage.codec import Codec
from adapters.storage.engine import Connections
from adapters.storage.rows import Rows
from adapters.storage.tables import approvals, diagnoses, evidence, executions, proposals
from adapters.storage.transaction import SqlReading, SqlTransaction
from approvals.model import RequestState
from approvals.ports import GateCase
from bot.domain.audit import AuditEvent, IncidentMoved, RequestEnded
from bot.domain.clock import Clock, from_rfc3339
from bot.domain.errors import IntegrityError, StaleWrite
from bot.domain.ids import ExecutionId, IncidentId, RequestId
from bot.domain.incident import Incident, IncidentState
from bot.domain.outcome import Execution, ExecutionResult, ExecutionState

_ENVELOPE = select(approvals.c.envelope).where(approvals.c.request_id == bindparam("id"))
_CLAIMED = select(executions.c.id).where(executions.c.request_id == bindparam("id"))
_KEY_USED = select(executions.c.id).where(executions.c.idempotency_key == bindparam("key"))
_CANONICAL = select(proposals.c.canonical_bytes).where(proposals.c.id == bindparam("id"))
_BAND = (
    select(diagnoses.c.band)
    .where(diagnoses.c.incident_id == bindparam("id"))
    .order_by(diagnoses.c.seq.desc())
    .limit(1)
)
_NEWEST_EVIDENCE = select(func.max(evidence.c.taken_at)).where(evidence.c.incident_id == bindparam("id"))


class GateRows:
    """Reads cases and writes claims. Whoever loses a race has written nothing."""

    def __init__(
        self,
        connections: Connections,
        codec: Codec,
        clock: Clock,
        reading: Callable[[Rows], SqlReading],
        transaction: Callable[[], AbstractAsyncContextManager[SqlTransaction]],
    ) -> None:
        self._connections = connections
        self._codec = codec
        self._clock = clock
        self._reading = reading
        self._transaction = transaction

    async def gate_case(self, request_id: RequestId) -> GateCase | None:
        async with self._connections.reading() as rows:
            reading = self._reading(rows)
            request = await reading.request(request_id)
            if request is None:
                return None
            incident = await reading.incident(request.incident_id)
            proposal = await reading.proposal(request.proposal_id)
            if incident is None or proposal is None:
                raise IntegrityError(f"request {request_id} names an incident or a proposal that is gone")
            envelope = await rows.value(_ENVELOPE, id=request_id)
            taken_at = await rows.value(_NEWEST_EVIDENCE, id=incident.id)
            return GateCase(
                incident=incident,
                proposal=proposal,
                request=request,
                reviews=tuple(await reading.reviews_of(request_id)),
                canonical_bytes=await rows.value(_CANONICAL, id=proposal.id),
                envelope=envelope,
                claimed=await rows.value(_CLAIMED, id=request_id) is not None,
                band=await rows.value(_BAND, id=incident.id),
                evidence_taken_at=None if taken_at is None else from_rfc3339(taken_at),
            )

    async def claim(self, execution: Execution, request_version: int, events: Sequence[AuditEvent]) -> bool:
        async with self._transaction() as tx:
            request = await tx.request(execution.request_id)
            if (
                request is None
                or request.version != request_version
                or request.state is not RequestState.APPROVED
                or request.incident_id != execution.incident_id
                or request.proposal_id != execution.proposal_id
            ):
                return False
            if await tx.rows.value(_ENVELOPE, id=request.id) is None:
                return False
            if await tx.rows.value(_CLAIMED, id=request.id) is not None:
                return False
            if await tx.rows.value(_KEY_USED, key=execution.idempotency_key) is not None:
                return False
            incident = await tx.incident(execution.incident_id)
            if incident is None or incident.state is not IncidentState.AWAITING_APPROVAL:
                return False
            if (await tx.switch()).paused:
                raise StaleWrite("execution was paused while the gate was looking")
            await tx.add_execution(execution)
            await tx.save_incident(incident.moved(IncidentState.EXECUTING, execution.claimed_at))
            await tx.record(*events)
            return True

    async def finish(
        self,
        execution_id: ExecutionId,
        result: ExecutionResult,
        incident_to: IncidentState,
        events: Sequence[AuditEvent],
    ) -> None:
        """Raises StaleWrite, nothing written, when the execution is not claimed any more (a recovery has
        declared it unknown), InvalidTransition when the incident cannot move there."""
        async with self._transaction() as tx:
            execution = await tx.execution(execution_id)
            if execution is None or execution.state is not ExecutionState.CLAIMED:
                state = "not stored" if execution is None else execution.state.value
                raise StaleWrite(f"execution {execution_id} is {state}, not claimed")
            ended = _ended(result, incident_to)
            await tx.save_execution(replace(execution, state=ended, result=result))
            now = self._clock.now()
            incident = await self._incident(tx, execution.incident_id)
            moved = await tx.save_incident(incident.moved(incident_to, now))
            await tx.record(*events)
            if moved.state is IncidentState.FAILED and moved.firing == 0:
                # The alerts went away while the action ran; now that the run is over it counts.
                await tx.save_incident(moved.moved(IncidentState.RESOLVED, now))
                await tx.record(
                    IncidentMoved(
                        incident_id=moved.id,
                        before=moved.state.value,
                        after=IncidentState.RESOLVED.value,
                        reason="every alert resolved while the action ran",
                    )
                )

    async def refuse(
        self, request_id: RequestId, request_version: int, reason: str, events: Sequence[AuditEvent]
    ) -> bool:
        async with self._transaction() as tx:
            await tx.record(*events)
            request = await tx.request(request_id)
            if (
                request is None
                or request.version != request_version
                or request.state not in (RequestState.PENDING, RequestState.APPROVED)
                # Another gate has claimed it: its run is not ours to cancel.
                or await tx.rows.value(_CLAIMED, id=request_id) is not None
            ):
                return False
            now = self._clock.now()
            await tx.save_request(
                replace(request, state=RequestState.CANCELLED, ended_at=now, ended_reason=reason)
            )
            incident = await self._incident(tx, request.incident_id)
            await tx.record(
                RequestEnded(
                    incident_id=incident.id,
                    request_id=request_id,
                    state=RequestState.CANCELLED.value,
                    reason=reason,
                )
            )
            if incident.state is IncidentState.AWAITING_APPROVAL:
                moved = incident.moved(IncidentState.DIAGNOSED, now)
                await tx.save_incident(moved)
                await tx.record(
                    IncidentMoved(
                        incident_id=incident.id,
                        before=incident.state.value,
                        after=moved.state.value,
                        reason=reason,
                    )
                )
            return True

    async def _incident(self, tx: SqlTransaction, incident_id: IncidentId) -> Incident:
        incident = await tx.incident(incident_id)
        if incident is None:
            raise IntegrityError(f"incident {incident_id} is gone from the store")
        return incident


def _ended(result: ExecutionResult, incident_to: IncidentState) -> ExecutionState:
    """A run that may or may not have acted is neither a success nor a failure."""
    if incident_to is IncidentState.OUTCOME_UNKNOWN:
        return ExecutionState.UNKNOWN
    return ExecutionState.SUCCEEDED if result.ok else ExecutionState.FAILED
