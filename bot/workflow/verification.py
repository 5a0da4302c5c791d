"""Did the action help? Looked at several times after the run, judged from what is seen, not claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from approvals.ports import Inspector
from bot.domain.audit import OutcomeVerified
from bot.domain.clock import Clock
from bot.domain.errors import InputError, Unavailable
from bot.domain.ids import ExecutionId
from bot.domain.incident import Incident, IncidentState
from bot.domain.outcome import (
    Execution,
    ExecutionResult,
    ExecutionState,
    Outcome,
    OutcomeVerdict,
    VerificationCheck,
)
from bot.domain.proposal import Proposal
from bot.ports import IncidentStore, Job, JobKind, Transaction
from bot.workflow.memory import remember
from bot.workflow.moving import move
from bot.workflow.own_alerts import MANUAL_SOURCE

_STATE_AFTER = {
    OutcomeVerdict.VERIFIED: IncidentState.RESOLVED,
    OutcomeVerdict.FAILED: IncidentState.FAILED,
    OutcomeVerdict.UNKNOWN: IncidentState.OUTCOME_UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationSchedule:
    """When to look, counted from the end of the run; the last look decides."""

    after: tuple[timedelta, ...]

    def due(self, finished_at: datetime, attempt: int) -> datetime:
        """When attempt ``attempt`` (from 1) is due; past the last one, the last one's time."""
        return finished_at + self.after[min(attempt, len(self.after)) - 1]

    def is_last(self, attempt: int) -> bool:
        return attempt >= len(self.after)


class Verifying:
    """Looks once per attempt; the number of stored outcomes is the number of attempts made."""

    def __init__(
        self,
        store: IncidentStore,
        inspectors: Mapping[str, Inspector],
        schedule: VerificationSchedule,
        clock: Clock,
    ) -> None:
        self._store = store
        self._inspectors = inspectors
        self._schedule = schedule
        self._clock = clock

    async def run(self, subject: str) -> None:
        async with self._store.reading() as rows:
            execution = await rows.execution(ExecutionId(subject))
            if execution is None or execution.result is None:
                return
            incident = await rows.incident(execution.incident_id)
            proposal = await rows.proposal(execution.proposal_id)
            attempt = len(await rows.outcomes_of(execution.id)) + 1
        if incident is None or proposal is None or incident.state is not IncidentState.VERIFYING:
            return
        if execution.state is not ExecutionState.SUCCEEDED:
            return
        if self._clock.now() < (due := self._schedule.due(execution.result.finished_at, attempt)):
            async with self._store.transaction() as tx:
                await tx.enqueue(Job(kind=JobKind.VERIFY, subject=subject), due)
            return
        checks = await self._look(proposal, execution.result)
        await self._store_outcome(execution, attempt, checks)

    async def _look(self, proposal: Proposal, result: ExecutionResult) -> tuple[VerificationCheck, ...]:
        inspector = self._inspectors.get(proposal.action.executor)
        if inspector is None:
            return (VerificationCheck(name="executor", ok=None, detail="it is no longer configured"),)
        try:
            return tuple(await inspector.check(proposal.action, proposal.target, result))
        except (InputError, Unavailable) as error:
            return (VerificationCheck(name="target", ok=None, detail=str(error)),)

    async def _store_outcome(
        self, execution: Execution, attempt: int, checks: Sequence[VerificationCheck]
    ) -> None:
        async with self._store.transaction() as tx:
            incident = await tx.incident(execution.incident_id)
            if incident is None or incident.state is not IncidentState.VERIFYING:
                return
            if len(await tx.outcomes_of(execution.id)) + 1 != attempt:
                return
            checks = (*checks, await self._alert_check(tx, incident))
            last = self._schedule.is_last(attempt)
            verdict = judge(checks, last=last)
            settled = last or verdict is OutcomeVerdict.VERIFIED
            now = self._clock.now()
            await tx.add_outcome(
                Outcome(
                    execution_id=execution.id,
                    verdict=verdict,
                    at=now,
                    attempt=attempt,
                    checks=tuple(checks),
                    last=settled,
                )
            )
            await tx.record(
                OutcomeVerified(
                    incident_id=incident.id,
                    execution_id=execution.id,
                    verdict=verdict.value,
                    attempt=attempt,
                    checks=tuple(
                        {"name": c.name, "ok": str(c.ok).lower(), "detail": c.detail} for c in checks
                    ),
                )
            )
            if settled:
                await self._settle(tx, incident, verdict, now)
            elif execution.result is not None:
                await tx.enqueue(
                    Job(kind=JobKind.VERIFY, subject=execution.id),
                    self._schedule.due(execution.result.finished_at, attempt + 1),
                )

    async def _settle(
        self, tx: Transaction, incident: Incident, verdict: OutcomeVerdict, now: datetime
    ) -> None:
        to = _STATE_AFTER.get(verdict, IncidentState.OUTCOME_UNKNOWN)
        await remember(tx, await move(tx, incident, to, f"verification: {verdict.value}", now))
        if to is IncidentState.FAILED:
            await tx.enqueue(Job(kind=JobKind.REMEDIATE, subject=incident.id))

    async def _alert_check(self, tx: Transaction, incident: Incident) -> VerificationCheck:
        if incident.source == MANUAL_SOURCE:
            return VerificationCheck(name="alert", ok=True, detail="asked for by hand, no alert to wait for")
        if incident.firing == 0:
            return VerificationCheck(name="alert", ok=True, detail="every alert has resolved")
        return VerificationCheck(name="alert", ok=False, detail=f"{incident.firing} of its alerts still fire")


def judge(checks: Sequence[VerificationCheck], *, last: bool) -> OutcomeVerdict:
    """All seen and good → verified. A bad one → failed on the last look, pending before it. Nothing bad
    but something unseen → unknown on the last look, pending before it."""
    if any(check.ok is False for check in checks):
        return OutcomeVerdict.FAILED if last else OutcomeVerdict.PENDING
    if any(check.ok is None for check in checks):
        return OutcomeVerdict.UNKNOWN if last else OutcomeVerdict.PENDING
    return OutcomeVerdict.VERIFIED
