"""Requests run out, and people are reminded before they do. Due times live in the rows."""

from __future__ import annotations

from dataclasses import replace

from approvals.model import RequestState
from approvals.review import expire
from bot.domain.audit import RequestEnded, RequestReminded
from bot.domain.clock import Clock
from bot.domain.ids import RequestId
from bot.domain.incident import IncidentState
from bot.ports import IncidentStore, Job, JobKind
from bot.workflow.moving import move
from bot.workflow.proposing import ApprovalSettings, reminder_at


class Expiring:
    """Ends requests whose time has run out: an outcome of its own, never shown as somebody's no."""

    def __init__(self, store: IncidentStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self, subject: str) -> None:
        async with self._store.transaction() as tx:
            now = self._clock.now()
            request = await tx.request(RequestId(subject))
            if request is None or request.state is not RequestState.PENDING:
                return
            ended = expire(request, now)
            if ended is None:
                # Woken early, or the clock was set back: the stored time decides.
                await tx.enqueue(Job(kind=JobKind.EXPIRE, subject=request.id), request.expires_at)
                return
            await tx.save_request(ended)
            await tx.record(
                RequestEnded(
                    incident_id=request.incident_id,
                    request_id=request.id,
                    state=ended.state.value,
                    reason=ended.ended_reason or "",
                )
            )
            incident = await tx.incident(request.incident_id)
            if incident is not None and incident.state is IncidentState.AWAITING_APPROVAL:
                await move(tx, incident, IncidentState.EXPIRED, "nobody decided in time", now)


class Reminding:
    """Notes on the request which reminder is due; chat shows it from there."""

    def __init__(self, store: IncidentStore, settings: ApprovalSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    async def run(self, subject: str) -> None:
        async with self._store.transaction() as tx:
            now = self._clock.now()
            request = await tx.request(RequestId(subject))
            if request is None or request.state is not RequestState.PENDING or now >= request.expires_at:
                return
            passed = [p for p in self._settings.reminders if reminder_at(request, p) <= now]
            if passed and max(passed) > request.reminded:
                await tx.save_request(replace(request, reminded=max(passed)))
                await tx.record(
                    RequestReminded(
                        incident_id=request.incident_id, request_id=request.id, percent=max(passed)
                    )
                )
            for percent in self._settings.reminders:
                if reminder_at(request, percent) > now:
                    await tx.enqueue(
                        Job(kind=JobKind.REMIND, subject=request.id), reminder_at(request, percent)
                    )
                    break
