"""An approved request → the gate → what the gate said, and what a crash in between means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from approvals.model import GateRefusal, Refusal
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


class Recovering:
    """An execution that was claimed and never reported, because the process died or the store did not take
    its result, may or may not have happened.

    It is never run again. It becomes ``unknown`` and a person is told how to look.
    """

    def __init__(self, store: IncidentStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self, execution_ids: list[ExecutionId]) -> int:
        """Settle those of the executions that are claimed and that nobody runs any more; returns how many."""
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
                    reason = "the action ran, and its result was never stored"
                    await move(tx, incident, IncidentState.OUTCOME_UNKNOWN, reason, now)
                settled += 1
        return settled


class Executing:
    """Knocks at the gate for an approved request. Everything that decides is behind it."""

    def __init__(
        self,
        store: IncidentStore,
        open_gate: OpenGate,
        recovering: Recovering,
        schedule: VerificationSchedule,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._open_gate = open_gate
        self._recovering = recovering
        self._schedule = schedule
        self._metrics = metrics

    async def run(self, subject: str) -> None:
        answer = await self._open_gate(RequestId(subject))
        if isinstance(answer, GateRefusal):
            _log.warning("gate_refused", request=subject, check=answer.check, reason=answer.reason.value)
            if answer.reason is Refusal.ALREADY_CLAIMED:
                await self._pick_up(RequestId(subject))
            return
        async with self._store.reading() as rows:
            proposal = await rows.proposal(answer.proposal_id)
        executor = proposal.action.executor if proposal is not None else "unknown"
        self._metrics.executions.labels(executor=executor, result=answer.state.value).inc()
        await self._verify(answer)

    async def _pick_up(self, request_id: RequestId) -> None:
        """Go on where an earlier turn for this request broke off because the store did not answer. Nobody
        else is in the middle of it: one process has the store, and a job never runs beside itself."""
        async with self._store.reading() as rows:
            request = await rows.request(request_id)
            executions = await rows.executions_of(request.incident_id) if request is not None else ()
        for execution in executions:
            if execution.request_id == request_id:
                await self._recovering.run([execution.id])
                await self._verify(execution)

    async def _verify(self, execution: Execution) -> None:
        if execution.state is ExecutionState.SUCCEEDED and execution.result is not None:
            async with self._store.transaction() as tx:
                await tx.enqueue(
                    Job(kind=JobKind.VERIFY, subject=execution.id),
                    self._schedule.due(execution.result.finished_at, 1),
                )
