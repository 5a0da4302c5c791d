"""An approved request → the gate → what the gate said, and what a crash in between means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from approvals.model import GateRefusal
from bot.domain.audit import ExecutionUnknown
from bot.domain.clock import Clock
from bot.domain.ids import ExecutionId, RequestId
from bot.domain.incident import IncidentState
from bot.domain.outcome import Execution, ExecutionState
from bot.ports import IncidentStore, Job, JobKind
from bot.telemetry import Metrics
from bot.workflow.moving import move
from bot.workflow.verification import VerificationSchedule

_log = structlog.stdlib.get_logger(__name__)

OpenGate = Callable[[RequestId], Awaitable[Execution | GateRefusal]]
"""``approvals.gate.Gate.open``, handed over by the composition root."""


class Executing:
    """Knocks at the gate for an approved request. Everything that decides is behind it."""

    def __init__(
        self,
        store: IncidentStore,
        open_gate: OpenGate,
        schedule: VerificationSchedule,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._open_gate = open_gate
        self._schedule = schedule
        self._metrics = metrics

    async def run(self, subject: str) -> None:
        answer = await self._open_gate(RequestId(subject))
        if isinstance(answer, GateRefusal):
            _log.warning("gate_refused", request=subject, check=answer.check, reason=answer.reason.value)
            return
        executor = answer.idempotency_key.split(":", 1)[0]
        async with self._store.reading() as rows:
            proposal = await rows.proposal(answer.proposal_id)
        if proposal is not None:
            executor = proposal.action.executor
        self._metrics.executions.labels(executor=executor, result=answer.state.value).inc()
        if answer.state is ExecutionState.SUCCEEDED and answer.result is not None:
            async with self._store.transaction() as tx:
                await tx.enqueue(
                    Job(kind=JobKind.VERIFY, subject=answer.id),
                    self._schedule.due(answer.result.finished_at, 1),
                )


class Recovering:
    """After a start: an execution that was claimed and never reported may or may not have happened.

    It is never run again. It becomes ``unknown`` and a person is told how to look.
    """

    def __init__(self, store: IncidentStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self, execution_ids: list[ExecutionId]) -> int:
        """Settle the executions that were claimed before this process started; returns how many."""
        settled = 0
        for execution_id in execution_ids:
            async with self._store.transaction() as tx:
                execution = await tx.execution(execution_id)
                if execution is None or execution.state is not ExecutionState.CLAIMED:
                    continue
                now = self._clock.now()
                await tx.save_execution(replace(execution, state=ExecutionState.UNKNOWN))
                await tx.record(
                    ExecutionUnknown(
                        incident_id=execution.incident_id,
                        execution_id=execution.id,
                        inspect=execution.inspect,
                    )
                )
                incident = await tx.incident(execution.incident_id)
                if incident is not None and incident.state is IncidentState.EXECUTING:
                    reason = "the process ended while the action was running"
                    await move(tx, incident, IncidentState.OUTCOME_UNKNOWN, reason, now)
                settled += 1
        return settled
