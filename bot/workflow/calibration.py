"""Calibration: diagnoses are posted so that people can judge them, and nothing is offered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from approvals.model import RequestState
from bot.domain.clock import Clock
from bot.domain.diagnosis import Diagnosis
from bot.domain.ids import RequestId
from bot.domain.incident import IncidentState
from bot.messages.words import CALIBRATION
from bot.ports import IncidentStore, JobKind, PendingJob
from bot.workflow.moving import move
from bot.workflow.requests import end_open_requests


def without_offers(diagnosis: Diagnosis) -> Diagnosis:
    """The same findings without a fix: steps are for acting, commands for looking stand with the gaps."""
    return replace(diagnosis, suggestion=None, steps=())


async def withdraw_offers(store: IncidentStore, clock: Clock, pending: Iterable[PendingJob]) -> int:
    """End what was offered before calibration began and nobody has carried out, and return how many incidents
    waited for it. ``pending`` is the store's pending work."""
    waiting = (JobKind.EXPIRE, JobKind.REMIND, JobKind.EXECUTE)
    subjects = {item.job.subject for item in pending if item.job.kind in waiting}
    ended = 0
    for subject in sorted(subjects):
        async with store.transaction() as tx:
            request = await tx.request(RequestId(subject))
            incident = None if request is None else await tx.incident(request.incident_id)
            if incident is None or incident.state is not IncidentState.AWAITING_APPROVAL:
                continue
            now = clock.now()
            await end_open_requests(tx, incident, RequestState.CANCELLED, CALIBRATION, now)
            await move(tx, incident, IncidentState.DIAGNOSED, CALIBRATION, now)
            ended += 1
    return ended
